//! Another configuration takes effect in the running Pod.

use serde_json::json;

use crate::pod::{Pod, film};
use crate::viewer::{Viewer, plays};

#[tokio::test]
async fn another_cap_of_viewers_leaves_ffmpeg_alone() {
    let mut pod = Pod::start(film(320)).await;
    pod.until_playback("Playing").await;
    let ffmpeg = pod.ffmpeg().await;
    let viewer = Viewer::start(&pod, "viewer", 60);
    pod.until_viewers(1).await;
    pod.put_manifest(film(320).with("webrtc", json!({"enabled": true, "maxViewers": 1}))).await;
    pod.until("the new generation is seen", |status| status.observed_generation == Some(2)).await;
    assert_eq!(pod.report().await.configuration, pod.configuration().digest());
    let refused = pod.offer_as_viewer().await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.expect("text").contains("stream_viewer_limit"));
    assert_eq!((pod.ffmpeg().await, pod.viewers().await), (ffmpeg, 1));
    pod.put_manifest(film(320)).await;
    plays(&pod, "other").await;
    assert_eq!((pod.ffmpeg().await, pod.viewers().await), (ffmpeg, 1));
    viewer.kill();
}

#[tokio::test]
async fn another_input_is_another_ffmpeg_and_the_viewer_stays() {
    let mut pod = Pod::start(film(320)).await;
    pod.until_playback("Playing").await;
    let ffmpeg = pod.ffmpeg().await;
    let viewer = Viewer::start(&pod, "viewer", 20);
    pod.until_viewers(1).await;
    pod.put_manifest(film(160)).await;
    assert_ne!(pod.ffmpeg_with("size=160x90").await, ffmpeg);
    pod.until_playback("Playing").await;
    assert_eq!(pod.viewers().await, 1);
    let (code, report) = viewer.report().await;
    assert_eq!(code, Some(0), "{report:#}");
    assert!(report["viewers"][0]["audio"]["packets"].as_u64() > Some(20 * 50 / 2), "{report:#}");
}

#[tokio::test]
async fn settings_change_in_both_programs_at_once() {
    let mut pod = Pod::start(film(320)).await;
    pod.until_playback("Playing").await;
    let ffmpeg = pod.ffmpeg().await;
    let former = pod.token("*", &["read", "play", "write"]);
    pod.settings.ice_servers = vec!["stun:stun.example.com:3478".into()];
    pod.put().await;
    let deadline = std::time::Instant::now() + crate::child::PATIENCE;
    loop {
        let answer = pod.offer_as_viewer().await;
        assert_eq!(answer.status(), 201);
        let links: Vec<_> = answer.headers().get_all("link").iter().filter_map(|link| link.to_str().ok()).collect();
        if links == ["<stun:stun.example.com:3478>; rel=\"ice-server\""] {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{links:?}");
    }
    pod.settings.audience = "somewhere else".into();
    pod.put().await;
    assert_eq!(pod.get("/worker", Some(&former)).await.status(), 401, "it is for another audience");
    while pod.offer(&former).await.status() != 401 {
        assert!(std::time::Instant::now() < deadline, "the sidecar takes the former audience");
    }
    assert_eq!(pod.ffmpeg().await, ffmpeg);
}

#[tokio::test]
async fn without_an_address_nobody_is_told_of_one_until_there_is() {
    let exposed = |announce: &[&str]| {
        let exposure = json!({"type": "NodePort", "announce": announce});
        film(320).with("webrtc", json!({"enabled": true, "exposure": exposure}))
    };
    let mut pod = Pod::start(exposed(&[])).await;
    let status = pod.until_playback("WaitingForAddress").await;
    pod.until("nothing is announced", |status| {
        status.webrtc.as_ref().is_some_and(|webrtc| webrtc.announced.is_empty())
    })
    .await;
    assert_eq!(status.observed_generation, Some(1));
    let ffmpeg = pod.ffmpeg().await;
    pod.put_manifest(exposed(&["192.0.2.7:31000", "127.0.0.1"])).await;
    let status = pod.until_playback("Playing").await;
    assert_eq!(status.observed_generation, Some(2));
    let status = pod
        .until("the addresses are announced", |status| {
            status.webrtc.as_ref().is_some_and(|webrtc| webrtc.announced.len() == 2)
        })
        .await;
    assert_eq!(status.webrtc.expect("it has egress").announced[0], "192.0.2.7:31000");
    let answer = pod.offer_as_viewer().await.text().await.expect("an answer");
    assert!(answer.contains("192.0.2.7 31000"), "{answer}");
    plays(&pod, "viewer").await;
    assert_eq!(pod.ffmpeg().await, ffmpeg);
}

#[tokio::test]
async fn what_was_handed_over_holds_until_something_newer_is_mounted() {
    let mut pod = Pod::start(film(320)).await;
    pod.until_playback("Playing").await;
    pod.generation = 2;
    pod.put_manifest(film(160)).await;
    pod.until("generation 3 runs", |status| status.observed_generation == Some(3)).await;
    let handed = pod.configuration().digest();
    pod.mount(&film(192), 2);
    crate::child::until("the mount is looked at", || pod.runner.log().contains("is older than")).await;
    assert_eq!(pod.report().await.configuration, handed, "an older one was mounted");
    let mounted = pod.mount(&film(192), 4);
    pod.until("generation 4 runs", |status| status.observed_generation == Some(4)).await;
    assert_eq!(pod.report().await.configuration, mounted.digest());
    pod.ffmpeg_with("size=192x108").await;
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_refused_with_every_reason_and_changes_nothing() {
    let pod = Pod::start(film(320)).await;
    pod.until_playback("Playing").await;
    let mut wrong = pod.configuration();
    wrong.process = wrong.process.replace("\"enabled\"", "\"enalbed\"");
    wrong.settings = "{}".into();
    let (status, text) = pod.put_with(&pod.token("*", &["write"]), &wrong).await;
    assert_eq!(status, 422);
    assert!(text.contains("enalbed") && text.contains("settings.json"), "{text}");
    assert_eq!(pod.report().await.configuration, pod.configuration().digest());
}
