//! The lists, and what is served nowhere.

use dragonfork::http::token::{Purpose, Scope, Words};
use serde_json::{Value, json};

use super::house::{House, Wishes, playing, problem, process};

#[tokio::test]
async fn what_may_be_secret_is_shown_in_the_configuration_alone() {
    let house = House::new(Wishes::default()).await;
    assert_eq!(house.get("/api/v3/process").await, json!([]));
    house.show(playing("restreamer-ui:ingest:1"));
    let spec = json!({ "reference": "front", "output": [{ "id": "o", "address": "-" }] });
    house.show(process("plain", &spec, Default::default()));
    let list = house.get("/api/v3/process?filter=report").await;
    assert!(!list.to_string().contains("secret"), "addresses are in the configuration alone");
    let (plain, playing) = (&list[0], &list[1]);
    let expected = json!({
        "id": "plain", "type": "ffmpeg", "reference": "front", "created_at": 1_700_000_000, "updated_at": 1_700_000_001,
        "report": {
            "created_at": 1_700_000_004, "prelude": [], "log": [["1700000005", "Stream mapping:"]], "history": [],
        },
        "state_since": 1_700_000_002, "origin": "plain.yaml",
        "status": { "state": "Pending", "restarts": 0, "conditions": [] }, "whep": null,
    });
    assert_eq!(plain, &expected);
    assert_eq!((&playing["whep"], &playing["reference"]), (&json!("/api/v3/whep/restreamer-ui:ingest:1"), &json!("")));
    assert_eq!(playing["status"]["webrtc"]["video"]["reason"], "raw video is no codec of WebRTC");
    assert_eq!(house.get("/api/v3/process/plain?filter=report").await, expected);
    assert_eq!(house.get("/api/v3/process/plain/config").await["input"][0]["address"], "rtmp://user:secret@host/live");
    assert_eq!(house.get("/api/v3/process/restreamer-ui%3Aingest%3A1").await["id"], "restreamer-ui:ingest:1");
    let log = house.get("/api/v3/process/plain/log").await;
    assert_eq!(log, json!([{ "at": 1_700_000_005, "line": "Stream mapping:" }]));

    house.forget("plain");
    for path in ["/api/v3/process/plain", "/api/v3/process/plain/log"] {
        let gone = problem(house.ask("GET", path).send().await.expect("it is answered")).await;
        assert_eq!(gone, (404, "unknown_process".into()));
    }
}

#[tokio::test]
async fn refused_manifests_are_shown() {
    let house = House::new(Wishes::default()).await;
    house.show_problem("bad.yaml document 2", "line 7: spec.inputs: unknown field");
    let expected = json!([{ "origin": "bad.yaml document 2", "errors": ["line 7: spec.inputs: unknown field"] }]);
    assert_eq!(house.get("/api/v3/problem").await, expected);
}

#[tokio::test]
async fn a_reading_token_sees_its_processes_alone() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("studio.cam"));
    house.show(playing("door"));
    let words = |words: &[&str]| Some(Words::Many(words.iter().map(|word| (*word).to_owned()).collect()));
    let token = house.mint(Purpose::Access, 60, Scope { process: words(&["studio.*"]), action: words(&["read"]) });
    let with = |path: &str| house.bare("GET", path).bearer_auth(&token).send();
    let unknown = problem(with("/api/v3/skills").await.expect("it is answered")).await;
    assert_eq!(unknown, (503, "no_ffmpeg".into()), "nobody has asked FFmpeg");
    let list: Value = with("/api/v3/process").await.expect("it is answered").json().await.expect("JSON");
    let ids: Vec<_> = list.as_array().expect("a list").iter().map(|process| &process["id"]).collect();
    assert_eq!(ids, ["studio.cam"]);
    assert_eq!(with("/api/v3/process/studio.cam/log").await.expect("it is answered").status(), 200);
    for path in [
        "/api/v3/process/door",
        "/api/v3/process/door/config",
        "/api/v3/process/door/state",
        "/api/v3/process/door/report",
        "/api/v3/process/door/log",
        "/api/v3/process/door/metadata",
        "/api/v3/process/door/probe",
        "/api/v3/process/door/metadata/key",
        "/api/v3/widget/process/door",
        "/api/v3/whep/studio.cam",
        "/api/v3/problem",
        "/api/v3/metadata",
        "/api/v3/config",
        "/api/v3/log",
        "/api/v3/rtmp",
        "/api/v3/srt",
        "/api/v3/fs",
    ] {
        let refused = problem(with(path).await.expect("it is answered")).await;
        assert_eq!(refused, (403, "insufficient_scope".into()), "{path}");
    }
    for (method, path) in [
        ("POST", "/api/v3/process"),
        ("POST", "/api/v3/process/probe"),
        ("GET", "/api/v3/process/studio.cam/probe"),
        ("GET", "/api/v3/skills/reload"),
        ("PUT", "/api/v3/process/studio.cam"),
        ("DELETE", "/api/v3/process/studio.cam"),
        ("PUT", "/api/v3/process/studio.cam/command"),
        ("PUT", "/api/v3/process/studio.cam/metadata/key"),
        ("PUT", "/api/v3/metadata/key"),
        ("PUT", "/api/v3/config"),
        ("GET", "/api/v3/config/reload"),
    ] {
        let request = house.bare(method, path).bearer_auth(&token).header("content-type", "application/json");
        let refused = problem(request.body("{}").send().await.expect("it is answered")).await;
        assert_eq!(refused, (403, "insufficient_scope".into()), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_not_served_is_a_problem_too() {
    let house = House::new(Wishes::default()).await;
    for (method, path) in [
        ("GET", "/nothing"),
        ("GET", "/api/"),
        ("POST", "/api/v30"),
        ("GET", "/api/v3/nothing"),
        ("GET", "/api/v3/whep"),
        ("GET", "/api/v3/whep/"),
        ("GET", "/api/v3/whep/cam/1/2"),
        ("OPTIONS", "/nothing"),
    ] {
        let response = house.ask(method, path).send().await.expect("it is answered");
        assert_eq!(problem(response).await, (404, "no_route".into()), "{method} {path}");
    }
    for (method, path, allow) in [("POST", "/", "GET,HEAD"), ("PATCH", "/api/v3/process/cam", "GET,HEAD,PUT,DELETE")] {
        let response = house.ask(method, path).send().await.expect("it is answered");
        assert_eq!(response.headers()["allow"], allow);
        assert_eq!(problem(response).await, (405, "method_not_allowed".into()), "{method} {path}");
    }
    let odd = house.ask("GET", "/api/v3/process/%FF").send().await.expect("it is answered");
    assert_eq!(problem(odd).await, (400, "malformed".into()), "no UTF-8");
    let odd = house.ask("GET", "/api/v3/process/a%2Fb").send().await.expect("it is answered");
    assert_eq!(problem(odd).await, (404, "unknown_process".into()));
}

#[tokio::test]
async fn a_page_from_elsewhere_may_ask_every_route_in_advance() {
    let house = House::new(Wishes::default()).await;
    for path in ["/api/v3/process", "/api/v3/process/cam/log", "/api/login", "/api", "/nothing"] {
        let preflight = house.bare("OPTIONS", path).header("origin", "null");
        let preflight = preflight.header("access-control-request-method", "GET").send().await.expect("answered");
        assert_eq!(preflight.status(), 200, "{path}");
        assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
        assert!(preflight.text().await.expect("it is empty").is_empty());
    }
}
