//! What came of one m-line: packets, gaps, repairs, keyframes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A packet that has not come so long after its gap was seen is lost.
const LOST_AFTER: Duration = Duration::from_millis(500);

/// A packet as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Sequence number of the stream, not of the retransmission stream.
    pub sequence_number: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Octets of its payload.
    pub octets: usize,
    /// It is the first packet of a keyframe, or says so.
    pub is_keyframe: bool,
    /// It came on a retransmission stream.
    pub is_resent: bool,
}

struct Gap {
    since: Instant,
    is_asked: bool,
}

/// The account of one m-line.
#[derive(Default)]
pub struct Tally {
    /// The highest sequence number, rollovers included.
    highest: Option<i64>,
    missing: BTreeMap<i64, Gap>,
    keyframe_timestamp: Option<u32>,
    /// Packets that came, each counted once.
    pub packets: u64,
    /// Octets of their payloads.
    pub octets: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that were lost on purpose.
    pub dropped: u64,
    /// Sequence numbers that were asked for again, each time counted.
    pub asked: u64,
    /// Packets that came because they were asked for.
    pub resent: u64,
    /// Keyframes of which at least one packet came.
    pub keyframes: u64,
    /// When the first packet came.
    pub first_packet: Option<Instant>,
    /// When the newest packet came.
    pub last_packet: Option<Instant>,
    /// When the first packet of a keyframe came.
    pub first_keyframe: Option<Instant>,
}

impl Tally {
    /// Counts a packet that came.
    pub fn handle_packet(&mut self, seen: Seen, now: Instant) {
        let Seen { sequence_number, timestamp, octets, is_keyframe, is_resent } = seen;
        let is_answer = match self.place(sequence_number, now) {
            Place::New => false,
            Place::Late { is_asked } => is_asked,
            Place::Duplicate => {
                self.duplicates += 1;
                return;
            }
        };
        self.resent += u64::from(is_resent || is_answer);
        self.packets += 1;
        self.octets += octets as u64;
        self.first_packet.get_or_insert(now);
        self.last_packet = Some(now);
        if is_keyframe && self.keyframe_timestamp != Some(timestamp) {
            self.keyframe_timestamp = Some(timestamp);
            self.keyframes += 1;
            self.first_keyframe.get_or_insert(now);
        }
    }

    /// Counts a packet that is lost on purpose.
    pub fn handle_drop(&mut self) {
        self.dropped += 1;
    }

    /// Counts packets that the receiver asks for again.
    pub fn handle_asked(&mut self, sequence_numbers: impl IntoIterator<Item = u16>) {
        for sequence_number in sequence_numbers {
            self.asked += 1;
            let gap = self.extended(sequence_number).and_then(|number| self.missing.get_mut(&number));
            if let Some(gap) = gap {
                gap.is_asked = true;
            }
        }
    }

    /// Packets that never came, although they had their time. A packet before the first one is not missed.
    pub fn lost(&self, now: Instant) -> u64 {
        self.missing.values().filter(|gap| now.duration_since(gap.since) >= LOST_AFTER).count() as u64
    }

    /// Bits a second between the first and the newest packet.
    pub fn bitrate(&self) -> f64 {
        let span = self.first_packet.zip(self.last_packet).map_or(Duration::ZERO, |(first, last)| last - first);
        if span.is_zero() { 0.0 } else { self.octets as f64 * 8.0 / span.as_secs_f64() }
    }

    fn extended(&self, sequence_number: u16) -> Option<i64> {
        let highest = self.highest?;
        // RFC 3550 appendix A.1: the nearest number that ends in these 16 bits.
        let ahead = sequence_number.wrapping_sub(highest as u16) as i16;
        Some(highest + i64::from(ahead))
    }

    fn place(&mut self, sequence_number: u16, now: Instant) -> Place {
        let number = self.extended(sequence_number).unwrap_or(i64::from(sequence_number));
        match self.highest {
            Some(highest) if number <= highest => match self.missing.remove(&number) {
                Some(gap) => Place::Late { is_asked: gap.is_asked },
                None => Place::Duplicate,
            },
            highest => {
                let skipped = highest.map_or(number, |highest| highest + 1)..number;
                self.missing.extend(skipped.map(|number| (number, Gap { since: now, is_asked: false })));
                self.highest = Some(number);
                Place::New
            }
        }
    }
}

enum Place {
    New,
    Late { is_asked: bool },
    Duplicate,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYFRAME: bool = true;
    const OTHER: bool = false;

    fn seen(sequence_number: u16, is_keyframe: bool) -> Seen {
        Seen { sequence_number, timestamp: u32::from(sequence_number / 2), octets: 2, is_keyframe, is_resent: false }
    }

    #[test]
    fn a_gap_that_is_asked_for_and_filled_is_a_retransmission_and_no_loss() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        for number in [65_534, 65_535, 1, 3] {
            tally.handle_packet(seen(number, OTHER), now);
        }
        tally.handle_asked([0, 2]);
        tally.handle_packet(seen(0, OTHER), now);
        let later = now + LOST_AFTER;
        assert_eq!((tally.packets, tally.asked, tally.resent, tally.lost(now), tally.lost(later)), (5, 2, 1, 0, 1));
    }

    #[test]
    fn a_packet_that_overtook_another_is_no_retransmission() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        for number in [1, 3, 2] {
            tally.handle_packet(seen(number, OTHER), now);
        }
        assert_eq!((tally.packets, tally.resent, tally.lost(now + LOST_AFTER)), (3, 0, 0));
    }

    #[test]
    fn a_packet_that_comes_twice_is_counted_once() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        for number in [7, 8, 7] {
            tally.handle_packet(seen(number, OTHER), now);
        }
        assert_eq!((tally.packets, tally.duplicates, tally.octets), (2, 1, 4));
    }

    #[test]
    fn a_keyframe_of_many_packets_is_one() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        for (number, is_keyframe) in [(1, OTHER), (2, KEYFRAME), (3, KEYFRAME), (4, KEYFRAME)] {
            tally.handle_packet(seen(number, is_keyframe), now + Duration::from_millis(number.into()));
        }
        assert_eq!(tally.keyframes, 2);
        assert_eq!(tally.first_keyframe, Some(now + Duration::from_millis(2)));
    }
}
