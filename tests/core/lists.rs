//! What is asked and changes nothing.

use serde_json::{Value, json};

use crate::client::{Client, has, picture};
use crate::program::Program;

/// Ids of the processes that a query gives.
async fn ids(client: &Client<'_>, query: &str) -> Vec<String> {
    let list = client.get(&format!("/api/v3/process?{query}")).await;
    let list = list.as_array().expect("a list").iter();
    list.map(|process| process["id"].as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn c154_processes_are_chosen_and_shown_in_sections() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    for (id, reference) in [("a:one", "x"), ("a:two", "y"), ("b", "xy")] {
        let mut process = picture(id);
        (process["reference"], process["autostart"]) = (json!(reference), json!(false));
        client.done("POST", "/api/v3/process", Some(process)).await;
    }
    let all = "domain=&filter=&reference=&id=&idpattern=&refpattern=&ownerpattern=&domainpattern=";
    assert_eq!(ids(&client, all).await, ["a:one", "a:two", "b"]);
    assert_eq!(ids(&client, "idpattern=a:*").await, ["a:one", "a:two"]);
    assert_eq!(ids(&client, "id=b,a:one,unknown").await, ["a:one", "b"]);
    assert_eq!(ids(&client, "reference=x").await, ["a:one"]);
    assert_eq!(ids(&client, "refpattern=x*&idpattern=b").await, ["b"]);
    assert!(client.refused(400, "GET", "/api/v3/process?idpattern=%5B", None).await.contains("idpattern"));
    let sections = client.get("/api/v3/process?filter=state,metadata&id=b").await;
    let process = sections[0].as_object().expect("an object");
    assert!(process.contains_key("state") && process.contains_key("metadata"));
    assert!(!process.contains_key("config") && !process.contains_key("report"));
}

#[tokio::test]
async fn everything_else_that_clients_ask_has_its_form() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let mut process = picture("cam");
    process["webrtc"] = json!({"enabled": true});
    client.done("POST", "/api/v3/process", Some(process)).await;
    client.until_exec("cam", "running").await;

    assert_eq!(client.get("/api/v3/rtmp").await, json!([]));
    let srt = client.get("/api/v3/srt").await;
    has(&srt, &[("publisher", "object"), ("subscriber", "object"), ("connections", "object")]);
    assert_eq!(srt["log"], Value::Null);
    has(
        &client.get("/api/v3/widget/process/cam").await,
        &[("current_sessions", "whole"), ("total_sessions", "whole"), ("uptime", "whole")],
    );
    for files in client.get("/api/v3/fs").await.as_array().expect("a list") {
        has(files, &[("name", "text"), ("type", "text"), ("mount", "text")]);
    }

    let log = client.get("/api/v3/log?format=console").await;
    let lines: Vec<&str> = log.as_array().expect("a list").iter().map(|line| line.as_str().expect("text")).collect();
    assert!(lines.iter().any(|line| line.contains("level=INFO") && line.contains("process=cam")), "{lines:?}");
    assert!(!log.to_string().contains("a password of the tests"));
    let raw = client.get("/api/v3/log?format=raw").await;
    assert!(
        raw.as_array().expect("a list").iter().all(|event| event["message"].is_string() && event["ts"].is_string())
    );

    let sessions = client.get("/api/v3/session?collectors=whep,hls").await;
    for collector in ["whep", "hls"] {
        let active = &sessions[collector]["active"];
        has(active, &[("list", "list"), ("sessions", "whole"), ("max_sessions", "whole")]);
        has(active, &[("bandwidth_rx_mbit", "number"), ("bandwidth_tx_mbit", "number")]);
        has(active, &[("max_bandwidth_rx_mbit", "number"), ("max_bandwidth_tx_mbit", "number")]);
    }
    let summary = &sessions["hls"]["summary"];
    has(summary, &[("remote", "object"), ("local", "object"), ("reference", "object"), ("sessions", "whole")]);
    has(summary, &[("traffic_rx_mb", "whole"), ("traffic_tx_mb", "whole")]);
    assert_eq!(client.get("/api/v3/session/active?collectors=").await, json!({"hls": [], "whep": []}));
}

#[tokio::test]
async fn figures_are_described_and_asked_for_by_name() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    client.done("POST", "/api/v3/process", Some(picture("cam"))).await;
    client.until_exec("cam", "running").await;
    for figure in client.get("/api/v3/metrics").await.as_array().expect("a list") {
        has(figure, &[("name", "text"), ("description", "text"), ("labels", "list")]);
    }
    let query = json!({"timerange_sec": null, "interval_sec": null, "metrics": [
        {"name": "restream_process", "labels": {"processid": "c.*", "name": "uptime|frame"}}, {"name": "uptime_uptime", "labels": null},
        {"name": "unknown", "labels": {}},
    ]});
    let answer = client.done("POST", "/api/v3/metrics", Some(query)).await;
    let metrics = answer["metrics"].as_array().expect("a list");
    assert_eq!(metrics.len(), 3, "{metrics:?}");
    for metric in metrics {
        assert!(metric["values"][0][0].is_u64() && metric["values"][0][1].is_number(), "{metric}");
    }
    client
        .refused(400, "POST", "/api/v3/metrics", Some(json!({"metrics": [{"name": "x", "labels": {"a": "("}}]})))
        .await;
}

#[tokio::test]
async fn the_configuration_is_shown_without_secrets_and_changed_where_it_can_be() {
    let program = Program::start_with(&[], &[("CORE_WEBRTC_TURN_SECRET", "north wind")]).await;
    let client = Client::login(&program).await;
    let config = client.get("/api/v3/config").await;
    let text = config.to_string();
    assert!(!text.contains("a password of the tests") && !text.contains("north wind"), "{text}");
    assert_eq!(config["config"]["api"]["auth"]["password"], "***");
    assert_eq!(config["config"]["storage"]["memory"]["auth"]["password"], "***");
    assert!(config["overrides"].as_array().expect("a list").contains(&json!("db.dir")), "{config}");
    assert_eq!(client.done("PUT", "/api/v3/config", Some(config["config"].clone())).await, "OK");
    let mut other = config["config"].clone();
    (other["log"]["format"], other["log"]["level"]) = (json!("text"), json!("error"));
    let (status, answer) = client.ask("PUT", "/api/v3/config", Some(other)).await;
    assert_eq!((status, &answer["log.format"]), (409, &json!(["cannot be changed while the program runs"])));
    assert_eq!(client.get("/api/v3/config").await["config"]["log"]["level"], "info", "all of it or nothing");
    let (status, answer) = client.ask("PUT", "/api/v3/config", Some(json!({"log": {"level": "loud"}}))).await;
    assert!(status == 409 && answer["log.level"][0].as_str().is_some_and(|why| why.contains("\"debug\"")), "{answer}");
    assert_eq!(client.done("PUT", "/api/v3/config", Some(json!({"log": {"level": "error"}}))).await, "OK");
    assert_eq!(client.get("/api/v3/config").await["config"]["log"]["level"], "error");
    let told = client.get("/api/v3/log").await.as_array().map_or(0, Vec::len);
    client.done("POST", "/api/v3/process", Some(picture("quiet"))).await;
    client.until_exec("quiet", "running").await;
    assert_eq!(client.get("/api/v3/log").await.as_array().map_or(0, Vec::len), told, "only errors are logged");
    assert_eq!(client.get("/api/v3/config/reload").await, "OK");
}
