//! Tokens of another issuer, whose public keys are in a file or at a URL.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dragonfork::http::jwks::{Settings, Source};
use dragonfork::http::token::{Purpose, Scope};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::house::{CHROMIUM, House, PATIENCE, Wishes, playing, problem};
use super::issuer::{Key, KeyServer, at, claims, claims_with, jwks, replace, settings};

async fn house(settings: Settings) -> House {
    let house = House::new(Wishes { jwks: Some(settings), ..Wishes::default() }).await;
    house.show(playing("cam"));
    house.show(playing("door"));
    house
}

/// A house whose keys are in a file; the directory goes with the file.
async fn with_file(keys: &[&Key]) -> (House, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("jwks.json");
    std::fs::write(&path, jwks(keys)).expect("written");
    (house(settings(Source::File(path))).await, directory)
}

async fn status(house: &House, path: &str, token: &str) -> u16 {
    house.bare("GET", path).bearer_auth(token).send().await.expect("it is answered").status().as_u16()
}

/// Why a token is refused.
async fn refusal(house: &House, token: &str) -> String {
    let response = house.bare("GET", "/api/v3/whep/cam").bearer_auth(token).send().await.expect("it is answered");
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"whep\", error=\"invalid_token\"");
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["reason"], "invalid_token");
    body["detail"].as_str().expect("text").to_owned()
}

async fn until(house: &House, token: &str, expected: u16) {
    let deadline = Instant::now() + PATIENCE;
    while status(house, "/api/v3/whep/cam", token).await != expected {
        assert!(Instant::now() < deadline, "it is never {expected}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_token_of_each_algorithm_opens_what_it_names_and_nothing_else() {
    let keys = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].map(|kind| Key::new(&format!("{kind:?}"), kind));
    let (house, _directory) = with_file(&keys.each_ref()).await;
    for key in &keys {
        let token = key.sign(&claims());
        assert_eq!(status(&house, "/api/v3/whep/cam", &token).await, 200, "{:?}", key.algorithm);
        let post = |id: &str| {
            let request = house.bare("POST", &format!("/api/v3/whep/{id}")).bearer_auth(&token);
            request.header("content-type", "application/sdp").body(CHROMIUM).send()
        };
        assert_eq!(problem(post("cam").await.expect("it is answered")).await, (409, "no_media_yet".into()));
        let other = post("door").await.expect("it is answered");
        assert_eq!(other.headers()["www-authenticate"], "Bearer realm=\"whep\", error=\"insufficient_scope\"");
        assert_eq!(problem(other).await, (403, "insufficient_scope".into()), "another process");
        for (method, path) in [("PATCH", "/api/v3/whep/door/x"), ("DELETE", "/api/v3/process/door/whep/x")] {
            let other = house.bare(method, path).bearer_auth(&token).send().await.expect("it is answered");
            assert_eq!(problem(other).await, (403, "insufficient_scope".into()));
        }
        assert_eq!(status(&house, "/api/v3/process/cam", &token).await, 403, "another action");

        let reader = key.sign(&json!({ "iss": super::issuer::ISSUER, "aud": ["x", "another"], "exp": at(600),
            "process": ["*"], "action": ["read"] }));
        assert_eq!(status(&house, "/api/v3/process", &reader).await, 200);
        assert_eq!(status(&house, "/api/v3/problem", &reader).await, 200, "every process");
        assert_eq!(status(&house, "/api/v3/whep/cam", &reader).await, 403);
    }
    assert_eq!(status(&house, "/api/v3/whep/cam", &house.token()).await, 200, "own tokens stay good");
}

#[tokio::test]
async fn a_token_that_names_no_process_or_action_opens_nothing() {
    let key = Key::new("a", Algorithm::EdDSA);
    let (house, _directory) = with_file(&[&key]).await;
    for name in ["process", "action"] {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(name);
        let token = key.sign(&claims);
        assert_eq!(status(&house, "/api/v3/whep/cam", &token).await, 403, "without {name}");
        assert_eq!(status(&house, "/api/v3/process", &token).await, 403, "without {name}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_for_this_server_or_time_is_refused_with_its_reason() {
    let key = Key::new("a", Algorithm::ES256);
    let (house, _directory) = with_file(&[&key]).await;
    for (claims, reason) in [
        (claims_with("iss", json!("https://id.example.org/")), "another issuer"),
        (claims_with("iss", Value::Null), "exp, iss"),
        (claims_with("aud", json!("https://other.example.com")), "another audience"),
        (claims_with("aud", Value::Null), "aud"),
        (claims_with("exp", json!(at(-61))), "expired"),
        (claims_with("exp", Value::Null), "exp"),
        (claims_with("nbf", json!(at(120))), "not valid yet"),
        (claims_with("usefor", json!("refresh")), "refreshing"),
        (claims_with("typ", json!("Refresh")), "refreshing"),
        (claims_with("typ", json!("ID")), "ID token"),
        (claims_with("token_use", json!("id")), "ID token"),
        (claims_with("process", json!(1)), "cannot be read"),
    ] {
        let said = refusal(&house, &key.sign(&claims)).await;
        assert!(said.contains(reason), "{claims}: {said}");
    }
    for (name, value) in [("exp", json!(at(-30))), ("nbf", json!(at(30))), ("usefor", json!("access"))] {
        assert_eq!(status(&house, "/api/v3/whep/cam", &key.sign(&claims_with(name, value))).await, 200, "{name}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_signed_as_it_says_is_refused_with_its_reason() {
    let (a, b) = (Key::new("a", Algorithm::RS256), Key::new("b", Algorithm::ES256));
    let (stranger, c) = (Key::new("a", Algorithm::RS256), Key::new("c", Algorithm::RS256));
    let (house, _directory) = with_file(&[&a, &b, &c]).await;
    let named = |algorithm, id: &str| Header { kid: Some(id.into()), ..Header::new(algorithm) };
    let public = serde_json::to_vec(&a.public).expect("JSON");
    let hmac = encode(&named(Algorithm::HS256, "a"), &claims(), &EncodingKey::from_secret(&public)).expect("signed");
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(json!({ "alg": "none", "kid": "a" })), part(claims()));
    for (token, reason) in [
        (stranger.sign(&claims()), "signature"),
        (b.sign_with(named(Algorithm::ES256, "a"), &claims()), "not that of its key"),
        (b.sign_with(named(Algorithm::ES256, "nobody"), &claims()), "none of its issuer's"),
        (a.sign_with(Header::new(Algorithm::RS256), &claims()), "kid"),
        (hmac, "signature"),
        (none, "cannot be read"),
    ] {
        let said = refusal(&house, &token).await;
        assert!(said.contains(reason), "{said}");
    }
    let only_one = b.sign_with(Header::new(Algorithm::ES256), &claims());
    assert_eq!(status(&house, "/api/v3/whep/cam", &only_one).await, 200, "there is but one key for its algorithm");
}

#[tokio::test]
async fn a_refresh_token_opens_no_stream() {
    let (house, _directory) = with_file(&[&Key::new("a", Algorithm::EdDSA)]).await;
    let token = house.mint(Purpose::Refresh, 600, Scope::default());
    for (method, path) in
        [("POST", "/api/v3/whep/cam"), ("PATCH", "/api/v3/whep/cam/x"), ("DELETE", "/api/v3/whep/cam/x")]
    {
        let refused = house.bare(method, path).bearer_auth(&token).send().await.expect("it is answered");
        assert_eq!(problem(refused).await, (401, "invalid_token".into()), "{method}");
    }
}

#[tokio::test]
async fn an_algorithm_that_is_not_configured_is_refused() {
    let (a, b) = (Key::new("a", Algorithm::RS256), Key::new("b", Algorithm::EdDSA));
    let server = KeyServer::start(200, jwks(&[&a, &b])).await;
    let house = house(Settings { algorithms: vec![Algorithm::EdDSA], ..settings(server.source()) }).await;
    assert_eq!(status(&house, "/api/v3/whep/cam", &b.sign(&claims())).await, 200);
    assert!(refusal(&house, &a.sign(&claims())).await.contains("algorithm"));
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_and_old_keys_are_forgotten() {
    let (old, new) = (Key::new("old", Algorithm::EdDSA), Key::new("new", Algorithm::ES256));
    let (house, directory) = with_file(&[&old]).await;
    let path = directory.path().join("jwks.json");
    let (old_token, new_token) = (old.sign(&claims()), new.sign(&claims()));
    until(&house, &old_token, 200).await;
    replace(&path, &jwks(&[&old, &new]));
    until(&house, &new_token, 200).await;
    assert_eq!(status(&house, "/api/v3/whep/cam", &old_token).await, 200, "both are good for a while");
    replace(&path, "half a fi");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(status(&house, "/api/v3/whep/cam", &new_token).await, 200, "a damaged file changes nothing");
    replace(&path, &jwks(&[&new]));
    until(&house, &old_token, 401).await;
    assert_eq!(status(&house, "/api/v3/whep/cam", &new_token).await, 200);
}

#[tokio::test]
async fn a_key_that_is_new_at_a_url_is_asked_for_and_not_more_often_than_every_few_seconds() {
    let (old, new) = (Key::new("old", Algorithm::EdDSA), Key::new("new", Algorithm::RS256));
    let server = KeyServer::start(200, jwks(&[&old])).await;
    let house = house(settings(server.source())).await;
    assert_eq!(status(&house, "/api/v3/whep/cam", &old.sign(&claims())).await, 200);
    let begin = Instant::now();
    for number in 0..50 {
        let token = Key::new(&format!("forged {number}"), Algorithm::EdDSA).sign(&claims());
        assert!(refusal(&house, &token).await.contains("none of its issuer's"));
    }
    let allowed = 2 + begin.elapsed().as_secs() as usize / 5;
    assert!(server.asked() <= allowed, "strangers make it ask {} times", server.asked());
    server.say(200, jwks(&[&new]));
    until(&house, &new.sign(&claims()), 200).await;
    assert_eq!(status(&house, "/api/v3/whep/cam", &old.sign(&claims())).await, 401);
}

#[tokio::test]
async fn the_last_keys_stay_while_the_server_of_the_keys_is_away() {
    let (key, new) = (Key::new("a", Algorithm::ES256), Key::new("new", Algorithm::ES256));
    let server = KeyServer::start(200, jwks(&[&key])).await;
    let house = house(settings(server.source())).await;
    assert_eq!(status(&house, "/api/v3/whep/cam", &key.sign(&claims())).await, 200);
    for (status_of_keys, body) in [(503, String::new()), (200, "<html>".to_owned())] {
        server.say(status_of_keys, body);
        let asked = server.asked();
        let deadline = Instant::now() + PATIENCE * 2;
        while server.asked() == asked {
            assert!(Instant::now() < deadline, "it is never asked again");
            assert!(refusal(&house, &new.sign(&claims())).await.contains("none of its issuer's"));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(status(&house, "/api/v3/whep/cam", &key.sign(&claims())).await, 200);
    }
}

#[tokio::test]
async fn keys_that_were_never_there_are_the_reason_until_they_are() {
    let key = Key::new("a", Algorithm::EdDSA);
    let server = KeyServer::start(404, String::new()).await;
    let house = house(settings(server.source())).await;
    let token = key.sign(&claims());
    assert!(refusal(&house, &token).await.contains("cannot be read at the moment"));
    assert_eq!(status(&house, "/api/v3/whep/cam", &house.token()).await, 200, "own tokens need no server");
    server.say(200, jwks(&[&key]));
    until(&house, &token, 200).await;
}
