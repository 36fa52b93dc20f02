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

/// What kept FFmpeg from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody answers there.
    Unreachable,
    /// Whoever answers wants other credentials.
    Forbidden,
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

    /// What kept FFmpeg from an address, as far as its last words say.
    pub fn fault(&self) -> Option<Fault> {
        /// What libc and FFmpeg say of a server that is not there.
        const UNREACHABLE: [&str; 8] = [
            "connection refused",
            "connection timed out",
            "no route to host",
            "network is unreachable",
            "name or service not known",
            "temporary failure in name resolution",
            "failed to resolve hostname",
            "host is down",
        ];
        /// What FFmpeg and its libraries say of credentials.
        const FORBIDDEN: [&str; 5] =
            ["401 unauthorized", "403 forbidden", "authorization failed", "authentication failed", "permission denied"];
        let message = self.message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        match () {
            () if says(&FORBIDDEN) => Some(Fault::Forbidden),
            () if says(&UNREACHABLE) => Some(Fault::Unreachable),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_tell_what_kept_ffmpeg_from_an_address() {
        let fault = |message: &str| {
            Exit { code: Some(1), signal: None, cause: Cause::Failed, message: message.into(), at: 0 }.fault()
        };
        assert_eq!(fault("rtsp://10.0.0.5:554/cam: Connection refused"), Some(Fault::Unreachable));
        assert_eq!(
            fault("[tcp @ 0x5] Failed to resolve hostname cam: Name or service not known"),
            Some(Fault::Unreachable)
        );
        assert_eq!(
            fault("rtsp://cam: Server returned 401 Unauthorized (authorization failed)"),
            Some(Fault::Forbidden)
        );
        assert_eq!(fault("Invalid data found when processing input"), None);
    }
}
