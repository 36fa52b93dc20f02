//! What is configured of tokens, limits and proxies holds in the program.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::CertifiedKey;
use reqwest::StatusCode;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::program::Program;
use crate::turn;

const ISSUER: &str = "https://id.example.com/";

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

/// Another issuer with one key.
struct Issuer {
    pkcs8: Document,
}

impl Issuer {
    fn new() -> Self {
        Self { pkcs8: Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key pair") }
    }

    fn jwks(&self) -> String {
        let pair = Ed25519KeyPair::from_pkcs8(self.pkcs8.as_ref()).expect("a key pair");
        let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": public }] }).to_string()
    }

    /// How the list of processes is answered to a token of this issuer.
    async fn status(&self, program: &Program, audience: &str) -> StatusCode {
        let exp = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 60;
        let claims = json!({ "iss": ISSUER, "aud": audience, "exp": exp, "process": "*", "action": "read" });
        let header = Header { kid: Some("a".into()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, &EncodingKey::from_ed_der(self.pkcs8.as_ref())).expect("signed");
        let request = reqwest::Client::new().get(format!("{}/api/v3/process", program.origin())).bearer_auth(token);
        request.send().await.expect("it is answered").status()
    }
}

/// Gives every client this text by HTTPS, and returns the port.
async fn serve_by_tls(body: String, certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.expect("TLS").with_no_client_auth().with_single_cert(vec![certificate], key).expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_another_issuer_are_taken_with_the_keys_that_are_configured() {
    let _turn = turn::shared().await;
    let issuer = Issuer::new();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), issuer.jwks()).expect("written");
    let environment = [
        ("CORE_API_AUTH_JWKS", file.path().to_str().expect("text")),
        ("CORE_API_AUTH_JWKS_ISSUER", ISSUER),
        ("CORE_API_AUTH_JWKS_AUDIENCE", "live"),
    ];
    let program = Program::start_with(&[], &environment).await;
    assert_eq!(issuer.status(&program, "live").await, StatusCode::OK);
    assert_eq!(issuer.status(&program, "other").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_by_https_from_a_server_that_is_trusted_and_from_no_other() {
    let _turn = turn::shared().await;
    let issuer = Issuer::new();
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let port = serve_by_tls(issuer.jwks(), cert.der().clone(), key).await;
    let roots = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(roots.path(), cert.pem()).expect("written");
    let url = format!("https://localhost:{port}/keys");
    let environment = [
        ("CORE_API_AUTH_JWKS", url.as_str()),
        ("CORE_API_AUTH_JWKS_ISSUER", ISSUER),
        ("CORE_API_AUTH_JWKS_AUDIENCE", "live"),
    ];
    let trusting = [&environment[..], &[("SSL_CERT_FILE", roots.path().to_str().expect("text"))]].concat();
    let trusting = Program::start_with(&[], &trusting).await;
    let program = Program::start_with(&[], &environment).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while issuer.status(&trusting, "live").await != StatusCode::OK {
        assert!(Instant::now() < deadline, "the keys never come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while !program.printed().contains("invalid peer certificate") {
        assert!(Instant::now() < deadline, "nobody says what is wrong:\n{}", program.printed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(issuer.status(&program, "live").await, StatusCode::UNAUTHORIZED);
}
