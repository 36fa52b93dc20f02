//! Figures for Prometheus.

use serde_json::json;

use crate::client::{Client, bare, picture};
use crate::program::Program;

async fn metrics(program: &Program, token: Option<&str>) -> (u16, String) {
    let request = reqwest::Client::new().get(format!("{}/metrics", program.origin()));
    let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
    let response = request.send().await.expect("it is answered");
    (response.status().as_u16(), response.text().await.expect("text"))
}

#[tokio::test]
async fn processes_are_counted_by_state_and_their_ends_by_cause() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    client.done("POST", "/api/v3/process", Some(picture("cam"))).await;
    let mut short = bare("short", "testsrc=size=160x90:rate=10", &["-f", "lavfi", "-t", "0.2"]);
    short["reconnect"] = json!(false);
    client.done("POST", "/api/v3/process", Some(short)).await;
    client.until_exec("cam", "running").await;
    program.until_state("cam", "Running").await;
    program.until_state("short", "Finished").await;
    let (status, text) = metrics(&program, None).await;
    assert_eq!(status, 200);
    for line in [
        "dragonfork_build_info{version=",
        "dragonfork_uptime_seconds ",
        "dragonfork_processes{state=\"Running\"} 1\n",
        "dragonfork_processes{state=\"Finished\"} 1\n",
        "dragonfork_processes{state=\"Failed\"} 0\n",
        "dragonfork_process_running{process=\"cam\"} 1\n",
        "dragonfork_process_ends_total{process=\"short\",cause=\"Finished\"} 1\n",
        "dragonfork_ffmpeg_frames{process=\"cam\"} ",
        "dragonfork_gateway_jumps_total{reason=\"behind\"} 0\n",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn figures_are_for_everybody_for_some_or_for_nobody() {
    let guarded = Program::start_with(&[], &[("CORE_METRICS_AUTH", "true")]).await;
    let (status, text) = metrics(&guarded, None).await;
    assert!(status == 401 && text.contains("no_token"), "{text}");
    assert_eq!(metrics(&guarded, Some("nonsense")).await.0, 401);
    assert_eq!(metrics(&guarded, Some(guarded.token())).await.0, 200);
    let none = Program::start_with(&[], &[("CORE_METRICS_ENABLE_PROMETHEUS", "false")]).await;
    assert_eq!(metrics(&none, None).await.0, 404);
}
