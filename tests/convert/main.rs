//! What datarhei Core ran, and what restreamer-ui sends to it, as manifests: with the real program, which then runs them.

mod running;

#[path = "../support/child.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod child;
#[path = "../support/manifest.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod manifest;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dragonfork::crd::read_manifests;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Servers of `{rtmp}` and `{srt}`, as the configuration of the running program would name them.
const SERVERS: [(&str, &str); 2] = [("CORE_RTMP_ADDRESS", "localhost:1935"), ("CORE_SRT_ADDRESS", "localhost:6000")];

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs the program in a directory, with this text on its standard input.
fn convert_in(directory: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CORE_")) {
        command.env_remove(name);
    }
    let mut child = command
        .arg("convert")
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let written = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    // Who refuses the command line reads nothing.
    assert!(written.is_ok() || !output.status.success());
    output
}

fn convert(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    convert_in(TempDir::new().expect("a directory").path(), arguments, environment, input)
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("it is text")
}

/// Every process that restreamer-ui sends, by the name of its file.
fn variants() -> BTreeMap<String, Value> {
    let folder = fs::read_dir(file("restreamer_ui")).expect("there are some");
    folder
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            let json = fs::read_to_string(&path).expect("it is text");
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            (name, serde_json::from_str(&json).expect("it is JSON"))
        })
        .collect()
}

/// The Secrets and the manifests of a text.
fn documents(text: &str) -> Vec<Value> {
    text.split("---\n").map(|document| serde_yaml::from_str(document).expect("it is YAML")).collect()
}

/// A text of a manifest as FFmpeg gets it, but for placeholders.
fn expanded(text: &Value, manifest: &Value, secret: Option<&Value>) -> String {
    let mut text = text.as_str().expect("text").to_owned();
    for parameter in manifest["spec"]["params"].as_array().into_iter().flatten() {
        let key = parameter["valueFrom"]["secretKeyRef"]["key"].as_str().expect("a key");
        let value = secret.expect("there is a Secret")["stringData"][key].as_str().expect("a value");
        text = text.replace(&format!("$({})", parameter["name"].as_str().expect("a name")), value);
    }
    text
}

#[test]
fn f49_every_variant_that_restreamer_ui_sends_is_carried_whole_and_proven() {
    let variants = variants();
    assert!(variants.len() >= 25, "{} variants", variants.len());
    // A probe of another process needs that one beside it.
    let ingest = &variants["ingest"];
    for (name, process) in &variants {
        let file = if name == "probe_ingest" { json!([ingest, process]) } else { json!([process]) };
        let output = convert(&["-"], &SERVERS, &file.to_string());
        assert_eq!(code(&output), Some(0), "{name}: {}", told(&output));
        let documents = documents(&out(&output));
        let manifest = documents.last().expect("there is one");
        let id = manifest["metadata"]["name"].as_str().expect("a name");
        let secret = documents.iter().find(|one| one["kind"] == "Secret" && one["metadata"]["name"] == id);
        let spec = &manifest["spec"];
        assert_eq!((&spec["processID"], &spec["reference"]), (&process["id"], &process["reference"]), "{name}");
        assert_eq!(spec["suspend"], !process["autostart"].as_bool().expect("it says"), "{name}");
        for (field, sent) in [
            ("reconnect", "reconnect"),
            ("reconnectDelaySeconds", "reconnect_delay_seconds"),
            ("staleTimeoutSeconds", "stale_timeout_seconds"),
            ("options", "options"),
        ] {
            assert_eq!(spec[field], process[sent], "{name}: {field}");
        }
        for side in ["input", "output"] {
            let ios = process[side].as_array().expect("a list");
            assert_eq!(spec[side].as_array().map(Vec::len), Some(ios.len()), "{name}");
            for (at, io) in ios.iter().enumerate() {
                let carried = &spec[side][at];
                assert_eq!(carried["id"], io["id"], "{name}");
                assert_eq!(expanded(&carried["address"], manifest, secret), io["address"], "{name}");
                let options = carried["options"].as_array().into_iter().flatten();
                let options: Vec<String> = options.map(|option| expanded(option, manifest, secret)).collect();
                assert_eq!(json!(options), io["options"], "{name}");
                let rules = io["cleanup"].as_array().map_or(0, Vec::len);
                assert_eq!(carried["cleanup"].as_array().map_or(0, Vec::len), rules, "{name}");
            }
        }
    }
}

#[test]
fn no_password_and_no_stream_key_stays_in_a_manifest() {
    for (name, secrets) in [
        ("ingest", &["pass@"][..]),
        ("egress_memfs_rtmp", &["live_123456"]),
        ("egress_youtube_rtmps", &["abcd-efgh"]),
        ("egress_youtube_hls", &["abcd-efgh"]),
        ("egress_twitch", &["live_42"]),
        ("egress_srt_srt", &["publish%3Acam", "0123456789abc"]),
        ("egress_core_srt", &["t0ken", "0123456789abc"]),
    ] {
        let output = convert(&[file(&format!("restreamer_ui/{name}.json")).to_str().expect("text")], &SERVERS, "");
        let documents = documents(&out(&output));
        let [secret, manifest] = &documents[..] else { panic!("{name}: a Secret and a manifest") };
        assert_eq!((&secret["kind"], &manifest["kind"]), (&json!("Secret"), &json!("RestreamProcess")));
        for text in secrets {
            assert!(!manifest.to_string().contains(text), "{name}: {manifest:#}");
            assert!(text.ends_with('@') || secret["stringData"].to_string().contains(text), "{name}");
        }
        assert!(!told(&output).contains("0123456789abc"), "{name}");
    }
}

#[test]
fn a_credential_that_looks_like_a_number_stays_a_text() {
    for key in ["0123", "1e3", "0x1F", "no", "null", "2026-01-01", "- a", "#b"] {
        let mut process: Value = serde_json::from_str(&text("restreamer_ui/egress_memfs_rtmp.json")).expect("JSON");
        let options = process["output"][0]["options"].as_array_mut().expect("a list");
        *options.last_mut().expect("there is one") = json!(format!("{key}-long"));
        options.extend([json!("-passphrase"), json!(key), json!("-password"), json!(format!("{key}  "))]);
        let output = convert(&["-"], &SERVERS, &process.to_string());
        let documents = documents(&out(&output));
        let values = &documents[0]["stringData"];
        assert_eq!(values["password"], format!("{key}  "), "{values}");
        assert!(key.len() < 3 || values["passphrase"] == key, "{values}");
    }
}

#[test]
fn a_database_becomes_the_directories_that_standalone_reads_and_nothing_is_overwritten() {
    let directory = TempDir::new().expect("a directory");
    let database = file("db.json");
    let arguments = ["--out", "new", database.to_str().expect("text")];
    let output = convert_in(directory.path(), &arguments, &SERVERS, "");
    assert_eq!(code(&output), Some(0), "{}", told(&output));
    let root = directory.path().join("new");
    for path in out(&output).lines() {
        let mode = fs::metadata(directory.path().join(path)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
    let manifests = fs::read_dir(root.join("manifests")).expect("it is there").flatten();
    let manifests: Vec<String> = manifests.map(|file| fs::read_to_string(file.path()).expect("text")).collect();
    assert_eq!(manifests.len(), 3);
    for manifest in &manifests {
        assert!(read_manifests(manifest).faults.is_empty(), "{manifest}");
        assert!(!manifest.contains("abcd-efgh") && !manifest.contains("pass@"), "{manifest}");
    }
    let stored: Value =
        serde_json::from_str(&fs::read_to_string(root.join("config/api.json")).expect("text")).expect("JSON");
    assert_eq!(stored["metadata"]["restreamer-ui"]["version"], "1.14.0");
    let ingest = &stored["processes"]["restreamer-ui:ingest:3f1f6f0e-8f0a-4a58-9d4f-2a6d6f6f0a11"];
    assert_eq!(
        (&ingest["created_at"], &ingest["metadata"]["restreamer-ui"]["license"]),
        (&json!(1_700_000_000), &json!("CC BY 4.0"))
    );

    let marker = root.join("config/api.json");
    fs::write(&marker, "mine").expect("written");
    let again = convert_in(directory.path(), &arguments, &SERVERS, "");
    assert_eq!((code(&again), out(&again).as_str()), (Some(1), ""));
    assert!(told(&again).contains("new/config/api.json"), "{}", told(&again));
    assert_eq!(fs::read_to_string(marker).expect("it is there"), "mine");
}

#[test]
fn what_is_not_carried_is_told_and_makes_the_exit_code() {
    let database = text("db.json");
    let output = convert(&["-"], &SERVERS, &database);
    assert_eq!(code(&output), Some(3), "metadata has no place in manifests");
    assert!(told(&output).contains("metadata restreamer-ui"), "{}", told(&output));
    assert_eq!(out(&output).matches("kind: RestreamProcess").count(), 3);

    let process = text("restreamer_ui/ingest_push_rtmp.json");
    let output = convert(&["-"], &[], &process);
    assert_eq!((code(&output), out(&output).as_str()), (Some(3), ""));
    assert!(
        told(&output).contains("spec.input[0].address") && told(&output).contains("CORE_RTMP_ADDRESS"),
        "{}",
        told(&output)
    );

    let output = convert(&["-"], &SERVERS, &text("restreamer_ui/probe_ingest.json"));
    assert_eq!(code(&output), Some(3));
    assert!(
        told(&output).contains("will wait: ") && out(&output).contains("kind: RestreamProcess"),
        "{}",
        told(&output)
    );

    let mut odd: Value = serde_json::from_str(&text("restreamer_ui/ingest.json")).expect("JSON");
    odd["id"] = json!("a b");
    let output = convert(&["-"], &[], &odd.to_string());
    assert_eq!((code(&output), out(&output).as_str()), (Some(3), ""));
    assert!(told(&output).contains("refused: a b: spec.processID"), "{}", told(&output));
}

#[test]
fn a_file_that_is_none_of_datarhei_cores_is_an_error_with_its_name() {
    for (input, sign) in
        [("{", "is no JSON"), ("[1, 2", "is no JSON"), ("{}", "neither db.json"), ("{\"version\": 3}", "version: 3")]
    {
        let output = convert(&["-"], &[], input);
        assert_eq!((code(&output), out(&output).as_str()), (Some(1), ""), "{input}");
        assert!(told(&output).contains(sign), "{}", told(&output));
    }
    let output = convert(&["no-such.json"], &[], "");
    assert_eq!(code(&output), Some(1));
    assert!(told(&output).contains("no-such.json"), "{}", told(&output));
    let output = convert(&["--secrets", "directory", "-"], &[], "{}");
    assert_eq!(code(&output), Some(2), "a directory needs a place");
}
