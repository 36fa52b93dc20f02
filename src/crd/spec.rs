//! `RestreamProcess` as a person writes it.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::definition::null_is_absent;
use super::status::RestreamProcessStatus;

fn yes() -> bool {
    true
}
fn seconds_15() -> i64 {
    15
}
fn seconds_30() -> i64 {
    30
}
fn twice() -> f64 {
    2.0
}
fn five_minutes() -> i64 {
    300
}

/// The default of `drainTimeoutSeconds`.
const DRAIN_SECONDS: i64 = 30;

fn drain_seconds() -> i64 {
    DRAIN_SECONDS
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
                  "metadata.name must be lower-case letters, digits and -, begin with a letter, end with a letter or digit, and have 52 characters at most"),
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = null_is_absent)]
#[x_kube(validation = Rule::new("size(self.output) > 0 || (has(self.webrtc) && self.webrtc.enabled)")
    .message("at least one output is needed unless webrtc.enabled").field_path(".output"))]
pub struct RestreamProcessSpec {
    /// The id in URLs and placeholders, for ids that are no Kubernetes names (such as `restreamer-ui:ingest:…`).
    /// Absent: `<namespace>.<name>`, or `<name>` where the manifest has no namespace.
    /// One segment of a path: no white space, none of `/ \ ? # %`, no dot at its beginning.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (r"self.matches('^[^\\x00-\\x20\\x7f/\\\\?#%.][^\\x00-\\x20\\x7f/\\\\?#%]*$')",
        r"must be one segment of a path: no white space, none of / \ ? # %, and no dot at its beginning"))]
    #[serde(default, rename = "processID", skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// Free reference of the owner, carried to logs and lists.
    #[schemars(length(max = 253), regex(pattern = r"^[^\x00]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Stop FFmpeg and keep everything else.
    #[serde(default)]
    pub suspend: bool,
    /// Global FFmpeg options, before the first input; each element is one argument, there is no shell.
    #[schemars(length(max = 128), inner(length(max = 4096), regex(pattern = r"^[^\x00]*$")))]
    #[serde(default)]
    pub options: Vec<String>,
    /// Named values for `$(NAME)` in addresses and options; names are unique.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[serde(default)]
    pub params: Vec<Param>,
    /// What FFmpeg reads, in order; ids are unique.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub input: Vec<Io>,
    /// What FFmpeg writes, in order; ids are unique. May be empty where `webrtc.enabled`.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]),
        validation = ("!self.exists(o, o.id.startsWith('webrtc-'))", "ids that begin with webrtc- are reserved for the WebRTC legs"))]
    #[serde(default)]
    pub output: Vec<Output>,
    /// Start FFmpeg again after it ended, whatever its exit code was.
    #[serde(default = "yes")]
    pub reconnect: bool,
    /// Seconds between the end of FFmpeg and its next start.
    #[schemars(range(min = 0, max = 86400))]
    #[serde(default = "seconds_15")]
    pub reconnect_delay_seconds: i64,
    /// Wait longer and longer where FFmpeg ends again and again; absent: the same delay every time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Kill FFmpeg when it makes no progress for this many seconds; 0 turns the watch off. An input gets 30 s at least
    /// until it is open, and a listening input that waits for its publisher is never stale.
    #[schemars(range(min = 0, max = 86400))]
    #[serde(default = "seconds_30")]
    pub stale_timeout_seconds: i64,
    /// What FFmpeg may use; where it uses more it is ended, and started again as after any other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Playback in a browser by WHEP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webrtc: Option<WebRtc>,
    /// In a cluster: what runs FFmpeg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<Runner>,
    /// In a cluster: what is laid over the template of the worker Pod, as a strategic merge patch: node selector,
    /// tolerations, labels, volumes. The containers are `runner` and `whep`.
    #[schemars(schema_with = "open")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A named value for `$(NAME)` in addresses and options.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.value) != has(self.valueFrom)", "exactly one of value and valueFrom is needed"))]
pub struct Param {
    /// Name of the value; unique.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Z0-9_]*$"))]
    pub name: String,
    /// The value itself; `$(NAME)` of parameters before this one is replaced in it.
    #[schemars(length(max = 4096), regex(pattern = r"^[^\x00]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the value stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Where a value stands.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretKeyRef) != has(self.configMapKeyRef)", "exactly one of secretKeyRef and configMapKeyRef is needed"))]
pub struct ValueFrom {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// A key of a Secret or ConfigMap.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct KeyRef {
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^(\.?[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$"))]
    pub key: String,
}

/// How the delay between the end of FFmpeg and its next start grows. A run that made progress for 10 s brings it back to
/// `reconnectDelaySeconds`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// Each delay is so many times the last one.
    #[schemars(range(min = 1, max = 10))]
    #[serde(default = "twice")]
    pub factor: f64,
    /// Seconds of the longest delay. `reconnectDelaySeconds` holds where it is longer.
    #[schemars(range(min = 1, max = 86400))]
    #[serde(default = "five_minutes")]
    pub maximum_seconds: i64,
}

/// What FFmpeg may use. It is looked at every second; programs that FFmpeg itself starts do not count.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// CPU time in percent of one core: 200 are two cores. Absent: no limit.
    #[schemars(range(min = 1, max = 100_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<i64>,
    /// Resident memory (RSS) in MiB. Absent: no limit.
    #[schemars(range(min = 1, max = 16_777_216))]
    #[serde(default, rename = "memoryMiB", skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<i64>,
    /// Seconds for which FFmpeg may use more.
    #[schemars(range(min = 0, max = 86400))]
    #[serde(default)]
    pub wait_for_seconds: i64,
}

/// One input of FFmpeg: `options -i address`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Io {
    /// Name of this input, unique among them. It may hold `{processid}` and `{reference}`.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^([A-Za-z0-9]|\{processid\}|\{reference\})([A-Za-z0-9_.-]|\{processid\}|\{reference\})*$")
    )]
    pub id: String,
    /// What FFmpeg opens: a URL, a path, a filter graph for `-f lavfi`, or `#<process id>:output=<output id>` for what
    /// another process writes.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^[^\x00]*[^\x00 \t\n\f\r][^\x00]*$"))]
    pub address: String,
    /// FFmpeg options of this input; each element is one argument.
    #[schemars(length(max = 128), inner(length(max = 4096), regex(pattern = r"^[^\x00]*$")))]
    #[serde(default)]
    pub options: Vec<String>,
}

/// One output of FFmpeg: `options address`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Name of this output, unique among them. It may hold `{processid}` and `{reference}`.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^([A-Za-z0-9]|\{processid\}|\{reference\})([A-Za-z0-9_.-]|\{processid\}|\{reference\})*$")
    )]
    pub id: String,
    /// What FFmpeg writes to: a URL or a path.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^[^\x00]*[^\x00 \t\n\f\r][^\x00]*$"))]
    pub address: String,
    /// FFmpeg options of this output; each element is one argument.
    #[schemars(length(max = 128), inner(length(max = 4096), regex(pattern = r"^[^\x00]*$")))]
    #[serde(default)]
    pub options: Vec<String>,
    /// Which of the files that it writes are removed, and when.
    #[schemars(length(max = 32))]
    #[serde(default)]
    pub cleanup: Vec<Cleanup>,
}

/// Files that are removed: what is too many, too old, or left behind by a process that was deleted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Cleanup {
    /// The files: `memfs:` (or `mem:`) or `diskfs:` (or `disk:`), and a pattern of names such as `/cam_*.ts`. `*` is any
    /// run of characters but `/`, `**` any run at all.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^(mem|memfs|disk|diskfs):[^\x00]+$"))]
    pub pattern: String,
    /// The newest so many stay; 0 sets no limit.
    #[schemars(range(min = 0, max = 1_000_000))]
    #[serde(default)]
    pub max_files: i32,
    /// Files that were last written longer ago go; 0 sets no limit.
    #[schemars(range(min = 0, max = 315_360_000))]
    #[serde(default)]
    pub max_file_age_seconds: i64,
    /// All of them go when the process is deleted. A change, a suspension or the end of the program is no deletion.
    #[serde(default)]
    pub purge_on_delete: bool,
}

/// Playback in a browser by WHEP.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
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
    /// In a cluster: how viewers reach the media port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// In a cluster: how players reach the WHEP endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// In a cluster: seconds for which a Pod that is to end keeps FFmpeg for its viewers; it takes no new ones then. Its
    /// grace period is 30 s longer.
    #[schemars(range(min = 0, max = 21600))]
    #[serde(default = "drain_seconds")]
    pub drain_timeout_seconds: i64,
}

impl Default for WebRtc {
    fn default() -> Self {
        Self {
            enabled: false,
            video: Video::default(),
            audio: Audio::default(),
            max_viewers: None,
            exposure: None,
            http: None,
            drain_timeout_seconds: DRAIN_SECONDS,
        }
    }
}

/// How viewers reach the media port of a worker Pod.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ExposureType {
    /// A port of every node; the node that has the Pod is announced.
    NodePort,
    /// A port of the node that has the Pod. Pod Security `baseline` and `restricted` refuse it.
    HostPort,
    /// The Pod is in the network of its node. Pod Security `baseline` and `restricted` refuse it.
    HostNetwork,
    /// A load balancer of the cluster that takes UDP.
    LoadBalancer,
    /// Through TURN servers (`CORE_WEBRTC_ICE_SERVERS` of the operator); the Pod's own address is announced.
    Relay,
    /// From within the cluster alone; the Pod's own address is announced.
    ClusterOnly,
}

/// How viewers reach the media port.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.type) || self.type != 'NodePort' || !has(self.port) || (self.port >= 30000 && self.port <= 32767)",
        "with NodePort the port is 30000 to 32767"),
    validation = ("!has(self.type) || self.type != 'HostPort' || has(self.port)", "HostPort needs a port"),
    validation = ("!has(self.type) || !(self.type in ['ClusterOnly', 'Relay']) || !has(self.announce) || size(self.announce) == 0",
        "ClusterOnly and Relay announce the address of the Pod, and nothing else"),
)]
pub struct Exposure {
    /// Absent: what the operator is configured to.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ExposureType>,
    /// The port that viewers see, UDP and TCP. Absent: any free one with NodePort, 8189 else.
    #[schemars(range(min = 1, max = 65535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Addresses or names that viewers are told, in place of those that are found.
    #[schemars(length(max = 8), inner(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9.:-]+$")))]
    #[serde(default)]
    pub announce: Vec<String>,
    /// With LoadBalancer: which kind.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9./-]+$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    /// Annotations of the Service of the media port, which many load balancers are configured with.
    #[schemars(extend("maxProperties" = 32))]
    #[serde(default)]
    pub annotations: BTreeMap<String, Text>,
}

/// How players reach the WHEP endpoint.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum HttpType {
    /// An Ingress with the path of the endpoint.
    Ingress,
    /// An HTTPRoute of the Gateway API with the path of the endpoint.
    HttpRoute,
    /// The Service alone.
    ServiceOnly,
}

/// How players reach the WHEP endpoint. The path is the same everywhere: `/api/v3/whep/<id>`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// Absent: what the operator is configured to.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<HttpType>,
    /// Host of the URL. Absent: the operator's, or every host.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Which Ingress controller; absent: the operator's, or the cluster's default.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_class_name: Option<String>,
    /// Secret with the certificate of the host, for an Ingress.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_name: Option<String>,
    /// The Gateway of an HTTPRoute; absent: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ref: Option<GatewayRef>,
    /// Annotations of the Ingress or HTTPRoute. None is needed.
    #[schemars(extend("maxProperties" = 32))]
    #[serde(default)]
    pub annotations: BTreeMap<String, Text>,
}

/// A Gateway of the Gateway API.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Its namespace; absent: that of the process.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Which of its listeners; absent: all.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

/// Value of an annotation.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(transparent)]
pub struct Text(#[schemars(length(max = 4096))] pub String);

/// What runs FFmpeg in a cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Runner {
    /// The image, with this program and FFmpeg in it. Absent: the operator's.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\x00-\x20]+$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// CPU and memory of the container that runs FFmpeg. Absent: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// CPU and memory of a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What it is promised.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default)]
    pub requests: BTreeMap<String, Amount>,
    /// What it may use at most.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default)]
    pub limits: BTreeMap<String, Amount>,
}

/// A quantity of Kubernetes, such as `2`, `500m` or `1Gi`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(untagged)]
pub enum Amount {
    /// A number alone.
    Whole(i64),
    /// A number with a unit.
    Text(String),
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "maxLength": 64,
            "pattern": r"^[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$" })
    }
}

fn open(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// How the picture gets to the browser.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum VideoCodec {
    /// Copy where the source is fit for WebRTC (H.264 without B-frames, VP8, VP9), else transcode to H.264.
    #[default]
    Auto,
    /// Copy H.264, H.265, VP8, VP9 and AV1; of anything else there is no picture.
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
    /// Copy Opus; of anything else there is no sound.
    Copy,
    /// No sound.
    None,
}

/// The picture's stream, codec and further FFmpeg options.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// FFmpeg stream specifier, such as `0:v:0`. Absent: the first video stream of the first input that has one.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[^\x00]*[^\x00 \t\n\f\r][^\x00]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// `Auto` copies H.264 without B-frames, VP8 and VP9, and transcodes everything else to H.264. `Copy` passes on H.264,
    /// H.265, VP8, VP9 and AV1 (from FFmpeg 8 on) as they are.
    #[serde(default)]
    pub codec: VideoCodec,
    /// FFmpeg options of this leg, after the chosen ones.
    #[schemars(length(max = 64), inner(length(max = 1024), regex(pattern = r"^[^\x00]*$")))]
    #[serde(default)]
    pub options: Vec<String>,
}

/// The sound's stream, codec and further FFmpeg options.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Audio {
    /// FFmpeg stream specifier, such as `1:a:0`. Absent: the first audio stream of the first input that has one.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[^\x00]*[^\x00 \t\n\f\r][^\x00]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// Copy or transcode.
    #[serde(default)]
    pub codec: AudioCodec,
    /// FFmpeg options of this leg, after the chosen ones.
    #[schemars(length(max = 64), inner(length(max = 1024), regex(pattern = r"^[^\x00]*$")))]
    #[serde(default)]
    pub options: Vec<String>,
}
