//! What is remembered of one process while the operator runs.

use std::sync::Arc;

use tokio::time::Instant;

use crate::crd::RestreamProcessStatus;
use crate::workload::{Configuration, Report};

/// What the worker of a process says.
#[derive(Clone, Debug, Default)]
pub enum Voice {
    /// It has not been asked yet.
    #[default]
    Unasked,
    /// It does not answer.
    Silent,
    /// It said this last.
    Said(Arc<Report>),
}

/// What is remembered of one process.
#[derive(Debug, Default)]
pub struct State {
    /// The configuration that its worker should have.
    pub wanted: Option<Arc<Configuration>>,
    /// The digest of it.
    pub wanted_digest: String,
    /// What its worker says.
    pub voice: Voice,
    /// The Pod that said it.
    pub pod: String,
    /// Questions in a row that were not answered.
    pub unanswered: u32,
    /// When something last changed that the worker takes part in.
    pub changed: Option<Instant>,
    /// When the status was last written.
    pub status_written: Option<Instant>,
    /// What was written then, and the version of the process that came of it. The API server may keep less than it is
    /// given, where its definition of the resource is an older one.
    pub status_kept: Option<(RestreamProcessStatus, u64)>,
    /// Failures in a row.
    pub failures: u32,
    /// How often foreign parts were replaced, and when last.
    pub replaced: (u32, Option<Instant>),
}
