//! Packets that came together, in one piece of memory that every viewer reads and nobody writes any more.

use std::sync::Arc;
use std::time::Instant;

/// One packet of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Sequence number without rollover.
    pub sequence: u64,
    /// Timestamp on the wire.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// The payload.
    pub payload: &'a [u8],
}

/// Where a packet lies within its batch.
#[derive(Clone, Copy, Debug)]
struct Place {
    sequence: u64,
    timestamp: u32,
    marker: bool,
    start: u32,
    end: u32,
}

/// Packets of one leg in the order of their sequence numbers; lost ones are missing.
#[derive(Debug)]
pub struct Batch {
    places: Vec<Place>,
    octets: Vec<u8>,
    at: Instant,
    keyframe: Option<u64>,
    begins_run: bool,
}

impl Batch {
    /// An empty batch; where nobody reads the former one any more, in its memory.
    pub fn renew(former: Option<Arc<Self>>, now: Instant) -> Arc<Self> {
        let mut batch = former.filter(|former| Arc::strong_count(former) == 1).unwrap_or_else(|| {
            Arc::new(Self { places: Vec::new(), octets: Vec::new(), at: now, keyframe: None, begins_run: false })
        });
        if let Some(Self { places, octets, at, keyframe, begins_run }) = Arc::get_mut(&mut batch) {
            places.clear();
            octets.clear();
            (*at, *keyframe, *begins_run) = (now, None, false);
        }
        batch
    }

    /// Appends a packet that comes after all others; gives the place of its payload to be changed.
    pub fn push(&mut self, packet: Packet<'_>) -> &mut [u8] {
        let start = self.octets.len();
        self.octets.extend_from_slice(packet.payload);
        let Packet { sequence, timestamp, marker, payload: _ } = packet;
        self.places.push(Place { sequence, timestamp, marker, start: start as u32, end: self.octets.len() as u32 });
        &mut self.octets[start..]
    }

    /// A keyframe became known whose access unit begins with this packet, in this batch or in one before.
    pub fn note_keyframe(&mut self, start: u64) {
        self.keyframe = Some(start);
    }

    /// Its first packet begins a new run of FFmpeg.
    pub fn note_new_run(&mut self) {
        self.begins_run = true;
    }

    /// First packet of the newest keyframe that became known with this batch.
    pub fn keyframe(&self) -> Option<u64> {
        self.keyframe
    }

    /// Whether a new run of FFmpeg begins with it.
    pub fn begins_run(&self) -> bool {
        self.begins_run
    }

    /// When its first packet came.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Payload octets.
    pub fn size(&self) -> usize {
        self.octets.len()
    }

    /// Whether there is no packet in it.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Sequence number of the first packet.
    pub fn first(&self) -> Option<u64> {
        self.places.first().map(|place| place.sequence)
    }

    /// Sequence number after the last packet.
    pub fn end(&self) -> Option<u64> {
        self.places.last().map(|place| place.sequence + 1)
    }

    /// The packets whose sequence number is not below this one.
    pub fn packets_from(&self, sequence: u64) -> impl Iterator<Item = Packet<'_>> {
        let start = match self.first() {
            Some(first) if first >= sequence => 0,
            _ => self.places.partition_point(|place| place.sequence < sequence),
        };
        self.places[start..].iter().map(|place| Packet {
            sequence: place.sequence,
            timestamp: place.timestamp,
            marker: place.marker,
            payload: &self.octets[place.start as usize..place.end as usize],
        })
    }
}
