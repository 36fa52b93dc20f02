//! What FFmpeg said, in datarhei's form.

use serde::Serialize;
use utoipa::ToSchema;

use crate::controller::Process;

/// The log of the present run and of those before.
#[derive(Debug, Serialize, ToSchema)]
pub struct Report {
    /// When it began, unix seconds.
    created_at: u64,
    /// The lines before FFmpeg made progress.
    prelude: Vec<String>,
    /// The last lines, each with its unix second as text.
    #[schema(value_type = Vec<Vec<String>>)]
    log: Vec<(String, String)>,
    /// Former runs, oldest first.
    history: Vec<Run>,
}

/// A run that has ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Run {
    created_at: u64,
    prelude: Vec<String>,
    #[schema(value_type = Vec<Vec<String>>)]
    log: Vec<(String, String)>,
}

impl Report {
    /// The report of a process. The log goes on over its runs, so there is no history beside it.
    pub fn of(process: &Process) -> Self {
        let log: Vec<_> = process.log.iter().map(|line| (line.at.to_string(), line.line.clone())).collect();
        let created_at = process.log.first().map_or(process.created_at, |line| line.at);
        Self { created_at, prelude: Vec::new(), log, history: Vec::new() }
    }
}
