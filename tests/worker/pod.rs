//! The Pod: a mounted ConfigMap, a volume for the control socket, and two containers.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dragonfork::crd::RestreamProcessStatus;
use dragonfork::workload::{Configuration, Report, Settings};
use jsonwebtoken::Algorithm;
use reqwest::{Response, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::{Child, PATIENCE, arguments, descendants, free_port};
use crate::issuer::{AUDIENCE, ISSUER, Key, at, jwks};
use crate::manifest::{Manifest, manifest};

/// Id of the process of every Pod.
pub const PROCESS: &str = "studio.cam";
/// What makes `unshare` start the first process of a namespace.
pub const NAMESPACE: [&str; 5] = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
const TONE: &str = "sine=frequency=440:sample_rate=48000[out1]";

/// The manifest of a film that needs little of the machine; `size` is its width.
pub fn film(width: u32) -> Manifest {
    let height = width * 9 / 16;
    manifest("cam").input("-re -f lavfi", format!("testsrc2=size={width}x{height}:rate=30[out0];{TONE}"))
}

/// A worker Pod.
pub struct Pod {
    pub whep: Child,
    pub runner: Child,
    directory: TempDir,
    ports: Ports,
    key: Key,
    client: reqwest::Client,
    /// Manifest and generation of the newest configuration.
    manifest: Manifest,
    pub generation: i64,
    pub settings: Settings,
    drain: u64,
    place: Place,
    starts: u32,
    versions: u32,
}

/// Where a runner is.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    /// A process of this machine.
    Machine,
    /// The first process of a container, with an FFmpeg that starts a child of its own and never asks for its end.
    Container,
}

struct Ports {
    whep: u16,
    runner: u16,
    media: u16,
    legs: u16,
}

/// A port of which the next one is free too, both given out once.
fn free_pair() -> u16 {
    loop {
        let port = free_port();
        if free_port() == port + 1 {
            return port;
        }
    }
}

impl Pod {
    /// Starts both containers in the order of Kubernetes.
    pub async fn start(manifest: Manifest) -> Self {
        Self::start_with(manifest, 60).await
    }

    /// The same with another drain timeout.
    pub async fn start_with(manifest: Manifest, drain: u64) -> Self {
        Self::start_as(manifest, drain, Place::Machine).await
    }

    /// The same, with the runner where it is to be.
    pub async fn start_as(manifest: Manifest, drain: u64, place: Place) -> Self {
        let directory = tempfile::Builder::new().prefix("dragonfork-worker-").tempdir().expect("a folder");
        for name in ["process", "run", "data"] {
            fs::create_dir(directory.path().join(name)).expect("it is new");
        }
        let ports = Ports { whep: free_port(), runner: free_port(), media: free_port(), legs: free_pair() };
        let settings = Settings {
            auth: true,
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            ice_servers: Vec::new(),
            max_viewers_per_stream: 8,
        };
        let key = Key::new("operator", Algorithm::EdDSA);
        let configuration = configuration(&manifest, 1, &settings, &key);
        mount(&directory.path().join("process"), 1, configuration);
        let whep = whep(directory.path(), &ports, 0);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        until_ready(&client, ports.whep).await;
        let runner = runner(directory.path(), &ports, drain, place, 0);
        until_ready(&client, ports.runner).await;
        Self {
            whep,
            runner,
            directory,
            ports,
            key,
            client,
            manifest,
            generation: 1,
            settings,
            drain,
            place,
            starts: 0,
            versions: 1,
        }
    }

    /// Ends the sidecar as a crash would.
    pub async fn kill_whep(&mut self) {
        self.whep.signal(Signal::KILL);
        assert!(self.whep.end_within(PATIENCE).await.is_some(), "it is killed");
    }

    /// Starts it again, as Kubernetes would.
    pub async fn restart_whep(&mut self) {
        self.starts += 1;
        self.whep = whep(self.directory.path(), &self.ports, self.starts);
        until_ready(&self.client, self.ports.whep).await;
    }

    /// Ends the runner as a crash would, and starts it again.
    pub async fn restart_runner(&mut self) {
        self.runner.signal(Signal::KILL);
        assert!(self.runner.end_within(PATIENCE).await.is_some(), "it is killed");
        self.start_runner().await;
    }

    /// Starts the runner again after its end.
    pub async fn start_runner(&mut self) {
        self.starts += 1;
        self.runner = runner(self.directory.path(), &self.ports, self.drain, self.place, self.starts);
        until_ready(&self.client, self.ports.runner).await;
    }

    /// A token that the operator signed.
    pub fn token(&self, process: &str, actions: &[&str]) -> String {
        sign(&self.key, process, actions)
    }

    fn all(&self) -> String {
        self.token("*", &["read", "play", "write"])
    }

    /// The WHEP endpoint.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v3/whep/{PROCESS}", self.ports.whep)
    }

    /// The answer to a request to the runner.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Response {
        let request = self.client.get(format!("http://127.0.0.1:{}{path}", self.ports.runner));
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        request.send().await.expect("the runner answers")
    }

    /// What the sidecar answers to an offer.
    pub async fn offer(&self, token: &str) -> Response {
        let offer = include_str!("../offers/offer_chromium156_mdns.sdp");
        let request = self.client.post(self.url()).bearer_auth(token).header("content-type", "application/sdp");
        request.body(offer).send().await.expect("the sidecar answers")
    }

    /// The same with a token that may play.
    pub async fn offer_as_viewer(&self) -> Response {
        self.offer(&self.token(PROCESS, &["play"])).await
    }

    /// Viewers that the sidecar itself counts.
    pub async fn viewers(&self) -> u64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports.whep);
        let text = self.client.get(url).send().await.expect("it answers").text().await.expect("it is text");
        let line = text.lines().find_map(|line| line.strip_prefix("dragonfork_viewers "));
        line.unwrap_or_else(|| panic!("{text}")).parse().expect("a number")
    }

    /// Waits until the sidecar counts so many.
    pub async fn until_viewers(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.viewers().await != count {
            assert!(Instant::now() < deadline, "there are {} viewers, not {count}", self.viewers().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the runner tells of itself.
    pub async fn report(&self) -> Report {
        let response = self.get("/worker", Some(&self.all())).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.expect("it is a report")
    }

    /// Status and text of the answer to another configuration.
    pub async fn put_with(&self, token: &str, configuration: &Configuration) -> (u16, String) {
        let request = self.client.put(format!("http://127.0.0.1:{}/worker", self.ports.runner)).bearer_auth(token);
        let response = request.json(configuration).send().await.expect("the runner answers");
        (response.status().as_u16(), response.text().await.expect("it is text"))
    }

    /// The configuration as it is now.
    pub fn configuration(&self) -> Configuration {
        configuration(&self.manifest, self.generation, &self.settings, &self.key)
    }

    /// Hands over the newest configuration.
    pub async fn put(&self) {
        let (status, text) = self.put_with(&self.all(), &self.configuration()).await;
        assert_eq!((status, text.as_str()), (204, ""));
    }

    /// Hands over another manifest.
    pub async fn put_manifest(&mut self, manifest: Manifest) {
        self.manifest = manifest;
        self.generation += 1;
        self.put().await;
    }

    /// Mounts another manifest of this generation, as the kubelet does.
    pub fn mount(&mut self, manifest: &Manifest, generation: i64) -> Configuration {
        self.versions += 1;
        let configuration = configuration(manifest, generation, &self.settings, &self.key);
        mount(&self.directory.path().join("process"), self.versions, configuration.clone());
        configuration
    }

    /// Waits until the status is as it should be.
    pub async fn until(&self, what: &str, holds: impl Fn(&RestreamProcessStatus) -> bool) -> RestreamProcessStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Report { status, .. } = self.report().await;
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}; it is {status:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the condition `PlaybackReady` has this reason.
    pub async fn until_playback(&self, reason: &str) -> RestreamProcessStatus {
        let is_so = |status: &RestreamProcessStatus| {
            status.conditions.iter().any(|condition| condition.type_ == "PlaybackReady" && condition.reason == reason)
        };
        self.until(&format!("PlaybackReady is {reason}"), is_so).await
    }

    /// Process id of the one FFmpeg that sends to the legs.
    pub async fn ffmpeg(&self) -> u32 {
        self.ffmpeg_with(&format!("127.0.0.1:{}", self.ports.legs)).await
    }

    /// Process id of the one FFmpeg with this word among its arguments, once it is the only one.
    pub async fn ffmpeg_with(&self, word: &str) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let has_word = |id: &u32| arguments(*id).iter().skip(1).any(|argument| argument.contains(word));
            let found: Vec<u32> = descendants(self.runner.id()).into_iter().filter(has_word).collect();
            if let [only] = found[..] {
                return only;
            }
            assert!(Instant::now() < deadline, "{} FFmpegs have {word:?}", found.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

fn sign(key: &Key, process: &str, actions: &[&str]) -> String {
    key.sign(&json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "operator", "exp": at(600), "process": process, "action": actions,
    }))
}

fn configuration(manifest: &Manifest, generation: i64, settings: &Settings, key: &Key) -> Configuration {
    let mut whole: Value = serde_json::from_str(&manifest.text()).expect("it is JSON");
    whole["metadata"]["namespace"] = json!("studio");
    whole["metadata"]["generation"] = json!(generation);
    Configuration {
        process: serde_json::to_string_pretty(&whole).expect("JSON is YAML"),
        settings: serde_json::to_string(settings).expect("it is JSON"),
        jwks: jwks(&[key]),
    }
}

/// Puts files into the mount all at once, by a link, as the kubelet does.
fn mount(directory: &Path, version: u32, configuration: Configuration) {
    let folder = directory.join(format!("..{version}"));
    fs::create_dir(&folder).expect("it is new");
    for (name, text) in configuration.into_map() {
        fs::write(folder.join(&name), text).expect("it can be written");
        if version == 1 {
            symlink(format!("..data/{name}"), directory.join(name)).expect("a link");
        }
    }
    let draft = directory.join("..data_tmp");
    symlink(format!("..{version}"), &draft).expect("a link");
    fs::rename(draft, directory.join("..data")).expect("it can be moved");
}

/// The environment that both containers have.
fn container(mode: &str, directory: &Path) -> Command {
    set_up(Command::new(env!("CARGO_BIN_EXE_dragonfork")), mode, directory)
}

fn set_up(mut command: Command, mode: &str, directory: &Path) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CORE_")) {
        command.env_remove(name);
    }
    command
        .arg(mode)
        .env("CORE_WORKER_PROCESS", PROCESS)
        .env("CORE_WORKER_CONFIGURATION", directory.join("process"))
        .env("CORE_WORKER_SOCKET", directory.join("run/gateway.sock"))
        .env("CORE_LOG_FORMAT", "json")
        .env("TMPDIR", directory);
    command
}

fn whep(directory: &Path, ports: &Ports, start: u32) -> Child {
    let mut command = container("whep", directory);
    command
        .env("CORE_WORKER_LEG_PORT", ports.legs.to_string())
        .env("CORE_ADDRESS", format!("127.0.0.1:{}", ports.whep))
        .env("CORE_WEBRTC_ADDRESS", format!("127.0.0.1:{}", ports.media));
    Child::start(&format!("whep-{start}"), &mut command, directory)
}

fn runner(directory: &Path, ports: &Ports, drain: u64, place: Place, start: u32) -> Child {
    let folder = |name: &str| -> PathBuf { directory.join(name) };
    let mut command = match place {
        Place::Machine => container("runner", directory),
        Place::Container => {
            let script = folder("ffmpeg.sh");
            fs::write(&script, "#!/bin/sh\nsleep 1000 &\nexec ffmpeg \"$@\"\n").expect("it can be written");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is there");
            let mut unshare = Command::new("unshare");
            unshare.args(NAMESPACE).arg(env!("CARGO_BIN_EXE_dragonfork"));
            let mut command = set_up(unshare, "runner", directory);
            command.env("CORE_FFMPEG_BINARY", script);
            command
        }
    };
    command
        .env("CORE_SECRETS_DIR", folder("secrets"))
        .env("CORE_STORAGE_DISK_DIR", folder("data"))
        .env("CORE_ADDRESS", format!("127.0.0.1:{}", ports.runner))
        .env("CORE_WORKER_DRAIN_SECONDS", drain.to_string());
    Child::start(&format!("runner-{start}"), &mut command, directory)
}

async fn until_ready(client: &reqwest::Client, port: u16) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.get(format!("http://127.0.0.1:{port}/ping")).send().await;
        if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            return;
        }
        assert!(Instant::now() < deadline, "nobody is ready at port {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
