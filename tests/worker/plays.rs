//! A Pod plays, and lets in who has a token of the operator.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::issuer::{AUDIENCE, ISSUER, Key, at};
use crate::pod::{PROCESS, Pod, film};
use crate::viewer::plays;

#[tokio::test]
async fn a_pod_plays_and_both_programs_show_its_process() {
    let pod = Pod::start(film(320)).await;
    let status = pod.until_playback("Playing").await;
    plays(&pod, "viewer").await;
    assert_eq!(status.observed_generation, Some(1));
    let webrtc = status.webrtc.expect("it has egress");
    assert!(webrtc.announced.iter().all(|address| address.starts_with("127.0.0.1:")), "{webrtc:?}");
    assert_eq!(webrtc.announced.len(), 1);
    let report = pod.report().await;
    assert_eq!((report.configuration, report.draining), (pod.configuration().digest(), false));
    let token = pod.token(PROCESS, &["read"]);
    let shown = pod.get("/api/v3/process", Some(&token)).await.json::<Value>().await.expect("JSON");
    assert_eq!(shown[0]["id"], PROCESS, "{shown:#}");
    let origin = pod.url().replace(&format!("/api/v3/whep/{PROCESS}"), "/api/v3/process");
    let shown = reqwest::Client::new().get(origin).bearer_auth(token).send().await.expect("the sidecar answers");
    let shown = shown.json::<Value>().await.expect("JSON");
    assert_eq!((&shown[0]["id"], &shown[0]["status"]["state"]), (&json!(PROCESS), &json!("Running")), "{shown:#}");
}

#[tokio::test]
async fn only_a_token_of_the_operator_opens_the_worker_and_only_as_far_as_it_says() {
    let pod = Pod::start(film(320)).await;
    let stranger = Key::new("operator", Algorithm::EdDSA);
    let claims =
        json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": at(600), "process": "*", "action": "read" });
    assert_eq!(pod.get("/worker", None).await.status(), 401);
    assert_eq!(pod.get("/worker", Some(&stranger.sign(&claims))).await.status(), 401);
    assert_eq!(pod.get("/api/v3/process", Some("not.a.token")).await.status(), 401);
    assert_eq!(pod.offer(&stranger.sign(&claims)).await.status(), 401);
    let other = pod.token("studio.door", &["read", "play", "write"]);
    assert_eq!(pod.get("/worker", Some(&other)).await.status(), 403);
    assert_eq!(pod.offer(&other).await.status(), 403);
    let reader = pod.token(PROCESS, &["read", "play"]);
    assert_eq!(pod.put_with(&reader, &pod.configuration()).await.0, 403);
    let login = reqwest::Client::new().post(pod.url().replace(&format!("/api/v3/whep/{PROCESS}"), "/api/login"));
    let login = login.json(&json!({"username": "admin", "password": "x"})).send().await.expect("it answers");
    assert_eq!(login.status(), 404, "nobody logs in");
}
