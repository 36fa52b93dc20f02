//! A proven process: what a [`RestreamProcessSpec`](crate::crd::RestreamProcessSpec) becomes before anything is started.
//!
//! [`Plan::new`] resolves placeholders, parameters and references to other processes in one step, proves what comes out,
//! and refuses with every reason at once. A plan gives FFmpeg's argument vector, and decides from the
//! [`Inventory`] of the inputs' streams what the two egress legs do ([`LegChoice`]) and why.
//!
//! This room never starts anything and never looks whether a file or a port exists.

mod access;
mod address;
mod argv;
mod choice;
mod files;
mod graph;
mod inventory;
mod listen;
mod options;
mod params;
mod peers;
mod placeholders;
mod probe;
mod proof;
mod resolve;
pub mod skills;
mod surroundings;
mod words;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::crd;
use crate::files::Rule;
use crate::rtp::Codec;

pub use access::{Access, AccessList, Denied, Expressions};
pub use inventory::{Detail, Details, FrameOrder, Report};
pub use probe::{Probe, look};
pub use proof::{outputs, process_id, refers};
pub use surroundings::{Known, Memory, Missing, Obstacle, Referent, Rtmp, Srt, Surroundings, Values};

/// Id of a process, in URLs and placeholders: `spec.processID`, else `<namespace>.<name>`, else `<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The id as it stands; the caller proved it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Path of the process for WHEP players.
    pub fn whep_path(&self) -> String {
        format!("/api/v3/whep/{}", path_segment(&self.0))
    }
}

/// A text as one segment of a path: what may not stand there is percent-encoded (RFC 3986 section 3.3).
pub fn path_segment(text: &str) -> PercentEncode<'_> {
    const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b':')
        .remove(b'@')
        .remove(b'!')
        .remove(b'$')
        .remove(b'&')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')')
        .remove(b'*')
        .remove(b'+')
        .remove(b',')
        .remove(b';')
        .remove(b'=');
    utf8_percent_encode(text, SEGMENT)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that may carry credentials (an address, an option). Debug redacts; [`Secret::expose`] is for the place where
/// FFmpeg is started.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text itself; for the place where FFmpeg is started and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What one process needs, proven.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Id of the process.
    pub key: Key,
    /// Free reference of the owner.
    pub reference: Option<String>,
    /// The manifest says that FFmpeg shall not run.
    pub suspended: bool,
    /// Global options of FFmpeg.
    pub options: Vec<Secret>,
    /// Inputs in order.
    pub inputs: Vec<Io>,
    /// Outputs in order.
    pub outputs: Vec<Io>,
    /// Start again this long after an end; `None` leaves it ended.
    pub reconnect: Option<Duration>,
    /// How that time grows; `None` where it stays the same.
    pub restart: Option<Restart>,
    /// Kill after this long without progress; `None` turns the watch off.
    pub stale: Option<Duration>,
    /// What FFmpeg may use.
    pub limits: Limits,
    /// Playback by WHEP; `None` without `webrtc.enabled`.
    pub egress: Option<Egress>,
    /// Which files are removed, and when.
    pub cleanup: Vec<Rule>,
    /// What was put into addresses and options and must be seen nowhere: values of parameters, and what the
    /// configuration knows of servers.
    pub secrets: Vec<Secret>,
}

/// How the time until the next start grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restart {
    /// Each time is so many times the last one, 1 or more.
    pub factor: f64,
    /// The longest time.
    pub maximum: Duration,
}

/// What FFmpeg may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Percent of one core; `None` is without limit.
    pub cpu_percent: Option<u32>,
    /// Bytes of resident memory; `None` is without limit.
    pub memory_bytes: Option<u64>,
    /// It may use more for so long.
    pub wait: Duration,
}

/// One input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct Io {
    /// Name, unique on its side.
    pub id: String,
    /// What FFmpeg opens.
    pub address: Secret,
    /// Options before it.
    pub options: Vec<Secret>,
    /// Files of the disk directory that FFmpeg opens by this address to write to: absolute, without `.` and `..`. Whether
    /// symbolic links lead out of the directory can only be seen when FFmpeg is started.
    pub files: Vec<PathBuf>,
}

/// What the manifest asks of the two egress legs.
#[derive(Clone, Debug, PartialEq)]
pub struct Egress {
    /// The picture as asked for; its options are in `video_options`.
    pub video: crd::Video,
    /// The sound as asked for; its options are in `audio_options`.
    pub audio: crd::Audio,
    /// Further options of the picture's leg.
    pub video_options: Vec<Secret>,
    /// Further options of the sound's leg.
    pub audio_options: Vec<Secret>,
    /// Viewers at most; `None` takes the gateway's cap.
    pub max_viewers: Option<u32>,
}

/// Where FFmpeg sends the two legs: RTP over UDP to loopback, ports bound before FFmpeg starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EgressPorts {
    /// Port V of the picture, even.
    pub video: u16,
    /// Port V+1 of the sound.
    pub audio: u16,
}

/// Streams of the inputs, as FFmpeg reports them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Numbers of the inputs whose streams are known; what an unknown one has is assumed.
    pub known: BTreeSet<usize>,
    /// In the order of FFmpeg's report.
    pub streams: Vec<Stream>,
}

/// One stream of an input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// Input number.
    pub input: usize,
    /// Stream number within the input.
    pub index: usize,
    /// What kind of media it is.
    pub kind: MediaKind,
    /// FFmpeg's name of the codec, such as `h264`.
    pub codec: String,
    /// FFmpeg's name of the profile, such as `High`; empty where it says none.
    pub profile: String,
    /// A still picture attached to sound, which is no video.
    pub attached_picture: bool,
    /// Samples a second of sound, 0 where unknown.
    pub sample_rate: u32,
    /// Channels of sound, 0 where unknown.
    pub channels: u32,
    /// Frames were seen out of order (B-frames); `None` where nobody looked yet.
    pub reordered: Option<bool>,
    /// The picture is to be turned before it is shown, as films of phones are (a display matrix).
    pub is_turned: bool,
}

/// What kind of media a stream carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles, data, attachments.
    #[default]
    Other,
}

/// What the two egress legs do.
#[derive(Clone, Debug, PartialEq)]
pub struct LegChoice {
    /// The picture.
    pub video: Leg,
    /// The sound.
    pub audio: Leg,
}

/// What one egress leg does, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// What FFmpeg does.
    pub action: LegAction,
    /// What the leg carries; `None` without a leg.
    pub codec: Option<Codec>,
    /// Why, for the status.
    pub reason: String,
}

/// What FFmpeg does for one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegAction {
    /// No leg.
    None,
    /// Copy this stream (an FFmpeg stream specifier).
    Copy(String),
    /// Transcode this stream (an FFmpeg stream specifier).
    Transcode(String),
}

#[cfg(test)]
mod tests;
