//! WHEP players that others wrote: GStreamer's webrtcbin, and two from npm in Chromium. (aiortc is in `watching`.)

use std::collections::BTreeSet;
use std::process::Command;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::browser::{Browser, Stats};
use crate::manifest::manifest;
use crate::media::{self, Codec};
use crate::picture::SAME;
use crate::program::Program;
use crate::proof::{FILM, until_playable};
use crate::tools::{here, players};
use crate::turn;

async fn with_film(environment: &[(&str, &str)]) -> Program {
    let program = Program::start_with(&[], environment).await;
    let film = media::film(Codec::Baseline, 2, true).display().to_string();
    program.apply(&manifest("film").input("-re", film));
    until_playable(&program, "film").await;
    program
}

/// A site of its own, whose page has the players; its address.
async fn site() -> String {
    const PAGE: &str = "<!doctype html><title>players</title><video autoplay></video><script src=players.js></script>";
    let script = tokio::task::spawn_blocking(players).await.expect("it does not panic");
    let router = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/players.js", get(async move || ([("content-type", "text/javascript")], script)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}/", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Watches with one of the players, and waits until its frames are decoded and its sound is heard.
async fn watch(program: &Program, player: &str) -> Browser {
    let browser = Browser::start().await;
    browser.open(&site().await).await;
    let arguments = vec![player.into(), program.whep("film").into(), program.token().into()];
    browser.run("return play(...arguments)", arguments).await;
    plays(&browser, 60).await;
    let found = FILM.find(&browser.picture().await);
    assert!(found.psnr > SAME, "{player} shows another picture: {found:?}");
    browser
}

/// Waits for so many frames more, and for sound with them.
async fn plays(browser: &Browser, frames: u64) {
    let before = browser.stats().await;
    let more = |stats: &Stats| {
        let heard = stats.audio.total_audio_energy > before.audio.total_audio_energy;
        stats.video.frames_decoded >= before.video.frames_decoded + frames && heard
    };
    browser.until("frames and sound", more).await;
}

/// Statuses of the PATCHes that the program has answered.
fn patches(program: &Program) -> BTreeSet<u64> {
    let lines = program.printed();
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["method"] == "PATCH").filter_map(|event| event["status"].as_u64()).collect()
}

/// Stops the player, which has to say goodbye.
async fn stops(program: &Program, browser: &Browser) {
    browser.run("return player.stop()", Vec::new()).await;
    program.until("film", "has no viewer", |process| process["status"]["webrtc"]["viewers"] == json!(0)).await;
    assert!(program.printed().contains("the player said goodbye"), "{}", program.printed());
}

#[tokio::test]
async fn the_eyevinn_player_plays_with_candidates_gathered_first() {
    let _turn = turn::shared().await;
    let program = with_film(&[]).await;
    let browser = watch(&program, "eyevinn").await;
    stops(&program, &browser).await;
}

#[tokio::test]
async fn whip_whep_plays_with_candidates_handed_in_later_and_through_its_ice_restart() {
    let _turn = turn::shared().await;
    // In its restart it writes a comma between two candidates, so there must be one.
    let program = with_film(&[("CORE_WEBRTC_TCP", "false"), ("CORE_LOG_LEVEL", "debug")]).await;
    let browser = watch(&program, "whip-whep").await;
    assert_eq!(patches(&program), BTreeSet::from([204]));
    browser.run("return player.restart()", Vec::new()).await;
    assert_eq!(patches(&program), BTreeSet::from([200, 204]));
    assert!(program.printed().contains("viewer restarts ICE"), "{}", program.printed());
    plays(&browser, 60).await;
    stops(&program, &browser).await;
}

/// What webrtcbin decoded.
#[derive(Debug, Deserialize)]
struct Decoded {
    post: u16,
    patches: Vec<u16>,
    delete: u16,
    /// Candidates in the offer.
    candidates: usize,
    video_frames: u32,
    audio_frames: u32,
    width: u32,
    height: u32,
}

async fn watch_with_webrtcbin(how: &str) -> Decoded {
    // Its ICE ties its sockets to real interfaces, and those never reach 127.0.0.1.
    let program = with_film(&[("CORE_WEBRTC_ADDRESS", ":0")]).await;
    let (address, token) = (program.whep("film"), program.token().to_owned());
    let mut command = Command::new("/usr/bin/python3");
    command.arg(here("webrtcbin_viewer.py")).args([&address, &token, how, "90", "100"]);
    let output = tokio::task::spawn_blocking(move || command.output().expect("Python can be started"));
    let output = output.await.expect("it does not panic");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "webrtcbin: {said}");
    let decoded: Decoded = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    println!("{decoded:?}");
    assert_eq!((decoded.post, decoded.delete), (201, 200), "{said}");
    assert_eq!((decoded.width, decoded.height), (320, 180), "{said}");
    assert!(decoded.video_frames >= 90 && decoded.audio_frames >= 100, "{decoded:?}: {said}");
    decoded
}

#[tokio::test]
async fn webrtcbin_plays_with_candidates_gathered_first() {
    let _turn = turn::shared().await;
    let decoded = watch_with_webrtcbin("gather").await;
    assert!(decoded.candidates > 0 && decoded.patches.is_empty(), "{decoded:?}");
}

#[tokio::test]
async fn webrtcbin_plays_with_candidates_handed_in_later() {
    let _turn = turn::shared().await;
    let decoded = watch_with_webrtcbin("trickle").await;
    assert_eq!(decoded.candidates, 0, "{decoded:?}");
    assert!(!decoded.patches.is_empty() && decoded.patches.iter().all(|status| *status == 204), "{decoded:?}");
}
