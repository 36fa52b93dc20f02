//! The state of a process in datarhei's words.

use std::num::NonZero;

use serde::Serialize;
use utoipa::ToSchema;

use super::progress::{Progress, thousandths};
use crate::controller::{Exec, Process};

/// What a process does and shall do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProcessState)]
pub struct State {
    /// `start` or `stop`: what it shall do.
    order: &'static str,
    /// `finished`, `starting`, `running`, `finishing`, `failed` or `killed`.
    exec: &'static str,
    /// Seconds since `exec` changed.
    runtime_seconds: u64,
    /// Seconds until FFmpeg is started again; -1 where it is not.
    reconnect_seconds: i64,
    /// The last line of FFmpeg's log, redacted.
    last_logline: String,
    /// Figures of the running FFmpeg; what is not known is 0.
    progress: Progress,
    /// Octets of resident memory.
    memory_bytes: u64,
    /// Percent of all CPUs.
    cpu_usage: f64,
    /// Arguments of the newest start, redacted.
    command: Vec<String>,
    #[serde(skip)]
    cpu_limit: f64,
    #[serde(skip)]
    memory_limit: u64,
}

impl State {
    /// The state at a unix second. `cores` are 100 % of the CPU.
    pub fn of(process: &Process, now: u64, cores: NonZero<usize>) -> Self {
        let live = &process.live;
        let of_all = |percent: f64| thousandths(percent / cores.get() as f64);
        Self {
            order: live.order.word(),
            exec: live.exec.word(),
            runtime_seconds: now.saturating_sub(live.exec_since),
            reconnect_seconds: match live.reconnect_at {
                Some(at) => i64::try_from(at.saturating_sub(now)).unwrap_or(i64::MAX),
                None => -1,
            },
            last_logline: live.last_line.clone(),
            progress: Progress::of(live),
            memory_bytes: live.usage.memory_bytes,
            cpu_usage: of_all(live.usage.cpu_percent.unwrap_or_default()),
            command: live.command.to_vec(),
            cpu_limit: of_all(live.limits.cpu_percent.map_or(0.0, f64::from)),
            memory_limit: live.limits.memory_bytes.unwrap_or_default(),
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
    pub fn figures(&self) -> [(&'static str, f64); 15] {
        let progress = &self.progress;
        [
            ("frame", progress.frame as f64),
            ("packet", progress.packet as f64),
            ("fps", progress.fps),
            ("q", progress.q),
            ("size", progress.size_kb as f64 * 1024.0),
            ("time", progress.time),
            ("bitrate", progress.bitrate_kbit * 1024.0),
            ("speed", progress.speed),
            ("drop", progress.drop as f64),
            ("dup", progress.dup as f64),
            ("uptime", self.uptime() as f64),
            ("cpu", self.cpu_usage),
            ("memory", self.memory_bytes as f64),
            ("cpu_limit", self.cpu_limit),
            ("memory_limit", self.memory_limit as f64),
        ]
    }

    /// Seconds for which it runs; 0 where it does not.
    pub fn uptime(&self) -> u64 {
        if self.exec == Exec::Running.word() { self.runtime_seconds } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::controller::{Live, Order, Origin, Reports};
    use crate::crd::RestreamProcess;
    use crate::plan::{Key, Limits};
    use crate::process::{Figures, Progress as Seen, Stream, Streams, Usage};

    fn state(change: impl FnOnce(&mut Live)) -> State {
        let mut live = Live::new(100);
        change(&mut live);
        let spec = serde_json::from_value(json!({ "input": [], "output": [] })).expect("it is a spec");
        let process = Process {
            key: Key::new("cam"),
            origin: Origin("cam.yaml".into()),
            manifest: Arc::new(RestreamProcess::new("cam", spec)),
            refused: Vec::new(),
            status: Default::default(),
            log: Arc::default(),
            live,
            reports: Reports::default(),
            ends: Default::default(),
            created_at: 100,
            updated_at: 100,
            state_since: 100,
        };
        State::of(&process, 130, NonZero::new(4).expect("not 0"))
    }

    fn json_of(state: &State) -> Value {
        serde_json::to_value(state).expect("it is JSON")
    }

    #[test]
    fn what_was_never_started_has_nothing_but_the_form() {
        let expected = json!({
            "order": "stop", "exec": "finished", "runtime_seconds": 30, "reconnect_seconds": -1, "last_logline": "",
            "progress": {
                "inputs": [], "outputs": [], "frame": 0, "packet": 0, "fps": 0.0, "q": 0.0, "size_kb": 0, "time": 0.0,
                "bitrate_kbit": 0.0, "speed": 0.0, "drop": 0, "dup": 0,
            },
            "memory_bytes": 0, "cpu_usage": 0.0, "command": [],
        });
        assert_eq!(json_of(&state(|_| {})), expected);
    }

    #[test]
    fn every_word_is_datarheis() {
        for (exec, word, uptime) in [
            (Exec::Finished, "finished", 0),
            (Exec::Starting, "starting", 0),
            (Exec::Running, "running", 30),
            (Exec::Finishing, "finishing", 0),
            (Exec::Failed, "failed", 0),
            (Exec::Killed, "killed", 0),
        ] {
            let state = state(|live| (live.exec, live.order) = (exec, Order::Start));
            assert_eq!((state.exec(), state.order(), state.uptime()), (word, "start", uptime));
        }
    }

    #[test]
    fn c015_the_seconds_until_the_next_start_are_counted_down_to_0() {
        for (at, left) in [(Some(145), 15), (Some(130), 0), (Some(120), 0), (None, -1)] {
            assert_eq!(state(|live| live.reconnect_at = at).reconnect_seconds, left);
        }
    }

    #[test]
    fn the_cpu_is_in_percent_of_all_cores() {
        let state = state(|live| {
            live.usage = Usage { cpu_percent: Some(150.0), memory_bytes: 5 << 20 };
            live.limits = Limits { cpu_percent: Some(200), memory_bytes: Some(10 << 20), ..Limits::default() };
        });
        assert_eq!((state.cpu_usage, state.memory_bytes), (37.5, 5 << 20));
        let figures: std::collections::BTreeMap<_, _> = state.figures().into_iter().collect();
        assert_eq!((figures["cpu"], figures["cpu_limit"]), (37.5, 50.0));
        assert_eq!((figures["memory"], figures["memory_limit"]), (5_242_880.0, 10_485_760.0));
    }

    #[test]
    fn every_stream_has_datarheis_fields() {
        let input = Stream {
            id: "in".into(),
            address: "rtmp://h/a".into(),
            format: "flv".into(),
            kind: "video".into(),
            codec: "h264".into(),
            coder: "h264".into(),
            rate: 25.0,
            pix_fmt: "yuv420p".into(),
            width: 1280,
            height: 720,
            ..Stream::default()
        };
        let (size_bytes, bitrate) = (Some(10_240), Some(2_048_000.0));
        let figures =
            Figures { frame: Some(50), fps: Some(24.9876), packet: Some(51), size_bytes, bitrate, q: Some(-1.0) };
        let video = Stream { id: "out".into(), coder: "copy".into(), figures, ..input.clone() };
        let audio = Stream {
            id: "webrtc-audio".into(),
            index: 1,
            kind: "audio".into(),
            codec: "opus".into(),
            sampling_hz: 48_000,
            layout: "stereo".into(),
            channels: 2,
            figures: Figures { packet: Some(9), ..Figures::default() },
            ..Stream::default()
        };
        let state = state(|live| {
            live.streams = Arc::new(Streams { inputs: vec![input], outputs: vec![video, audio] });
            live.progress = Some(Seen {
                frame: 50,
                fps: 25.0,
                q: Some(-1.0),
                bitrate: Some(1_024_000.0),
                size_bytes: 10_240,
                time: Duration::from_millis(2_040),
                speed: Some(1.02),
                drop: 3,
                dup: 4,
            });
        });
        let shown = json_of(&state)["progress"].clone();
        let framerate = json!({ "min": 25.0, "max": 25.0, "avg": 25.0 });
        assert_eq!(
            shown["outputs"][0],
            json!({
                "id": "out", "address": "rtmp://h/a", "index": 0, "stream": 0, "format": "flv", "type": "video",
                "codec": "h264", "coder": "copy", "frame": 50, "keyframe": 0, "framerate": framerate, "fps": 24.988,
                "packet": 51, "pps": 0.0, "size_kb": 10, "bitrate_kbit": 2000.0, "extradata_size_bytes": 0,
                "pix_fmt": "yuv420p", "q": -1.0, "width": 1280, "height": 720, "avstream": null,
            })
        );
        let audio = &shown["outputs"][1];
        assert_eq!(
            (&audio["sampling_hz"], &audio["layout"], &audio["channels"]),
            (&json!(48_000), &json!("stereo"), &json!(2))
        );
        assert!(["pix_fmt", "q", "width", "height"].iter().all(|name| audio.get(name).is_none()), "{audio}");
        assert_eq!((&shown["inputs"][0]["id"], &shown["inputs"][0]["frame"]), (&json!("in"), &json!(0)));
        let whole = [("frame", 50), ("packet", 60), ("size_kb", 10), ("drop", 3), ("dup", 4)];
        assert!(whole.iter().all(|(name, value)| shown[name] == json!(value)), "{shown}");
        let figures = [("fps", 25.0), ("q", -1.0), ("time", 2.04), ("bitrate_kbit", 1000.0), ("speed", 1.02)];
        assert!(figures.iter().all(|(name, value)| shown[name] == json!(value)), "{shown}");
    }
}
