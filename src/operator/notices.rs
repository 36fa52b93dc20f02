//! What is worth an event: what has changed from one status of a process to the next.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::crd::{RestreamProcessStatus, State};

/// Octets that an event may say.
const MAX_NOTE: usize = 1000;

/// Something that is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Somebody should look at it.
    pub is_warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What happened.
    pub note: String,
}

impl Notice {
    /// Something that happens.
    pub fn normal(reason: &'static str, note: impl Into<String>) -> Self {
        Self { is_warning: false, reason, note: short(note.into()) }
    }

    /// Something that somebody should look at.
    pub fn warning(reason: &'static str, note: impl Into<String>) -> Self {
        Self { is_warning: true, reason, note: short(note.into()) }
    }
}

fn short(mut note: String) -> String {
    if note.len() > MAX_NOTE {
        let end = (0..=MAX_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or_default();
        note.truncate(end);
    }
    note
}

/// What is to be told of a process whose status has changed.
pub fn notices(before: Option<&RestreamProcessStatus>, after: &RestreamProcessStatus) -> Vec<Notice> {
    let mut notices = of_state(before.map(|before| before.state), after.state);
    notices.extend(of_exit(before, after));
    let came = |kind: &str, is: bool| {
        let now = condition(after, kind).filter(|condition| (condition.status == "True") == is)?;
        let before = before.and_then(|before| condition(before, kind));
        let same = before.is_some_and(|before| before.status == now.status && before.reason == now.reason);
        (!same).then_some(now)
    };
    if let Some(failed) =
        came("Reconciled", false).filter(|it| !["Paused", "NotAccepted"].contains(&it.reason.as_str()))
    {
        notices.push(Notice::warning("FailedApply", format!("{}: {}", failed.reason, failed.message)));
    }
    if let Some(missing) = came("StreamRunning", false).filter(|it| it.reason.starts_with("Secret")) {
        notices.push(Notice::warning("SecretNotFound", missing.message.clone()));
    }
    if let Some(waiting) = came("PlaybackReady", false).filter(|it| it.reason.starts_with("WaitingFor")) {
        notices.push(Notice::warning("NoAddress", waiting.message.clone()));
    }
    if came("PlaybackReady", true).is_some() {
        let webrtc = after.webrtc.as_ref();
        let url = webrtc.and_then(|webrtc| webrtc.whep_url.as_deref()).unwrap_or("nowhere");
        let announced = webrtc.map(|webrtc| webrtc.announced.join(", ")).unwrap_or_default();
        notices.push(Notice::normal("WebRTCExposed", format!("players find it at {url}, media at {announced}")));
    }
    notices
}

fn of_state(before: Option<State>, after: State) -> Vec<Notice> {
    let Some(before) = before.filter(|before| *before != after) else {
        return match after {
            State::Running if before.is_none() => vec![Notice::normal("Started", "FFmpeg makes progress")],
            State::Suspended if before.is_none() => vec![Notice::normal("Suspended", "the manifest says suspend")],
            _ => Vec::new(),
        };
    };
    let mut notices = Vec::new();
    if before == State::Suspended {
        notices.push(Notice::normal("Resumed", "the manifest does not say suspend any more"));
    }
    match after {
        State::Running => notices.push(Notice::normal("Started", "FFmpeg makes progress")),
        State::Suspended => notices.push(Notice::normal("Suspended", "the manifest says suspend")),
        State::Reconnecting => notices.push(Notice::normal("Reconnecting", "FFmpeg ended and will be started again")),
        State::Finished => notices.push(Notice::normal("Stopped", "FFmpeg ended and is not to be started again")),
        State::Failed => notices.push(Notice::warning("Stopped", "FFmpeg failed and is not to be started again")),
        State::Pending | State::Starting | State::Waiting => {}
    }
    notices
}

fn of_exit(before: Option<&RestreamProcessStatus>, after: &RestreamProcessStatus) -> Option<Notice> {
    let exit = after.last_exit.as_ref()?;
    let known = before?.last_exit.as_ref().is_some_and(|known| known.at == exit.at);
    if known {
        return None;
    }
    let reason = match exit.reason.as_str() {
        "Finished" | "Stopped" | "Corrected" => return None,
        "Stale" => "Stale",
        "CpuLimit" | "MemoryLimit" => "LimitExceeded",
        _ => "FFmpegExited",
    };
    let code = exit.code.map(|code| format!(" with {code}")).unwrap_or_default();
    Some(Notice::warning(reason, format!("FFmpeg ended{code} ({}): {}", exit.reason, exit.message)))
}

fn condition<'s>(status: &'s RestreamProcessStatus, kind: &str) -> Option<&'s Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::crd::LastExit;

    fn in_state(state: State) -> RestreamProcessStatus {
        RestreamProcessStatus { state, ..RestreamProcessStatus::default() }
    }

    fn with(kind: &str, status: &str, reason: &str) -> RestreamProcessStatus {
        let condition = Condition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: "why".into(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        RestreamProcessStatus { conditions: vec![condition], ..RestreamProcessStatus::default() }
    }

    fn exited(reason: &str, at: &str) -> RestreamProcessStatus {
        let exit = LastExit { reason: reason.into(), at: at.into(), code: Some(1), ..LastExit::default() };
        RestreamProcessStatus { last_exit: Some(exit), ..RestreamProcessStatus::default() }
    }

    fn reasons(before: &RestreamProcessStatus, after: &RestreamProcessStatus) -> Vec<&'static str> {
        notices(Some(before), after).iter().map(|notice| notice.reason).collect()
    }

    #[test]
    fn a_change_of_state_is_told_once() {
        let [pending, running, suspended] = [State::Pending, State::Running, State::Suspended].map(in_state);
        assert_eq!(reasons(&pending, &running), ["Started"]);
        assert_eq!(reasons(&running, &running), [""; 0]);
        assert_eq!(reasons(&running, &in_state(State::Reconnecting)), ["Reconnecting"]);
        assert_eq!(reasons(&running, &suspended), ["Suspended"]);
        assert_eq!(reasons(&suspended, &pending), ["Resumed"]);
        assert_eq!(reasons(&running, &in_state(State::Finished)), ["Stopped"]);
    }

    #[test]
    fn an_end_of_ffmpeg_is_told_by_its_cause() {
        let before = exited("Failed", "t0");
        assert_eq!(reasons(&before, &exited("Failed", "t1")), ["FFmpegExited"]);
        assert_eq!(reasons(&before, &exited("Stale", "t1")), ["Stale"]);
        assert_eq!(reasons(&before, &exited("MemoryLimit", "t1")), ["LimitExceeded"]);
        assert_eq!(reasons(&before, &exited("Stopped", "t1")), [""; 0]);
        assert_eq!(reasons(&before, &before), [""; 0]);
    }

    #[test]
    fn a_condition_is_told_where_its_reason_is_another() {
        let good = with("Reconciled", "True", "Applied");
        let bad = with("Reconciled", "False", "PortTaken");
        assert_eq!(reasons(&good, &bad), ["FailedApply"]);
        assert_eq!(reasons(&bad, &bad), [""; 0]);
        assert_eq!(reasons(&bad, &with("Reconciled", "False", "Forbidden")), ["FailedApply"]);
        assert_eq!(reasons(&good, &with("Reconciled", "False", "Paused")), [""; 0]);
        let waiting = with("PlaybackReady", "False", "WaitingForAddress");
        assert_eq!(reasons(&good, &waiting), ["NoAddress"]);
        assert_eq!(reasons(&waiting, &with("PlaybackReady", "True", "Reachable")), ["WebRTCExposed"]);
        assert_eq!(reasons(&good, &with("StreamRunning", "False", "SecretNotFound")), ["SecretNotFound"]);
    }

    #[test]
    fn a_note_has_the_length_that_is_allowed() {
        assert_eq!(Notice::normal("Started", "ä".repeat(MAX_NOTE)).note.len(), MAX_NOTE);
    }
}
