//! What Kubernetes and Prometheus ask the operator.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::operator::Operator;

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where it is asked.
pub fn routes(operator: Operator) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(operator)
}

/// Whether it knows what is there. One that waits to lead knows it too, and shows it.
async fn ready(State(operator): State<Operator>) -> impl IntoResponse {
    match operator.is_synced() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not everything is listed yet\n"),
    }
}

async fn metrics(State(operator): State<Operator>) -> impl IntoResponse {
    ([(CONTENT_TYPE, FORMAT)], operator.figures())
}
