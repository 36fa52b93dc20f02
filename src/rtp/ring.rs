//! The last seconds of one leg, one copy of each packet for all viewers, with an index of its keyframes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Batch, Packet};
use super::codec::MediaKind;

/// How much a ring keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Batches older than this go.
    pub age: Duration,
    /// Payload octets beyond this go, oldest first.
    pub octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { age: Duration::from_secs(8), octets: 16 << 20 }
    }
}

/// The last seconds of one leg. A clone shares the packets.
#[derive(Clone, Debug)]
pub struct Ring {
    limits: Limits,
    batches: VecDeque<Arc<Batch>>,
    octets: usize,
    /// First packets of the access units that hold a keyframe, oldest first.
    keyframes: VecDeque<u64>,
    head: u64,
}

impl Ring {
    /// An empty ring.
    pub fn new(limits: Limits) -> Self {
        Self { limits, batches: VecDeque::new(), octets: 0, keyframes: VecDeque::new(), head: 0 }
    }

    /// Takes a batch in that comes after all others; what is too old goes to `dropped`.
    pub fn push(&mut self, batch: Arc<Batch>, now: Instant, mut dropped: impl FnMut(Arc<Batch>)) {
        let Some(end) = batch.end() else { return };
        if batch.begins_run() {
            // What is there may still be resent, and nobody starts with it any more.
            self.keyframes.clear();
        }
        self.keyframes.extend(batch.keyframe());
        self.octets += batch.size();
        self.head = end;
        self.batches.push_back(batch);
        while let Some(oldest) = self.batches.front().filter(|_| self.batches.len() > 1) {
            let old = now.saturating_duration_since(oldest.at()) > self.limits.age;
            if !old && self.octets <= self.limits.octets {
                break;
            }
            let Some(batch) = self.batches.pop_front() else { break };
            self.octets -= batch.size();
            dropped(batch);
        }
        let tail = self.tail();
        while self.keyframes.front().is_some_and(|keyframe| *keyframe < tail) {
            self.keyframes.pop_front();
        }
    }

    /// The packets whose sequence number is not below this one, in order.
    pub fn packets_from(&self, sequence: u64) -> impl Iterator<Item = Packet<'_>> {
        // Most ask for the newest batch.
        let newest = self.batches.len().saturating_sub(1);
        let start = match self.batches.back().and_then(|batch| batch.first()) {
            Some(first) if first <= sequence => newest,
            _ => self.batches.partition_point(|batch| batch.end().is_none_or(|end| end <= sequence)),
        };
        self.batches.range(start..).flat_map(move |batch| batch.packets_from(sequence))
    }

    /// The packet with this sequence number, where it came and is still there.
    pub fn packet(&self, sequence: u64) -> Option<Packet<'_>> {
        self.packets_from(sequence).next().filter(|packet| packet.sequence == sequence)
    }

    /// Sequence number of the oldest packet.
    pub fn tail(&self) -> u64 {
        self.batches.front().and_then(|batch| batch.first()).unwrap_or(self.head)
    }

    /// Sequence number that the next packet in order will have.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// First packet of the newest keyframe's access unit, parameter sets included.
    pub fn newest_keyframe(&self) -> Option<u64> {
        self.keyframes.back().copied()
    }

    /// When the newest batch came.
    pub fn newest_at(&self) -> Option<Instant> {
        self.batches.back().map(|batch| batch.at())
    }

    /// Whether no packet is there.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Payload octets a second over all that is there; 0 where that is too short to tell.
    pub fn rate(&self) -> u64 {
        let (Some(oldest), Some(newest)) = (self.batches.front(), self.batches.back()) else { return 0 };
        let millis = newest.at().saturating_duration_since(oldest.at()).as_millis() as u64;
        if millis < 500 { 0 } else { self.octets as u64 * 1000 / millis }
    }
}

/// The rings of a stream's two legs.
#[derive(Clone, Debug)]
pub struct Rings {
    video: Ring,
    audio: Ring,
}

impl Rings {
    /// Two empty rings.
    pub fn new(limits: Limits) -> Self {
        Self { video: Ring::new(limits), audio: Ring::new(limits) }
    }

    /// The ring of a kind.
    pub fn of(&self, kind: MediaKind) -> &Ring {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        }
    }

    /// The ring of a kind.
    pub fn of_mut(&mut self, kind: MediaKind) -> &mut Ring {
        match kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequences: std::ops::Range<u64>, size: usize, at: Instant) -> Arc<Batch> {
        let mut batch = Batch::renew(None, at);
        for sequence in sequences {
            change(&mut batch).push(Packet { sequence, timestamp: 0, marker: false, payload: &vec![1; size] });
        }
        batch
    }

    fn change(batch: &mut Arc<Batch>) -> &mut Batch {
        Arc::get_mut(batch).expect("nobody else has it")
    }

    fn push(ring: &mut Ring, batch: Arc<Batch>) {
        let now = batch.at();
        ring.push(batch, now, drop);
    }

    #[test]
    fn batches_older_than_the_limit_go_and_take_their_keyframe_with_them() {
        let start = Instant::now();
        let mut ring = Ring::new(Limits { age: Duration::from_secs(1), octets: 1 << 20 });
        let mut keyframe = batch(0..1, 3, start);
        change(&mut keyframe).note_keyframe(0);
        push(&mut ring, keyframe);
        assert_eq!(ring.newest_keyframe(), Some(0));
        push(&mut ring, batch(1..2, 3, start + Duration::from_millis(500)));
        push(&mut ring, batch(2..3, 3, start + Duration::from_millis(1400)));
        assert_eq!((ring.tail(), ring.newest_keyframe()), (1, None));
        assert!(ring.packet(0).is_none() && ring.packet(1).is_some());
    }

    #[test]
    fn octets_are_bounded() {
        let now = Instant::now();
        let mut ring = Ring::new(Limits { age: Duration::from_secs(8), octets: 100 });
        for sequence in 0..200 {
            push(&mut ring, batch(sequence..sequence + 1, 10, now));
        }
        assert_eq!(ring.head() - ring.tail(), 10);
    }

    #[test]
    fn packets_are_found_over_batches_and_a_lost_one_is_absent() {
        let now = Instant::now();
        let mut ring = Ring::new(Limits::default());
        push(&mut ring, batch(0..3, 1, now));
        push(&mut ring, batch(5..7, 1, now));
        push(&mut ring, batch(7..8, 1, now));
        let from = |sequence| ring.packets_from(sequence).map(|packet| packet.sequence).collect::<Vec<_>>();
        assert_eq!((from(1), from(4), from(7), from(8)), (vec![1, 2, 5, 6, 7], vec![5, 6, 7], vec![7], vec![]));
        assert!(ring.packet(4).is_none() && ring.packet(6).is_some());
        assert_eq!((ring.tail(), ring.head()), (0, 8));
    }

    #[test]
    fn nobody_starts_with_a_keyframe_of_the_run_before() {
        let now = Instant::now();
        let mut ring = Ring::new(Limits::default());
        let mut keyframe = batch(0..1, 1, now);
        change(&mut keyframe).note_keyframe(0);
        push(&mut ring, keyframe);
        let mut again = batch(1..2, 1, now);
        change(&mut again).note_new_run();
        push(&mut ring, again);
        assert_eq!(ring.newest_keyframe(), None);
        assert!(ring.packet(0).is_some());
    }

    #[test]
    fn the_rate_is_that_of_what_is_there() {
        let now = Instant::now();
        let mut ring = Ring::new(Limits::default());
        for step in 0..11_u64 {
            push(&mut ring, batch(step..step + 1, 1000, now + Duration::from_millis(100 * step)));
        }
        assert_eq!(ring.rate(), 11_000);
    }
}
