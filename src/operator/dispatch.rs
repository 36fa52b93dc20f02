//! What is due is done, so many at a time, and done again where it failed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use rand::RngExt;
use tokio::sync::{Semaphore, mpsc, watch as channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::failure::Trouble;
use super::figures::Figures;
use super::index::Index;
use super::key::Key;
use super::poll::Poller;
use super::queue::Queue;
use super::reconcile::{is_paused, reconcile};
use super::{Context, Settings, Shown, watch};
use crate::workload::MANAGER;

/// One reconciliation has this long.
const DEADLINE: Duration = Duration::from_secs(30);
/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5 * 60));
/// Workers that are asked at a time.
const POLLS: usize = 64;

/// A part of the operator ended that must not.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended")]
pub struct Ended(&'static str);

/// The operator.
#[derive(Clone)]
pub struct Operator {
    cx: Context,
    synced: channel::Sender<bool>,
}

impl Operator {
    /// One that has not begun yet.
    pub fn new(client: Client, settings: Settings, figures: Figures) -> Self {
        let reporter = Reporter { controller: MANAGER.into(), instance: Some(settings.identity.clone()) };
        let cx = Context {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            settings: Arc::new(settings),
            figures,
            serves_routes: Arc::default(),
            index: Arc::new(Index::default()),
            queue: Arc::new(Queue::default()),
            polls: Arc::new(Queue::default()),
        };
        Self { cx, synced: channel::Sender::new(false) }
    }

    /// Every process that can be read, with its status and where its worker answers.
    pub fn processes(&self) -> Vec<Shown> {
        self.cx.index.shown(self.cx.settings.worker_port)
    }

    /// Another number where [`processes`](Self::processes) has something new.
    pub fn version(&self) -> u64 {
        self.cx.index.version()
    }

    /// Whether everything that is there has been listed.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// The figures, as OpenMetrics text.
    pub fn figures(&self) -> String {
        let mut states: BTreeMap<String, i64> = BTreeMap::new();
        let mut paused = 0;
        for Shown { process, worker: _ } in self.processes() {
            let state = process.status.as_ref().map(|status| status.state).unwrap_or_default();
            *states.entry(format!("{state:?}")).or_default() += 1;
            paused += i64::from(is_paused(&process));
        }
        self.cx.figures.processes(&states, paused);
        let (depth, active) = self.cx.queue.depth();
        self.cx.figures.load(depth, active, self.cx.settings.concurrency);
        self.cx.figures.text()
    }

    /// Watches, and does its work as soon as it leads; returns only when a part ends that must not.
    pub async fn run(&self, lead: impl Future<Output = ()>) -> Result<Infallible, Ended> {
        let mut tasks = JoinSet::new();
        let (synced, mut listings) = mpsc::unbounded_channel();
        let count = watch::start(&self.cx, &mut tasks, &synced);
        let listed = async {
            for _ in 0..count {
                listings.recv().await;
            }
        };
        tokio::select! {
            () = listed => {}
            _ = tasks.join_next() => return Err(Ended("a watch")),
        }
        // Before that, what is there would look as if it were missing.
        self.synced.send_replace(true);
        tracing::info!(processes = self.cx.index.keys().len(), "everything is listed, and is looked after");
        tokio::select! {
            _ = tasks.join_next() => return Err(Ended("a watch")),
            () = lead => {}
        }
        tokio::select! {
            _ = tasks.join_next() => Err(Ended("a watch")),
            () = self.dispatch() => Err(Ended("the dispatcher")),
            () = self.poll() => Err(Ended("the poller")),
        }
    }

    async fn dispatch(&self) {
        let places = Arc::new(Semaphore::new(self.cx.settings.concurrency));
        let mut runs = JoinSet::new();
        loop {
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            let (key, waited) = self.cx.queue.next().await;
            self.cx.figures.queued(waited.as_secs_f64());
            while runs.try_join_next().is_some() {}
            let cx = self.cx.clone();
            runs.spawn(async move {
                let again = once(&cx, &key).await;
                cx.queue.done(key, again);
                drop(place);
            });
        }
    }

    async fn poll(&self) {
        let places = Arc::new(Semaphore::new(POLLS));
        let poller = Poller::new();
        let mut runs = JoinSet::new();
        loop {
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            let (key, _) = self.cx.polls.next().await;
            while runs.try_join_next().is_some() {}
            let (cx, poller) = (self.cx.clone(), poller.clone());
            runs.spawn(async move {
                let again = poller.poll(&cx, &key).await;
                cx.polls.done(key, again);
                drop(place);
            });
        }
    }
}

/// Reconciles once; says in how long to do it again by itself.
async fn once(cx: &Context, key: &Key) -> Option<Duration> {
    let start = Instant::now();
    let late = || Err(Trouble::passing("ApplyFailed", format!("not done within {} s", DEADLINE.as_secs())));
    let outcome = tokio::time::timeout(DEADLINE, reconcile(cx, key)).await.unwrap_or_else(|_| late());
    let took = start.elapsed().as_secs_f64();
    match outcome {
        Ok(again) => {
            cx.index.with_state(key, |state| state.failures = 0);
            cx.figures.reconciled(if again.is_some() { "requeue_after" } else { "success" }, took);
            again
        }
        Err(Trouble { failure, is_permanent }) => {
            let failures = cx.index.with_state(key, |state| {
                state.failures = state.failures.saturating_add(1);
                state.failures
            });
            let pause = pause(failures, is_permanent);
            cx.figures.reconciled("error", took);
            let again = pause.as_secs();
            tracing::warn!(
                namespace = &*key.namespace,
                name = &*key.name,
                reason = failure.reason,
                again,
                "{}",
                failure.message
            );
            Some(pause)
        }
    }
}

/// How long to wait after so many failures in a row. What only a change mends waits longest: a change comes first.
fn pause(failures: u32, is_permanent: bool) -> Duration {
    let (first, longest) = PAUSES;
    let doubled = first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
    let pause = if is_permanent { longest } else { doubled.min(longest) };
    pause.mul_f64(rand::rng().random_range(0.8..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_is_never_longer_than_five_minutes() {
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (1000, 300)] {
            let pause = pause(failures, false);
            let most = Duration::from_secs(seconds);
            assert!(pause <= most && pause >= most.mul_f64(0.8), "{failures}: {pause:?}");
        }
        assert!(pause(1, true) >= Duration::from_secs(240));
    }
}
