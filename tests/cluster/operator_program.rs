//! The operator as a program, and what its tests ask the cluster.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use dragonfork::crd::RestreamProcess;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::child::{Child, free_port};
use crate::keeper;
use crate::plane::Plane;

/// How long a test waits for what an operator does; it shares the machine with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Makes an operator work without being elected.
pub const ALONE: (&str, &str) = ("CORE_OPERATOR_LEADER_ELECTION", "false");

const USERNAME: &str = "admin";
const PASSWORD: &str = "hunter22";

/// A running operator, which ends with this value.
pub struct Operator {
    pub child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Operator {
    /// One for a namespace, which works without being elected.
    pub fn start(plane: &Plane, namespace: &str) -> Self {
        Self::start_with(plane, namespace, &[ALONE])
    }

    /// One that remembers nothing of others, with these variables.
    pub fn start_with(plane: &Plane, namespace: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("operator-").tempdir_in(keeper::folder()).expect("it is ours");
        Self::start_in(folder, plane, namespace, variables)
    }

    fn start_in(folder: tempfile::TempDir, plane: &Plane, namespace: &str, variables: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
        command
            .arg("operator")
            .env("KUBECONFIG", plane.kubeconfig())
            .env("CORE_OPERATOR_NAMESPACES", namespace)
            .env("CORE_OPERATOR_IMAGE", "registry.example/dragonfork:1")
            .env("CORE_ADDRESS", format!("127.0.0.1:{port}"))
            .env("CORE_DB_DIR", folder.path().join("config"))
            .env("CORE_API_AUTH_USERNAME", USERNAME)
            .env("CORE_API_AUTH_PASSWORD", PASSWORD)
            .env("CORE_LOG_LEVEL", "debug")
            .env("CORE_LOG_FORMAT", "json")
            .envs(variables.iter().copied());
        let child = keeper::start("operator", command, folder.path());
        Self { child, folder, port }
    }

    /// Ends it as Kubernetes does, and starts it anew with what it remembers.
    pub async fn restart(mut self, plane: &Plane, namespace: &str, variables: &[(&str, &str)]) -> Self {
        self.child.signal(Signal::TERM);
        let status = self.child.end_within(Duration::from_secs(10)).await.expect("it ends");
        assert!(status.success(), "{status}: {}", self.child.log());
        let Self { child, folder, port: _ } = self;
        drop(child);
        Self::start_in(folder, plane, namespace, variables)
    }

    async fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}{path}", self.port)).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// Where its interface is.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A token of who may log in.
    pub async fn token(&self) -> String {
        let login = json!({"username": USERNAME, "password": PASSWORD});
        let request = reqwest::Client::new().post(format!("{}/api/login", self.origin())).json(&login);
        let tokens: Value = request.send().await.expect("it answers").json().await.expect("JSON");
        tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned()
    }

    /// Waits until it knows what is there.
    pub async fn ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.get("/readyz").await.is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < deadline, "the operator is not ready: {}", self.child.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.get("/livez").await, Some((200, "ok\n".into())));
        assert_eq!(self.get("/ping").await, Some((200, "pong".into())));
    }

    /// The sum of a figure over all label sets that `fits` takes.
    pub async fn figure(&self, name: &str, fits: impl Fn(&str) -> bool) -> f64 {
        let (_, text) = self.get("/metrics").await.expect("it answers");
        let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.split_once("} "));
        lines.filter(|(labels, _)| fits(labels)).filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
    }

    /// Requests to the API server that ask for a change.
    pub async fn writes(&self) -> f64 {
        self.figure("rest_client_requests_total{", |labels| !labels.contains("method=\"GET\"")).await
    }

    /// Whether it leads.
    pub async fn leads(&self) -> bool {
        self.get("/metrics")
            .await
            .is_some_and(|(_, text)| text.contains("leader_election_master_status{name=\"dragonfork-operator\"} 1"))
    }
}

/// What a test asks one namespace.
#[derive(Clone)]
pub struct Space {
    pub client: Client,
    pub processes: Api<RestreamProcess>,
    pub services: Api<Service>,
    pub maps: Api<ConfigMap>,
    pub deployments: Api<Deployment>,
    pub events: Api<Event>,
}

impl Space {
    pub async fn new(plane: &Plane, namespace: &str) -> Self {
        let client = plane.client().await;
        Self {
            processes: Api::namespaced(client.clone(), namespace),
            services: Api::namespaced(client.clone(), namespace),
            maps: Api::namespaced(client.clone(), namespace),
            deployments: Api::namespaced(client.clone(), namespace),
            events: Api::namespaced(client.clone(), namespace),
            client,
        }
    }

    pub async fn create(&self, process: &RestreamProcess) -> RestreamProcess {
        self.processes.create(&PostParams::default(), process).await.expect("a process can be made")
    }

    /// Changes a process as a person would.
    pub async fn change(&self, name: &str, patch: Value) {
        self.processes
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("a process can be changed");
    }

    /// Waits until something that is asked again and again is so.
    pub async fn until<T>(&self, what: &str, mut ask: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = ask(self).await {
                return found;
            }
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn process(&self, name: &str) -> RestreamProcess {
        self.processes.get(name).await.expect("it is there")
    }

    /// Waits until a condition has a reason.
    pub async fn reason(&self, name: &str, kind: &str, reason: &str) -> Condition {
        self.until(&format!("{kind} of {name} is {reason}"), async |space| {
            let process = space.processes.get(name).await.ok()?;
            let conditions = process.status?.conditions;
            conditions.into_iter().find(|condition| condition.type_ == kind && condition.reason == reason)
        })
        .await
    }

    /// Waits until the objects of a process are as they should be for what is written now.
    pub async fn applied(&self, name: &str) {
        self.until(&format!("{name} is applied"), async |space| {
            let process = space.processes.get(name).await.ok()?;
            let generation = process.metadata.generation;
            let conditions = process.status?.conditions;
            let is = |it: &Condition| {
                it.type_ == "Reconciled" && it.status == "True" && it.observed_generation == generation
            };
            conditions.iter().any(is).then_some(())
        })
        .await;
    }

    /// Reasons of the events of a process.
    pub async fn told(&self, name: &str) -> Vec<String> {
        let events = self.events.list(&ListParams::default()).await.expect("events can be listed");
        let of_process =
            events.into_iter().filter(|event| event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(name));
        of_process.filter_map(|event| event.reason).collect()
    }

    /// Version of every object in the namespace that an operator may write.
    pub async fn versions(&self) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::new();
        let mut add = |kind: &str, object: &dyn Fn() -> (String, Option<String>)| {
            let (name, version) = object();
            versions.insert(format!("{kind} {name}"), version.unwrap_or_default());
        };
        let all = ListParams::default();
        macro_rules! list {
            ($kind:literal, $api:expr) => {
                for object in $api.list(&all).await.expect("it can be listed") {
                    add($kind, &|| (object.name_any(), object.resource_version()));
                }
            };
        }
        list!("process", self.processes);
        list!("service", self.services);
        list!("map", self.maps);
        list!("deployment", self.deployments);
        list!("event", self.events);
        versions
    }
}

/// A process that can be watched in a browser.
pub fn playable(name: &str) -> RestreamProcess {
    serde_json::from_value(json!({
        "apiVersion": "restream.wilddragon.net/v1alpha1", "kind": "RestreamProcess",
        "metadata": {"name": name},
        "spec": {
            "input": [{"id": "in", "address": "testsrc=size=320x240:rate=25", "options": ["-f", "lavfi", "-re"]}],
            "webrtc": {"enabled": true},
        },
    }))
    .expect("it is a process")
}
