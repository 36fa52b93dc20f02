//! Desired x observed -> steps and statuses; the only author of conditions.
//!
//! A source says what is wanted ([`Change`]), the IO rooms say what was seen ([`Observation`]); out come [`Step`]s for
//! `app` to perform and a [`Snapshot`] for HTTP and sources to show.
//!
//! This room never performs a step, and never asks anybody anything.

mod cleanup;
mod conditions;
mod elsewhere;
mod entry;
mod live;
mod machine;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crd::{RestreamProcess, RestreamProcessStatus};
use crate::files::Rule;
use crate::plan::{Key, Plan, Values, skills::Skills};

pub use live::{Exec, Live, Order, Reports};
pub use machine::{Controller, Playback};

/// Where a manifest stands: `file.yaml`, `file.yaml document 2`, or `namespace/name` of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub String);

/// What a source says.
#[derive(Clone, Debug)]
pub enum Change {
    /// This object is new or was changed.
    Apply(Origin, Arc<RestreamProcess>),
    /// This object is gone.
    Delete(Origin),
    /// These are all objects; what is not among them is gone.
    Reset(Vec<(Origin, Arc<RestreamProcess>)>),
    /// These are all manifests that could not be read, each with every error in it; replaces the former list.
    Problems(Vec<Problem>),
    /// These are all values of Secrets and ConfigMaps that manifests ask for; replaces the former ones.
    Values(Values),
}

/// A manifest that could not be read or was refused.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Where it stands.
    pub origin: String,
    /// Every error in it, each with line and path where known.
    pub errors: Vec<String>,
}

/// What `app` is to do; steps of one key are performed in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Open the egress legs where the plan has them, then run FFmpeg.
    Start(Arc<Plan>),
    /// Stop FFmpeg, then start it with this plan; the legs stay open and the viewers stay where both plans have egress.
    Replace(Arc<Plan>),
    /// Go on with this plan: FFmpeg would be told the same, only what surrounds it has changed.
    Configure(Arc<Plan>),
    /// Start FFmpeg at once where it does not run: because it waits for its next start, or ended for good.
    Begin(Key),
    /// Stop FFmpeg where it runs, and start it at once; legs and viewers stay.
    Restart(Key),
    /// Stop FFmpeg, close the legs and their viewers.
    Stop(Key),
    /// From now on these are the cleanup rules of the process.
    Tidy(Key, Vec<Rule>),
    /// The process was deleted: once FFmpeg has ended, remove the files that these rules say.
    Purge(Key, Vec<Rule>),
}

/// What somebody asks of a process whose manifest stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start FFmpeg now where it does not run.
    Start,
    /// Start FFmpeg anew, whether it runs or not.
    Restart,
}

/// There is no such process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no process {0}")]
pub struct UnknownProcess(pub Key);

/// What was seen, of one process.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The process.
    pub key: Key,
    /// What was seen.
    pub seen: Seen,
}

/// One thing that was seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A step in the life of FFmpeg.
    Run(crate::process::Event),
    /// What the legs do, and why.
    Legs(crate::plan::LegChoice),
    /// FFmpeg is started with these arguments, redacted.
    Command(Arc<Vec<String>>),
    /// Streams of the run, with their figures.
    Streams(Arc<crate::process::Streams>),
    /// Servers that take nothing of what FFmpeg writes; none where all do.
    Stalled(Vec<crate::process::Stalled>),
    /// The egress legs could not be opened; FFmpeg runs without them.
    EgressFailed(String),
    /// Media arrives at the gateway on these legs.
    Media {
        /// Picture arrives.
        video: bool,
        /// Sound arrives.
        audio: bool,
    },
    /// Viewers at this moment.
    Viewers(usize),
}

/// What is shown of everything.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every accepted or refused process by its id.
    pub processes: BTreeMap<Key, Arc<Process>>,
    /// Manifests that could not be read, or are not used.
    pub problems: Vec<Problem>,
    /// What FFmpeg can do; `None` until it was asked, and where it cannot be asked.
    pub skills: Option<Arc<Skills>>,
}

/// What is shown of one process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Id of the process.
    pub key: Key,
    /// Where its manifest stands.
    pub origin: Origin,
    /// The manifest.
    pub manifest: Arc<RestreamProcess>,
    /// Why the manifest as it is now cannot be used; empty where it is.
    pub refused: Vec<String>,
    /// What is seen of it.
    pub status: RestreamProcessStatus,
    /// The last lines of FFmpeg's log, redacted, oldest first.
    pub log: Arc<Vec<crate::process::LogLine>>,
    /// What FFmpeg does at this moment.
    pub live: Live,
    /// Reports of its runs, kept over changes of the manifest.
    pub reports: Reports,
    /// How often FFmpeg ended, by cause, since the process was first seen.
    pub ends: BTreeMap<crate::process::Cause, u64>,
    /// First accepted, unix seconds.
    pub created_at: u64,
    /// Last changed, unix seconds.
    pub updated_at: u64,
    /// When `status.state` last changed, unix seconds.
    pub state_since: u64,
}
