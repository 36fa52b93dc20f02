//! Looks at inputs, and what FFmpeg can do.

use serde_json::{Value, json};

use crate::client::{Client, bare, has, is_config, picture};
use crate::program::Program;

/// The streams of a probe that has every field that clients demand.
fn streams(probe: &Value) -> &Vec<Value> {
    assert!(probe["log"].as_array().expect("a list").iter().all(Value::is_string), "{probe}");
    let streams = probe["streams"].as_array().expect("a list");
    for stream in streams {
        has(stream, &[("url", "text"), ("format", "text"), ("language", "text"), ("type", "text"), ("codec", "text")]);
        has(
            stream,
            &[("coder", "text"), ("pix_fmt", "text"), ("layout", "text"), ("index", "whole"), ("stream", "whole")],
        );
        has(stream, &[("bitrate_kbps", "number"), ("duration_sec", "number"), ("fps", "number")]);
        has(stream, &[("width", "whole"), ("height", "whole"), ("sampling_hz", "whole"), ("channels", "whole")]);
    }
    streams
}

#[tokio::test]
async fn c149_c150_the_inputs_of_a_process_are_looked_at_whether_it_runs_or_not() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let mut process = picture("cam");
    process["autostart"] = json!(false);
    let sound = json!({"id": "sound", "address": "sine=sample_rate=48000", "options": ["-f", "lavfi", "-re"]});
    process["input"].as_array_mut().expect("a list").push(sound);
    client.done("POST", "/api/v3/process", Some(process)).await;
    for order in ["stop", "start"] {
        client.done("PUT", "/api/v3/process/cam/command", Some(json!({"command": order}))).await;
        let probe = client.get("/api/v3/process/cam/probe").await;
        let [picture, sound] = &streams(&probe)[..] else { panic!("not two streams: {probe}") };
        assert_eq!(
            (&picture["type"], &picture["codec"], &picture["index"]),
            (&json!("video"), &json!("rawvideo"), &json!(0))
        );
        assert_eq!((&picture["width"], &picture["height"]), (&json!(160), &json!(90)));
        assert_eq!((&picture["url"], &picture["format"]), (&json!("testsrc=size=160x90:rate=10"), &json!("lavfi")));
        assert_eq!(
            (&sound["type"], &sound["sampling_hz"], &sound["index"]),
            (&json!("audio"), &json!(48_000), &json!(1))
        );
        assert!(!probe["log"].as_array().expect("a list").is_empty());
    }
    client.refused(404, "GET", "/api/v3/process/unknown/probe", None).await;
}

#[tokio::test]
async fn inputs_of_no_process_are_looked_at_and_what_is_wrong_with_them_is_told() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let look = |input: Value| Some(json!({"input": input, "limits": null, "metadata": null}));
    let path = "/api/v3/process/probe";
    let input = json!([{"address": "testsrc=size=320x180:rate=5", "options": ["-f", "lavfi"], "cleanup": null}]);
    let probe = client.done("POST", path, look(input)).await;
    assert_eq!((streams(&probe).len(), &probe["streams"][0]["width"]), (1, &json!(320)));

    let closed = json!([{"address": "rtmp://user:topsecret@127.0.0.1:1/live/key", "options": null}]);
    let probe = client.done("POST", path, look(closed)).await;
    assert!(streams(&probe).is_empty());
    let log = probe["log"].to_string();
    assert!(log.contains("rtmp://***@127.0.0.1:1/live/key: ") && !log.contains("topsecret"), "{log}");

    assert!(client.refused(400, "POST", path, look(json!([]))).await.contains("spec.input"));
    assert!(client.refused(400, "POST", path, look(json!([{"address": " "}]))).await.contains("spec.input[0].address"));
    let missing = look(json!([{"address": "#nobody:output=x"}]));
    assert!(client.refused(400, "POST", path, missing).await.contains("nobody"));
    assert_eq!(client.get("/api/v3/process").await, json!([]), "nothing is made");
}

#[tokio::test]
async fn a_process_may_be_called_probe() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    client.done("POST", "/api/v3/process", Some(picture("probe"))).await;
    client.until_exec("probe", "running").await;
    let path = "/api/v3/process/probe";
    assert_eq!(client.get(path).await["id"], "probe");
    is_config(&client.get(&format!("{path}/config")).await);
    assert_eq!(streams(&client.get(&format!("{path}/probe")).await).len(), 1);
    assert_eq!(client.done("PUT", path, Some(json!({"reference": "x"}))).await["reference"], "x");
    assert_eq!(client.done("DELETE", path, None).await, "OK");
    client.refused(404, "GET", path, None).await;
}

#[tokio::test]
async fn what_ffmpeg_can_do_is_told_and_asked_again() {
    let program = Program::start().await;
    let client = Client::login(&program).await;
    let deadline = std::time::Instant::now() + crate::child::PATIENCE;
    let skills = loop {
        match client.ask("GET", "/api/v3/skills", None).await {
            (200, skills) => break skills,
            (status, answer) => assert_eq!(status, 503, "{answer}"),
        }
        assert!(std::time::Instant::now() < deadline, "FFmpeg has not answered");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    has(
        &skills["ffmpeg"],
        &[("version", "text"), ("compiler", "text"), ("configuration", "text"), ("libraries", "list")],
    );
    has(&skills["ffmpeg"]["libraries"][0], &[("name", "text"), ("compiled", "text"), ("linked", "text")]);
    has(&skills, &[("filter", "list"), ("hwaccels", "list")]);
    has(&skills["codecs"], &[("audio", "list"), ("video", "list"), ("subtitle", "list")]);
    for group in ["devices", "formats"] {
        has(&skills[group], &[("demuxers", "list"), ("muxers", "list")]);
    }
    has(&skills["protocols"], &[("input", "list"), ("output", "list")]);
    let named = |list: &Value, id: &str| {
        let found = list.as_array().expect("a list").iter().find(|one| one["id"] == id).cloned();
        found.unwrap_or_else(|| panic!("no {id} in {list}"))
    };
    let h264 = named(&skills["codecs"]["video"], "h264");
    assert!(h264["encoders"].as_array().expect("a list").contains(&json!("libx264")), "{h264}");
    assert!(h264["decoders"].as_array().expect("a list").contains(&json!("h264")), "{h264}");
    assert_eq!(named(&skills["protocols"]["output"], "udp"), json!({"id": "udp", "name": "udp"}));
    has(&named(&skills["devices"]["demuxers"], "lavfi"), &[("name", "text"), ("devices", "list")]);
    assert!(named(&skills["filter"], "scale")["name"].is_string());
    assert!(named(&skills["formats"]["muxers"], "rtp")["name"].is_string());
    assert_eq!(client.get("/api/v3/skills/reload").await, skills);
}

#[tokio::test]
async fn an_ffmpeg_that_is_not_there_has_no_skills_and_sees_no_streams() {
    let program = Program::start_with(&[], &[("CORE_FFMPEG_BINARY", "/no/such/ffmpeg")]).await;
    let client = Client::login(&program).await;
    assert!(client.refused(503, "GET", "/api/v3/skills", None).await.contains("FFmpeg"));
    assert!(client.refused(503, "GET", "/api/v3/skills/reload", None).await.contains("/no/such/ffmpeg"));
    let probe = client.done("POST", "/api/v3/process/probe", Some(bare("cam", "testsrc", &["-f", "lavfi"]))).await;
    assert!(streams(&probe).is_empty());
    assert!(probe["log"][0].as_str().is_some_and(|line| line.contains("/no/such/ffmpeg")), "{probe}");
}
