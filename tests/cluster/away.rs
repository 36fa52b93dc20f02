//! An API server that is away for a while.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};

use crate::plane::{With, own};

fn config_map() -> ConfigMap {
    serde_json::from_value(serde_json::json!({"metadata": {"name": "kept"}})).expect("it is one")
}

#[tokio::test]
async fn an_api_server_that_comes_back_has_kept_everything() {
    let Some(mut plane) = own(With::ApiServer).await else { return };
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client().await);
    let made = maps.create(&PostParams::default(), &config_map()).await.expect("it can be made");
    plane.stop_api_server();
    maps.get("kept").await.expect_err("nobody is there");
    plane.start_api_server().await;
    let read = maps.get("kept").await.expect("the same client reaches it again");
    assert_eq!(read.metadata.uid, made.metadata.uid);
}

#[tokio::test]
async fn an_api_server_that_stands_still_answers_when_it_goes_on() {
    let Some(mut plane) = own(With::ApiServer).await else { return };
    let maps: Api<ConfigMap> = Api::default_namespaced(plane.client().await);
    let paused = plane.pause_api_server();
    let everything = ListParams::default();
    let mut answer = Box::pin(maps.list(&everything));
    tokio::time::timeout(Duration::from_millis(300), &mut answer).await.expect_err("it stands still");
    drop(paused);
    answer.await.expect("it goes on");
}
