//! From what is seen of a process's objects to its status.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateWaiting, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::worker::Report;
use super::{Config, Refusal, Surroundings, exposure, route};
use crate::crd::{ExposureType, RestreamProcess, RestreamProcessStatus, State};

/// Why the objects of a process are not as they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One word for the condition `Reconciled`.
    pub reason: &'static str,
    /// What is in the way, and what to do.
    pub message: String,
}

/// What is seen of a process.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Everything that is wrong with it.
    pub refused: &'a [Refusal],
    /// Whether its objects are as they should be.
    pub reconciled: Result<(), Failure>,
    /// Its objects are left alone.
    pub paused: bool,
    /// Its Pod.
    pub pod: Option<&'a Pod>,
    /// What is around it.
    pub surroundings: &'a Surroundings,
    /// What its worker said last; `None` where it does not answer.
    pub report: Option<&'a Report>,
}

/// A condition as it should be.
struct Wanted {
    kind: String,
    status: bool,
    reason: String,
    message: String,
}

impl Wanted {
    fn new(kind: &str, status: bool, reason: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), status, reason: reason.into(), message: message.into() }
    }
}

/// The status of a process. Times of transitions are kept from the one that it has.
pub fn status(process: &RestreamProcess, config: &Config, seen: &Seen<'_>, now: Timestamp) -> RestreamProcessStatus {
    let generation = observed_generation(process, seen);
    let reported = seen.report.map(|report| &report.status);
    let mut status = reported.cloned().unwrap_or_else(|| before(process));
    let wanted = conditions(process, config, seen);
    status.observed_generation = generation;
    status.state = state(process, seen);
    status.pod_name = seen.pod.and_then(|pod| pod.metadata.name.clone());
    status.node_name = seen.pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone());
    // Figures change all the time; they are metrics.
    status.progress = None;
    let playable = exposure::of(process, config).playable;
    status.webrtc = playable.then(|| {
        let mut webrtc = status.webrtc.take().unwrap_or_default();
        webrtc.whep_url = route::whep_url(process, config);
        if reported.is_none() {
            (webrtc.viewers, webrtc.announced) = (0, Vec::new());
        }
        webrtc
    });
    let old = process.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    status.conditions = wanted.into_iter().map(|wanted| bring(old, wanted, generation, now)).collect();
    status
}

/// The generation that this status speaks of: while the worker runs an older manifest, that one. So who waits for `Ready`
/// after a change waits for the change.
fn observed_generation(process: &RestreamProcess, seen: &Seen<'_>) -> Option<i64> {
    let is_run = seen.refused.is_empty() && !seen.paused && !process.spec.suspend;
    let reported = seen.report.filter(|_| is_run).and_then(|report| report.status.observed_generation);
    reported.or(process.metadata.generation)
}

/// What lasts of the status while the worker does not answer.
fn before(process: &RestreamProcess) -> RestreamProcessStatus {
    let last = process.status.as_ref();
    RestreamProcessStatus {
        restarts: last.map(|last| last.restarts).unwrap_or_default(),
        last_exit: last.and_then(|last| last.last_exit.clone()),
        webrtc: last.and_then(|last| last.webrtc.clone()),
        ..RestreamProcessStatus::default()
    }
}

fn state(process: &RestreamProcess, seen: &Seen<'_>) -> State {
    match seen.report {
        _ if process.spec.suspend => State::Suspended,
        Some(report) => report.status.state,
        None => State::Pending,
    }
}

fn bring(old: &[Condition], wanted: Wanted, generation: Option<i64>, now: Timestamp) -> Condition {
    let status = if wanted.status { "True" } else { "False" };
    let before = old.iter().find(|condition| condition.type_ == wanted.kind && condition.status == status);
    Condition {
        last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
        message: wanted.message,
        observed_generation: generation,
        reason: wanted.reason,
        status: status.into(),
        type_: wanted.kind,
    }
}

fn conditions(process: &RestreamProcess, config: &Config, seen: &Seen<'_>) -> Vec<Wanted> {
    let mut wanted = vec![accepted(seen), reconciled(seen), stream_running(process, seen)];
    wanted.extend(playback_ready(process, config, seen));
    wanted.push(ready(&wanted));
    wanted.extend(["ReferencesResolved", "OutputStalled"].iter().filter_map(|kind| reported(seen, kind)));
    wanted
}

/// A condition as the worker tells it.
fn reported(seen: &Seen<'_>, kind: &str) -> Option<Wanted> {
    let conditions = &seen.report?.status.conditions;
    let Condition { reason, message, status, .. } = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some(Wanted::new(kind, status == "True", reason, message.as_str()))
}

fn accepted(seen: &Seen<'_>) -> Wanted {
    if let [first, ..] = seen.refused {
        let messages: Vec<&str> = seen.refused.iter().map(|refusal| refusal.message.as_str()).collect();
        return Wanted::new("Accepted", false, first.reason, messages.join("; "));
    }
    match reported(seen, "Accepted") {
        // Of another configuration perhaps; where it is of this one the operator has refused it as well.
        Some(condition) if !condition.status => Wanted { reason: "InvalidSpec".into(), ..condition },
        _ => Wanted::new("Accepted", true, "Accepted", ""),
    }
}

fn reconciled(seen: &Seen<'_>) -> Wanted {
    match &seen.reconciled {
        _ if seen.paused => {
            let message = "its objects are left alone (annotation restream.wilddragon.net/paused)";
            Wanted::new("Reconciled", false, "Paused", message)
        }
        _ if !seen.refused.is_empty() => {
            let message = "the manifest is not accepted, so its objects stay as they are";
            Wanted::new("Reconciled", false, "NotAccepted", message)
        }
        Ok(()) => Wanted::new("Reconciled", true, "Applied", ""),
        Err(Failure { reason, message }) => Wanted::new("Reconciled", false, reason, message.as_str()),
    }
}

fn stream_running(process: &RestreamProcess, seen: &Seen<'_>) -> Wanted {
    const KIND: &str = "StreamRunning";
    if process.spec.suspend {
        return Wanted::new(KIND, false, "Suspended", "the manifest says suspend");
    }
    if let Some(missing) = reported(seen, "ReferencesResolved").filter(|condition| !condition.status) {
        let reason = if missing.reason == "ValueNotFound" { "SecretKeyNotFound" } else { missing.reason.as_str() };
        return Wanted::new(KIND, false, reason, missing.message);
    }
    if let Some(running) = reported(seen, KIND) {
        return running;
    }
    let (reason, message) = match seen.pod {
        None => ("Pending", "there is no Pod yet".to_owned()),
        Some(pod) => of_pod(pod),
    };
    Wanted::new(KIND, false, reason, message)
}

/// Why a worker does not answer, as far as its Pod says.
fn of_pod(pod: &Pod) -> (&'static str, String) {
    let Some(status) = &pod.status else { return ("Pending", "its Pod has no node yet".into()) };
    let conditions = status.conditions.as_deref().unwrap_or_default();
    if let Some(unscheduled) = conditions.iter().find(|it| it.type_ == "PodScheduled" && it.status == "False") {
        return ("Unschedulable", unscheduled.message.clone().unwrap_or_default());
    }
    let containers = [&status.init_container_statuses, &status.container_statuses];
    let containers: Vec<&ContainerStatus> = containers.into_iter().flatten().flatten().collect();
    let stuck = containers.iter().filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some((stuck(waiting)?, container_message(container, waiting)))
    });
    if let Some(found) = stuck.into_iter().next() {
        return found;
    }
    if let Some(reason) = status.reason.as_ref().filter(|_| status.phase.as_deref() == Some("Failed")) {
        return ("PodFailed", format!("its Pod failed ({reason}): {}", status.message.as_deref().unwrap_or_default()));
    }
    if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return (
            "WorkerUnreachable",
            "its Pod is ready, and does not answer the operator; do network policies let the \
                                      operator reach port 9080 of the Pod?"
                .into(),
        );
    }
    ("Starting", "its Pod is starting".into())
}

/// One word for what keeps a container from starting; `None` while it is on its way.
fn stuck(waiting: &ContainerStateWaiting) -> Option<&'static str> {
    let message = waiting.message.as_deref().unwrap_or_default().to_lowercase();
    Some(match waiting.reason.as_deref()? {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError" => "ImagePullFailed",
        "CreateContainerConfigError" if message.contains("secret") => "SecretNotFound",
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => "ContainerConfigError",
        "CrashLoopBackOff" => "WorkerFailed",
        _ => return None,
    })
}

/// What is known of a container that does not start, and of why it ended before.
fn container_message(container: &ContainerStatus, waiting: &ContainerStateWaiting) -> String {
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let mut text = format!("container {}: {reason}", container.name);
    if let Some(message) = &waiting.message {
        text.push_str(&format!(": {message}"));
    }
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if let Some(last_words) = ended.and_then(|ended| ended.message.as_deref()) {
        text.push_str(&format!("; its last words: {}", last_words.trim()));
    }
    text.chars().take(1024).collect()
}

/// `None` without WebRTC.
fn playback_ready(process: &RestreamProcess, config: &Config, seen: &Seen<'_>) -> Option<Wanted> {
    const KIND: &str = "PlaybackReady";
    let exposure = exposure::of(process, config);
    if !exposure.playable {
        return None;
    }
    if process.spec.suspend {
        return Some(Wanted::new(KIND, false, "NotRunning", "the process is not running"));
    }
    if exposure.needs_address() && exposure.announced(seen.surroundings).is_empty() {
        let (reason, message) = match exposure.kind {
            ExposureType::LoadBalancer => ("WaitingForLoadBalancer", "the load balancer has no address yet"),
            _ if seen.pod.is_none_or(|pod| pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none())) => {
                ("WaitingForAddress", "the Pod has no node yet whose address viewers could be told")
            }
            _ => (
                "WaitingForAddress",
                "the Pod's node has no address that viewers could be told; write spec.webrtc.exposure.announce",
            ),
        };
        return Some(Wanted::new(KIND, false, reason, message));
    }
    Some(
        reported(seen, KIND)
            .unwrap_or_else(|| Wanted::new(KIND, false, "GatewayNotReady", "the worker does not answer yet")),
    )
}

/// What of the conditions before it is not true comes first.
fn ready(conditions: &[Wanted]) -> Wanted {
    match conditions.iter().find(|condition| !condition.status) {
        None => Wanted::new("Ready", true, "AllReady", ""),
        Some(first) => Wanted::new("Ready", false, &first.reason, first.message.as_str()),
    }
}
