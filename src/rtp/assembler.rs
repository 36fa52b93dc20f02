//! From packets as they come to batches, with what a viewer needs to know of them.

use std::sync::Arc;
use std::time::Instant;

use super::access::{Access, Profile};
use super::batch::{Batch, Packet};
use super::codec::Codec;
use super::continuity::Placed;
use super::packet::PacketView;
use super::{h264, vp8, vp9};

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
    profile: Option<Profile>,
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
        if self.unit.as_ref().is_none_or(|unit| unit.timestamp != timestamp) {
            self.unit = Some(Unit { timestamp, start: sequence, is_keyframe: false });
        }
        let access = Access::of(self.codec, packet.payload);
        self.profile = access.profile.or(self.profile);
        if let Some(unit) = self.unit.as_mut().filter(|unit| access.keyframe && !unit.is_keyframe) {
            unit.is_keyframe = true;
            batch.note_keyframe(unit.start);
        }
        let is_keyframe = self.unit.as_ref().is_some_and(|unit| unit.is_keyframe);
        let (first, payload) = match self.codec {
            Codec::Vp8 => vp8::without_extension(packet.payload),
            _ => (packet.payload[0], packet.payload),
        };
        let payload = batch.push(Packet { sequence, timestamp, marker: packet.marker, payload });
        payload[0] = first;
        match self.codec {
            Codec::H264 => h264::repair_importance(payload),
            Codec::Vp9 if !is_keyframe => vp9::mark_predicted(payload),
            Codec::Vp9 | Codec::H265 | Codec::Vp8 | Codec::Av1 | Codec::Opus => {}
        }
        self.is_complete |= packet.marker;
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

    /// Profile of what came last, as far as it told one.
    pub fn profile(&self) -> Option<Profile> {
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
        assert_eq!(assembler.profile().map(|profile| profile.id), Some(0x42));
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

    fn left(codec: Codec, payloads: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut assembler = Assembler::new(codec);
        for (sequence, payload) in payloads.iter().enumerate() {
            push(&mut assembler, sequence as u64, 3000 * (sequence as u32 / 2), payload);
        }
        let batch = assembler.take().expect("packets came");
        batch.packets_from(0).map(|packet| packet.payload.to_vec()).collect()
    }

    #[test]
    fn a_frame_of_vp9_that_needs_others_leaves_as_one() {
        let left = left(Codec::Vp9, &[&[0x08, 0x82], &[0x04, 1], &[0x08, 0x86], &[0x04, 2]]);
        assert_eq!(left, [[0x08, 0x82], [0x04, 1], [0x48, 0x86], [0x44, 2]]);
    }

    #[test]
    fn vp8_leaves_without_the_ids_of_its_pictures() {
        let left = left(Codec::Vp8, &[&[0x90, 0x80, 0x80, 7, 0xf0], &[0x80, 0x80, 0x80, 7, 1]]);
        assert_eq!(left, [[0x10, 0xf0], [0x00, 1]]);
    }

    #[test]
    fn an_aggregation_packet_leaves_with_the_importance_of_its_units() {
        let mut assembler = Assembler::new(Codec::H264);
        push(&mut assembler, 0, 0, STAP);
        let batch = assembler.take().expect("a packet came");
        assert_eq!(batch.packets_from(0).next().map(|packet| packet.payload[0]), Some(0x78));
    }
}
