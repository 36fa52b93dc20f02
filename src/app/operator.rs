//! Operator mode: processes of a cluster, each in a worker Pod of its own.

mod api;
mod health;

use anyhow::{Context, bail};
use kube::Config;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::VERSION;
use super::house::greet;
use super::keys::{AUDIENCE, Keys};
use super::listen::{Signals, listen};
use crate::args;
use crate::core::Events;
use crate::crd::Resources;
use crate::http::{self, token::ISSUER};
use crate::operator::{Election, Figures, Operator, Settings, Term, counted};
use crate::workload;

/// Runs until SIGINT or SIGTERM, or until another operator leads; `events` are what is logged meanwhile.
pub async fn operator(config: args::Operator, events: Events) -> anyhow::Result<()> {
    greet("operator");
    let mut signals = Signals::new()?;
    let keys = Keys::load(config.signing_key.as_deref(), &config.db_dir)?;
    let cluster =
        Config::infer().await.context("no cluster: run in a Pod with a service account, or set KUBECONFIG")?;
    let figures = Figures::new(VERSION);
    let identity = identity();
    let settings = settings(&config, &keys, identity.clone());
    let operator = Operator::new(counted(cluster.clone(), &figures)?, settings, figures.clone());
    let (interface, shower) = api::api(&config, &keys, operator.clone(), events)?;
    let routes = health::routes(operator.clone()).merge(interface);
    let (listener, shutdown) = (listen(config.address)?, CancellationToken::new());
    let http = tokio::spawn(http::serve(listener, routes, shutdown.clone()));
    let election = match config.leader_election {
        true => Some(Election::new(cluster.clone(), cluster.default_namespace, identity, figures)?),
        false => None,
    };
    let (leads, lead) = oneshot::channel();
    let mut term = None;
    let outcome = tokio::select! {
        Err(ended) = operator.run(told(lead)) => Err(ended.into()),
        () = shower.run() => Err(anyhow::anyhow!("what is shown is renewed no more")),
        outcome = hold(election, leads, &mut term) => outcome,
        signal = signals.recv() => {
            tracing::info!(signal, "ending");
            Ok(())
        }
    };
    if let Some(term) = term {
        term.release().await;
    }
    shutdown.cancel();
    let _ = http.await;
    tracing::info!("ended");
    outcome
}

/// Waits until it leads; who is not told never does.
async fn told(lead: oneshot::Receiver<()>) {
    if lead.await.is_err() {
        std::future::pending().await
    }
}

/// Waits for the lead, tells of it, and returns when it is lost; without an election never.
async fn hold(election: Option<Election>, leads: oneshot::Sender<()>, term: &mut Option<Term>) -> anyhow::Result<()> {
    let term = match election {
        Some(election) => Some(term.insert(election.win().await)),
        None => None,
    };
    // The operator has ended where nobody is told, and so will this.
    let _ = leads.send(());
    match term {
        Some(term) => term.lost().await,
        None => std::future::pending().await,
    }
    // Another operator may write from now on, so nothing here does any more.
    bail!("the lead is lost: the Lease could not be renewed in time, or another operator has it")
}

/// Of this run alone: an operator that was killed and started again in the same Pod is another one.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "dragonfork".into());
    let run = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}-{}", &run[..8])
}

/// What of a list says something.
fn filled(list: &[String]) -> Vec<String> {
    list.iter().filter(|element| !element.is_empty()).cloned().collect()
}

fn settings(config: &args::Operator, keys: &Keys, identity: String) -> Settings {
    let workload = workload::Config {
        image: config.image.clone(),
        image_pull_policy: config.image_pull_policy.map(|policy| policy.word().to_owned()),
        image_pull_secrets: filled(&config.image_pull_secrets),
        allowed_images: filled(&config.allowed_images),
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
        namespaces: filled(&config.namespaces),
        nodes: config.nodes,
        concurrency: config.concurrency.into(),
        worker_port: config.worker_port,
        identity,
        mint: keys.mint(),
    }
}
