//! Either program may crash without taking the other with it.

use std::process::Command;

use crate::child::{descendants, is_alive, until};
use crate::pod::{NAMESPACE, Place, Pod, film};
use crate::viewer::{Viewer, plays};

#[tokio::test]
async fn a_sidecar_that_was_killed_comes_back_to_the_same_ffmpeg() {
    let mut pod = Pod::start(film(320)).await;
    pod.until_playback("Playing").await;
    plays(&pod, "before").await;
    let ffmpeg = pod.ffmpeg().await;
    pod.kill_whep().await;
    pod.until_playback("GatewayNotReady").await;
    pod.restart_whep().await;
    pod.until_playback("Playing").await;
    plays(&pod, "after").await;
    assert_eq!(pod.ffmpeg().await, ffmpeg);
}

#[tokio::test]
async fn a_runner_that_was_killed_comes_back_to_the_same_viewers() {
    let mut pod = Pod::start(film(320)).await;
    pod.until_playback("Playing").await;
    let (before, viewer) = (pod.ffmpeg().await, Viewer::start(&pod, "viewer", 25));
    pod.until_viewers(1).await;
    pod.restart_runner().await;
    assert_eq!(pod.viewers().await, 1, "nobody had to go");
    pod.until_playback("Playing").await;
    pod.until("the viewer is known", |status| status.webrtc.as_ref().is_some_and(|webrtc| webrtc.viewers == 1)).await;
    assert!(!is_alive(before), "the FFmpeg of a runner that is gone ends");
    plays(&pod, "other").await;
    assert_eq!(pod.viewers().await, 1, "the first one still watches");
    let (code, report) = viewer.report().await;
    assert_eq!(code, Some(0), "{report:#}");
    // More than half of the sound: it watched through the restart, and media came again.
    assert!(report["viewers"][0]["audio"]["packets"].as_u64() > Some(25 * 50 / 2), "{report:#}");
}

#[tokio::test]
async fn the_first_process_of_a_container_leaves_no_zombies() {
    let namespaces = Command::new("unshare").args(NAMESPACE).arg("true").output();
    if !namespaces.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "this machine gives no namespaces");
        eprintln!("NOT RUN: this machine gives no namespaces");
        return;
    }
    let mut pod = Pod::start_as(film(320), 0, Place::Container).await;
    pod.until_playback("Playing").await;
    pod.put_manifest(film(160)).await;
    pod.ffmpeg_with("size=160x90").await;
    pod.until_playback("Playing").await;
    let runner = pod.runner.id();
    let zombies = || descendants(runner).into_iter().filter(|id| !is_alive(*id)).count();
    until("every child that has ended is reaped", || zombies() == 0).await;
    pod.put_manifest(film(320)).await;
    pod.until("the former FFmpeg has ended", |status| status.observed_generation == Some(3)).await;
    pod.until_playback("Playing").await;
    until("every child that has ended is reaped", || zombies() == 0).await;
}
