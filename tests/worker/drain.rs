//! The end of a Pod: viewers first.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::child::{PATIENCE, is_alive, until};
use crate::pod::{Pod, film};
use crate::viewer::{Viewer, plays};

#[tokio::test]
async fn a_drain_keeps_its_viewer_until_time_is_over_and_takes_no_other() {
    const SECONDS: u64 = 8;
    let mut pod = Pod::start_with(film(320), SECONDS).await;
    pod.until_playback("Playing").await;
    let ffmpeg = pod.ffmpeg().await;
    let viewer = Viewer::start(&pod, "viewer", 60);
    pod.until_viewers(1).await;
    let begin = Instant::now();
    pod.runner.signal(Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while pod.get("/ping", None).await.status() != 503 {
        assert!(Instant::now() < deadline, "it stays ready");
    }
    assert!(pod.report().await.draining);
    let refused = loop {
        let answer = pod.offer_as_viewer().await;
        if answer.status() == 503 {
            break answer;
        }
        assert!(Instant::now() < deadline, "the sidecar still takes viewers: {}", answer.status());
    };
    assert!(refused.headers().contains_key("retry-after"));
    assert!(refused.text().await.expect("text").contains("draining"));
    assert!(pod.viewers().await >= 1 && is_alive(ffmpeg), "the viewer goes on");
    let status = pod.runner.end_within(PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(begin.elapsed() >= Duration::from_secs(SECONDS), "it ended after {:?}", begin.elapsed());
    assert!(!is_alive(ffmpeg));
    pod.whep.signal(Signal::TERM);
    assert_eq!(pod.whep.end_within(PATIENCE).await.expect("it ends").code(), Some(0));
    viewer.kill();
}

#[tokio::test]
async fn a_drain_ends_with_the_last_viewer_and_a_new_runner_takes_viewers_again() {
    let mut pod = Pod::start_with(film(320), 600).await;
    pod.until_playback("Playing").await;
    let viewer = Viewer::start(&pod, "viewer", 6);
    pod.until_viewers(1).await;
    pod.runner.signal(Signal::TERM);
    let (code, report) = viewer.report().await;
    assert_eq!(code, Some(0), "it was not cut off: {report:#}");
    let status = pod.runner.end_within(PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    pod.start_runner().await;
    pod.until_playback("Playing").await;
    plays(&pod, "next").await;
}

#[tokio::test]
async fn without_viewers_nothing_is_waited_for() {
    let mut pod = Pod::start_with(film(320), 600).await;
    pod.until_playback("Playing").await;
    let ffmpeg = pod.ffmpeg().await;
    pod.runner.signal(Signal::TERM);
    let status = pod.runner.end_within(PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(!is_alive(ffmpeg));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut pod = Pod::start_with(film(320), 600).await;
    pod.until_playback("Playing").await;
    let ffmpeg = pod.ffmpeg().await;
    let viewer = Viewer::start(&pod, "viewer", 60);
    pod.until_viewers(1).await;
    pod.runner.signal(Signal::TERM);
    until("it drains", || pod.runner.log().contains("draining")).await;
    pod.runner.signal(Signal::TERM);
    assert!(pod.runner.end_within(Duration::from_secs(5)).await.is_some(), "it goes on draining");
    until("FFmpeg ends with it", || !is_alive(ffmpeg)).await;
    viewer.kill();
}
