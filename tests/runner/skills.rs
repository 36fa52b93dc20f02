//! What FFmpeg can do, and a look at inputs.

use dragonfork::plan::Plan;
use dragonfork::plan::skills::Skills;
use dragonfork::process::{self, Cause};
use dragonfork::runner::{AskError, Event, Known};

use crate::bench::{Bench, fake, io, plan, secrets};

/// The answer to the newest question.
async fn load(bench: &Bench) -> Result<std::sync::Arc<Skills>, AskError> {
    bench.runner.load_skills().await.expect("the question comes to its end")
}

/// A process that reads a generated picture and encodes it with this.
fn encoding(encoder: &str) -> Plan {
    let inputs = vec![io("in", "-re -f lavfi testsrc=size=64x64:rate=5")];
    Plan { inputs, outputs: vec![io("out", &format!("-c:v {encoder} -f null -"))], ..plan() }
}

#[tokio::test]
async fn what_ffmpeg_can_do_is_asked() {
    let bench = Bench::new();
    assert!(matches!(&*bench.runner.skills().borrow(), Known::NotAsked));
    let skills = load(&bench).await.expect("FFmpeg answers");
    let h264 = skills.video.iter().find(|codec| codec.id == "h264").expect("it is a codec");
    assert!(h264.encoders.iter().any(|encoder| encoder == "libx264") && h264.decoders.contains(&"h264".into()));
    assert!(skills.audio.iter().any(|codec| codec.encoders.iter().any(|encoder| encoder == "libopus")));
    assert!(skills.muxers.iter().any(|muxer| muxer.id == "rtp") && skills.demuxers.iter().any(|one| one.id == "flv"));
    assert!(skills.sources.iter().any(|device| device.id == "lavfi"));
    assert!(skills.filters.iter().any(|filter| filter.id == "scale"));
    assert!(skills.input_protocols.contains(&"rtmp".into()) && skills.output_protocols.contains(&"udp".into()));
    assert!(!skills.build.version.is_empty() && skills.build.libraries.iter().any(|one| one.name == "libavcodec"));
    let Known::Answered(Some(known)) = bench.runner.skills().borrow().clone() else { panic!("it is known") };
    assert_eq!(known, skills);
}

#[tokio::test]
async fn a_process_that_needs_what_ffmpeg_lacks_is_not_started_and_the_lack_is_named() {
    let mut bench = Bench::new();
    bench.runner.load_skills();
    let run = bench.start(encoding("h264_nosuch"));
    let Event::Run(process::Event::Ended { exit, restart_in }) = bench.next().await else { panic!("it was started") };
    assert_eq!((exit.cause, restart_in.is_some()), (Cause::Unsupported, true));
    let what = "this FFmpeg has no encoder \"h264_nosuch\", which output \"out\" asks for; it has libx264";
    assert!(exit.message.starts_with(what), "{}", exit.message);
    run.stop().await;
    let run = bench.start(encoding("libx264"));
    bench.progress().await;
    run.stop().await;
}

#[tokio::test]
async fn a_process_starts_once_another_ffmpeg_was_asked() {
    let mut bench = Bench::with_script(
        "case \"$*\" in\n*-codecs*) cat codecs ;;\n*-filters*|*-hwaccels*|*-formats*|*-devices*|*-protocols*) ;;\n\
         *-version*) echo 'ffmpeg version N-1-gabc Copyright' ;;\n*) exec sleep 60 ;;\nesac",
    );
    let list = |encoder: &str| {
        format!("Codecs:\n -------\n DEV.L. av1   Alliance for Open Media AV1 (encoders: {encoder} )\n")
    };
    std::fs::write(bench.path("codecs"), list("libaom-av1")).expect("written");
    assert_eq!(load(&bench).await.expect("it answers").build.version, "N-1-gabc");
    let run = bench.start(encoding("libsvtav1"));
    assert_eq!(bench.ended().await.0.cause, Cause::Unsupported);
    std::fs::write(bench.path("codecs"), list("libsvtav1")).expect("written");
    load(&bench).await.expect("it answers");
    bench.started().await;
    run.stop().await;
}

#[tokio::test]
async fn who_cannot_be_asked_is_started_all_the_same() {
    let mut bench = Bench::with("/no/such/ffmpeg".into(), tempfile::tempdir().expect("a directory"));
    let loading = bench.runner.load_skills();
    let run = bench.start(encoding("libx264"));
    assert_eq!(bench.ended().await.0.cause, Cause::SpawnFailed);
    assert!(matches!(loading.await.expect("it ends"), Err(AskError::Start(_))));
    assert!(matches!(&*bench.runner.skills().borrow(), Known::Answered(None)));
    run.stop().await;
}

#[tokio::test]
async fn c149_a_look_at_the_inputs_of_a_process_shows_their_streams() {
    let bench = Bench::with_fake();
    let seen = bench.runner.probe(&fake("prelude,exit=1")).await;
    let streams: Vec<_> = seen.streams.iter().map(|one| (one.id.as_str(), one.stream, one.codec.as_str())).collect();
    assert_eq!(streams, [("in", 0, "rawvideo"), ("in", 1, "pcm_u8"), ("in", 2, "pcm_s16le")]);
    assert_eq!((seen.streams[0].width, seen.streams[0].coder.as_str()), (1280, "rawvideo"));
    assert!(seen.log.iter().any(|line| line.starts_with("Input #0, lavfi")), "{:?}", seen.log);
}

#[tokio::test]
async fn a_look_at_any_inputs_needs_no_process() {
    let bench = Bench::new();
    let inputs = vec![io("a", "-f lavfi testsrc=size=320x240:rate=5"), io("b", "-re -f lavfi sine=sample_rate=48000")];
    let seen = bench.runner.probe(&Plan { options: secrets(["-loglevel", "error"]), inputs, ..plan() }).await;
    let streams: Vec<_> = seen.streams.iter().map(|one| (one.id.as_str(), one.index, one.kind.as_str())).collect();
    assert_eq!(streams, [("a", 0, "video"), ("b", 1, "audio")]);
    assert_eq!((seen.streams[0].width, seen.streams[0].height, seen.streams[1].sampling_hz), (320, 240, 48000));
}

#[tokio::test]
async fn a_look_at_what_is_not_there_says_so_without_credentials() {
    let bench = Bench::new();
    let inputs = vec![io("in", "rtmp://user:topsecret@127.0.0.1:1/live/a-parameter")];
    let seen = bench.runner.probe(&Plan { inputs, secrets: secrets(["a-parameter"]), ..plan() }).await;
    assert!(seen.streams.is_empty());
    assert!(seen.log.iter().any(|line| line.contains("refused")), "{:?}", seen.log);
    let is_secret = |line: &String| line.contains("topsecret") || line.contains("a-parameter");
    assert!(!seen.log.iter().any(is_secret), "{:?}", seen.log);
}
