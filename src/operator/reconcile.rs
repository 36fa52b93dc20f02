//! One process: its objects as they should be, its status as it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::Context;
use super::apply::{Wish, apply, delete};
use super::failure::Trouble;
use super::index::Held;
use super::key::Key;
use super::kind::Kind;
use super::record::{record, record_unreadable};
use super::state::Voice;
use crate::crd::RestreamProcess;
use crate::workload::{self, Children, PAUSED, Seen, Surroundings};

/// Brings a process up to date; says in how long to come again by itself.
pub async fn reconcile(cx: &Context, key: &Key) -> Result<Option<Duration>, Trouble> {
    match cx.index.held(key) {
        None => Ok(None),
        Some(Held::Unreadable(object)) => record_unreadable(cx, key, &object).await.map(|()| None),
        Some(Held::Process(process)) if process.metadata.deletion_timestamp.is_some() => Ok(None),
        Some(Held::Process(process)) => bring_up(cx, key, &process).await,
    }
}

/// Whether a process is to be left alone.
pub fn is_paused(process: &RestreamProcess) -> bool {
    process.annotations().get(PAUSED).is_some_and(|value| value == "true")
}

async fn bring_up(cx: &Context, key: &Key, process: &RestreamProcess) -> Result<Option<Duration>, Trouble> {
    let config = &cx.settings.workload;
    let paused = is_paused(process);
    let refused = workload::refusals(process, config);
    let mut surroundings = cx.index.surroundings(key);
    let reconciled = match paused || !refused.is_empty() {
        true => {
            cx.index.with_state(key, |state| state.wanted = None);
            Ok(())
        }
        false => objects(cx, key, process, &mut surroundings).await,
    };
    let (voice, worker) = (cx.index.with_state(key, |state| state.voice.clone()), worker_of(cx, key));
    let report = match &voice {
        // What it says comes in a moment, and nothing is written that would be wrong then.
        Voice::Unasked if worker => return reconciled.map(|()| None),
        Voice::Unasked | Voice::Silent => None,
        Voice::Said(report) => Some(report.as_ref()),
    };
    let pod = cx.index.pod(key);
    let seen = Seen {
        refused: &refused,
        reconciled: reconciled.as_ref().copied().map_err(|trouble| trouble.failure.clone()),
        paused,
        pod: pod.as_deref(),
        surroundings: &surroundings,
        report,
    };
    let status = workload::status(process, config, &seen, Timestamp::now());
    let again = record(cx, key, process, status).await;
    reconciled.and(again)
}

fn worker_of(cx: &Context, key: &Key) -> bool {
    cx.index.worker(key, cx.settings.worker_port).is_some()
}

/// Brings the objects of a process up to date. One that is in the way does not keep the others.
async fn objects(
    cx: &Context,
    key: &Key,
    process: &RestreamProcess,
    surroundings: &mut Surroundings,
) -> Result<(), Trouble> {
    let Some(mut owner) = process.controller_owner_ref(&()) else {
        return Err(Trouble::passing("ApplyFailed", "the process has no uid"));
    };
    owner.block_owner_deletion = Some(true);
    let config = &cx.settings.workload;
    let mut trouble = None;
    let mut wanted = BTreeSet::new();
    // The port of the container is the node port, so the Services come first.
    for service in &workload::services(process, config) {
        let wish = Wish::new(Kind::Service, service, key, &owner);
        let place = wish.place();
        keep_first(&mut trouble, apply(cx, process, &wish).await);
        let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
        if matches!(kind, Some("NodePort" | "LoadBalancer"))
            && let Some(child) = cx.index.child(place.0, &place.1)
        {
            (surroundings.node_port, surroundings.load_balancer) = (child.node_port, child.load_balancer);
        }
        wanted.insert((place.0, place.1.name));
    }
    let Children { config_map, deployment, ingress, http_route, configuration } =
        workload::children(process, config, surroundings);
    let mut wishes = vec![Wish::new(Kind::ConfigMap, &config_map, key, &owner)];
    wishes.extend(deployment.map(|deployment| Wish::new(Kind::Deployment, &deployment, key, &owner)));
    wishes.extend(ingress.map(|ingress| Wish::new(Kind::Ingress, &ingress, key, &owner)));
    if let Some(route) = http_route {
        match cx.serves_routes.load(Ordering::Relaxed) {
            true => wishes.push(Wish::new(Kind::HttpRoute, &route, key, &owner)),
            false => keep_first(&mut trouble, Err(no_routes())),
        }
    }
    for wish in &wishes {
        keep_first(&mut trouble, apply(cx, process, wish).await);
        let (kind, place) = wish.place();
        wanted.insert((kind, place.name));
    }
    keep_first(&mut trouble, orphans(cx, key, process, &wanted).await);
    keep_first(&mut trouble, pods_refused(cx, key));
    let digest = configuration.digest();
    let is_new = cx.index.with_state(key, |state| {
        let is_new = state.wanted_digest != digest || state.wanted.is_none();
        if is_new {
            (state.wanted, state.wanted_digest) = (Some(Arc::new(configuration)), digest);
            state.changed = Some(Instant::now());
        }
        is_new
    });
    if is_new {
        cx.polls.soon(key.clone());
    }
    trouble.map_or(Ok(()), Err)
}

fn keep_first(trouble: &mut Option<Trouble>, outcome: Result<(), Trouble>) {
    if let Err(other) = outcome {
        trouble.get_or_insert(other);
    }
}

fn no_routes() -> Trouble {
    let message = "the API server has no HTTPRoute (gateway.networking.k8s.io/v1): install the Gateway API, or have \
                   players come by an Ingress";
    Trouble::passing("ApplyFailed", message)
}

/// Deletes what the process controls and does not want any more.
async fn orphans(
    cx: &Context,
    key: &Key,
    process: &RestreamProcess,
    wanted: &BTreeSet<(Kind, Arc<str>)>,
) -> Result<(), Trouble> {
    let uid = process.metadata.uid.as_deref().unwrap_or_default();
    let mut trouble = None;
    for (kind, name) in cx.index.owned(key) {
        let may_go = matches!(kind, Kind::Service | Kind::Ingress | Kind::HttpRoute);
        if !may_go || wanted.contains(&(kind, name.clone())) {
            continue;
        }
        let place = key.beside(&name);
        let Some(child) = cx.index.child(kind, &place) else { continue };
        if !child.deleting && child.owner.as_ref().is_some_and(|owner| owner.uid == uid) {
            keep_first(&mut trouble, delete(cx, kind, &place, &child).await);
        }
    }
    trouble.map_or(Ok(()), Err)
}

/// Whether the cluster lets the Deployment have its Pods.
fn pods_refused(cx: &Context, key: &Key) -> Result<(), Trouble> {
    let deployment = cx.index.child(Kind::Deployment, key);
    match deployment.and_then(|deployment| deployment.pods_refused) {
        None => Ok(()),
        Some(message) if message.contains("PodSecurity") => Err(Trouble::permanent("PodSecurityViolation", message)),
        Some(message) => Err(Trouble::permanent("Forbidden", message)),
    }
}
