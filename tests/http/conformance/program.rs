//! The program with one process that plays, shared by the tests that run beside each other.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use dragonfork::http::Auth;
use dragonfork::http::token::{Grant, Purpose, Scope};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::SDP;
use crate::house::{CHROMIUM, PATIENCE, SECRET};

/// `dragonfork standalone`, ended with this value.
pub struct Program {
    child: Child,
    origin: String,
    http: reqwest::Client,
    auth: Auth,
    directory: TempDir,
}

impl Program {
    /// The one that tests share, with a place for every viewer. It ends with the last test that holds it.
    pub async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Program>> = Mutex::new(Weak::new());
        let start = || {
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(program) = shared.upgrade() {
                return program;
            }
            let servers = "stun:stun.example.com:3478,turn:turn.example.com?transport=udp";
            let program = Arc::new(Self::begin(&[
                ("CORE_WEBRTC_ICE_SERVERS", servers),
                ("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "256"),
            ]));
            *shared = Arc::downgrade(&program);
            program
        };
        let program = tokio::task::spawn_blocking(start).await.expect("it starts");
        program.until_media("cam").await;
        program
    }

    /// One of its own with these variables.
    pub async fn with(environment: &'static [(&'static str, &'static str)]) -> Self {
        let program = tokio::task::spawn_blocking(|| Self::begin(environment)).await.expect("it starts");
        program.until_media("cam").await;
        program
    }

    fn begin(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("dragonfork-whep-").tempdir().expect("a directory can be made");
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("manifests")).expect("it is new");
        let inputs = json!([
            { "id": "v", "options": ["-re", "-f", "lavfi"], "address": "testsrc2=size=320x180:rate=30" },
            { "id": "a", "options": ["-re", "-f", "lavfi"], "address": "sine=sample_rate=48000" },
        ]);
        let waiting = json!([{ "id": "in", "options": ["-listen", "1"], "address": "rtmp://127.0.0.1:1/live/x" }]);
        for (name, spec) in [
            ("cam", json!({ "input": inputs, "webrtc": { "enabled": true } })),
            ("early", json!({ "input": waiting, "webrtc": { "enabled": true } })),
        ] {
            fs::write(path(&format!("manifests/{name}.yaml")), manifest(name, &spec)).expect("it can be written");
        }
        let log = File::create(path("log")).expect("it can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CORE_")) {
            command.env_remove(name);
        }
        let child = command
            .arg("standalone")
            .current_dir(directory.path())
            .env("CORE_ADDRESS", "127.0.0.1:0")
            .env("CORE_WEBRTC_ADDRESS", "127.0.0.1:0")
            .env("CORE_API_AUTH_USERNAME", "admin")
            .env("CORE_API_AUTH_PASSWORD", "hunter22")
            .env("CORE_API_AUTH_JWT_SECRET", SECRET)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("it can be shared"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut program = Self {
            child,
            origin: String::new(),
            http: reqwest::Client::builder()
                .no_proxy()
                // A connection belongs to the runtime of the test that made it.
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
            auth: Auth::new("admin", "hunter22", SECRET).expect("it is complete"),
            directory,
        };
        program.origin = program.link();
        program
    }

    /// The address in the link that the program prints for people.
    fn link(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some((origin, _)) = log.split_whitespace().find_map(|word| word.split_once("/#token=")) {
                return origin.to_owned();
            }
            assert!(Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)), "no link: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the program has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).expect("it is there")
    }

    /// Where the program is reached.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Writes the manifest of a process in one step.
    pub fn apply(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.directory.path().join(format!("manifests/{name}.yaml"));
        let text = fs::read_to_string(&path).expect("it is there");
        let mut whole: Value = serde_json::from_str(&text).expect("it is JSON");
        change(&mut whole["spec"]);
        let draft = self.directory.path().join("draft");
        fs::write(&draft, whole.to_string()).expect("it can be written");
        fs::rename(draft, path).expect("it can be moved");
    }

    pub fn mint(&self, purpose: Purpose, lifetime: u64, scope: Scope, at: SystemTime) -> String {
        let grant = Grant { subject: "admin", purpose, lifetime: Duration::from_secs(lifetime), scope };
        self.auth.signer().mint(&grant, at)
    }

    pub fn token(&self) -> String {
        self.mint(Purpose::Access, 600, Scope::default(), SystemTime::now())
    }

    /// A request without a token.
    pub fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.http.request(method, format!("{}{path}", self.origin))
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

impl Drop for Program {
    fn drop(&mut self) {
        // Its FFmpegs end with it, however it ends.
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

fn manifest(name: &str, spec: &Value) -> String {
    let whole = json!({
        "apiVersion": "restream.wilddragon.net/v1alpha1", "kind": "RestreamProcess",
        "metadata": { "name": name }, "spec": spec,
    });
    whole.to_string()
}
