//! Looks at the filesystems and removes what has to go.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use super::{Event, Handle, remove};
use crate::files::{Entry, Filesystem, Kind, Name};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at a disk directory that has no rule and no cap: only its figures are kept.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);
/// A look takes at most one part in this many of the time, however many files there are.
const SHARE: u32 = 10;
/// A disk directory that was full has room again at this many hundredths of its cap, so that what was stopped is not
/// started and stopped in turns.
const ROOM_AGAIN: u64 = 95;

/// Looks at the filesystems and removes what has to go.
pub struct Housekeeper {
    handle: Handle,
    events: UnboundedSender<Event>,
    /// When the disk directory was last looked at, and how long that took.
    disk_looked: Option<(Instant, Duration)>,
    is_full: bool,
}

impl Housekeeper {
    /// One that has not looked yet.
    pub fn new(handle: Handle, events: UnboundedSender<Event>) -> Self {
        Self { handle, events, disk_looked: None, is_full: false }
    }

    /// Looks every second, for ever.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            self = looked.await.expect("a look does not panic");
        }
    }

    fn look(&mut self) {
        if self.are_about(Kind::Memory) {
            self.tidy(self.handle.memory.as_ref());
        }
        let begin = Instant::now();
        if self.is_disk_due(begin) {
            if let Some(left) = self.tidy(self.handle.disk.as_ref()) {
                self.hold_to_cap(&left);
            }
            self.disk_looked = Some((Instant::now(), begin.elapsed()));
        }
    }

    fn is_disk_due(&self, now: Instant) -> bool {
        let Some((at, took)) = self.disk_looked else { return true };
        let is_watched = self.handle.disk.limit().is_some() || self.are_about(Kind::Disk);
        let pause = if is_watched { INTERVAL / 2 } else { IDLE_INTERVAL };
        now.duration_since(at) >= pause.max(took * SHARE)
    }

    fn are_about(&self, kind: Kind) -> bool {
        self.handle.rules.lock().expect("nothing panics while it is held").are_about(kind)
    }

    /// Removes what rules say; what is left, where it is known.
    fn tidy(&self, files: &dyn Filesystem) -> Option<Vec<Entry>> {
        let mut entries = match files.list() {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(filesystem = files.kind().word(), %error, "no look at the files");
                return None;
            }
        };
        let doomed = {
            let rules = self.handle.rules.lock().expect("nothing panics while it is held");
            rules.doomed(files.kind(), &entries, SystemTime::now())
        };
        doomed.iter().for_each(|name: &Name| remove(files, name));
        entries.retain(|entry| !doomed.contains(&entry.name));
        Some(entries)
    }

    /// Over its cap the disk directory loses the oldest of the files that some rule is about. Where that is not enough,
    /// it is full.
    fn hold_to_cap(&mut self, entries: &[Entry]) {
        let disk = Arc::clone(&self.handle.disk);
        let Some(limit) = disk.limit() else { return };
        let excess = {
            let rules = self.handle.rules.lock().expect("nothing panics while it is held");
            rules.excess(Kind::Disk, entries, limit)
        };
        if !excess.is_empty() {
            tracing::warn!(files = excess.len(), limit, "the disk directory exceeds its cap; its oldest files go");
        }
        excess.iter().for_each(|name| remove(disk.as_ref(), name));
        let left = entries.iter().filter(|entry| !excess.contains(&entry.name));
        let octets: u64 = left.map(|entry| entry.size).sum();
        let full_from = if self.is_full { limit / 100 * ROOM_AGAIN } else { limit };
        let is_full = octets > full_from;
        if is_full != self.is_full {
            self.is_full = is_full;
            tracing::warn!(octets, limit, is_full, "the disk directory");
            let _ = self.events.send(Event::DiskFull(is_full));
        }
    }
}
