//! How a run of FFmpeg ended, and why.

/// How a run of FFmpeg ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, where FFmpeg exited by itself.
    pub code: Option<i32>,
    /// Signal number, where FFmpeg was killed.
    pub signal: Option<i32>,
    /// Why it ended.
    pub cause: Cause,
    /// The last line of its log, redacted.
    pub message: String,
    /// When, unix seconds.
    pub at: u64,
}

/// Why a run of FFmpeg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Exit code 0, or 255 after an interrupt.
    Finished,
    /// Another exit code.
    Failed,
    /// A signal that this program did not send.
    Killed,
    /// No progress for the stale timeout.
    Stale,
    /// It was told to stop.
    Stopped,
    /// The streams contradicted the chosen legs; it starts again at once with others.
    Corrected,
    /// It could not be started.
    SpawnFailed,
    /// FFmpeg lacks what the process needs, such as an encoder; it was not started.
    Unsupported,
    /// It used more CPU than its manifest allows.
    CpuLimit,
    /// It used more memory than its manifest allows.
    MemoryLimit,
}

/// How a run ended, in the words of datarhei Core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitState {
    /// Exit code 0, or 255, which is FFmpeg's answer to an interrupt.
    Finished,
    /// Another exit code, or it could not be started.
    Failed,
    /// A signal, whoever sent it.
    Killed,
}

impl Cause {
    /// Whether FFmpeg was not even started.
    pub fn is_no_start(self) -> bool {
        matches!(self, Self::SpawnFailed | Self::Unsupported)
    }
}

impl Exit {
    /// How it ended, in the words of datarhei Core.
    pub fn state(&self) -> ExitState {
        match (self.cause, self.code, self.signal) {
            (cause, ..) if cause == Cause::Failed || cause.is_no_start() => ExitState::Failed,
            (_, _, Some(_)) => ExitState::Killed,
            (_, Some(0 | 255), _) => ExitState::Finished,
            (_, Some(_), _) => ExitState::Failed,
            // It was told to stop before it was started.
            (_, None, None) => ExitState::Finished,
        }
    }
}
