//! What bad input gets: each mistake is told with its place, and stops nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::manifest::{Manifest, manifest};
use crate::media;
use crate::program::Program;
use crate::turn;

fn plain(name: &str, title: &str) -> Manifest {
    let manifest = manifest(name).with("webrtc", Value::Null);
    manifest.input("-re -f lavfi", media::picture()).output(&format!("-metadata title={title} -f null"), "-")
}

const HEAD: &str = "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\n";

#[tokio::test]
async fn a_file_that_is_no_yaml_is_told_with_its_line_and_stops_nothing() {
    let _turn = turn::shared().await;
    let good = plain("b", "b-a").text();
    let program = Program::start_with(&[("a.yaml", "apiVersion: x\nkind: [\n"), ("b.yaml", &good)], &[]).await;
    program.until_state("b", "Running").await;
    program.until_problem("a.yaml", &["line"]).await;
    program.write("a.yaml", &plain("a", "a-a").text());
    program.until_state("a", "Running").await;
    assert!(program.problems().await.is_empty(), "what was mended is no problem any more");
}

#[tokio::test]
async fn every_mistake_of_a_document_is_told_at_once() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let good = plain("good", "good-a").text();
    let bad = format!(
        "{HEAD}metadata: {{name: bad}}\nspec:\n  inputs: []\n  staleTimeoutSeconds: -1\n  reconnect: perhaps\n  \
         input:\n  - {{id: in, address: ' ', unknown: 1}}\n"
    );
    program.write("two.yaml", &format!("{good}\n---\n{bad}"));
    program.until_state("good", "Running").await;
    let problem = program.until_problem("two.yaml", &["inputs", "staleTimeoutSeconds", "reconnect", "unknown"]).await;
    assert!(problem.contains("document 2"), "it says which document: {problem}");
    assert!(problem.contains("line"), "it says which line: {problem}");
    assert!(program.process("bad").await.is_null() || program.ffmpegs("bad").is_empty());
}

#[tokio::test]
async fn rules_between_fields_are_checked() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&manifest("silent").with("webrtc", Value::Null).input("-f lavfi", "testsrc2"));
    program.until_problem("silent.yaml", &["at least one output is needed unless webrtc.enabled"]).await;
    let twice = format!(
        "{HEAD}metadata: {{name: twice}}\nspec:\n  input:\n  - {{id: x, address: a}}\n  - {{id: x, address: b}}\n  \
         webrtc: {{enabled: true}}\n"
    );
    program.write("twice.yaml", &twice);
    program.until_problem("twice.yaml", &["id"]).await;
    program.write("name.yaml", &plain("Upper_Case", "x").text());
    program.until_problem("name.yaml", &["metadata.name"]).await;
    program.write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    program.until_problem("other.yaml", &["kind"]).await;
}

#[tokio::test]
async fn a_bad_edit_leaves_the_process_of_the_last_good_version_running() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&plain("one", "one-a"));
    let one = program.ffmpeg("one-a").await;
    program.until_state("one", "Running").await;
    for bad in ["spec: [", &plain("one", "one-b").with("nonsense", 1.into()).text()] {
        program.write("one.yaml", bad);
        program.until_problem("one.yaml", &[]).await;
        assert_eq!(program.ffmpegs("title="), BTreeSet::from([one]), "it goes on as it was");
        assert_eq!(program.process("one").await["status"]["state"], "Running");
        program.apply(&plain("one", "one-a"));
        let deadline = std::time::Instant::now() + crate::child::PATIENCE;
        while !program.problems().await.is_empty() {
            assert!(std::time::Instant::now() < deadline, "{:?}", program.problems().await);
        }
    }
    assert_eq!(program.ffmpegs("title="), BTreeSet::from([one]));
}

#[tokio::test]
async fn two_files_with_the_same_id_are_both_named_and_the_first_is_kept() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.write("a.yaml", &plain("same", "first").text());
    let first = program.ffmpeg("first").await;
    program.write("b.yaml", &plain("same", "second").text());
    let problem = program.until_problem("b.yaml", &["same"]).await;
    assert!(problem.contains("a.yaml") && problem.contains("b.yaml"), "both are named: {problem}");
    assert_eq!(program.ffmpegs("title="), BTreeSet::from([first]));
    std::fs::remove_file(program.manifests().join("a.yaml")).expect("it is there");
    program.ffmpeg("second").await;
    assert!(program.ffmpegs("first").is_empty(), "the second has taken its place");
}

#[tokio::test]
async fn a_missing_ffmpeg_is_named() {
    let _turn = turn::shared().await;
    let program = Program::start_with(&[], &[("CORE_FFMPEG_BINARY", "/nowhere/ffmpeg")]).await;
    program.apply(&plain("one", "one-a"));
    program.apply(&manifest("two").input("-re -f lavfi", media::picture()));
    for id in ["one", "two"] {
        let process = program
            .until(id, "says what is missing", |process| process["status"]["lastExit"]["reason"] == "SpawnFailed");
        let process = process.await;
        let message = process["status"]["lastExit"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("/nowhere/ffmpeg"), "{process:#}");
    }
}

#[tokio::test]
async fn a_failing_ffmpeg_is_started_again_after_its_delay_and_its_status_says_why() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&manifest("missing").input("", "/nowhere/film.mp4"));
    let process =
        program.until("missing", "was started again", |process| process["status"]["restarts"].as_i64() > Some(1));
    let process = process.await;
    assert!(process.to_string().contains("No such file or directory"), "{process:#}");
    assert!(process["status"]["state"] != "Running", "{process:#}");
}

#[tokio::test]
async fn a_map_that_names_nothing_is_told() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let wrong = manifest("wrong").input("-re -f lavfi", media::picture());
    program.apply(&wrong.clone().with("webrtc", serde_json::json!({"enabled": true, "video": {"map": "7:v:0"}})));
    let deadline = std::time::Instant::now() + crate::child::PATIENCE;
    loop {
        let everywhere = format!("{} {:?}", program.process("wrong").await, program.problems().await);
        if everywhere.contains("7:v:0") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{everywhere}");
    }
}

#[tokio::test]
async fn refused_requests_say_why() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&manifest("cam").input("-re -f lavfi", media::picture()));
    program.apply(&plain("silent", "silent-a"));
    crate::proof::until_playable(&program, "cam").await;
    program.until_state("silent", "Running").await;
    let offer = include_str!("../offers/offer_chromium156_mdns.sdp");
    let token = program.token().to_owned();
    let sdp = "application/sdp";
    let huge = "a".repeat((1 << 16) + 1);
    for (status, id, token, content_type, body) in [
        (401, "cam", None, sdp, offer),
        (401, "cam", Some("x.y.z"), sdp, offer),
        (404, "nobody", Some(token.as_str()), sdp, offer),
        (404, "silent", Some(token.as_str()), sdp, offer),
        (415, "cam", Some(token.as_str()), "text/plain", offer),
        (413, "cam", Some(token.as_str()), sdp, huge.as_str()),
        (400, "cam", Some(token.as_str()), sdp, ""),
        (400, "cam", Some(token.as_str()), sdp, "v=0\r\nnonsense"),
        (406, "cam", Some(token.as_str()), sdp, &offer.replace("H264/90000", "H999/90000")),
        (201, "cam", Some(token.as_str()), sdp, offer),
    ] {
        let (answered, why) = program.post(&format!("/api/v3/whep/{id}"), token, content_type, body).await;
        assert_eq!(answered, status, "{id} {content_type}: {why}");
    }
}
