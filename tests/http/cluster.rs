//! The server of a cluster: it hands on what is asked of one process to the worker, and changes nothing.

use std::net::SocketAddr;

use dragonfork::http::token::{Purpose, Scope, Words};
use serde_json::json;

use super::house::{CHROMIUM, House, Wishes, playing, problem};
use super::source::Source;

/// A worker with a process, and a server that knows of it.
async fn cluster() -> (House, House) {
    let worker = House::new(Wishes::default()).await;
    let operator = serving(vec![("studio.cam", worker.address)]).await;
    operator.show(playing("studio.cam"));
    (worker, operator)
}

async fn serving(workers: Vec<(&'static str, SocketAddr)>) -> House {
    House::new(Wishes { workers: Some(workers), webrtc: false, ..Wishes::default() }).await
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

#[tokio::test]
async fn what_is_asked_of_a_process_is_answered_by_its_worker() {
    let (worker, operator) = cluster().await;
    let mut shown = playing("studio.cam");
    shown.status.restarts = 7;
    worker.show(shown);
    assert_eq!(operator.get("/api/v3/process/studio.cam").await["status"]["restarts"], 7);
    assert_eq!(operator.get("/api/v3/process/studio.cam/config").await["id"], "studio.cam");
    assert_eq!(operator.get("/api/v3/process").await[0]["status"]["restarts"], 0, "the list is what is known here");
    let unknown = problem(operator.ask("GET", "/api/v3/process/other").send().await.expect("it is answered")).await;
    assert_eq!(unknown, (404, "unknown_process".into()));
}

#[tokio::test]
async fn a_player_watches_through_it() {
    let (worker, operator) = cluster().await;
    let ports = worker.open("studio.cam").await;
    let _source = Source::start(ports, "-g 30");
    let answer = operator.offer_until_media("/api/v3/whep/studio.cam", CHROMIUM).await;
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().expect("text").to_owned();
    assert!(location.starts_with("/api/v3/whep/studio.cam/"), "{location}");
    assert!(answer.text().await.expect("a body").starts_with("v=0"));
    let gone = operator.ask("DELETE", &location).send().await.expect("it is answered");
    assert_eq!(gone.status(), 200);
}

#[tokio::test]
async fn a_token_opens_there_what_it_opens_at_the_worker() {
    let (worker, operator) = cluster().await;
    worker.show(playing("studio.cam"));
    let scope = Scope { process: Some(Words::One("door".into())), action: Some(Words::One("read".into())) };
    let token = operator.mint(Purpose::Access, 60, scope);
    let request = operator.bare("GET", "/api/v3/process/studio.cam/state").bearer_auth(token);
    assert_eq!(problem(request.send().await.expect("it is answered")).await, (403, "insufficient_scope".into()));
    let without = operator.bare("GET", "/api/v3/process/studio.cam/state").send().await.expect("it is answered");
    assert_eq!(problem(without).await, (401, "no_token".into()));
}

#[tokio::test]
async fn nothing_is_changed_there() {
    let (worker, operator) = cluster().await;
    worker.show(playing("studio.cam"));
    for (method, path) in [
        ("POST", "/api/v3/process"),
        ("PUT", "/api/v3/process/studio.cam"),
        ("DELETE", "/api/v3/process/studio.cam"),
        ("PUT", "/api/v3/process/studio.cam/command"),
        ("PUT", "/api/v3/process/studio.cam/metadata/a"),
        ("PUT", "/api/v3/config"),
    ] {
        let refused = operator.ask(method, path).json(&json!({})).send().await.expect("it is answered");
        assert_eq!(refused.headers()["allow"], "GET, HEAD, OPTIONS", "{method} {path}");
        assert_eq!(problem(refused).await, (405, "read_only".into()), "{method} {path}");
    }
    let refused = operator.ask("DELETE", "/api/v3/process/studio.cam").send().await.expect("it is answered");
    assert!(refused.text().await.expect("a body").contains("kubectl"), "it says how it is done");
}

#[tokio::test]
async fn a_worker_that_is_away_is_no_mystery() {
    let operator = serving(vec![("away", nobody())]).await;
    operator.show(playing("away"));
    operator.show(playing("none"));
    for path in ["/api/v3/process/away/state", "/api/v3/whep/away", "/api/v3/whep/none"] {
        let answer = operator.ask("GET", path).send().await.expect("it is answered");
        assert!(answer.headers().contains_key("retry-after"), "{path}");
        assert_eq!(problem(answer).await, (503, "worker_away".into()), "{path}");
    }
    assert_eq!(operator.get("/api/v3/process/none").await["id"], "none", "what is known here is shown");
}
