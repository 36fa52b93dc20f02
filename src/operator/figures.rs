//! Figures for Prometheus: those that every controller has, by their usual names, and this operator's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The word for this operator's one controller.
const CONTROLLER: &str = "restreamprocess";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfController {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfResult {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfName {
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRequest {
    code: String,
    method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfApply {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfState {
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfOutcome {
    result: &'static str,
}

/// The figures; clones are the same ones.
#[derive(Clone)]
pub struct Figures(Arc<Inner>);

struct Inner {
    registry: Registry,
    reconciles: Family<OfResult, Counter>,
    reconcile_errors: Family<OfController, Counter>,
    reconcile_seconds: Family<OfController, Histogram>,
    active: Family<OfController, Gauge>,
    most_active: Family<OfController, Gauge>,
    depth: Family<OfName, Gauge>,
    queue_seconds: Family<OfName, Histogram>,
    leads: Family<OfName, Gauge>,
    requests: Family<OfRequest, Counter>,
    applies: Family<OfApply, Counter>,
    corrections: Family<OfKind, Counter>,
    status_writes: Counter,
    polls: Family<OfOutcome, Counter>,
    processes: Family<OfState, Gauge>,
    paused: Gauge<i64>,
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

impl Figures {
    /// Figures that are all 0. The version is told with them.
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::default();
        let of_controller = OfController { controller: CONTROLLER };
        let mut inner = Inner {
            registry: Registry::default(),
            reconciles: Family::default(),
            reconcile_errors: Family::default(),
            reconcile_seconds: Family::new_with_constructor(seconds),
            active: Family::default(),
            most_active: Family::default(),
            depth: Family::default(),
            queue_seconds: Family::new_with_constructor(seconds),
            leads: Family::default(),
            requests: Family::default(),
            applies: Family::default(),
            corrections: Family::default(),
            status_writes: Counter::default(),
            polls: Family::default(),
            processes: Family::default(),
            paused: Gauge::default(),
        };
        // One without errors is 0 and not absent.
        drop(inner.reconcile_errors.get_or_create(&of_controller));
        inner.of_controllers(&mut registry);
        inner.own(&mut registry, version);
        inner.registry = registry;
        Self(Arc::new(inner))
    }

    /// As OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).expect("a text takes everything");
        text
    }

    pub(super) fn reconciled(&self, result: &'static str, seconds: f64) {
        let controller = CONTROLLER;
        self.0.reconciles.get_or_create(&OfResult { controller, result }).inc();
        self.0.reconcile_seconds.get_or_create(&OfController { controller }).observe(seconds);
        if result == "error" {
            self.0.reconcile_errors.get_or_create(&OfController { controller }).inc();
        }
    }

    pub(super) fn queued(&self, seconds: f64) {
        self.0.queue_seconds.get_or_create(&OfName { name: CONTROLLER }).observe(seconds);
    }

    pub(super) fn load(&self, depth: usize, active: usize, most: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let of_controller = OfController { controller: CONTROLLER };
        self.0.depth.get_or_create(&OfName { name: CONTROLLER }).set(number(depth));
        self.0.active.get_or_create(&of_controller).set(number(active));
        self.0.most_active.get_or_create(&of_controller).set(number(most));
    }

    /// Whether this operator leads.
    pub fn leads(&self, name: &'static str, leads: bool) {
        self.0.leads.get_or_create(&OfName { name }).set(leads.into());
    }

    pub(super) fn requested(&self, method: String, code: String) {
        self.0.requests.get_or_create(&OfRequest { code, method }).inc();
    }

    pub(super) fn applied(&self, kind: &'static str, result: &'static str) {
        self.0.applies.get_or_create(&OfApply { kind, result }).inc();
    }

    pub(super) fn corrected(&self, kind: &'static str) {
        self.0.corrections.get_or_create(&OfKind { kind }).inc();
    }

    pub(super) fn status_written(&self) {
        self.0.status_writes.inc();
    }

    pub(super) fn polled(&self, result: &'static str) {
        self.0.polls.get_or_create(&OfOutcome { result }).inc();
    }

    pub(super) fn processes(&self, states: &BTreeMap<String, i64>, paused: i64) {
        self.0.processes.clear();
        for (state, count) in states {
            self.0.processes.get_or_create(&OfState { state: state.clone() }).set(*count);
        }
        self.0.paused.set(paused);
    }
}

impl Inner {
    /// By the names that dashboards know.
    fn of_controllers(&self, registry: &mut Registry) {
        let runtime = registry.sub_registry_with_prefix("controller_runtime");
        runtime.register("reconcile", "Reconciliations", self.reconciles.clone());
        runtime.register("reconcile_errors", "Reconciliations that failed", self.reconcile_errors.clone());
        runtime.register("reconcile_time_seconds", "How long they took", self.reconcile_seconds.clone());
        runtime.register("active_workers", "Reconciliations under way", self.active.clone());
        runtime.register("max_concurrent_reconciles", "As many at a time at most", self.most_active.clone());
        registry.register("workqueue_depth", "Processes that are due", self.depth.clone());
        registry.register("workqueue_queue_duration_seconds", "How long they were due", self.queue_seconds.clone());
        registry.register("leader_election_master_status", "Whether this operator leads", self.leads.clone());
        registry.register("rest_client_requests", "Requests to the API server", self.requests.clone());
    }

    fn own(&self, registry: &mut Registry, version: &str) {
        let own = registry.sub_registry_with_prefix("dragonfork_operator");
        own.register("build", "What runs", Info::new(vec![("version", version.to_owned())]));
        own.register("apply", "Objects that were applied", self.applies.clone());
        own.register("drift_corrections", "Changes of others that were taken back", self.corrections.clone());
        own.register("status_updates", "Statuses that were written", self.status_writes.clone());
        own.register("worker_polls", "Questions to workers", self.polls.clone());
        own.register("resources", "Processes by state", self.processes.clone());
        own.register("resources_paused", "Processes that are left alone", self.paused.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_have_the_names_that_dashboards_know() {
        let figures = Figures::new("1.2.3");
        figures.reconciled("error", 0.1);
        figures.queued(0.1);
        figures.load(1, 2, 16);
        figures.leads("dragonfork-operator", true);
        figures.requested("GET".into(), "200".into());
        figures.applied("Service", "applied");
        figures.corrected("Service");
        figures.status_written();
        let text = figures.text();
        for name in [
            "controller_runtime_reconcile_total{controller=\"restreamprocess\",result=\"error\"} 1",
            "controller_runtime_reconcile_errors_total{",
            "controller_runtime_reconcile_time_seconds_bucket{",
            "controller_runtime_active_workers{controller=\"restreamprocess\"} 2",
            "controller_runtime_max_concurrent_reconciles{controller=\"restreamprocess\"} 16",
            "workqueue_depth{name=\"restreamprocess\"} 1",
            "workqueue_queue_duration_seconds_count{",
            "leader_election_master_status{name=\"dragonfork-operator\"} 1",
            "rest_client_requests_total{code=\"200\",method=\"GET\"} 1",
            "dragonfork_operator_build_info{version=\"1.2.3\"} 1",
            "dragonfork_operator_apply_total{",
            "dragonfork_operator_drift_corrections_total{",
            "dragonfork_operator_status_updates_total 1",
        ] {
            assert!(text.contains(name), "{name}: {text}");
        }
    }
}
