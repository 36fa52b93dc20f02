//! `/worker`: what a worker Pod runs, and another configuration for it at once. For the operator.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::access::Access;
use super::problem::Problem;
use super::token::Action;
use super::{Shared, body};
use crate::workload::{Configuration, Report};

/// Octets of a configuration at most: a manifest has 1 MiB, and what is around it is small.
const MAX_CONFIGURATION: usize = 2 << 20;

/// The worker that answers.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Id of its process.
    pub process: String,
    /// Where it stands.
    pub standing: watch::Receiver<Standing>,
    /// The way to its configuration.
    pub puts: mpsc::Sender<Put>,
}

/// Where a worker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Digest of the configuration that it has.
    pub configuration: String,
    /// It is to end, and takes no new viewers.
    pub draining: bool,
}

/// A configuration that somebody wants to hold.
#[derive(Debug)]
pub struct Put {
    /// The configuration.
    pub configuration: Configuration,
    /// Told when it holds, or everything that is wrong with it.
    pub reply: oneshot::Sender<Result<(), Vec<String>>>,
}

/// `GET /worker`.
pub async fn show(State(app): Shared, headers: HeaderMap) -> Result<Json<Report>, Problem> {
    let worker = worker(&app.worker)?;
    Access::of(&app, "api", &headers).await?.require(&worker.process, Action::Read)?;
    let Standing { configuration, draining } = worker.standing.borrow().clone();
    let status = app.process(&worker.process).map(|process| process.status.clone()).unwrap_or_default();
    Ok(Json(Report { configuration, draining, status }))
}

/// `PUT /worker`: the configuration holds when this is answered.
pub async fn put(State(app): Shared, headers: HeaderMap, body: Body) -> Result<StatusCode, Problem> {
    let worker = worker(&app.worker)?;
    Access::of(&app, "api", &headers).await?.require(&worker.process, Action::Write)?;
    let value = body::json(&headers, body, MAX_CONFIGURATION).await?;
    let configuration = serde_json::from_value(value)
        .map_err(|error| Problem::malformed(format!("the body is no configuration of a worker: {error}")))?;
    let (reply, taken) = oneshot::channel();
    let ending = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "the worker is about to end");
    worker.puts.send(Put { configuration, reply }).await.map_err(|_| ending())?;
    match taken.await.map_err(|_| ending())? {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(reasons) => {
            let detail = format!("the configuration is not taken: {}", reasons.join("; "));
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", detail).listing(reasons))
        }
    }
}

fn worker(worker: &Option<Worker>) -> Result<&Worker, Problem> {
    worker.as_ref().ok_or_else(super::problem::no_route)
}
