//! What goes wrong around the operator.

use std::time::Duration;

use dragonfork::crd::RestreamProcess;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery::ApiResource;
use kube::{CustomResourceExt, ResourceExt};
use serde_json::{Value, json};

use crate::operator_program::{Operator, Space, playable};
use crate::plane::{With, own};

#[tokio::test]
async fn an_object_that_cannot_be_read_is_told_and_stops_no_other() {
    let Some(plane) = own(With::ApiServer).await else { return };
    plane.define().await;
    let space = Space::new(&plane, "default").await;
    // A cluster whose definition is another one, as before or after an update of it.
    let definitions: Api<CustomResourceDefinition> = Api::all(space.client.clone());
    let mut definition = definitions.get(RestreamProcess::crd_name()).await.expect("it is there");
    let open: Value = json!({"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    definition.spec.versions[0].selectable_fields = None;
    let schema = definition.spec.versions[0].schema.as_mut().expect("it has a schema");
    schema.open_api_v3_schema = serde_json::from_value(open).expect("it is a schema");
    definitions
        .replace(&definition.name_any(), &PostParams::default(), &definition)
        .await
        .expect("a definition can be changed");
    let resource = ApiResource::erase::<RestreamProcess>(&());
    let anything: Api<DynamicObject> = Api::namespaced_with(space.client.clone(), "default", &resource);
    let bad = DynamicObject::new("bad", &resource).data(json!({"spec": {"input": "no list"}}));
    space.until("the other definition holds", async |_| anything.create(&PostParams::default(), &bad).await.ok()).await;

    let operator = Operator::start(&plane, "default");
    operator.ready().await;
    space.create(&playable("good")).await;
    space.applied("good").await;
    space
        .until("it is told", async |space| space.told("bad").await.contains(&"FailedApply".to_owned()).then_some(()))
        .await;
    let status = space
        .until("its status tells", async |_| {
            let object = anything.get("bad").await.ok()?;
            object.data.get("status").cloned()
        })
        .await;
    assert_eq!(status["conditions"][0]["reason"], "InvalidSpec", "{status}");
    // Once it can be read it is run like all others.
    let spec = serde_json::to_value(playable("bad").spec).expect("it is JSON");
    let patch = Patch::Merge(json!({ "spec": spec }));
    anything.patch("bad", &PatchParams::default(), &patch).await.expect("it can be mended");
    space.applied("bad").await;
}

#[tokio::test]
async fn an_api_server_that_was_away_is_watched_again() {
    let Some(mut plane) = own(With::ApiServer).await else { return };
    plane.define().await;
    let space = Space::new(&plane, "default").await;
    let mut operator = Operator::start(&plane, "default");
    space.create(&playable("before")).await;
    space.applied("before").await;
    plane.stop_api_server();
    tokio::time::sleep(Duration::from_secs(3)).await;
    plane.start_api_server().await;
    space.create(&playable("after")).await;
    space.applied("after").await;
    space.deployments.delete("before", &Default::default()).await.expect("it can be removed");
    space.until("it is made again", async |space| space.deployments.get("before").await.ok()).await;
    assert!(operator.child.ended().is_none());
}
