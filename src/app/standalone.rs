//! Standalone mode: directory source, controller, FFmpeg runner, WebRTC gateway and HTTP in one process.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::credentials::{self, Credentials};
use super::desk::Desk;
use super::files;
use super::keepers::Keepers;
use super::links::Links;
use super::listen::{Signals, listen};
use super::questions::{Ask, Questions};
use super::settings::Settings;
use super::store::Store;
use super::surroundings::surroundings;
use super::turn::turn_auth;
use super::{FORK, VARIANT, VERSION};
use crate::args;
use crate::controller::{Change, Controller, Observation, Playback, Seen, Snapshot};
use crate::core::{self, Events};
use crate::gateway::{self, Gateway};
use crate::http::{self, jwks, jwks::Jwks, jwks::Keeper};
use crate::plan::Key;
use crate::process;
use crate::rtp::Codec;
use crate::runner::{self, Runner};
use crate::source;
use crate::storage::{self, Storage};
use crate::telemetry::Verbosity;
use crate::whep;

/// What is shown is renewed at most this often.
const SHOW_INTERVAL: Duration = Duration::from_millis(100);
/// All that is left when the program is told to end must be done within this; FFmpeg has 5 s of it.
const SHUTDOWN: Duration = Duration::from_secs(9);

/// Runs until SIGINT or SIGTERM; `events` are what is logged meanwhile.
pub async fn standalone(config: args::Standalone, events: Events, verbosity: Verbosity) -> anyhow::Result<()> {
    tracing::info!(application = "dragonfork", version = VERSION, variant = VARIANT, fork = FORK, "starting");
    for name in args::unsupported_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        tracing::warn!(variable = name, "this variable is not supported and has no effect");
    }
    let signals = Signals::new()?;
    raise_descriptor_limit();
    let credentials = credentials::load(&config.credentials)?;
    let settings = Settings::new(&config, &credentials, verbosity);
    let (house, links) = House::build(&config, &credentials, events, settings)?;
    links.print(config.api_auth_enable.then_some(&credentials))?;
    let outcome = house.run(signals).await;
    tracing::info!("ended");
    outcome
}

/// Everything that runs.
struct House {
    controller: Controller,
    keepers: Keepers,
    gateway: Option<Gateway>,
    skills: watch::Receiver<runner::Known>,
    source: source::Watch,
    storage: Storage,
    /// The disk directory.
    directory: String,
    http: JoinHandle<()>,
    http_shutdown: CancellationToken,
    /// Where clients have processes changed.
    desk: JoinHandle<()>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    news: News,
}

/// What the rooms tell.
struct News {
    changes: UnboundedReceiver<Change>,
    observations: UnboundedReceiver<Observation>,
    runs: UnboundedReceiver<(Key, runner::Event)>,
    gateway: UnboundedReceiver<gateway::Event>,
    storage: UnboundedReceiver<storage::Event>,
    asks: UnboundedReceiver<Ask>,
}

impl House {
    fn build(
        config: &args::Standalone,
        credentials: &Credentials,
        events: Events,
        settings: Settings,
    ) -> anyhow::Result<(Self, Links)> {
        let directory = disk_directory(&config.storage_disk_dir)?;
        let (run_events, runs) = unbounded_channel();
        let (storage_events, storage_news) = unbounded_channel();
        let (storage, files) = files::start(&config.storage, &directory, credentials, storage_events)?;
        let folder = directory.display().to_string();
        let running = runner::Settings {
            ffmpeg: config.ffmpeg_binary.clone(),
            directory: directory.clone(),
            environment: environment(std::env::vars_os()),
            log_lines: config.ffmpeg_log_max_lines,
        };
        let runner = Arc::new(Runner::new(running, run_events)?);
        let skills = load_skills(&runner);
        let (whep, requests) = whep::Client::new();
        let (gateway_events, gateway_news) = unbounded_channel();
        let gateway = match config.webrtc_enable {
            true => Some(Gateway::start(&gateway_config(config), requests, gateway_events)?),
            false => None,
        };
        let announced = gateway.as_ref().map(|gateway| gateway.announced().to_vec()).unwrap_or_default();
        let playback = Playback {
            enabled: gateway.is_some(),
            ended: false,
            announced: announced.iter().map(SocketAddr::to_string).collect(),
        };
        let (snapshot, shown) = watch::channel(Arc::new(Snapshot::default()));
        let listener = listen(config.address)?;
        let links = Links { address: listener.local_addr()?, announced };
        let surroundings = surroundings(config, links.address, credentials, directory, std::env::vars_os());
        let http_shutdown = CancellationToken::new();
        let store = Store::open(&config.credentials.db_dir)?;
        let (core, orders) = core::Client::new(store.subscribe());
        let whep = gateway.is_some().then_some(whep);
        let shows = Shows { whep, core, events, snapshot: shown.clone(), files, settings: settings.subscribe() };
        let (http_config, keeper) = http_config(config, credentials, shows)?;
        let http = tokio::spawn(serve(listener, http::router(http_config), keeper, http_shutdown.clone()));
        let (change_sender, changes) = unbounded_channel();
        let source = source::watch(config.manifests.clone(), config.media.secrets_dir.clone(), change_sender)?;
        let (ask, asks) = unbounded_channel();
        let questions = Questions { runner: runner.clone(), asks: ask, cores: cores() };
        let (directory, hand) = (config.manifests.clone(), source.hand());
        let desk = Desk { directory, hand, store, settings, snapshot: shown, questions, cores: cores() };
        let (observe, observations) = unbounded_channel();
        let house = Self {
            controller: Controller::new(playback, surroundings).with_history(config.ffmpeg_log_max_history),
            keepers: Keepers::new(runner, gateway.as_ref().map(Gateway::handle), storage.handle().clone(), observe),
            gateway,
            skills,
            source,
            storage,
            directory: folder,
            http,
            http_shutdown,
            desk: tokio::spawn(desk.run(orders)),
            snapshot,
            news: News { changes, observations, runs, gateway: gateway_news, storage: storage_news, asks },
        };
        Ok((house, links))
    }

    async fn run(mut self, mut signals: Signals) -> anyhow::Result<()> {
        let outcome = tokio::select! {
            signal = signals.recv() => {
                tracing::info!(signal, "ending");
                Ok(())
            }
            outcome = self.live() => outcome,
        };
        tokio::select! {
            () = self.shutdown() => outcome,
            () = tokio::time::sleep(SHUTDOWN) => Err(anyhow::anyhow!("not everything ended within {} s", SHUTDOWN.as_secs())),
            signal = signals.recv() => Err(anyhow::anyhow!("ended at once by a second {signal}")),
        }
    }

    /// Takes what comes and performs what follows; returns only when a part ends that must not.
    async fn live(&mut self) -> anyhow::Result<()> {
        let mut show_at: Option<Instant> = None;
        loop {
            let show = async {
                match show_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let now = Timestamp::now;
            tokio::select! {
                Some(change) = self.news.changes.recv() => {
                    self.controller.handle_change(change, now());
                    // Clients wait for what comes of their orders.
                    show_at = Some(Instant::now());
                }
                Some(ask) = self.news.asks.recv() => ask.put_to(&mut self.controller),
                Some(seen) = self.news.observations.recv() => self.controller.handle_observation(seen, now()),
                Some((key, event)) = self.news.runs.recv() => self.handle_run(key, event),
                Some(event) = self.news.gateway.recv() => self.handle_gateway(event),
                Some(storage::Event::DiskFull(is_full)) = self.news.storage.recv() => {
                    self.controller.handle_disk_full(is_full.then(|| self.directory.clone()), now());
                }
                Ok(()) = self.skills.changed() => {
                    if let runner::Known::Answered(skills) = &*self.skills.borrow_and_update() {
                        self.controller.handle_skills(skills.clone());
                    }
                }
                tended = self.keepers.tend() => tended.context("the keeper of a process failed")?,
                () = self.storage.ended() => bail!("the housekeeper of the filesystems ended"),
                () = self.source.ended() => bail!("the watch over the manifest directory ended"),
                ended = &mut self.http => ended.context("HTTP failed").and_then(|()| bail!("HTTP ended"))?,
                ended = &mut self.desk => ended.context("the desk of changes failed").and_then(|()| bail!("the desk ended"))?,
                () = show => {
                    show_at = None;
                    self.snapshot.send_replace(Arc::new(self.controller.snapshot()));
                    continue;
                }
            }
            while let Some(step) = self.controller.poll_step() {
                self.keepers.perform(step);
            }
            if let Some(gateway) = self.gateway.take_if(|gateway| gateway.is_finished()) {
                tracing::error!("the WebRTC gateway ended; outputs of other kinds go on without it");
                self.controller.handle_playback_ended(Timestamp::now());
                tokio::task::spawn_blocking(|| gateway.shutdown());
            }
            show_at.get_or_insert_with(|| Instant::now() + SHOW_INTERVAL);
        }
    }

    fn handle_run(&mut self, key: Key, event: runner::Event) {
        let seen = match event {
            runner::Event::Run(event) => {
                log_run(&key, &event);
                Seen::Run(event)
            }
            runner::Event::Legs(legs) => {
                for (leg, of) in [("picture", &legs.video), ("sound", &legs.audio)] {
                    let codec = of.codec.map(Codec::name);
                    tracing::info!(process = %key, leg, action = ?of.action, codec, reason = of.reason, "leg chosen");
                }
                if let Some(gateway) = &self.gateway {
                    gateway.handle().expect(key.as_str(), legs.video.codec, legs.audio.codec);
                }
                Seen::Legs(legs)
            }
            runner::Event::Command(arguments) => Seen::Command(arguments),
            runner::Event::Streams(streams) => Seen::Streams(streams),
            runner::Event::Stalled(stalled) => {
                for process::Stalled { peer, outputs } in &stalled {
                    tracing::warn!(process = %key, %peer, ?outputs, "a server has taken nothing for some time");
                }
                Seen::Stalled(stalled)
            }
        };
        self.controller.handle_observation(Observation { key, seen }, Timestamp::now());
    }

    fn handle_gateway(&mut self, event: gateway::Event) {
        let (stream, seen) = match event {
            gateway::Event::Media { stream, video, audio } => (stream, Seen::Media { video, audio }),
            gateway::Event::Viewers { stream, count } => (stream, Seen::Viewers(count)),
            gateway::Event::Announced(announced) => {
                let announced = announced.iter().map(SocketAddr::to_string).collect();
                return self.controller.handle_announced(announced, Timestamp::now());
            }
            gateway::Event::Draining | gateway::Event::Reachable(_) => return,
            gateway::Event::Reordered { stream } => return self.keepers.note_reordered(&Key::new(stream)),
        };
        self.controller.handle_observation(Observation { key: Key::new(stream), seen }, Timestamp::now());
    }

    /// In this order: nothing is changed any more, nothing new is started, FFmpeg ends, viewers are told, HTTP ends.
    async fn shutdown(self) {
        let Self { keepers, gateway, source, http, http_shutdown, desk, .. } = self;
        desk.abort();
        source.shutdown().await;
        keepers.shutdown().await;
        if let Some(gateway) = gateway {
            // Its thread ends at once; waiting for it is nothing that a task may do.
            let _ = tokio::task::spawn_blocking(|| gateway.shutdown()).await;
        }
        http_shutdown.cancel();
        if !http.is_finished() {
            let _ = http.await;
        }
    }
}

/// Asks FFmpeg what it can do, while everything else begins.
fn load_skills(runner: &Runner) -> watch::Receiver<runner::Known> {
    let answer = runner.load_skills();
    tokio::spawn(async move {
        match answer.await {
            Ok(Ok(skills)) => tracing::info!(version = skills.build.version, "FFmpeg is there"),
            Ok(Err(error)) => tracing::warn!(%error, "FFmpeg cannot be asked what it can do"),
            Err(error) => tracing::error!(%error, "the question what FFmpeg can do ended early"),
        }
    });
    runner.skills()
}

fn log_run(key: &Key, event: &process::Event) {
    use process::{Cause, Event};
    match event {
        Event::Probing => tracing::info!(process = %key, "probing the inputs"),
        Event::Started(pid) => tracing::info!(process = %key, pid, "FFmpeg started"),
        Event::Waiting => tracing::info!(process = %key, "waiting for a publisher"),
        Event::Progress(_) | Event::Log(_) | Event::Report(_) | Event::Usage(_) | Event::Ending => {}
        Event::Ended { exit, restart_in } => {
            let process::Exit { code, signal, cause, message, at: _ } = exit;
            let restart_in = restart_in.map(|delay| delay.as_secs());
            match cause {
                Cause::Finished | Cause::Stopped | Cause::Corrected => {
                    tracing::info!(process = %key, ?cause, code, signal, restart_in, message, "FFmpeg ended");
                }
                Cause::Failed
                | Cause::Killed
                | Cause::Stale
                | Cause::SpawnFailed
                | Cause::Unsupported
                | Cause::CpuLimit
                | Cause::MemoryLimit => {
                    tracing::warn!(process = %key, ?cause, code, signal, restart_in, message, "FFmpeg ended");
                }
            }
        }
    }
}

/// Lets the program have as many connections, legs and children as the system allows it; the usual default of 1,024
/// descriptors is little for that.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays low");
        }
    }
}

/// The directory in which FFmpeg runs; made where it is missing.
fn disk_directory(path: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(path).and_then(|()| path.canonicalize()).with_context(|| {
        format!(
            "{} cannot be made: make its parent writable, or name another one (CORE_STORAGE_DISK_DIR)",
            path.display()
        )
    })
}

/// What FFmpeg sees of the environment: where programs, libraries and fonts are, and devices of graphics cards.
/// Never the secrets of this program.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    const NAMES: [&str; 6] = ["PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR"];
    const PREFIXES: [&str; 3] = ["LIBVA_", "NVIDIA_", "CUDA_"];
    let is_passed_on = |name: &str| NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    variables.filter(|(name, _)| name.to_str().is_some_and(is_passed_on)).collect()
}

fn gateway_config(config: &args::Standalone) -> gateway::Config {
    gateway::Config {
        bind: config.webrtc_address,
        announce: config
            .webrtc_announce
            .iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
        leg_port: None,
        announce_interval: Duration::from_secs(config.webrtc_announce_interval),
        ice_lite: config.webrtc_ice_lite,
        tcp: config.webrtc_tcp,
        max_viewers: config.webrtc_max_viewers as usize,
        max_viewers_per_stream: config.webrtc_max_viewers_per_stream as usize,
    }
}

/// What HTTP shows, and whom it asks.
struct Shows {
    whep: Option<whep::Client>,
    core: core::Client,
    events: Events,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    files: http::Files,
    settings: watch::Receiver<Arc<Vec<http::Setting>>>,
}

fn http_config(
    config: &args::Standalone,
    credentials: &Credentials,
    shows: Shows,
) -> anyhow::Result<(http::Config, Option<Keeper>)> {
    let access = &config.access;
    let Shows { whep, core, events, snapshot, files, settings } = shows;
    let (auth, keeper) = if config.api_auth_enable {
        let auth = http::Auth::new(&credentials.username, &credentials.password, &credentials.jwt_secret)?;
        match jwks_settings(access).map(Jwks::new).transpose()? {
            Some((jwks, keeper)) => (Some(auth.with_jwks(jwks)), Some(keeper)),
            None => (Some(auth), None),
        }
    } else {
        (None, None)
    };
    let config = http::Config {
        identity: http::Identity {
            name: "dragonfork".into(),
            version: VERSION.into(),
            variant: VARIANT.into(),
            fork: FORK.into(),
            id: credentials.id.clone(),
            created_at: Timestamp::now(),
        },
        auth,
        limits: http::Limits {
            logins: http::Limit { burst: access.api_login_burst, per_minute: access.api_logins_per_minute },
            offers: http::Limit { burst: access.webrtc_offer_burst, per_minute: access.webrtc_offers_per_minute },
        },
        trusted_proxies: access.api_trusted_proxies.clone(),
        whep,
        snapshot,
        core: Some(core),
        read_only: config.api_read_only,
        events,
        metrics: config.metrics_enable_prometheus,
        metrics_auth: config.metrics_auth,
        settings,
        ice_servers: config.webrtc_ice_servers.clone(),
        turn_auth: turn_auth(&config.turn)?,
        strict_etag: config.webrtc_strict_etag,
        files,
        counter_offer: config.webrtc_counter_offer,
        cores: cores(),
    };
    Ok((config, keeper))
}

/// Those that this program may use.
fn cores() -> NonZero<usize> {
    std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// HTTP, and for as long what keeps the keys of the other issuer up to date.
async fn serve(listener: TcpListener, router: Router, keeper: Option<Keeper>, shutdown: CancellationToken) {
    let keep = async {
        match keeper {
            Some(keeper) => keeper.run().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = http::serve(listener, router, shutdown) => {}
        () = keep => {}
    }
}

fn jwks_settings(access: &args::Access) -> Option<jwks::Settings> {
    let source = match access.api_auth_jwks.clone()? {
        args::KeySource::File(path) => jwks::Source::File(path),
        args::KeySource::Url(url) => {
            if url.scheme_str() == Some("http") {
                tracing::warn!(
                    "the JWKS comes by http:, so whoever is on the way can replace its keys; https: is safe"
                );
            }
            jwks::Source::Url(url)
        }
    };
    let algorithm = |algorithm: &args::Algorithm| match algorithm {
        args::Algorithm::Rs256 => Algorithm::RS256,
        args::Algorithm::Es256 => Algorithm::ES256,
        args::Algorithm::EdDsa => Algorithm::EdDSA,
    };
    Some(jwks::Settings {
        source,
        issuers: access.api_auth_jwks_issuer.clone(),
        audiences: access.api_auth_jwks_audience.clone(),
        algorithms: access.api_auth_jwks_algorithms.iter().map(algorithm).collect(),
    })
}
