//! What the operator makes of a process, and of what others make of that.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::operator_program::{Operator, Space, playable};
use crate::plane::{With, shared};

fn is_owned(metadata: &ObjectMeta, uid: &str) -> bool {
    let owners = metadata.owner_references.iter().flatten();
    let mut fitting = owners.filter(|owner| owner.uid == uid);
    fitting.any(|owner| owner.controller == Some(true) && owner.block_owner_deletion == Some(true))
}

/// Somebody who changes what is not theirs.
fn somebody() -> PatchParams {
    PatchParams { field_manager: Some("somebody".into()), ..PatchParams::default() }
}

fn containers(deployment: &Deployment) -> Vec<String> {
    let spec = deployment.spec.template.spec.as_ref().expect("it has a Pod");
    spec.containers.iter().map(|container| container.name.clone()).collect()
}

#[tokio::test]
async fn a_process_gets_its_objects_and_they_are_its_own() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let operator = Operator::start(plane, &namespace.name);
    operator.ready().await;
    let uid = space.create(&playable("cam")).await.uid().expect("everything has one");
    space.applied("cam").await;
    let media = space.services.get("cam-media").await.expect("there is a Service of the media port");
    let whep = space.services.get("cam-whep").await.expect("there is a Service of WHEP");
    let map = space.maps.get("cam").await.expect("there is a ConfigMap");
    let deployment = space.deployments.get("cam").await.expect("there is a Deployment");
    for metadata in [&media.metadata, &whep.metadata, &map.metadata, &deployment.metadata] {
        assert!(is_owned(metadata, &uid), "{metadata:?}");
    }
    // No port is translated, so that nobody can be told a wrong one.
    let node_port = media.spec.and_then(|spec| spec.ports?.first()?.node_port).expect("the cluster gives a port");
    let template = serde_json::to_string(&deployment.spec.template).expect("it is JSON");
    assert!(template.contains(&format!(":{node_port}")), "{node_port}: {template}");
    let status = space.process("cam").await.status.expect("it has one");
    assert_eq!(status.observed_generation, Some(1));
}

#[tokio::test]
async fn what_somebody_else_changes_is_brought_back() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let operator = Operator::start(plane, &namespace.name);
    space.create(&playable("cam")).await;
    space.applied("cam").await;

    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    space.deployments.patch("cam", &somebody(), &patch).await.expect("they may");
    space
        .until("there is one Pod again", async |space| {
            let deployment = space.deployments.get("cam").await.ok()?;
            (deployment.spec.replicas == Some(1)).then_some(())
        })
        .await;

    let patch = Patch::Merge(json!({"data": {"settings.json": "{}"}}));
    space.maps.patch("cam", &somebody(), &patch).await.expect("they may");
    let patch = Patch::Merge(json!({"metadata": {"labels": {"app.kubernetes.io/part-of": null}}}));
    space.services.patch("cam-whep", &somebody(), &patch).await.expect("they may");
    space
        .until("map and label are as before", async |space| {
            let map = space.maps.get("cam").await.ok()?;
            let service = space.services.get("cam-whep").await.ok()?;
            (map.data?["settings.json"] != "{}" && service.labels().contains_key("app.kubernetes.io/part-of"))
                .then_some(())
        })
        .await;
    space
        .until("it is told", async |space| space.told("cam").await.contains(&"DriftCorrected".to_owned()).then_some(()))
        .await;
    assert!(operator.figure("dragonfork_operator_drift_corrections_total{", |_| true).await >= 3.0);
    // What is not ours stays.
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"example.com/note": "mine"}}}));
    space.deployments.patch("cam", &somebody(), &patch).await.expect("they may");
    space.change("cam", json!({"spec": {"reference": "other"}})).await;
    space.applied("cam").await;
    let deployment = space.deployments.get("cam").await.expect("it is there");
    assert_eq!(deployment.annotations().get("example.com/note").map(String::as_str), Some("mine"));
}

#[tokio::test]
async fn a_strategy_that_contradicts_ours_is_brought_back() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let _operator = Operator::start(plane, &namespace.name);
    space.create(&playable("cam")).await;
    space.applied("cam").await;
    let strategy = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    space.deployments.patch("cam", &somebody(), &Patch::Merge(&strategy)).await.expect("they may");
    space
        .until("the strategy is Recreate again", async |space| {
            let strategy = space.deployments.get("cam").await.ok()?.spec.strategy?;
            (strategy.type_.as_deref() == Some("Recreate") && strategy.rolling_update.is_none()).then_some(())
        })
        .await;
    space.applied("cam").await;
}

#[tokio::test]
async fn a_container_of_somebody_else_is_taken_out_twice_and_then_complained_about() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let _operator = Operator::start(plane, &namespace.name);
    space.create(&playable("cam")).await;
    space.applied("cam").await;
    let ours = containers(&space.deployments.get("cam").await.expect("it is there"));
    let container = json!({"spec": {"template": {"spec": {"containers": [{"name": "guest", "image": "guest"}]}}}});
    for _ in 0..2 {
        space.deployments.patch("cam", &somebody(), &Patch::Strategic(&container)).await.expect("they may");
        space
            .until("the guest is gone", async |space| {
                (containers(&space.deployments.get("cam").await.ok()?) == ours).then_some(())
            })
            .await;
    }
    space.deployments.patch("cam", &somebody(), &Patch::Strategic(&container)).await.expect("they may");
    let condition = space.reason("cam", "Reconciled", "ForeignChange").await;
    assert!(condition.message.contains("guest"), "{}", condition.message);
}

#[tokio::test]
async fn what_a_process_does_not_need_any_more_is_removed() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let _operator = Operator::start(plane, &namespace.name);
    space.create(&playable("cam")).await;
    space.applied("cam").await;
    space.services.get("cam-media").await.expect("it is there");
    let off = json!({"spec": {"webrtc": {"enabled": false}, "output": [{"id": "out", "address": "out.ts"}]}});
    space.change("cam", off).await;
    space
        .until("the Services are gone", async |space| {
            let left = space.services.list(&Default::default()).await.ok()?;
            left.items.is_empty().then_some(())
        })
        .await;
    space.deployments.get("cam").await.expect("the worker stays");
    space.change("cam", json!({"spec": {"suspend": true}})).await;
    space
        .until("a suspended process has no Pod", async |space| {
            (space.deployments.get("cam").await.ok()?.spec.replicas == Some(0)).then_some(())
        })
        .await;
    space
        .until("it is told", async |space| space.told("cam").await.contains(&"Suspended".to_owned()).then_some(()))
        .await;
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_taken_over() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let theirs = json!({"metadata": {"name": "cam"}, "data": {"mine": "yes"}});
    let theirs = serde_json::from_value(theirs).expect("it is a ConfigMap");
    let made = space.maps.create(&PostParams::default(), &theirs).await.expect("a map can be made");
    let _operator = Operator::start(plane, &namespace.name);
    space.create(&playable("cam")).await;
    let condition = space.reason("cam", "Reconciled", "NameTaken").await;
    assert!(condition.message.contains("ConfigMap cam"), "{}", condition.message);
    let still = space.maps.get("cam").await.expect("it is there");
    assert_eq!((still.resource_version(), still.data), (made.resource_version(), made.data));
    space.maps.delete("cam", &Default::default()).await.expect("it can be removed");
    space.applied("cam").await;
}

#[tokio::test]
async fn a_node_port_of_another_service_is_told() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let service = json!({"metadata": {"name": "other"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let service = serde_json::from_value(service).expect("it is a Service");
    let other = space.services.create(&PostParams::default(), &service).await.expect("a Service can be made");
    let port = other.spec.and_then(|spec| spec.ports?.first()?.node_port).expect("the cluster gives a port");
    let _operator = Operator::start(plane, &namespace.name);
    space.create(&playable("cam")).await;
    space.change("cam", json!({"spec": {"webrtc": {"exposure": {"type": "NodePort", "port": port}}}})).await;
    let condition = space.reason("cam", "Reconciled", "PortTaken").await;
    assert!(condition.message.contains("cam-media"), "{}", condition.message);
}

#[tokio::test]
async fn a_paused_process_is_left_alone() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let _operator = Operator::start(plane, &namespace.name);
    space.create(&playable("cam")).await;
    space.applied("cam").await;
    let paused = |value| json!({"metadata": {"annotations": {"restream.wilddragon.net/paused": value}}});
    space.change("cam", paused(Some("true"))).await;
    space.reason("cam", "Reconciled", "Paused").await;
    let before = space.maps.get("cam").await.expect("it is there").resource_version();
    space.change("cam", json!({"spec": {"reference": "other", "suspend": true}})).await;
    let patch = Patch::Merge(json!({"spec": {"replicas": 2}}));
    space.deployments.patch("cam", &somebody(), &patch).await.expect("they may");
    space
        .until("the new generation is seen", async |space| {
            let process = space.processes.get("cam").await.ok()?;
            (process.status?.observed_generation == process.metadata.generation).then_some(())
        })
        .await;
    assert_eq!(space.maps.get("cam").await.expect("it is there").resource_version(), before);
    assert_eq!(space.deployments.get("cam").await.expect("it is there").spec.replicas, Some(2));
    space.change("cam", paused(None)).await;
    space.applied("cam").await;
    assert_eq!(space.deployments.get("cam").await.expect("it is there").spec.replicas, Some(0));
}

#[tokio::test]
async fn a_pod_that_the_namespace_does_not_allow_is_told() {
    let Some(plane) = shared(With::Controllers).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let namespaces: Api<Namespace> = Api::all(space.client.clone());
    let label = Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}));
    namespaces.patch(&namespace.name, &somebody(), &label).await.expect("it can be labelled");
    let _operator = Operator::start(plane, &namespace.name);
    let mut process = playable("cam");
    let exposure = serde_json::from_value(json!({"type": "HostNetwork"})).expect("it is an exposure");
    process.spec.webrtc.as_mut().expect("it has").exposure = Some(exposure);
    space.create(&process).await;
    let condition = space.reason("cam", "Reconciled", "PodSecurityViolation").await;
    assert!(
        condition.message.contains("hostNetwork") || condition.message.contains("host namespaces"),
        "{condition:?}"
    );
    space.change("cam", json!({"spec": {"webrtc": {"exposure": {"type": "ClusterOnly"}}}})).await;
    space.applied("cam").await;
}
