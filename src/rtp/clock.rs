//! One clock for the picture and the sound of a stream.
//!
//! FFmpeg's own sender reports come every 5 s and contradict each other by more than a second, so the gateway says
//! itself which wall-clock time a timestamp has: the packet that was least delayed on its way in tells it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The least delayed packet of this long, and of the same time before it, sets the clock.
const WINDOW: Duration = Duration::from_secs(5);

/// Maps one leg's timestamps to the time of arrival.
#[derive(Debug)]
pub struct IngestClock {
    clock_rate: u32,
    anchor: Option<Anchor>,
}

#[derive(Debug)]
struct Anchor {
    /// Time and timestamp that all offsets are relative to.
    at: Instant,
    timestamp: u32,
    /// Least delay in seconds relative to the anchor, in the running window and in the one before.
    least: f64,
    least_before: f64,
    window_end: Instant,
}

impl IngestClock {
    /// A clock for a leg with this clock rate.
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate, anchor: None }
    }

    /// Takes the time of arrival of a packet.
    pub fn observe(&mut self, timestamp: u32, now: Instant) {
        let Some(anchor) = &mut self.anchor else {
            self.anchor = Some(Anchor { at: now, timestamp, least: 0.0, least_before: 0.0, window_end: now + WINDOW });
            return;
        };
        let media = f64::from(timestamp.wrapping_sub(anchor.timestamp) as i32) / f64::from(self.clock_rate);
        let delay = now.saturating_duration_since(anchor.at).as_secs_f64() - media;
        if now >= anchor.window_end {
            // The anchor moves on with the window, so that a timestamp is never half its range away from it.
            let passed = now.saturating_duration_since(anchor.at).as_secs_f64();
            *anchor = Anchor {
                at: now,
                timestamp,
                least: 0.0,
                least_before: anchor.least - (passed - media),
                window_end: now + WINDOW,
            };
        } else {
            anchor.least = anchor.least.min(delay);
        }
    }

    /// Forgets what it saw; the next packet begins anew.
    pub fn reset(&mut self) {
        self.anchor = None;
    }

    /// The timestamp that a packet without delay would have at `now`; `None` before the first packet.
    pub fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let anchor = self.anchor.as_ref()?;
        let least = anchor.least.min(anchor.least_before);
        let media = now.saturating_duration_since(anchor.at).as_secs_f64() - least;
        Some(anchor.timestamp.wrapping_add((media * f64::from(self.clock_rate)).round() as i64 as u32))
    }
}

/// A wall-clock time as NTP gives it: seconds since 1900 in the high 32 bits, fraction in the low ones (RFC 5905
/// section 6).
pub fn ntp(time: SystemTime) -> u64 {
    const FROM_1900_TO_1970: u64 = 2_208_988_800;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    ((since.as_secs() + FROM_1900_TO_1970) << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_delayed_packet_sets_the_clock() {
        let start = Instant::now();
        let mut clock = IngestClock::new(90_000);
        // The first frame was held back for a second, the next ones catch up: the last one is live.
        clock.observe(0, start);
        clock.observe(45_000, start + Duration::from_millis(10));
        clock.observe(90_000, start + Duration::from_millis(20));
        assert_eq!(clock.timestamp_at(start + Duration::from_millis(20)), Some(90_000));
        // A delayed packet changes nothing.
        clock.observe(93_000, start + Duration::from_millis(300));
        assert_eq!(clock.timestamp_at(start + Duration::from_millis(1020)), Some(180_000));
    }

    #[test]
    fn a_drifting_source_is_followed() {
        let start = Instant::now();
        let mut clock = IngestClock::new(90_000);
        // The source's second is 10 ms longer than ours.
        for second in 0..120_u32 {
            clock.observe(second * 90_000, start + Duration::from_millis(u64::from(second) * 1010));
        }
        let at = start + Duration::from_millis(119 * 1010);
        let error = clock.timestamp_at(at).expect("observed").wrapping_sub(119 * 90_000) as i32;
        assert!(error.unsigned_abs() < 90_000 / 8, "{error}");
    }

    #[test]
    fn a_timestamp_may_roll_over() {
        let start = Instant::now();
        let mut clock = IngestClock::new(90_000);
        clock.observe(u32::MAX - 44_999, start);
        clock.observe(45_000, start + Duration::from_secs(1));
        assert_eq!(clock.timestamp_at(start + Duration::from_secs(1)), Some(45_000));
    }

    #[test]
    fn ntp_counts_from_1900() {
        assert_eq!(ntp(UNIX_EPOCH + Duration::from_millis(500)), (2_208_988_800 << 32) | (1 << 31));
    }
}
