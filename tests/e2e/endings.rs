//! How things end, and what is left of them: FFmpeg that is killed, the program that is killed or told to stop.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::browser::Browser;
use crate::child::{descendants, free_port, is_alive, until};
use crate::manifest::{Manifest, manifest};
use crate::media::{self, Codec};
use crate::program::Program;
use crate::proof::until_playable;
use crate::turn;

fn film(name: &str) -> Manifest {
    manifest(name).input("-re", media::film(Codec::Baseline, 2, true).display().to_string())
}

/// Ends one process with SIGKILL.
pub fn kill(id: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(id).expect("it is small")).expect("it is not 0");
    rustix::process::kill_process(pid, Signal::KILL).expect("it runs");
}

/// FFmpegs of different kinds: one that plays, one that waits for its publisher, and one that writes a file.
async fn three_kinds(program: &Program) -> Vec<u32> {
    program.apply(&film("film"));
    program
        .apply(&manifest("listener").input("-f flv -listen 1", format!("rtmp://127.0.0.1:{}/live/cam", free_port())));
    program.apply(
        &manifest("writer")
            .with("webrtc", serde_json::Value::Null)
            .input("-re -f lavfi", media::picture())
            .output("-f mpegts", "out.ts"),
    );
    program.until_state("film", "Running").await;
    program.until_state("listener", "Waiting").await;
    program.until_state("writer", "Running").await;
    let children = descendants(program.child.id());
    assert_eq!(children.len(), 3, "one FFmpeg for each process");
    children
}

#[tokio::test]
async fn a_killed_ffmpeg_is_back_within_its_delay_and_its_viewers_go_on_in_the_same_session() {
    let _turn = turn::alone().await;
    let program = Program::start().await;
    program.apply(&film("film").with("reconnectDelaySeconds", 2.into()));
    until_playable(&program, "film").await;
    let browser = Browser::start().await;
    browser.watch(&program, "film").await;
    browser.until("it plays", |stats| stats.video.frames_decoded > 60).await;
    browser.run("window.dragonfork.peer.mark = 'the same'", Vec::new()).await;

    let first = program.ffmpeg("Baseline").await;
    let killed = Instant::now();
    kill(first);
    let process = program.until_state("film", "Reconnecting").await;
    assert_eq!(process["status"]["lastExit"]["signal"], 9, "{process:#}");
    assert_eq!(process["status"]["lastExit"]["reason"], "Killed", "{process:#}");
    until("another FFmpeg", || program.ffmpegs("Baseline").iter().any(|id| *id != first)).await;
    let back = killed.elapsed();
    println!("FFmpeg is back after {back:?}");
    assert!(back >= Duration::from_secs(2) && back < Duration::from_secs(4), "{back:?}");
    let before = browser.stats().await;
    let after =
        browser.until("it goes on", |stats| stats.video.frames_decoded > before.video.frames_decoded + 90).await;
    println!("its viewer sees frames again; {:?} after the kill there are 90 more", killed.elapsed());
    assert_eq!(browser.run("return window.dragonfork.peer.mark", Vec::new()).await, "the same");
    assert_eq!(after.connection, "connected");
    let sound = after.audio.packets_received;
    browser.until("its sound goes on", |stats| stats.audio.packets_received > sound + 50).await;
    assert_eq!(program.process("film").await["status"]["restarts"], 1);
    let found = crate::proof::FILM.find(&browser.picture().await);
    assert!(found.psnr > crate::picture::SAME, "the picture is the source's again: {found:?}");
}

#[tokio::test]
async fn nothing_is_left_two_seconds_after_the_program_was_killed() {
    let _turn = turn::shared().await;
    let mut program = Program::start().await;
    let children = three_kinds(&program).await;
    program.child.signal(Signal::KILL);
    let killed = Instant::now();
    program.child.end_within(Duration::from_secs(2)).await.expect("SIGKILL ends it");
    until("no FFmpeg", || !children.iter().any(|id| is_alive(*id))).await;
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
}

#[tokio::test]
async fn sigterm_and_sigint_end_everything_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let _turn = turn::shared().await;
        let mut program = Program::start().await;
        let children = three_kinds(&program).await;
        let asked = Instant::now();
        program.child.signal(signal);
        let status = program.child.end_within(Duration::from_secs(10)).await.expect("it ends");
        println!("{signal:?}: the program ended after {:?}", asked.elapsed());
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert!(
            asked.elapsed() < Duration::from_secs(3),
            "children that obey are not waited for: {:?}",
            asked.elapsed()
        );
        let left: Vec<&u32> = children.iter().filter(|id| is_alive(**id)).collect();
        assert!(left.is_empty(), "{signal:?} leaves {left:?}");
    }
}

#[tokio::test]
async fn children_that_do_not_obey_are_killed_together_after_five_seconds() {
    use std::os::unix::fs::PermissionsExt;
    let _turn = turn::shared().await;
    let directory = tempfile::tempdir().expect("a directory can be made");
    let stubborn = directory.path().join("stubborn");
    std::fs::write(&stubborn, "#!/bin/sh\ntrap '' INT TERM\nwhile :; do sleep 0.1; done\n").expect("it can be written");
    std::fs::set_permissions(&stubborn, std::fs::Permissions::from_mode(0o755)).expect("it can be set");
    let path = stubborn.display().to_string();
    let mut program = Program::start_with(&[], &[("CORE_FFMPEG_BINARY", &path)]).await;
    for name in ["one", "two", "three"] {
        let plain = manifest(name).with("webrtc", serde_json::Value::Null);
        program.apply(&plain.input("", name).output("-f null", "-"));
    }
    until("three children", || ["one", "two", "three"].iter().all(|name| !program.ffmpegs(name).is_empty())).await;
    let children = descendants(program.child.id());
    let asked = Instant::now();
    program.child.signal(Signal::TERM);
    let status = program.child.end_within(Duration::from_secs(12)).await.expect("it ends");
    let took = asked.elapsed();
    println!("three stubborn children: the program ended after {took:?}");
    assert_eq!(status.code(), Some(0));
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    until("none is left", || !children.iter().any(|id| is_alive(*id))).await;
}

#[tokio::test]
async fn a_stopped_process_ends_its_viewers_and_the_others_go_on() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&film("film"));
    until_playable(&program, "film").await;
    let browser = Browser::start().await;
    browser.watch(&program, "film").await;
    program.remove("film");
    browser.until("the session ends", |stats| stats.connection != "connected").await;
    program.until("film", "is gone", serde_json::Value::is_null).await;
}
