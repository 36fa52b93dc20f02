//! FFmpeg's log, bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{LogLine, Redactor};

/// Lines that are kept.
const LINES: usize = 200;
/// Characters of a line that are kept.
const CHARACTERS: usize = 2000;

/// The last 200 lines, each of 2,000 characters at most, credentials redacted.
#[derive(Debug, Default)]
pub struct Log {
    lines: VecDeque<LogLine>,
}

impl Log {
    /// Keeps a line that came at unix second `at`.
    pub fn push(&mut self, at: u64, line: &str, redactor: &Redactor) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        // Cut after redaction, so that no half of a credential is left.
        let line = redactor.redact(line).chars().take(CHARACTERS).collect();
        self.lines.push_back(LogLine { at, line });
    }

    /// The newest line.
    pub fn last(&self) -> Option<&str> {
        self.lines.back().map(|line| line.line.as_str())
    }

    /// The lines as they are now, oldest first.
    pub fn snapshot(&self) -> Arc<Vec<LogLine>> {
        Arc::new(self.lines.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_200_lines_are_kept() {
        let mut log = Log::default();
        for number in 0..450 {
            log.push(number, &format!("line {number}"), &Redactor::default());
        }
        let lines = log.snapshot();
        assert_eq!(lines.len(), 200);
        assert_eq!(lines[0], LogLine { at: 250, line: "line 250".into() });
        assert_eq!(log.last(), Some("line 449"));
    }

    #[test]
    fn a_line_is_cut_at_a_character_and_after_redaction() {
        let mut log = Log::default();
        let redactor = Redactor::new(["-passphrase", "correct horse"], []);
        log.push(0, &format!("{}correct horse", "ü".repeat(1995)), &redactor);
        assert_eq!(log.last(), Some(format!("{}***", "ü".repeat(1995)).as_str()));
        log.push(0, &"ü".repeat(3000), &redactor);
        assert_eq!(log.last().map(|line| line.chars().count()), Some(2000));
    }
}
