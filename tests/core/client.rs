//! A client that sends what datarhei's Python client sends, and insists on what that one insists on.

use reqwest::Method;
use serde_json::{Value, json};

use crate::program::Program;

/// A client that is logged in.
pub struct Client<'p> {
    program: &'p Program,
    http: reqwest::Client,
    token: String,
}

impl<'p> Client<'p> {
    /// Asks who answers, and logs in if that is what it says.
    pub async fn login(program: &'p Program) -> Self {
        let mut client = Self { program, http: reqwest::Client::new(), token: String::new() };
        let (status, about) = client.ask("GET", "/api", None).await;
        assert_eq!(status, 200);
        assert!(about["app"].is_string() && about["version"]["number"].is_string(), "{about}");
        assert!(about["auths"].as_array().expect("a list").contains(&json!("localjwt")), "{about}");
        let login = json!({"username": "admin", "password": "a password of the tests"});
        let (status, tokens) = client.ask("POST", "/api/login", Some(login)).await;
        assert_eq!(status, 200, "{tokens}");
        client.token = tokens["refresh_token"].as_str().expect("a token").to_owned();
        let (status, refreshed) = client.ask("GET", "/api/login/refresh", None).await;
        assert_eq!(status, 200, "{refreshed}");
        client.token = refreshed["access_token"].as_str().expect("a token").to_owned();
        client
    }

    /// Status and JSON of an answer. Every answer has some, and an error has what datarhei's errors have.
    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.program.origin());
        let request = self.http.request(Method::from_bytes(method.as_bytes()).expect("a method"), url);
        let request = request.header("accept", "application/json").header("content-type", "application/json");
        let request = if self.token.is_empty() { request } else { request.bearer_auth(&self.token) };
        let request = body.iter().fold(request, |request, body| request.body(body.to_string()));
        let response = request.send().await.expect("the program answers");
        let status = response.status().as_u16();
        let text = response.text().await.expect("text");
        let answer: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}"));
        if status >= 400 {
            assert_eq!(answer["code"], status, "{method} {path}: {answer}");
            assert!(answer["message"].is_string() && answer["details"].is_array(), "{method} {path}: {answer}");
        }
        (status, answer)
    }

    pub async fn get(&self, path: &str) -> Value {
        self.done("GET", path, None).await
    }

    /// The answer to what must be done: exactly 200.
    pub async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// The reasons of a refusal with this status.
    pub async fn refused(&self, status: u16, method: &str, path: &str, body: Option<Value>) -> String {
        let (is, answer) = self.ask(method, path, body).await;
        assert_eq!(is, status, "{method} {path}: {answer}");
        answer["details"].as_array().expect("a list").iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Waits until a process does this.
    pub async fn until_exec(&self, id: &str, exec: &str) -> Value {
        self.until_state(id, exec, |state| state["exec"] == exec).await
    }

    /// Waits until a process makes progress.
    pub async fn until_progress(&self, id: &str) -> Value {
        let is_moving = |state: &Value| state["progress"]["frame"].as_u64() > Some(0);
        self.until_state(id, "making progress", is_moving).await
    }

    /// Waits until the state of a process is so.
    pub async fn until_state(&self, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v3/process/{id}/state");
        self.until(&path, what, |state| {
            is_state(state);
            holds(state)
        })
        .await
    }

    /// Waits until the report of a process is so.
    pub async fn until_report(&self, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v3/process/{id}/report");
        self.until(&path, what, |report| {
            is_report(report);
            holds(report)
        })
        .await
    }

    async fn until(&self, path: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + crate::child::PATIENCE;
        loop {
            let answer = self.get(path).await;
            if holds(&answer) {
                return answer;
            }
            assert!(std::time::Instant::now() < deadline, "{path} is not {what}: {answer}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// A process as the client sends it, with null for whatever was not said.
pub fn bare(id: &str, address: &str, options: &[&str]) -> Value {
    json!({
        "id": id, "type": "ffmpeg", "reference": "the tests",
        "input": [{"id": "input_0", "address": address, "options": options, "cleanup": null}],
        "output": [{"id": "output_0", "address": "-", "options": ["-codec", "copy", "-f", "null"], "cleanup": null}],
        "options": ["-loglevel", "level+info"], "autostart": true, "reconnect": true, "reconnect_delay_seconds": 60,
        "stale_timeout_seconds": 10, "limits": null, "scheduler": null, "runtime_duration_seconds": null,
        "log_patterns": null, "binary": null, "domain": null, "owner": null, "metadata": null,
    })
}

/// A test picture that needs nothing.
pub fn picture(id: &str) -> Value {
    bare(id, "testsrc=size=160x90:rate=10", &["-f", "lavfi", "-re"])
}

/// Proves the types of some fields: `whole`, `number`, `text`, `list`, `object`.
pub fn has(value: &Value, fields: &[(&str, &str)]) {
    for (name, kind) in fields {
        let field = &value[*name];
        let is = match *kind {
            "whole" => field.is_i64() || field.is_u64(),
            "number" => field.is_number(),
            "text" => field.is_string(),
            "list" => field.is_array(),
            "object" => field.is_object(),
            _ => unreachable!("no such kind"),
        };
        assert!(is, "{name} is no {kind}: {value}");
    }
}

pub fn is_config(config: &Value) {
    has(config, &[("id", "text"), ("type", "text"), ("reference", "text"), ("options", "list")]);
    has(
        config,
        &[
            ("input", "list"),
            ("output", "list"),
            ("reconnect_delay_seconds", "whole"),
            ("stale_timeout_seconds", "whole"),
        ],
    );
    assert!(config["autostart"].is_boolean() && config["reconnect"].is_boolean(), "{config}");
    for io in config["input"].as_array().into_iter().chain(config["output"].as_array()).flatten() {
        has(io, &[("id", "text"), ("address", "text"), ("options", "list")]);
    }
}

pub fn is_state(state: &Value) {
    has(state, &[("command", "list"), ("cpu_usage", "number"), ("last_logline", "text"), ("memory_bytes", "number")]);
    has(state, &[("reconnect_seconds", "whole"), ("runtime_seconds", "whole"), ("progress", "object")]);
    let words = ["finished", "starting", "running", "finishing", "failed", "killed"];
    assert!(words.iter().any(|word| state["exec"] == *word), "{state}");
    assert!(state["order"] == "start" || state["order"] == "stop", "{state}");
    let progress = &state["progress"];
    has(
        progress,
        &[("inputs", "list"), ("outputs", "list"), ("frame", "whole"), ("packet", "whole"), ("size_kb", "whole")],
    );
    has(progress, &[("drop", "whole"), ("dup", "whole"), ("fps", "number"), ("q", "number"), ("speed", "number")]);
    has(progress, &[("time", "number"), ("bitrate_kbit", "number")]);
    for io in progress["inputs"].as_array().into_iter().chain(progress["outputs"].as_array()).flatten() {
        has(
            io,
            &[
                ("address", "text"),
                ("codec", "text"),
                ("coder", "text"),
                ("format", "text"),
                ("id", "text"),
                ("type", "text"),
            ],
        );
        has(
            io,
            &[("bitrate_kbit", "number"), ("fps", "number"), ("pps", "number"), ("frame", "whole"), ("index", "whole")],
        );
        has(io, &[("packet", "whole"), ("size_kb", "whole"), ("stream", "whole"), ("keyframe", "whole")]);
        has(&io["framerate"], &[("min", "number"), ("max", "number"), ("avg", "number")]);
    }
}

pub fn is_report(report: &Value) {
    has(report, &[("history", "list")]);
    for run in std::iter::once(report).chain(report["history"].as_array().expect("a list")) {
        has(run, &[("created_at", "whole"), ("prelude", "list"), ("log", "list")]);
        for line in run["log"].as_array().expect("a list") {
            assert!(line[0].is_string() && line[1].is_string() && line[2].is_null(), "{line}");
        }
    }
}

pub fn is_process(process: &Value) {
    has(process, &[("id", "text"), ("reference", "text"), ("created_at", "whole"), ("updated_at", "whole")]);
    assert_eq!(process["type"], "ffmpeg");
}
