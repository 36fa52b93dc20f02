//! The configuration of the program, in datarhei's form, without what is secret. It comes from flags and variables, so
//! little of it changes while the program runs, and nothing beyond that: a client that sends back what it got is content,
//! and one that wants something else is told what does not go.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::access::Access;
use super::problem::Problem;
use super::token::Action;
use super::{Shared, body};
use crate::core::{Order, is_nothing};

/// Octets of a configuration at most.
const MAX_CONFIG: usize = 1 << 20;
/// What stands in the place of a secret that is set.
pub const MASK: &str = "***";

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Where it stands, such as `api.auth.enable`.
    pub path: &'static str,
    /// Its value; [`MASK`] where that is secret.
    pub value: Value,
    /// A variable of the environment gives it.
    pub is_override: bool,
    /// What it can be while the program runs; nothing else than it is where this is empty.
    pub choices: Vec<Value>,
}

/// What holds, secrets masked.
#[utoipa::path(
    get,
    path = "/api/v3/config",
    tag = "program",
    responses((status = 200, description = "The configuration", body = Object))
)]
pub async fn show(State(app): Shared, access: Access) -> Result<Json<Value>, Problem> {
    access.require_all(Action::Read)?;
    let mut config = json!({ "version": 3 });
    let settings = app.settings.borrow().clone();
    for Setting { path, value, is_override: _, choices: _ } in settings.iter() {
        put(&mut config, path, value.clone());
    }
    let overrides: Vec<&str> =
        settings.iter().filter(|setting| setting.is_override).map(|setting| setting.path).collect();
    let at = app.identity.created_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Ok(Json(json!({ "created_at": at, "loaded_at": at, "updated_at": at, "config": config, "overrides": overrides })))
}

/// Changes what can change until the program ends; where something else is asked for, nothing but every field that does
/// not go, and why.
#[utoipa::path(
    put,
    path = "/api/v3/config",
    tag = "program",
    request_body = serde_json::Value,
    responses((status = 200, description = "It holds", body = String))
)]
pub async fn change(State(app): Shared, access: Access, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    access.require_all(Action::Write)?;
    let asked = body::json(&headers, body, MAX_CONFIG).await?;
    if !asked.is_object() {
        return Err(Problem::malformed("the configuration is an object"));
    }
    let settings = app.settings.borrow().clone();
    let Asked { changes, conflicts } = Asked::of(&settings, &asked);
    if conflicts.is_empty() {
        if !changes.is_empty() {
            app.core()?.order(Order::Configure(changes)).await?;
        }
        return Ok(Json("OK").into_response());
    }
    let details = conflicts.iter().map(|(path, why)| format!("{path}: {why}")).collect();
    let fields = conflicts.into_iter().map(|(path, why)| (path, json!([why])));
    let detail = "the configuration comes from flags and variables, and holds until the program is started with others";
    Ok(Problem::new(StatusCode::CONFLICT, "not_changed", detail).listing(details).also(fields).into_response())
}

/// Reads the manifest directory again. No process is stopped.
#[utoipa::path(
    get,
    path = "/api/v3/config/reload",
    tag = "program",
    responses((status = 200, description = "It is read", body = String))
)]
pub async fn reload(State(app): Shared, access: Access) -> Result<Json<&'static str>, Problem> {
    access.require_all(Action::Write)?;
    app.core()?.order(Order::Reload).await?;
    Ok(Json("OK"))
}

fn put(config: &mut Value, path: &str, value: Value) {
    let mut place = config;
    for word in path.split('.') {
        place = &mut place[word];
    }
    *place = value;
}

/// What is asked for and does not hold.
#[derive(Default)]
struct Asked {
    /// What can be so.
    changes: Vec<(String, Value)>,
    /// What cannot, and why.
    conflicts: BTreeMap<String, String>,
}

impl Asked {
    fn of(settings: &[Setting], asked: &Value) -> Self {
        let mut all = Self::default();
        all.compare(settings, asked, "");
        all
    }

    /// What says nothing (0, false, empty) asks for nothing that is not here.
    fn compare(&mut self, settings: &[Setting], asked: &Value, path: &str) {
        if let Some(setting) = settings.iter().find(|setting| setting.path == path) {
            if !asked.is_null() && *asked != setting.value {
                self.compare_one(setting, asked);
            }
            return;
        }
        let is_section = path.is_empty()
            || settings.iter().any(|setting| setting.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
        match asked {
            Value::Object(fields) if is_section => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.compare(settings, value, &path);
                }
            }
            _ if path == "version" || is_nothing(asked) => {}
            _ => drop(self.conflicts.insert(path.to_owned(), "is not known here".to_owned())),
        }
    }

    fn compare_one(&mut self, Setting { path, choices, .. }: &Setting, asked: &Value) {
        if choices.contains(asked) {
            return self.changes.push(((*path).to_owned(), asked.clone()));
        }
        let why = match choices.is_empty() {
            true => "cannot be changed while the program runs".to_owned(),
            false => format!("must be one of {}", Value::from(choices.clone())),
        };
        self.conflicts.insert((*path).to_owned(), why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c093_what_does_not_hold_is_told_field_by_field() {
        let setting = |path, value, choices| Setting { path, value, is_override: false, choices };
        let settings = [
            setting("log.level", json!("info"), vec![json!("info"), json!("debug")]),
            setting("log.format", json!("text"), Vec::new()),
            setting("api.auth.password", json!(MASK), Vec::new()),
        ];
        let told = |asked: Value| Asked::of(&settings, &asked).conflicts.into_keys().collect::<Vec<_>>();
        let same = json!({
            "version": 3, "log": {"level": "info", "topics": []}, "api": {"auth": {"password": MASK}}, "tls": {"enable": false},
            "rtmp": null,
        });
        assert!(told(same).is_empty());
        let other = json!({"log": {"level": "loud", "format": "json"}, "api": {"auth": {"password": "x"}}, "tls": {"enable": true}});
        assert_eq!(told(other), ["api.auth.password", "log.format", "log.level", "tls"]);
        let Asked { changes, conflicts } = Asked::of(&settings, &json!({"log": {"level": "debug"}}));
        assert_eq!((changes, conflicts.len()), (vec![("log.level".to_owned(), json!("debug"))], 0));
    }
}
