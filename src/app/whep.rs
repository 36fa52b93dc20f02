//! Whep mode, in a worker Pod: the gateway and WHEP endpoint of one process, with FFmpeg in the program beside it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::endpoint::{of_args, offers};
use super::house::{cores, greet, identity, raise_descriptor_limit, serve};
use super::listen::{Signals, listen};
use super::shown::Shown;
use super::turn::turn_auth;
use super::worker::{RULES, Rules, SHOWN, read};
use crate::args;
use crate::controller::Snapshot;
use crate::core::Events;
use crate::crd::RestreamProcess;
use crate::gateway::{Door, Gateway, Handle, Note};
use crate::http::{self, Auth};
use crate::plan::Key;
use crate::whep::Client;

/// The gateway's threads are looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until SIGINT or SIGTERM; `events` are what is logged meanwhile.
pub async fn whep(config: args::Whep, events: Events) -> anyhow::Result<()> {
    greet("whep");
    let mut signals = Signals::new()?;
    raise_descriptor_limit();
    let args::Worker { worker_process, worker_configuration, worker_socket } = &config.worker;
    let mounted = read(worker_configuration)
        .context("the configuration of the worker cannot be read (CORE_WORKER_CONFIGURATION)")?;
    let rules = Rules::of(&mounted).map_err(|reason| anyhow!("{reason} (CORE_WORKER_CONFIGURATION)"))?;
    let (client, requests) = Client::new();
    let (gateway_events, gateway_news) = unbounded_channel();
    let gateway_config = of_args(&config.webrtc, rules.max_viewers_per_stream(), Some(config.worker_leg_port));
    let gateway = Gateway::start(&gateway_config, requests, gateway_events)?;
    let door = Door::bind(worker_socket)?;
    let (notes, mut noted) = unbounded_channel();
    let mut front = Front::new(&rules, gateway.handle())?;
    // Whoever asks whether it is ready is answered once everything else is bound.
    let listener = listen(config.address)?;
    let router = http::router(front.http_config(&config, worker_process, client, events)?);
    let mut door = tokio::spawn(door.serve(gateway.handle(), gateway_news, notes));
    let http_shutdown = CancellationToken::new();
    let mut http = tokio::spawn(serve(listener, router, None, http_shutdown.clone()));
    let mut look = tokio::time::interval(LOOK);
    let outcome = loop {
        tokio::select! {
            signal = signals.recv() => {
                tracing::info!(signal, "ending");
                break Ok(());
            }
            Some(note) = noted.recv() => front.take(note),
            ended = &mut door => break ended.context("the control socket failed").and_then(|()| bail!("it ended")),
            ended = &mut http => break ended.context("HTTP failed").and_then(|()| bail!("HTTP ended")),
            _ = look.tick() => {
                if gateway.is_finished() {
                    break Err(anyhow!("the WebRTC gateway ended"));
                }
            }
        }
    };
    door.abort();
    let shutdown = async {
        // Its thread ends at once; waiting for it is nothing that a task may do.
        let _ = tokio::task::spawn_blocking(|| gateway.shutdown()).await;
        http_shutdown.cancel();
        if !http.is_finished() {
            let _ = http.await;
        }
    };
    let outcome = signals.end_with(shutdown, outcome).await;
    tracing::info!("ended");
    outcome
}

/// What HTTP shows, as the runner tells it.
struct Front {
    gateway: Handle,
    auth: watch::Sender<Option<Auth>>,
    ice_servers: watch::Sender<Vec<String>>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Processes that may be played.
    playable: BTreeSet<Key>,
}

impl Front {
    fn new(rules: &Rules, gateway: Handle) -> anyhow::Result<Self> {
        Ok(Self {
            gateway,
            auth: watch::Sender::new(rules.auth().map_err(anyhow::Error::msg)?),
            ice_servers: watch::Sender::new(rules.ice_servers()),
            snapshot: watch::Sender::default(),
            playable: BTreeSet::new(),
        })
    }

    fn http_config(
        &self,
        config: &args::Whep,
        process: &str,
        client: Client,
        events: Events,
    ) -> anyhow::Result<http::Config> {
        Ok(http::Config {
            limits: http::Limits { offers: offers(&config.clients), ..http::Limits::default() },
            trusted_proxies: config.clients.api_trusted_proxies.clone(),
            whep: Some(client),
            ice_servers: self.ice_servers.subscribe(),
            turn_auth: turn_auth(&config.webrtc.turn)?,
            strict_etag: config.webrtc.webrtc_strict_etag,
            counter_offer: config.webrtc.webrtc_counter_offer,
            ..http::Config::showing(
                identity(process),
                self.auth.subscribe(),
                self.snapshot.subscribe(),
                events,
                cores(),
            )
        })
    }

    fn take(&mut self, Note { topic, text }: Note) {
        let taken = match topic.as_str() {
            SHOWN => serde_json::from_value(text).map(|shown| self.show(shown)).map_err(|error| error.to_string()),
            RULES => {
                serde_json::from_value(text).map_err(|error| error.to_string()).and_then(|rules| self.rule(&rules))
            }
            _ => Err("nobody knows this topic".into()),
        };
        if let Err(error) = taken {
            tracing::warn!(topic, error, "what the runner tells cannot be read");
        }
    }

    fn show(&mut self, shown: Shown) {
        let snapshot = shown.into_snapshot();
        let is_playable = |manifest: &RestreamProcess| {
            !manifest.spec.suspend && manifest.spec.webrtc.as_ref().is_some_and(|webrtc| webrtc.enabled)
        };
        let processes = snapshot.processes.iter().filter(|(_, process)| is_playable(&process.manifest));
        let playable: BTreeSet<Key> = processes.map(|(key, _)| key.clone()).collect();
        // A runner that was away knows nothing of legs that it has not opened itself.
        for key in self.playable.difference(&playable) {
            self.gateway.close(key.as_str());
        }
        self.playable = playable;
        self.snapshot.send_replace(Arc::new(snapshot));
    }

    fn rule(&self, rules: &Rules) -> Result<(), String> {
        self.auth.send_replace(rules.auth()?);
        self.ice_servers.send_replace(rules.ice_servers());
        Ok(())
    }
}
