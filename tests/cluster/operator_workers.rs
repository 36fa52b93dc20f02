//! What the operator and a worker tell each other. The worker is played: it answers, and keeps what it was told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use dragonfork::crd;
use dragonfork::workload::{Configuration, Report};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::operator_program::{ALONE, Operator, Space, playable};
use crate::plane::{With, own};

#[derive(Clone)]
struct Worker(Arc<Mutex<Inner>>);

struct Inner {
    report: Report,
    told: Option<Configuration>,
    token: String,
    asked: usize,
}

impl Worker {
    async fn start() -> (Self, SocketAddr) {
        let report = Report { configuration: "nothing".into(), draining: false, status: running(0, 0) };
        let worker = Self(Arc::new(Mutex::new(Inner { report, told: None, token: String::new(), asked: 0 })));
        let router = Router::new().route("/worker", get(tell).put(take)).with_state(worker.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        (worker, address)
    }

    fn with<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.0.lock().expect("nobody panics"))
    }
}

async fn tell(State(worker): State<Worker>, headers: HeaderMap) -> Json<Report> {
    let token = headers["authorization"].to_str().expect("it is text").trim_start_matches("Bearer ").to_owned();
    Json(worker.with(|inner| {
        (inner.token, inner.asked) = (token, inner.asked + 1);
        inner.report.clone()
    }))
}

async fn take(State(worker): State<Worker>, Json(told): Json<Configuration>) -> StatusCode {
    worker.with(|inner| {
        inner.report.configuration = told.digest();
        inner.told = Some(told);
    });
    StatusCode::NO_CONTENT
}

fn running(viewers: i32, frame: i64) -> crd::RestreamProcessStatus {
    let condition = |kind: &str, reason: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": "",
            "lastTransitionTime": "2026-12-01T00:00:00Z"})
    };
    serde_json::from_value(json!({
        "state": "Running", "restarts": 0, "progress": {"frame": frame},
        "webrtc": {"viewers": viewers, "announced": ["192.0.2.1:31000"]},
        "conditions": [condition("Accepted", "Accepted"), condition("StreamRunning", "Running"),
            condition("PlaybackReady", "Playing"), condition("Ready", "AllReady")],
    }))
    .expect("it is a status")
}

/// A Pod of a process as the kubelet would tell of it.
async fn pod(space: &Space, namespace: &str, process: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(space.client.clone(), namespace);
    let accounts: Api<ServiceAccount> = Api::namespaced(space.client.clone(), namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).expect("it is an account");
    accounts.create(&PostParams::default(), &account).await.expect("an account can be made");
    let template = space.deployments.get(process).await.expect("it is there").spec.template;
    let mut spec = serde_json::to_value(template.spec).expect("it is JSON");
    spec["nodeName"] = "somewhere".into();
    let labels = template.metadata.and_then(|metadata| metadata.labels);
    let name = format!("{process}-1");
    let pod = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
    let pod: Pod = serde_json::from_value(pod).expect("it is a Pod");
    pods.create(&PostParams::default(), &pod).await.expect("a Pod can be made");
    let status = json!({"status": {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await.expect("it runs");
    name
}

#[tokio::test]
async fn a_worker_is_asked_told_and_shown() {
    // Where there are controllers, they would look for the node of the Pod.
    let Some(plane) = own(With::ApiServer).await else { return };
    let plane = &plane;
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let (worker, address) = Worker::start().await;
    let port = address.port().to_string();
    let variables = [ALONE, ("CORE_OPERATOR_WORKER_PORT", port.as_str())];
    let operator = Operator::start_with(plane, &namespace.name, &variables);
    space.create(&playable("cam")).await;
    space.applied("cam").await;
    pod(&space, &namespace.name, "cam").await;

    // It is told at once what its volume says later.
    let told = space.until("the worker is told", async |_| worker.with(|inner| inner.told.clone())).await;
    space
        .until("the worker and its volume are told the same, with the address of the node", async |space| {
            let map = space.maps.get("cam").await.ok()?.data?;
            let told = worker.with(|inner| inner.told.clone())?;
            (map["process.yaml"] == told.process && told.process.contains("192.0.2.1")).then_some(())
        })
        .await;

    // The token is one that the worker can verify with what it was told, and opens this process alone.
    let (token, set) = (worker.with(|inner| inner.token.clone()), &told.jwks);
    let set: JwkSet = serde_json::from_str(set).expect("it is a JWKS");
    let settings: Value = serde_json::from_str(&told.settings).expect("it is JSON");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[settings["issuer"].as_str().expect("it is text")]);
    validation.set_audience(&[settings["audience"].as_str().expect("it is text")]);
    let key = DecodingKey::from_jwk(&set.keys[0]).expect("it is a key");
    let claims = decode::<Value>(&token, &key, &validation).expect("it is verified").claims;
    assert_eq!(claims["process"], format!("{}.cam", namespace.name));

    space.reason("cam", "Ready", "AllReady").await;
    let status = space.process("cam").await.status.expect("it has one");
    assert_eq!((status.state, status.pod_name.as_deref()), (crd::State::Running, Some("cam-1")));
    assert!(status.progress.is_none(), "figures are no business of the API server");
    space
        .until("it is told", async |space| {
            let told = space.told("cam").await;
            ["Started", "WebRTCExposed"].iter().all(|reason| told.iter().any(|it| it == reason)).then_some(())
        })
        .await;

    // Figures alone are not written, however often the worker is asked.
    let (writes, asked) = (operator.writes().await, worker.with(|inner| inner.asked));
    worker.with(|inner| inner.report.status = running(0, 1000));
    space.until("it is asked again", async |_| worker.with(|inner| inner.asked > asked + 2).then_some(())).await;
    assert_eq!(operator.writes().await, writes);

    // FFmpeg ends: that is news.
    worker.with(|inner| {
        let exit =
            json!({"code": 1, "reason": "Failed", "at": "2026-12-01T00:00:09Z", "message": "Connection refused"});
        inner.report.status.last_exit = serde_json::from_value(exit).expect("it is an exit");
        inner.report.status.state = crd::State::Reconnecting;
    });
    space
        .until("the end of FFmpeg is shown and told", async |space| {
            let status = space.process("cam").await.status?;
            let told = space.told("cam").await;
            (status.state == crd::State::Reconnecting && told.contains(&"FFmpegExited".to_owned())).then_some(())
        })
        .await;

    // An operator that starts anew asks first, and writes nothing that it did not know.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let versions = space.versions().await;
    let operator = operator.restart(plane, &namespace.name, &variables).await;
    operator.ready().await;
    let asked = worker.with(|inner| inner.asked);
    space.until("it is asked again", async |_| worker.with(|inner| inner.asked > asked + 2).then_some(())).await;
    assert_eq!((operator.writes().await, space.versions().await), (0.0, versions));
}
