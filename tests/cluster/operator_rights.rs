//! The operator with the rights that it is installed with, and no others.

use std::path::Path;

use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use crate::operator_program::{Operator, Space, playable};
use crate::plane::{Plane, With, own};

/// What `kubectl` prints.
fn kubectl(plane: &Plane, arguments: &[&str]) -> String {
    let output = plane.kubectl().args(arguments).output().expect("kubectl starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn the_rights_of_the_installation_are_enough_and_hold_no_secrets() {
    let Some(plane) = own(With::ApiServer).await else { return };
    plane.define().await;
    let space = Space::new(&plane, "default").await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/operator/operator.yaml");
    kubectl(&plane, &["apply", "-f", &file.display().to_string()]);
    let account = ["-n", "dragonfork", "create", "token", "dragonfork-operator"];
    let token = kubectl(&plane, &account);
    let text = std::fs::read_to_string(plane.kubeconfig()).expect("it is there");
    let mut kubeconfig: Value = serde_json::from_str(&text).expect("the tests write JSON");
    kubeconfig["users"][0]["user"] = json!({ "token": token });
    kubeconfig["contexts"][0]["context"]["namespace"] = "dragonfork".into();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig.to_string()).expect("it can be written");

    let operator = Operator::start_with(&plane, "", &[("KUBECONFIG", &path.display().to_string())]);
    operator.ready().await;
    let mut process = playable("cam");
    process.spec.webrtc.as_mut().expect("it has").http =
        serde_json::from_value(json!({"type": "Ingress", "host": "live.example"})).expect("it is one");
    space.create(&process).await;
    space.applied("cam").await;
    // A foreign container takes a right of its own.
    let container = r#"{"spec":{"template":{"spec":{"containers":[{"name":"guest","image":"guest"}]}}}}"#;
    kubectl(&plane, &["patch", "deployment", "cam", "-p", container]);
    space
        .until("the guest is gone", async |space| {
            let spec = space.deployments.get("cam").await.ok()?.spec.template.spec?;
            spec.containers.iter().all(|container| container.name != "guest").then_some(())
        })
        .await;
    space
        .change("cam", json!({"spec": {"webrtc": {"enabled": false}, "output": [{"id": "o", "address": "o.ts"}]}}))
        .await;
    space
        .until("what is not needed is removed", async |space| {
            let services = space.services.list(&Default::default()).await.ok()?;
            let left = services.items.iter().filter(|service| service.name_any().starts_with("cam"));
            (left.count() == 0).then_some(())
        })
        .await;
    space.until("it is told", async |space| space.told("cam").await.first().map(|_| ())).await;
    assert_eq!(operator.figure("rest_client_requests_total{", |labels| labels.contains("code=\"403\"")).await, 0.0);

    let resource = ApiResource::erase::<k8s_openapi::api::rbac::v1::ClusterRole>(&());
    let roles: Api<DynamicObject> = Api::all_with(space.client.clone(), &resource);
    let role = roles.get("dragonfork-operator").await.expect("it is there").data.to_string();
    assert!(!role.contains("secrets") && !role.contains('*'), "{role}");
}
