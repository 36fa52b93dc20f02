//! The life of one FFmpeg child as a machine: states, delays, progress, log, stale.
//!
//! [`Machine`] decides; what FFmpeg writes is read by [`Lines`], [`ProgressReport`] and [`Log`], and a [`Redactor`]
//! takes every credential out before anything is kept. Where credentials stand is known here alone ([`credentials`]).
//!
//! This room never spawns, signals or reads a clock: time comes in as `now`.

mod backoff;
mod exit;
mod json_stats;
mod limits;
mod lines;
mod log;
mod machine;
mod progress;
mod redact;
mod run_report;
mod stall;
mod streams;

use std::sync::Arc;
use std::time::Duration;

pub use backoff::Backoff;
pub use exit::{Cause, Exit, ExitState, Fault};
pub use json_stats::{Heard, JsonStats};
pub use limits::{Limits, Usage};
pub use lines::Lines;
pub use log::Log;
pub use machine::{Action, End, Machine, Now, Policy};
pub use progress::{Block, ProgressReport, stats_line};
pub use redact::{Redactor, credentials, is_credential, stream_key_places};
pub use run_report::RunReport;
pub use stall::{Connection, Stalled, Stalls};
pub use streams::{Figures, Probed, Qualities, Stream, Streams};

/// One line of FFmpeg's log, secrets redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it came, unix seconds.
    pub at: u64,
    /// The line.
    pub line: String,
}

/// A step in the life of FFmpeg, as others see it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The inputs are probed.
    Probing,
    /// FFmpeg was started with this process id.
    Started(u32),
    /// FFmpeg listens for a publisher.
    Waiting,
    /// FFmpeg makes progress.
    Progress(Progress),
    /// FFmpeg, or the probe, was asked to end.
    Ending,
    /// What FFmpeg uses at this moment.
    Usage(Usage),
    /// FFmpeg ended. It starts again after `restart_in` seconds, or not at all.
    Ended {
        /// How it ended.
        exit: Exit,
        /// Time until the next start.
        restart_in: Option<Duration>,
    },
    /// The log has new lines; sent at most once a second.
    Log(Arc<Vec<LogLine>>),
    /// The report of the run has changed; sent at most once a second, and whole at its end.
    Report(Arc<RunReport>),
}

/// Figures of the running FFmpeg, from one block of its `-progress` report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Video frames.
    pub frame: u64,
    /// Frames a second.
    pub fps: f64,
    /// Quantizer of the first encoded picture, where there is one.
    pub q: Option<f64>,
    /// Bits a second over all outputs, where FFmpeg says.
    pub bitrate: Option<f64>,
    /// Bytes written.
    pub size_bytes: u64,
    /// Media time written.
    pub time: Duration,
    /// Media time over wall-clock time, where FFmpeg says.
    pub speed: Option<f64>,
    /// Dropped frames.
    pub drop: u64,
    /// Duplicated frames.
    pub dup: u64,
}
