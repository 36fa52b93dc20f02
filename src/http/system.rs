//! What is asked about the program as a whole: its log and its servers; and the widget.

use axum::Json;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Access;
use super::path::At;
use super::problem::Problem;
use super::process::{self, Id, ProcessState};
use super::token::Action;
use super::{Shared, session};
use crate::core::Event;

/// The query of the log.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// `console` or `raw`; empty is `console`.
    #[serde(default)]
    format: String,
}

/// The last events of the program, oldest first, as lines or as objects.
#[utoipa::path(
    get,
    path = "/api/v3/log",
    tag = "program",
    params(LogQuery),
    responses((status = 200, description = "The events", body = [serde_json::Value]))
)]
pub async fn log(
    State(app): Shared,
    access: Access,
    Query(query): Query<LogQuery>,
) -> Result<Json<Vec<Value>>, Problem> {
    access.require_all(Action::Read)?;
    let shown = match query.format.as_str() {
        "" | "console" => |event: &Event| Value::String(line(event)),
        "raw" => object,
        _ => return Err(Problem::malformed("format: must be console or raw")),
    };
    Ok(Json(app.events.snapshot().iter().map(shown).collect()))
}

/// Streams of the RTMP server; there is none.
#[utoipa::path(
    get,
    path = "/api/v3/rtmp",
    tag = "program",
    responses((status = 200, description = "An empty list", body = [Object]))
)]
pub async fn rtmp(access: Access) -> Result<Json<Value>, Problem> {
    access.require_all(Action::Read)?;
    Ok(Json(json!([])))
}

/// Streams of the SRT server; there is none.
#[utoipa::path(
    get,
    path = "/api/v3/srt",
    tag = "program",
    responses((status = 200, description = "Empty lists", body = Object))
)]
pub async fn srt(access: Access) -> Result<Json<Value>, Problem> {
    access.require_all(Action::Read)?;
    Ok(Json(json!({ "publisher": {}, "subscriber": {}, "connections": {}, "log": null })))
}

/// Viewers and age of a process.
#[utoipa::path(
    get,
    path = "/api/v3/widget/process/{id}",
    tag = "process",
    responses((status = 200, description = "Three numbers", body = Object))
)]
pub async fn widget(State(app): Shared, access: Access, path: At<Id>) -> Result<Json<Value>, Problem> {
    let process = process::find(&app, &access, path)?;
    let overview = session::overview(&app).await;
    let id = process.key.as_str();
    let viewers = overview.viewings.iter().filter(|viewing| viewing.process == id).count();
    let connected = overview.connected.iter().find(|(process, _)| process == id).map_or(0, |(_, connected)| *connected);
    let state = ProcessState::of(&process, process::now(), app.cores);
    Ok(Json(json!({ "current_sessions": viewers, "total_sessions": connected, "uptime": state.uptime() })))
}

fn time(event: &Event) -> String {
    Timestamp::from_millisecond(event.at).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `ts=… level=INFO msg="…" name=value`.
fn line(event: &Event) -> String {
    let Event { at: _, level, message, fields } = event;
    let mut line = format!("ts={} level={} msg={message:?}", time(event), level.to_uppercase());
    for (name, value) in fields {
        let word = match value {
            Value::String(text) if is_word(text) => text.clone(),
            other => other.to_string(),
        };
        line.push_str(&format!(" {name}={word}"));
    }
    line
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || "\"=".contains(letter))
}

fn object(event: &Event) -> Value {
    let Event { at: _, level, message, fields } = event;
    let mut object = fields.clone();
    object.insert("ts".into(), time(event).into());
    object.insert("level".into(), (*level).into());
    object.insert("message".into(), message.clone().into());
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_or_an_object() {
        let fields = [("process".to_owned(), json!("cam")), ("pid".into(), json!(7)), ("why".into(), json!("a b"))];
        let event = Event {
            at: 1_500,
            level: "info",
            message: "FFmpeg \"started\"".into(),
            fields: fields.into_iter().collect(),
        };
        assert_eq!(
            line(&event),
            r#"ts=1970-01-01T00:00:01.500Z level=INFO msg="FFmpeg \"started\"" process=cam pid=7 why="a b""#
        );
        assert_eq!(object(&event)["message"], "FFmpeg \"started\"");
        assert_eq!(object(&event)["pid"], 7);
    }
}
