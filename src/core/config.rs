//! The configuration of a process in datarhei's JSON, with nested limits.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::kept::Cleanup;
use crate::crd::WebRtc;

/// The one type of process that there is.
const FFMPEG: &str = "ffmpeg";

fn yes() -> bool {
    true
}

fn ffmpeg() -> String {
    FFMPEG.into()
}

/// A process as a client sends it and gets it back. What is absent has datarhei's default.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Config {
    /// Id of the process; empty has one made.
    #[serde(default)]
    pub id: String,
    /// `ffmpeg`, or empty, which means the same.
    #[serde(rename = "type", default = "ffmpeg")]
    pub kind: String,
    /// Free reference of the owner.
    #[serde(default)]
    pub reference: String,
    /// Inputs in order.
    #[serde(default)]
    pub input: Vec<Io>,
    /// Outputs in order.
    #[serde(default)]
    pub output: Vec<Io>,
    /// Global options of FFmpeg.
    #[serde(default)]
    pub options: Vec<String>,
    /// Start FFmpeg again after it ended.
    #[serde(default)]
    pub reconnect: bool,
    /// Seconds until then.
    #[serde(default)]
    pub reconnect_delay_seconds: u64,
    /// Start the process when it is made; later commands alone start and stop it.
    #[serde(default = "yes")]
    pub autostart: bool,
    /// Seconds without progress after which FFmpeg is killed; 0 turns that off.
    #[serde(default)]
    pub stale_timeout_seconds: u64,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// Playback by WHEP, in the words of the manifest.
    #[schema(value_type = Option<Object>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webrtc: Option<WebRtc>,
}

/// One input or output.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Io {
    /// Name, unique on its side; empty has one made.
    #[serde(default)]
    pub id: String,
    /// What FFmpeg opens.
    #[serde(default)]
    pub address: String,
    /// Options before it.
    #[serde(default)]
    pub options: Vec<String>,
    /// Rules for the files that it leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanup: Vec<Cleanup>,
}

/// What a process may use; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Percent of all CPUs.
    #[serde(default)]
    pub cpu_usage: f64,
    /// Resident memory in MiB.
    #[serde(default)]
    pub memory_mbytes: u64,
    /// Seconds that a limit may be exceeded.
    #[serde(default)]
    pub waitfor_seconds: u64,
}

// Addresses and options may hold credentials, so neither shows them.

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why JSON is no process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It has another shape.
    #[error("this is no process: {0}")]
    Shape(String),
    /// It asks for something else than FFmpeg.
    #[error("type: must be \"ffmpeg\", not {0:?}")]
    Kind(String),
}

/// Reads a process; null is absent. Beside it comes what was sent and is not known here, each by its path.
pub fn read_config(mut json: Value) -> Result<(Config, Vec<String>), ReadError> {
    if !json.is_object() {
        // A list of its fields in order would be read as well.
        return Err(ReadError::Shape("an object is needed".into()));
    }
    drop_nulls(&mut json);
    let mut config: Config =
        serde_json::from_value(json.clone()).map_err(|error| ReadError::Shape(error.to_string()))?;
    if !matches!(config.kind.as_str(), "" | FFMPEG) {
        return Err(ReadError::Kind(config.kind));
    }
    config.kind = ffmpeg();
    let known = serde_json::to_value(&config).expect("a process has only texts, numbers, lists and objects");
    let mut unknown = Vec::new();
    compare(&json, &known, "", &mut unknown);
    Ok((config, unknown))
}

/// What a client changes put over what there is: a field that it leaves out, or sends as null, stays.
pub fn overlay(base: &mut Value, changes: Value) {
    let (Some(base), Value::Object(changes)) = (base.as_object_mut(), changes) else { return };
    base.extend(changes.into_iter().filter(|(_, value)| !value.is_null()));
}

/// A null is an absent field. Within a list it is a value, which no field takes.
fn drop_nulls(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Collects the paths of what was sent and is not known. What says nothing (0, false, empty) is no loss.
fn compare(sent: &Value, known: &Value, path: &str, unknown: &mut Vec<String>) {
    match (sent, known) {
        (Value::Object(sent), Value::Object(known)) => {
            for (name, value) in sent {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match known.get(name) {
                    Some(known) => compare(value, known, &path, unknown),
                    None if is_nothing(value) => {}
                    None => unknown.push(format!("{path}: is not known here")),
                }
            }
        }
        (Value::Array(sent), Value::Array(known)) => {
            for (index, (sent, known)) in sent.iter().zip(known).enumerate() {
                compare(sent, known, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Whether a value says nothing.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.iter().all(is_nothing),
        Value::Object(value) => all_nothing(value),
    }
}

fn all_nothing(fields: &Map<String, Value>) -> bool {
    fields.values().all(is_nothing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_datarheis_client_sends_for_nothing_is_nothing() {
        let (config, unknown) = read_config(json!({
            "id": "a", "type": null, "reference": null, "options": null, "limits": null, "scheduler": null,
            "runtime_duration_seconds": null, "log_patterns": null, "binary": null, "domain": "", "metadata": null,
            "input": [{"id": "in", "address": "x", "options": null, "cleanup": null}],
            "output": [{"address": "-", "cleanup": []}],
        }))
        .expect("it is a process");
        assert_eq!(unknown, [] as [String; 0]);
        assert_eq!((config.kind.as_str(), config.autostart, config.reconnect), ("ffmpeg", true, false));
        assert_eq!(config.input[0].options, [] as [String; 0]);
    }

    #[test]
    fn what_is_not_known_is_told_by_its_path() {
        let (_, unknown) = read_config(json!({
            "input": [{"id": "in", "address": "x", "speed": 2}], "scheduler": "* * * * *",
            "limits": {"cpu_usage": 5, "gpu_usage": 0, "gpu_memory_mbytes": 100},
        }))
        .expect("it is a process");
        let expected = ["input[0].speed", "scheduler", "limits.gpu_memory_mbytes"]
            .map(|path| format!("{path}: is not known here"));
        assert_eq!(unknown, expected);
    }

    #[test]
    fn c081_another_type_is_refused() {
        assert_eq!(read_config(json!({"type": "foobar"})).err(), Some(ReadError::Kind("foobar".into())));
        assert!(read_config(json!([])).is_err() && read_config(json!({"options": [null]})).is_err());
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let mut base = json!({"id": "a", "webrtc": {"enabled": true}, "options": ["-y"]});
        overlay(&mut base, json!({"options": [], "webrtc": null, "reference": "r"}));
        assert_eq!(base, json!({"id": "a", "webrtc": {"enabled": true}, "options": [], "reference": "r"}));
    }
}
