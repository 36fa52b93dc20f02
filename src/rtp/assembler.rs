//! From packets as they come to batches, with what a viewer needs to know of them.

use std::sync::Arc;
use std::time::Instant;

use super::batch::{Batch, Packet};
use super::codec::{Codec, MediaKind};
use super::continuity::Placed;
use super::h264::{self, Access, SpsProfile};
use super::packet::PacketView;

/// Gathers the packets of one leg. It allocates for a batch where no former one can be used again, and never for a
/// packet.
#[derive(Debug)]
pub struct Assembler {
    codec: Codec,
    batch: Option<Arc<Batch>>,
    spare: Vec<Arc<Batch>>,
    /// Sequence number after the highest one so far.
    next: u64,
    /// The access unit that is being received.
    unit: Option<Unit>,
    profile: Option<SpsProfile>,
    is_complete: bool,
}

#[derive(Debug)]
struct Unit {
    timestamp: u32,
    start: u64,
    is_keyframe: bool,
}

/// Batches that wait to be used again are at most this many.
const SPARE: usize = 16;

impl Assembler {
    /// An assembler for a leg with this codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec, batch: None, spare: Vec::new(), next: 0, unit: None, profile: None, is_complete: false }
    }

    /// Takes a packet in. One that comes after a later one is left out: on loopback nothing overtakes.
    pub fn handle_packet(&mut self, placed: Placed, packet: &PacketView<'_>, now: Instant) {
        if packet.payload.is_empty() || placed.sequence < self.next {
            return;
        }
        self.next = placed.sequence + 1;
        let batch = self.batch.get_or_insert_with(|| Batch::renew(self.spare.pop(), now));
        let batch = Arc::get_mut(batch).expect("a batch that was not taken has one owner");
        if placed.new_run {
            batch.note_new_run();
            self.unit = None;
        }
        let Placed { sequence, timestamp, new_run: _ } = placed;
        let payload = batch.push(Packet { sequence, timestamp, marker: packet.marker, payload: packet.payload });
        if self.codec == Codec::H264 {
            h264::repair_importance(payload);
        }
        self.is_complete |= packet.marker;
        if self.codec.kind() == MediaKind::Video {
            self.note_access(sequence, timestamp, packet.payload);
        }
    }

    fn note_access(&mut self, sequence: u64, timestamp: u32, payload: &[u8]) {
        if self.unit.as_ref().is_none_or(|unit| unit.timestamp != timestamp) {
            self.unit = Some(Unit { timestamp, start: sequence, is_keyframe: false });
        }
        let access = Access::of(payload);
        self.profile = access.sps.or(self.profile);
        if let (Some(unit), Some(batch)) = (&mut self.unit, self.batch.as_mut().and_then(Arc::get_mut))
            && access.idr
            && !unit.is_keyframe
        {
            unit.is_keyframe = true;
            batch.note_keyframe(unit.start);
        }
    }

    /// When the first packet came that no batch has been taken of.
    pub fn held_since(&self) -> Option<Instant> {
        self.batch.as_ref().map(|batch| batch.at())
    }

    /// Whether the last packet of a frame is among those that are held.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// What is held.
    pub fn take(&mut self) -> Option<Arc<Batch>> {
        self.is_complete = false;
        self.batch.take()
    }

    /// Takes back a batch; one that somebody still reads is left to its readers.
    pub fn reuse(&mut self, batch: Arc<Batch>) {
        if self.spare.len() < SPARE && Arc::strong_count(&batch) == 1 {
            self.spare.push(batch);
        }
    }

    /// Profile of the newest sequence parameter set.
    pub fn profile(&self) -> Option<SpsProfile> {
        self.profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAP: &[u8] = &[0x18, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce];
    const IDR: &[u8] = &[0x7c, 0x85, 1];
    const SLICE: &[u8] = &[0x41, 0x9a];

    fn push(assembler: &mut Assembler, sequence: u64, timestamp: u32, payload: &[u8]) {
        let marker = payload == SLICE;
        let packet = PacketView { marker, payload_type: 102, sequence_number: 0, timestamp, ssrc: 1, payload };
        assembler.handle_packet(Placed { sequence, timestamp, new_run: sequence == 0 }, &packet, Instant::now());
    }

    #[test]
    fn a_keyframe_begins_with_its_parameter_sets_even_where_they_left_before() {
        let mut assembler = Assembler::new(Codec::H264);
        push(&mut assembler, 0, 3000, STAP);
        let first = assembler.take().expect("a packet came");
        assert_eq!((first.keyframe(), first.begins_run()), (None, true), "parameter sets alone are no keyframe");
        push(&mut assembler, 1, 3000, IDR);
        push(&mut assembler, 2, 3000, IDR);
        let second = assembler.take().expect("packets came");
        assert_eq!((second.keyframe(), second.begins_run()), (Some(0), false));
        assert_eq!(assembler.profile().map(|profile| profile.profile), Some(0x42));
    }

    #[test]
    fn a_batch_is_complete_with_the_last_packet_of_a_frame() {
        let mut assembler = Assembler::new(Codec::H264);
        push(&mut assembler, 0, 0, IDR);
        assert!(!assembler.is_complete() && assembler.held_since().is_some());
        push(&mut assembler, 1, 0, SLICE);
        assert!(assembler.is_complete());
        let batch = assembler.take().expect("packets came");
        assert_eq!((batch.first(), batch.end()), (Some(0), Some(2)));
        assert!(!assembler.is_complete() && assembler.held_since().is_none() && assembler.take().is_none());
    }

    #[test]
    fn a_lost_packet_is_missing_and_a_late_one_is_left_out() {
        let mut assembler = Assembler::new(Codec::H264);
        push(&mut assembler, 0, 0, SLICE);
        push(&mut assembler, 2, 0, SLICE);
        push(&mut assembler, 1, 0, SLICE);
        let batch = assembler.take().expect("packets came");
        let sequences = |from| batch.packets_from(from).map(|packet| packet.sequence).collect::<Vec<_>>();
        assert_eq!((sequences(0), sequences(1), sequences(3)), (vec![0, 2], vec![2], vec![]));
    }

    #[test]
    fn an_aggregation_packet_leaves_with_the_importance_of_its_units() {
        let mut assembler = Assembler::new(Codec::H264);
        push(&mut assembler, 0, 0, STAP);
        let batch = assembler.take().expect("a packet came");
        assert_eq!(batch.packets_from(0).next().map(|packet| packet.payload[0]), Some(0x78));
    }
}
