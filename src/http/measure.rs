//! Figures as JSON, by datarhei's names: what there is, and its value now. There is no history; Prometheus keeps one.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::access::Access;
use super::problem::Problem;
use super::process::{ProcessState, now};
use super::token::Action;
use super::{App, Shared, body, session};
use crate::files::Usage;

/// Octets of a query at most.
const MAX_QUERY: usize = 64 * 1024;

/// Name, meaning and labels of every figure.
const FIGURES: [(&str, &str, &[&str]); 11] = [
    ("uptime_uptime", "Seconds since the program started", &[]),
    ("cpu_ncpu", "Processors that the program may use", &[]),
    ("restream_process", "Figures of a process, by name", &["processid", "state", "order", "name"]),
    ("restream_process_states", "Whether a process is in this state, 0 or 1", &["processid", "state"]),
    ("restream_state", "Processes in this state", &["state"]),
    ("filesystem_limit", "Octets that the files of a filesystem may have; 0 is no cap", &["name"]),
    ("filesystem_usage", "Octets of the files of a filesystem", &["name"]),
    ("filesystem_files", "Files of a filesystem", &["name"]),
    ("session_total", "Sessions since the start", &["collector"]),
    ("session_active", "Sessions at this moment", &["collector"]),
    ("session_limit", "Sessions at most", &["collector"]),
];

/// Words of a state.
const STATES: [&str; 6] = ["finished", "starting", "running", "finishing", "failed", "killed"];

/// What is asked for.
#[derive(Deserialize, ToSchema)]
pub struct Asked {
    #[serde(default)]
    timerange_sec: Option<i64>,
    #[serde(default)]
    interval_sec: Option<i64>,
    #[serde(default)]
    metrics: Option<Vec<AskedFigure>>,
}

/// One figure that is asked for.
#[derive(Deserialize, ToSchema)]
struct AskedFigure {
    name: String,
    /// Regular expressions, by label.
    #[serde(default)]
    labels: Option<std::collections::BTreeMap<String, String>>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Figure {
    name: &'static str,
    labels: Map<String, Value>,
    values: [(u64, f64); 1],
}

/// What may be asked for.
#[utoipa::path(
    get,
    path = "/api/v3/metrics",
    tag = "figures",
    responses((status = 200, description = "Names, meanings, labels", body = [Object]))
)]
pub async fn describe(access: Access) -> Result<Json<Value>, Problem> {
    access.require_some(Action::Read)?;
    let described = FIGURES
        .iter()
        .map(|(name, description, labels)| json!({ "name": name, "description": description, "labels": labels }));
    Ok(Json(described.collect()))
}

/// The values now of what is asked for, and nothing else.
#[utoipa::path(
    post,
    path = "/api/v3/metrics",
    tag = "figures",
    request_body = Asked,
    responses((status = 200, description = "The values", body = Object))
)]
pub async fn query(State(app): Shared, access: Access, headers: HeaderMap, body: Body) -> Result<Json<Value>, Problem> {
    access.require_some(Action::Read)?;
    let asked: Asked = serde_json::from_value(body::json(&headers, body, MAX_QUERY).await?)
        .map_err(|error| Problem::malformed(format!("this is no query of metrics: {error}")))?;
    let figures = figures(&app, &access).await;
    let mut found = Vec::new();
    for asked in asked.metrics.unwrap_or_default() {
        let mut patterns = Vec::new();
        for (label, pattern) in asked.labels.unwrap_or_default() {
            let regex = Regex::new(&format!("^(?:{pattern})$"))
                .map_err(|error| Problem::malformed(format!("labels.{label}: {error}")))?;
            patterns.push((label, regex));
        }
        let fits = |figure: &&Figure| {
            let text = |label: &str| figure.labels.get(label).and_then(Value::as_str).unwrap_or_default();
            figure.name == asked.name && patterns.iter().all(|(label, pattern)| pattern.is_match(text(label)))
        };
        found.extend(figures.iter().filter(fits).cloned());
    }
    Ok(Json(json!({
        "timerange_sec": asked.timerange_sec.unwrap_or_default(),
        "interval_sec": asked.interval_sec.unwrap_or_default(),
        "metrics": found,
    })))
}

async fn figures(app: &App, access: &Access) -> Vec<Figure> {
    let at = now();
    let mut figures = Vec::new();
    let mut add = |name: &'static str, labels: &[(&str, &str)], value: f64| {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        figures.push(Figure { name, labels, values: [(at, value)] });
    };
    let started = u64::try_from(app.identity.created_at.as_second()).unwrap_or_default();
    add("uptime_uptime", &[], at.saturating_sub(started) as f64);
    add("cpu_ncpu", &[], std::thread::available_parallelism().map_or(1, usize::from) as f64);
    let snapshot = app.snapshot.borrow().clone();
    let mut counts = STATES.map(|state| (state, 0.0));
    for process in snapshot.processes.values().filter(|process| access.covers(process.key.as_str(), Action::Read)) {
        let state = ProcessState::of(process, at, app.cores);
        let (id, exec, order) = (process.key.as_str(), state.exec(), state.order());
        for (name, value) in state.figures() {
            add("restream_process", &[("processid", id), ("state", exec), ("order", order), ("name", name)], value);
        }
        for (word, count) in &mut counts {
            let is = f64::from(u8::from(*word == exec));
            *count += is;
            add("restream_process_states", &[("processid", id), ("state", word)], is);
        }
    }
    for (state, count) in counts {
        add("restream_state", &[("state", state)], count);
    }
    if access.covers_all(Action::Read) {
        for files in &app.files.filesystems {
            let Usage { files: count, octets, limit } = files.usage();
            let labels = [("name", files.kind().word())];
            add("filesystem_limit", &labels, limit.unwrap_or_default() as f64);
            add("filesystem_usage", &labels, octets as f64);
            add("filesystem_files", &labels, count as f64);
        }
    }
    if let Some((active, ever)) = session::hls(app, access) {
        add("session_total", &[("collector", "hls")], ever.total.sessions as f64);
        add("session_active", &[("collector", "hls")], active.len() as f64);
    }
    let overview = session::overview(app).await;
    let seen = overview.viewings.iter().filter(|viewing| access.covers(&viewing.process, Action::Read)).count();
    add("session_active", &[("collector", "whep")], seen as f64);
    add("session_limit", &[("collector", "whep")], overview.max_viewers as f64);
    figures
}
