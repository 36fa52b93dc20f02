//! Making, changing, commanding and removing processes.

use serde_json::{Value, json};

use crate::client::{Client, bare, is_config, is_process, is_report, is_state, picture};
use crate::program::Program;

#[tokio::test]
async fn a_client_makes_changes_and_removes_a_process() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let made = client.done("POST", "/api/v3/process", Some(picture("my_proc"))).await;
    is_config(&made);
    assert_eq!((&made["id"], &made["reconnect_delay_seconds"]), (&json!("my_proc"), &json!(60)));
    let again = client.refused(400, "POST", "/api/v3/process", Some(picture("my_proc"))).await;
    assert!(again.contains("my_proc") && again.contains("already"), "{again}");

    let state = client.until_exec("my_proc", "running").await;
    assert_eq!((&state["order"], &state["reconnect_seconds"]), (&json!("start"), &json!(-1)));
    let process = client.get("/api/v3/process/my_proc?filter=").await;
    is_process(&process);
    is_config(&process["config"]);
    is_state(&process["state"]);
    is_report(&process["report"]);
    assert_eq!(process["metadata"], json!({}));
    assert!(process["origin"].as_str().is_some_and(|file| file.starts_with("my-proc-")), "{process}");
    is_report(&client.get("/api/v3/process/my_proc/report").await);

    let mut config = client.get("/api/v3/process/my_proc/config").await;
    config["reference"] = json!("another");
    config["limits"] = Value::Null;
    let changed = client.done("PUT", "/api/v3/process/my_proc", Some(config)).await;
    assert_eq!(changed["reference"], "another");
    assert_eq!(client.get("/api/v3/process/my_proc?filter=state").await["reference"], "another");

    assert_eq!(client.done("DELETE", "/api/v3/process/my_proc", None).await, "OK");
    for section in ["", "/config", "/state", "/report"] {
        client.refused(404, "GET", &format!("/api/v3/process/my_proc{section}"), None).await;
    }
    client.refused(404, "DELETE", "/api/v3/process/my_proc", None).await;
    assert_eq!(std::fs::read_dir(program.manifests()).expect("it is there").count(), 0, "no file is left");
}

#[tokio::test]
async fn the_state_of_a_running_process_has_its_figures() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let mut process = picture("cam");
    process["webrtc"] = json!({"enabled": true});
    client.done("POST", "/api/v3/process", Some(process)).await;
    let holds = |state: &Value| {
        let progress = &state["progress"];
        let moves = |name: &str| progress[name].as_f64() > Some(0.0);
        moves("frame") && moves("fps") && moves("time") && moves("speed") && state["cpu_usage"].as_f64() > Some(0.0)
    };
    let state = client.until_state("cam", "running with figures", holds).await;
    assert_eq!((&state["order"], &state["exec"]), (&json!("start"), &json!("running")));
    assert!(state["memory_bytes"].as_u64() > Some(1 << 20), "{state}");
    assert!(state["cpu_usage"].as_f64() <= Some(100.0), "{state}");
    assert!(!state["last_logline"].as_str().expect("text").is_empty(), "{state}");
    let command = state["command"].as_array().expect("a list");
    let words: Vec<&str> = command.iter().map(|word| word.as_str().expect("text")).collect();
    let expected = ["-loglevel", "level+info", "-f", "lavfi", "-re", "-i", "testsrc=size=160x90:rate=10"];
    assert_eq!(words[..7], expected);
    let (inputs, outputs) = (&state["progress"]["inputs"], &state["progress"]["outputs"]);
    assert_eq!(
        (&inputs[0]["id"], &inputs[0]["type"], &inputs[0]["width"]),
        (&json!("input_0"), &json!("video"), &json!(160))
    );
    assert_eq!(inputs[0]["codec"], "rawvideo");
    assert_eq!((&outputs[0]["id"], &outputs[0]["coder"]), (&json!("output_0"), &json!("copy")));
    let leg = outputs.as_array().expect("a list").iter().find(|output| output["id"] == "webrtc-video");
    assert!(leg.is_some_and(|leg| leg["codec"] == "h264" && leg["framerate"]["avg"] == 10.0), "{outputs}");
    let figures =
        json!({"metrics": [{"name": "restream_process", "labels": {"processid": "cam", "name": "memory|cpu"}}]});
    let figures = client.done("POST", "/api/v3/metrics", Some(figures)).await;
    let figures = figures["metrics"].as_array().expect("a list");
    assert!(figures.len() == 2 && figures.iter().all(|one| one["values"][0][1].as_f64() > Some(0.0)), "{figures:?}");
}

#[tokio::test]
async fn c152_the_report_tells_of_the_newest_run_and_of_those_before() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    client.done("POST", "/api/v3/process", Some(picture("cam"))).await;
    client.until_progress("cam").await;
    let has_prelude = |report: &Value| {
        let prelude = report["prelude"].to_string();
        prelude.contains("Input #0, lavfi") && prelude.contains("Output #0, null")
    };
    let first = client.until_report("cam", "with its prelude", has_prelude).await;
    assert_eq!((&first["history"], first.get("exit_state")), (&json!([]), None));
    client.done("PUT", "/api/v3/process/cam/command", Some(json!({"command": "restart"}))).await;
    let report = client.until_report("cam", "with a history", |report| report["history"][0].is_object()).await;
    let before = &report["history"][0];
    assert_eq!((&before["created_at"], &before["exit_state"]), (&first["created_at"], &json!("finished")));
    assert!(before["exited_at"].as_u64() >= before["created_at"].as_u64(), "{before}");
    assert!(has_prelude(before), "{before}");
}

#[tokio::test]
async fn c015_what_failed_counts_down_to_its_next_start_and_shows_no_credentials() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let process = bare("cam", "rtmp://user:topsecret@127.0.0.1:1/live/key", &[]);
    client.done("POST", "/api/v3/process", Some(process)).await;
    let state = client.until_exec("cam", "failed").await;
    let left = state["reconnect_seconds"].as_i64().expect("a number");
    assert!((1..=60).contains(&left), "{state}");
    assert_eq!((&state["memory_bytes"], &state["progress"]["inputs"]), (&json!(0), &json!([])));
    assert!(
        state["command"].as_array().expect("a list").contains(&json!("rtmp://***@127.0.0.1:1/live/key")),
        "{state}"
    );
    client
        .until_state("cam", "nearer to its next start", |state| state["reconnect_seconds"].as_i64() < Some(left))
        .await;
    let report = client.get("/api/v3/process/cam/report").await;
    assert_eq!(report["exit_state"], "failed");
    for shown in [state, report] {
        assert!(!shown.to_string().contains("topsecret"), "{shown}");
    }
    client.done("PUT", "/api/v3/process/cam/command", Some(json!({"command": "stop"}))).await;
    let state = client.until_state("cam", "stopped", |state| state["order"] == "stop").await;
    assert_eq!((&state["exec"], &state["reconnect_seconds"]), (&json!("failed"), &json!(-1)));
}

#[tokio::test]
async fn what_is_refused_is_refused_with_every_reason_and_leaves_nothing_behind() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let mut process = picture("cam");
    process["input"][0]["address"] = json!(" ");
    process["output"][0]["id"] = json!("webrtc-video");
    process["stale_timeout_seconds"] = json!(100_000);
    let reasons = client.refused(400, "POST", "/api/v3/process", Some(process)).await;
    for field in ["spec.input[0].address", "spec.output", "spec.staleTimeoutSeconds"] {
        assert!(reasons.contains(field), "{reasons}");
    }
    let mut other = picture("cam");
    other["type"] = json!("foobar");
    client.refused(400, "POST", "/api/v3/process", Some(other)).await;
    for odd in [json!([]), json!("x"), json!({"id": 5}), json!({"id": "a b", "input": [{"address": "x"}]}), json!({})] {
        client.refused(400, "POST", "/api/v3/process", Some(odd)).await;
    }
    // A stream specifier that no manifest may name is found by the proof, after the schema.
    let mut unproven = picture("cam");
    unproven["webrtc"] = json!({"enabled": true, "video": {"map": "nonsense"}});
    let reasons = client.refused(400, "POST", "/api/v3/process", Some(unproven)).await;
    assert!(reasons.contains("webrtc.video.map"), "{reasons}");
    assert_eq!(client.get("/api/v3/process").await, json!([]));
    assert_eq!(std::fs::read_dir(program.manifests()).expect("it is there").count(), 0);

    client.done("POST", "/api/v3/process", Some(picture("cam"))).await;
    let before = client.get("/api/v3/process/cam/config").await;
    for change in [
        json!({"output": [{"id": "o", "address": ""}]}),
        json!({"webrtc": {"enabled": true, "video": {"map": "nonsense"}}}),
    ] {
        client.refused(400, "PUT", "/api/v3/process/cam", Some(change)).await;
        assert_eq!(client.get("/api/v3/process/cam/config").await, before);
        client.until_exec("cam", "running").await;
    }
    client.refused(404, "PUT", "/api/v3/process/unknown", Some(picture("unknown"))).await;
}

#[tokio::test]
async fn webrtc_survives_a_client_that_does_not_know_it() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let mut process = picture("cam");
    process["webrtc"] = json!({"enabled": true, "video": null, "maxViewers": 3});
    let made = client.done("POST", "/api/v3/process", Some(process)).await;
    assert_eq!((&made["webrtc"]["enabled"], &made["webrtc"]["maxViewers"]), (&json!(true), &json!(3)));
    assert_eq!(client.get("/api/v3/process/cam").await["whep"], "/api/v3/whep/cam");
    let mut config = client.get("/api/v3/process/cam/config").await;
    config.as_object_mut().expect("an object").shift_remove("webrtc");
    config["reconnect_delay_seconds"] = json!(5);
    let changed = client.done("PUT", "/api/v3/process/cam", Some(config)).await;
    assert_eq!(changed["webrtc"]["maxViewers"], 3);
    assert_eq!(client.get("/api/v3/process/cam").await["whep"], "/api/v3/whep/cam");
}

#[tokio::test]
async fn an_id_of_restreamers_page_works_everywhere_and_another_one_takes_its_place() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let id = "restreamer-ui:ingest:3f1f6f0e-8f0a-4a58-9d4f-2a6d6f6f0a11";
    let mut process = picture(id);
    process["output"][0]["cleanup"] =
        json!([{"pattern": "memfs:/x**", "max_files": 12, "max_file_age_seconds": 24, "purge_on_delete": true}]);
    process["limits"] = json!({"cpu_usage": 0, "memory_mbytes": 0, "waitfor_seconds": 5});
    let made = client.done("POST", "/api/v3/process", Some(process.clone())).await;
    assert_eq!(made.get("without_effect"), None);
    let manifest = std::fs::read_dir(program.manifests()).expect("it is there").flatten().next().expect("one file");
    let manifest = std::fs::read_to_string(manifest.path()).expect("it is text");
    assert!(manifest.contains("memfs:/x**") && manifest.contains("maxFileAgeSeconds: 24"), "{manifest}");
    let config = client.get(&format!("/api/v3/process/{id}/config")).await;
    assert_eq!(
        (&config["output"][0]["cleanup"], &config["limits"]["waitfor_seconds"]),
        (&process["output"][0]["cleanup"], &json!(5))
    );
    client.done("PUT", &format!("/api/v3/process/{id}/metadata/restreamer-ui"), Some(json!({"version": 1}))).await;
    let created = client.get(&format!("/api/v3/process/{id}")).await["created_at"].clone();

    client.done("POST", "/api/v3/process", Some(picture("taken"))).await;
    client.refused(400, "PUT", &format!("/api/v3/process/{id}"), Some(json!({"id": "taken"}))).await;
    client.done("PUT", &format!("/api/v3/process/{id}"), Some(json!({"id": "renamed"}))).await;
    client.refused(404, "GET", &format!("/api/v3/process/{id}"), None).await;
    let renamed = client.get("/api/v3/process/renamed").await;
    assert_eq!((&renamed["created_at"], &renamed["metadata"]["restreamer-ui"]["version"]), (&created, &json!(1)));
    let files = std::fs::read_dir(program.manifests()).expect("it is there").flatten();
    let mut files: Vec<_> = files.map(|file| file.file_name().into_string().expect("text")).collect();
    files.sort();
    assert_eq!(files, ["renamed.yaml", "taken.yaml"]);
}

#[tokio::test]
async fn a_process_without_names_gets_some() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let process = json!({
        "input": [{"address": "testsrc=size=160x90:rate=10", "options": ["-f", "lavfi", "-re"]}],
        "output": [{"address": "-", "options": ["-f", "null"]}, {"address": "-", "options": ["-f", "null"]}],
        "autostart": false,
    });
    let made = client.done("POST", "/api/v3/process", Some(process)).await;
    let id = made["id"].as_str().expect("text");
    assert_eq!(id.len(), 22, "{id}");
    assert_eq!((&made["output"][0]["id"], &made["output"][1]["id"]), (&json!("output_0"), &json!("output_1")));
    let state = client.get(&format!("/api/v3/process/{id}/state")).await;
    assert_eq!((&state["order"], &state["exec"]), (&json!("stop"), &json!("finished")));
}

#[tokio::test]
async fn commands_start_stop_and_begin_anew() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    client.done("POST", "/api/v3/process", Some(picture("cam"))).await;
    client.until_progress("cam").await;
    let command = |word: &str| Some(json!({"command": word}));
    let path = "/api/v3/process/cam/command";
    let first = program.ffmpeg("testsrc").await;
    assert_eq!(client.done("PUT", path, command("stop")).await, "OK");
    let state = client.until_exec("cam", "finished").await;
    assert_eq!(state["order"], "stop");
    for word in ["stop", "restart", "reload"] {
        client.done("PUT", path, command(word)).await;
        assert_eq!(client.get("/api/v3/process/cam/state").await["order"], "stop", "{word}");
    }
    let config = client.get("/api/v3/process/cam/config").await;
    assert_eq!(config["autostart"], true, "it says what the client said");
    client.done("PUT", "/api/v3/process/cam", Some(config)).await;
    assert_eq!(client.get("/api/v3/process/cam/state").await["order"], "stop", "a change does not start it");
    client.done("PUT", path, command("start")).await;
    client.until_exec("cam", "running").await;
    let second = program.ffmpeg("testsrc").await;
    assert_ne!(first, second);
    client.done("PUT", path, command("restart")).await;
    let deadline = std::time::Instant::now() + crate::child::PATIENCE;
    while program.ffmpegs("testsrc").contains(&second) {
        assert!(std::time::Instant::now() < deadline, "it was not started anew");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    client.until_exec("cam", "running").await;
    client.refused(400, "PUT", path, command("foobar")).await;
    client.refused(404, "PUT", "/api/v3/process/unknown/command", command("start")).await;
}

#[tokio::test]
async fn a_process_that_has_ended_for_good_is_started_by_command() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let mut short = bare("short", "testsrc=size=160x90:rate=10", &["-f", "lavfi", "-t", "0.2"]);
    short["reconnect"] = json!(false);
    client.done("POST", "/api/v3/process", Some(short)).await;
    program.until_state("short", "Finished").await;
    client.done("PUT", "/api/v3/process/short/command", Some(json!({"command": "start"}))).await;
    program.until("short", "was started again", |process| process["status"]["restarts"] == 1).await;
}

#[tokio::test]
async fn a_manifest_that_a_person_wrote_is_commanded_to_begin_anew_and_nothing_else() {
    let hand = "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {name: mine} # by hand\nspec:\n  \
                input: [{id: i, address: testsrc, options: [-re, -f, lavfi]}]\n  output: [{id: o, address: '-', options: [-f, 'null']}]\n";
    let program = Program::start_with(&[("mine.yaml", hand)], &[]).await;
    let client = Client::login(&program).await;
    let path = "/api/v3/process/mine";
    for (method, path, body) in [
        ("PUT", path.to_owned(), Some(json!({"reference": "x"}))),
        ("DELETE", path.to_owned(), None),
        ("PUT", format!("{path}/command"), Some(json!({"command": "stop"}))),
    ] {
        let why = client.refused(409, method, &path, body).await;
        assert!(why.contains("mine.yaml") && why.contains("restream.wilddragon.net/managed-by: api"), "{why}");
    }
    client.done("PUT", &format!("{path}/command"), Some(json!({"command": "restart"}))).await;
    client.done("PUT", &format!("{path}/metadata/note"), Some(json!("kept"))).await;
    assert_eq!(std::fs::read_to_string(program.manifests().join("mine.yaml")).expect("it is there"), hand);

    let lent = hand.replace("{name: mine}", "{name: mine, annotations: {restream.wilddragon.net/managed-by: api}}");
    program.write("mine.yaml", &lent);
    let deadline = std::time::Instant::now() + crate::child::PATIENCE;
    while client.ask("PUT", path, Some(json!({"reference": "x"}))).await.0 != 200 {
        assert!(std::time::Instant::now() < deadline, "it is not changed");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(client.get(path).await["reference"], "x");
}

#[tokio::test]
async fn read_only_leaves_out_what_changes_something() {
    let program = Program::start_with(&[], &[("CORE_API_READ_ONLY", "true")]).await;
    let client = Client::login(&program).await;
    client.refused(405, "POST", "/api/v3/process", Some(picture("cam"))).await;
    client.refused(405, "PUT", "/api/v3/process/cam", Some(picture("cam"))).await;
    client.refused(404, "PUT", "/api/v3/process/cam/command", Some(json!({"command": "stop"}))).await;
    client.refused(405, "POST", "/api/v3/process/probe", Some(picture("cam"))).await;
    client.refused(405, "PUT", "/api/v3/metadata/k", Some(json!(1))).await;
    client.refused(404, "GET", "/api/v3/config/reload", None).await;
    client.refused(405, "PUT", "/api/v3/fs/mem/x", Some(json!(1))).await;
    client.refused(405, "DELETE", "/api/v3/fs/mem/x", None).await;
    client.refused(404, "GET", "/api/v3/process/cam/probe", None).await;
    client.get("/api/v3/skills/reload").await;
    assert_eq!(client.get("/api/v3/process").await, json!([]));
}
