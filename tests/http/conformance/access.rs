//! Who may ask, and what is refused first (60 to 64, 67).

use std::time::{Duration, SystemTime};

use base64::Engine;
use dragonfork::http::token::{Purpose, Scope, Words};

use super::program::Program;
use super::{CAM, CANDIDATE, FRAGMENT, SDP, header, made};
use crate::house::{CHROMIUM, problem};

fn play(process: &str) -> Scope {
    Scope { process: Some(Words::One(process.into())), action: Some(Words::One("play".into())) }
}

#[tokio::test]
async fn whep_060_a_session_needs_a_token_for_its_stream() {
    let program = Program::shared().await;
    let session = made(&program, CHROMIUM).await;
    let mint = |process| program.mint(Purpose::Access, 60, play(process), SystemTime::now());
    for method in ["PATCH", "DELETE", "GET"] {
        let request = program.bare(method, &session.location).header("content-type", FRAGMENT).body(CANDIDATE);
        let refused = request.bearer_auth(mint("door")).send().await.expect("it is answered");
        assert_eq!(problem(refused).await, (403, "insufficient_scope".into()), "{method}");
    }
    let own = program.bare("DELETE", &session.location).bearer_auth(mint("cam")).send().await;
    assert_eq!(own.expect("it is answered").status(), 200);
}

#[tokio::test]
async fn whep_061_062_063_every_request_needs_a_token_in_its_header_or_its_url() {
    let program = Program::shared().await;
    let session = made(&program, CHROMIUM).await;
    for (method, path) in [
        ("POST", CAM),
        ("GET", CAM),
        ("PATCH", session.location.as_str()),
        ("GET", session.location.as_str()),
        ("DELETE", session.location.as_str()),
    ] {
        let bare = program.bare(method, path).send().await.expect("it is answered");
        assert_eq!(header(&bare, "www-authenticate"), "Bearer realm=\"whep\"");
        assert_eq!(problem(bare).await, (401, "no_token".into()), "{method} {path}");
        let bad = program.bare(method, path).bearer_auth("x.y.z").send().await.expect("it is answered");
        assert!(header(&bad, "www-authenticate").contains("error=\"invalid_token\""));
        assert_eq!(problem(bad).await, (401, "invalid_token".into()), "{method} {path}");
    }
    let narrow = program.mint(Purpose::Access, 60, play("door"), SystemTime::now());
    let narrow = program.bare("GET", CAM).bearer_auth(narrow).send().await.expect("it is answered");
    assert!(header(&narrow, "www-authenticate").contains("error=\"insufficient_scope\""));
    assert_eq!(problem(narrow).await.0, 403);

    let token = program.token();
    let post = program.bare("POST", &format!("{CAM}?token={token}")).header("content-type", SDP).body(CHROMIUM);
    assert_eq!(post.send().await.expect("it is answered").status(), 201);
    assert!(!program.log().contains(&token), "the log holds no token");
}

#[tokio::test]
async fn whep_064_a_token_is_hs256_in_time_and_for_access_and_a_session_outlives_it() {
    let program = Program::shared().await;
    let ask = |token: String| async { program.bare("GET", CAM).bearer_auth(token).send().await.expect("answered") };
    let minted = |purpose, lifetime, ago| {
        let at = SystemTime::now() - Duration::from_secs(ago);
        program.mint(purpose, lifetime, Scope::default(), at)
    };
    assert_eq!(ask(minted(Purpose::Access, 10, 30)).await.status(), 200, "clocks may differ by a minute");
    let good = minted(Purpose::Access, 600, 0);
    let (_, signed) = good.split_once('.').expect("three parts");
    let (claims, _) = signed.split_once('.').expect("three parts");
    let head = |algorithm: &str| {
        let head = format!("{{\"typ\":\"JWT\",\"alg\":\"{algorithm}\"}}");
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(head)
    };
    for token in [
        minted(Purpose::Access, 10, 600),
        minted(Purpose::Refresh, 600, 0),
        format!("{}.{claims}.", head("none")),
        format!("{}.{signed}", head("HS512")),
    ] {
        assert_eq!(problem(ask(token.clone()).await).await, (401, "invalid_token".into()), "{token}");
    }
    let dying = program.mint(Purpose::Access, 1, Scope::default(), SystemTime::now() - Duration::from_secs(59));
    let post = program.bare("POST", CAM).bearer_auth(&dying).header("content-type", SDP).body(CHROMIUM);
    let created = post.send().await.expect("it is answered");
    assert_eq!(created.status(), 201);
    while ask(dying.clone()).await.status() != 401 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(program.send("GET", header(&created, "location")).await.status(), 204);
}

#[tokio::test]
async fn whep_067_what_is_refused_is_refused_in_this_order() {
    let program = Program::with(&[("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "1")]).await;
    let door = program.mint(Purpose::Access, 60, play("door"), SystemTime::now());
    let all = program.token();
    let foreign = CHROMIUM.replace("H264/90000", "H999/90000").replace("opus", "x");
    let post = |token: Option<&str>, path: &str, media: &'static str, body: &str| {
        let request = program.bare("POST", path).header("content-type", media).body(body.to_owned());
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        async move { request.send().await.expect("it is answered") }
    };
    let (nobody, large) = ("/api/v3/whep/nobody", "a".repeat(65_537));
    assert_eq!(problem(post(None, nobody, "text/plain", &large).await).await.0, 401);
    assert_eq!(problem(post(Some(&door), nobody, "text/plain", &large).await).await.0, 403);
    assert_eq!(problem(post(Some(&all), nobody, "text/plain", &large).await).await.0, 404);
    assert_eq!(post(Some(&all), CAM, SDP, CHROMIUM).await.status(), 201);
    assert_eq!(problem(post(Some(&all), CAM, "text/plain", &large).await).await.0, 415);
    assert_eq!(problem(post(Some(&all), CAM, SDP, &large).await).await.0, 413);
    assert_eq!(problem(post(Some(&all), CAM, SDP, "v=0").await).await.0, 400);
    assert_eq!(problem(post(Some(&all), CAM, SDP, &foreign).await).await.0, 503, "before 406");
}
