//! A node that is played.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use crate::plane::{NODE, With, shared, wait_for};

#[tokio::test]
async fn a_deployment_becomes_ready_on_a_node() {
    let Some(plane) = shared(With::Node).await else { return };
    let namespace = plane.namespace().await;
    let client = plane.client().await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace.name);
    let labels = json!({"app": "worker"});
    let deployment = json!({
        "metadata": {"name": "worker"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10"}]},
            },
        },
    });
    let deployment = serde_json::from_value(deployment).expect("it is one");
    deployments.create(&PostParams::default(), &deployment).await.expect("a deployment can be made");
    wait_for("the deployment is ready", deployments, "worker", |deployment: Option<&Deployment>| {
        deployment.and_then(|deployment| deployment.status.as_ref()?.ready_replicas) == Some(1)
    })
    .await;
    let pods: Api<Pod> = Api::namespaced(client, &namespace.name);
    let pods = pods.list(&ListParams::default()).await.expect("pods can be listed").items;
    let nodes: Vec<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    assert!(plane.is_given() || nodes == [NODE], "{nodes:?}");
}
