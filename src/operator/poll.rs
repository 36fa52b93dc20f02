//! Workers are asked how they are, and told what they should be: often while something changes, seldom while it does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rand::RngExt;

use super::Context;
use super::index::Held;
use super::key::Key;
use super::state::{State, Voice};
use crate::crd::RestreamProcessStatus;
use crate::plan::process_id;
use crate::workload::{Configuration, Report};

/// A worker is asked this often while something changes.
const EAGER: Duration = Duration::from_secs(1);
/// A worker is asked this often else.
const STEADY: Duration = Duration::from_secs(5);
/// After a change a worker is asked eagerly for this long.
const LIVELY: Duration = Duration::from_secs(10);
/// A worker has this long to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A connection is kept for the eager ones, and not for all the others.
const IDLE: Duration = Duration::from_secs(2);
/// Octets of a report at most.
const MAX_REPORT: usize = 1 << 20;
/// A worker that does not answer so often in a row is silent.
const SILENT_AFTER: u32 = 3;
/// The number of viewers is news after this.
const VIEWERS_INTERVAL: Duration = Duration::from_secs(30);

/// Asks workers.
#[derive(Clone)]
pub struct Poller(Client<HttpConnector, Full<Bytes>>);

/// Why a worker has not said anything.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("{0}")]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its report cannot be read: {0}")]
    Report(#[from] serde_json::Error),
}

impl Poller {
    /// One with no connection yet.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector);
        Self(client)
    }

    async fn ask(&self, address: SocketAddr, token: &str) -> Result<Report, Unanswered> {
        let body = self.send(Method::GET, address, token, Bytes::new()).await?;
        Ok(serde_json::from_slice(&body)?)
    }

    async fn tell(&self, address: SocketAddr, token: &str, wanted: &Configuration) -> Result<(), Unanswered> {
        let body = serde_json::to_vec(wanted).expect("texts are JSON");
        self.send(Method::PUT, address, token, body.into()).await.map(|_| ())
    }

    async fn send(&self, method: Method, to: SocketAddr, token: &str, body: Bytes) -> Result<Bytes, Unanswered> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{to}/worker"))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .expect("an address and a token make a request");
        let exchange = async {
            let answer = self.0.request(request).await?;
            if !answer.status().is_success() {
                return Err(Unanswered::Status(answer.status()));
            }
            let body = Limited::new(answer.into_body(), MAX_REPORT).collect().await.map_err(Unanswered::Body)?;
            Ok(body.to_bytes())
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(Unanswered::Late))
    }

    /// Asks the worker of a process; says in how long to ask again, where there is one.
    pub async fn poll(&self, cx: &Context, key: &Key) -> Option<Duration> {
        let Some(Held::Process(process)) = cx.index.held(key) else { return None };
        let Some((address, pod)) = cx.index.worker(key, cx.settings.worker_port) else {
            cx.index.with_state(key, |state| (state.voice, state.pod) = (Voice::Unasked, String::new()));
            return None;
        };
        let id = process_id(&process);
        let token = (cx.settings.mint)(id.as_str());
        let answer = self.ask(address, &token).await;
        cx.figures.polled(if answer.is_ok() { "answered" } else { "unanswered" });
        if let Err(error) = &answer {
            tracing::debug!(namespace = &*key.namespace, name = &*key.name, %address, %error, "the worker does not answer");
        }
        let (news, nudge) = cx.index.with_state(key, |state| take(state, pod, answer.ok()));
        match news {
            News::None => {}
            News::Viewers => cx.queue.after(key.clone(), VIEWERS_INTERVAL),
            News::All => cx.queue.soon(key.clone()),
        }
        if let Some(wanted) = nudge
            && let Err(error) = self.tell(address, &token, &wanted).await
        {
            tracing::warn!(namespace = &*key.namespace, name = &*key.name, %address, %error,
                "the worker does not take its configuration at once; it reads it from its volume");
        }
        let interval = cx.index.with_state(key, |state| interval(state));
        Some(interval.mul_f64(rand::rng().random_range(0.9..1.1)))
    }
}

/// What is new of a worker.
#[derive(Debug, PartialEq, Eq)]
enum News {
    None,
    /// How many watch.
    Viewers,
    /// Something else.
    All,
}

/// Takes in what a worker has said, or that it has not; what is new, and what it has to be told.
fn take(state: &mut State, pod: String, report: Option<Report>) -> (News, Option<Arc<Configuration>>) {
    if state.pod != pod {
        (state.voice, state.unanswered, state.changed) = (Voice::Unasked, 0, Some(tokio::time::Instant::now()));
        state.pod = pod;
    }
    let Some(report) = report else {
        state.unanswered = state.unanswered.saturating_add(1);
        if state.unanswered < SILENT_AFTER || matches!(state.voice, Voice::Silent) {
            return (News::None, None);
        }
        state.voice = Voice::Silent;
        state.changed = Some(tokio::time::Instant::now());
        return (News::All, None);
    };
    state.unanswered = 0;
    let nudge = state.wanted.clone().filter(|_| report.configuration != state.wanted_digest);
    let news = match &state.voice {
        Voice::Said(before) => news(before, &report),
        Voice::Unasked | Voice::Silent => News::All,
    };
    if news == News::All {
        state.changed = Some(tokio::time::Instant::now());
    }
    state.voice = Voice::Said(Arc::new(report));
    (news, nudge)
}

fn news(before: &Report, now: &Report) -> News {
    let without_figures = |report: &Report| {
        let mut status: RestreamProcessStatus = report.status.clone();
        status.progress = None;
        let viewers = status.webrtc.as_mut().map(|webrtc| std::mem::take(&mut webrtc.viewers));
        ((status, report.configuration.clone(), report.draining), viewers)
    };
    let ((before, viewers_before), (now, viewers)) = (without_figures(before), without_figures(now));
    match (before == now, viewers_before == viewers) {
        (false, _) => News::All,
        (true, false) => News::Viewers,
        (true, true) => News::None,
    }
}

/// In how long to ask again. A worker that is not as it should be is asked ever less often.
fn interval(state: &State) -> Duration {
    let since = state.changed.map_or(Duration::MAX, |at| at.elapsed());
    let is_well = match &state.voice {
        Voice::Said(report) => {
            let conditions = &report.status.conditions;
            let is_ready = conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
            is_ready && (state.wanted.is_none() || report.configuration == state.wanted_digest)
        }
        Voice::Unasked | Voice::Silent => false,
    };
    match since < LIVELY {
        true => EAGER,
        false if is_well => STEADY,
        false => (since / 10).clamp(EAGER, STEADY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(configuration: &str, restarts: i32) -> Report {
        let status = RestreamProcessStatus { restarts, ..RestreamProcessStatus::default() };
        Report { configuration: configuration.into(), draining: false, status }
    }

    fn wanted() -> State {
        let texts = || "x".to_owned();
        let configuration = Configuration { process: texts(), settings: texts(), jwks: texts() };
        State { wanted: Some(Arc::new(configuration)), wanted_digest: "new".into(), ..State::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_runs_something_else_is_told() {
        let mut state = wanted();
        let (news, nudge) = take(&mut state, "p".into(), Some(report("old", 0)));
        assert!(news == News::All && nudge.is_some());
        let (news, nudge) = take(&mut state, "p".into(), Some(report("new", 0)));
        assert!(news == News::All && nudge.is_none());
        assert_eq!(take(&mut state, "p".into(), Some(report("new", 0))).0, News::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_lost_is_no_news() {
        let mut state = wanted();
        take(&mut state, "p".into(), Some(report("new", 0)));
        assert_eq!(take(&mut state, "p".into(), None).0, News::None);
        assert_eq!(take(&mut state, "p".into(), None).0, News::None);
        assert!(matches!(state.voice, Voice::Said(_)));
        assert_eq!(take(&mut state, "p".into(), None).0, News::All);
        assert!(matches!(state.voice, Voice::Silent));
        assert_eq!(take(&mut state, "p".into(), None).0, News::None);
        assert_eq!(take(&mut state, "another".into(), Some(report("new", 0))).0, News::All);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_asked_seldom_once_nothing_changes() {
        let mut state = wanted();
        take(&mut state, "p".into(), Some(report("new", 0)));
        assert_eq!(interval(&state), EAGER);
        tokio::time::advance(LIVELY * 2).await;
        assert_eq!(interval(&state), Duration::from_secs(2), "it is not ready");
        tokio::time::advance(LIVELY * 20).await;
        assert_eq!(interval(&state), STEADY);
    }
}
