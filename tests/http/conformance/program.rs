//! The program with one process that plays, shared by the tests that run beside each other.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use dragonfork::http::Auth;
use dragonfork::http::token::{Grant, Purpose, Scope};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::sync::Mutex;

use super::SDP;
use crate::house::{CHROMIUM, PATIENCE, SECRET};
use crate::manifest::manifest;
use crate::program;

/// The program and a client that reads nothing into an answer.
pub struct Program {
    program: program::Program,
    http: reqwest::Client,
    auth: Auth,
}

impl Program {
    /// The one that tests share, with a place for every viewer. It ends with the last test that holds it.
    pub async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Program>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(program) = shared.upgrade() {
            return program;
        }
        let servers = "stun:stun.example.com:3478,turn:turn.example.com?transport=udp";
        let environment = [("CORE_WEBRTC_ICE_SERVERS", servers), ("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "256")];
        let program = Arc::new(Self::with(&environment).await);
        *shared = Arc::downgrade(&program);
        program
    }

    /// One of its own with these variables.
    pub async fn with(environment: &[(&str, &str)]) -> Self {
        let picture = "testsrc2=size=320x180:rate=30";
        let cam = manifest("cam").input("-re -f lavfi", picture).input("-re -f lavfi", "sine=sample_rate=48000").text();
        let early = manifest("early").input("-listen 1", "rtmp://127.0.0.1:1/live/x").text();
        let login = [("CORE_API_AUTH_PASSWORD", "hunter22"), ("CORE_API_AUTH_JWT_SECRET", SECRET)];
        let environment = [&login[..], environment].concat();
        let files = [("cam.yaml", cam.as_str()), ("early.yaml", early.as_str())];
        let program = Self {
            program: program::Program::start_with(&files, &environment).await,
            http: reqwest::Client::builder()
                .no_proxy()
                // A connection belongs to the runtime of the test that made it.
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
            auth: Auth::new("admin", "hunter22", SECRET).expect("it is complete"),
        };
        program.until_media("cam").await;
        program
    }

    /// What the program has printed.
    pub fn log(&self) -> String {
        self.program.child.log()
    }

    /// Where the program is reached.
    pub fn origin(&self) -> &str {
        self.program.origin()
    }

    /// Writes the manifest of a process in one step.
    pub fn apply(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let file = format!("{name}.yaml");
        let text = std::fs::read_to_string(self.program.manifests().join(&file)).expect("it is there");
        let mut whole: Value = serde_json::from_str(&text).expect("it is JSON");
        change(&mut whole["spec"]);
        self.program.write(&file, &whole.to_string());
    }

    pub fn mint(&self, purpose: Purpose, lifetime: u64, scope: Scope, at: SystemTime) -> String {
        let grant = Grant { subject: "admin", purpose, lifetime: Duration::from_secs(lifetime), scope };
        self.auth.signer().expect("it signs").mint(&grant, at)
    }

    pub fn token(&self) -> String {
        self.mint(Purpose::Access, 600, Scope::default(), SystemTime::now())
    }

    /// A request without a token.
    pub fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.http.request(method, format!("{}{path}", self.origin()))
    }

    /// A request with a token that allows everything.
    pub fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(self.token())
    }

    pub async fn send(&self, method: &str, path: &str) -> Response {
        self.ask(method, path).send().await.expect("it is answered")
    }

    /// POSTs an offer.
    pub async fn post(&self, path: &str, offer: &str) -> Response {
        let request = self.ask("POST", path).header("content-type", SDP).body(offer.to_owned());
        request.send().await.expect("it is answered")
    }

    /// PATCHes a fragment.
    pub async fn patch(&self, path: &str, tag: Option<&str>, fragment: &str) -> Response {
        let request = self.ask("PATCH", path).header("content-type", super::FRAGMENT).body(fragment.to_owned());
        let request = if let Some(tag) = tag { request.header("if-match", tag) } else { request };
        request.send().await.expect("it is answered")
    }

    /// What the program shows of a process.
    pub async fn process(&self, id: &str) -> Value {
        self.send("GET", &format!("/api/v3/process/{id}")).await.json().await.expect("JSON")
    }

    /// Waits until a process can be watched, and leaves no viewer behind.
    async fn until_media(&self, id: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.post(&format!("/api/v3/whep/{id}"), CHROMIUM).await;
            if let Some(location) = response.headers().get("location") {
                self.send("DELETE", location.to_str().expect("text")).await;
                return;
            }
            assert!(Instant::now() < deadline, "{}: {}", response.status(), self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
