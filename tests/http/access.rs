//! Login, tokens, and who answers.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dragonfork::http::token::{ISSUER, Purpose, Scope, Signer, Words};
use reqwest::Response;
use serde_json::{Value, json};

use super::house::{House, SECRET, Wishes, playing, problem};

async fn login(house: &House, body: impl Into<String>) -> Response {
    let request = house.bare("POST", "/api/login").header("content-type", "application/json").body(body.into());
    request.send().await.expect("it is answered")
}

fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("three parts")).expect("base64");
    serde_json::from_slice(&payload).expect("JSON")
}

#[tokio::test]
async fn a_login_gives_tokens_that_work_and_a_refresh_another() {
    let house = House::new(Wishes::default()).await;
    let response = login(&house, json!({ "username": "admin", "password": "hunter22" }).to_string()).await;
    assert_eq!(response.status(), 200);
    let tokens: Value = response.json().await.expect("JSON");
    let (access, refresh) =
        (tokens["access_token"].as_str().expect("one"), tokens["refresh_token"].as_str().expect("one"));
    for (token, usefor, exi) in [(access, "access", 600), (refresh, "refresh", 86_400)] {
        let claims = claims(token);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!(ISSUER), &json!("admin")));
        assert_eq!((&claims["usefor"], &claims["exi"]), (&json!(usefor), &json!(exi)));
        assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + exi));
        assert_eq!(claims["jti"].as_str().map(str::len), Some(36));
    }
    let list = |token: &str| house.bare("GET", "/api/v3/process").bearer_auth(token).send();
    assert_eq!(list(access).await.expect("it is answered").status(), 200);
    let refused = problem(list(refresh).await.expect("it is answered")).await;
    assert_eq!(refused, (401, "invalid_token".into()), "a refresh token is for refreshing");

    let again = |token: &str| house.bare("GET", "/api/login/refresh").bearer_auth(token).send();
    let refreshed: Value = again(refresh).await.expect("it is answered").json().await.expect("JSON");
    let fresh = refreshed["access_token"].as_str().expect("one");
    assert_ne!(fresh, access);
    assert_eq!(list(fresh).await.expect("it is answered").status(), 200);
    assert_eq!(problem(again(access).await.expect("it is answered")).await, (401, "invalid_token".into()));
    let without = house.bare("GET", "/api/login/refresh").send().await.expect("it is answered");
    assert_eq!(problem(without).await, (401, "no_token".into()));
}

#[tokio::test]
async fn a_refresh_does_not_widen_what_a_token_allows() {
    let house = House::new(Wishes::default()).await;
    let scope = Scope { process: Some(Words::One("cam".into())), action: Some(Words::One("play".into())) };
    let token = house.mint(Purpose::Refresh, 60, scope);
    let refreshed = house.bare("GET", "/api/login/refresh").bearer_auth(token).send().await.expect("it is answered");
    let refreshed: Value = refreshed.json().await.expect("JSON");
    let claims = claims(refreshed["access_token"].as_str().expect("one"));
    assert_eq!((&claims["process"], &claims["action"]), (&json!("cam"), &json!("play")));
}

#[tokio::test]
async fn a_login_that_cannot_be_read_is_malformed() {
    let house = House::new(Wishes::default()).await;
    for body in ["", "hello", "[]", "{}", r#"{"username": "admin"}"#, r#"{"username": 1, "password": "hunter22"}"#] {
        let response = login(&house, body).await;
        let text = response.text().await.expect("JSON");
        assert!(text.contains("\"code\":400") && !text.contains("hunter22"), "{text}");
    }
    assert_eq!(problem(login(&house, "x".repeat(10_000)).await).await, (413, "too_large".into()));
    let typed = house.bare("POST", "/api/login").body("x").send().await.expect("it is answered");
    assert_eq!(problem(typed).await, (415, "unsupported_media_type".into()));
    let get = house.bare("GET", "/api/login").send().await.expect("it is answered");
    assert_eq!(get.headers()["allow"], "POST");
    assert_eq!(problem(get).await, (405, "method_not_allowed".into()));
}

#[tokio::test]
async fn wrong_passwords_are_limited_and_right_ones_are_not() {
    let house = House::new(Wishes::default()).await;
    let right = json!({ "username": "admin", "password": "hunter22" }).to_string();
    let wrong = json!({ "username": "admin", "password": "hunter2" }).to_string();
    for _ in 0..30 {
        assert_eq!(login(&house, right.clone()).await.status(), 200);
    }
    let attempts = (0..40).map(|_| {
        let (url, wrong) = (house.url("/api/login"), wrong.clone());
        let request = house.http.post(url).header("content-type", "application/json").body(wrong);
        tokio::spawn(async move { request.send().await.expect("it is answered") })
    });
    let mut statuses = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        let response = attempt.await.expect("it ends");
        if response.status() == 429 {
            let wait: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
            assert!((1..=3).contains(&wait), "{wait}");
        }
        statuses.push(problem(response).await);
    }
    let refused = statuses.iter().filter(|status| **status == (401, "wrong_password".to_owned())).count();
    assert!((10..15).contains(&refused), "{refused} of 40 side by side were looked at");
    assert_eq!(statuses.iter().filter(|status| **status == (429, "too_many_logins".to_owned())).count(), 40 - refused);

    let deadline = std::time::Instant::now() + super::house::PATIENCE;
    while login(&house, right.clone()).await.status() != 200 {
        assert!(std::time::Instant::now() < deadline, "the limit never ends");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn nothing_below_v3_is_said_without_a_good_token() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    let other = Signer::new("another secret of some length").expect("it is long enough");
    let grant = dragonfork::http::token::Grant {
        subject: "admin",
        purpose: Purpose::Access,
        lifetime: std::time::Duration::from_secs(600),
        scope: Scope::default(),
    };
    let now = std::time::SystemTime::now();
    let long_ago = now - std::time::Duration::from_secs(3600);
    let exp = now.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() + 600;
    let payload = json!({ "iss": ISSUER, "sub": "admin", "usefor": "access", "exp": exp });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let tokens = [
        other.mint(&grant, now),
        Signer::new(SECRET).expect("it is long enough").mint(&grant, long_ago),
        house.mint(Purpose::Refresh, 600, Scope::default()),
        format!("{}.{}.", encode(&json!({ "alg": "none", "typ": "JWT" })), encode(&payload)),
        "x.y.z".into(),
    ];
    for (method, path, realm) in [
        ("POST", "/api/v3/whep/cam", "whep"),
        ("GET", "/api/v3/whep/nobody", "whep"),
        ("PUT", "/api/v3/whep/cam", "whep"),
        ("PATCH", "/api/v3/whep/cam/x", "whep"),
        ("DELETE", "/api/v3/process/cam/whep/x", "whep"),
        ("GET", "/api/v3/process", "api"),
        ("DELETE", "/api/v3/process/cam", "api"),
        ("GET", "/api/v3/nothing", "api"),
        ("GET", "/api/v3", "api"),
        ("GET", "/api/v3/", "api"),
    ] {
        let without = house.bare(method, path).send().await.expect("it is answered");
        assert_eq!(without.headers()["www-authenticate"], format!("Bearer realm=\"{realm}\"").as_str(), "{path}");
        assert_eq!(problem(without).await, (401, "no_token".into()), "{method} {path}");
        let basic = house.bare(method, path).basic_auth("admin", Some("hunter22")).send().await.expect("answered");
        assert_eq!(problem(basic).await, (401, "no_token".into()));
        for token in &tokens {
            let bad = house.bare(method, path).bearer_auth(token).send().await.expect("it is answered");
            let challenge = format!("Bearer realm=\"{realm}\", error=\"invalid_token\"");
            assert_eq!(bad.headers()["www-authenticate"], challenge.as_str());
            assert_eq!(problem(bad).await, (401, "invalid_token".into()), "{method} {path} {token}");
        }
    }
}

#[tokio::test]
async fn a_token_may_stand_in_the_url_of_a_player_and_nowhere_else() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    let token = house.token();
    let status = |path: String| {
        let request = house.bare("GET", &path).send();
        async move { request.await.expect("it is answered").status().as_u16() }
    };
    assert_eq!(status(format!("/api/v3/whep/cam?token={token}")).await, 200);
    assert_eq!(status(format!("/api/v3/process/cam/whep?a=b&token={token}")).await, 200);
    assert_eq!(status("/api/v3/whep/cam?token=x".into()).await, 401);
    assert_eq!(status(format!("/api/v3/process?token={token}")).await, 401);
    let both = house.bare("GET", &format!("/api/v3/whep/cam?token={token}")).bearer_auth("x").send().await;
    assert_eq!(both.expect("it is answered").status(), 401, "the header counts");
}

#[tokio::test]
async fn who_answers_is_told_to_everybody_and_more_to_who_has_a_token() {
    let house = House::new(Wishes::default()).await;
    let ping = house.bare("GET", "/ping").header("accept", "application/json").send().await.expect("it is answered");
    assert!(ping.headers()["content-type"].to_str().expect("text").starts_with("text/plain"));
    assert_eq!(ping.text().await.expect("text"), "pong");
    let about = |request: reqwest::RequestBuilder| async move {
        let response = request.send().await.expect("it is answered");
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.expect("JSON")
    };
    let stranger = json!({
        "app": "dragonfork", "auths": ["localjwt"], "version": { "number": "1.0.0" },
        "variant": "dragonfork", "fork": "Datarhei — Dragon Fork",
    });
    assert_eq!(about(house.bare("GET", "/api")).await, stranger);
    assert_eq!(about(house.bare("GET", "/api").bearer_auth("x")).await, stranger);
    let known = about(house.ask("GET", "/api")).await;
    assert_eq!((&known["version"]["number"], &known["id"]), (&json!("1.2.3"), &json!("an-instance")));
    assert!(known["uptime_seconds"].is_u64());
    assert!(known["created_at"].as_str().expect("text").parse::<jiff::Timestamp>().is_ok());
}

#[tokio::test]
async fn without_authentication_everything_works_without_a_token() {
    let house = House::new(Wishes { auth: false, ..Wishes::default() }).await;
    house.show(playing("cam"));
    let about: Value = house.get("/api").await;
    assert_eq!((&about["auths"], &about["id"]), (&json!([]), &json!("an-instance")));
    assert_eq!(house.get("/api/v3/process").await[0]["id"], "cam");
    assert_eq!(house.bare("HEAD", "/api/v3/whep/cam").send().await.expect("it is answered").status(), 200);
    assert_eq!(problem(login(&house, "{}").await).await, (404, "auth_disabled".into()));
}

/// What the program logs, at the finest level.
fn log() -> Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics here").extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines(Arc::default());
    let log = lines.0.clone();
    let filter = "dragonfork=trace,axum=trace,hyper=trace,hyper_util=trace,tower_http=trace,jsonwebtoken=trace";
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || lines.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).expect("no other test logs");
    log
}

#[tokio::test]
async fn no_token_password_or_session_is_logged() {
    let log = log();
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    let token = house.token();
    for path in [format!("/api/v3/whep/cam/a-session?token={token}"), format!("/nothing?token={token}")] {
        house.bare("GET", &path).bearer_auth(&token).send().await.expect("it is answered");
    }
    for password in ["hunter22", "a-wrong-password"] {
        login(&house, json!({ "username": "admin", "password": password }).to_string()).await;
    }
    let log = String::from_utf8(log.lock().expect("nobody panics here").clone()).expect("text");
    assert!(log.contains("/api/v3/whep/{id}/{resource}") && log.contains("login refused"), "{log}");
    for secret in [token.as_str(), "hunter22", "a-wrong-password", "a-session"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
