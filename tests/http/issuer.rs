//! Another issuer of tokens: key pairs, tokens that they sign, and a server that hands out the public keys.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dragonfork::http::jwks::{Settings, Source};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://id.example.com/";
pub const AUDIENCE: &str = "https://live.example.com";

/// A key pair with its name.
pub struct Key {
    pub id: String,
    pub algorithm: Algorithm,
    pub public: Value,
    private: EncodingKey,
}

impl Key {
    pub fn new(id: &str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let (private, mut public) = match algorithm {
            Algorithm::EdDSA => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).expect("a key pair");
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key pair");
                let x = text(pair.public_key().as_ref());
                (EncodingKey::from_ed_der(pkcs8.as_ref()), json!({ "kty": "OKP", "crv": "Ed25519", "x": x }))
            }
            Algorithm::ES256 => {
                let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key pair");
                let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref()).expect("a key pair");
                // One octet says that the point is not compressed.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let public = json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) });
                (EncodingKey::from_ec_der(pkcs8.as_ref()), public)
            }
            Algorithm::RS256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair");
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("it has a form");
                // The key itself (PKCS #1) stands after 26 octets that say what it is (PKCS #8).
                let private = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
                let public = Jwk::from_encoding_key(&private, algorithm).expect("a key");
                (private, serde_json::to_value(public).expect("JSON"))
            }
            other => panic!("{other:?} is not for tokens of another issuer"),
        };
        public["kid"] = id.into();
        public["use"] = "sig".into();
        Self { id: id.into(), algorithm, public, private }
    }

    /// A token that this key signed.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) }, claims)
    }

    pub fn sign_with(&self, header: Header, claims: &Value) -> String {
        encode(&header, claims, &self.private).expect("it is JSON")
    }
}

/// Unix seconds from now.
pub fn at(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_secs() as i64 + seconds
}

/// Claims that play the process `cam`.
pub fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "exp": at(600), "process": "cam", "action": "play" })
}

/// The same with another claim.
pub fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

pub fn jwks(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| &key.public).collect::<Vec<_>>() }).to_string()
}

pub fn settings(source: Source) -> Settings {
    Settings {
        source,
        issuers: vec![ISSUER.into()],
        audiences: vec![AUDIENCE.into(), "another".into()],
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
    }
}

/// Replaces a file as a mounted ConfigMap does: at once.
pub fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).expect("it can be written");
    std::fs::rename(draft, path).expect("it can be moved");
}

/// What the server says, and how often it was asked.
#[derive(Clone, Default)]
pub struct Said {
    pub status: u16,
    pub body: String,
    pub asked: usize,
}

/// A server of public keys.
pub struct KeyServer {
    pub address: SocketAddr,
    said: Arc<Mutex<Said>>,
}

impl KeyServer {
    pub async fn start(status: u16, body: String) -> Self {
        let said = Arc::new(Mutex::new(Said { status, body, asked: 0 }));
        let keys = |State(said): State<Arc<Mutex<Said>>>| async move {
            let mut said = said.lock().expect("nobody panics here");
            said.asked += 1;
            (
                StatusCode::from_u16(said.status).expect("a status"),
                [("cache-control", "max-age=600")],
                said.body.clone(),
            )
        };
        let router = axum::Router::new().route("/keys", get(keys)).with_state(said.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, said }
    }

    pub fn source(&self) -> Source {
        Source::Url(format!("http://{}/keys", self.address).parse().expect("a URL"))
    }

    pub fn say(&self, status: u16, body: String) {
        let mut said = self.said.lock().expect("nobody panics here");
        (said.status, said.body) = (status, body);
    }

    pub fn asked(&self) -> usize {
        self.said.lock().expect("nobody panics here").asked
    }
}
