//! Processes as datarhei Core's clients see them, with what this program tells beside that: status, origin, WHEP.
//!
//! Addresses and options may hold credentials. They are in the configuration alone, and who may read a process may read it.

pub(super) mod change;
mod filter;
pub(super) mod metadata;
pub(super) mod probe;
mod progress;
mod report;
mod state;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::access::Access;
use super::path::{At, at};
use super::problem::Problem;
use super::token::Action;
use super::{App, Shared};
use crate::controller::{self, Process};
use crate::core::{Config, Kept, config_of};
use crate::crd::RestreamProcessStatus;

pub use filter::Query;
pub use report::Report;
pub use state::State as ProcessState;

use filter::Sections;

/// One process as it is shown.
#[derive(Serialize, ToSchema)]
pub struct Shown {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    reference: String,
    created_at: u64,
    updated_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Config>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<ProcessState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
    state_since: u64,
    origin: String,
    #[schema(value_type = Object)]
    status: RestreamProcessStatus,
    whep: Option<String>,
}

/// One line of FFmpeg's log as it is shown.
#[derive(Serialize, ToSchema)]
pub struct Line {
    at: u64,
    line: String,
}

/// The id in the path.
#[derive(Deserialize)]
pub struct Id {
    id: String,
}

impl Id {
    /// The id of a path that has it as a word.
    pub(super) fn path(id: &str) -> At<Self> {
        Ok(axum::extract::Path(Self { id: id.to_owned() }))
    }
}

/// What the token allows to read, of that what the query asks for.
#[utoipa::path(
    get,
    path = "/api/v3/process",
    tag = "process",
    params(Query),
    responses((status = 200, description = "The processes", body = [Shown]))
)]
pub async fn list(State(app): Shared, access: Access, query: Query) -> Result<Json<Vec<Shown>>, Problem> {
    access.require_some(Action::Read)?;
    let wanted = query.wanted()?;
    let snapshot = app.snapshot.borrow().clone();
    let readable = snapshot.processes.values().filter(|process| access.covers(process.key.as_str(), Action::Read));
    let chosen = readable.filter(|process| {
        wanted.covers(process.key.as_str(), process.manifest.spec.reference.as_deref().unwrap_or_default())
    });
    Ok(Json(chosen.map(|process| show(&app, process, wanted.sections)).collect()))
}

/// One process.
#[utoipa::path(
    get,
    path = "/api/v3/process/{id}",
    tag = "process",
    params(Query),
    responses((status = 200, description = "The process", body = Shown))
)]
pub async fn one(State(app): Shared, access: Access, path: At<Id>, query: Query) -> Result<Json<Shown>, Problem> {
    let process = find(&app, &access, path)?;
    Ok(Json(show(&app, &process, query.wanted()?.sections)))
}

/// The configuration of a process.
#[utoipa::path(
    get,
    path = "/api/v3/process/{id}/config",
    tag = "process",
    responses((status = 200, description = "The configuration", body = Config))
)]
pub async fn config(State(app): Shared, access: Access, path: At<Id>) -> Result<Json<Config>, Problem> {
    let process = find(&app, &access, path)?;
    Ok(Json(config_of(process.key.as_str(), &process.manifest, &kept(&app, &process), app.cores)))
}

/// The state of a process.
#[utoipa::path(
    get,
    path = "/api/v3/process/{id}/state",
    tag = "process",
    responses((status = 200, description = "The state", body = ProcessState))
)]
pub async fn state(State(app): Shared, access: Access, path: At<Id>) -> Result<Json<ProcessState>, Problem> {
    Ok(Json(ProcessState::of(&*find(&app, &access, path)?, now(), app.cores)))
}

/// What FFmpeg said, in datarhei's form.
#[utoipa::path(
    get,
    path = "/api/v3/process/{id}/report",
    tag = "process",
    responses((status = 200, description = "The report", body = Report))
)]
pub async fn report(State(app): Shared, access: Access, path: At<Id>) -> Result<Json<Report>, Problem> {
    Ok(Json(Report::of(&*find(&app, &access, path)?)))
}

/// The last lines of FFmpeg, oldest first.
#[utoipa::path(
    get,
    path = "/api/v3/process/{id}/log",
    tag = "process",
    responses((status = 200, description = "The lines", body = [Line]))
)]
pub async fn log(State(app): Shared, access: Access, path: At<Id>) -> Result<Json<Vec<Line>>, Problem> {
    let process = find(&app, &access, path)?;
    Ok(Json(process.log.iter().map(|line| Line { at: line.at, line: line.line.clone() }).collect()))
}

/// Manifests that are refused, and why.
#[utoipa::path(
    get,
    path = "/api/v3/problem",
    tag = "process",
    responses((status = 200, description = "Each with its reasons", body = [Object]))
)]
pub async fn problems(State(app): Shared, access: Access) -> Result<Json<Vec<controller::Problem>>, Problem> {
    access.require_all(Action::Read)?;
    Ok(Json(app.snapshot.borrow().problems.clone()))
}

pub(super) fn find(app: &App, access: &Access, path: At<Id>) -> Result<std::sync::Arc<Process>, Problem> {
    let Id { id } = at(path)?;
    access.require(&id, Action::Read)?;
    known(app, &id)
}

/// A process, whoever asks.
pub(super) fn known(app: &App, id: &str) -> Result<std::sync::Arc<Process>, Problem> {
    let unknown = || Problem::not_found("unknown_process", format!("there is no process {id:?} here"));
    app.process(id).ok_or_else(unknown)
}

/// What is kept beside the manifest of a process.
fn kept(app: &App, process: &Process) -> Kept {
    let stored = app.core.as_ref().map(|core| core.stored());
    stored.and_then(|stored| stored.processes.get(process.key.as_str()).cloned()).unwrap_or_default()
}

/// Unix seconds.
pub(super) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

fn show(app: &App, process: &Process, sections: Sections) -> Shown {
    let spec = &process.manifest.spec;
    let plays = app.whep.is_some() && !spec.suspend && spec.webrtc.as_ref().is_some_and(|webrtc| webrtc.enabled);
    let kept = kept(app, process);
    Shown {
        id: process.key.as_str().to_owned(),
        kind: "ffmpeg",
        reference: spec.reference.clone().unwrap_or_default(),
        created_at: kept.created_at.unwrap_or(process.created_at),
        updated_at: process.updated_at,
        config: sections.config.then(|| config_of(process.key.as_str(), &process.manifest, &kept, app.cores)),
        state: sections.state.then(|| ProcessState::of(process, now(), app.cores)),
        report: sections.report.then(|| Report::of(process)),
        metadata: sections.metadata.then_some(kept.metadata),
        state_since: process.state_since,
        origin: process.origin.0.clone(),
        status: process.status.clone(),
        whep: plays.then(|| process.key.whep_path()),
    }
}
