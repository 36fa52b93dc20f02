//! The packets that every sender is fed with, and when they are due.
//!
//! A payload ends with a [`Tag`], and everything before it follows from the tag: so whoever opens a packet can tell
//! when it was sent and whether it is what was sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::parameters::{AUDIO_PACKET, KEYFRAME_INTERVAL, RTP_HEADER, Shape, VIDEO_PACKET};

/// Picture or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}

impl Kind {
    /// Payload type on a leg.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Video => 102,
            Self::Audio => 111,
        }
    }

    const fn clock_rate(self) -> u64 {
        match self {
            Self::Video => 90_000,
            Self::Audio => 48_000,
        }
    }

    /// Octets of an RTP packet before protection.
    pub const fn packet_size(self) -> usize {
        match self {
            Self::Video => VIDEO_PACKET,
            Self::Audio => AUDIO_PACKET,
        }
    }
}

/// The end of every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// When the source sent it, in nanoseconds since the epoch.
    pub sent: u64,
    /// Number of the packet on its leg.
    pub number: u64,
    /// Which packet of its picture it is.
    pub position: u16,
    /// Packets of the picture.
    pub length: u16,
    /// The picture is a keyframe.
    pub keyframe: bool,
}

const TAG: usize = 21;

/// A sequence and a picture parameter set of 1280x720, constrained baseline, as x264 writes them.
const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f,
    0x03, 0xc6, 0x0c, 0xa8,
];
const PPS: &[u8] = &[0x68, 0xce, 0x0f, 0xc8];

impl Tag {
    /// The tag of a payload.
    pub fn of(payload: &[u8]) -> Option<Self> {
        let tag: &[u8; TAG] = payload.last_chunk()?;
        let (sent, rest) = tag.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (position, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(Self {
            sent: u64::from_be_bytes(*sent),
            number: u64::from_be_bytes(*number),
            position: u16::from_be_bytes(*position),
            length: u16::from_be_bytes(*length),
            keyframe: rest == [1],
        })
    }

    /// Writes the payload that has this tag.
    pub fn fill(&self, kind: Kind, payload: &mut [u8]) {
        let end = payload.len() - TAG;
        let head = self.head(kind, end, payload);
        for (at, octet) in payload[head..end].iter_mut().enumerate() {
            *octet = (self.number as usize).wrapping_mul(31).wrapping_add(at) as u8 | 1;
        }
        let tag = &mut payload[end..];
        tag[..8].copy_from_slice(&self.sent.to_be_bytes());
        tag[8..16].copy_from_slice(&self.number.to_be_bytes());
        tag[16..18].copy_from_slice(&self.position.to_be_bytes());
        tag[18..20].copy_from_slice(&self.length.to_be_bytes());
        tag[20] = u8::from(self.keyframe);
    }

    /// Writes what makes it H.264 (RFC 6184) or Opus to whoever looks; how many octets that are.
    fn head(&self, kind: Kind, end: usize, payload: &mut [u8]) -> usize {
        if kind == Kind::Audio {
            // CELT, 20 ms, stereo, one frame (RFC 6716 section 3.1).
            payload[0] = 0xfc;
            return 1;
        }
        if self.keyframe && self.position == 0 {
            // An aggregation packet: the parameter sets, and a supplemental unit that fills it up.
            payload[0] = 0x78;
            let mut at = 1;
            for unit in [SPS, PPS] {
                payload[at..at + 2].copy_from_slice(&(unit.len() as u16).to_be_bytes());
                payload[at + 2..at + 2 + unit.len()].copy_from_slice(unit);
                at += 2 + unit.len();
            }
            let rest = end + TAG - at - 2;
            payload[at..at + 2].copy_from_slice(&(rest as u16).to_be_bytes());
            payload[at + 2] = 0x06;
            return at + 3;
        }
        // A fragment of a slice: FU indicator and FU header.
        let first = if self.keyframe { 1 } else { 0 };
        let start = if self.position == first { 0x80 } else { 0 };
        let last = if self.position + 1 == self.length { 0x40 } else { 0 };
        payload[0] = if self.keyframe { 0x7c } else { 0x5c };
        payload[1] = start | last | if self.keyframe { 5 } else { 1 };
        2
    }

    /// Whether a payload is what the source sent.
    pub fn is_whole(kind: Kind, payload: &[u8]) -> bool {
        let Some(tag) = Self::of(payload).filter(|_| payload.len() == kind.packet_size() - RTP_HEADER) else {
            return false;
        };
        let mut sent = vec![0; payload.len()];
        tag.fill(kind, &mut sent);
        sent == payload
    }
}

/// Nanoseconds since the epoch.
pub fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// One leg's packets, one after the other.
pub struct Leg {
    kind: Kind,
    number: u64,
    keyframe_at: Option<Instant>,
    packet: Vec<u8>,
}

impl Leg {
    /// A leg that begins.
    pub fn new(kind: Kind) -> Self {
        let mut packet = vec![0; kind.packet_size()];
        packet[0] = 0x80;
        packet[8..12].copy_from_slice(&0x1234_5678_u32.to_be_bytes());
        Self { kind, number: 0, keyframe_at: None, packet }
    }

    /// Makes the packets of a picture or a sound and gives each to `take`, stamped with the time.
    pub fn burst(&mut self, length: u16, mut take: impl FnMut(&[u8])) {
        let now = Instant::now();
        let keyframe = self.kind == Kind::Video
            && length > 1
            && self.keyframe_at.is_none_or(|at| now.saturating_duration_since(at) >= KEYFRAME_INTERVAL);
        if keyframe {
            self.keyframe_at = Some(now);
        }
        let timestamp = (u128::from(clock()) * u128::from(self.kind.clock_rate()) / 1_000_000_000) as u32;
        self.packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        for position in 0..length {
            let marker = self.kind == Kind::Video && position + 1 == length;
            self.packet[1] = self.kind.payload_type() | if marker { 0x80 } else { 0 };
            self.packet[2..4].copy_from_slice(&(self.number as u16).to_be_bytes());
            let tag = Tag { sent: clock(), number: self.number, position, length, keyframe };
            tag.fill(self.kind, &mut self.packet[RTP_HEADER..]);
            take(&self.packet);
            self.number += 1;
        }
    }
}

/// Calls `take` whenever a picture or a sound of one of `streams` streams is due, for as long as `duration`. The
/// streams' pictures are spread over the time between two of them.
pub fn play(shape: &Shape, streams: usize, duration: Duration, mut take: impl FnMut(usize, Kind)) {
    let begin = Instant::now();
    let mut due = BinaryHeap::new();
    let interval = |kind| Duration::from_secs(1) / if kind == Kind::Video { shape.bursts } else { shape.sounds };
    for stream in 0..streams {
        for (kind, phase) in [(Kind::Video, 0.0), (Kind::Audio, 0.35)] {
            let part = (stream as f64 / streams as f64 + phase).fract();
            due.push(Reverse((interval(kind).mul_f64(part), stream, kind)));
        }
    }
    while let Some(Reverse((at, stream, kind))) = due.pop() {
        if at >= duration {
            continue;
        }
        std::thread::sleep((begin + at).saturating_duration_since(Instant::now()));
        take(stream, kind);
        due.push(Reverse((at + interval(kind), stream, kind)));
    }
}
