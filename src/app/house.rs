//! What every mode that runs FFmpeg is made of: a source, the controller, keepers, and a way to the gateway.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keepers::Keepers;
use super::questions::Ask;
use super::{FORK, VARIANT, VERSION};
use crate::args;
use crate::controller::{Change, Controller, Observation, Playback, Seen, Snapshot};
use crate::gateway::{self, Gateway};
use crate::http::{self, jwks::Keeper};
use crate::plan::{Key, Surroundings};
use crate::process;
use crate::rtp::Codec;
use crate::runner::{self, Runner};
use crate::source;
use crate::storage::{self, Storage};

/// What is shown is renewed at most this often.
const SHOW_INTERVAL: Duration = Duration::from_millis(100);

/// What FFmpegs are seen to do.
pub type Runs = UnboundedReceiver<(Key, runner::Event)>;

/// What plays what FFmpeg sends.
pub enum Playing {
    /// Nothing.
    Off,
    /// This program's gateway.
    Here(Gateway),
    /// The gateway of another program.
    There(gateway::Handle),
}

/// What a house is built from.
pub struct Parts {
    /// The manifest directory, and that of the values of Secrets.
    pub directories: (PathBuf, PathBuf),
    /// What starts FFmpeg, and what it tells.
    pub ffmpeg: (Arc<Runner>, Runs),
    /// Runs of a process whose reports are kept beside that of the newest.
    pub history: usize,
    /// The filesystems, and what they tell.
    pub storage: (Storage, UnboundedReceiver<storage::Event>),
    /// The disk directory.
    pub folder: String,
    /// The gateway, and what it tells.
    pub gateway: (Playing, UnboundedReceiver<gateway::Event>),
    /// What is the same for the playback of every process.
    pub playback: Playback,
    /// What manifests can refer to.
    pub surroundings: Surroundings,
    /// What clients ask of the controller.
    pub asks: UnboundedReceiver<Ask>,
    /// Where what is shown goes.
    pub snapshot: watch::Sender<Arc<Snapshot>>,
}

/// Everything that runs FFmpeg.
pub struct House {
    controller: Controller,
    keepers: Keepers,
    gateway: Playing,
    skills: watch::Receiver<runner::Known>,
    source: source::Watch,
    storage: Storage,
    folder: String,
    snapshot: watch::Sender<Arc<Snapshot>>,
    audience: watch::Sender<Audience>,
    news: News,
}

/// What the rooms tell.
struct News {
    changes: UnboundedReceiver<Change>,
    observations: UnboundedReceiver<Observation>,
    runs: Runs,
    gateway: UnboundedReceiver<gateway::Event>,
    storage: UnboundedReceiver<storage::Event>,
    asks: UnboundedReceiver<Ask>,
}

/// Who watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Viewers of each process.
    pub viewers: BTreeMap<String, usize>,
    /// The gateway takes no new ones.
    pub draining: bool,
    /// The gateway, which is another program, does not answer.
    pub away: bool,
}

impl House {
    /// Begins to watch the directory; nothing is done before [`House::live`].
    pub fn build(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            directories: (manifests, secrets),
            ffmpeg: (runner, runs),
            history,
            storage: (storage, storage_news),
            folder,
            gateway: (gateway, gateway_news),
            playback,
            surroundings,
            asks,
            snapshot,
        } = parts;
        let (change_sender, changes) = unbounded_channel();
        let source = source::watch(manifests, secrets, change_sender)?;
        let (observe, observations) = unbounded_channel();
        let handle = match &gateway {
            Playing::Off => None,
            Playing::Here(gateway) => Some(gateway.handle()),
            Playing::There(handle) => Some(handle.clone()),
        };
        Ok(Self {
            controller: Controller::new(playback, surroundings).with_history(history),
            skills: load_skills(&runner),
            keepers: Keepers::new(runner, handle, storage.handle().clone(), observe),
            gateway,
            source,
            storage,
            folder,
            snapshot,
            audience: watch::Sender::default(),
            news: News { changes, observations, runs, gateway: gateway_news, storage: storage_news, asks },
        })
    }

    /// The way to the watch over the directory.
    pub fn hand(&self) -> source::Hand {
        self.source.hand()
    }

    /// Who watches.
    pub fn audience(&self) -> watch::Receiver<Audience> {
        self.audience.subscribe()
    }

    /// Takes what comes and performs what follows; returns only when a part ends that must not.
    pub async fn live(&mut self) -> anyhow::Result<()> {
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
                    self.controller.handle_disk_full(is_full.then(|| self.folder.clone()), now());
                }
                Ok(()) = self.skills.changed() => {
                    if let runner::Known::Answered(skills) = &*self.skills.borrow_and_update() {
                        self.controller.handle_skills(skills.clone());
                    }
                }
                tended = self.keepers.tend() => tended.context("the keeper of a process failed")?,
                () = self.storage.ended() => bail!("the housekeeper of the filesystems ended"),
                () = self.source.ended() => bail!("the watch over the manifest directory ended"),
                () = show => {
                    show_at = None;
                    self.snapshot.send_replace(Arc::new(self.controller.snapshot()));
                    continue;
                }
            }
            while let Some(step) = self.controller.poll_step() {
                self.keepers.perform(step);
            }
            self.miss_gateway();
            show_at.get_or_insert_with(|| Instant::now() + SHOW_INTERVAL);
        }
    }

    /// Goes on without a gateway of this program that has ended.
    fn miss_gateway(&mut self) {
        if !matches!(&self.gateway, Playing::Here(gateway) if gateway.is_finished()) {
            return;
        }
        tracing::error!("the WebRTC gateway ended; outputs of other kinds go on without it");
        self.controller.handle_playback_ended(Timestamp::now());
        if let Playing::Here(gateway) = std::mem::replace(&mut self.gateway, Playing::Off) {
            tokio::task::spawn_blocking(|| gateway.shutdown());
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
                let expect = |gateway: &gateway::Handle| {
                    gateway.expect(key.as_str(), legs.video.codec, legs.audio.codec);
                };
                match &self.gateway {
                    Playing::Off => {}
                    Playing::Here(gateway) => expect(&gateway.handle()),
                    Playing::There(handle) => expect(handle),
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
        let now = Timestamp::now();
        let (stream, seen) = match event {
            gateway::Event::Media { stream, video, audio } => (stream, Seen::Media { video, audio }),
            gateway::Event::Viewers { stream, count } => {
                self.audience.send_modify(|audience| {
                    audience.viewers.insert(stream.clone(), count);
                });
                (stream, Seen::Viewers(count))
            }
            gateway::Event::Announced(announced) => {
                let announced = announced.iter().map(SocketAddr::to_string).collect();
                return self.controller.handle_announced(announced, now);
            }
            gateway::Event::Reordered { stream } => return self.keepers.note_reordered(&Key::new(stream)),
            gateway::Event::Draining(draining) => {
                return self.audience.send_modify(|audience| audience.draining = draining);
            }
            gateway::Event::Reachable(reachable) => {
                self.audience.send_modify(|audience| audience.away = !reachable);
                return self.controller.handle_playback_reachable(reachable, now);
            }
        };
        self.controller.handle_observation(Observation { key: Key::new(stream), seen }, now);
    }

    /// In this order: nothing new is started, FFmpeg ends, viewers are told.
    pub async fn shutdown(self) {
        let Self { keepers, gateway, source, .. } = self;
        source.shutdown().await;
        keepers.shutdown().await;
        if let Playing::Here(gateway) = gateway {
            // Its thread ends at once; waiting for it is nothing that a task may do.
            let _ = tokio::task::spawn_blocking(|| gateway.shutdown()).await;
        }
    }
}

/// What starts FFmpeg, and what it tells; the disk directory is made where it is missing.
pub fn ffmpeg(config: &args::Ffmpeg) -> anyhow::Result<(PathBuf, Arc<Runner>, Runs)> {
    let args::Ffmpeg { ffmpeg_binary, ffmpeg_log_max_lines, ffmpeg_log_max_history: _, storage_disk_dir } = config;
    let directory = disk_directory(storage_disk_dir)?;
    let settings = runner::Settings {
        ffmpeg: ffmpeg_binary.clone(),
        directory: directory.clone(),
        environment: environment(std::env::vars_os()),
        log_lines: *ffmpeg_log_max_lines,
    };
    let (events, runs) = unbounded_channel();
    Ok((directory, Arc::new(Runner::new(settings, events)?), runs))
}

/// Who answers by HTTP.
pub fn identity(id: &str) -> http::Identity {
    http::Identity {
        name: "dragonfork".into(),
        version: VERSION.into(),
        variant: VARIANT.into(),
        fork: FORK.into(),
        id: id.to_owned(),
        created_at: Timestamp::now(),
    }
}

/// Says that a mode begins, and which variables are for nothing.
pub fn greet(mode: &str) {
    tracing::info!(application = "dragonfork", mode, version = VERSION, variant = VARIANT, fork = FORK, "starting");
    for name in args::unsupported_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        tracing::warn!(variable = name, "this variable is not supported and has no effect");
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
pub fn raise_descriptor_limit() {
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

/// Those that this program may use.
pub fn cores() -> NonZero<usize> {
    std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// HTTP, and for as long what keeps the keys of the other issuer up to date.
pub async fn serve(listener: TcpListener, router: Router, keeper: Option<Keeper>, shutdown: CancellationToken) {
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
