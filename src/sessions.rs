//! Who watches by HLS, and what went out to them.
//!
//! Playlists go out as FFmpeg wrote them: no id is put into them, so that they and their segments stay the same for every
//! viewer and can be cached. A viewer is told by client address, `User-Agent` and stream; and since a player loads each
//! segment once, several viewers that look the same are told apart by how often a segment was loaded: whoever loads one
//! that every viewer of that look has loaded already is one more.
//!
//! Which stream a segment belongs to is told by the playlists that named it, so TS, fMP4 and any other segments count
//! alike.
//!
//! This room never knows what time it is, nor how requests and answers travel.

mod group;
mod playlist;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::files::Name;

use group::{Group, Session};
pub use playlist::{Reference, references};

/// While nobody asks, sessions that are over are looked for this often.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);
/// Files of which the playlist is known; playlists that were asked for least recently are forgotten first.
const MAX_NAMED: usize = 65_536;
/// Sessions at a time, pending ones too; of more nothing is counted.
const MAX_SESSIONS: usize = 16_384;
/// Rows of a summary.
const MAX_ROWS: usize = 1024;
/// A master playlist names playlists, and these name segments; longer chains are circles.
const MAX_CHAIN: usize = 4;

/// How a client looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// Its address.
    pub address: IpAddr,
    /// Its `User-Agent`.
    pub agent: String,
}

/// When something happens.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For lengths of time.
    pub instant: Instant,
    /// For people, Unix seconds.
    pub unix: u64,
}

/// Octets of one session, counted where they go out and come in.
#[derive(Debug, Default)]
pub struct Tally {
    /// Octets from the client.
    pub received: AtomicU64,
    /// Octets to the client.
    pub sent: AtomicU64,
}

impl Tally {
    fn octets(&self) -> Octets {
        Octets { received: self.received.load(Ordering::Relaxed), sent: self.sent.load(Ordering::Relaxed) }
    }
}

/// Octets from and to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Octets {
    /// From clients.
    pub received: u64,
    /// To clients.
    pub sent: u64,
}

impl Octets {
    fn add(&mut self, other: Self) {
        self.received += other.received;
        self.sent += other.sent;
    }
}

/// One session as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    /// Unique while the program runs.
    pub id: u64,
    /// Name of the stream: its playlist's, without folder and ending.
    pub reference: String,
    /// When it began, Unix seconds.
    pub created_at: u64,
    /// The playlist.
    pub local: String,
    /// The client's address.
    pub remote: IpAddr,
    /// The client's `User-Agent`.
    pub agent: String,
    /// Octets of it so far.
    pub octets: Octets,
    /// From the client, bits a second over the last 10 s.
    pub received_rate: f64,
    /// To the client, bits a second over the last 10 s.
    pub sent_rate: f64,
}

/// Sessions and octets that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Sessions that were active at some time.
    pub sessions: u64,
    /// Their octets.
    pub octets: Octets,
}

/// Everything since the start of the program; sessions that are active are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All of it.
    pub total: Total,
    /// By client address.
    pub remote: BTreeMap<String, Total>,
    /// By playlist.
    pub local: BTreeMap<String, Total>,
    /// By reference.
    pub reference: BTreeMap<String, Total>,
}

impl Summary {
    fn add(&mut self, session: &Active) {
        let Self { total, remote, local, reference } = self;
        let count = |total: &mut Total| {
            total.sessions += 1;
            total.octets.add(session.octets);
        };
        count(total);
        for (rows, name) in [
            (remote, session.remote.to_string()),
            (local, session.local.clone()),
            (reference, session.reference.clone()),
        ] {
            // What comes when all rows are taken is counted in the whole alone.
            if rows.len() < MAX_ROWS || rows.contains_key(&name) {
                count(rows.entry(name).or_default());
            }
        }
    }
}

/// The sessions of all viewers.
#[derive(Debug)]
pub struct Sessions {
    idle: Duration,
    groups: HashMap<(Look, Name), Group>,
    named: HashMap<Name, Named>,
    ended: Summary,
    next: u64,
    expired_at: Option<Instant>,
    /// Sessions of all groups.
    count: usize,
}

/// Where a file was named.
#[derive(Debug)]
struct Named {
    playlist: Name,
    is_segment: bool,
    seen: Instant,
}

impl Sessions {
    /// None yet. One that loads nothing for `idle` is over.
    pub fn new(idle: Duration) -> Self {
        Self {
            idle,
            groups: HashMap::new(),
            named: HashMap::new(),
            ended: Summary::default(),
            next: 0,
            expired_at: None,
            count: 0,
        }
    }

    /// A client gets a playlist with these references; what counts the octets of it.
    pub fn handle_playlist<'a>(
        &mut self,
        look: Look,
        playlist: &Name,
        references: impl Iterator<Item = Reference<'a>>,
        now: Now,
    ) -> Option<Arc<Tally>> {
        for Reference { uri, is_segment } in references {
            if let Some(file) = playlist.resolve(uri).filter(|file| file != playlist) {
                self.named.insert(file, Named { playlist: playlist.clone(), is_segment, seen: now.instant });
            }
        }
        self.forget_playlists();
        self.expire_at_times(now.instant);
        let stream = self.stream(playlist).unwrap_or_else(|| playlist.clone());
        self.first((look, stream), now)
    }

    /// What counts the octets that belong to no one viewer of a group more than to another.
    fn first(&mut self, key: (Look, Name), now: Now) -> Option<Arc<Tally>> {
        let begins = self.groups.get(&key).is_none_or(|group| group.sessions.is_empty());
        let session = if begins { Some(self.begin(now)?) } else { None };
        let group = self.groups.entry(key).or_default();
        group.sessions.extend(session);
        let session = group.sessions.first_mut()?;
        if !session.is_active {
            session.seen = now.instant;
        }
        Some(session.tally.clone())
    }

    /// A client loads a file, from this octet on; what counts the octets of it. `None` where no playlist named it.
    pub fn handle_load(&mut self, look: Look, file: &Name, from: u64, now: Now) -> Option<Arc<Tally>> {
        let stream = self.stream(file)?;
        self.expire_at_times(now.instant);
        let key = (look, stream);
        if !self.named.get(file)?.is_segment {
            return self.first(key, now);
        }
        let idle = self.idle;
        let place = self.groups.get_mut(&key).map(|group| group.place(file, from, idle, now.instant));
        let is_new = place.is_none_or(|place| place >= self.groups[&key].sessions.len());
        let session = if is_new { Some(self.begin(now)?) } else { None };
        let group = self.groups.entry(key).or_default();
        group.sessions.extend(session);
        let place = place.unwrap_or_else(|| group.place(file, from, idle, now.instant).min(group.sessions.len() - 1));
        let session = group.sessions.get_mut(place)?;
        session.is_active = true;
        session.seen = now.instant;
        session.sample(now.instant);
        Some(session.tally.clone())
    }

    /// Sessions that have loaded media and are not over.
    pub fn active(&mut self, now: Instant) -> Vec<Active> {
        self.expire(now);
        let mut active: Vec<Active> = self.shown(now).collect();
        active.sort_by_key(|session| session.id);
        active
    }

    /// Everything since the start of the program.
    pub fn summary(&mut self, now: Instant) -> Summary {
        self.expire(now);
        let mut summary = self.ended.clone();
        self.shown(now).for_each(|session| summary.add(&session));
        summary
    }

    fn shown(&self, now: Instant) -> impl Iterator<Item = Active> {
        self.groups.iter().flat_map(move |((look, stream), group)| {
            group
                .sessions
                .iter()
                .filter(|session| session.is_active)
                .map(move |session| session.show(look, stream, now))
        })
    }

    /// A session that is new; `None` where there are too many.
    fn begin(&mut self, now: Now) -> Option<Session> {
        if self.count >= MAX_SESSIONS {
            self.expire(now.instant);
        }
        if self.count >= MAX_SESSIONS {
            return None;
        }
        self.next += 1;
        self.count += 1;
        Some(Session::new(self.next, now))
    }

    /// The uppermost playlist that leads to a file; `None` where nothing does.
    fn stream(&self, file: &Name) -> Option<Name> {
        let mut playlist = &self.named.get(file)?.playlist;
        for _ in 1..MAX_CHAIN {
            match self.named.get(playlist) {
                Some(above) => playlist = &above.playlist,
                None => break,
            }
        }
        Some(playlist.clone())
    }

    /// Looking at every session for each request would be much work for little.
    fn expire_at_times(&mut self, now: Instant) {
        let is_due = |at: Instant| now.saturating_duration_since(at) >= EXPIRE_INTERVAL;
        if self.expired_at.is_none_or(is_due) {
            self.expire(now);
        }
    }

    fn expire(&mut self, now: Instant) {
        self.expired_at = Some(now);
        let Self { idle, groups, ended, count, .. } = self;
        groups.retain(|(look, stream), group| {
            group.sessions.retain(|session| {
                let is_over = session.is_over(*idle, now);
                if is_over && session.is_active {
                    ended.add(&session.show(look, stream, now));
                }
                *count -= usize::from(is_over);
                !is_over
            });
            !group.sessions.is_empty()
        });
    }

    fn forget_playlists(&mut self) {
        if self.named.len() <= MAX_NAMED {
            return;
        }
        let mut seen: Vec<Instant> = self.named.values().map(|named| named.seen).collect();
        seen.sort_unstable();
        let middle = seen[seen.len() / 2];
        self.named.retain(|_, named| named.seen > middle);
    }
}
