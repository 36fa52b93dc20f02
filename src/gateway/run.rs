//! Packets that leave with one call to the system.

use std::io;

use super::path::Path;
use super::socket::Port;

/// Packets of one call at most: 64 kB hold that many of 1,400 octets.
const MAX_SEGMENTS: usize = 44;

/// Packets for one viewer: all have one size, but the last may be shorter.
#[derive(Default)]
pub struct Run {
    octets: Vec<u8>,
    segment: usize,
    packets: usize,
}

impl Run {
    /// Whether a packet of this size may leave with the others.
    pub fn takes(&self, size: usize, segments: usize) -> bool {
        self.packets == 0
            || (self.packets < segments.min(MAX_SEGMENTS)
                && size <= self.segment
                && self.octets.len() == self.packets * self.segment)
    }

    /// Appends a packet of this size, which `write` writes.
    pub fn append(&mut self, size: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.packets == 0 {
            self.segment = size;
        }
        self.packets += 1;
        write(&mut self.octets);
    }

    /// Sends what is there, and is empty afterwards, whatever comes of it.
    pub fn flush(&mut self, port: &Port, path: &Path) -> io::Result<()> {
        if self.packets == 0 {
            return Ok(());
        }
        let result = path.send(port, &self.octets, self.segment);
        self.clear();
        result
    }

    /// Drops what is there.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.packets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(run: &mut Run, size: usize) {
        run.append(size, |out| out.resize(out.len() + size, 1));
    }

    #[test]
    fn packets_of_one_size_leave_together_and_a_shorter_one_is_the_last() {
        let mut run = Run::default();
        assert!(run.takes(100, 64));
        append(&mut run, 100);
        assert!(run.takes(100, 64) && run.takes(60, 64) && !run.takes(101, 64));
        assert!(!run.takes(100, 1), "the system takes one at a time");
        append(&mut run, 60);
        assert!(!run.takes(60, 64), "nothing comes behind a shorter one");
        run.clear();
        assert!(run.takes(101, 64));
    }
}
