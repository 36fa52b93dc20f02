//! Telling no more often than people can read.

use std::time::{Duration, Instant};

/// Progress and log are told once in this time.
const PACE: Duration = Duration::from_secs(1);

/// Lets something through once in a while.
#[derive(Debug, Default)]
pub struct Pace {
    /// When it last let something through.
    pub last: Option<Instant>,
    /// Something waits to get through.
    pub is_due: bool,
}

impl Pace {
    /// When what waits gets through.
    pub fn due_at(&self) -> Option<Instant> {
        self.last.filter(|_| self.is_due).map(|last| last + PACE)
    }

    /// Whether something gets through now.
    pub fn take(&mut self, now: Instant) -> bool {
        let ready = self.is_due && self.last.is_none_or(|last| now >= last + PACE);
        if ready {
            *self = Self { last: Some(now), is_due: false };
        }
        ready
    }
}
