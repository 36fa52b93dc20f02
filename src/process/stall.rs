//! Connections that FFmpeg writes to and that take nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A TCP connection of FFmpeg at one moment, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The kernel's number for it.
    pub inode: u64,
    /// The other end.
    pub peer: SocketAddr,
    /// Octets that FFmpeg wrote and the other end has not acknowledged.
    pub unacknowledged: u64,
}

/// A server that takes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// Its address and TCP port.
    pub peer: SocketAddr,
    /// Names of the outputs that may go there.
    pub outputs: Vec<String>,
}

/// Finds those among FFmpeg's connections that take nothing: the same octets have waited for [`Stalls::PATIENCE`]. On a
/// connection that takes some and is given more their number is another one each time.
#[derive(Debug, Default)]
pub struct Stalls {
    /// By inode: what waits, and since when it is so much.
    waiting: BTreeMap<u64, (u64, Instant)>,
    found: Vec<SocketAddr>,
}

impl Stalls {
    /// How long a connection takes nothing before it is told.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// Takes FFmpeg's connections as they are now; the other ends that take nothing, where they are others than before.
    pub fn handle(&mut self, now: Instant, connections: &[Connection]) -> Option<&[SocketAddr]> {
        let before = std::mem::take(&mut self.waiting);
        let mut found = Vec::new();
        for Connection { inode, peer, unacknowledged } in connections.iter().filter(|one| one.unacknowledged > 0) {
            let same = before.get(inode).filter(|(waits, _)| waits == unacknowledged);
            let since = same.map_or(now, |(_, since)| *since);
            self.waiting.insert(*inode, (*unacknowledged, since));
            if now.duration_since(since) >= Self::PATIENCE {
                found.push(*peer);
            }
        }
        found.sort_unstable();
        found.dedup();
        (self.found != found).then(|| {
            self.found = found;
            self.found.as_slice()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(inode: u64, unacknowledged: u64) -> Connection {
        let port = 1000 + u16::try_from(inode).expect("a small number");
        Connection { inode, peer: SocketAddr::from(([192, 0, 2, 1], port)), unacknowledged }
    }

    #[test]
    fn who_takes_nothing_for_ten_seconds_is_found_and_told_once() {
        let (mut stalls, begin) = (Stalls::default(), Instant::now());
        let at = |second: u64| begin + Duration::from_secs(second);
        for second in [0, 5, 9] {
            // The first is given more, the second takes all, the third takes nothing.
            let seen = [connection(1, 100 + second), connection(2, 0), connection(3, 70_000)];
            assert_eq!(stalls.handle(at(second), &seen), None);
        }
        let seen = [connection(1, 110), connection(2, 0), connection(3, 70_000)];
        assert_eq!(stalls.handle(at(10), &seen), Some([connection(3, 0).peer].as_slice()));
        assert_eq!(stalls.handle(at(15), &[connection(1, 120), connection(3, 70_000)]), None);
        assert_eq!(stalls.handle(at(20), &[connection(1, 130), connection(3, 60_000)]), Some([].as_slice()));
    }

    #[test]
    fn a_new_connection_has_its_own_time() {
        let (mut stalls, begin) = (Stalls::default(), Instant::now());
        assert_eq!(stalls.handle(begin, &[connection(1, 9)]), None);
        assert_eq!(stalls.handle(begin + Stalls::PATIENCE, &[connection(2, 9)]), None);
    }
}
