//! The viewers that look the same, and what is known of each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Active, Look, Now, Octets, Tally};
use crate::files::Name;

/// A session that has asked for a playlist alone is gone after this.
const PENDING: Duration = Duration::from_secs(5);
/// Bandwidth is that of this time.
const WINDOW: Duration = Duration::from_secs(10);
/// Loads that are remembered of clients that look the same; more are looked through for those that are long ago.
const MAX_LOADS: usize = 1024;

/// Clients that look the same and watch the same.
#[derive(Debug, Default)]
pub struct Group {
    /// Whoever loads a file first is the first of them, whoever loads it next the second, and so on. So the last one is
    /// the first to be idle when one of them leaves.
    pub sessions: Vec<Session>,
    /// How often a file was loaded, from which octet on, and when it last was.
    pub loads: HashMap<(Name, u64), (usize, Instant)>,
}

impl Group {
    /// Which of them loads this.
    pub fn place(&mut self, file: &Name, from: u64, idle: Duration, now: Instant) -> usize {
        if self.loads.len() >= MAX_LOADS {
            self.loads.retain(|_, (_, at)| now.saturating_duration_since(*at) < idle);
        }
        if self.loads.len() >= MAX_LOADS {
            self.loads.clear();
        }
        let (times, at) = self.loads.entry((file.clone(), from)).or_insert((0, now));
        if now.saturating_duration_since(*at) >= idle {
            *times = 0;
        }
        *at = now;
        *times += 1;
        (*times - 1).min(self.sessions.len())
    }
}

/// One viewer.
#[derive(Debug)]
pub struct Session {
    /// Unique while the program runs.
    pub id: u64,
    /// When it began, Unix seconds.
    pub created_at: u64,
    /// It has loaded media.
    pub is_active: bool,
    /// When it was last heard of.
    pub seen: Instant,
    /// Its octets.
    pub tally: Arc<Tally>,
    /// Its octets at some times, oldest first.
    pub samples: VecDeque<(Instant, Octets)>,
}

impl Session {
    /// One that has loaded nothing yet.
    pub fn new(id: u64, now: Now) -> Self {
        Self {
            id,
            created_at: now.unix,
            is_active: false,
            seen: now.instant,
            tally: Arc::default(),
            samples: VecDeque::from([(now.instant, Octets::default())]),
        }
    }

    /// It has loaded nothing for too long.
    pub fn is_over(&self, idle: Duration, now: Instant) -> bool {
        let limit = if self.is_active { idle } else { idle.min(PENDING) };
        now.saturating_duration_since(self.seen) >= limit
    }

    /// Remembers its octets at this time, for its bandwidth.
    pub fn sample(&mut self, now: Instant) {
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, self.tally.octets()));
    }

    /// Bits a second from and to the client.
    pub fn rates(&self, now: Instant) -> (f64, f64) {
        let Some((at, before)) = self.samples.front() else { return (0.0, 0.0) };
        let (octets, seconds) = (self.tally.octets(), now.saturating_duration_since(*at).as_secs_f64().max(1.0));
        let rate = |now: u64, before: u64| 8.0 * now.saturating_sub(before) as f64 / seconds;
        (rate(octets.received, before.received), rate(octets.sent, before.sent))
    }

    /// It as it is shown.
    pub fn show(&self, look: &Look, stream: &Name, now: Instant) -> Active {
        let (received_rate, sent_rate) = self.rates(now);
        let file = stream.file();
        Active {
            id: self.id,
            reference: file.rsplit_once('.').map_or(file, |(name, _)| name).to_owned(),
            created_at: self.created_at,
            local: stream.as_str().to_owned(),
            remote: look.address,
            agent: look.agent.clone(),
            octets: self.tally.octets(),
            received_rate,
            sent_rate,
        }
    }
}
