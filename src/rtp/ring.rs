//! The last seconds of one leg, one copy of each packet for all viewers, with an index of its keyframes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::codec::Codec;
use super::continuity::Placed;
use super::h264::{self, Access, SpsProfile};
use super::packet::PacketView;

/// How much a ring keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Packets older than this go.
    pub age: Duration,
    /// Payload octets beyond this go, oldest first.
    pub octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { age: Duration::from_secs(8), octets: 16 << 20 }
    }
}

/// One packet of the ring.
#[derive(Debug)]
pub struct Entry {
    /// Timestamp on the wire.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// The payload; empty for a packet that never came.
    pub payload: Vec<u8>,
    /// When it came.
    pub at: Instant,
}

impl Entry {
    /// Whether the packet came.
    pub fn is_present(&self) -> bool {
        !self.payload.is_empty()
    }
}

/// The last seconds of one leg.
#[derive(Debug)]
pub struct Ring {
    codec: Codec,
    limits: Limits,
    entries: VecDeque<Entry>,
    /// Sequence number of the first entry.
    first: u64,
    octets: usize,
    /// First packets of the access units that hold a keyframe, oldest first.
    keyframes: VecDeque<u64>,
    /// The access unit that is being received: its timestamp and first packet.
    unit: Option<(u32, u64)>,
    profile: Option<SpsProfile>,
    /// Payload buffers to use again, so that a full ring allocates nothing.
    spare: Vec<Vec<u8>>,
}

impl Ring {
    /// An empty ring.
    pub fn new(codec: Codec, limits: Limits) -> Self {
        Self {
            codec,
            limits,
            entries: VecDeque::new(),
            first: 0,
            octets: 0,
            keyframes: VecDeque::new(),
            unit: None,
            profile: None,
            spare: Vec::new(),
        }
    }

    /// Takes a packet in. One that is older than the ring, or there already, is left out.
    pub fn push(&mut self, placed: Placed, packet: &PacketView<'_>, now: Instant) {
        if packet.payload.is_empty() {
            return;
        }
        if self.entries.is_empty() {
            self.first = placed.sequence;
        }
        let Some(offset) = placed.sequence.checked_sub(self.first).map(|offset| offset as usize) else {
            return;
        };
        if self.entries.get(offset).is_some_and(Entry::is_present) {
            return;
        }
        let mut payload = self.spare.pop().unwrap_or_default();
        payload.extend_from_slice(packet.payload);
        if self.codec == Codec::H264 {
            h264::repair_importance(&mut payload);
        }
        while self.entries.len() <= offset {
            self.entries.push_back(Entry { timestamp: placed.timestamp, marker: false, payload: Vec::new(), at: now });
        }
        self.octets += payload.len();
        self.entries[offset] = Entry { timestamp: placed.timestamp, marker: packet.marker, payload, at: now };
        self.note_keyframe(placed.sequence, placed.timestamp);
        self.drop_old(now);
    }

    fn note_keyframe(&mut self, sequence: u64, timestamp: u32) {
        if self.codec.kind() == super::MediaKind::Audio {
            return;
        }
        let start = match self.unit {
            Some((unit, start)) if unit == timestamp && start <= sequence => start,
            _ => sequence,
        };
        self.unit = Some((timestamp, start));
        let access = Access::of(&self.entries[(sequence - self.first) as usize].payload);
        if access.sps.is_some() {
            self.profile = access.sps;
        }
        if access.idr && self.keyframes.back().is_none_or(|last| *last < start) {
            self.keyframes.push_back(start);
        }
    }

    fn drop_old(&mut self, now: Instant) {
        while let Some(oldest) = self.entries.front() {
            let old = now.saturating_duration_since(oldest.at) > self.limits.age;
            if !(old || self.octets > self.limits.octets) || self.entries.len() == 1 {
                break;
            }
            let Some(mut entry) = self.entries.pop_front() else { break };
            self.first += 1;
            self.octets -= entry.payload.len();
            if entry.payload.capacity() > 0 && self.spare.len() < 64 {
                entry.payload.clear();
                self.spare.push(entry.payload);
            }
        }
        while self.keyframes.front().is_some_and(|keyframe| *keyframe < self.first) {
            self.keyframes.pop_front();
        }
    }

    /// Forgets every packet and keeps counting.
    pub fn clear(&mut self) {
        self.first = self.head();
        self.entries.clear();
        self.keyframes.clear();
        self.octets = 0;
        self.unit = None;
    }

    /// A new run begins: what is there may still be resent, and nobody starts with it any more.
    pub fn begin_run(&mut self) {
        self.keyframes.clear();
        self.unit = None;
    }

    /// The packet with this sequence number, where it came and is still there.
    pub fn get(&self, sequence: u64) -> Option<&Entry> {
        let offset = sequence.checked_sub(self.first)?;
        self.entries.get(offset as usize).filter(|entry| entry.is_present())
    }

    /// Sequence number of the oldest packet.
    pub fn tail(&self) -> u64 {
        self.first
    }

    /// Sequence number that the next packet in order will have.
    pub fn head(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// First packet of the newest keyframe's access unit, parameter sets included.
    pub fn newest_keyframe(&self) -> Option<u64> {
        self.keyframes.back().copied()
    }

    /// Profile of the newest sequence parameter set.
    pub fn profile(&self) -> Option<SpsProfile> {
        self.profile
    }

    /// Whether no packet is there.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When the newest packet came.
    pub fn newest_at(&self) -> Option<Instant> {
        self.entries.back().map(|entry| entry.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAP: &[u8] = &[0x18, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce];
    const IDR: &[u8] = &[0x7c, 0x85, 1];
    const SLICE: &[u8] = &[0x41, 0x9a];

    fn push(ring: &mut Ring, sequence: u64, timestamp: u32, payload: &[u8], now: Instant) {
        let packet = PacketView { marker: false, payload_type: 102, sequence_number: 0, timestamp, ssrc: 1, payload };
        ring.push(Placed { sequence, timestamp, new_run: false }, &packet, now);
    }

    #[test]
    fn a_keyframe_begins_with_its_parameter_sets() {
        let now = Instant::now();
        let mut ring = Ring::new(Codec::H264, Limits::default());
        push(&mut ring, 0, 0, SLICE, now);
        push(&mut ring, 1, 3000, STAP, now);
        assert_eq!(ring.newest_keyframe(), None, "parameter sets alone are no keyframe");
        push(&mut ring, 2, 3000, IDR, now);
        push(&mut ring, 3, 3000, IDR, now);
        push(&mut ring, 4, 6000, SLICE, now);
        assert_eq!(ring.newest_keyframe(), Some(1));
        assert_eq!(ring.profile().map(|profile| profile.profile), Some(0x42));
        assert_eq!(ring.head(), 5);
    }

    #[test]
    fn packets_older_than_the_limit_go_and_take_their_keyframe_with_them() {
        let start = Instant::now();
        let mut ring = Ring::new(Codec::H264, Limits { age: Duration::from_secs(1), octets: 1 << 20 });
        push(&mut ring, 0, 0, IDR, start);
        push(&mut ring, 1, 3000, SLICE, start + Duration::from_millis(500));
        push(&mut ring, 2, 6000, SLICE, start + Duration::from_millis(1400));
        assert_eq!((ring.tail(), ring.newest_keyframe()), (1, None));
        assert!(ring.get(0).is_none() && ring.get(1).is_some());
    }

    #[test]
    fn octets_are_bounded() {
        let now = Instant::now();
        let mut ring = Ring::new(Codec::H264, Limits { age: Duration::from_secs(8), octets: 100 });
        for sequence in 0..200 {
            push(&mut ring, sequence, sequence as u32, &[0x41; 10], now);
        }
        assert_eq!(ring.head() - ring.tail(), 10);
    }

    #[test]
    fn a_lost_packet_is_absent_until_it_comes() {
        let now = Instant::now();
        let mut ring = Ring::new(Codec::H264, Limits::default());
        push(&mut ring, 0, 0, SLICE, now);
        push(&mut ring, 2, 0, SLICE, now);
        assert!(ring.get(1).is_none());
        push(&mut ring, 1, 0, SLICE, now);
        assert!(ring.get(1).is_some());
        assert_eq!(ring.head(), 3);
    }

    #[test]
    fn nobody_starts_with_a_keyframe_of_the_run_before() {
        let now = Instant::now();
        let mut ring = Ring::new(Codec::H264, Limits::default());
        push(&mut ring, 0, 0, IDR, now);
        ring.begin_run();
        assert_eq!(ring.newest_keyframe(), None);
        assert!(ring.get(0).is_some());
    }

    #[test]
    fn a_cleared_ring_goes_on_counting() {
        let now = Instant::now();
        let mut ring = Ring::new(Codec::H264, Limits::default());
        push(&mut ring, 0, 0, IDR, now);
        ring.clear();
        assert_eq!((ring.tail(), ring.head(), ring.newest_keyframe()), (1, 1, None));
        push(&mut ring, 1, 0, SLICE, now);
        assert_eq!(ring.head(), 2);
    }
}
