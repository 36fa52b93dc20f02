//! Processes and refused manifests as JSON. Nothing of a manifest that may hold credentials is shown.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::access::Access;
use super::problem::Problem;
use super::token::Action;
use crate::controller::{self, Process};
use crate::crd::RestreamProcessStatus;

/// One process as it is shown.
#[derive(Serialize)]
pub struct Shown {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    reference: String,
    created_at: u64,
    updated_at: u64,
    state_since: u64,
    origin: String,
    status: RestreamProcessStatus,
    whep: Option<String>,
}

/// One line of FFmpeg's log as it is shown.
#[derive(Serialize)]
pub struct Line {
    at: u64,
    line: String,
}

/// The id in the path.
#[derive(Deserialize)]
pub struct Id {
    id: String,
}

type Path<T> = Result<axum::extract::Path<T>, PathRejection>;

/// `GET /api/v3/process`: what the token allows to read.
pub async fn list(State(app): Shared, access: Access) -> Result<Json<Vec<Shown>>, Problem> {
    access.require_some(Action::Read)?;
    let snapshot = app.snapshot.borrow().clone();
    let readable = snapshot.processes.values().filter(|process| access.covers(process.key.as_str(), Action::Read));
    Ok(Json(readable.map(|process| show(process, app.whep.is_some())).collect()))
}

/// `GET /api/v3/process/{id}`
pub async fn one(State(app): Shared, access: Access, path: Path<Id>) -> Result<Json<Shown>, Problem> {
    let process = find(&app, &access, path)?;
    Ok(Json(show(&process, app.whep.is_some())))
}

/// `GET /api/v3/process/{id}/log`: the last lines of FFmpeg, oldest first.
pub async fn log(State(app): Shared, access: Access, path: Path<Id>) -> Result<Json<Vec<Line>>, Problem> {
    let process = find(&app, &access, path)?;
    Ok(Json(process.log.iter().map(|line| Line { at: line.at, line: line.line.clone() }).collect()))
}

/// `GET /api/v3/problem`: manifests that are refused, and why.
pub async fn problems(State(app): Shared, access: Access) -> Result<Json<Vec<controller::Problem>>, Problem> {
    access.require_all(Action::Read)?;
    Ok(Json(app.snapshot.borrow().problems.clone()))
}

fn find(app: &super::App, access: &Access, path: Path<Id>) -> Result<std::sync::Arc<Process>, Problem> {
    let id = path.map_err(|rejection| Problem::malformed(rejection.body_text()))?.0.id;
    access.require(&id, Action::Read)?;
    app.process(&id).ok_or_else(|| Problem::not_found("unknown_process", format!("there is no process {id:?} here")))
}

fn show(process: &Process, webrtc: bool) -> Shown {
    let spec = &process.manifest.spec;
    let plays = webrtc && !spec.suspend && spec.webrtc.as_ref().is_some_and(|webrtc| webrtc.enabled);
    Shown {
        id: process.key.as_str().to_owned(),
        kind: "ffmpeg",
        reference: spec.reference.clone().unwrap_or_default(),
        created_at: process.created_at,
        updated_at: process.updated_at,
        state_since: process.state_since,
        origin: process.origin.0.clone(),
        status: process.status.clone(),
        whep: plays.then(|| process.key.whep_path()),
    }
}
