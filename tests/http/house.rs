//! A server with everything behind it: snapshot, gateway and FFmpeg.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use dragonfork::controller::{Live, Origin, Problem, Process, Reports, Snapshot};
use dragonfork::core::Events;
use dragonfork::crd::{LegStatus, RestreamProcess, RestreamProcessStatus, State, WebRtcStatus};
use dragonfork::gateway::{Config as GatewayConfig, Gateway, Handle};
use dragonfork::http::jwks::{Jwks, Settings};
use dragonfork::http::token::{Grant, Purpose, Scope};
use dragonfork::http::{Auth, Config, Files, Identity, Limits, Login, TurnAuth, Watch, WorkerAddresses, router, serve};
use dragonfork::plan::{EgressPorts, Key};
use dragonfork::process::{LogLine, RunReport};
use dragonfork::rtp::Codec;
use dragonfork::sessions::Sessions;
use dragonfork::storage::{self, Storage};
use dragonfork::whep::{Client, Received};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::receiver::Receiver;
use super::source::Source;

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const SECRET: &str = "a secret of some length";
pub const CHROMIUM: &str = include_str!("../offers/offer_chromium156_mdns.sdp");

/// What a house is built with.
pub struct Wishes {
    pub auth: bool,
    pub webrtc: bool,
    pub strict_etag: bool,
    pub counter_offer: bool,
    pub turn_auth: Option<TurnAuth>,
    pub ice_lite: bool,
    pub max_viewers: usize,
    pub max_viewers_per_stream: usize,
    pub limits: Limits,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub jwks: Option<Settings>,
    /// Octets of the memory filesystem, and whether the oldest files make room.
    pub memory: (u64, bool),
    /// Octets of the disk directory.
    pub disk_limit: Option<u64>,
    /// Sites that may read files; none means all.
    pub origins: Vec<&'static str>,
    /// Clients that are not counted.
    pub ignored: Vec<ipnet::IpNet>,
    /// Processes whose workers answer elsewhere; makes it the server of a cluster.
    pub workers: Option<Vec<(&'static str, SocketAddr)>>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            auth: true,
            webrtc: true,
            strict_etag: false,
            counter_offer: true,
            turn_auth: None,
            ice_lite: false,
            max_viewers: 8,
            max_viewers_per_stream: 8,
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            jwks: None,
            memory: (1 << 20, false),
            disk_limit: None,
            origins: Vec::new(),
            ignored: Vec::new(),
            workers: None,
        }
    }
}

pub struct House {
    pub address: SocketAddr,
    pub http: reqwest::Client,
    pub shutdown: CancellationToken,
    pub serving: Option<JoinHandle<()>>,
    keeping: Option<JoinHandle<()>>,
    auth: Option<Auth>,
    gateway: Option<Gateway>,
    pub data: tempfile::TempDir,
    pub sessions: Arc<Mutex<Sessions>>,
    _storage: Storage,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

impl House {
    pub async fn new(wishes: Wishes) -> Self {
        let (client, requests) = Client::new();
        let gateway = wishes.webrtc.then(|| {
            let config = GatewayConfig {
                bind: "127.0.0.1:0".parse().expect("an address"),
                announce: Vec::new(),
                announce_interval: Duration::from_secs(60),
                leg_port: None,
                ice_lite: wishes.ice_lite,
                tcp: true,
                max_viewers: wishes.max_viewers,
                max_viewers_per_stream: wishes.max_viewers_per_stream,
            };
            Gateway::start(&config, requests, tokio::sync::mpsc::unbounded_channel().0).expect("it starts")
        });
        let whep = gateway.is_some().then_some(client);
        let mut house = Self::around(whep, wishes).await;
        house.gateway = gateway;
        house
    }

    /// A server that asks this gateway.
    pub async fn around(whep: Option<Client>, wishes: Wishes) -> Self {
        let (jwks, keeper) = wishes.jwks.map(|settings| Jwks::new(settings).expect("it needs no roots")).unzip();
        let auth = wishes.auth.then(|| {
            let auth = Auth::new("admin", "hunter22", SECRET).expect("it is complete");
            jwks.into_iter().fold(auth, Auth::with_jwks)
        });
        let (snapshot, shown) = watch::channel(Arc::default());
        let data = tempfile::tempdir().expect("a folder");
        let settings = storage::Settings {
            directory: data.path().to_owned(),
            disk_limit: wishes.disk_limit,
            memory_limit: Some(wishes.memory.0),
            memory_purge: wishes.memory.1,
        };
        let storage = Storage::start(settings, tokio::sync::mpsc::unbounded_channel().0).expect("it starts");
        let sessions = Arc::new(Mutex::new(Sessions::new(Duration::from_secs(30))));
        let files = Files {
            filesystems: storage.handle().filesystems(),
            memory_login: Some(Login::new("writer", "hunter23").expect("it is complete")),
            origins: wishes.origins.iter().map(|origin| origin.parse().expect("a header")).collect(),
            sessions: Some(Watch { sessions: sessions.clone(), ignored: wishes.ignored }),
        };
        let config = Config {
            identity: Identity {
                name: "dragonfork".into(),
                version: "1.2.3".into(),
                variant: "dragonfork".into(),
                fork: "Datarhei — Dragon Fork".into(),
                id: "an-instance".into(),
                created_at: jiff::Timestamp::now(),
            },
            auth: watch::channel(auth.clone()).1,
            limits: wishes.limits,
            trusted_proxies: wishes.trusted_proxies,
            whep,
            snapshot: shown,
            core: None,
            read_only: false,
            events: Events::new(0),
            metrics: true,
            metrics_auth: false,
            settings: watch::channel(Arc::default()).1,
            ice_servers: {
                let urls = ["stun:stun.example.com:3478", "turn:turn.example.com?transport=udp"];
                watch::channel(urls.map(String::from).into()).1
            },
            turn_auth: wishes.turn_auth,
            strict_etag: wishes.strict_etag,
            files,
            counter_offer: wishes.counter_offer,
            cores: NonZero::<usize>::MIN,
            workers: wishes.workers.map(|workers| {
                let worker = |(id, address)| (Key::new(id), WorkerAddresses { status: address, whep: address });
                watch::channel(Arc::new(workers.into_iter().map(worker).collect())).1
            }),
            worker: None,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let keeping = keeper.map(|keeper| tokio::spawn(keeper.run()));
        let serving = tokio::spawn(serve(listener, router(config), shutdown.clone()));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self {
            address,
            http,
            shutdown,
            serving: Some(serving),
            keeping,
            auth,
            gateway: None,
            data,
            sessions,
            _storage: storage,
            snapshot,
        }
    }

    pub fn handle(&self) -> Handle {
        self.gateway.as_ref().expect("it has one").handle()
    }

    /// Shows a process that plays, and opens its legs.
    pub async fn open(&self, id: &str) -> EgressPorts {
        self.show(playing(id));
        let ports = self.handle().open(id, None).await.expect("legs are opened");
        self.handle().expect(id, Some(Codec::H264), Some(Codec::Opus));
        ports
    }

    pub fn show(&self, process: Process) {
        self.snapshot.send_modify(|snapshot| {
            Arc::make_mut(snapshot).processes.insert(process.key.clone(), Arc::new(process));
        });
    }

    pub fn show_problem(&self, origin: &str, error: &str) {
        self.snapshot.send_modify(|snapshot| {
            let problem = Problem { origin: origin.into(), errors: vec![error.into()] };
            Arc::make_mut(snapshot).problems.push(problem);
        });
    }

    pub fn forget(&self, id: &str) {
        self.snapshot.send_modify(|snapshot| {
            Arc::make_mut(snapshot).processes.remove(&Key::new(id));
        });
    }

    pub fn token(&self) -> String {
        self.mint(Purpose::Access, 600, Scope::default())
    }

    pub fn mint(&self, purpose: Purpose, lifetime: u64, scope: Scope) -> String {
        let grant = Grant { subject: "admin", purpose, lifetime: Duration::from_secs(lifetime), scope };
        self.auth.as_ref().expect("authentication is on").signer().expect("it signs").mint(&grant, SystemTime::now())
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request without a token.
    pub fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(Method::from_bytes(method.as_bytes()).expect("a method"), self.url(path))
    }

    /// A request with a token that allows everything.
    pub fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        let request = self.bare(method, path);
        if self.auth.is_some() { request.bearer_auth(self.token()) } else { request }
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.ask("GET", path).send().await.expect("it is answered");
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.expect("JSON")
    }

    /// POSTs an offer.
    pub async fn offer(&self, path: &str, offer: &str) -> Response {
        let request = self.ask("POST", path).header("content-type", "application/sdp").body(offer.to_owned());
        request.send().await.expect("it is answered")
    }

    /// POSTs an offer until the stream has media.
    pub async fn offer_until_media(&self, path: &str, offer: &str) -> Response {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.offer(path, offer).await;
            if response.status() != 409 {
                return response;
            }
            assert!(Instant::now() < deadline, "the stream has no media");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(keeping) = &self.keeping {
            keeping.abort();
        }
        if let Some(gateway) = self.gateway.take() {
            gateway.shutdown();
        }
    }
}

/// A process as it is shown, with this spec and in this state.
pub fn process(id: &str, spec: &Value, status: RestreamProcessStatus) -> Process {
    let mut whole = json!({ "input": [{ "id": "in", "address": "rtmp://user:secret@host/live" }] });
    for (key, value) in spec.as_object().expect("an object") {
        whole[key] = value.clone();
    }
    let spec = serde_json::from_value(whole).expect("a spec");
    let log = vec![LogLine { at: 1_700_000_005, line: "Stream mapping:".into() }];
    let report = RunReport { started_at: 1_700_000_004, log: log.clone(), ..RunReport::default() };
    Process {
        key: Key::new(id),
        origin: Origin(format!("{id}.yaml")),
        manifest: Arc::new(RestreamProcess::new(id, spec)),
        refused: Vec::new(),
        status,
        log: Arc::new(log),
        live: Live::new(1_700_000_002),
        reports: Reports { current: Some(Arc::new(report)), ..Reports::default() },
        ends: BTreeMap::new(),
        created_at: 1_700_000_000,
        updated_at: 1_700_000_001,
        state_since: 1_700_000_002,
    }
}

/// A running process with WebRTC.
pub fn playing(id: &str) -> Process {
    let leg = |map: &str, reason: &str| {
        Some(LegStatus { action: "Transcode".into(), map: Some(map.into()), reason: reason.into() })
    };
    let webrtc = WebRtcStatus {
        whep_url: None,
        announced: Vec::new(),
        viewers: 0,
        video: leg("0:v:0", "raw video is no codec of WebRTC"),
        audio: leg("1:a:0", "pcm_s16le is not Opus"),
    };
    let status = RestreamProcessStatus { state: State::Running, webrtc: Some(webrtc), ..Default::default() };
    process(id, &json!({ "webrtc": { "enabled": true } }), status)
}

/// A problem's status and machine word; proves its shape and that a page may read it.
pub async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert!(!response.headers().contains_key("access-control-allow-credentials"));
    let exposed = response.headers()["access-control-expose-headers"].to_str().expect("text").to_owned();
    for name in ["Location", "ETag", "Link", "Retry-After", "WWW-Authenticate", "Accept-Post", "Accept-Patch"] {
        assert!(exposed.split(", ").any(|exposed| exposed == name), "{name}");
    }
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: BTreeMap<String, Value> = response.json().await.expect("JSON");
    assert_eq!((&body["code"], &body["status"]), (&json!(status), &json!(status)));
    assert!(body["message"].is_string() && body["title"].is_string() && body["type"].is_string());
    assert_eq!(body["details"], json!([body["detail"]]));
    (status, body["reason"].as_str().expect("a word").to_owned())
}

/// Starts a test source that browsers can play, with a keyframe every second.
pub fn start_source(ports: EgressPorts) -> Source {
    Source::start(ports, "-tune zerolatency -profile:v baseline -bf 0 -g 30 -keyint_min 30 -b:v 1M")
}

/// Takes an answer, and goes on until both tracks came.
pub async fn receive(receiver: &mut Receiver, answer: &str) {
    receiver.handle_answer(answer);
    receive_both(receiver).await;
}

/// Goes on until both tracks came.
pub async fn receive_both(receiver: &mut Receiver) {
    let deadline = Instant::now() + PATIENCE;
    let mut received: Vec<Received> = Vec::new();
    let has = |received: &[Received], kind: &str| received.iter().any(|packet| packet.track.contains(kind));
    while !has(&received, "video") || !has(&received, "audio") {
        assert!(Instant::now() < deadline, "only {} packets came", received.len());
        received.extend(receiver.step(|_| {}).await);
    }
}
