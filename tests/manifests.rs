//! Manifests as text: the verdicts, the defaults, the CRD, and its reference.
//!
//! Each file below `tests/verdicts/` is a case: `accepted`, `refused` with every reason in lines of `#!` at its head,
//! and the exceptions of docs/manifests.md, `stricter` and `laxer` than Kubernetes. A cluster can be given the same files.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without makes it fail")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dragonfork::crd::{AudioCodec, MAX_FILE_BYTES, RestreamProcess, VideoCodec, crd_yaml, read_manifests};
use kube::CustomResourceExt;
use serde_json::{Value, json};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Name and text of every case of a kind.
fn cases(kind: &str) -> Vec<(String, String)> {
    let folder = repository().join("tests/verdicts").join(kind);
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (name(&path), fs::read_to_string(&path).unwrap()))
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn faults(text: &str) -> Vec<String> {
    read_manifests(text).faults.iter().map(ToString::to_string).collect()
}

fn only(text: &str) -> RestreamProcess {
    let reading = read_manifests(text);
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
    let [document] = <[_; 1]>::try_from(reading.manifests).unwrap();
    document.manifest
}

fn accepted(name: &str) -> String {
    fs::read_to_string(repository().join(format!("tests/verdicts/accepted/{name}.yaml"))).unwrap()
}

#[test]
fn what_the_api_server_accepts_is_accepted() {
    for (name, text) in cases("accepted") {
        assert_eq!(faults(&text), [""; 0], "{name}");
    }
}

#[test]
fn every_reason_of_a_refusal_is_told_with_its_line() {
    for (name, text) in cases("refused").into_iter().chain(cases("stricter")) {
        let expected: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("#! ")).collect();
        assert!(!expected.is_empty(), "{name} says no reason");
        assert_eq!(faults(&text), expected, "{name}");
    }
}

#[test]
fn the_named_exceptions_are_laxer() {
    for (name, text) in cases("laxer") {
        assert_eq!(faults(&text), [""; 0], "{name}");
    }
}

#[test]
fn every_exception_is_named_in_the_reference() {
    let reference = fs::read_to_string(repository().join("docs/manifests.md")).unwrap();
    for (name, _) in cases("stricter").into_iter().chain(cases("laxer")) {
        assert!(reference.contains(&format!("`{name}`")), "docs/manifests.md does not name the exception {name}");
    }
}

#[test]
fn a_bad_document_hides_no_other() {
    let text = fs::read_to_string(repository().join("tests/verdicts/refused/one-bad-document-hides-no-other.yaml"));
    let reading = read_manifests(&text.unwrap());
    let seen: Vec<_> =
        reading.manifests.iter().map(|d| (d.number, d.line, d.manifest.metadata.name.as_deref().unwrap())).collect();
    assert_eq!(seen, [(1, 4, "cam"), (4, 30, "three")]);
    assert_eq!(reading.faults.iter().map(|fault| fault.document).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn documents_without_content_are_not_counted() {
    let reading = read_manifests(&accepted("several-documents"));
    assert_eq!(reading.manifests.iter().map(|document| document.number).collect::<Vec<_>>(), [1, 2]);
    assert!(read_manifests(&accepted("only-comments")).manifests.is_empty());
}

#[test]
fn the_items_of_a_list_are_manifests() {
    let reading = read_manifests(&accepted("a-list-of-manifests"));
    let seen: Vec<_> = reading.manifests.iter().map(|document| (document.number, document.item)).collect();
    assert_eq!(seen, [(1, Some(1)), (1, Some(2))]);
    let folder = repository().join("tests/verdicts/refused");
    let reading = read_manifests(&fs::read_to_string(folder.join("a-list-with-an-unreadable-item.yaml")).unwrap());
    assert_eq!(reading.manifests.iter().map(|document| document.item).collect::<Vec<_>>(), [Some(2)]);
}

#[test]
fn defaults_are_filled_in() {
    let spec = only(&accepted("smallest")).spec;
    assert!(!spec.suspend && spec.reconnect);
    assert_eq!((spec.reconnect_delay_seconds, spec.stale_timeout_seconds), (15, 30));
    assert_eq!((spec.process_id, spec.reference), (None, None));
    assert!(spec.options.is_empty() && spec.input[0].options.is_empty() && spec.output.is_empty());
    let webrtc = spec.webrtc.unwrap();
    assert_eq!((webrtc.enabled, webrtc.max_viewers), (true, None));
    assert_eq!((webrtc.video.codec, webrtc.audio.codec), (VideoCodec::Auto, AudioCodec::Auto));
    assert_eq!((webrtc.video.map, webrtc.audio.map), (None, None));
}

#[test]
fn null_is_the_same_as_nothing() {
    let manifest = only(&accepted("null-is-absent"));
    assert_eq!(manifest.metadata.namespace, None);
    assert_eq!(manifest.spec.stale_timeout_seconds, 30);
    assert_eq!(manifest.spec.webrtc.unwrap().video.codec, VideoCodec::Auto);
    assert_eq!(only(&accepted("webrtc-null")).spec.webrtc, None);
}

#[test]
fn values_are_what_kubectl_reads() {
    let spec = only(&accepted("yes-and-on-are-booleans")).spec;
    assert!(spec.suspend && !spec.reconnect && spec.webrtc.unwrap().enabled);
    let spec = only(&accepted("numbers-in-other-notations")).spec;
    assert_eq!((spec.reconnect_delay_seconds, spec.stale_timeout_seconds), (31, 1000));
    let spec = only(&accepted("quotes-and-blocks")).spec;
    assert_eq!(spec.input[0].options, ["5", "010", "true", "null", "7"]);
    assert_eq!((spec.reference.as_deref(), spec.output[0].address.as_str()), (Some("folded text"), "out.m3u8\n"));
    let spec = only(&accepted("anchors-and-merge-keys")).spec;
    assert_eq!((spec.input[1].id.as_str(), spec.input[1].address.as_str()), ("two", "rtsp://10.0.0.6/1"));
    assert_eq!(spec.input[1].options, spec.input[0].options);
    assert_eq!(spec.output[0].options, spec.input[0].options);
}

#[test]
fn the_status_of_a_manifest_is_dropped() {
    let manifest = only(&accepted("as-the-cluster-gives-it-back"));
    assert_eq!(manifest.status, None);
    assert_eq!(manifest.metadata.generation, Some(3));
}

#[test]
fn a_manifest_that_is_written_out_reads_as_itself() {
    let manifest = only(&accepted("every-field"));
    assert_eq!(only(&serde_yaml::to_string(&manifest).unwrap()), manifest);
}

#[test]
fn a_file_that_is_too_large_is_refused_whole() {
    let text = format!("{}\n#{}", accepted("smallest"), "x".repeat(MAX_FILE_BYTES));
    let reading = read_manifests(&text);
    assert!(reading.manifests.is_empty());
    assert_eq!(
        reading.faults[0].to_string(),
        format!("the file has {} bytes; manifests have at most 1048576", text.len())
    );
}

#[test]
fn a_thousand_faults_are_not_told_one_by_one() {
    let unknown: String = (0..1500).map(|number| format!("  x{number}: 1\n")).collect();
    let told = faults(&format!("{}{unknown}", accepted("smallest")));
    assert_eq!((told.len(), told[100].contains("and 1400 more of this document")), (101, true), "{}", told[100]);
    let told = faults(&"---\nx\n".repeat(5000));
    assert_eq!((told.len(), told[1000].contains("and 4000 more of this file")), (1001, true), "{}", told[1000]);
}

#[test]
fn no_reason_tells_a_password() {
    for bad in
        ["options: -i rtsp://user:hunter2@h/x", "options: rtsp://user:hunter2@h/x", "suspend: rtsp://u:hunter2@h"]
    {
        let told = faults(&format!("{}  {bad}\n", accepted("smallest"))).join("\n");
        assert!(!told.is_empty() && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn the_committed_definition_is_the_one_of_the_types() {
    let committed = fs::read_to_string(repository().join("crds/restreamprocesses.yaml")).unwrap_or_default();
    assert!(
        committed == crd_yaml(),
        "crds/restreamprocesses.yaml is not what the types say; run `cargo run -- crd > crds/restreamprocesses.yaml`"
    );
}

#[test]
fn the_definition_survives_its_way_through_yaml() {
    let text = crd_yaml();
    assert!(text.starts_with("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"));
    let read: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(read, serde_json::to_value(RestreamProcess::crd()).unwrap());
}

#[test]
fn the_definition_holds_nothing_that_an_api_server_refuses() {
    let definition = serde_json::to_value(RestreamProcess::crd()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    walk(schema, "", &mut |at, node| {
        for word in ["$ref", "anyOf", "oneOf", "allOf", "not"] {
            assert!(node.get(word).is_none(), "{at} has {word}");
        }
        assert!(at == ".status" || node.get("nullable").is_none(), "{at} is nullable");
        let is_spec = at.starts_with(".spec");
        if is_spec && node["type"] == "array" {
            assert!(node.get("maxItems").is_some(), "{at} has no bound, so that rules would cost too much");
        }
        if is_spec && node.get("additionalProperties").is_some() {
            assert!(node.get("maxProperties").is_some(), "{at} has no bound, so that rules would cost too much");
        }
        if is_spec && node["type"] == "string" && node.get("enum").is_none() {
            assert!(node.get("maxLength").is_some(), "{at} has no bound, so that rules would cost too much");
        }
    });
}

#[test]
fn the_manifest_of_the_reference_is_valid() {
    let reference = fs::read_to_string(repository().join("docs/manifests.md")).unwrap();
    let (_, begin) = reference.split_once("```yaml\n").unwrap();
    let manifest = only(begin.split_once("```").unwrap().0);
    assert_eq!(manifest.metadata.name.as_deref(), Some("lobby-cam"));
}

#[test]
fn every_field_is_in_the_reference() {
    let reference = fs::read_to_string(repository().join("docs/manifests.md")).unwrap();
    let definition = serde_json::to_value(RestreamProcess::crd()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    walk(schema, "", &mut |at, _| {
        let path = at.trim_start_matches('.');
        if path.contains('.') && !path.ends_with("[]") && !path.ends_with(".*") {
            assert!(reference.contains(&format!("`{path}`")), "docs/manifests.md does not have `{path}`");
        }
    });
}

/// Every schema within a schema, with its path.
fn walk(schema: &Value, at: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(at, schema);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        walk(inner, &format!("{at}.{name}"), visit);
    }
    for (items, at) in [("items", format!("{at}[]")), ("additionalProperties", format!("{at}.*"))] {
        if let Some(items) = schema.get(items) {
            walk(items, &at, visit);
        }
    }
}

/// What `dragonfork validate` says in a directory: whether all is accepted, and its words.
fn validate(directory: &Path, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CORE_")) {
        command.env_remove(name);
    }
    command.arg("validate").args(arguments).current_dir(directory);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // A program that reads no standard input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", output.status);
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// A manifest of one input and one output.
fn manifest(name: &str, input: &str, output: &str) -> String {
    format!(
        "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: {name}}}\nspec:\n  \
         input: [{{id: in, address: \"{input}\"}}]\n  output: [{{id: out, address: \"{output}\"}}]\n"
    )
}

#[test]
fn validate_tells_a_refusal_of_the_api_server_with_file_document_and_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good.yaml"), manifest("good", "a", "b.ts")).unwrap();
    let bad = format!("{}---\n{}  suspended: true\n", manifest("one", "a", "b.ts"), manifest("two", "a", "b.ts"));
    fs::write(folder.path().join("bad.yml"), bad).unwrap();
    fs::write(folder.path().join("notes.txt"), "no manifest").unwrap();
    let (is_accepted, told) = validate(folder.path(), &["."], "");
    assert_eq!(
        told,
        "./bad.yml: document 2, line 14: spec.suspended: unknown field \"suspended\", did you mean \"suspend\"?\n2 \
         manifests in order, 1 finding refused by the API server\n"
    );
    assert!(!is_accepted);
    assert_eq!(validate(folder.path(), &["good.yaml"], ""), (true, "1 manifest in order\n".into()));
}

#[test]
fn validate_tells_what_is_refused_after_the_api_server_took_it() {
    let folder = tempfile::tempdir().unwrap();
    let (is_accepted, told) = validate(folder.path(), &["-"], &manifest("cam", "a", "/etc/passwd"));
    assert!(told.starts_with("standard input: Accepted=False: line 1: spec.output[0].address: "), "{told}");
    assert!(
        !is_accepted && told.ends_with("0 manifests in order, 1 finding refused when it is to run (Accepted=False)\n")
    );
}

#[test]
fn validate_only_notes_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let refers = manifest("two", "#one:output=out", "c.ts");
    let (is_accepted, told) = validate(folder.path(), &["-"], &refers);
    assert!(is_accepted && told.starts_with("standard input: note: line 1: spec.input[0].address: "), "{told}");
    fs::write(folder.path().join("one.yaml"), manifest("one", "a", "b.ts")).unwrap();
    assert_eq!(validate(folder.path(), &["one.yaml", "-"], &refers), (true, "2 manifests in order\n".into()));
}

#[test]
fn validate_goes_on_past_a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (is_accepted, told) = validate(folder.path(), &["gone.yaml", "-"], &manifest("cam", "a", "b.ts"));
    assert!(
        !is_accepted && told.starts_with("gone.yaml: cannot be read: ") && told.contains("1 manifest in order"),
        "{told}"
    );
    let (is_accepted, told) = validate(folder.path(), &["."], "");
    assert!(!is_accepted && told.starts_with(".: no file of this directory ends with .yaml or .yml\n"), "{told}");
}

#[test]
fn validate_prints_json_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}  suspend: 1\n---\n{}", manifest("a", "a", "b.ts"), manifest("b", "#x:output=y", "b.ts"));
    let (is_accepted, told) = validate(folder.path(), &["--json", "-"], &text);
    let mut told: Value = serde_json::from_str(&told).unwrap();
    let note = told["files"][0]["findings"][1]["message"].take();
    assert!(note.as_str().unwrap().starts_with("spec.input[0].address: "), "{note}");
    let finding = json!({"verdict": "Refused", "document": 1, "line": 7, "field": "spec.suspend",
        "message": "must be true or false, not the number 1"});
    let note = json!({"verdict": "Waits", "document": 2, "line": 9, "message": null});
    let file = json!({"file": "standard input", "manifests": 1, "findings": [finding, note]});
    assert_eq!(told, json!({"accepted": false, "manifests": 1, "files": [file]}));
    assert!(!is_accepted);
}

/// The definition that datarhei Core's own tests change.
fn base(input: &str, output: &str) -> String {
    format!(
        "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: process}}\nspec:\n  \
         options: [-loglevel, info]\n  input: [{input}]\n  output: [{output}]\n  reconnectDelaySeconds: 10\n"
    )
}

#[test]
fn c034_to_c039_an_incomplete_definition_is_refused() {
    let input = "{id: in, address: \"testsrc=size=1280x720:rate=25\", options: [-f, lavfi, -re]}";
    let output = "{id: out, address: \"-\", options: [-codec, copy, -f, \"null\"]}";
    assert_eq!(faults(&base(input, output)), [""; 0]);
    for (row, input, output, path) in [
        ("C034", "{id: \"\", address: a}", output, "spec.input[0].id"),
        ("C035", "{id: in, address: \"\"}", output, "spec.input[0].address"),
        ("C036", "{id: in, address: a}, {id: in, address: b}", output, "spec.input[1].id"),
        ("C037", "", output, "spec.input"),
        ("C038", input, "{id: \"\", address: a}", "spec.output[0].id"),
        ("C038", input, "{id: out, address: \"\"}", "spec.output[0].address"),
        ("C038", input, "{id: out, address: a}, {id: out, address: b}", "spec.output[1].id"),
        ("C038", input, "", "spec.output"),
        ("C039", "{id: in, address: \"   \"}", output, "spec.input[0].address"),
        ("C039", input, "{id: out, address: \"   \"}", "spec.output[0].address"),
    ] {
        let faults = faults(&base(input, output));
        assert!(faults.iter().any(|fault| fault.contains(&format!("{path}:"))), "{row}: {faults:?}");
    }
}
