//! `dragonfork play`: plays a stream without a browser.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio_util::sync::CancellationToken;

use super::listen::Signals;
use crate::args;
use crate::play;

/// What playing came to.
pub struct Played {
    /// The report, for standard output.
    pub text: String,
    /// Whether every viewer got media; else why the first one did not.
    pub verdict: anyhow::Result<()>,
}

/// Plays until the time is over, or until SIGINT or SIGTERM. Sessions are deleted either way.
pub async fn play(config: args::Play) -> anyhow::Result<Played> {
    let args::Play { url, token, token_file, duration, viewers, loss, json } = config;
    let token = match token_file {
        Some(path) => Some(read_token(&path)?),
        None => token,
    };
    let settings = play::Settings { url, token, duration: Duration::from_secs(duration), viewers, loss: loss / 100.0 };
    let (stop, mut signals) = (CancellationToken::new(), Signals::new()?);
    let guard = stop.clone();
    let listening = tokio::spawn(async move {
        signals.recv().await;
        guard.cancel();
    });
    let report = play::play(&settings, &stop).await;
    listening.abort();
    let text = if json { format!("{:#}\n", serde_json::to_value(&report)?) } else { report.to_string() };
    let verdict = match &report.failure {
        Some(failure) => {
            let (failed, all) = (report.sum.failed, report.sum.viewers);
            Err(anyhow!("{failed} of {all} viewers failed: {failure}"))
        }
        None => Ok(()),
    };
    Ok(Played { text, verdict })
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the token file {} cannot be read (--token-file)", path.display()))?;
    let token = text.trim();
    if token.is_empty() {
        bail!("the token file {} is empty (--token-file)", path.display());
    }
    Ok(token.to_owned())
}
