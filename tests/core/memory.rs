//! What is remembered beside the manifests.

use serde_json::{Value, json};

use crate::client::{Client, picture};
use crate::program::Program;

#[tokio::test]
async fn metadata_is_kept_until_it_is_forgotten() {
    let mut program = Program::start().await;
    {
        let client = Client::login(&program).await;
        client.done("POST", "/api/v3/process", Some(picture("cam"))).await;
        client.refused(404, "GET", "/api/v3/metadata/restreamer-ui", None).await;
        client.refused(404, "GET", "/api/v3/process/cam/metadata/restreamer-ui", None).await;
        client.refused(404, "PUT", "/api/v3/process/unknown/metadata/k", Some(json!(1))).await;
        let value = json!({"deep": [1, {"x": "y"}], "text": "Ü"});
        assert_eq!(client.done("PUT", "/api/v3/metadata/restreamer-ui", Some(value.clone())).await, value);
        client.done("PUT", "/api/v3/process/cam/metadata/restreamer-ui", Some(json!([2]))).await;
        client.done("PUT", "/api/v3/process/cam/metadata/other", Some(json!(3))).await;
    }
    program.restart().await;
    let client = Client::login(&program).await;
    assert_eq!(client.get("/api/v3/metadata/restreamer-ui").await["deep"], json!([1, {"x": "y"}]));
    assert_eq!(client.get("/api/v3/process/cam/metadata").await, json!({"restreamer-ui": [2], "other": 3}));
    assert_eq!(client.get("/api/v3/process/cam").await["metadata"]["other"], 3);
    assert_eq!(client.get("/api/v3/process/cam/config").await["reference"], "the tests");

    client.done("PUT", "/api/v3/metadata/restreamer-ui", Some(Value::Null)).await;
    client.done("PUT", "/api/v3/process/cam/metadata/other", Some(Value::Null)).await;
    client.refused(404, "GET", "/api/v3/metadata/restreamer-ui", None).await;
    client.refused(404, "GET", "/api/v3/process/cam/metadata/other", None).await;

    // A process that is made anew under the same id knows nothing of the one before.
    client.done("DELETE", "/api/v3/process/cam", None).await;
    client.done("POST", "/api/v3/process", Some(picture("cam"))).await;
    assert_eq!(client.get("/api/v3/process/cam/metadata").await, json!({}));
}
