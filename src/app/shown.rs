//! What the runner of a worker Pod shows of its process, on its way to the gateway's program.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::controller::{Exec, Live, Order, Origin, Problem, Process, Reports, Snapshot};
use crate::crd::{Exposure, ExposureType, RestreamProcess, RestreamProcessStatus};
use crate::gateway::Announcement;
use crate::plan::process_id;

/// What is shown of everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    processes: Vec<One>,
    problems: Vec<Problem>,
}

/// What is shown of one process. Its log and the reports of its runs stay with the runner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct One {
    origin: String,
    manifest: RestreamProcess,
    refused: Vec<String>,
    status: RestreamProcessStatus,
    order: Order,
    exec: Exec,
    exec_since: u64,
    created_at: u64,
    updated_at: u64,
    state_since: u64,
}

impl Shown {
    /// What is shown here.
    pub fn of(snapshot: &Snapshot) -> Self {
        let one = |process: &Arc<Process>| One {
            origin: process.origin.0.clone(),
            manifest: RestreamProcess::clone(&process.manifest),
            refused: process.refused.clone(),
            status: process.status.clone(),
            order: process.live.order,
            exec: process.live.exec,
            exec_since: process.live.exec_since,
            created_at: process.created_at,
            updated_at: process.updated_at,
            state_since: process.state_since,
        };
        Self { processes: snapshot.processes.values().map(one).collect(), problems: snapshot.problems.clone() }
    }

    /// What is shown there.
    pub fn into_snapshot(self) -> Snapshot {
        let Self { processes, problems } = self;
        let process = |one: One| {
            let One { origin, manifest, refused, status, order, exec, exec_since, created_at, updated_at, state_since } =
                one;
            let key = process_id(&manifest);
            let process = Process {
                key: key.clone(),
                origin: Origin(origin),
                manifest: Arc::new(manifest),
                refused,
                status,
                log: Arc::default(),
                live: Live { order, exec, ..Live::new(exec_since) },
                reports: Reports::default(),
                ends: Default::default(),
                created_at,
                updated_at,
                state_since,
            };
            (key, Arc::new(process))
        };
        Snapshot { processes: processes.into_iter().map(process).collect(), problems, skills: None }
    }
}

/// What viewers of the processes are to be told, as far as the manifests say it. Where the cluster makes the gateway
/// reachable that is what stands there and nothing else.
pub fn announcement(snapshot: &Snapshot) -> Option<Announcement> {
    let webrtc = snapshot.processes.values().find_map(|process| process.manifest.spec.webrtc.as_ref())?;
    let Some(Exposure { kind, port, announce, load_balancer_class: _, annotations: _ }) = &webrtc.exposure else {
        return Some(Announcement::of(&[]));
    };
    let port = port.and_then(|port| u16::try_from(port).ok());
    let names = match kind {
        Some(ExposureType::NodePort | ExposureType::HostPort | ExposureType::LoadBalancer) => Some(announce.clone()),
        Some(ExposureType::HostNetwork | ExposureType::Relay | ExposureType::ClusterOnly) | None => {
            (!announce.is_empty()).then(|| announce.clone())
        }
    };
    Some(Announcement { names, port })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::controller::{Change, Controller, Playback};
    use crate::plan::Surroundings;

    fn snapshot(exposure: &str) -> Snapshot {
        let text = format!(
            "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: cam}}\nspec:\n  \
             input: [{{id: i, address: x}}]\n  output: []\n  webrtc: {{enabled: true{exposure}}}\n"
        );
        let manifest = Arc::new(serde_yaml::from_str(&text).expect("the test's manifest is good"));
        let mut controller = Controller::new(Playback::default(), Surroundings::new("/data"));
        let listing = vec![(Origin("process.yaml".into()), manifest)];
        controller.handle_change(Change::Reset(listing), Timestamp::from_second(100).expect("a time"));
        controller.snapshot()
    }

    #[test]
    fn what_is_shown_arrives_as_it_is() {
        let there = snapshot(", maxViewers: 3");
        let text = serde_json::to_string(&Shown::of(&there)).expect("JSON");
        let shown: Shown = serde_json::from_str(&text).expect("it is read");
        assert_eq!(shown, Shown::of(&there));
        let here = shown.into_snapshot();
        let (key, process) = here.processes.first_key_value().expect("there is one");
        let (_, original) = there.processes.first_key_value().expect("there is one");
        assert_eq!((key, &process.manifest, &process.status), (&original.key, &original.manifest, &original.status));
        assert_eq!((process.live.order, process.created_at), (original.live.order, original.created_at));
    }

    #[test]
    fn what_the_cluster_exposes_is_announced_as_the_manifest_says_and_the_rest_by_the_machine() {
        let of = |exposure: &str| announcement(&snapshot(exposure)).expect("there is a process");
        let these = |names: &[&str], port| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Announcement { names: Some(names), port }
        };
        assert_eq!(of(", exposure: {type: NodePort}"), these(&[], None));
        assert_eq!(
            of(", exposure: {type: NodePort, announce: ['192.0.2.1:31000']}"),
            these(&["192.0.2.1:31000"], None)
        );
        assert_eq!(
            of(", exposure: {type: LoadBalancer, port: 9000, announce: [lb.example]}"),
            these(&["lb.example"], Some(9000))
        );
        assert_eq!(of(", exposure: {type: HostNetwork, port: 9000}"), Announcement { names: None, port: Some(9000) });
        for exposure in ["", ", exposure: {type: ClusterOnly}", ", exposure: {type: Relay}"] {
            assert_eq!(of(exposure), Announcement::of(&[]), "{exposure}");
        }
    }
}
