//! Who watches, in the form of datarhei's sessions: one collector, `whep`, and the same form empty for any other one.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access::Access;
use super::problem::Problem;
use super::token::Action;
use super::{App, Shared};
use crate::whep::{Overview, Viewing};

/// The collector that there is.
const WHEP: &str = "whep";

/// The query of sessions.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Collectors {
    /// Comma list; empty is every one that there is.
    #[serde(default)]
    collectors: String,
}

/// One session.
#[derive(Serialize)]
pub struct Session {
    id: String,
    /// Id of the process.
    reference: String,
    created_at: u64,
    local: String,
    remote: String,
    extra: String,
    bytes_rx: u64,
    bytes_tx: u64,
    bandwidth_rx_kbit: f64,
    bandwidth_tx_kbit: f64,
}

/// The sessions of each collector.
#[utoipa::path(
    get,
    path = "/api/v3/session/active",
    tag = "session",
    params(Collectors),
    responses((status = 200, description = "By collector", body = Object))
)]
pub async fn active(
    State(app): Shared,
    access: Access,
    Query(query): Query<Collectors>,
) -> Result<Json<BTreeMap<String, Vec<Session>>>, Problem> {
    access.require_some(Action::Read)?;
    let sessions = |overview: &Overview| sessions(&app, &access, overview);
    let overview = overview(&app).await;
    Ok(Json(
        query.names().map(|name| (name.clone(), if name == WHEP { sessions(&overview) } else { Vec::new() })).collect(),
    ))
}

/// The sessions of each collector, and what they amount to.
#[utoipa::path(
    get,
    path = "/api/v3/session",
    tag = "session",
    params(Collectors),
    responses((status = 200, description = "By collector", body = Object))
)]
pub async fn summary(
    State(app): Shared,
    access: Access,
    Query(query): Query<Collectors>,
) -> Result<Json<BTreeMap<String, Value>>, Problem> {
    access.require_some(Action::Read)?;
    let overview = overview(&app).await;
    let of = |name: &str| {
        let (list, most) = match name {
            WHEP => (sessions(&app, &access, &overview), overview.max_viewers),
            _ => (Vec::new(), 0),
        };
        let sum = |of: fn(&Session) -> f64| list.iter().map(of).sum::<f64>() / 1024.0;
        json!({
            "active": {
                "sessions": list.len(),
                "bandwidth_rx_mbit": sum(|session| session.bandwidth_rx_kbit),
                "bandwidth_tx_mbit": sum(|session| session.bandwidth_tx_kbit),
                "max_sessions": most,
                "max_bandwidth_rx_mbit": 0.0,
                "max_bandwidth_tx_mbit": 0.0,
                "list": list,
            },
        })
    };
    Ok(Json(query.names().map(|name| (name.clone(), of(&name))).collect()))
}

impl Collectors {
    fn names(&self) -> impl Iterator<Item = String> {
        let asked = self.collectors.split(',').map(str::trim).filter(|name| !name.is_empty());
        let asked: Vec<String> = asked.map(str::to_owned).collect();
        if asked.is_empty() { vec![WHEP.to_owned()] } else { asked }.into_iter()
    }
}

/// What the gateway does; nothing where there is none.
pub(super) async fn overview(app: &App) -> Overview {
    match &app.whep {
        Some(whep) => whep.overview().await.unwrap_or_default(),
        None => Overview::default(),
    }
}

/// The sessions that may be seen, oldest first.
fn sessions(app: &App, access: &Access, overview: &Overview) -> Vec<Session> {
    let now = super::process::now();
    let seen = overview.viewings.iter().filter(|viewing| access.covers(&viewing.process, Action::Read));
    let mut sessions: Vec<Session> = seen.map(|viewing| session(app, viewing, now)).collect();
    sessions.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    sessions
}

fn session(app: &App, viewing: &Viewing, now: u64) -> Session {
    let Viewing { session, process, remote, local, age, sent } = viewing;
    // Averaged over the whole session: it says what a viewer costs, and needs no memory of it.
    let seconds = age.as_secs_f64().max(1.0);
    let reference = app.process(process).and_then(|process| process.manifest.spec.reference.clone());
    Session {
        id: session.clone(),
        reference: process.clone(),
        created_at: now.saturating_sub(age.as_secs()),
        local: local.map(|local| local.to_string()).unwrap_or_default(),
        remote: remote.map(|remote| remote.to_string()).unwrap_or_default(),
        extra: reference.unwrap_or_default(),
        bytes_rx: 0,
        bytes_tx: sent.octets,
        bandwidth_rx_kbit: 0.0,
        bandwidth_tx_kbit: sent.octets as f64 * 8.0 / 1024.0 / seconds,
    }
}
