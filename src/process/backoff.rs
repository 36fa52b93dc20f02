//! How long FFmpeg is waited for after it ended, where each wait is longer than the last.

use std::time::Duration;

/// Waits that grow until a run is a good one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// Each wait is so many times the last one, 1 or more.
    pub factor: f64,
    /// The longest wait. A first wait that is longer stays as it is.
    pub maximum: Duration,
}

impl Backoff {
    /// A run that made progress for so long is a good one: the wait after it is the first one again.
    pub const GOOD: Duration = Duration::from_secs(10);

    /// The wait before which there were so many others since the last good run.
    pub fn delay(&self, first: Duration, others: u32) -> Duration {
        let longest = self.maximum.max(first);
        if first.is_zero() {
            return first;
        }
        let times = self.factor.max(1.0).powi(others.try_into().unwrap_or(i32::MAX));
        Duration::try_from_secs_f64(first.as_secs_f64() * times).map_or(longest, |delay| delay.min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let delays = |factor, maximum, first| {
            let backoff = Backoff { factor, maximum: Duration::from_secs(maximum) };
            [0, 1, 2, 3, 4, u32::MAX].map(|others| backoff.delay(Duration::from_secs(first), others).as_secs())
        };
        assert_eq!(delays(2.0, 60, 5), [5, 10, 20, 40, 60, 60]);
        assert_eq!(delays(1.5, 10, 4), [4, 6, 9, 10, 10, 10]);
        assert_eq!(delays(1.0, 60, 5), [5; 6]);
        assert_eq!(delays(2.0, 60, 90), [90; 6]);
        assert_eq!(delays(2.0, 60, 0), [0; 6]);
    }
}
