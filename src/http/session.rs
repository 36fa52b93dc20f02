//! Who watches, in the form of datarhei's sessions: collector `hls` for files, `whep` for WebRTC.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Access;
use super::problem::Problem;
use super::token::Action;
use super::{App, Shared};
use crate::sessions::{Active, Summary, Total};
use crate::whep::{Overview, Viewing};

/// Who watches by HLS.
const HLS: &str = "hls";
/// Who watches by WebRTC.
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
#[derive(Serialize, ToSchema)]
pub struct Session {
    id: String,
    /// Id of the process, or name of the stream of HLS.
    reference: String,
    created_at: u64,
    local: String,
    remote: String,
    extra: String,
    bytes_rx: u64,
    bytes_tx: u64,
    /// In units of 1024 bits a second, as the other one.
    bandwidth_rx_kbit: f64,
    bandwidth_tx_kbit: f64,
}

/// One collector.
#[derive(Default, Serialize, ToSchema)]
pub struct Collector {
    active: Now,
    /// What was since the start, where that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Ever>,
}

/// The sessions at this moment; 0 as a maximum is none.
#[derive(Default, Serialize, ToSchema)]
struct Now {
    list: Vec<Session>,
    sessions: usize,
    bandwidth_rx_mbit: f64,
    bandwidth_tx_mbit: f64,
    max_sessions: usize,
    max_bandwidth_rx_mbit: f64,
    max_bandwidth_tx_mbit: f64,
}

/// Sessions and octets since the start, all of them and by what they have in common.
#[derive(Serialize, ToSchema)]
struct Ever {
    remote: BTreeMap<String, Stats>,
    local: BTreeMap<String, Stats>,
    reference: BTreeMap<String, Stats>,
    #[serde(flatten)]
    total: Stats,
}

#[derive(Serialize, ToSchema)]
struct Stats {
    sessions: u64,
    traffic_rx_mb: u64,
    traffic_tx_mb: u64,
}

/// The sessions of each collector.
#[utoipa::path(
    get,
    path = "/api/v3/session/active",
    tag = "session",
    params(Collectors),
    responses((status = 200, description = "By collector", body = BTreeMap<String, Vec<Session>>))
)]
pub async fn active(
    app: Shared,
    access: Access,
    query: Query<Collectors>,
) -> Result<Json<BTreeMap<String, Vec<Session>>>, Problem> {
    let collected = collect(app, access, query).await?;
    Ok(Json(collected.into_iter().map(|(name, collector)| (name, collector.active.list)).collect()))
}

/// The sessions of each collector, what they amount to, and what was before.
#[utoipa::path(
    get,
    path = "/api/v3/session",
    tag = "session",
    params(Collectors),
    responses((status = 200, description = "By collector", body = BTreeMap<String, Collector>))
)]
pub async fn summary(
    app: Shared,
    access: Access,
    query: Query<Collectors>,
) -> Result<Json<BTreeMap<String, Collector>>, Problem> {
    Ok(Json(collect(app, access, query).await?))
}

/// What the gateway does; nothing where there is none.
pub(super) async fn overview(app: &App) -> Overview {
    match &app.whep {
        Some(whep) => whep.overview().await.unwrap_or_default(),
        None => Overview::default(),
    }
}

/// What HLS has collected, for a token that may know of every process: files tell of none. `None` where nobody counts.
pub(super) fn hls(app: &App, access: &Access) -> Option<(Vec<Active>, Summary)> {
    let watch = app.files.sessions.as_ref().filter(|_| access.covers_all(Action::Read))?;
    let mut sessions = watch.sessions.lock().expect("nothing panics while it is held");
    let now = Instant::now();
    Some((sessions.active(now), sessions.summary(now)))
}

/// The collectors that are asked for; without a wish all that there are. One that is not here is empty, as with datarhei.
async fn collect(
    State(app): Shared,
    access: Access,
    Query(Collectors { collectors }): Query<Collectors>,
) -> Result<BTreeMap<String, Collector>, Problem> {
    access.require_some(Action::Read)?;
    let wanted: Vec<&str> = collectors.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.contains(&name);
    let mut collected: BTreeMap<String, Collector> =
        wanted.iter().map(|name| ((*name).to_owned(), Collector::default())).collect();
    if is_wanted(HLS)
        && let Some((active, ever)) = hls(&app, &access)
    {
        let list = active.into_iter().map(watching).collect();
        collected.insert(HLS.into(), Collector { active: Now::of(list, 0), summary: Some(Ever::of(ever)) });
    }
    if is_wanted(WHEP) && app.whep.is_some() {
        let overview = overview(&app).await;
        let active = Now::of(viewers(&app, &access, &overview), overview.max_viewers);
        collected.insert(WHEP.into(), Collector { active, summary: None });
    }
    Ok(collected)
}

impl Now {
    fn of(list: Vec<Session>, max_sessions: usize) -> Self {
        let sum = |of: fn(&Session) -> f64| list.iter().map(of).sum::<f64>() / 1024.0;
        Self {
            sessions: list.len(),
            bandwidth_rx_mbit: sum(|session| session.bandwidth_rx_kbit),
            bandwidth_tx_mbit: sum(|session| session.bandwidth_tx_kbit),
            max_sessions,
            max_bandwidth_rx_mbit: 0.0,
            max_bandwidth_tx_mbit: 0.0,
            list,
        }
    }
}

impl Ever {
    fn of(Summary { total, remote, local, reference }: Summary) -> Self {
        let rows =
            |rows: BTreeMap<String, Total>| rows.into_iter().map(|(name, total)| (name, Stats::of(total))).collect();
        Self { remote: rows(remote), local: rows(local), reference: rows(reference), total: Stats::of(total) }
    }
}

impl Stats {
    fn of(Total { sessions, octets }: Total) -> Self {
        const MEBIBYTE: u64 = 1 << 20;
        Self { sessions, traffic_rx_mb: octets.received / MEBIBYTE, traffic_tx_mb: octets.sent / MEBIBYTE }
    }
}

fn watching(session: Active) -> Session {
    let Active { id, reference, created_at, local, remote, agent, octets, received_rate, sent_rate } = session;
    Session {
        id: id.to_string(),
        reference,
        created_at,
        local,
        remote: remote.to_string(),
        extra: agent,
        bytes_rx: octets.received,
        bytes_tx: octets.sent,
        bandwidth_rx_kbit: received_rate / 1024.0,
        bandwidth_tx_kbit: sent_rate / 1024.0,
    }
}

/// The viewers by WebRTC that may be seen, oldest first.
fn viewers(app: &App, access: &Access, overview: &Overview) -> Vec<Session> {
    let now = super::process::now();
    let seen = overview.viewings.iter().filter(|viewing| access.covers(&viewing.process, Action::Read));
    let mut sessions: Vec<Session> = seen.map(|viewing| viewer(app, viewing, now)).collect();
    sessions.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    sessions
}

fn viewer(app: &App, viewing: &Viewing, now: u64) -> Session {
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
