//! Operator mode: processes of a cluster, each in a worker Pod of its own.

mod health;

use anyhow::{Context, bail};
use kube::Config;
use tokio_util::sync::CancellationToken;

use super::VERSION;
use super::keys::Keys;
use super::listen::{Signals, listen};
use crate::args;
use crate::crd::Resources;
use crate::http::{self, token::ISSUER};
use crate::operator::{Election, Figures, Operator, Settings, counted};
use crate::workload;

/// `aud` of the tokens for workers.
const AUDIENCE: &str = "dragonfork-worker";

/// Runs until SIGINT or SIGTERM, or until another operator leads.
pub async fn operator(config: args::Operator) -> anyhow::Result<()> {
    tracing::info!(application = "dragonfork", version = VERSION, "the operator starts");
    let mut signals = Signals::new()?;
    let keys = Keys::load(config.signing_key.as_deref(), &config.db_dir)?;
    let cluster =
        Config::infer().await.context("no cluster: run in a Pod with a service account, or set KUBECONFIG")?;
    let figures = Figures::new(VERSION);
    let identity = identity();
    let settings = settings(&config, &keys, identity.clone());
    let operator = Operator::new(counted(cluster.clone(), &figures)?, settings, figures.clone());
    let health = health::Health::new(operator.clone());
    let (listener, shutdown) = (listen(config.address)?, CancellationToken::new());
    let http = tokio::spawn(http::serve(listener, health.router(), shutdown.clone()));
    let ended = tokio::select! {
        signal = signals.recv() => {
            tracing::info!(signal, "ending");
            Ok(None)
        }
        term = lead(&config, cluster, identity, figures) => term.map(Some),
    };
    let outcome = match ended {
        Ok(Some(term)) => work(&operator, term, &health, signals).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    shutdown.cancel();
    let _ = http.await;
    tracing::info!("ended");
    outcome
}

/// The lead, where there has to be one.
async fn lead(
    config: &args::Operator,
    cluster: Config,
    identity: String,
    figures: Figures,
) -> anyhow::Result<Option<crate::operator::Term>> {
    if !config.leader_election {
        return Ok(None);
    }
    let namespace = cluster.default_namespace.clone();
    Ok(Some(Election::new(cluster, namespace, identity, figures)?.win().await))
}

async fn work(
    operator: &Operator,
    term: Option<crate::operator::Term>,
    health: &health::Health,
    mut signals: Signals,
) -> anyhow::Result<()> {
    health.leads();
    let Some(mut term) = term else {
        return tokio::select! {
            Err(ended) = operator.run() => Err(ended.into()),
            signal = signals.recv() => { tracing::info!(signal, "ending"); Ok(()) }
        };
    };
    let outcome = tokio::select! {
        Err(ended) = operator.run() => Err(ended.into()),
        // Another operator may write from now on, so nothing here does any more.
        () = term.lost() => bail!("the lead is lost: the Lease could not be renewed in time, or another operator has it"),
        signal = signals.recv() => {
            tracing::info!(signal, "ending");
            Ok(())
        }
    };
    term.release().await;
    outcome
}

/// Of this run alone: an operator that was killed and started again in the same Pod is another one.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "dragonfork".into());
    let run = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}-{}", &run[..8])
}

fn settings(config: &args::Operator, keys: &Keys, identity: String) -> Settings {
    let workload = workload::Config {
        image: config.image.clone(),
        image_pull_policy: config.image_pull_policy.map(|policy| policy.word().to_owned()),
        image_pull_secrets: config.image_pull_secrets.clone(),
        allowed_images: config.allowed_images.clone(),
        exposure: config.exposure,
        allowed_exposures: config.allowed_exposures.clone(),
        http: config.http,
        host: config.host.clone(),
        ingress_class_name: config.ingress_class.clone(),
        gateway: config.gateway.clone(),
        resources: Resources::default(),
        settings: workload::Settings {
            auth: config.api_auth_enable,
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            ice_servers: config.webrtc_ice_servers.clone(),
            max_viewers_per_stream: config.webrtc_max_viewers_per_stream,
        },
        jwks: keys.jwks(),
    };
    Settings {
        workload,
        namespaces: config.namespaces.clone(),
        nodes: config.nodes,
        concurrency: config.concurrency.into(),
        worker_port: config.worker_port,
        identity,
        mint: keys.mint(ISSUER, AUDIENCE),
    }
}
