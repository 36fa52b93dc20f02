//! What was compared and how, in words: the parameters speak.

use crate::parameters::{
    AUDIO_PACKET, DELAY_SAMPLES, DOUBLE, DRAIN, FULL, HALF, JANUS_LOOPS, JOIN_GOP, JOIN_RATE, NACK_INTERVAL,
    NACK_NUMBERS, PROCESSES, Parameters, SUSPENDED, Shape, VIDEO_PACKET, WEBRTC_WORKERS,
};
use crate::rounds::joins;
use crate::senders::janus;

/// What was compared.
pub fn software() -> Vec<String> {
    let mut lines = vec![
        format!("Our gateway: Dragon Fork {}, driven by its crate API, without HTTP.", env!("CARGO_PKG_VERSION")),
        "The floor, which no sender can be much below: the same packets to as many sockets, AES-128-GCM under a key for each, one call with segmentation \
         offload for each viewer's picture, no ingress and no sessions."
            .into(),
        format!(
            "Plain `webrtc` {}: one `TrackLocalStaticRTP` for each track of each viewer, its default interceptors, \
             {WEBRTC_WORKERS} worker threads.",
            locked("webrtc")
        ),
    ];
    if let Some(version) = janus::version() {
        lines.push(format!(
            "Janus {version}, as the distribution packages it: a streaming mountpoint, `event_loops = {JANUS_LOOPS}`, \
             `ice_lite`."
        ));
    }
    lines
}

/// How it was measured.
pub fn method(parameters: &Parameters) -> Vec<String> {
    let slice = parameters.slice.as_secs_f64();
    vec![
        format!("Traffic of each viewer: {}. Those of one core get {}.", words(&FULL), words(&HALF)),
        format!(
            "A repetition sends for {slice} s; senders take turns, repetition by repetition. Ratios are made within each \
             repetition. The table shows the median, the smallest and the largest."
        ),
        "The sender's CPU time is that of its process alone, user and system together, from the kernel's clock of that \
         process. Source and viewers are other processes."
            .into(),
        "Everything goes over loopback, which does the receiver's work within the sender's calls: a network card with \
         segmentation offload makes each of these figures smaller, and those of senders that use it most."
            .into(),
        format!(
            "Viewers make real handshakes and each sends a receiver report every second; after the handshake their packets \
             are counted and their sequence numbers checked. A packet that is not there {} ms after the last one was sent \
             is lost. If nothing else is said their sockets have UDP_GRO off, so the kernel splits every run again \
             within the sender's call.",
            DRAIN.as_millis()
        ),
        "Before anything is measured, viewers open every packet of our gateway, under AES-128-GCM and under AES-CM with \
         HMAC-SHA1, and compare each payload with what the source sent."
            .into(),
        format!(
            "Allocations are counted by the allocator of the gateway's process, with pictures of {} and of {} packets, and \
             the difference is divided by the difference in packets: so timers and reports, which do not depend on packets, \
             fall out.",
            FULL.packets, DOUBLE.packets
        ),
        "One core: the gateway may use the first core alone, everything else the others. The count of viewers grows until \
         packets are lost in two repetitions in a row."
            .into(),
        format!(
            "Delay: from the source's call that sends a packet to the kernel's receipt of it for the viewer, by one clock, \
             of {DELAY_SAMPLES} viewers. The viewer that asks for everything again sends a NACK for the newest \
             {NACK_NUMBERS} packets of the picture every {} ms.",
            NACK_INTERVAL.as_millis()
        ),
        "Streams: every packet that a stream's viewers get is received once before, so with as many streams as viewers \
         each packet that leaves has one that came in."
            .into(),
        format!(
            "Joins: `dragonfork standalone` with one manifest, to which another FFmpeg pushes 1280x720 at {JOIN_RATE} \
             pictures a second by RTMP, 4 Mb/s with a keyframe every {} s. A page in headless {} joins {} times, each \
             time with a new connection and at another moment between two keyframes, after one join that is not counted. \
             A frame counts when the decoder hands it on.",
            JOIN_GOP.as_secs(),
            joins::browser().as_deref().unwrap_or("Chromium"),
            parameters.joins
        ),
        format!(
            "Processes: `dragonfork standalone` with {PROCESSES} manifests of a small picture that goes nowhere, and nothing \
             else. Its memory is what it has resident beyond what it had without them, its CPU time that of its own \
             process; FFmpeg's is not in it. {SUSPENDED} suspended manifests are read at the start of another one, and \
             the time runs from its start until HTTP shows them all."
        ),
    ]
}

fn words(shape: &Shape) -> String {
    format!(
        "{} pictures a second of {} packets of {VIDEO_PACKET} octets and {} sounds of {AUDIO_PACKET} octets, \
         {:.1} Mb/s",
        shape.bursts,
        shape.packets,
        shape.sounds,
        shape.bits() as f64 / 1e6
    )
}

/// The version of a package in the lock file.
fn locked(package: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let name = format!("name = \"{package}\"\nversion = \"");
    lock.split_once(&name).and_then(|(_, rest)| rest.split('"').next()).unwrap_or("of unknown version")
}
