//! PATCH and DELETE of a session, and sessions that nobody ends (16, 18, 32, 45 to 49, 54 to 59).

use std::time::{Duration, Instant};

use dragonfork::gateway::{Config, Gateway};
use dragonfork::rtp::Codec;
use dragonfork::whep::Client;

use super::program::Program;
use super::{CAM, CANDIDATE, FRAGMENT, header, made, words};
use crate::house::{CHROMIUM, House, Wishes, playing, problem, receive, start_source};
use crate::receiver::Receiver;

/// Waits until a session is over.
async fn until_gone(program: &Program, location: &str, within: Duration) {
    let deadline = Instant::now() + within;
    while program.send("GET", location).await.status() != 404 {
        assert!(Instant::now() < deadline, "the session is there after {within:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn whep_016_an_answer_that_comes_too_late_is_504_and_frees_its_place() {
    let (client, mut asked) = Client::new();
    let (pass, requests) = tokio::sync::mpsc::channel(8);
    let config = Config {
        bind: "127.0.0.1:0".parse().expect("an address"),
        announce: Vec::new(),
        announce_interval: Duration::from_secs(60),
        leg_port: None,
        ice_lite: false,
        tcp: true,
        max_viewers: 1,
        max_viewers_per_stream: 1,
    };
    let gateway = Gateway::start(&config, requests, tokio::sync::mpsc::unbounded_channel().0).expect("it starts");
    let house = House::around(Some(client.clone()), Wishes::default()).await;
    house.show(playing("cam"));
    let ports = gateway.handle().open("cam", None).await.expect("legs are opened");
    gateway.handle().expect("cam", Some(Codec::H264), Some(Codec::Opus));
    let _source = start_source(ports);
    let late = tokio::spawn(async move { problem(house.offer("/api/v3/whep/cam", CHROMIUM).await).await });
    let held = asked.recv().await.expect("it is asked");
    assert_eq!(late.await.expect("it is answered"), (504, "gateway_timeout".into()));
    pass.send(held).await.expect("it is taken");
    let forward = tokio::spawn(async move {
        while let Some(request) = asked.recv().await {
            pass.send(request).await.expect("it is taken");
        }
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(refusal) = client.offer("cam", CHROMIUM.into(), false).await {
        assert!(refusal.to_string().contains("no media yet"), "the only place is free: {refusal}");
        assert!(Instant::now() < deadline, "the stream has no media");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    forward.abort();
    tokio::task::spawn_blocking(move || gateway.shutdown()).await.expect("it ends");
}

#[tokio::test]
async fn whep_018_a_viewer_without_a_sign_of_life_loses_its_session() {
    let program = Program::shared().await;
    let mut viewer = Receiver::new().await;
    let session = made(&program, viewer.watcher.offer()).await;
    receive(&mut viewer, &session.answer).await;
    drop(viewer);
    assert_eq!(program.send("GET", &session.location).await.status(), 204);
    until_gone(&program, &session.location, Duration::from_secs(45)).await;
}

#[tokio::test]
async fn whep_032_a_session_that_never_connects_frees_its_place() {
    let program = Program::with(&[("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "1")]).await;
    let session = made(&program, CHROMIUM).await;
    assert_eq!(problem(program.post(CAM, CHROMIUM).await).await.0, 503);
    until_gone(&program, &session.location, Duration::from_secs(60)).await;
    assert_eq!(program.post(CAM, CHROMIUM).await.status(), 201);
}

#[tokio::test]
async fn whep_045_another_content_type_of_a_patch_is_415_and_says_what_is_taken() {
    let program = Program::shared().await;
    let session = made(&program, CHROMIUM).await;
    for media in ["application/json", "text/plain", "application/sdp"] {
        let request = program.ask("PATCH", &session.location).header("content-type", media).body(CANDIDATE);
        let response = request.send().await.expect("it is answered");
        assert!(words(header(&response, "accept-patch")).contains(&FRAGMENT.to_owned()));
        assert_eq!(problem(response).await, (415, "unsupported_media_type".into()), "{media}");
    }
}

#[tokio::test]
async fn whep_046_048_049_054_candidates_are_204_with_the_tag_any_tag_or_none() {
    let program = Program::shared().await;
    let session = made(&program, CHROMIUM).await;
    let odd = "a=candidate:1 1 udp 1 x.local 9 typ host\r\na=candidate:2 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n\
               a=candidate:3 1 udp 1 2001:db8::1 9 typ host\r\na=candidate:4 2 udp 1 192.0.2.1 9 typ host\r\n";
    for fragment in [CANDIDATE, odd, "a=end-of-candidates\r\n"] {
        for tag in [Some(session.etag.as_str()), Some("*"), Some("\"*\""), None] {
            let response = program.patch(&session.location, tag, fragment).await;
            assert_eq!(response.status(), 204, "{tag:?} {fragment}");
            assert!(!response.headers().contains_key("etag"), "nothing was restarted");
            assert!(response.text().await.expect("it is read").is_empty());
        }
    }
    let malformed = program.patch(&session.location, None, "hello").await;
    assert_eq!(problem(malformed).await, (400, "malformed".into()));
    assert_eq!(program.send("GET", &session.location).await.status(), 204, "the session goes on");
}

#[tokio::test]
async fn whep_047_a_wrong_tag_is_412_and_with_strict_tags_none_is_428() {
    let program = Program::with(&[("CORE_WEBRTC_STRICT_ETAG", "true")]).await;
    let session = made(&program, CHROMIUM).await;
    for tag in ["\"another\"", "another", "W/\"another\"", "\"\""] {
        let refused = problem(program.patch(&session.location, Some(tag), CANDIDATE).await).await;
        assert_eq!(refused, (412, "precondition_failed".into()), "{tag}");
    }
    let without = problem(program.patch(&session.location, None, CANDIDATE).await).await;
    assert_eq!(without, (428, "precondition_required".into()));
    assert_eq!(program.patch(&session.location, Some(&session.etag), CANDIDATE).await.status(), 204);
    let lenient = Program::shared().await;
    let session = made(&lenient, CHROMIUM).await;
    assert_eq!(problem(lenient.patch(&session.location, Some("\"x\""), CANDIDATE).await).await.0, 412);
}

#[tokio::test]
async fn whep_055_a_fragment_as_browsers_write_it_is_read() {
    let program = Program::shared().await;
    let session = made(&program, CHROMIUM).await;
    let credential = |key: &str| CHROMIUM.lines().find(|line| line.starts_with(key)).expect("it is there");
    let (ufrag, password) = (credential("a=ice-ufrag:"), credential("a=ice-pwd:"));
    for media in ["m=audio 9 UDP/TLS/RTP/SAVPF 0", "m=video 9 RTP/AVP 0"] {
        let fragment = format!("{ufrag}\r\n{password}\r\n{media}\r\na=mid:0\r\n{CANDIDATE}a=end-of-candidates\r\n");
        assert_eq!(program.patch(&session.location, Some(&session.etag), &fragment).await.status(), 204, "{media}");
    }
}

#[tokio::test]
async fn whep_056_a_fragment_above_8_kib_is_413_and_more_candidates_than_64_do_no_harm() {
    let program = Program::shared().await;
    let session = made(&program, CHROMIUM).await;
    let many = CANDIDATE.repeat(100);
    assert_eq!(program.patch(&session.location, None, &many).await.status(), 204);
    let large = program.patch(&session.location, None, &many.repeat(2)).await;
    assert_eq!(problem(large).await, (413, "too_large".into()));
    assert_eq!(program.send("GET", &session.location).await.status(), 204, "the session goes on");
}

#[tokio::test]
async fn whep_057_058_059_a_session_ends_once_and_is_not_there_after_it() {
    let program = Program::shared().await;
    let session = made(&program, CHROMIUM).await;
    let leave = || program.ask("DELETE", &session.location).header("if-match", "\"another\"").send();
    assert_eq!(leave().await.expect("it is answered").status(), 200, "If-Match does not matter");
    assert_eq!(leave().await.expect("it is answered").status(), 204);
    let ended = program.patch(&session.location, None, CANDIDATE).await;
    let never = program.patch(&format!("{CAM}/never"), None, CANDIDATE).await;
    assert_eq!(problem(ended).await, (404, "unknown_session".into()));
    assert_eq!(problem(never).await, (404, "unknown_session".into()));
}
