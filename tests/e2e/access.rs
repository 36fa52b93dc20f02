//! What is configured of tokens, limits and proxies holds in the program.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::StatusCode;
use serde_json::json;

use crate::program::Program;
use crate::turn;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_trusted_proxies_are_configured() {
    let _turn = turn::shared().await;
    let environment = [
        ("CORE_API_LOGIN_BURST", "2"),
        ("CORE_API_LOGINS_PER_MINUTE", "1"),
        ("CORE_API_TRUSTED_PROXIES", "10.0.0.0/8,127.0.0.1"),
    ];
    let program = Program::start_with(&[], &environment).await;
    let http = reqwest::Client::new();
    let login = |client: &'static str| {
        let request = http.post(format!("{}/api/login", program.origin())).header("x-forwarded-for", client);
        let body = r#"{"username": "admin", "password": "wrong"}"#;
        request.header("content-type", "application/json").body(body).send()
    };
    let mut statuses = Vec::new();
    for client in ["192.0.2.1", "192.0.2.1", "198.51.100.1, 192.0.2.1, 10.0.0.1", "192.0.2.2"] {
        statuses.push(login(client).await.expect("it is answered").status());
    }
    let (wrong, limited) = (StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(statuses, [wrong, wrong, limited, wrong]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_another_issuer_are_taken_with_the_keys_that_are_configured() {
    let _turn = turn::shared().await;
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key pair");
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key pair");
    let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let file = tempfile::NamedTempFile::new().expect("a file");
    let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": public }] });
    std::fs::write(file.path(), jwks.to_string()).expect("written");
    let environment = [
        ("CORE_API_AUTH_JWKS", file.path().to_str().expect("text")),
        ("CORE_API_AUTH_JWKS_ISSUER", "https://id.example.com/"),
        ("CORE_API_AUTH_JWKS_AUDIENCE", "live"),
    ];
    let program = Program::start_with(&[], &environment).await;
    let status = async |audience: &str| {
        let exp = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 60;
        let claims = json!({
            "iss": "https://id.example.com/", "aud": audience, "exp": exp, "process": "*", "action": "read",
        });
        let header = Header { kid: Some("a".into()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, &EncodingKey::from_ed_der(pkcs8.as_ref())).expect("signed");
        let request = reqwest::Client::new().get(format!("{}/api/v3/process", program.origin())).bearer_auth(token);
        request.send().await.expect("it is answered").status()
    };
    assert_eq!(status("live").await, StatusCode::OK);
    assert_eq!(status("other").await, StatusCode::UNAUTHORIZED);
}
