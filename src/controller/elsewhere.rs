//! A process that runs elsewhere, as far as its object tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Exec, Live, Order, Origin, Process, Reports};
use crate::crd::{RestreamProcess, State};
use crate::plan::process_id;

impl Process {
    /// A process of which the object alone is known: what runs of it is seen by somebody else. Of an object that says
    /// nothing of its time it is `now`.
    pub fn elsewhere(object: &Arc<RestreamProcess>, now: Timestamp) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let created = object.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
        let running = status.conditions.iter().find(|condition| condition.type_ == "StreamRunning");
        let since = unix(running.map_or(created, |condition| condition.last_transition_time.0));
        let refused =
            status.conditions.iter().filter(|condition| condition.type_ == "Accepted" && condition.status != "True");
        let order = if object.spec.suspend { Order::Stop } else { Order::Start };
        Self {
            key: process_id(object),
            origin: origin(object),
            refused: refused.map(|condition| condition.message.clone()).collect(),
            live: Live { order, exec: exec(status.state), ..Live::new(since) },
            status,
            manifest: object.clone(),
            log: Arc::default(),
            reports: Reports::default(),
            ends: BTreeMap::new(),
            created_at: unix(created),
            updated_at: unix(created),
            state_since: since,
        }
    }
}

/// `namespace/name`.
fn origin(object: &RestreamProcess) -> Origin {
    let [namespace, name] =
        [&object.metadata.namespace, &object.metadata.name].map(|text| text.as_deref().unwrap_or_default());
    Origin(format!("{namespace}/{name}"))
}

fn exec(state: State) -> Exec {
    match state {
        State::Pending | State::Finished | State::Suspended => Exec::Finished,
        State::Starting => Exec::Starting,
        State::Waiting | State::Running => Exec::Running,
        State::Reconnecting | State::Failed => Exec::Failed,
    }
}

fn unix(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_tells_of_its_process_what_it_knows() {
        let object = json!({
            "apiVersion": "restream.wilddragon.net/v1alpha1", "kind": "RestreamProcess",
            "metadata": {"name": "cam", "namespace": "studio", "creationTimestamp": "2026-12-01T00:00:00Z"},
            "spec": {"input": [{"id": "in", "address": "a"}], "output": [{"id": "out", "address": "b"}]},
            "status": {"state": "Running", "restarts": 1, "conditions": [
                {"type": "StreamRunning", "status": "True", "reason": "Running", "message": "",
                 "lastTransitionTime": "2026-12-01T00:01:00Z"},
            ]},
        });
        let object: RestreamProcess = serde_json::from_value(object).expect("it is one");
        let process = Process::elsewhere(&Arc::new(object), Timestamp::UNIX_EPOCH);
        assert_eq!((process.key.as_str(), process.origin.0.as_str()), ("studio.cam", "studio/cam"));
        assert_eq!((process.live.exec, process.live.order), (Exec::Running, Order::Start));
        assert_eq!(process.state_since - process.created_at, 60);
        assert_eq!(process.status.restarts, 1);
        assert!(process.refused.is_empty());
    }
}
