//! What clients want to be remembered, of a process or of none: any JSON under a key.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Id, find, kept, known};
use crate::core::Order;
use crate::http::{
    Shared,
    access::Access,
    body,
    path::{At, at},
    problem::Problem,
    token::Action,
};

/// Octets of one value at most.
const MAX_VALUE: usize = 1 << 20;

/// The key in the path.
#[derive(Deserialize)]
pub struct Key {
    key: String,
}

/// Id and key in the path.
#[derive(Deserialize)]
pub struct IdAndKey {
    id: String,
    key: String,
}

/// What is remembered of a process.
#[utoipa::path(
    get,
    path = "/api/v3/process/{id}/metadata",
    tag = "metadata",
    responses((status = 200, description = "By key", body = Object))
)]
pub async fn process_all(
    State(app): Shared,
    access: Access,
    path: At<Id>,
) -> Result<Json<Map<String, Value>>, Problem> {
    let process = find(&app, &access, path)?;
    Ok(Json(kept(&app, &process).metadata))
}

/// One thing that is remembered of a process.
#[utoipa::path(
    get,
    path = "/api/v3/process/{id}/metadata/{key}",
    tag = "metadata",
    responses((status = 200, description = "The value", body = serde_json::Value))
)]
pub async fn process_get(State(app): Shared, access: Access, path: At<IdAndKey>) -> Result<Json<Value>, Problem> {
    let IdAndKey { id, key } = at(path)?;
    access.require(&id, Action::Read)?;
    let process = known(&app, &id)?;
    kept(&app, &process).metadata.remove(&key).map(Json).ok_or_else(|| unset(&key))
}

/// Remembers something of a process; null forgets.
#[utoipa::path(
    put,
    path = "/api/v3/process/{id}/metadata/{key}",
    tag = "metadata",
    request_body = serde_json::Value,
    responses((status = 200, description = "The value", body = serde_json::Value))
)]
pub async fn process_put(
    State(app): Shared,
    access: Access,
    path: At<IdAndKey>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let IdAndKey { id, key } = at(path)?;
    access.require(&id, Action::Write)?;
    let value = body::json(&headers, body, MAX_VALUE).await?;
    app.core()?.order(Order::Remember { process: Some(id), key, value: value.clone() }).await?;
    Ok(Json(value))
}

/// What is remembered of no process.
#[utoipa::path(
    get,
    path = "/api/v3/metadata",
    tag = "metadata",
    responses((status = 200, description = "By key", body = Object))
)]
pub async fn global_all(State(app): Shared, access: Access) -> Result<Json<Map<String, Value>>, Problem> {
    access.require_all(Action::Read)?;
    Ok(Json(app.core()?.stored().metadata.clone()))
}

/// One thing that is remembered of no process.
#[utoipa::path(
    get,
    path = "/api/v3/metadata/{key}",
    tag = "metadata",
    responses((status = 200, description = "The value", body = serde_json::Value))
)]
pub async fn global_get(State(app): Shared, access: Access, path: At<Key>) -> Result<Json<Value>, Problem> {
    access.require_all(Action::Read)?;
    let Key { key } = at(path)?;
    app.core()?.stored().metadata.get(&key).cloned().map(Json).ok_or_else(|| unset(&key))
}

/// Remembers something of no process; null forgets.
#[utoipa::path(
    put,
    path = "/api/v3/metadata/{key}",
    tag = "metadata",
    request_body = serde_json::Value,
    responses((status = 200, description = "The value", body = serde_json::Value))
)]
pub async fn global_put(
    State(app): Shared,
    access: Access,
    path: At<Key>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    access.require_all(Action::Write)?;
    let Key { key } = at(path)?;
    let value = body::json(&headers, body, MAX_VALUE).await?;
    app.core()?.order(Order::Remember { process: None, key, value: value.clone() }).await?;
    Ok(Json(value))
}

fn unset(key: &str) -> Problem {
    Problem::not_found("unknown_key", format!("nothing is remembered under the key {key:?}"))
}
