//! What the threads of the gateway tell each other without a message: a few numbers for each leg and each track.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::rtp::{Codec, MediaKind, Profile};

/// A leg that sent nothing for this long has no media.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// One leg as the thread that reads it sees it.
pub struct LegState {
    /// What it carries.
    pub codec: Codec,
    /// SSRC towards viewers.
    pub ssrc: u32,
    /// All times are relative to this one.
    reference: Instant,
    /// Milliseconds from the reference to the newest packet, plus one; 0 before the first.
    newest: AtomicU64,
    /// The three octets of the profile, with a mark above them; 0 while unknown.
    profile: AtomicU32,
    /// The timestamp that a packet without delay had at the reference, with a mark above it; 0 while unknown.
    clock: AtomicU64,
}

impl LegState {
    /// A leg that nothing came from yet.
    pub fn new(codec: Codec, ssrc: u32, reference: Instant) -> Self {
        Self { codec, ssrc, reference, newest: AtomicU64::new(0), profile: AtomicU32::new(0), clock: AtomicU64::new(0) }
    }

    /// Packets came, up to `now`; `timestamp` is what a packet without delay has now.
    pub fn note(&self, now: Instant, timestamp: Option<u32>, profile: Option<Profile>) {
        let passed = now.saturating_duration_since(self.reference);
        self.newest.store(passed.as_millis() as u64 + 1, Ordering::Relaxed);
        if let Some(timestamp) = timestamp {
            let base = timestamp.wrapping_sub(self.ticks(passed));
            self.clock.store(1 << 32 | u64::from(base), Ordering::Relaxed);
        }
        if let Some(Profile { id, flags, level }) = profile {
            self.profile.store(u32::from_be_bytes([1, id, flags, level]), Ordering::Relaxed);
        }
    }

    /// Whether media comes at this moment.
    pub fn is_live(&self, now: Instant) -> bool {
        let newest = self.newest.load(Ordering::Relaxed);
        newest > 0 && now.saturating_duration_since(self.reference + Duration::from_millis(newest)) < SILENT_AFTER
    }

    /// Profile of what came last, as far as it told one.
    pub fn profile(&self) -> Option<Profile> {
        let [known, id, flags, level] = self.profile.load(Ordering::Relaxed).to_be_bytes();
        (known > 0).then_some(Profile { id, flags, level })
    }

    /// The timestamp that a packet without delay would have at `now`; `None` before the first packet.
    pub fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let clock = self.clock.load(Ordering::Relaxed);
        let passed = now.saturating_duration_since(self.reference);
        (clock > 0).then(|| (clock as u32).wrapping_add(self.ticks(passed)))
    }

    fn ticks(&self, passed: Duration) -> u32 {
        (passed.as_nanos() * u128::from(self.codec.clock_rate()) / 1_000_000_000) as u32
    }
}

/// The two legs of a stream. A clone shares them.
#[derive(Clone)]
pub struct StreamState {
    /// The picture.
    pub video: Arc<LegState>,
    /// The sound.
    pub audio: Arc<LegState>,
}

impl StreamState {
    /// The leg of a kind.
    pub fn leg(&self, kind: MediaKind) -> &LegState {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        }
    }

    /// Puts another leg in the place of the one of its kind.
    pub fn replace(&mut self, leg: Arc<LegState>) {
        match leg.codec.kind() {
            MediaKind::Video => self.video = leg,
            MediaKind::Audio => self.audio = leg,
        }
    }
}

/// What one viewer was sent of one track.
#[derive(Default)]
pub struct Sent {
    /// Packets, those that were sent again not counted.
    pub packets: AtomicU64,
    /// Payload octets of these.
    pub octets: AtomicU64,
    /// Packets that were sent again.
    pub resent: AtomicU64,
    /// Added to the timestamps of the leg.
    pub timestamp_shift: AtomicU32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_tells_its_clock_its_profile_and_whether_it_lives() {
        let reference = Instant::now();
        let leg = LegState::new(Codec::H264, 7, reference);
        assert_eq!((leg.is_live(reference), leg.profile(), leg.timestamp_at(reference)), (false, None, None));
        let profile = Profile { id: 66, flags: 0xc0, level: 31 };
        let at = |millis| reference + Duration::from_millis(millis);
        leg.note(at(500), Some(u32::MAX), Some(profile));
        assert_eq!(leg.profile(), Some(profile));
        assert_eq!(leg.timestamp_at(at(1500)), Some(89_999), "it goes on over a rollover");
        assert!(leg.is_live(at(9_000)) && !leg.is_live(at(12_000)));
    }
}
