//! A process of a cluster, watched: the operator's Deployment, its Pod run without a kubelet, and players.

use std::process::Command;
use std::time::{Duration, Instant};

use dragonfork::crd::RestreamProcess;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::operator_program::Operator;
use crate::plane::{With, shared, wait_for};
use crate::pod::{LocalPod, can_be_made};
use crate::tools::{here, python};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the Pod of a process as a kubelet would, and tells the API server what a kubelet tells.
async fn run_pod(client: &Client, namespace: &str, process: &str) -> LocalPod {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_process = ListParams::default().labels(&format!("app.kubernetes.io/instance={process}"));
    let deadline = Instant::now() + PATIENCE;
    let pod = loop {
        if let Some(pod) = pods.list(&of_process).await.expect("Pods can be listed").items.pop() {
            break pod;
        }
        assert!(Instant::now() < deadline, "the Deployment makes a Pod");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut local = LocalPod::new(client.clone(), &pod).await;
    local.start("whep");
    local.until_answers(8080).await;
    local.start("runner");
    local.until_answers(9080).await;
    let address = local.address().to_string();
    let status = json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": address, "hostIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
    }});
    let name = pod.name_any();
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await.expect("its status can be written");
    local
}

fn test_picture() -> RestreamProcess {
    let graph = "testsrc2=size=320x180:rate=30[out0];sine=frequency=440:sample_rate=48000[out1]";
    let manifest = json!({
        "apiVersion": "restream.wilddragon.net/v1alpha1", "kind": "RestreamProcess",
        "metadata": {"name": "picture"},
        "spec": {
            "input": [{"id": "in", "address": graph, "options": ["-re", "-f", "lavfi"]}],
            "reconnectDelaySeconds": 1,
            "webrtc": {"enabled": true, "drainTimeoutSeconds": 20},
        },
    });
    serde_json::from_value(manifest).expect("it is one")
}

fn is(process: Option<&RestreamProcess>, kind: &str, status: &str) -> bool {
    let conditions = process.and_then(|process| process.status.as_ref()).map(|status| &status.conditions);
    conditions.into_iter().flatten().any(|condition| condition.type_ == kind && condition.status == status)
}

/// Plays with the program's own player; its report.
async fn play(url: String, token: String, seconds: u32) -> Value {
    let output = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_dragonfork"))
            .args(["play", &url, "--json", "--duration", &seconds.to_string()])
            .env("CORE_PLAY_TOKEN", token)
            .output()
            .expect("it can be started")
    });
    let output = output.await.expect("no panic");
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_applied_plays_in_a_browser_in_aiortc_and_through_the_operator() {
    let Some(plane) = shared(With::Controllers).await else { return };
    if !can_be_made() {
        return;
    }
    plane.define().await;
    let namespace = plane.namespace().await;
    let client = plane.client().await;
    let operator = Operator::start(plane, &namespace.name);
    operator.ready().await;
    let processes: Api<RestreamProcess> = Api::namespaced(client.clone(), &namespace.name);
    processes.create(&PostParams::default(), &test_picture()).await.expect("it is admitted");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace.name);
    wait_for("the Deployment", deployments, "picture", |deployment: Option<&Deployment>| deployment.is_some()).await;
    let mut pod = run_pod(&client, &namespace.name, "picture").await;
    wait_for("the process is ready", processes.clone(), "picture", |process: Option<&RestreamProcess>| {
        is(process, "Ready", "True")
    })
    .await;
    let shown = processes.get("picture").await.expect("it is there").status.expect("it has a status");
    let webrtc = shown.webrtc.expect("it has WebRTC");
    let [announced] = webrtc.announced.as_slice() else { panic!("{:?}", webrtc.announced) };
    assert!(announced.starts_with(&format!("{}:3", pod.address())), "the node's address and a node port: {announced}");
    let id = format!("{}.picture", namespace.name);
    let token = operator.token().await;

    let direct = format!("http://{}:8080/api/v3/whep/{id}", pod.address());
    let browser = Chromium::start(&["--autoplay-policy=no-user-gesture-required"]).await;
    let page = format!("http://{}:8080/?url={direct}&token={token}", pod.address());
    browser.client.goto(&page).await.expect("the page opens");
    let frames =
        "const video = document.querySelector('video'); return video?.getVideoPlaybackQuality().totalVideoFrames";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = browser.client.execute(frames, Vec::new()).await.expect("the page answers");
        if seen.as_u64().is_some_and(|frames| frames > 30) {
            break;
        }
        assert!(Instant::now() < deadline, "the browser has {seen} frames: {}", pod.log("whep"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let viewer = (direct.clone(), token.clone());
    let received = tokio::task::spawn_blocking(move || {
        let viewer = [viewer.0, viewer.1, "30".into(), "30".into()];
        Command::new(python()).arg(here("aiortc_viewer.py")).args(viewer).output().expect("Python can be started")
    });
    let received = received.await.expect("no panic");
    let said = String::from_utf8_lossy(&received.stderr);
    let received: Value = serde_json::from_slice(&received.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((&received["video_frames"], &received["audio_frames"]), (&json!(30), &json!(30)), "{received}");

    let through = play(format!("{}/api/v3/whep/{id}", operator.origin()), token.clone(), 2).await;
    assert_eq!(through["failure"], Value::Null, "{through:#}");

    // The browser's session outlives FFmpeg's new start, which another input brings.
    let ffmpeg = pod.log("runner").matches("FFmpeg started").count();
    let other = json!({"spec": {"input": [{"id": "in", "options": ["-re", "-f", "lavfi"], "address":
        "testsrc2=size=320x180:rate=25[out0];sine=frequency=880:sample_rate=48000[out1]"}]}});
    processes.patch("picture", &PatchParams::default(), &Patch::Merge(&other)).await.expect("it is admitted");
    let deadline = Instant::now() + PATIENCE;
    while pod.log("runner").matches("FFmpeg started").count() == ffmpeg {
        assert!(Instant::now() < deadline, "FFmpeg starts anew without a new Pod: {}", pod.log("runner"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before =
        browser.client.execute(frames, Vec::new()).await.expect("the page answers").as_u64().unwrap_or_default();
    let deadline = Instant::now() + PATIENCE;
    while browser.client.execute(frames, Vec::new()).await.expect("the page answers").as_u64() < Some(before + 60) {
        assert!(Instant::now() < deadline, "the browser goes on: {}", pod.log("whep"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // As when the kubelet brings the ConfigMap at last: nothing is new.
    let starts = pod.log("runner").matches("FFmpeg started").count();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace.name);
    pod.sync("process", &maps.get("picture").await.expect("it is there"));

    // It ends as a kubelet ends it: with a viewer it waits, without one it goes.
    pod.signal("runner", rustix::process::Signal::TERM);
    let refused = reqwest::Client::builder().no_proxy().build().expect("a client");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let offer = include_str!("../offers/offer_chromium156_mdns.sdp");
        let request = refused.post(&direct).bearer_auth(&token).header("content-type", "application/sdp").body(offer);
        if request.send().await.expect("the sidecar answers").status() == 503 {
            break;
        }
        assert!(Instant::now() < deadline, "no new viewer is taken");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(pod.log("runner").matches("FFmpeg started").count(), starts, "the same configuration starts nothing");
    browser.client.goto("about:blank").await.expect("it leaves");
    assert_eq!(pod.ended("runner").await, Some(0), "{}", pod.log("runner"));
    pod.signal("whep", rustix::process::Signal::TERM);
    assert_eq!(pod.ended("whep").await, Some(0), "{}", pod.log("whep"));
}
