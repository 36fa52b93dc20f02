//! Making, changing, removing and commanding processes.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Id;
use crate::core::{Command, Config, Done, Order, Refusal};
use crate::http::{
    Shared,
    access::Access,
    body,
    path::{At, at},
    problem::Problem,
    token::Action,
};

/// Octets of a process at most.
const MAX_PROCESS: usize = 1 << 20;
/// Octets of a command at most.
const MAX_COMMAND: usize = 8 * 1024;
/// Letters and digits of an id that is made: more than anybody guesses, as many as datarhei's ids have.
const ID_LETTERS: usize = 22;

/// A process as it is now.
#[derive(Serialize, ToSchema)]
pub struct Changed {
    #[serde(flatten)]
    config: Config,
    /// What of the request has no effect, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_effect: Vec<String>,
}

/// A command.
#[derive(Deserialize, ToSchema)]
pub struct CommandBody {
    /// `start`, `stop`, `restart` or `reload`.
    command: String,
}

/// Makes a process.
#[utoipa::path(
    post,
    path = "/api/v3/process",
    tag = "process",
    request_body = Config,
    responses((status = 200, description = "The process as it is now", body = Changed))
)]
pub async fn create(
    State(app): Shared,
    access: Access,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Problem> {
    let json = named(&access, &headers, body).await?;
    changed(app.core()?.order(Order::Create(json)).await?)
}

/// Changes a process; what the body leaves out stays.
#[utoipa::path(
    put,
    path = "/api/v3/process/{id}",
    tag = "process",
    request_body = Config,
    responses((status = 200, description = "The process as it is now", body = Changed))
)]
pub async fn update(
    State(app): Shared,
    access: Access,
    path: At<Id>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Problem> {
    let Id { id } = at(path)?;
    access.require(&id, Action::Write)?;
    let changes = body::json(&headers, body, MAX_PROCESS).await?;
    if let Some(id) = changes.get("id").and_then(Value::as_str) {
        access.require(id, Action::Write)?;
    }
    changed(app.core()?.order(Order::Update { id, changes }).await?)
}

/// Removes a process.
#[utoipa::path(
    delete,
    path = "/api/v3/process/{id}",
    tag = "process",
    responses((status = 200, description = "It is gone", body = String))
)]
pub async fn delete(State(app): Shared, access: Access, path: At<Id>) -> Result<Json<&'static str>, Problem> {
    let Id { id } = at(path)?;
    access.require(&id, Action::Write)?;
    app.core()?.order(Order::Delete { id }).await?;
    Ok(Json("OK"))
}

/// Starts or stops a process, or has it begin anew.
#[utoipa::path(
    put,
    path = "/api/v3/process/{id}/command",
    tag = "process",
    request_body = CommandBody,
    responses((status = 200, description = "It is done", body = String))
)]
pub async fn command(
    State(app): Shared,
    access: Access,
    path: At<Id>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<&'static str>, Problem> {
    let Id { id } = at(path)?;
    access.require(&id, Action::Write)?;
    let json = body::json(&headers, body, MAX_COMMAND).await?;
    let CommandBody { command } =
        serde_json::from_value(json).map_err(|error| Problem::malformed(format!("this is no command: {error}")))?;
    let command = match command.as_str() {
        "start" => Command::Start,
        "stop" => Command::Stop,
        "restart" => Command::Restart,
        "reload" => Command::Reload,
        _ => return Err(Problem::malformed("command: must be start, stop, restart or reload")),
    };
    app.core()?.order(Order::Command { id, command }).await?;
    Ok(Json("OK"))
}

/// The JSON of a process that the token may write; it gets an id where it has none.
pub(super) async fn named(access: &Access, headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    access.require_some(Action::Write)?;
    let mut json = body::json(headers, body, MAX_PROCESS).await?;
    let id = match json.get("id") {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        None | Some(Value::Null | Value::String(_)) => make_id(),
        Some(_) => return Err(Problem::malformed("id: must be text")),
    };
    access.require(&id, Action::Write)?;
    if let Some(fields) = json.as_object_mut() {
        fields.insert("id".into(), id.into());
    }
    Ok(json)
}

fn changed(done: Done) -> Result<Json<Changed>, Problem> {
    match done {
        Done::Process { config, without_effect } => Ok(Json(Changed { config: *config, without_effect })),
        Done::Plain => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the process is not told"))
        }
    }
}

fn make_id() -> String {
    use rand::RngExt;
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(ID_LETTERS).map(char::from).collect()
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Unknown(_) => Self::not_found("unknown_process", detail),
            Refusal::Taken(_) => Self::new(StatusCode::BAD_REQUEST, "process_exists", detail),
            Refusal::Refused(reasons) => Self::new(StatusCode::BAD_REQUEST, "refused", detail).listing(reasons),
            Refusal::NotOurs(_) => Self::new(StatusCode::CONFLICT, "not_managed", detail),
            Refusal::Failed(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "not_written", detail),
            Refusal::Silent(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_ffmpeg", detail),
            Refusal::Timeout => Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail),
        }
    }
}
