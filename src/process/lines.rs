//! Bytes of a pipe -> lines.

/// Longest line that is handed on, in octets; the rest of a longer one is dropped.
const LONGEST: usize = 16 << 10;

/// Splits what FFmpeg writes into lines, at CR, LF or both. Empty lines are left out, and octets that are no UTF-8 are
/// replaced; a character that comes in two reads is whole.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
    /// The pending line was handed on already, for it is too long.
    overlong: bool,
}

impl Lines {
    /// Takes what was read and hands every line that ended on.
    pub fn handle_bytes(&mut self, mut bytes: &[u8], mut take: impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            self.push(&bytes[..end], &mut take);
            self.finish(&mut take);
            bytes = &bytes[end + 1..];
        }
        self.push(bytes, &mut take);
    }

    /// Nothing comes any more: hands the unfinished line on.
    pub fn finish(&mut self, take: impl FnMut(&str)) {
        if !self.overlong {
            self.flush(take);
        }
        self.overlong = false;
    }

    fn push(&mut self, bytes: &[u8], take: impl FnMut(&str)) {
        if self.overlong {
            return;
        }
        let room = LONGEST - self.pending.len();
        self.pending.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() >= room {
            self.overlong = true;
            self.flush(take);
        }
    }

    fn flush(&mut self, mut take: impl FnMut(&str)) {
        if !self.pending.is_empty() {
            take(&String::from_utf8_lossy(&self.pending));
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(reads: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for bytes in reads {
            lines.handle_bytes(bytes, |line| got.push(line.to_owned()));
        }
        lines.finish(|line| got.push(line.to_owned()));
        got
    }

    #[test]
    fn lines_end_at_carriage_return_line_feed_or_both() {
        assert_eq!(split(&[b"\n\none\rtwo\r\nthree\n\nfour"]), ["one", "two", "three", "four"]);
    }

    #[test]
    fn a_line_and_a_character_may_come_in_pieces() {
        assert_eq!(split(&[b"gr\xc3", b"\xbc", b"n\nb", b"lau\n"]), ["grün", "blau"]);
    }

    #[test]
    fn octets_that_are_no_text_are_replaced() {
        assert_eq!(split(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
    }

    #[test]
    fn a_flood_without_an_end_gives_one_bounded_line_and_the_next_line_is_whole() {
        let flood = vec![b'x'; 1000];
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for _ in 0..100 {
            lines.handle_bytes(&flood, |line| got.push(line.to_owned()));
            assert!(lines.pending.capacity() <= 2 * LONGEST);
        }
        lines.handle_bytes(b"tail\nnext\n", |line| got.push(line.to_owned()));
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].len(), got[1].as_str()), (LONGEST, "next"));
    }
}
