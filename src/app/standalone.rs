//! Standalone mode: directory source, controller, FFmpeg runner, WebRTC gateway and HTTP in one process.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use jsonwebtoken::Algorithm;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::credentials::{self, Credentials};
use super::desk::Desk;
use super::endpoint::{of_args, offers};
use super::files;
use super::house::{House, Parts, Playing, cores, ffmpeg, greet, identity, raise_descriptor_limit, serve};
use super::links::Links;
use super::listen::{Signals, listen};
use super::questions::Questions;
use super::settings::Settings;
use super::store::Store;
use super::surroundings::surroundings;
use super::turn::turn_auth;
use crate::args;
use crate::controller::{Playback, Snapshot};
use crate::core::{self, Events};
use crate::gateway::{self, Gateway};
use crate::http::{self, jwks, jwks::Jwks, jwks::Keeper};
use crate::telemetry::Verbosity;
use crate::whep;

/// Runs until SIGINT or SIGTERM; `events` are what is logged meanwhile.
pub async fn standalone(config: args::Standalone, events: Events, verbosity: Verbosity) -> anyhow::Result<()> {
    greet("standalone");
    let signals = Signals::new()?;
    raise_descriptor_limit();
    let credentials = credentials::load(&config.credentials)?;
    let settings = Settings::new(&config, &credentials, verbosity);
    let (program, links) = Program::build(&config, &credentials, events, settings)?;
    links.print(config.api_auth_enable.then_some(&credentials))?;
    let outcome = program.run(signals).await;
    tracing::info!("ended");
    outcome
}

/// Everything that runs.
struct Program {
    house: House,
    http: JoinHandle<()>,
    http_shutdown: CancellationToken,
    /// Where clients have processes changed.
    desk: JoinHandle<()>,
}

impl Program {
    fn build(
        config: &args::Standalone,
        credentials: &Credentials,
        events: Events,
        settings: Settings,
    ) -> anyhow::Result<(Self, Links)> {
        let (disk, runner, runs) = ffmpeg(&config.ffmpeg)?;
        let (storage_events, storage_news) = unbounded_channel();
        let (storage, files) = files::start(&config.storage, &disk, &credentials.memory_password, storage_events)?;
        let (whep, requests) = whep::Client::new();
        let (gateway_events, gateway_news) = unbounded_channel();
        let (gateway, announced) = match config.webrtc_enable {
            true => {
                let gateway = Gateway::start(&gateway_config(config), requests, gateway_events)?;
                let announced = gateway.announced().to_vec();
                (Playing::Here(gateway), announced)
            }
            false => (Playing::Off, Vec::new()),
        };
        let whep = config.webrtc_enable.then_some(whep);
        let playback = Playback {
            enabled: config.webrtc_enable,
            announced: announced.iter().map(SocketAddr::to_string).collect(),
            ..Playback::default()
        };
        let (snapshot, shown) = watch::channel(Arc::new(Snapshot::default()));
        let listener = listen(config.address)?;
        let links = Links { address: listener.local_addr()?, announced };
        let folder = disk.display().to_string();
        let (media, password) = (&config.media, &credentials.memory_password);
        let surroundings = surroundings(media, &config.storage, links.address, password, disk, std::env::vars_os());
        let http_shutdown = CancellationToken::new();
        let store = Store::open(&config.credentials.db_dir)?;
        let (core, orders) = core::Client::new(store.subscribe());
        let shows = Shows { whep, core, events, snapshot: shown.clone(), files, settings: settings.subscribe() };
        let (http_config, keeper) = http_config(config, credentials, shows)?;
        let http = tokio::spawn(serve(listener, http::router(http_config), keeper, http_shutdown.clone()));
        let (ask, asks) = unbounded_channel();
        let house = House::build(Parts {
            directories: (config.manifests.clone(), config.media.secrets_dir.clone()),
            ffmpeg: (runner.clone(), runs),
            history: config.ffmpeg.ffmpeg_log_max_history,
            storage: (storage, storage_news),
            folder,
            gateway: (gateway, gateway_news),
            playback,
            surroundings,
            asks,
            snapshot,
        })?;
        let questions = Questions { runner, asks: ask, cores: cores() };
        let (directory, hand) = (config.manifests.clone(), house.hand());
        let desk = Desk { directory, hand, store, settings, snapshot: shown, questions, cores: cores() };
        Ok((Self { house, http, http_shutdown, desk: tokio::spawn(desk.run(orders)) }, links))
    }

    async fn run(mut self, mut signals: Signals) -> anyhow::Result<()> {
        let outcome = tokio::select! {
            signal = signals.recv() => {
                tracing::info!(signal, "ending");
                Ok(())
            }
            outcome = self.house.live() => outcome,
            ended = &mut self.http => ended.context("HTTP failed").and_then(|()| bail!("HTTP ended")),
            ended = &mut self.desk => ended.context("the desk of changes failed").and_then(|()| bail!("the desk ended")),
        };
        signals.end_with(self.shutdown(), outcome).await
    }

    /// In this order: nothing is changed any more, nothing new is started, FFmpeg ends, viewers are told, HTTP ends.
    async fn shutdown(self) {
        let Self { house, http, http_shutdown, desk } = self;
        desk.abort();
        house.shutdown().await;
        http_shutdown.cancel();
        if !http.is_finished() {
            let _ = http.await;
        }
    }
}

fn gateway_config(config: &args::Standalone) -> gateway::Config {
    let announce = config.webrtc_announce.iter().map(|name| name.trim().to_owned());
    gateway::Config {
        announce: announce.filter(|name| !name.is_empty()).collect(),
        ..of_args(&config.webrtc, config.webrtc_max_viewers_per_stream, None)
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
        identity: identity(&credentials.id),
        auth: watch::channel(auth).1,
        limits: http::Limits {
            logins: http::Limit { burst: access.api_login_burst, per_minute: access.api_logins_per_minute },
            offers: offers(&config.clients),
        },
        trusted_proxies: config.clients.api_trusted_proxies.clone(),
        whep,
        snapshot,
        core: Some(core),
        read_only: config.api_read_only,
        events,
        metrics: config.metrics_enable_prometheus,
        metrics_auth: config.metrics_auth,
        settings,
        ice_servers: watch::channel(config.webrtc_ice_servers.clone()).1,
        turn_auth: turn_auth(&config.webrtc.turn)?,
        strict_etag: config.webrtc.webrtc_strict_etag,
        files,
        counter_offer: config.webrtc.webrtc_counter_offer,
        cores: cores(),
        workers: None,
        worker: None,
    };
    Ok((config, keeper))
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
