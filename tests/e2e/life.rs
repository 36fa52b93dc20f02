//! What the program does with manifests that come, change and go, and how it runs FFmpeg.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::child::{arguments, environment, group, is_alive, until};
use crate::manifest::{Manifest, manifest};
use crate::media::{self, Codec};
use crate::program::Program;
use crate::turn;

/// A process that writes nothing and that no browser plays. Its `title` is found among FFmpeg's arguments.
fn plain(name: &str, title: &str) -> Manifest {
    let manifest = manifest(name).with("webrtc", Value::Null);
    manifest.input("-re -f lavfi", media::picture()).output(&format!("-metadata title={title} -f null"), "-")
}

#[tokio::test]
async fn a_new_file_starts_a_changed_file_restarts_and_a_removed_file_stops_its_process_alone() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&plain("one", "one-a"));
    program.apply(&plain("two", "two-a"));
    let (one, two) = (program.ffmpeg("one-a").await, program.ffmpeg("two-a").await);
    program.apply(&plain("one", "one-b"));
    let changed = program.ffmpeg("one-b").await;
    until("the old one is gone", || !is_alive(one)).await;
    assert_eq!(program.ffmpegs("title="), BTreeSet::from([two, changed]), "the other goes on as it was");
    program.remove("one");
    until("it stops", || !is_alive(changed)).await;
    program.until("one", "is gone", Value::is_null).await;
    assert_eq!(program.ffmpegs("title="), BTreeSet::from([two]), "the other goes on as it was");
}

#[tokio::test]
async fn a_file_that_says_the_same_in_other_words_restarts_nothing() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&plain("one", "one-a"));
    let one = program.ffmpeg("one-a").await;
    program.until_state("one", "Running").await;
    program.write("one.yaml", &format!("# a remark\n{}", plain("one", "one-a").text()));
    program.apply(&plain("two", "two-a"));
    program.until_state("two", "Running").await;
    assert_eq!(program.ffmpeg("one-a").await, one);
}

#[tokio::test]
async fn a_file_that_is_written_in_parts_is_read_when_it_is_whole() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let text = plain("slow", "slow-a").text();
    let mut file = OpenOptions::new().create_new(true).append(true).open(program.manifests().join("slow.yaml"));
    let file = file.as_mut().expect("it can be made");
    for part in text.as_bytes().chunks(text.len() / 5 + 1) {
        file.write_all(part).expect("it can be written");
        file.flush().expect("it can be written");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    program.until_state("slow", "Running").await;
    assert!(program.problems().await.is_empty(), "{:?}", program.problems().await);
}

#[tokio::test]
async fn what_is_no_manifest_is_left_alone() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    for file in ["README.md", ".hidden.yaml", "one.yaml~", ".one.yaml.swp"] {
        program.write(file, "this: is [no manifest");
    }
    program.apply(&plain("one", "one-a"));
    program.until_state("one", "Running").await;
    assert!(program.problems().await.is_empty(), "{:?}", program.problems().await);
}

#[tokio::test]
async fn several_documents_of_one_file_are_processes_of_their_own() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let (one, two) = (plain("one", "one-a").text(), plain("two", "two-a").text());
    program.write("both.yaml", &format!("{one}\n---\n{two}\n---\n"));
    let first = program.ffmpeg("one-a").await;
    program.until_state("two", "Running").await;
    program.write("both.yaml", &format!("{one}\n---\n{}", plain("two", "two-b").text()));
    program.ffmpeg("two-b").await;
    assert_eq!(program.ffmpeg("one-a").await, first, "the other document did not change");
}

#[tokio::test]
async fn ffmpeg_gets_the_arguments_in_order_and_no_shell_sees_them() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let odd = "title=$(touch x); `touch y` 'a' \"b\" *";
    let base = manifest("order")
        .with("options", json!(["-hide_banner"]))
        .input("-re -f lavfi", media::picture())
        .input("-re -f lavfi", media::sound())
        .output("-map 0:v -f null", "-")
        .with("webrtc", Value::Null);
    let mut value: Value = serde_json::from_str(&base.text()).expect("it is JSON");
    value["spec"]["output"][0]["options"].as_array_mut().expect("a list").extend([json!("-metadata"), json!(odd)]);
    program.write("order.yaml", &value.to_string());
    let without = arguments(program.ffmpeg("$(touch x)").await);
    program.until_state("order", "Running").await;
    let position = |wanted: &str| without.iter().position(|argument| argument == wanted).expect(wanted);
    assert!(position("-hide_banner") < position(&media::picture()));
    assert!(position(&media::picture()) < position(&media::sound()));
    let own = &without[position(&media::sound()) + 1..];
    assert_eq!(own, ["-map", "0:v", "-f", "null", "-metadata", odd, "-"], "{without:#?}");
    assert!(!program.data().join("x").exists() && !program.data().join("y").exists());

    // With playback the same comes first, and the legs behind it.
    value["spec"]["webrtc"] = json!({"enabled": true});
    program.write("order.yaml", &value.to_string());
    let with = arguments(program.ffmpeg("udp://127.0.0.1").await);
    assert_eq!(with[..without.len()], without[..], "the user's part is the same, byte by byte");
    let legs = &with[without.len()..];
    let ports: Vec<u16> = legs
        .iter()
        .filter_map(|argument| argument.strip_prefix("udp://127.0.0.1:")?.split('?').next()?.parse().ok())
        .collect();
    assert_eq!(ports.len(), 2, "{legs:#?}");
    assert!(ports[0].is_multiple_of(2) && ports[1] == ports[0] + 1, "{ports:?}");
    for wanted in ["102", "111", "skip_rtcp+send_bye", "libopus", "libx264"] {
        assert!(legs.iter().any(|argument| argument == wanted), "{wanted} in {legs:#?}");
    }
    let shown = program.process("order").await.to_string();
    assert!(!shown.contains("udp://127.0.0.1"), "the legs are nowhere stored: {shown}");
}

#[tokio::test]
async fn ffmpeg_has_a_process_group_and_an_environment_of_its_own() {
    let _turn = turn::shared().await;
    let secrets = [("CORE_API_AUTH_JWT_SECRET", "a secret that nobody may see"), ("SOMETHING_ELSE", "x")];
    let program = Program::start_with(&[("one.yaml", &plain("one", "one-a").text())], &secrets).await;
    let one = program.ffmpeg("one-a").await;
    program.until_state("one", "Running").await;
    assert_eq!(group(one), Some(one), "it leads a group");
    let environment = environment(one);
    assert!(environment.iter().any(|variable| variable.starts_with("PATH=")), "{environment:?}");
    for secret in ["CORE_", "SOMETHING_ELSE", "a secret that nobody may see"] {
        assert!(!environment.iter().any(|variable| variable.contains(secret)), "{secret} in {environment:?}");
    }
    let directory = std::fs::read_link(format!("/proc/{one}/cwd")).expect("it runs");
    assert_eq!(directory, program.data().canonicalize().expect("it is there"), "relative paths begin there");
}

#[tokio::test]
async fn figures_of_a_running_process_are_shown() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&plain("one", "one-a"));
    let process = program
        .until("one", "has made 60 frames", |process| process["status"]["progress"]["frame"].as_i64() > Some(60));
    let process = process.await;
    let progress = &process["status"]["progress"];
    assert!(progress["timeSeconds"].as_f64() > Some(1.5), "{progress:#}");
    let speed = progress["speed"].as_f64().expect("it has a speed");
    assert!((0.7..1.5).contains(&speed), "{progress:#}");
}

#[tokio::test]
async fn a_process_whose_media_stops_is_killed_and_started_again() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    // Somebody who sends half a film and then nothing more, with the connection open.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = format!("tcp://{}", listener.local_addr().expect("it is bound"));
    let options = format!("{} {} -f mpegts", Codec::Baseline.options(2), media::AAC);
    let film = media::made("half.ts", &media::picture(), Some(&media::sound()), &options);
    let film = std::fs::read(film).expect("it was made");
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            // FFmpeg may go at any time.
            let _ = connection.write_all(&film[..film.len() / 2]).await;
            open.push(connection);
        }
    });
    let stale = manifest("stale").with("webrtc", Value::Null).with("staleTimeoutSeconds", 1.into());
    program.apply(&stale.input("-f mpegts", address).output("-c copy -f null", "-"));
    let process = program.until("stale", "was killed twice", |process| {
        process["status"]["lastExit"]["reason"] == "Stale" && process["status"]["restarts"].as_i64() > Some(1)
    });
    process.await;
}

#[tokio::test]
async fn a_listener_that_waits_for_its_publisher_is_never_stale() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let address = format!("rtmp://127.0.0.1:{}/live/cam", crate::child::free_port());
    let listener = manifest("listener").with("staleTimeoutSeconds", 1.into());
    program.apply(&listener.input("-f flv -listen 1", address));
    program.until_state("listener", "Waiting").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let process = program.process("listener").await;
    assert_eq!(process["status"]["state"], "Waiting", "{process:#}");
    assert_eq!(process["status"]["restarts"], 0, "{process:#}");
}

#[tokio::test]
async fn credentials_are_neither_shown_nor_logged() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let address = "rtmp://somebody:geheim-1@127.0.0.1:1/live/geheim-2?token=geheim-3";
    program.apply(
        &manifest("push")
            .with("webrtc", Value::Null)
            .with("options", json!(["-loglevel", "verbose"]))
            .input("-re -f lavfi", media::picture())
            .output("-c:v libx264 -f flv", address),
    );
    let mut process = program.until("push", "fails", |process| process["status"]["restarts"].as_i64() > Some(0)).await;
    // Who reads the configuration of a process reads its credentials.
    process.as_object_mut().and_then(|process| process.remove("config")).expect("it has a configuration");
    let log = program.log("push").await;
    assert!(!log.is_empty(), "FFmpeg has said something");
    let everywhere = format!("{process}\n{log}\n{}", program.child.log());
    for secret in ["geheim-1", "geheim-3"] {
        let line = everywhere.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is seen");
    }
}

#[tokio::test]
async fn a_suspended_process_does_not_run() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&plain("one", "one-a"));
    let one = program.ffmpeg("one-a").await;
    program.apply(&plain("one", "one-a").with("suspend", true.into()));
    program.until_state("one", "Suspended").await;
    until("it stops", || !is_alive(one)).await;
    program.apply(&plain("one", "one-a"));
    program.until_state("one", "Running").await;
}

#[tokio::test]
async fn a_process_that_is_not_to_be_started_again_stays_ended() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let short = |name: &str, options: &str| {
        manifest(name)
            .with("webrtc", Value::Null)
            .with("reconnect", false.into())
            .input("-f lavfi", media::picture())
            .output(options, "-")
    };
    program.apply(&short("done", "-t 0.2 -f null"));
    program.apply(&short("broken", "-c:v no_such_codec -f null"));
    program.until_state("done", "Finished").await;
    let process = program.until_state("broken", "Failed").await;
    let message = process["status"]["lastExit"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("no_such_codec"), "the status says why: {process:#}");
}
