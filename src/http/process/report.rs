//! What FFmpeg said, in datarhei's form.

use serde::Serialize;
use utoipa::ToSchema;

use crate::controller::{Exec, Process};
use crate::process::RunReport;

/// The log of the newest run and of those before.
#[derive(Debug, Serialize, ToSchema)]
pub struct Report {
    #[serde(flatten)]
    newest: Run,
    /// Former runs, oldest first.
    history: Vec<Run>,
}

/// One run of FFmpeg.
#[derive(Debug, Serialize, ToSchema)]
struct Run {
    /// When it began, unix seconds; that of the process before its first run.
    created_at: u64,
    /// The lines before FFmpeg made progress.
    prelude: Vec<String>,
    /// The last lines, each with its unix second as text.
    #[schema(value_type = Vec<Vec<String>>)]
    log: Vec<(String, String)>,
    /// When it ended, unix seconds; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    exited_at: Option<u64>,
    /// How it ended: `finished`, `failed` or `killed`; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_state: Option<&'static str>,
}

impl Report {
    /// The reports of a process.
    pub fn of(process: &Process) -> Self {
        let reports = &process.reports;
        Self {
            newest: match &reports.current {
                Some(current) => Run::of(current),
                None => Run::of(&RunReport { started_at: process.created_at, ..RunReport::default() }),
            },
            history: reports.history.iter().map(|run| Run::of(run)).collect(),
        }
    }
}

impl Run {
    fn of(report: &RunReport) -> Self {
        let RunReport { started_at, prelude, log, exit } = report;
        Self {
            created_at: *started_at,
            prelude: prelude.clone(),
            log: log.iter().map(|line| (line.at.to_string(), line.line.clone())).collect(),
            exited_at: exit.as_ref().map(|exit| exit.at),
            exit_state: exit.as_ref().map(|exit| Exec::from(exit.state()).word()),
        }
    }
}
