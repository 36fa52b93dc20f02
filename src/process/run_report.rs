//! What is kept of one run of FFmpeg.

use std::collections::VecDeque;

use super::{Exit, LogLine, Redactor};

/// Lines at the beginning of the prelude that are kept.
const HEAD: usize = 100;
/// Lines at the end of the prelude that are kept.
const TAIL: usize = 50;
/// Characters of a line that are kept.
const CHARACTERS: usize = 2000;

/// What is known of one run of FFmpeg: its log, its beginning and its end. Credentials are redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    /// When it began, unix seconds.
    pub started_at: u64,
    /// What FFmpeg wrote before its first progress. Of a long prelude the first 100 and the last 50 lines, and between
    /// them one that says how many are left out.
    pub prelude: Vec<String>,
    /// The last lines of the log, oldest first; lines of the prelude are among them.
    pub log: Vec<LogLine>,
    /// How it ended; `None` while it runs.
    pub exit: Option<Exit>,
}

/// Gathers what a report holds.
#[derive(Debug)]
pub struct Reporter {
    lines: usize,
    started_at: u64,
    head: Vec<String>,
    tail: VecDeque<String>,
    omitted: usize,
    is_prelude: bool,
    log: VecDeque<LogLine>,
    exit: Option<Exit>,
}

impl Reporter {
    /// A run that begins now, of whose log so many lines are kept.
    pub fn new(at: u64, lines: usize) -> Self {
        Self {
            lines,
            started_at: at,
            head: Vec::new(),
            tail: VecDeque::new(),
            omitted: 0,
            is_prelude: true,
            log: VecDeque::new(),
            exit: None,
        }
    }

    /// Keeps a line that came at unix second `at`.
    pub fn push(&mut self, at: u64, line: &str, redactor: &Redactor) {
        let line: String = redactor.redact(line).chars().take(CHARACTERS).collect();
        if self.is_prelude && self.head.len() < HEAD {
            self.head.push(line.clone());
        } else if self.is_prelude {
            self.tail.push_back(line.clone());
            if self.tail.len() > TAIL {
                self.tail.pop_front();
                self.omitted += 1;
            }
        }
        self.log.push_back(LogLine { at, line });
        while self.log.len() > self.lines {
            self.log.pop_front();
        }
    }

    /// FFmpeg makes progress: the prelude is over.
    pub fn handle_progress(&mut self) {
        self.is_prelude = false;
    }

    /// The run is over.
    pub fn handle_end(&mut self, exit: &Exit) {
        self.exit = Some(exit.clone());
    }

    /// The report as it is now.
    pub fn report(&self) -> RunReport {
        let omitted = (self.omitted > 0).then(|| format!("... {} lines are left out ...", self.omitted));
        RunReport {
            started_at: self.started_at,
            prelude: self.head.iter().cloned().chain(omitted).chain(self.tail.iter().cloned()).collect(),
            log: self.log.iter().cloned().collect(),
            exit: self.exit.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: usize) -> Reporter {
        let mut reporter = Reporter::new(7, 50);
        (0..lines).for_each(|line| reporter.push(8, &format!("line {line}"), &Redactor::default()));
        reporter
    }

    #[test]
    fn c124_a_line_before_any_progress_is_prelude_and_log() {
        let report = with(1).report();
        assert_eq!(report.prelude, ["line 0"]);
        assert_eq!(report.log, [LogLine { at: 8, line: "line 0".into() }]);
        assert_eq!((report.started_at, report.exit), (7, None));
    }

    #[test]
    fn c125_of_a_long_prelude_the_beginning_and_the_end_are_kept() {
        assert_eq!(with(150).report().prelude.len(), 150);
        let report = with(300).report();
        assert_eq!(report.prelude.len(), 151);
        assert_eq!(report.prelude[99..=101], ["line 99", "... 150 lines are left out ...", "line 250"]);
        assert_eq!((report.log.len(), report.log[0].line.as_str()), (50, "line 250"));
    }

    #[test]
    fn what_comes_after_the_first_progress_is_no_prelude() {
        let mut reporter = with(2);
        reporter.handle_progress();
        reporter.push(9, "rtsp://u:p@cam/ is slow", &Redactor::default());
        let report = reporter.report();
        assert_eq!((report.prelude.len(), report.log.len()), (2, 3));
        assert_eq!(report.log[2].line, "rtsp://***@cam/ is slow");
    }
}
