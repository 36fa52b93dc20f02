//! Viewers: `dragonfork play`.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::child::{Child, PATIENCE};
use crate::pod::{PROCESS, Pod};

/// A viewer that watches for some seconds.
pub struct Viewer {
    child: Child,
    patience: Duration,
}

impl Viewer {
    /// Begins to watch; `name` is that of its log.
    pub fn start(pod: &Pod, name: &str, seconds: u64) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
        command
            .args(["play", &pod.url(), "--json", "--duration", &seconds.to_string()])
            .env("CORE_PLAY_TOKEN", pod.token(PROCESS, &["play"]));
        let child = Child::start(name, &mut command, pod.directory());
        Self { child, patience: PATIENCE + Duration::from_secs(seconds) }
    }

    /// Ends it at once, without a goodbye.
    pub fn kill(self) {
        drop(self.child);
    }

    /// Its exit code and report, once it has watched.
    pub async fn report(mut self) -> (Option<i32>, Value) {
        let status = self.child.end_within(self.patience).await.expect("it watches only for so long");
        let log = self.child.log();
        let text = log.find('{').zip(log.rfind('}')).map(|(from, to)| &log[from..=to]);
        let report = text.and_then(|text| serde_json::from_str(text).ok());
        (status.code(), report.unwrap_or_else(|| panic!("it says {log}")))
    }
}

/// Plays for a moment; panics where no media came.
pub async fn plays(pod: &Pod, name: &str) {
    let (code, report) = Viewer::start(pod, name, 3).report().await;
    assert_eq!(code, Some(0), "{report:#}");
    let viewer = &report["viewers"][0];
    assert!(viewer["video"]["keyframes"].as_u64() >= Some(2), "{viewer:#}");
    assert!(viewer["audio"]["packets"].as_u64() >= Some(75), "{viewer:#}");
}
