//! The page, in a real browser.

use std::time::{Duration, Instant, SystemTime};

use dragonfork::crd::State;
use dragonfork::http::token::{Grant, Purpose, Scope, Signer};
use serde_json::json;

use super::browser::Browser;
use super::house::{CHROMIUM, House, SECRET, Wishes, playing, process, start_source};

const PLAYING: &str = "window.dragonfork.peer?.connectionState === 'connected' \
     && Number(document.querySelector('#frames').textContent.replace(/\\D/g, '')) > 30";

/// The address that a person is given at start.
fn link(house: &House, query: &str) -> String {
    house.url(&format!("/{query}#token={}", house.token()))
}

#[tokio::test]
async fn the_page_is_strict_about_what_it_may_do() {
    let house = House::new(Wishes::default()).await;
    let response = house.bare("GET", "/").send().await.expect("it is answered");
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn the_link_at_start_shows_the_processes_and_one_click_plays() {
    let house = House::new(Wishes { max_viewers_per_stream: 1, ..Wishes::default() }).await;
    let _source = start_source(house.open("cam").await);
    let mut waiting = playing("door");
    waiting.status.state = State::Waiting;
    let condition = json!({
        "type": "Ready", "status": "False", "reason": "WaitingForPublisher", "message": "nobody publishes yet",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    waiting.status.conditions = vec![serde_json::from_value(condition).expect("a condition")];
    waiting.status.restarts = 3;
    house.show(waiting);
    house.show(process("plain", &json!({ "output": [{ "id": "o", "address": "-" }] }), Default::default()));
    house.show_problem("bad.yaml document 2", "line 7: spec.inputs: unknown field");

    let browser = Browser::start(&[]).await;
    browser.open(&link(&house, "")).await;
    browser.until("document.querySelectorAll('#processes [data-id]').length === 3").await;
    assert_eq!(browser.value("location.href").await, house.url("/").as_str(), "the token is out of the address bar");
    browser.until("document.querySelector('[data-id=cam][data-state=Running] button')").await;
    let door = browser.text("[data-id=door][data-state=Waiting]").await;
    assert!(door.contains("WaitingForPublisher: nobody publishes yet") && door.contains("3 restarts"), "{door}");
    let plain = browser.value("document.querySelectorAll('[data-id=plain] button.pick').length").await;
    assert_eq!(plain, 0, "what cannot be played is no button");
    let problems = browser.text("#problems").await;
    assert!(problems.contains("bad.yaml document 2") && problems.contains("line 7"), "{problems}");
    browser.click("[data-id=cam] summary").await;
    browser.until("document.querySelector('[data-id=cam] dl').textContent.includes('pcm_s16le is not Opus')").await;
    browser.click("[data-id=cam] [data-log]").await;
    browser.until("document.querySelector('[data-id=cam] pre').textContent.includes('Stream mapping:')").await;

    browser.click("[data-id=cam] button.pick").await;
    browser.until(PLAYING).await;
    assert_eq!(browser.text("#ice").await, "ICE connected");
    assert_eq!(browser.text("#connection").await, "connected");
    assert_eq!(browser.text("#resolution").await, "640 × 360");
    let codec = browser.text("#codec").await;
    assert!(codec.contains("H264") && codec.contains("Opus"), "{codec}");
    browser.until("Number(document.querySelector('#bitrate').dataset.bits) > 100_000").await;
    assert_eq!(browser.value("document.querySelector('#whep').value").await, house.url("/api/v3/whep/cam").as_str());
    assert_eq!(browser.value("document.querySelector('video').muted").await, json!(false), "a click allows sound");
    let local = browser.value("window.dragonfork.peer.localDescription.sdp").await;
    assert!(local.as_str().expect("SDP").contains("stereo=1"), "{local}");

    assert_eq!(house.offer("/api/v3/whep/cam", CHROMIUM).await.status(), 503, "its only place is taken");
    browser.open(&house.url("/ping")).await;
    let left = Instant::now();
    while house.offer("/api/v3/whep/cam", CHROMIUM).await.status() != 201 {
        assert!(left.elapsed() < Duration::from_secs(3), "whoever leaves the page frees his place at once");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_stream_waits_for_media_outlives_ffmpeg_and_ends_with_its_process() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    let browser = Browser::start(&["--autoplay-policy=document-user-activation-required"]).await;
    browser.open(&link(&house, "?url=/api/v3/whep/cam")).await;
    browser.until("document.querySelector('#message').textContent === 'Not live yet'").await;

    let source = start_source(house.open("cam").await);
    browser.until(PLAYING).await;
    assert_eq!(browser.value("document.querySelector('video').muted").await, json!(true), "nobody clicked yet");
    browser.click("#sound").await;
    assert_eq!(browser.value("document.querySelector('video').muted").await, json!(false));

    drop(source);
    browser.until("document.querySelector('#message').textContent.startsWith('No picture for')").await;
    let _source = start_source(house.open("cam").await);
    browser.until("document.querySelector('#overlay').hidden").await;

    let mut suspended = process("cam", &json!({ "webrtc": { "enabled": true }, "suspend": true }), Default::default());
    suspended.status.state = State::Suspended;
    house.show(suspended);
    house.handle().close("cam");
    browser.until("document.querySelector('#message').textContent === 'The process was stopped'").await;
    let _source = start_source(house.open("cam").await);
    browser.until(PLAYING).await;
}

#[tokio::test]
async fn whoever_has_no_token_signs_in_and_stays_signed_in() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    let browser = Browser::start(&[]).await;
    browser.open(&house.url("/")).await;
    browser.until("!document.querySelector('#signin').hidden").await;
    browser.write("#username", "admin").await;
    browser.write("#password", "hunter2").await;
    browser.click("#login-form button").await;
    browser.until("document.querySelector('#signin-error').textContent.includes('password is wrong')").await;
    browser.write("#password", "hunter22").await;
    browser.click("#login-form button").await;
    browser.until("document.querySelector('[data-id=cam]') && document.querySelector('#signin').hidden").await;
    browser.value("(session.access = 'an expired one', poll())").await;
    browser.until("session.access.length > 100").await;
    browser.open(&house.url("/")).await;
    browser.until("document.querySelector('[data-id=cam]')").await;

    browser.click("#sign").await;
    browser.until("!document.querySelector('#signin').hidden && !document.querySelector('[data-id=cam]')").await;
    browser.write("#token", "x").await;
    browser.click("#token-form button").await;
    browser.until("document.querySelector('#signin-error').textContent.includes('HTTP 401')").await;
    browser.write("#token", &house.token()).await;
    browser.click("#token-form button").await;
    browser.until("document.querySelector('[data-id=cam]')").await;
}

#[tokio::test]
async fn the_page_works_from_disk() {
    let house = House::new(Wishes::default()).await;
    let _source = start_source(house.open("cam").await);
    let file = format!("file://{}/src/http/page.html", env!("CARGO_MANIFEST_DIR"));
    let browser = Browser::start(&[]).await;
    let url = house.url("/api/v3/process/cam/whep");
    browser.open(&format!("{file}?url={url}&token={}", house.token())).await;
    browser.until(PLAYING).await;
    assert_eq!(browser.value("document.querySelector('#server').value").await, house.url("").as_str());
    browser.until("document.querySelector('[data-id=cam].on')").await;

    browser.open(&file).await;
    browser.write("#server", &house.address.to_string()).await;
    browser.click("#server-form button").await;
    browser.until("!document.querySelector('#credentials').hidden").await;
    browser.write("#username", "admin").await;
    browser.write("#password", "hunter22").await;
    browser.click("#login-form button").await;
    browser.until("document.querySelector('[data-id=cam]')").await;
    browser.click("[data-id=cam] button.pick").await;
    browser.until(PLAYING).await;
}

#[tokio::test]
async fn the_token_of_this_server_goes_to_no_other() {
    let (house, other) = (House::new(Wishes::default()).await, House::new(Wishes::default()).await);
    let _source = start_source(other.open("cam").await);
    let browser = Browser::start(&[]).await;
    let url = other.url("/api/v3/whep/cam");
    // The other one would take it: both have one secret.
    browser.open(&link(&house, &format!("?url={url}"))).await;
    browser.until("document.querySelector('#message').textContent === 'This needs a token'").await;
    browser.open(&house.url(&format!("/?url={url}&token={}", other.token()))).await;
    browser.until(PLAYING).await;
    assert_eq!(browser.text("#api").await, "online", "who is signed in here stays so");
}

#[tokio::test]
async fn an_expired_link_asks_to_sign_in() {
    let house = House::new(Wishes::default()).await;
    let signer = Signer::new(SECRET).expect("it is long enough");
    let lifetime = Duration::from_secs(600);
    let grant = Grant { subject: "admin", purpose: Purpose::Access, lifetime, scope: Scope::default() };
    let old = signer.mint(&grant, SystemTime::now() - Duration::from_secs(7200));
    let browser = Browser::start(&[]).await;
    browser.open(&house.url(&format!("/#token={old}"))).await;
    browser.until("document.querySelector('#signin-error').textContent.includes('has expired')").await;
    browser.until("document.querySelector('#username').offsetParent !== null").await;
}
