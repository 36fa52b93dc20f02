//! Every parameter of the benchmark, in one place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The media of one stream: pictures as bursts of equal RTP packets, and sound packets between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Pictures a second.
    pub bursts: u32,
    /// RTP packets of one picture.
    pub packets: u32,
    /// Sound packets a second.
    pub sounds: u32,
}

impl Shape {
    /// Bits a second, RTP headers included.
    pub fn bits(&self) -> u64 {
        let octets = (self.bursts * self.packets) as usize * VIDEO_PACKET + self.sounds as usize * AUDIO_PACKET;
        octets as u64 * 8
    }
}

/// Octets of a picture's RTP packet, before protection.
pub const VIDEO_PACKET: usize = 1200;
/// Octets of a sound's RTP packet, before protection.
pub const AUDIO_PACKET: usize = 172;
/// Octets of an RTP header without extension.
pub const RTP_HEADER: usize = 12;
/// A keyframe comes this often.
pub const KEYFRAME_INTERVAL: Duration = Duration::from_secs(2);

/// What nearly everything is measured with: 4 Mb/s.
pub const FULL: Shape = Shape { bursts: 30, packets: 14, sounds: 50 };
/// What the count of viewers that one core serves is measured with: 2 Mb/s.
pub const HALF: Shape = Shape { bursts: 30, packets: 7, sounds: 50 };
/// Twice the packets in the same bursts, to tell what a packet costs from what a viewer costs.
pub const DOUBLE: Shape = Shape { bursts: 30, packets: 28, sounds: 50 };
/// What is sent while viewers connect: enough for a stream to be live.
pub const HUM: Shape = Shape { bursts: 10, packets: 2, sounds: 10 };

/// A packet that has not arrived this long after the last one was sent is lost.
pub const DRAIN: Duration = Duration::from_millis(200);
/// Between two looks of the load client at its sockets.
pub const SWEEP: Duration = Duration::from_millis(4);
/// Receive buffer of each viewer.
pub const VIEWER_BUFFER: usize = 4 << 20;
/// Each viewer sends a receiver report this often, as browsers do.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Between two floods of NACKs of the viewer that asks for everything again, and the numbers in each.
pub const NACK_INTERVAL: Duration = Duration::from_millis(10);
/// Sequence numbers that each flood asks for, newest first.
pub const NACK_NUMBERS: u16 = 256;
/// Viewers whose packets are opened for their delay.
pub const DELAY_SAMPLES: usize = 20;
/// Event loops of Janus.
pub const JANUS_LOOPS: u32 = 2;
/// Worker threads of the plain `webrtc` sender.
pub const WEBRTC_WORKERS: usize = 2;

/// Joins: pictures a second of the source, and the time between two of its keyframes.
pub const JOIN_RATE: u32 = 30;
/// See [`JOIN_RATE`].
pub const JOIN_GOP: Duration = Duration::from_secs(4);
/// A join begins this long after the one before: so joins are spread over the time between two keyframes, and each meets
/// another moment of it.
pub const JOIN_STEP: Duration = Duration::from_millis(1080);

/// Processes that run while the memory and CPU time of one is measured.
pub const PROCESSES: usize = 100;
/// Manifests that are read.
pub const SUSPENDED: usize = 500;
/// After this long the program has done what follows from a start.
pub const SETTLE: Duration = Duration::from_secs(10);
/// Memory of running processes is taken to be flat from then on.
pub const SOAK_SETTLE: Duration = Duration::from_secs(600);
/// Between two looks at it.
pub const SOAK_STEP: Duration = Duration::from_secs(30);

/// Share of one core that others may use, as a mean; above, the figures are not published.
pub const QUIET: f64 = 0.1;

/// What the figures must reach.
pub mod targets {
    /// CPU relative to the floor.
    pub const OURS_TO_FLOOR: f64 = 1.8;
    /// CPU of plain `webrtc` relative to ours.
    pub const WEBRTC_TO_OURS: f64 = 5.0;
    /// CPU of Janus relative to ours.
    pub const JANUS_TO_OURS: f64 = 5.5;
    /// Viewers on one core without loss.
    pub const ONE_CORE_VIEWERS: f64 = 1000.0;
    /// kB a viewer.
    pub const MEMORY: f64 = 110.0;
    /// Allocations a packet and viewer; what timers do by chance is below this.
    pub const ALLOCATIONS: f64 = 0.005;
    /// Delay of the others with a stalled viewer, relative to without.
    pub const STALLED_DELAY: f64 = 1.05;
    /// Milliseconds from POST to the first decoded frame, of 95 of 100 joins.
    pub const JOIN: f64 = 300.0;
    /// Milliseconds until all manifests are shown.
    pub const READ: f64 = 1000.0;
    /// kB a process, beside FFmpeg.
    pub const PROCESS_MEMORY: f64 = 1000.0;
    /// Percent of a core a process, beside FFmpeg.
    pub const PROCESS_CPU: f64 = 0.2;
    /// Percent that memory grows by once it has settled.
    pub const GROWTH: f64 = 2.0;
    /// CPU at the largest count relative to the one before: flat or falling, and what chance makes of it.
    pub const FLAT: f64 = 1.1;
}

/// How long and how often.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Short mode: a look at whether all is well, no figures to publish.
    pub short: bool,
    /// How long one repetition sends.
    pub slice: Duration,
    /// How long each sender is warmed up.
    pub warm_up: Duration,
    /// Viewers of the comparison, of the streams, of the allocations and of the delay.
    pub viewers: usize,
    /// Repetitions of the comparison and of the delay.
    pub repetitions: usize,
    /// Counts of viewers that CPU is measured at.
    pub sweep: &'static [usize],
    /// Repetitions of the sweep and of the streams.
    pub sweep_repetitions: usize,
    /// Counts of streams.
    pub streams: &'static [usize],
    /// Viewers of each stream, where each has as many.
    pub stream_viewers: usize,
    /// Before allocations are counted, packets of each shape are sent for so long: what the gateway keeps has filled up.
    pub fill: Duration,
    /// Allocations are counted for so long: a whole number of intervals of sender reports and of ICE's checks.
    pub window: Duration,
    /// Joins of Chromium.
    pub joins: usize,
    /// Length of the soak of processes.
    pub soak: Duration,
    /// Viewers on one core: where the search begins, its step and its end.
    pub one_core: (usize, usize, usize),
}

impl Parameters {
    /// What to publish; about twelve minutes.
    pub fn full() -> Self {
        Self {
            short: false,
            slice: Duration::from_secs(3),
            warm_up: Duration::from_secs(1),
            viewers: 100,
            repetitions: 5,
            sweep: &[1, 10, 50, 100, 200, 500, 1000],
            sweep_repetitions: 3,
            streams: &[1, 10, 100],
            stream_viewers: 10,
            fill: Duration::from_secs(9),
            window: Duration::from_secs(4),
            joins: 50,
            soak: Duration::from_secs(1800),
            one_core: (500, 250, 4000),
        }
    }

    /// About two minutes.
    pub fn short() -> Self {
        Self {
            short: true,
            slice: Duration::from_secs(1),
            warm_up: Duration::from_millis(500),
            viewers: 100,
            repetitions: 2,
            sweep: &[10, 100, 300],
            sweep_repetitions: 1,
            streams: &[1, 10, 100],
            stream_viewers: 2,
            fill: Duration::from_secs(2),
            window: Duration::from_secs(2),
            joins: 10,
            soak: Duration::from_secs(720),
            one_core: (500, 500, 1000),
        }
    }
}
