//! `RestreamProcess` as a person writes it ([`RestreamProcessSpec`]) and as it is seen ([`RestreamProcessStatus`]).
//!
//! The types are the schema: [`crd_yaml`] prints what the derive makes of them, and [`read_manifests`] gives the verdict
//! that the API server would give with that schema. Nothing is in the schema before it works.
//!
//! This room never knows where a manifest came from, nor what FFmpeg or WebRTC make of it.

mod check;
mod definition;
mod fault;
mod manifest;
mod metadata;
mod node;
mod path;
mod scalar;
mod schema;
mod spec;
mod status;
mod suggest;
mod words;
mod yaml;

pub use definition::crd_yaml;
pub use fault::Fault;
pub use manifest::{Document, MAX_FILE_BYTES, Reading, read_manifests};
pub use spec::{
    Amount, Audio, AudioCodec, Cleanup, Exposure, ExposureType, GatewayRef, Http, HttpType, Io, KeyRef, Limits, Output,
    Param, Resources, Restart, RestreamProcess, RestreamProcessSpec, Runner, Text, ValueFrom, Video, VideoCodec,
    WebRtc,
};
pub use status::{LastExit, LegStatus, Progress, RestreamProcessStatus, State, WebRtcStatus};

/// API group of the resource.
pub const GROUP: &str = "restream.wilddragon.net";
/// API version of the resource.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of a manifest.
pub const API_VERSION: &str = "restream.wilddragon.net/v1alpha1";
/// `kind` of a manifest.
pub const KIND: &str = "RestreamProcess";
