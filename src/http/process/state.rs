//! The state of a process in datarhei's words.

use serde::Serialize;
use utoipa::ToSchema;

use crate::controller::Process;
use crate::crd;

/// What a process does and shall do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProcessState)]
pub struct State {
    /// `start` or `stop`: what it shall do.
    order: &'static str,
    /// `starting`, `running`, `finished`, `failed` or `killed`.
    exec: &'static str,
    /// Seconds since `exec` changed.
    runtime_seconds: u64,
    /// Seconds until FFmpeg is started again; -1 where it is not.
    reconnect_seconds: i64,
    /// The last line of FFmpeg's log, redacted.
    last_logline: String,
    /// Figures of the running FFmpeg; what is not known is 0.
    progress: Progress,
    /// Octets of memory.
    memory_bytes: u64,
    /// Percent of all CPUs.
    cpu_usage: f64,
    /// How FFmpeg was called, redacted.
    command: Vec<String>,
}

/// Figures of the running FFmpeg.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Progress {
    #[schema(value_type = Vec<Object>)]
    inputs: Vec<serde_json::Value>,
    #[schema(value_type = Vec<Object>)]
    outputs: Vec<serde_json::Value>,
    frame: i64,
    packet: u64,
    fps: f64,
    q: f64,
    size_kb: i64,
    /// Media seconds written.
    time: f64,
    /// In units of 1024 bits a second.
    bitrate_kbit: f64,
    speed: f64,
    drop: i64,
    dup: i64,
}

impl State {
    /// The state at a unix second.
    pub fn of(process: &Process, now: u64) -> Self {
        let status = &process.status;
        let since = |second: u64| now.saturating_sub(second);
        let waits = status.state == crd::State::Reconnecting;
        Self {
            order: if process.manifest.spec.suspend { "stop" } else { "start" },
            exec: exec(status),
            runtime_seconds: since(process.state_since),
            reconnect_seconds: match waits {
                true => {
                    let passed = i64::try_from(since(process.state_since)).unwrap_or(i64::MAX);
                    process.manifest.spec.reconnect_delay_seconds.saturating_sub(passed).max(0)
                }
                false => -1,
            },
            last_logline: process.log.last().map(|line| line.line.clone()).unwrap_or_default(),
            progress: status.progress.as_ref().map(Progress::of).unwrap_or_default(),
            memory_bytes: 0,
            cpu_usage: 0.0,
            command: Vec::new(),
        }
    }

    /// What FFmpeg does.
    pub fn exec(&self) -> &'static str {
        self.exec
    }

    /// What it shall do.
    pub fn order(&self) -> &'static str {
        self.order
    }

    /// The figures by datarhei's names.
    pub fn figures(&self) -> [(&'static str, f64); 11] {
        let Progress { inputs: _, outputs: _, frame, packet, fps, q, size_kb, time, bitrate_kbit, speed, drop, dup } =
            &self.progress;
        [
            ("frame", *frame as f64),
            ("packet", *packet as f64),
            ("fps", *fps),
            ("q", *q),
            ("size", *size_kb as f64 * 1024.0),
            ("time", *time),
            ("bitrate", bitrate_kbit * 1024.0),
            ("speed", *speed),
            ("drop", *drop as f64),
            ("dup", *dup as f64),
            ("uptime", self.uptime() as f64),
        ]
    }

    /// Seconds for which it runs; 0 where it does not.
    pub fn uptime(&self) -> u64 {
        if self.exec == "running" { self.runtime_seconds } else { 0 }
    }
}

impl Progress {
    fn of(progress: &crd::Progress) -> Self {
        let crd::Progress { frame, fps, bitrate, size_bytes, time_seconds, speed, drop, dup } = progress;
        Self {
            inputs: Vec::new(),
            outputs: Vec::new(),
            frame: *frame,
            packet: 0,
            fps: *fps,
            q: 0.0,
            size_kb: size_bytes / 1024,
            time: *time_seconds,
            bitrate_kbit: bitrate.unwrap_or_default() / 1024.0,
            speed: speed.unwrap_or_default(),
            drop: *drop,
            dup: *dup,
        }
    }
}

/// What FFmpeg does. A process that waits or rests is as its last run ended, and `finished` where there was none.
fn exec(status: &crd::RestreamProcessStatus) -> &'static str {
    use crd::State;
    match status.state {
        State::Starting => "starting",
        State::Waiting | State::Running => "running",
        State::Pending | State::Reconnecting | State::Finished | State::Failed | State::Suspended => {
            match status.last_exit.as_ref().map(|exit| exit.reason.as_str()) {
                Some("Failed" | "SpawnFailed") => "failed",
                Some("Killed" | "Stale") => "killed",
                _ => "finished",
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{LastExit, RestreamProcessStatus};

    #[test]
    fn every_state_is_one_of_datarheis_words() {
        use crd::State::*;
        let exit = |reason: &str| Some(LastExit { reason: reason.into(), ..LastExit::default() });
        for (state, last, word) in [
            (Pending, None, "finished"),
            (Starting, exit("Failed"), "starting"),
            (Waiting, None, "running"),
            (Running, exit("Killed"), "running"),
            (Reconnecting, exit("Failed"), "failed"),
            (Reconnecting, exit("Stale"), "killed"),
            (Finished, exit("Finished"), "finished"),
            (Failed, exit("SpawnFailed"), "failed"),
            (Suspended, exit("Stopped"), "finished"),
            (Suspended, exit("Killed"), "killed"),
        ] {
            let status = RestreamProcessStatus { state, last_exit: last, ..Default::default() };
            assert_eq!(exec(&status), word, "{state:?}");
        }
    }
}
