//! One outgoing numbering over every run of FFmpeg.
//!
//! Each run begins at a random sequence number, timestamp and SSRC (RFC 3550 section 5.1). A viewer's session outlives
//! runs, so what enters the ring is numbered on: sequence numbers go on by one, timestamps by the time that passed.

use std::time::{Duration, Instant};

/// Where a packet stands in the outgoing numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Sequence number without rollover; its low 16 bits go on the wire.
    pub sequence: u64,
    /// Timestamp on the wire.
    pub timestamp: u32,
    /// This packet begins a new run.
    pub new_run: bool,
}

/// Sequence numbers that jump by more are a new run.
const MAX_GAP: i16 = 3000;

/// Maps the numbers of one leg's runs to one numbering.
#[derive(Debug)]
pub struct Continuity {
    clock_rate: u32,
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    ssrc: u32,
    /// Highest sequence number so far, as it came and as it was placed.
    incoming: u16,
    placed: u64,
    /// Added to each incoming timestamp.
    shift: u32,
    timestamp: u32,
    at: Instant,
}

impl Continuity {
    /// A numbering for a leg with this clock rate.
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate, run: None }
    }

    /// Places a packet that came at `now`; `None` where it is older than anything that can still be placed.
    pub fn place(&mut self, ssrc: u32, sequence_number: u16, timestamp: u32, now: Instant) -> Option<Placed> {
        let Some(run) = &mut self.run else {
            self.run = Some(Run { ssrc, incoming: sequence_number, placed: 0, shift: 0, timestamp, at: now });
            return Some(Placed { sequence: 0, timestamp, new_run: true });
        };
        let step = sequence_number.wrapping_sub(run.incoming) as i16;
        if run.ssrc != ssrc || step.checked_abs().is_none_or(|step| step > MAX_GAP) {
            let passed = ticks(now.saturating_duration_since(run.at), self.clock_rate).max(1);
            let placed = run.timestamp.wrapping_add(passed);
            *run = Run {
                ssrc,
                incoming: sequence_number,
                placed: run.placed + 1,
                shift: placed.wrapping_sub(timestamp),
                timestamp: placed,
                at: now,
            };
            return Some(Placed { sequence: run.placed, timestamp: placed, new_run: true });
        }
        let sequence = run.placed.checked_add_signed(i64::from(step))?;
        let placed = timestamp.wrapping_add(run.shift);
        if step > 0 {
            run.incoming = sequence_number;
            run.placed = sequence;
            run.timestamp = placed;
            run.at = now;
        }
        Some(Placed { sequence, timestamp: placed, new_run: false })
    }
}

fn ticks(duration: Duration, clock_rate: u32) -> u32 {
    (duration.as_micros() * u128::from(clock_rate) / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_go_on_over_a_rollover() {
        let now = Instant::now();
        let mut continuity = Continuity::new(90_000);
        let placed: Vec<_> = [65534, 65535, 0, 1]
            .into_iter()
            .map(|number| continuity.place(7, number, 100, now).expect("in order").sequence)
            .collect();
        assert_eq!(placed, [0, 1, 2, 3]);
    }

    #[test]
    fn a_lost_packet_leaves_a_gap_and_a_late_one_fills_it() {
        let now = Instant::now();
        let mut continuity = Continuity::new(90_000);
        let placed: Vec<_> = [10, 12, 11, 13]
            .into_iter()
            .map(|number| continuity.place(7, number, 100, now).expect("near").sequence)
            .collect();
        assert_eq!(placed, [0, 2, 1, 3]);
    }

    #[test]
    fn a_packet_from_before_the_first_one_is_refused() {
        let now = Instant::now();
        let mut continuity = Continuity::new(90_000);
        continuity.place(7, 10, 100, now);
        assert_eq!(continuity.place(7, 9, 100, now), None);
    }

    #[test]
    fn a_new_run_goes_on_by_one_packet_and_by_the_time_that_passed() {
        let now = Instant::now();
        let mut continuity = Continuity::new(90_000);
        continuity.place(7, 500, 1_000, now);
        let placed = continuity.place(8, 9_000, 777_000, now + Duration::from_secs(2)).expect("a new run");
        assert_eq!(placed, Placed { sequence: 1, timestamp: 181_000, new_run: true });
        let next = continuity.place(8, 9_001, 780_000, now + Duration::from_secs(2)).expect("the same run");
        assert_eq!(next, Placed { sequence: 2, timestamp: 184_000, new_run: false });
    }

    #[test]
    fn a_jump_of_the_same_source_is_a_new_run() {
        let now = Instant::now();
        let mut continuity = Continuity::new(90_000);
        continuity.place(7, 500, 1_000, now);
        assert!(continuity.place(7, 30_000, 1_000, now).expect("placed").new_run);
    }
}
