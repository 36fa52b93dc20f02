//! One child while it runs.

use std::time::{Duration, Instant};

use super::super::limits::Excess;
use super::super::{Block, Cause};

/// The least time that an input gets to open; the stale timeout is about media that stops, not about analysis.
const OPENING: Duration = Duration::from_secs(30);

/// What is known of a running child.
#[derive(Debug)]
pub struct Child {
    /// It was asked to end.
    pub stopping: Option<Stopping>,
    /// The figures until now.
    pub figures: Block,
    /// Since when frames, size or time move.
    pub progressing_since: Option<Instant>,
    /// Since when it uses more than it may.
    pub excess: Excess,
    /// The newest line of its log.
    pub last_line: Option<String>,
    /// Inputs that are open; `None` while it said nothing at all.
    open: Option<usize>,
    /// The last sign of life.
    alive: Instant,
    /// Figures came from the progress report, which knows better than the log.
    has_report: bool,
}

/// A child that was asked to end.
#[derive(Debug)]
pub struct Stopping {
    /// Why.
    pub cause: Cause,
    /// What is to be said of it instead of the last line of the log.
    pub why: Option<String>,
    /// When it is killed; `None` once it was.
    pub kill_at: Option<Instant>,
}

impl Child {
    /// A child that was started now.
    pub fn new(now: Instant) -> Self {
        Self {
            stopping: None,
            figures: Block::default(),
            progressing_since: None,
            excess: Excess::default(),
            last_line: None,
            open: None,
            alive: now,
            has_report: false,
        }
    }

    /// Takes the number of open inputs. Whether it is another one than before.
    pub fn handle_open(&mut self, now: Instant, count: usize) -> bool {
        let is_new = self.open != Some(count);
        if is_new {
            (self.open, self.alive) = (Some(count), now);
        }
        is_new
    }

    /// Takes figures of the progress report.
    pub fn handle_report(&mut self, now: Instant, figures: &Block) {
        self.has_report = true;
        self.handle_figures(now, figures);
    }

    /// Takes figures of the log, unless there are better ones.
    pub fn handle_stats(&mut self, now: Instant, figures: &Block) {
        if !self.has_report {
            self.handle_figures(now, figures);
        }
    }

    fn handle_figures(&mut self, now: Instant, figures: &Block) {
        if self.figures.update(figures) {
            self.alive = now;
            self.progressing_since.get_or_insert(now);
        }
    }

    /// Frames, size or time have moved.
    pub fn is_progressing(&self) -> bool {
        self.progressing_since.is_some()
    }

    /// When it counts as stale, unless it shows life before. An input that waits for a publisher has all the time.
    pub fn stale_at(&self, stale: Duration, listens: &[bool]) -> Option<Instant> {
        let limit = match self.open.and_then(|open| listens.get(open)) {
            _ if self.is_progressing() => stale,
            Some(true) => return None,
            Some(false) => stale.max(OPENING),
            None => stale,
        };
        Some(self.alive + limit)
    }
}
