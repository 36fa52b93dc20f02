//! In a cluster: what is asked of one process goes to its worker Pod, and the answer comes back.
//!
//! The worker asks for the token itself, which the same key has signed, so the request goes on as it came.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONNECTION, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::App;
use super::problem::Problem;
use crate::plan::Key;

/// A worker that takes no connection within this is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection to a worker that nobody uses is closed after this.
const IDLE: Duration = Duration::from_secs(10);
/// Until the head of its answer is there; probes of inputs take their time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Seconds until a client may ask again for a worker that is away.
const RETRY: u64 = 2;
/// What speaks of one connection alone (RFC 9110 section 7.6.1).
const OF_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// What is said of every change.
const READ_ONLY: &str = "this is the operator of a cluster: processes are written with kubectl (kubectl apply, edit, delete of \
                         a RestreamProcess; the annotation restream.wilddragon.net/restart-at starts one anew), and only read \
                         here";

/// Where the worker of a process answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerAddresses {
    /// Its status and API.
    pub status: SocketAddr,
    /// WHEP.
    pub whep: SocketAddr,
}

/// The workers of all processes that have one.
pub type Workers = watch::Receiver<Arc<BTreeMap<Key, WorkerAddresses>>>;

/// The way to the workers.
pub struct Forward {
    workers: Workers,
    client: Client<HttpConnector, Body>,
}

impl Forward {
    /// A way to these workers.
    pub fn new(workers: Workers) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(1);
        Self { workers, client: client.build(connector) }
    }
}

/// What of a worker is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Status,
    Whep,
}

/// Hands on what is asked of one process, and refuses what would change something.
pub async fn forward(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(forward) = &app.forward else { return next.run(request).await };
    let target = target(request.uri().path());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    match target {
        Some((process, wanted)) if is_read || wanted == Wanted::Whep => {
            let worker = forward.workers.borrow().get(&process).copied();
            match worker {
                Some(worker) => pass(forward, worker, &wanted, request).await.into_response(),
                None if wanted == Wanted::Whep && app.process(process.as_str()).is_some() => {
                    away(&format!("process {process} has no worker Pod that answers")).into_response()
                }
                // What is known of it here.
                None => next.run(request).await,
            }
        }
        _ if is_read || !is_below_api(request.uri().path()) => next.run(request).await,
        _ => Problem::new(StatusCode::METHOD_NOT_ALLOWED, "read_only", READ_ONLY)
            .with(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"))
            .into_response(),
    }
}

fn is_below_api(path: &str) -> bool {
    path.starts_with("/api/v3/")
}

/// The process that a path is about, and which side of its worker answers.
fn target(path: &str) -> Option<(Key, Wanted)> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (id, wanted) = match segments[..] {
        ["api", "v3", "whep", id, ..] | ["api", "v3", "process", id, "whep", ..] => (id, Wanted::Whep),
        ["api", "v3", "process", id, ..] => (id, Wanted::Status),
        _ => return None,
    };
    let id = percent_decode_str(id).decode_utf8().ok()?;
    (!id.is_empty()).then(|| (Key::new(id), wanted))
}

async fn pass(
    forward: &Forward,
    worker: WorkerAddresses,
    wanted: &Wanted,
    request: Request,
) -> Result<Response, Problem> {
    let address = match wanted {
        Wanted::Status => worker.status,
        Wanted::Whep => worker.whep,
    };
    let (mut head, body) = request.into_parts();
    let mut parts = head.uri.into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(Authority::try_from(address.to_string()).expect("a socket address is an authority"));
    head.uri = Uri::from_parts(parts).expect("the path was one before");
    head.headers.remove(HOST);
    strip(&mut head.headers);
    let answer = forward.client.request(Request::from_parts(head, body));
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(answer)) => {
            let (mut head, body) = answer.into_parts();
            strip(&mut head.headers);
            Ok(Response::from_parts(head, Body::new(body)))
        }
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a worker does not answer");
            Err(away("the worker Pod of the process does not answer"))
        }
        Err(_) => Err(Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "worker_timeout",
            format!("the worker Pod of the process has not answered within {} s", ANSWER_TIMEOUT.as_secs()),
        )),
    }
}

fn away(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "worker_away", detail).retry_after(RETRY)
}

/// Takes out what speaks of one connection alone, and what `Connection` names as such.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_the_process_and_who_answers() {
        let of = |path| target(path).map(|(key, wanted)| (key.to_string(), wanted));
        assert_eq!(of("/api/v3/process/studio.cam/state"), Some(("studio.cam".into(), Wanted::Status)));
        assert_eq!(of("/api/v3/process/a%3Ab"), Some(("a:b".into(), Wanted::Status)));
        assert_eq!(of("/api/v3/whep/studio.cam/session"), Some(("studio.cam".into(), Wanted::Whep)));
        assert_eq!(of("/api/v3/process/studio.cam/whep"), Some(("studio.cam".into(), Wanted::Whep)));
        assert_eq!(of("/api/v3/process"), None);
        assert_eq!(of("/api/v3/process/"), None);
        assert_eq!(of("/api/v3/skills"), None);
    }

    #[test]
    fn what_a_connection_says_of_itself_is_not_handed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "close, x-hop"), ("x-hop", "1"), ("te", "trailers"), ("etag", "\"a\"")] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }
}
