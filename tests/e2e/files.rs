//! Files that FFmpeg writes and players read: HLS in memory and on the disk, beside playback by WebRTC.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::child::{Child, PATIENCE};
use crate::manifest::{Manifest, manifest};
use crate::media::{self, Codec};
use crate::program::Program;
use crate::proof::{condition, until_playable};
use crate::turn;

const PASSWORD: &str = "a password of memory";
/// It as it stands in a URL.
const IN_URL: &str = "a%20password%20of%20memory";

async fn program(environment: &[(&str, &str)]) -> Program {
    let login = [("CORE_STORAGE_MEMORY_AUTH_PASSWORD", PASSWORD)];
    Program::start_with(&[], &[&login, environment].concat()).await
}

fn source(name: &str) -> Manifest {
    let film = media::film(Codec::Baseline, 1, true).display().to_string();
    manifest(name).input("-re -stream_loop -1", film)
}

/// FFmpeg's options for HLS by PUT, with segments of a second.
fn hls(name: &str, ending: &str, more: &str) -> String {
    let kind = match ending {
        "ts" => String::new(),
        _ => format!("-hls_segment_type fmp4 -hls_fmp4_init_filename {name}_init.mp4"),
    };
    format!("-c copy -f hls -hls_time 1 -hls_segment_filename {{memfs}}/{name}_%d.{ending} {kind} -method PUT {more}")
}

/// The files of a filesystem whose names begin so.
async fn files(program: &Program, filesystem: &str, begin: &str) -> Vec<String> {
    let listed = program.json(&format!("/api/v3/fs/{filesystem}?sort=lastmod&glob=/{begin}**")).await;
    let names = listed.as_array().into_iter().flatten().filter_map(|file| file["name"].as_str());
    names.map(str::to_owned).collect()
}

async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "{what}: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the files that begin so are as they should be.
async fn until_files(program: &Program, begin: &str, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
    until(what, async || {
        let files = files(program, "mem", begin).await;
        if holds(&files) { Ok(files) } else { Err(format!("{files:?}")) }
    })
    .await
}

/// The number of the newest segment.
fn newest(files: &[String]) -> u32 {
    let number = |name: &String| name.rsplit_once('_')?.1.split('.').next()?.parse::<u32>().ok();
    files.iter().filter_map(number).max().unwrap_or_default()
}

fn player(program: &Program, name: &str, playlist: &str) -> Child {
    let url = format!("{}/memfs/{playlist}", program.origin());
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-i", &url, "-f", "null", "-"]);
    Child::start(name, &mut command, program.directory())
}

/// Viewers of a stream, and their octets.
async fn viewers(program: &Program, reference: &str) -> (usize, u64) {
    let active = program.json("/api/v3/session/active?collectors=hls").await;
    let sessions = active["hls"].as_array().expect("it is a list").iter();
    let of_stream: Vec<&Value> = sessions.filter(|session| session["reference"] == reference).collect();
    let octets = of_stream.iter().filter_map(|session| session["bytes_tx"].as_u64()).sum();
    (of_stream.len(), octets)
}

async fn until_viewers(program: &Program, reference: &str, wanted: usize) -> u64 {
    until(&format!("{wanted} viewers of {reference}"), async || {
        let (viewers, octets) = viewers(program, reference).await;
        if viewers == wanted { Ok(octets) } else { Err(format!("{viewers} viewers")) }
    })
    .await
}

#[tokio::test]
async fn a_process_plays_by_webrtc_and_by_hls_of_both_kinds_at_once_and_viewers_are_counted() {
    let _turn = turn::shared().await;
    let program = program(&[("CORE_SESSIONS_IP_IGNORELIST", ""), ("CORE_SESSIONS_SESSION_TIMEOUT_SEC", "5")]).await;
    let keep = "-hls_list_size 4 -hls_flags delete_segments";
    let manifest = source("both")
        .output(&hls("old", "ts", keep), "{memfs}/old.m3u8")
        .output(&hls("new", "m4s", keep), "{memfs}/new.m3u8");
    program.apply(&manifest);
    until_playable(&program, "both").await;
    let browser = Browser::start().await;
    browser.watch(&program, "both").await;
    for playlist in ["old", "new"] {
        until_files(&program, playlist, "segments", |files| newest(files) > 2).await;
        let url = format!("{}/memfs/{playlist}.m3u8", program.origin());
        let streams = tokio::task::spawn_blocking(move || media::streams_of(&url)).await.expect("it ends");
        assert_eq!(streams, ["aac", "h264"], "{playlist}");
    }
    until_viewers(&program, "old", 0).await;
    until_viewers(&program, "new", 0).await;
    let players = ["one", "two", "three"].map(|name| player(&program, name, "old.m3u8"));
    let _other = player(&program, "other", "new.m3u8");
    let octets = until_viewers(&program, "old", 3).await;
    until_viewers(&program, "new", 1).await;
    assert!(octets > 10_000, "{octets}");
    drop(players);
    until_viewers(&program, "old", 0).await;
    until_viewers(&program, "new", 1).await;
    let decoded = browser.stats().await.video.frames_decoded;
    browser.until("the picture goes on", |stats| stats.video.frames_decoded > decoded + 30).await;
    let summary = program.json("/api/v3/session").await;
    // ffprobe came and went too.
    let sessions = summary["hls"]["summary"]["reference"]["old"]["sessions"].as_u64().unwrap_or_default();
    assert!((3..=5).contains(&sessions), "{summary:#}");
    assert!(!program.printed().contains(PASSWORD) && !program.printed().contains(IN_URL));
    assert!(!program.log("both").await.contains(IN_URL));
}

#[tokio::test]
async fn a_rule_leaves_the_newest_segments_and_only_a_deletion_purges() {
    let _turn = turn::shared().await;
    let program = program(&[]).await;
    let cleanup = json!([
        {"pattern": "memfs:/cam_*.ts", "maxFiles": 4, "purgeOnDelete": true},
        {"pattern": "memfs:/cam.m3u8", "purgeOnDelete": true},
    ]);
    let mut manifest = source("cam").output(&hls("cam", "ts", "-hls_list_size 3"), "{memfs}/cam.m3u8");
    manifest = manifest.with_output("cleanup", cleanup);
    program.apply(&manifest);
    let is_tidy = |files: &[String]| newest(files) >= 8 && files.len() <= 6;
    until_files(&program, "cam", "eight segments, and five at most are left", is_tidy).await;
    // FFmpeg fails and comes back, the manifest changes, and the process is suspended: the files stay.
    let id = program.ffmpeg("cam.m3u8").await;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(id as i32).expect("an id"),
        rustix::process::Signal::KILL,
    )
    .expect("it runs");
    program.until("cam", "is started again", |process| process["status"]["restarts"] == 1).await;
    assert!(files(&program, "mem", "cam").await.len() > 3);
    program.until_state("cam", "Running").await;
    program.apply(&manifest.clone().with("reference", json!("other")).with("suspend", json!(true)));
    program.until_state("cam", "Suspended").await;
    let left = until_files(&program, "cam", "four segments and the playlist", |files| files.len() == 5).await;
    assert!(left.contains(&"/cam.m3u8".to_owned()), "{left:?}");
    program.remove("cam");
    until_files(&program, "cam", "nothing is left", <[String]>::is_empty).await;
}

#[tokio::test]
async fn a_deletion_purges_after_ffmpeg_has_ended_and_the_end_of_the_program_purges_nothing() {
    let _turn = turn::shared().await;
    let mut program = program(&[]).await;
    let cleanup = |name: &str| json!([{"pattern": format!("diskfs:/{name}**"), "purgeOnDelete": true}]);
    for name in ["one", "two"] {
        let options = format!("-c copy -f hls -hls_time 1 -hls_segment_filename {name}_%d.ts");
        program.apply(&source(name).output(&options, format!("{name}.m3u8")).with_output("cleanup", cleanup(name)));
    }
    let on_disk = |program: &Program, name: &str| {
        let entries = std::fs::read_dir(program.data()).expect("it is there").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(name)).count()
    };
    crate::child::until("files of both", || on_disk(&program, "one") > 2 && on_disk(&program, "two") > 2).await;
    program.remove("one");
    crate::child::until("nothing is left of one", || on_disk(&program, "one") == 0).await;
    program.child.signal(rustix::process::Signal::TERM);
    assert!(program.child.end_within(PATIENCE).await.is_some_and(|status| status.success()));
    assert!(on_disk(&program, "two") > 2);
    assert_eq!(on_disk(&program, "one"), 0);
}

#[tokio::test]
async fn the_memory_filesystem_keeps_to_its_cap_and_makes_room_for_what_is_new() {
    let _turn = turn::shared().await;
    let limits = [("CORE_STORAGE_MEMORY_MAX_SIZE_MBYTES", "1"), ("CORE_STORAGE_MEMORY_PURGE", "true")];
    let program = program(&limits).await;
    let options = "-map 0:v -c:v libx264 -preset ultrafast -b:v 3M -minrate 3M -maxrate 3M -bufsize 1M \
                   -x264-params nal-hrd=cbr -g 30 -f hls -hls_time 1 -hls_segment_filename {memfs}/cam_%d.ts \
                   -hls_list_size 3 -method PUT";
    program.apply(&source("cam").output(options, "{memfs}/cam.m3u8"));
    let mut most = 0;
    until("ten segments", async || {
        let listed = program.json("/api/v3/fs/mem").await;
        let sizes = listed.as_array().into_iter().flatten().filter_map(|file| file["size_bytes"].as_u64());
        most = most.max(sizes.sum::<u64>());
        let files = files(&program, "mem", "cam").await;
        if newest(&files) >= 10 { Ok(()) } else { Err(format!("{files:?}")) }
    })
    .await;
    assert!((500_000..=1 << 20).contains(&most), "{most} octets at most");
    assert_eq!(program.process("cam").await["status"]["restarts"], 0);
}

#[tokio::test]
async fn a_full_disk_directory_stops_who_writes_there_until_there_is_room() {
    let _turn = turn::shared().await;
    let program = program(&[("CORE_STORAGE_DISK_MAX_SIZE_MBYTES", "1")]).await;
    let rawvideo = "-map 0:v -c:v rawvideo -pix_fmt yuv420p -f nut -y";
    program.apply(&source("recorder").output(rawvideo, "film.nut"));
    program.apply(&source("other"));
    let process = program.until("recorder", "is stopped", |process| process["status"]["state"] == "Suspended").await;
    assert_eq!(condition(&process, "Ready"), "False");
    let is_full = |process: &Value| process["status"]["conditions"].to_string().contains("DiskFull");
    assert!(is_full(&process), "{process:#}");
    crate::child::until("no FFmpeg writes", || program.ffmpegs("film.nut").is_empty()).await;
    program.until_state("other", "Running").await;
    std::fs::remove_file(program.data().join("film.nut")).expect("it is there");
    program.until("recorder", "starts again", |process| !is_full(process)).await;
}

#[tokio::test]
async fn over_the_cap_of_the_disk_the_oldest_segments_of_a_rule_go_and_the_process_goes_on() {
    let _turn = turn::shared().await;
    let program = program(&[("CORE_STORAGE_DISK_MAX_SIZE_MBYTES", "2")]).await;
    let options = "-map 0:v -c:v libx264 -preset ultrafast -b:v 3M -minrate 3M -maxrate 3M -bufsize 1M \
                   -x264-params nal-hrd=cbr -g 30 -f hls -hls_time 1 -hls_list_size 3 -hls_segment_filename cam_%d.ts";
    let cleanup = json!([{"pattern": "diskfs:/cam_*.ts"}]);
    program.apply(&source("cam").output(options, "cam.m3u8").with_output("cleanup", cleanup));
    until("ten segments", async || {
        let files = files(&program, "disk", "cam").await;
        let is_over = files.len() > 9;
        if newest(&files) >= 10 && !is_over { Ok(()) } else { Err(format!("{files:?}")) }
    })
    .await;
    let process = program.process("cam").await;
    assert_eq!((&process["status"]["state"], &process["status"]["restarts"]), (&json!("Running"), &json!(0)));
}
