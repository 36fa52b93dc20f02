//! Why nothing came: the phase that failed, what was seen, and what a person should look at.

use serde::Serialize;

/// The steps of playing, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The URL is read and its host name is resolved.
    Name,
    /// The offer is POSTed and answered 201.
    Http,
    /// The answer is read.
    Answer,
    /// A path for UDP is found.
    Ice,
    /// Keys are agreed on.
    Dtls,
    /// A packet comes.
    Media,
    /// A keyframe comes, where the answer has a picture.
    Keyframe,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}; {check}")]
pub struct Failure {
    /// The phase that failed.
    pub phase: Phase,
    /// HTTP status, where one came.
    pub status: Option<u16>,
    /// The server's machine word for a refusal, where it gave one.
    pub reason: Option<String>,
    /// What was seen.
    pub message: String,
    /// What to look at.
    pub check: String,
}

impl Failure {
    pub(super) fn new(phase: Phase, message: impl Into<String>) -> Self {
        Self { phase, status: None, reason: None, message: message.into(), check: check(phase).to_owned() }
    }

    /// The server refused the offer.
    pub(super) fn refused(status: u16, reason: Option<String>, said: &str) -> Self {
        let said = said.trim();
        let message = match (&reason, said) {
            (Some(reason), said) => format!("the server answered {status} ({reason}): {said}"),
            (None, "") => format!("the server answered {status}"),
            (None, said) => format!("the server answered {status}: {said}"),
        };
        Self { phase: Phase::Http, status: Some(status), reason, message, check: check_status(status).to_owned() }
    }
}

fn check(phase: Phase) -> &'static str {
    match phase {
        Phase::Name => "check the URL, its host name, and the resolver of this machine",
        Phase::Http => "check that the server runs, that the URL names its HTTP address, and the firewall between",
        Phase::Answer => {
            "check that the URL is a WHEP endpoint; this player knows H.264, H.265, VP8, VP9, AV1 and Opus"
        }
        Phase::Ice => {
            "check that the server's UDP port (8189 unless configured) is open to this machine, and that the addresses \
             that it announces (CORE_WEBRTC_ANNOUNCE) can be reached from here"
        }
        Phase::Dtls => {
            "UDP gets through, the handshake does not: check that nothing between drops large datagrams, and the \
             server's log"
        }
        Phase::Media => "check the state of the process and FFmpeg's log: it may have stopped to send",
        Phase::Keyframe => "check the keyframe interval of the source, and watch for longer (--duration)",
    }
}

fn check_status(status: u16) -> &'static str {
    match status {
        401 => "check the token: it is missing, expired, or of another server; `dragonfork token` prints one",
        403 => "check the token: it is for another process, or not for playing",
        404 => "check the process id in the URL, and that its manifest has webrtc.enabled: true and is not suspended",
        406 => "check the codecs of the process: this player knows H.264, H.265, VP8, VP9, AV1 and Opus",
        409 => "check the state of the process and FFmpeg's log: it is known and sends nothing yet",
        429 => "wait before you ask again",
        503 => "check how many viewers there are, and the limits (webrtc.maxViewers, CORE_WEBRTC_MAX_VIEWERS)",
        504 => "check the server's log: its gateway did not answer in time",
        _ => "check that the URL is a WHEP endpoint, and the server's log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_server_said_and_what_to_check() {
        let failure = Failure::refused(401, Some("invalid_token".into()), "the token has expired");
        let text = failure.to_string();
        assert!(text.contains("401 (invalid_token): the token has expired; check the token"), "{text}");
        assert_eq!(Failure::refused(502, None, " ").message, "the server answered 502");
    }
}
