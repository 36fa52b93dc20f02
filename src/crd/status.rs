//! `RestreamProcess` as it is seen.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::definition::null_is_absent;

/// What is seen of one process.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = null_is_absent)]
pub struct RestreamProcessStatus {
    /// Generation of the manifest that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the process is in its life.
    #[serde(default)]
    pub state: State,
    /// How often FFmpeg was started again since the manifest was accepted.
    #[serde(default)]
    pub restarts: i32,
    /// In a cluster: the worker Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// In a cluster: the node that has the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// How the last run of FFmpeg ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// What the progress report of the run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What viewers get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webrtc: Option<WebRtcStatus>,
    /// `Accepted`, `StreamRunning`, `Ready`, with references `ReferencesResolved`, with WebRTC `PlaybackReady`,
    /// `OutputStalled` where an output goes to a server over TCP, and in a cluster `Reconciled`.
    #[schemars(schema_with = "conditions")]
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// Where a process is in its life.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum State {
    /// Accepted, and not started yet; or refused (condition `Accepted` says why); or what it refers to is missing
    /// (condition `ReferencesResolved`).
    #[default]
    Pending,
    /// The inputs are probed, or FFmpeg was started and has made no progress yet.
    Starting,
    /// FFmpeg listens and no publisher has come yet.
    Waiting,
    /// FFmpeg makes progress.
    Running,
    /// FFmpeg ended and will be started again.
    Reconnecting,
    /// FFmpeg ended with success and is not to be started again.
    Finished,
    /// FFmpeg failed and is not to be started again.
    Failed,
    /// The manifest says `suspend`.
    Suspended,
}

/// How a run of FFmpeg ended.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct LastExit {
    /// Exit code, where FFmpeg exited by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Signal number, where FFmpeg was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// One word: `Finished`, `Failed`, `Killed`, `Stale`, `Stopped`, `Corrected`, `SpawnFailed`,
    /// `Unsupported`, `CpuLimit`, `MemoryLimit`.
    pub reason: String,
    /// When, as RFC 3339.
    pub at: String,
    /// The last line of FFmpeg's log, redacted.
    #[schemars(length(max = 1024))]
    #[serde(default)]
    pub message: String,
}

/// Figures of the running FFmpeg, as its `-progress` report gives them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Encoded or copied video frames.
    #[serde(default)]
    pub frame: i64,
    /// Frames a second.
    #[serde(default)]
    pub fps: f64,
    /// Bits a second over all outputs; absent where FFmpeg does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<f64>,
    /// Bytes written.
    #[serde(default)]
    pub size_bytes: i64,
    /// Media seconds written.
    #[serde(default)]
    pub time_seconds: f64,
    /// Media time over wall-clock time; 1 is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Dropped frames.
    #[serde(default)]
    pub drop: i64,
    /// Duplicated frames.
    #[serde(default)]
    pub dup: i64,
}

/// What viewers get.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct WebRtcStatus {
    /// Path or URL for WHEP players.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "whepURL")]
    pub whep_url: Option<String>,
    /// Addresses put into answers.
    #[serde(default)]
    pub announced: Vec<String>,
    /// Viewers at this moment.
    #[serde(default)]
    pub viewers: i32,
    /// The picture's leg: what was chosen and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<LegStatus>,
    /// The sound's leg: what was chosen and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<LegStatus>,
}

/// One egress leg: what was chosen and why.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct LegStatus {
    /// `Copy`, `Transcode` or `None`.
    pub action: String,
    /// FFmpeg stream specifier; absent without a leg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// Why.
    pub reason: String,
}

fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
      "items": { "type": "object", "required": ["type", "status", "lastTransitionTime", "reason", "message"], "properties": {
        "type": {"type": "string", "maxLength": 316},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
        "message": {"type": "string", "maxLength": 32768} } } })
}
