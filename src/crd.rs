//! `RestreamProcess` as a person writes it ([`RestreamProcessSpec`]) and as it is seen ([`RestreamProcessStatus`]).
//!
//! The types are the schema: `dragonfork crd` prints what the derive makes of them, and the manifest loader gives the
//! verdict that the API server would give with that schema. Nothing is in the schema before it works.
//!
//! This room never knows where a manifest came from, nor what FFmpeg or WebRTC make of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// API group of the resource.
pub const GROUP: &str = "restream.wilddragon.net";
/// API version of the resource.
pub const VERSION: &str = "v1alpha1";

fn yes() -> bool {
    true
}
fn seconds_15() -> i64 {
    15
}
fn seconds_30() -> i64 {
    30
}

/// One FFmpeg restream pipeline and, optionally, its WHEP playback.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "restream.wilddragon.net", version = "v1alpha1", kind = "RestreamProcess",
    plural = "restreamprocesses", namespaced, shortname = "rsp", category = "restream",
    status = "RestreamProcessStatus", derive = "PartialEq", cel,
    doc = "RestreamProcess declares one FFmpeg restream pipeline and, optionally, its WHEP playback.",
    selectable = ".spec.reference", selectable = ".spec.suspend",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "WebRTC", type_ = "boolean", json_path = ".spec.webrtc.enabled"),
    printcolumn(name = "Restarts", type_ = "integer", json_path = ".status.restarts"),
    printcolumn(name = "WHEP", type_ = "string", json_path = ".status.webrtc.whepURL", priority = 1),
    printcolumn(name = "Viewers", type_ = "integer", json_path = ".status.webrtc.viewers", priority = 1),
    printcolumn(name = "Reference", type_ = "string", json_path = ".spec.reference", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = ("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$')",
                  "metadata.name must be a DNS label that starts with a letter, 52 characters at most (child names add a suffix)"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("size(self.output) > 0 || (has(self.webrtc) && self.webrtc.enabled)", "at least one output is needed unless webrtc.enabled"),
    validation = ("self.input.all(i, self.input.exists_one(j, j.id == i.id)) && self.output.all(i, self.output.exists_one(j, j.id == i.id))", "ids must be unique within input and within output"),
    validation = ("!self.output.exists(o, o.id.startsWith('webrtc-'))", "output ids starting with webrtc- are reserved"),
)]
pub struct RestreamProcessSpec {
    /// The id in URLs and placeholders, for ids that are no Kubernetes names (such as `restreamer-ui:ingest:…`).
    /// Absent: `<namespace>.<name>`, or `<name>` where the manifest has no namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[^\s/?#%]+$"))]
    #[serde(default, rename = "processID", skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// Free reference of the owner, carried to logs and lists.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Stop FFmpeg and keep everything else.
    #[serde(default)]
    pub suspend: bool,
    /// Global FFmpeg options, before the first input; each element is one argument, there is no shell.
    #[schemars(length(max = 128), inner(length(max = 4096)))]
    #[serde(default)]
    pub options: Vec<String>,
    /// What FFmpeg reads, in order; ids are unique.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub input: Vec<Io>,
    /// What FFmpeg writes, in order; ids are unique. May be empty where `webrtc.enabled`.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[serde(default)]
    pub output: Vec<Io>,
    /// Start FFmpeg again after it ended, whatever its exit code was.
    #[serde(default = "yes")]
    pub reconnect: bool,
    /// Seconds between the end of FFmpeg and its next start.
    #[schemars(range(min = 0, max = 86400))]
    #[serde(default = "seconds_15")]
    pub reconnect_delay_seconds: i64,
    /// Kill FFmpeg when it makes no progress for this many seconds; 0 turns the watch off. A listening input that
    /// waits for its publisher is never stale.
    #[schemars(range(min = 0, max = 86400))]
    #[serde(default = "seconds_30")]
    pub stale_timeout_seconds: i64,
    /// Playback in a browser by WHEP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webrtc: Option<WebRtc>,
}

/// One input or output of FFmpeg: `options address`, with `-i` before an input's address.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Io {
    /// Name of this input or output, unique on its side.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"))]
    pub id: String,
    /// What FFmpeg opens: a URL, a path, or a filter graph for `-f lavfi`.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"\S"))]
    pub address: String,
    /// FFmpeg options of this input or output; each element is one argument.
    #[schemars(length(max = 128), inner(length(max = 4096)))]
    #[serde(default)]
    pub options: Vec<String>,
}

/// Playback in a browser by WHEP.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct WebRtc {
    /// Give FFmpeg two more outputs, picture and sound, that browsers play by WHEP.
    #[serde(default)]
    pub enabled: bool,
    /// The picture.
    #[serde(default)]
    pub video: Video,
    /// The sound.
    #[serde(default)]
    pub audio: Audio,
    /// Viewers of this stream; more are answered 503 with Retry-After. Absent: the gateway's own cap.
    #[schemars(range(min = 1, max = 10000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_viewers: Option<i32>,
}

/// How the picture gets to the browser.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum VideoCodec {
    /// Copy where the source is fit for WebRTC (H.264 without B-frames), else transcode.
    #[default]
    Auto,
    /// Copy, whatever the source is.
    Copy,
    /// Transcode to H.264.
    H264,
    /// No picture.
    None,
}

/// How the sound gets to the browser.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum AudioCodec {
    /// Copy Opus at 48 kHz, transcode everything else to it; no sound where the source has none.
    #[default]
    Auto,
    /// Transcode to Opus.
    Opus,
    /// Copy, whatever the source is.
    Copy,
    /// No sound.
    None,
}

/// The picture's stream, codec and further FFmpeg options.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// FFmpeg stream specifier, such as `0:v:0`. Absent: the first video stream of the first input that has one.
    #[schemars(length(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// Copy or transcode.
    #[serde(default)]
    pub codec: VideoCodec,
    /// FFmpeg options of this leg, after the chosen ones.
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    #[serde(default)]
    pub options: Vec<String>,
}

/// The sound's stream, codec and further FFmpeg options.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Audio {
    /// FFmpeg stream specifier, such as `1:a:0`. Absent: the first audio stream of the first input that has one.
    #[schemars(length(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// Copy or transcode.
    #[serde(default)]
    pub codec: AudioCodec,
    /// FFmpeg options of this leg, after the chosen ones.
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    #[serde(default)]
    pub options: Vec<String>,
}

/// What is seen of one process.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
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
    /// How the last run of FFmpeg ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// What the progress report of the run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What viewers get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webrtc: Option<WebRtcStatus>,
    /// `Accepted`, `Ready` and, with WebRTC, `PlaybackReady`.
    #[schemars(schema_with = "conditions")]
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// Where a process is in its life.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum State {
    /// Accepted, and not started yet; or refused (condition `Accepted` says why).
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
    /// One word: `Finished`, `Failed`, `Killed`, `Stale`, `Stopped`, `Corrected`, `SpawnFailed`.
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
