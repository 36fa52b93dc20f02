//! What restreamer-ui sends, at the real program with generated media instead of a camera.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::child::PATIENCE;
use crate::program::Program;
use crate::variants;

/// Picture and sound as a camera sends them, for a minute.
fn film(directory: &Path) -> PathBuf {
    let path = directory.join("film.mp4");
    let arguments = "-nostdin -loglevel error -f lavfi -i testsrc2=size=320x180:rate=25 \
                     -f lavfi -i sine=frequency=440:sample_rate=44100 -t 60 \
                     -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p -c:a aac";
    let made = Command::new("ffmpeg").args(arguments.split_whitespace()).arg(&path).status();
    assert!(made.expect("ffmpeg is installed").success());
    path
}

/// Whether a process needs no server of another one.
fn is_alone(process: &Value) -> bool {
    let text = process.to_string();
    process["id"]
        .as_str()
        .is_some_and(|id| !id.contains("egress") && !id.ends_with("_snapshot") && !id.ends_with("_probe"))
        && !["{rtmp", "{srt"].iter().any(|server| text.contains(server))
}

/// The process with the film instead of its camera, to be played in a browser too.
fn with_film(mut process: Value, film: &Path) -> Value {
    process["input"][0]["address"] = json!(film);
    process["input"][0]["options"] = json!(["-fflags", "+genpts", "-thread_queue_size", "512", "-re"]);
    process["webrtc"] = json!({"enabled": true});
    process["autostart"] = json!(true);
    process
}

async fn post(program: &Program, process: &Value) {
    let (status, answer) =
        program.post("/api/v3/process", Some(program.token()), "application/json", process.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("it is JSON");
    assert_eq!(answer.get("without_effect"), None);
}

/// Waits until there is a file at this path.
async fn until_served(program: &Program, path: &str) {
    let deadline = Instant::now() + PATIENCE;
    let url = format!("{}{path}", program.origin());
    while reqwest::get(&url).await.expect("the program answers").status() != 200 {
        assert!(Instant::now() < deadline, "there is no {path}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_variant_that_needs_no_server_writes_its_files_and_plays_by_webrtc() {
    let program = Program::start().await;
    let film = film(program.directory());
    let all = variants();
    let alone: Vec<_> = all.iter().filter(|(_, process)| is_alone(process)).collect();
    assert!(alone.len() >= 8, "{}", alone.len());
    let channel = all["ingest"]["reference"].as_str().expect("text");
    for (name, process) in alone {
        let process = with_film(process.clone(), &film);
        let id = process["id"].as_str().expect("text");
        post(&program, &process).await;
        program.until_state(id, "Running").await;
        let folder = if name == "ingest_disk" { "" } else { "/memfs" };
        until_served(&program, &format!("{folder}/{channel}_output_0.m3u8")).await;
        let play = Command::new(env!("CARGO_BIN_EXE_dragonfork"))
            .args(["play", "--duration", "1", &program.whep(id)])
            .env("CORE_PLAY_TOKEN", program.token())
            .output()
            .expect("it can be started");
        let said = String::from_utf8_lossy(&play.stdout).into_owned() + &String::from_utf8_lossy(&play.stderr);
        assert!(play.status.success(), "{name}: {said}");
        if name == "ingest" {
            // The channel's picture, from what the ingest has just written.
            post(&program, &all["snapshot"]).await;
            until_served(&program, &format!("/memfs/{channel}.jpg")).await;
            remove(&program, all["snapshot"]["id"].as_str().expect("text")).await;
        }
        remove(&program, id).await;
    }
}

async fn remove(program: &Program, id: &str) {
    let url = format!("{}/api/v3/process/{id}", program.origin());
    let answer = reqwest::Client::new().delete(url).bearer_auth(program.token()).send().await;
    assert_eq!(answer.expect("the program answers").status(), 200, "{id}");
}
