//! `/api/v3/session`: who watches by HLS, in datarhei's shape.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Uri;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::problem::Problem;
use super::token::Action;
use super::{App, Shared};
use crate::sessions::{Active, Summary, Total};

/// The collector that there is.
const HLS: &str = "hls";

/// One session as it is shown.
#[derive(Serialize)]
pub struct Session {
    id: String,
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

/// One collector as it is shown.
#[derive(Serialize)]
pub struct Collector {
    active: Now,
    summary: Ever,
}

#[derive(Serialize)]
struct Now {
    list: Vec<Session>,
    sessions: usize,
    bandwidth_rx_mbit: f64,
    bandwidth_tx_mbit: f64,
    max_sessions: u64,
    max_bandwidth_rx_mbit: f64,
    max_bandwidth_tx_mbit: f64,
}

#[derive(Serialize)]
struct Ever {
    remote: BTreeMap<String, Stats>,
    local: BTreeMap<String, Stats>,
    reference: BTreeMap<String, Stats>,
    #[serde(flatten)]
    total: Stats,
}

#[derive(Serialize)]
struct Stats {
    sessions: u64,
    traffic_rx_mb: u64,
    traffic_tx_mb: u64,
}

/// `GET /api/v3/session`: by collector, what is and what was since the start.
pub async fn summary(
    State(app): Shared,
    access: Access,
    uri: Uri,
) -> Result<Json<BTreeMap<&'static str, Collector>>, Problem> {
    access.require_all(Action::Read)?;
    let collector = |(active, summary): (Vec<Active>, Summary)| (HLS, show(active, summary));
    Ok(Json(collect(&app, &uri)?.map(collector).into_iter().collect()))
}

/// `GET /api/v3/session/active`: by collector, the sessions at this moment.
pub async fn active(
    State(app): Shared,
    access: Access,
    uri: Uri,
) -> Result<Json<BTreeMap<&'static str, Vec<Session>>>, Problem> {
    access.require_all(Action::Read)?;
    let sessions = |(active, _): (Vec<Active>, Summary)| (HLS, active.into_iter().map(session).collect());
    Ok(Json(collect(&app, &uri)?.map(sessions).into_iter().collect()))
}

/// What HLS has collected, where it is asked for; without a wish everything is.
fn collect(app: &App, uri: &Uri) -> Result<Option<(Vec<Active>, Summary)>, Problem> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Wish {
        collectors: String,
    }
    let wish = Query::<Wish>::try_from_uri(uri).map_err(|rejection| Problem::malformed(rejection.body_text()))?.0;
    let wanted: Vec<&str> = wish.collectors.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let Some(watch) = app.files.sessions.as_ref().filter(|_| wanted.is_empty() || wanted.contains(&HLS)) else {
        return Ok(None);
    };
    let mut sessions = watch.sessions.lock().expect("nothing panics while it is held");
    let now = Instant::now();
    Ok(Some((sessions.active(now), sessions.summary(now))))
}

fn session(session: Active) -> Session {
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
        bandwidth_rx_kbit: received_rate / 1e3,
        bandwidth_tx_kbit: sent_rate / 1e3,
    }
}

fn show(active: Vec<Active>, summary: Summary) -> Collector {
    let Summary { total, remote, local, reference } = summary;
    let rows = |rows: BTreeMap<String, Total>| rows.into_iter().map(|(name, total)| (name, stats(total))).collect();
    Collector {
        active: Now {
            sessions: active.len(),
            bandwidth_rx_mbit: active.iter().map(|session| session.received_rate).sum::<f64>() / 1e6,
            bandwidth_tx_mbit: active.iter().map(|session| session.sent_rate).sum::<f64>() / 1e6,
            list: active.into_iter().map(session).collect(),
            max_sessions: 0,
            max_bandwidth_rx_mbit: 0.0,
            max_bandwidth_tx_mbit: 0.0,
        },
        summary: Ever { remote: rows(remote), local: rows(local), reference: rows(reference), total: stats(total) },
    }
}

fn stats(total: Total) -> Stats {
    const MEBIBYTE: u64 = 1 << 20;
    let Total { sessions, octets } = total;
    Stats { sessions, traffic_rx_mb: octets.received / MEBIBYTE, traffic_tx_mb: octets.sent / MEBIBYTE }
}
