//! What FFmpeg does at this moment, and the reports of its runs, in the words of datarhei Core.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::plan::Limits;
use crate::process::{self, ExitState, Progress, RunReport, Streams, Usage};

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Order {
    /// FFmpeg shall run.
    Start,
    /// FFmpeg shall not run.
    Stop,
}

impl Order {
    /// `start` or `stop`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// What FFmpeg does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Exec {
    /// It was never started, or ended with success or when it was asked to.
    #[default]
    Finished,
    /// The inputs are probed.
    Starting,
    /// It runs.
    Running,
    /// It was asked to end and still runs.
    Finishing,
    /// It failed, or could not be started.
    Failed,
    /// A signal ended it.
    Killed,
}

impl Exec {
    /// `finished`, `starting`, `running`, `finishing`, `failed` or `killed`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Finishing => "finishing",
            Self::Failed => "failed",
            Self::Killed => "killed",
        }
    }

    /// Whether one may follow the other.
    pub fn may_become(self, next: Self) -> bool {
        use Exec::{Failed, Finished, Finishing, Killed, Running, Starting};
        match self {
            Finished | Failed | Killed => next == Starting,
            Starting => matches!(next, Running | Finishing | Failed),
            Running => matches!(next, Finishing | Finished | Failed | Killed),
            Finishing => matches!(next, Finished | Failed | Killed),
        }
    }
}

impl From<ExitState> for Exec {
    fn from(state: ExitState) -> Self {
        match state {
            ExitState::Finished => Self::Finished,
            ExitState::Failed => Self::Failed,
            ExitState::Killed => Self::Killed,
        }
    }
}

/// What FFmpeg does at this moment.
#[derive(Clone, Debug)]
pub struct Live {
    /// What is wanted.
    pub order: Order,
    /// What FFmpeg does.
    pub exec: Exec,
    /// When `exec` last changed, unix seconds.
    pub exec_since: u64,
    /// When FFmpeg is started again, unix seconds; `None` where nothing waits for that.
    pub reconnect_at: Option<u64>,
    /// Process id, while it runs.
    pub pid: Option<u32>,
    /// CPU and memory, while it runs.
    pub usage: Usage,
    /// What it may use.
    pub limits: Limits,
    /// Arguments of the newest start, redacted, without those for this program's own purposes.
    pub command: Arc<Vec<String>>,
    /// The newest line of its log, redacted.
    pub last_line: String,
    /// Figures of the run.
    pub progress: Option<Progress>,
    /// Streams of the run.
    pub streams: Arc<Streams>,
}

impl Live {
    /// A process that was never started.
    pub fn new(now: u64) -> Self {
        Self {
            order: Order::Stop,
            exec: Exec::default(),
            exec_since: now,
            reconnect_at: None,
            pid: None,
            usage: Usage::default(),
            limits: Limits::default(),
            command: Arc::default(),
            last_line: String::new(),
            progress: None,
            streams: Arc::default(),
        }
    }

    /// Takes a step in the life of FFmpeg that is seen at unix second `now`.
    pub fn handle_run(&mut self, event: &process::Event, now: u64) {
        use process::Event;
        match event {
            Event::Probing => self.begin(now),
            Event::Started(pid) => {
                self.begin(now);
                self.pass(Exec::Running, now);
                self.pid = Some(*pid);
            }
            Event::Waiting | Event::Report(_) => {}
            Event::Progress(progress) => self.progress = Some(*progress),
            Event::Usage(usage) => self.usage = *usage,
            Event::Ending => self.pass(Exec::Finishing, now),
            Event::Log(lines) => {
                if let Some(line) = lines.last() {
                    self.last_line.clone_from(&line.line);
                }
            }
            Event::Ended { exit, restart_in } => {
                if exit.cause.is_no_start() {
                    self.pass(Exec::Starting, now);
                }
                self.pass(exit.state().into(), now);
                let seconds = |delay: std::time::Duration| delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
                self.reconnect_at = restart_in.map(|delay| now + seconds(delay));
                (self.pid, self.usage, self.progress) = (None, Usage::default(), None);
                self.streams = Arc::default();
            }
        }
    }

    fn begin(&mut self, now: u64) {
        self.pass(Exec::Starting, now);
        (self.reconnect_at, self.progress) = (None, None);
        self.streams = Arc::default();
    }

    /// Changes what FFmpeg does, where that may follow.
    fn pass(&mut self, next: Exec, now: u64) {
        if self.exec.may_become(next) {
            (self.exec, self.exec_since) = (next, now);
        }
    }
}

/// The reports of a process: of the run that is or was last, and of some before it.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    /// The newest run; `None` before the first one.
    pub current: Option<Arc<RunReport>>,
    /// Runs before it, oldest first.
    pub history: VecDeque<Arc<RunReport>>,
}

impl Reports {
    /// Takes a step in the life of FFmpeg. So many runs are kept beside the newest.
    pub fn handle_run(&mut self, event: &process::Event, now: u64, most: usize) {
        match event {
            process::Event::Probing | process::Event::Started(_) => {
                self.retire(most);
                self.current = Some(Arc::new(RunReport { started_at: now, ..RunReport::default() }));
            }
            process::Event::Report(report) => {
                // A run that could not even be started is told by its report alone.
                if self.current.as_ref().is_some_and(|current| current.started_at != report.started_at) {
                    self.retire(most);
                }
                self.current = Some(report.clone());
            }
            _ => {}
        }
    }

    /// A run that has ended becomes history.
    fn retire(&mut self, most: usize) {
        self.history.extend(self.current.take_if(|current| current.exit.is_some()));
        while self.history.len() > most {
            self.history.pop_front();
        }
    }
}
