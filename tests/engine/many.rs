//! Many processes at once.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake;
use crate::manifest::manifest;
use crate::program::Program;

const MANY: usize = 200;

#[tokio::test]
async fn two_hundred_processes_that_ignore_the_interrupt_end_together_while_http_answers() {
    let ffmpeg = fake::ffmpeg().display().to_string();
    let program = Program::start_with(&[], &[("CORE_FFMPEG_BINARY", &ffmpeg)]).await;
    let one = |number: usize| {
        manifest(&format!("p{number}"))
            .input("", "fake:ignore-int,frames=1,silent")
            .output("-f null", "-")
            .with("staleTimeoutSeconds", json!(0))
            .with("webrtc", json!({"enabled": false}))
            .text()
    };
    let documents: Vec<String> = (0..MANY).map(one).collect();
    program.write("many.yaml", &documents.join("\n---\n"));
    until(&program, "all run", |states| states.iter().filter(|state| *state == "Running").count() == MANY).await;
    assert_eq!(program.ffmpegs("ignore-int").len(), MANY);

    let begin = Instant::now();
    program.remove("many");
    let mut slowest = Duration::ZERO;
    while !program.ffmpegs("ignore-int").is_empty() {
        let asked = Instant::now();
        program.processes().await;
        slowest = slowest.max(asked.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(30), "they end one after the other");
    }
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(5), "they get their time: {took:?}");
    assert!(slowest < Duration::from_secs(3), "HTTP took {slowest:?}");
}

async fn until(program: &Program, what: &str, holds: impl Fn(&[String]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let state = |process: &serde_json::Value| process["status"]["state"].as_str().unwrap_or_default().to_owned();
        let states: Vec<String> = program.processes().await.iter().map(state).collect();
        if holds(&states) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: not yet, {states:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
