//! What the API server makes of our definition.

use dragonfork::crd::RestreamProcess;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::wait::conditions;
use kube::{Resource, ResourceExt};
use serde_json::json;

use crate::plane::{With, shared, wait_for};

fn process(name: &str, reference: &str) -> RestreamProcess {
    let manifest = json!({
        "apiVersion": "restream.wilddragon.net/v1alpha1",
        "kind": "RestreamProcess",
        "metadata": {"name": name},
        "spec": {
            "reference": reference,
            "input": [{"id": "in", "address": "rtmp://0.0.0.0/live/cam"}],
            "output": [{"id": "out", "address": "out.m3u8"}],
        },
    });
    serde_json::from_value(manifest).expect("it is one")
}

#[tokio::test]
async fn the_definition_is_accepted_and_established() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let processes: Api<RestreamProcess> = Api::namespaced(plane.client().await, &namespace.name);
    for (name, reference) in [("one", "studio-a"), ("two", "studio-b")] {
        processes.create(&PostParams::default(), &process(name, reference)).await.expect("a process can be made");
    }
    let of_a = ListParams::default().fields("spec.reference=studio-a");
    let found = processes.list(&of_a).await.expect("its references can be selected");
    assert_eq!(found.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["one"]);
    for name in ["restreamprocesses", "restreamprocess", "rsp", "restream"] {
        let output = plane.kubectl().args(["get", "-n", &namespace.name, name, "-o", "wide"]).output();
        let output = output.expect("kubectl starts");
        let table = String::from_utf8_lossy(&output.stdout);
        let columns = ["STATE", "READY", "REASON", "WEBRTC", "RESTARTS", "WHEP", "VIEWERS", "REFERENCE", "AGE"];
        assert!(columns.iter().all(|column| table.contains(column)), "{name}: {table}");
        assert!(table.contains("studio-b"), "{name}: {table}");
    }
}

#[tokio::test]
async fn what_a_process_owns_goes_with_it() {
    let Some(plane) = shared(With::Controllers).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let client = plane.client().await;
    let processes: Api<RestreamProcess> = Api::namespaced(client.clone(), &namespace.name);
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace.name);
    let owner = processes.create(&PostParams::default(), &process("cam", "a")).await.expect("a process can be made");
    let mut map = ConfigMap::default();
    map.metadata.name = Some("owned".into());
    map.metadata.owner_references = owner.controller_owner_ref(&()).map(|owner| vec![owner]);
    let map = maps.create(&PostParams::default(), &map).await.expect("a map can be made");
    processes.delete("cam", &DeleteParams::default()).await.expect("it can be deleted");
    let uid = map.uid().expect("everything has one");
    wait_for("what it owned is gone", maps, "owned", conditions::is_deleted(&uid)).await;
}
