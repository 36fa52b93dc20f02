//! Runner mode, in a worker Pod: FFmpeg for one process, with the gateway in the program beside it.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::sync::mpsc::{channel, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::credentials::random;
use super::files;
use super::house::{Audience, House, Parts, Playing, cores, ffmpeg, greet, identity, raise_descriptor_limit, serve};
use super::listen::{Signals, listen};
use super::shown::{Shown, announcement};
use super::surroundings::surroundings;
use super::worker::{Configured, SHOWN};
use crate::args;
use crate::controller::{Playback, Snapshot};
use crate::core::Events;
use crate::gateway::{self, Remote};
use crate::http::{self, Standing};

/// Orders of the operator that wait.
const PUTS: usize = 8;

/// Runs until SIGINT or SIGTERM and the drain that follows; `events` are what is logged meanwhile.
pub async fn runner(config: args::Runner, events: Events) -> anyhow::Result<()> {
    greet("runner");
    let signals = Signals::new()?;
    raise_descriptor_limit();
    let outcome = Program::build(&config, events)?.run(signals).await;
    tracing::info!("ended");
    outcome
}

/// Everything that runs.
struct Program {
    house: House,
    gateway: gateway::Handle,
    remote: Remote,
    standing: watch::Sender<Standing>,
    drain: Duration,
    /// Where the manifest that holds stands.
    place: PathBuf,
    http: JoinHandle<()>,
    http_shutdown: CancellationToken,
    /// Keeps to the newest configuration.
    configured: JoinHandle<()>,
    /// Has the gateway's program show what is shown here.
    teller: JoinHandle<()>,
}

impl Program {
    fn build(config: &args::Runner, events: Events) -> anyhow::Result<Self> {
        let args::Worker { worker_process, worker_configuration, worker_socket } = &config.worker;
        let place = std::env::temp_dir().join(format!("dragonfork-runner-{}", std::process::id()));
        let configured = Configured::begin(worker_process, worker_configuration, place.clone())?;
        let (disk, runner, runs) = ffmpeg(&config.ffmpeg)?;
        let password = random(24);
        let (storage_events, storage_news) = unbounded_channel();
        let (storage, files) = files::start(&config.storage, &disk, &password, storage_events)?;
        let (gateway_events, gateway_news) = unbounded_channel();
        let (remote, gateway) = Remote::connect(worker_socket.clone(), gateway_events);
        let (snapshot, shown) = watch::channel(Arc::new(Snapshot::default()));
        let listener = listen(config.address)?;
        let (media, address) = (&config.media, listener.local_addr()?);
        let folder = disk.display().to_string();
        let surroundings = surroundings(media, &config.storage, address, &password, disk, std::env::vars_os());
        let (puts, asked) = channel(PUTS);
        let standing = configured.standing();
        let worker = http::Worker { process: worker_process.clone(), standing: standing.subscribe(), puts };
        let http_config = http::Config {
            counter_offer: false,
            files,
            worker: Some(worker),
            ..http::Config::showing(identity(worker_process), configured.auth(), shown.clone(), events, cores())
        };
        let http_shutdown = CancellationToken::new();
        let http = tokio::spawn(serve(listener, http::router(http_config), None, http_shutdown.clone()));
        let house = House::build(Parts {
            directories: (place.clone(), config.media.secrets_dir.clone()),
            ffmpeg: (runner, runs),
            history: config.ffmpeg.ffmpeg_log_max_history,
            storage: (storage, storage_news),
            folder,
            gateway: (Playing::There(gateway.clone()), gateway_news),
            playback: Playback { enabled: true, exposed: true, ..Playback::default() },
            surroundings,
            asks: unbounded_channel().1,
            snapshot,
        })?;
        Ok(Self {
            configured: tokio::spawn(configured.run(house.hand(), gateway.clone(), asked)),
            teller: tokio::spawn(tell(shown, gateway.clone())),
            house,
            gateway,
            remote,
            standing,
            drain: Duration::from_secs(config.worker_drain_seconds),
            place,
            http,
            http_shutdown,
        })
    }

    async fn run(mut self, mut signals: Signals) -> anyhow::Result<()> {
        let outcome = match self.live(&mut signals).await {
            Ok(Next::End) => Ok(()),
            Ok(Next::Now(signal)) => return Err(anyhow!("ended at once by a second {signal}")),
            Err(error) => Err(error),
        };
        signals.end_with(self.shutdown(), outcome).await
    }

    /// Until a signal, and the drain that follows; or until a part ends that must not.
    async fn live(&mut self, signals: &mut Signals) -> anyhow::Result<Next> {
        let audience = self.house.audience();
        let mut live = pin!(self.house.live());
        tokio::select! {
            signal = signals.recv() => {
                tracing::info!(signal, seconds = self.drain.as_secs(), "draining");
                self.standing.send_modify(|standing| standing.draining = true);
                self.gateway.drain(true);
                drain(live.as_mut(), audience, self.drain, signals).await
            }
            outcome = live.as_mut() => outcome.map(|()| Next::End),
            ended = &mut self.http => ended.context("HTTP failed").and_then(|()| bail!("HTTP ended")),
            ended = &mut self.configured => {
                ended.context("the watch over the configuration failed").and_then(|()| bail!("it ended"))
            }
            ended = &mut self.teller => ended.context("what is shown cannot be told").and_then(|()| bail!("it ended")),
        }
    }

    /// In this order: nothing is changed any more, nothing new is started, FFmpeg ends, the gateway hears of it, HTTP
    /// ends.
    async fn shutdown(self) {
        let Self { house, gateway, remote, configured, teller, http, http_shutdown, place, standing: _, drain: _ } =
            self;
        for task in [configured, teller] {
            task.abort();
            if !task.is_finished() {
                let _ = task.await;
            }
        }
        house.shutdown().await;
        // The next run makes it anew.
        let _ = std::fs::remove_dir_all(place);
        drop(gateway);
        remote.shutdown().await;
        http_shutdown.cancel();
        if !http.is_finished() {
            let _ = http.await;
        }
    }
}

/// What comes after a drain.
enum Next {
    /// The end, in order.
    End,
    /// The end at once, because of a second signal.
    Now(&'static str),
}

/// Goes on until nobody watches any more, or time is over.
async fn drain(
    live: Pin<&mut impl Future<Output = anyhow::Result<()>>>,
    mut audience: watch::Receiver<Audience>,
    patience: Duration,
    signals: &mut Signals,
) -> anyhow::Result<Next> {
    // How many watch counts once the gateway takes nobody any more.
    let is_empty = |Audience { viewers, draining, away }: &Audience| {
        *away || *draining && viewers.values().all(|viewers| *viewers == 0)
    };
    tokio::select! {
        outcome = live => outcome.map(|()| Next::End),
        _ = audience.wait_for(is_empty) => {
            tracing::info!("nobody watches any more, ending");
            Ok(Next::End)
        }
        () = tokio::time::sleep(patience) => {
            tracing::info!("the drain is over, ending");
            Ok(Next::End)
        }
        signal = signals.recv() => Ok(Next::Now(signal)),
    }
}

/// Tells the gateway's program what is shown, and the gateway what it is to announce, whenever either changes.
async fn tell(mut snapshot: watch::Receiver<Arc<Snapshot>>, gateway: gateway::Handle) {
    let (mut told, mut announced) = (None, None);
    while snapshot.changed().await.is_ok() {
        let now = snapshot.borrow_and_update().clone();
        if told.is_none() && now.processes.is_empty() && now.problems.is_empty() {
            // The directory was not read yet, and what the program before this one showed still holds.
            continue;
        }
        if let Some(announcement) = announcement(&now)
            && announced.as_ref() != Some(&announcement)
        {
            gateway.announce(announcement.clone());
            announced = Some(announcement);
        }
        let shown = Shown::of(&now);
        if told.as_ref() != Some(&shown) {
            gateway.note(SHOWN, serde_json::to_value(&shown).expect("what is shown is JSON"));
            told = Some(shown);
        }
    }
}
