//! Who answers: `/ping` and `/api`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shared;
use super::access::bearer;

/// Answers `pong`; a worker that is to end is not ready any more.
#[utoipa::path(
    get,
    path = "/ping",
    tag = "program",
    responses((status = 200, description = "It is there", body = String, content_type = "text/plain"))
)]
pub async fn ping(State(app): Shared) -> (StatusCode, &'static str) {
    match app.worker.as_ref().is_some_and(|worker| worker.standing.borrow().draining) {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        false => (StatusCode::OK, "pong"),
    }
}

/// Everything for who has a token, what everybody may know for others. `auths` tells clients whether to log
/// in.
#[utoipa::path(
    get,
    path = "/api",
    tag = "program",
    responses((status = 200, description = "Who answers", body = Object))
)]
pub async fn about(State(app): Shared, headers: HeaderMap) -> Json<Value> {
    let identity = &app.identity;
    let auth = app.auth();
    let known = match (&auth, bearer(&headers)) {
        (None, _) => true,
        (Some(auth), Some(token)) => auth.verify(token).await.is_ok(),
        (Some(_), None) => false,
    };
    let auths: &[&str] = match &auth {
        Some(auth) if auth.signer().is_some() => &["localjwt"],
        Some(_) => &["jwks"],
        None => &[],
    };
    let mut about = json!({
        "app": identity.name,
        "auths": auths,
        "version": { "number": if known { identity.version.clone() } else { major(&identity.version) } },
        "variant": identity.variant,
        "fork": identity.fork,
    });
    if known {
        let uptime = Timestamp::now().as_second() - identity.created_at.as_second();
        about["id"] = json!(identity.id);
        about["created_at"] = json!(identity.created_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        about["uptime_seconds"] = json!(uptime.max(0));
    }
    Json(about)
}

/// The version as strangers see it: `16.0.0` of `16.3.1`.
fn major(version: &str) -> String {
    format!("{}.0.0", version.split('.').next().unwrap_or_default())
}
