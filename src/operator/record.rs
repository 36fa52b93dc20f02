//! The status of a process and the events of it: written where something has changed that is worth a write.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::discovery::ApiResource;
use kube::runtime::events::{Event, EventType};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Context;
use super::failure::Trouble;
use super::key::Key;
use super::known;
use super::notices::{Notice, notices};
use crate::crd::{API_VERSION, KIND, RestreamProcess, RestreamProcessStatus};

/// Field manager of every status.
const STATUS_MANAGER: &str = "dragonfork-operator-status";
/// The number of viewers alone is written at most this often.
const VIEWERS_INTERVAL: Duration = Duration::from_secs(30);

/// Writes the status of a process, where it is another one; says in how long to come again for what can wait.
pub async fn record(
    cx: &Context,
    key: &Key,
    process: &RestreamProcess,
    status: RestreamProcessStatus,
) -> Result<Option<Duration>, Trouble> {
    let before = process.status.as_ref();
    let essence_now = essence(&status);
    let version = known::version(&process.metadata);
    let is_kept = cx.index.with_state(key, |state| {
        state.status_kept.as_ref().is_some_and(|(kept, of)| *of == version && *kept == essence_now)
    });
    if is_kept || before.is_some_and(|before| essence(before) == essence_now) {
        let viewers = |status: &RestreamProcessStatus| status.webrtc.as_ref().map(|webrtc| webrtc.viewers);
        if before.and_then(viewers) == viewers(&status) {
            return Ok(None);
        }
        let written = cx.index.with_state(key, |state| state.status_written);
        let left = written.map_or(Duration::ZERO, |at| VIEWERS_INTERVAL.saturating_sub(at.elapsed()));
        if !left.is_zero() {
            return Ok(Some(left));
        }
    }
    let metadata = json!({"name": key.name, "namespace": key.namespace, "uid": process.metadata.uid});
    let body = json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status});
    let api: Api<RestreamProcess> = Api::namespaced(cx.client.clone(), &key.namespace);
    let parameters = PatchParams::apply(STATUS_MANAGER).force();
    let mut written = match api.patch_status(&key.name, &parameters, &Patch::Apply(body)).await {
        Ok(written) => written,
        // It is gone, or another one by now; the watch tells.
        Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => return Ok(None),
        Err(error) => return Err(Trouble::of("its status", &error)),
    };
    cx.figures.status_written();
    written.metadata.managed_fields = None;
    let kept = written.status.as_ref().map(essence);
    cx.index.with_state(key, |state| {
        state.status_written = Some(Instant::now());
        let is_less = kept.as_ref() != Some(&essence_now);
        state.status_kept = is_less.then(|| (essence_now, known::version(&written.metadata)));
    });
    cx.index.renew_process(written);
    for notice in notices(before, &status) {
        tell(cx, process, notice).await;
    }
    Ok(None)
}

/// What of a status is worth a write by itself.
fn essence(status: &RestreamProcessStatus) -> RestreamProcessStatus {
    let mut status = status.clone();
    status.progress = None;
    if let Some(webrtc) = &mut status.webrtc {
        webrtc.viewers = 0;
    }
    for condition in &mut status.conditions {
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    status
}

/// Publishes an event. One that is lost is no reason to do anything again.
pub async fn tell(cx: &Context, process: &impl Resource<DynamicType = ()>, notice: Notice) {
    let Notice { is_warning, reason, note } = notice;
    let type_ = if is_warning { EventType::Warning } else { EventType::Normal };
    let metadata = process.meta();
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    match is_warning {
        true => tracing::warn!(namespace, name, reason, "{note}"),
        false => tracing::info!(namespace, name, reason, "{note}"),
    }
    let event = Event { type_, reason: reason.into(), note: Some(note), action: "Reconciling".into(), secondary: None };
    if let Err(error) = cx.recorder.publish(&event, &process.object_ref(&())).await {
        tracing::debug!(namespace, name, reason, %error, "an event cannot be published");
    }
}

/// Says of an object that cannot be read that it cannot.
pub async fn record_unreadable(cx: &Context, key: &Key, object: &InvalidObject) -> Result<(), Trouble> {
    let generation = object.metadata.generation;
    let message = format!("the operator cannot read it: {}", object.error);
    let resource = ApiResource::erase::<RestreamProcess>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(cx.client.clone(), &key.namespace, &resource);
    let live = match api.get_opt(&key.name).await {
        Ok(Some(live)) => live,
        Ok(None) => return Ok(()),
        Err(error) => return Err(Trouble::of("it", &error)),
    };
    let conditions = live.data.pointer("/status/conditions").and_then(Value::as_array);
    let is_told = |condition: &Value| {
        condition["type"] == "Accepted"
            && condition["status"] == "False"
            && condition["message"] == message.as_str()
            && condition["observedGeneration"].as_i64() == generation
    };
    if conditions.is_some_and(|conditions| conditions.iter().any(is_told)) {
        return Ok(());
    }
    let now = Time(Timestamp::now());
    let condition = |kind: &str| {
        json!({"type": kind, "status": "False", "reason": "InvalidSpec", "message": message,
            "lastTransitionTime": now, "observedGeneration": generation})
    };
    let status = json!({"observedGeneration": generation, "state": "Pending", "restarts": 0,
        "conditions": [condition("Accepted"), condition("Ready")]});
    let metadata = json!({"name": key.name, "namespace": key.namespace, "uid": object.metadata.uid});
    let body = json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status});
    let parameters = PatchParams::apply(STATUS_MANAGER).force();
    let written = api.patch_status(&key.name, &parameters, &Patch::Apply(body)).await;
    let mut bare = RestreamProcess::new(&key.name, unread());
    bare.metadata = object.metadata.clone();
    tell(cx, &bare, Notice::warning("FailedApply", format!("InvalidSpec: {message}"))).await;
    match written {
        Ok(_) => cx.figures.status_written(),
        // Where the status cannot be written either, the event has said it.
        Err(error) => {
            tracing::debug!(namespace = &*key.namespace, name = &*key.name, %error, "no status can be written")
        }
    }
    Ok(())
}

/// The spec in place of one that cannot be read; an event needs the metadata alone.
fn unread() -> crate::crd::RestreamProcessSpec {
    serde_json::from_value(json!({"input": []})).expect("it has what is needed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{Progress, WebRtcStatus};

    #[test]
    fn figures_alone_are_not_worth_a_write() {
        let status = |viewers, frame| RestreamProcessStatus {
            webrtc: Some(WebRtcStatus { viewers, ..WebRtcStatus::default() }),
            progress: Some(Progress { frame, ..Progress::default() }),
            ..RestreamProcessStatus::default()
        };
        assert_eq!(essence(&status(1, 2)), essence(&status(3, 4)));
        let restarted = RestreamProcessStatus { restarts: 1, ..status(1, 2) };
        assert_ne!(essence(&status(1, 2)), essence(&restarted));
    }
}
