//! Sources that come again, or that change, while viewers watch.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::browser::Browser;
use crate::child::free_port;
use crate::manifest::{Manifest, manifest};
use crate::media::{self, Codec};
use crate::picture::SAME;
use crate::program::Program;
use crate::proof::{Expected, FILM, prove_playback};
use crate::publisher::Publisher;
use crate::turn;

fn rtmp_listener(port: u16) -> Manifest {
    let address = format!("rtmp://127.0.0.1:{port}/live/cam");
    manifest("cam").input("-f flv -listen 1 -analyzeduration 500000", address)
}

/// Marks the connection of the page, so that it is known again.
async fn mark(browser: &Browser) {
    browser.run("window.dragonfork.peer.mark = 'the same'", Vec::new()).await;
}

/// Waits until the page has so many more frames and packets of sound, and proves that it is the same connection.
async fn goes_on(browser: &Browser, frames: u64, sound: u64) {
    let before = browser.stats().await;
    let more = browser.until("it goes on", |stats| {
        stats.video.frames_decoded >= before.video.frames_decoded + frames
            && stats.audio.packets_received >= before.audio.packets_received + sound
    });
    more.await;
    assert_eq!(browser.run("return window.dragonfork.peer.mark", Vec::new()).await, "the same");
}

#[tokio::test]
async fn viewers_that_stayed_see_a_publisher_who_comes_again() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let port = free_port();
    program.apply(&rtmp_listener(port));
    let film = media::film(Codec::Baseline, 2, true);
    let publisher = Publisher::rtmp(&film, port, program.directory());
    let browser = Browser::start().await;
    browser.watch(&program, "cam").await;
    mark(&browser).await;
    goes_on(&browser, 60, 50).await;
    drop(publisher);
    program.until_state("cam", "Waiting").await;
    let _publisher = Publisher::rtmp(&film, port, program.directory());
    goes_on(&browser, 90, 100).await;
    let found = FILM.find(&browser.picture().await);
    assert!(found.psnr > SAME, "the picture is the source's: {found:?}");
}

#[tokio::test]
async fn each_publisher_is_played_as_his_own_streams_need() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let port = free_port();
    program.apply(&rtmp_listener(port));
    let browser = Browser::start().await;
    for (codec, sound, action) in [
        (Codec::Baseline, true, "Copy"),
        (Codec::HighWithBFrames, true, "Transcode"),
        (Codec::HighWithBFrames, false, "Transcode"),
        (Codec::Baseline, true, "Copy"),
    ] {
        let publisher = Publisher::rtmp(&media::film(codec, 2, sound), port, program.directory());
        let expected =
            Expected { size: (320, 180), frames: Some(24.0), sound, action: Some(action), reel: Some(&FILM) };
        println!("{}", prove_playback(&program, &browser, "cam", &expected).await);
        drop(publisher);
        program.until_state("cam", "Waiting").await;
    }
}

#[tokio::test]
async fn a_publisher_with_sound_alone_is_heard() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let port = free_port();
    program.apply(&rtmp_listener(port));
    let _publisher = Publisher::rtmp(&media::song(), port, program.directory());
    let browser = Browser::start().await;
    let expected = Expected { size: (0, 0), frames: None, sound: true, action: Some("None"), reel: None };
    println!("{}", prove_playback(&program, &browser, "cam", &expected).await);
}

#[tokio::test]
async fn viewers_stay_when_a_manifest_changes() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let film = media::film(Codec::Baseline, 2, true).display().to_string();
    let plain = manifest("film").input("-re", film);
    program.apply(&plain);
    let browser = Browser::start().await;
    browser.watch(&program, "film").await;
    mark(&browser).await;
    goes_on(&browser, 60, 50).await;
    let first = program.ffmpeg("Baseline").await;
    program.apply(&plain.clone().output("-c copy -f mpegts", "recorded.ts"));
    crate::child::until("another FFmpeg", || {
        let ids = program.ffmpegs("Baseline");
        ids.len() == 1 && !ids.contains(&first)
    })
    .await;
    goes_on(&browser, 90, 100).await;
    assert!(program.data().join("recorded.ts").exists());
    program.apply(&plain.with("reference", "another word".into()));
    goes_on(&browser, 60, 50).await;
}

/// A transport stream whose first six seconds have no B-frames, and whose others have them.
fn b_frames_from_the_sixth_second_on() -> PathBuf {
    let part = |codec: Codec, begin: u32, seconds: u32| {
        let name = format!("part-{begin}.ts");
        let cut = |graph: String, filter: &str| format!("{graph},{filter}=start={begin}:duration={seconds}");
        let options = format!("{} {} -f mpegts", codec.options(2), media::AAC);
        media::made(&name, &cut(media::picture(), "trim"), Some(&cut(media::sound(), "atrim")), &options)
    };
    let mut whole = Vec::new();
    for part in [part(Codec::Baseline, 0, 6), part(Codec::HighWithBFrames, 6, 20)] {
        whole.extend(std::fs::read(part).expect("it was made"));
    }
    let file = media::directory().join(format!("later-{}.ts", std::process::id()));
    std::fs::write(&file, whole).expect("it can be written");
    file
}

#[tokio::test]
async fn b_frames_that_begin_later_are_noticed() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let film = b_frames_from_the_sixth_second_on();
    program.apply(&manifest("film").input("-re", film.display().to_string()));
    let copies = |process: &Value| process["status"]["webrtc"]["video"]["action"] == "Copy";
    program.until("film", "is copied", copies).await;
    let transcodes = |process: &Value| process["status"]["webrtc"]["video"]["action"] == "Transcode";
    program.until_within(Duration::from_secs(20), "film", "is transcoded", transcodes).await;
    let browser = Browser::start().await;
    let expected = Expected { size: (320, 180), frames: Some(24.0), sound: true, action: None, reel: Some(&FILM) };
    println!("{}", prove_playback(&program, &browser, "film", &expected).await);
    std::fs::remove_file(film).expect("it is there");
}
