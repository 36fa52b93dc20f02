//! Looks at inputs on demand.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::child::{Child, Seen};
use super::run::redactor;
use super::spawner::{Purpose, Spawner};
use super::streams;
use crate::plan::{Io, Plan, Report, look};
use crate::process::{Probed, Redactor};

/// A look that takes longer is stopped.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts FFmpeg with the inputs of a plan and without outputs. What stops it is in the log.
pub async fn probe(spawner: &Spawner, plan: &Plan) -> Probed {
    let redactor = redactor(plan);
    let child = match spawner.spawn(Purpose::Probe, look(&plan.options, &plan.inputs)).await {
        Ok(spawned) => Child::new(spawned).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match child {
        Ok(child) => watch(child, &plan.inputs, &redactor).await,
        Err(error) => Probed { streams: Vec::new(), log: vec![error] },
    }
}

async fn watch(mut child: Child, inputs: &[Io], redactor: &Redactor) -> Probed {
    let (mut report, mut log) = (Report::default(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    loop {
        match timeout_at(deadline, child.next()).await {
            Ok(Seen::Log(lines)) => log.extend(lines.iter().map(|line| redactor.redact(line))),
            Ok(Seen::Report(lines)) => lines.iter().for_each(|line| report.handle_line(line)),
            Ok(Seen::Output(_)) => {}
            Ok(Seen::Ended(_)) => break,
            // It is killed where it is dropped.
            Err(_) => {
                log.push(format!("the inputs did not show their streams within {} s", PATIENCE.as_secs()));
                break;
            }
        }
    }
    let details = report.details().inputs.iter();
    Probed { streams: details.map(|detail| streams::probed(detail, inputs, redactor)).collect(), log }
}
