//! The conditions of one process: `Accepted`, `StreamRunning`, `Ready`, with references `ReferencesResolved`, with WebRTC `PlaybackReady`,
//! and `OutputStalled` where an output goes to a server over TCP.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::entry::Entry;
use super::machine::Playback;
use crate::crd::{Exposure, ExposureType, State};
use crate::plan::{LegAction, LegChoice, Referent};
use crate::process::{Cause, Exit, Fault, Stalled, Stalls};

/// A condition as it should be; when it last changed is [`bring`]'s business.
pub struct Wanted {
    kind: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

/// Why a process that writes files has to wait.
const DISK_FULL: &str = "the disk directory exceeds its cap (CORE_STORAGE_DISK_MAX_SIZE_MBYTES) and no cleanup rule says \
                         what may go; the process starts again when there is room";
/// Why nobody can watch any more.
const GATEWAY_ENDED: &str = "the WebRTC gateway has ended by a fault of this program, which its log tells; other outputs go \
                             on. Start the program again to have it back";
/// Why nobody can watch for the moment.
const GATEWAY_NOT_READY: &str =
    "the WebRTC gateway of the Pod does not answer; Kubernetes starts it again where it has ended";
/// Why nobody could reach the gateway.
const NO_ADDRESS: &str = "no address is known that viewers could reach: the cluster has given none yet, and the manifest \
                          names none (webrtc.exposure.announce)";
/// What is said of an obstacle where FFmpeg runs.
const GOES_ON: &str = "; the last version that was accepted goes on";

/// The conditions that hold.
pub fn of(entry: &Entry, playback: &Playback) -> Vec<Wanted> {
    let mut wanted = vec![accepted(entry), stream_running(entry), ready(entry)];
    wanted.extend(references_resolved(entry));
    wanted.extend(playback_ready(entry, playback));
    wanted.extend(output_stalled(entry));
    wanted
}

/// Brings conditions to what they should be. The time of the last transition changes with the status alone.
pub fn bring(conditions: &mut Vec<Condition>, wanted: Vec<Wanted>, generation: Option<i64>, now: Timestamp) {
    let bring_one = |wanted: Wanted| {
        let status = if wanted.status { "True" } else { "False" };
        let before = conditions.iter().find(|condition| condition.type_ == wanted.kind && condition.status == status);
        Condition {
            last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
            message: wanted.message,
            observed_generation: generation,
            reason: wanted.reason.into(),
            status: status.into(),
            type_: wanted.kind.into(),
        }
    };
    *conditions = wanted.into_iter().map(bring_one).collect();
}

fn accepted(entry: &Entry) -> Wanted {
    let status = entry.refused.is_empty();
    let mut message = entry.refused.join("; ");
    if !status && entry.plan.is_some() {
        message.push_str(GOES_ON);
    }
    Wanted { kind: "Accepted", status, reason: if status { "Accepted" } else { "Refused" }, message }
}

/// Of a refused manifest nobody knows what it refers to.
fn references_resolved(entry: &Entry) -> Option<Wanted> {
    if !entry.refers() || !entry.refused.is_empty() {
        return None;
    }
    let reason = match entry.missing.first().map(|missing| missing.what) {
        None => "Resolved",
        Some(Referent::Process) => "ProcessNotFound",
        Some(Referent::Output) => "OutputNotFound",
        Some(Referent::Value) => "ValueNotFound",
    };
    let messages: Vec<&str> = entry.missing.iter().map(|missing| missing.message.as_str()).collect();
    let mut message = messages.join("; ");
    if !message.is_empty() && entry.plan.is_some() {
        message.push_str(GOES_ON);
    }
    Some(Wanted { kind: "ReferencesResolved", status: entry.missing.is_empty(), reason, message })
}

fn ready(entry: &Entry) -> Wanted {
    let seen = &entry.seen;
    let (reason, message) = match seen.state {
        State::Pending if !entry.refused.is_empty() => ("Refused", "the manifest is not accepted".into()),
        State::Pending if !entry.missing.is_empty() => {
            ("WaitingForReferences", "something that the manifest refers to is not there (ReferencesResolved)".into())
        }
        State::Pending => ("Pending", "nothing was started yet".into()),
        State::Starting => ("Starting", "FFmpeg has made no progress yet".into()),
        State::Waiting => ("WaitingForPublisher", "FFmpeg listens and nobody has connected yet".into()),
        State::Running => ("Running", String::new()),
        State::Suspended if entry.is_held => ("DiskFull", DISK_FULL.into()),
        State::Suspended => ("Suspended", "the manifest says suspend".into()),
        State::Reconnecting | State::Failed if lacks_something(entry) => ("Unsupported", ended(entry)),
        State::Reconnecting => ("Reconnecting", ended(entry)),
        State::Finished => ("Finished", ended(entry)),
        State::Failed => ("Failed", ended(entry)),
    };
    Wanted { kind: "Ready", status: seen.state == State::Running, reason, message }
}

/// The same as `Ready`, and where FFmpeg has ended, in one word why.
fn stream_running(entry: &Entry) -> Wanted {
    let Wanted { kind: _, status, reason, message } = ready(entry);
    let why = match (entry.seen.state, &entry.seen.exit) {
        (State::Reconnecting | State::Failed, Some((exit, _))) => {
            why(exit, entry.proven.as_ref().is_some_and(|plan| plan.names_output(&exit.message)))
        }
        _ => reason,
    };
    Wanted { kind: "StreamRunning", status, reason: why, message }
}

fn why(exit: &Exit, of_output: bool) -> &'static str {
    match exit.cause {
        Cause::Failed => exit.fault().map_or("ExitedWithError", |fault| match fault {
            Fault::Unreachable if of_output => "OutputUnreachable",
            Fault::Unreachable => "InputUnreachable",
            Fault::Forbidden => "AuthFailed",
        }),
        Cause::Killed => "ExitedWithError",
        Cause::Stale => "Stale",
        Cause::CpuLimit | Cause::MemoryLimit => "LimitExceeded",
        Cause::Unsupported => "Unsupported",
        Cause::SpawnFailed => "SpawnFailed",
        Cause::Finished | Cause::Stopped | Cause::Corrected => "Reconnecting",
    }
}

/// FFmpeg cannot do what the process needs.
fn lacks_something(entry: &Entry) -> bool {
    entry.seen.exit.as_ref().is_some_and(|(exit, _)| exit.cause == Cause::Unsupported)
}

/// How the last run ended and what comes next.
fn ended(entry: &Entry) -> String {
    let Some((exit, restart_in)) = &entry.seen.exit else { return String::new() };
    let next = match restart_in {
        Some(seconds) => format!("it starts again after {seconds} s"),
        None => "it is not started again (spec.reconnect: false)".into(),
    };
    format!("{}; {next}", how(exit))
}

fn how(exit: &Exit) -> String {
    let what = match (exit.cause, exit.code, exit.signal) {
        (Cause::Stale, ..) => "FFmpeg made no progress and was stopped".to_owned(),
        (Cause::SpawnFailed, ..) => "FFmpeg could not be started".into(),
        (Cause::Unsupported, ..) => "FFmpeg was not started".into(),
        (Cause::Finished, ..) => "FFmpeg ended by itself".into(),
        (Cause::Stopped | Cause::Corrected, ..) => "FFmpeg was stopped".into(),
        (Cause::CpuLimit | Cause::MemoryLimit, ..) => "FFmpeg used more than it may and was stopped".into(),
        (_, Some(code), _) => format!("FFmpeg failed with exit code {code}"),
        (_, None, Some(signal)) => format!("FFmpeg was killed by signal {signal}"),
        (_, None, None) => "FFmpeg failed".into(),
    };
    if exit.message.is_empty() { what } else { format!("{what}: {}", exit.message) }
}

fn playback_ready(entry: &Entry, playback: &Playback) -> Option<Wanted> {
    entry.proven.as_ref()?.egress.as_ref()?;
    let (reason, message) = unplayable(entry, playback).unwrap_or(("Playing", String::new()));
    Some(Wanted { kind: "PlaybackReady", status: reason == "Playing", reason, message })
}

/// An output is stalled where its server has taken nothing for a while, even if FFmpeg goes on with the others.
fn output_stalled(entry: &Entry) -> Option<Wanted> {
    if !entry.proven.as_ref()?.sends_by_tcp() {
        return None;
    }
    let seconds = Stalls::PATIENCE.as_secs();
    let sentence = |Stalled { peer, outputs }: &Stalled| {
        format!("{peer} (output {}) has taken nothing for {seconds} s or longer", outputs.join(" or "))
    };
    let message = entry.seen.stalled.iter().map(sentence).collect::<Vec<_>>().join("; ");
    let status = !message.is_empty();
    let reason = if status { "NothingTaken" } else { "NotStalled" };
    Some(Wanted { kind: "OutputStalled", status, reason, message })
}

/// Why nobody can watch at this moment.
fn unplayable(entry: &Entry, playback: &Playback) -> Option<(&'static str, String)> {
    let seen = &entry.seen;
    if !playback.enabled {
        return Some(("Disabled", "WebRTC is turned off (CORE_WEBRTC_ENABLE=false)".into()));
    }
    if playback.ended {
        return Some(("GatewayEnded", GATEWAY_ENDED.into()));
    }
    if playback.away {
        return Some(("GatewayNotReady", GATEWAY_NOT_READY.into()));
    }
    if let Some(reason) = &seen.egress_failed {
        return Some(("PortAllocationFailed", reason.clone()));
    }
    if entry.plan.is_none() {
        return Some(("NotRunning", "the process is not running".into()));
    }
    if playback.exposed && waits_for_address(entry) {
        return Some(("WaitingForAddress", NO_ADDRESS.into()));
    }
    let Some(LegChoice { video, audio }) = &seen.legs else {
        return Some(("NotRunning", "FFmpeg has not been started yet".into()));
    };
    let (picture, sound) = (video.action != LegAction::None, audio.action != LegAction::None);
    if !picture && !sound {
        return Some(("NoMedia", format!("picture: {}; sound: {}", video.reason, audio.reason)));
    }
    let missing = match (picture && !seen.media.0, sound && !seen.media.1) {
        (true, true) => "neither picture nor sound arrives",
        (true, false) => "no picture arrives",
        (false, true) => "no sound arrives",
        (false, false) => return None,
    };
    Some(("WaitingForMedia", format!("{missing} from FFmpeg")))
}

/// The cluster is to make the gateway reachable, and has not said where.
fn waits_for_address(entry: &Entry) -> bool {
    let exposure = entry.manifest.spec.webrtc.as_ref().and_then(|webrtc| webrtc.exposure.as_ref());
    exposure.is_some_and(|Exposure { kind, announce, .. }| match kind {
        Some(ExposureType::NodePort | ExposureType::HostPort | ExposureType::LoadBalancer) => announce.is_empty(),
        Some(ExposureType::HostNetwork | ExposureType::Relay | ExposureType::ClusterOnly) | None => false,
    })
}
