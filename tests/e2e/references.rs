//! What manifests refer to: other processes, files of Secrets, the disk directory, access lists.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::child::{arguments, free_port};
use crate::manifest::{Manifest, manifest};
use crate::media;
use crate::program::Program;
use crate::turn;

fn condition<'p>(process: &'p Value, kind: &str) -> &'p Value {
    let conditions = process["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn has(process: &Value, kind: &str, reason: &str) -> bool {
    condition(process, kind)["reason"] == reason
}

fn picture(name: &str) -> Manifest {
    manifest(name).input("-re -f lavfi", media::picture()).with("webrtc", json!({"enabled": false}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_waits_for_the_output_that_it_reads_and_follows_it() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let reader = manifest("reader").input("", "#source:output=output-0").output("-c copy -f null", "-");
    program.apply(&reader.with("webrtc", json!({"enabled": false})));
    let waits = |process: &Value| has(process, "ReferencesResolved", "ProcessNotFound");
    let waiting = program.until("reader", "waits", waits).await;
    assert_eq!(waiting["status"]["state"], "Pending");
    assert!(condition(&waiting, "ReferencesResolved")["message"].as_str().is_some_and(|text| text.contains("source")));
    for _ in 0..2 {
        let address = format!("udp://127.0.0.1:{}", free_port());
        program.apply(&picture("source").output("-c:v mpeg2video -f mpegts", address.as_str()));
        program.until("reader", "has found it", |process| has(process, "ReferencesResolved", "Resolved")).await;
        let reads = |id: &u32| arguments(*id).windows(2).any(|pair| pair == ["-i", address.as_str()]);
        program
            .until("reader", "reads it", |process| {
                process["status"]["state"] == "Running" && program.ffmpegs(&address).iter().any(reads)
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_from_a_file_is_waited_for_followed_and_shown_nowhere() {
    let _turn = turn::shared().await;
    let program = Program::start_with(&[], &[("CORE_PARAM_PLACE", "the-place-of-all")]).await;
    let file = program.directory().join("secrets/studio/title");
    let params = json!([{"name": "TITLE", "valueFrom": {"secretKeyRef": {"name": "studio", "key": "title"}}}]);
    let options = "-metadata title=$(TITLE) -metadata place=$(PLACE) -f null";
    program.apply(&picture("titled").output(options, "-").with("params", params));
    let waiting = program.until("titled", "waits", |process| has(process, "ReferencesResolved", "ValueNotFound")).await;
    let message = condition(&waiting, "ReferencesResolved")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("./secrets/studio/title"), "{message}");
    fs::create_dir_all(file.parent().expect("it has one")).expect("it can be made");
    for title in ["first-title", "second-title"] {
        fs::write(&file, format!("{title}\n")).expect("it can be written");
        program.until("titled", "has it", |_| program.ffmpegs(&format!("title={title}")).len() == 1).await;
        let shown = program.until_state("titled", "Running").await.to_string() + &program.log("titled").await;
        assert!(!shown.contains(title) && !shown.contains("the-place"), "{shown}");
    }
    let [id] = program.ffmpegs("title=second-title").into_iter().collect::<Vec<_>>()[..] else { panic!("it is one") };
    assert!(arguments(id).contains(&"place=the-place-of-all".into()));
    let log = program.child.log();
    assert!(!log.contains("first-title") && !log.contains("the-place"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_stays_in_the_disk_directory_where_symbolic_links_lead() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let outside = program.directory().join("outside");
    fs::create_dir(&outside).expect("it is new");
    symlink(&outside, program.data().join("away")).expect("a link can be made");
    program.apply(&picture("away").output("-c:v mpeg2video", "{diskfs}/away/{outputid}.ts"));
    let ended = |process: &Value| process["status"]["lastExit"]["reason"] == "SpawnFailed";
    let refused = program.until("away", "is refused", ended).await;
    let message = refused["status"]["lastExit"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("output output-0 is led out of the disk directory"), "{message}");
    assert!(message.contains(&outside.display().to_string()), "{message}");
    fs::remove_file(program.data().join("away")).expect("it is there");
    fs::create_dir(program.data().join("away")).expect("nothing is there");
    program.until_state("away", "Running").await;
    assert!(program.data().join("away/output-0.ts").exists());
    assert_eq!(fs::read_dir(outside).expect("it is there").count(), 0);
    program.apply(&picture("out").output("", "../outside/x.ts"));
    let refused = program.until("out", "is refused", |process| has(process, "Accepted", "Refused")).await;
    let message = condition(&refused, "Accepted")["message"].as_str().unwrap_or_default();
    assert!(message.contains("spec.output[0].address: leads out of the disk directory"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn access_lists_refuse_what_they_do_not_name() {
    let lists =
        [("CORE_FFMPEG_ACCESS_INPUT_BLOCK", "^rtsp: ^file:"), ("CORE_FFMPEG_ACCESS_OUTPUT_ALLOW", "^file: ^pipe:")];
    let _turn = turn::shared().await;
    let program = Program::start_with(&[], &lists).await;
    program.apply(&picture("allowed").output("-f null", "-"));
    program.until_state("allowed", "Running").await;
    for (name, manifest, sign) in [
        ("input", manifest("input").input("", "film.mp4").output("-f null", "-"), "CORE_FFMPEG_ACCESS_INPUT_BLOCK"),
        ("output", picture("output").output("-f flv", "rtmp://127.0.0.1:1/a"), "CORE_FFMPEG_ACCESS_OUTPUT_ALLOW"),
        ("option", picture("option").output("-vf movie=film.mp4 -f null", "-"), "access lists cannot be asked about"),
        ("smuggled", picture("smuggled").output("-c copy other.ts -f null", "-"), "neither an option nor"),
    ] {
        program.apply(&manifest);
        let refused = program.until(name, "is refused", |process| has(process, "Accepted", "Refused")).await;
        let message = condition(&refused, "Accepted")["message"].as_str().unwrap_or_default();
        assert!(message.contains(sign), "{message}");
    }
}
