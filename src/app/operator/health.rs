//! What Kubernetes and Prometheus ask the operator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::operator::Operator;

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is told of the operator.
#[derive(Clone)]
pub struct Health {
    operator: Operator,
    leads: Arc<AtomicBool>,
}

impl Health {
    /// Of an operator that does not lead yet.
    pub fn new(operator: Operator) -> Self {
        Self { operator, leads: Arc::default() }
    }

    /// It leads from now on.
    pub fn leads(&self) {
        self.leads.store(true, Ordering::Relaxed);
    }

    /// Where it is asked.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/ping", get(|| async { "pong" }))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }
}

/// One that waits to lead is ready to do so. One that leads is ready once it knows what is there.
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    match !health.leads.load(Ordering::Relaxed) || health.operator.is_synced() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not everything is listed yet\n"),
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(CONTENT_TYPE, FORMAT)], health.operator.figures())
}
