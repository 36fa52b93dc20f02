//! Counter-offers played to their end: players that first offer what the stream does not have.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::aiortc;
use crate::browser::{Browser, Stats};
use crate::manifest::{Manifest, manifest};
use crate::media;
use crate::program::Program;
use crate::proof::until_playable;
use crate::turn;

/// A player that offers VP8 and PCMU, and answers the counter-offer with the kinds of media that it is told.
const PLAYER: &str = include_str!("counter.js");
/// Has the page offer VP8 and PCMU alone.
const LIMITED: &str = "
  const whole = RTCPeerConnection.prototype.createOffer;
  RTCPeerConnection.prototype.createOffer = function (...options) {
    for (const transceiver of this.getTransceivers()) {
      const {kind} = transceiver.receiver.track;
      const name = {video: 'video/VP8', audio: 'audio/PCMU'}[kind];
      const {codecs} = RTCRtpReceiver.getCapabilities(kind);
      transceiver.setCodecPreferences(codecs.filter(codec => codec.mimeType === name));
    }
    return whole.apply(this, options);
  };
  document.querySelector('[data-id=film] button').click();";

async fn started(environment: &[(&str, &str)]) -> Program {
    let program = Program::start_with(&[], environment).await;
    program.apply(&manifest("film").input("-re -stream_loop -1", media::long_film().display().to_string()));
    until_playable(&program, "film").await;
    program
}

/// H.265 that no player here decodes, and nothing else.
fn mute() -> Manifest {
    let options = "-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p10le";
    let film = media::made("main10.mp4", &media::picture(), None, options);
    let copied = json!({"enabled": true, "video": {"codec": "Copy"}, "maxViewers": 1});
    manifest("mute").input("-re -stream_loop -1", film.display().to_string()).with("webrtc", copied)
}

async fn until_no_viewer(program: &Program, id: &str) {
    program.until(id, "has no viewer", |process| process["status"]["webrtc"]["viewers"] == 0).await;
}

async fn play(browser: &Browser, program: &Program, wanted: &[&str]) {
    browser.open(&format!("{}/ping", program.origin())).await;
    let arguments = vec![program.whep("film").into(), program.token().into(), json!(wanted)];
    let said = browser.run(PLAYER, arguments).await;
    assert_eq!(said, json!([406, "application/sdp", 204]));
}

fn plays(stats: &Stats) -> bool {
    stats.video.frames_decoded > 60 && stats.audio.total_samples_received > 48_000
}

#[tokio::test]
async fn chromium_plays_a_counter_offer_to_its_end() {
    let _turn = turn::shared().await;
    for (environment, ice) in [(&[][..], "controlled"), (&[("CORE_WEBRTC_ICE_LITE", "true")][..], "controlling")] {
        let program = started(environment).await;
        let browser = Browser::start().await;
        play(&browser, &program, &["video", "audio"]).await;
        let stats = browser.until("picture and sound", plays).await;
        assert_eq!((stats.video.codec.as_str(), stats.audio.codec.as_str()), ("video/H264", "audio/opus"));
        assert!(stats.audio.total_audio_energy > 0.0, "{stats:#?}");
        assert_eq!(browser.run("return roles()", vec![]).await, json!([ice, "client"]));

        let restarted = browser.run("return restart()", vec![]).await;
        assert_eq!(restarted, json!({"status": 200, "differs": true, "isThere": true}));
        let goes_on = |now: &Stats| now.video.frames_decoded > stats.video.frames_decoded + 60;
        browser.until("a picture that goes on", goes_on).await;
        assert_eq!(browser.run("return leave()", vec![]).await, json!(200));
        until_no_viewer(&program, "film").await;
    }
}

#[tokio::test]
async fn chromium_plays_what_it_took_of_a_counter_offer() {
    let _turn = turn::shared().await;
    let program = started(&[]).await;
    let browser = Browser::start().await;
    for wanted in ["audio", "video"] {
        play(&browser, &program, &[wanted]).await;
        let stats = browser
            .until(wanted, |stats| stats.video.frames_decoded > 60 || stats.audio.total_samples_received > 48_000)
            .await;
        assert_eq!(
            (stats.video.packets_received > 0, stats.audio.packets_received > 0),
            match wanted {
                "video" => (true, false),
                _ => (false, true),
            }
        );
        assert_eq!(browser.run("return leave()", vec![]).await, json!(200));
    }
}

#[tokio::test]
async fn aiortc_plays_a_counter_offer_to_its_end() {
    let _turn = turn::shared().await;
    let program = started(&[]).await;
    let received = aiortc::watch_by_counter_offer(&program, "film", 90, 100).await;
    assert_eq!((received.post, received.patch, received.delete), (406, 204, 200));
    assert!(received.video_frames >= 90 && received.audio_frames >= 100, "{received:?}");
    assert_eq!((received.width, received.height), (320, 180));
    assert!(received.loudest > 0.01, "{received:?}");
    until_no_viewer(&program, "film").await;
}

#[tokio::test]
async fn the_page_plays_by_counter_offer() {
    let _turn = turn::shared().await;
    let program = started(&[]).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/#token={}", program.origin(), program.token())).await;
    browser.until_text("[data-id=film]", |text| !text.is_empty()).await;
    browser.run(LIMITED, vec![]).await;
    let stats = browser.until("picture and sound", plays).await;
    assert_eq!((stats.video.codec.as_str(), stats.audio.codec.as_str()), ("video/H264", "audio/opus"));
    assert!(stats.errors.is_empty(), "{:?}", stats.errors);
    let codecs = browser.text("#codec").await;
    assert!(codecs.starts_with("H264 ") && codecs.ends_with(" · Opus"), "{codecs}");
}

#[tokio::test]
async fn players_that_can_play_nothing_of_a_counter_offer_say_what_the_stream_has_and_give_the_place_back() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&mute());
    until_playable(&program, "mute").await;
    let browser = Browser::start().await;
    browser.open(&program.player("mute")).await;
    browser.until_text("#message", |text| text == "This browser cannot play its codecs").await;
    assert_eq!(browser.text("#hint").await, "The stream has H265 (HTTP 406).");
    until_no_viewer(&program, "mute").await;

    let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
    command.args(["play", &program.whep("mute"), "--json"]).env("CORE_PLAY_TOKEN", program.token());
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().expect("it can be started"));
    let output = output.await.expect("no panic");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!((output.status.code(), &report["failure"]["status"]), (Some(1), &json!(406)), "{report:#}");
    let message = report["failure"]["message"].as_str().expect("text");
    assert!(message.contains("the stream has H265 (") && message.contains("profile-id=2"), "{message}");
    until_no_viewer(&program, "mute").await;
}
