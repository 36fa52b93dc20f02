//! The same verdict from the API server and from this program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use axum::http::Request;
use dragonfork::crd::{RestreamProcess, read_manifests};
use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, CustomResourceExt};
use serde_json::{Map, Value, json};

use crate::plane::{Plane, With, shared};

/// Manifests that are judged at once.
const AT_ONCE: usize = 4;

/// The cases of a kind.
fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts").join(kind);
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    files
}

/// What kubectl says of a file: whether all of it is accepted, the specs of what is accepted, and its words.
struct Verdict {
    accepted: bool,
    specs: Vec<Value>,
    words: String,
}

async fn of_kubectl(plane: &Plane, file: &Path) -> Verdict {
    let mut command = plane.kubectl();
    command.args(["apply", "--dry-run=server", "--validate=strict", "-o", "json", "-f"]).arg(file);
    let output = tokio::process::Command::from(command).output().await.expect("kubectl starts");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let items = match printed.get("items") {
        Some(Value::Array(items)) => items.clone(),
        _ => Vec::from_iter((!printed.is_null()).then_some(printed)),
    };
    let specs = items.into_iter().map(|mut item| item["spec"].take()).collect();
    // A file without manifests is an error to kubectl alone, which has nothing to do then.
    let empty = words.contains("no objects passed to apply");
    Verdict { accepted: output.status.success() || empty, specs, words }
}

#[tokio::test]
async fn kubectl_gives_every_file_the_verdict_that_we_give() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let files: Vec<(PathBuf, bool)> = ["accepted", "laxer", "refused", "stricter"]
        .into_iter()
        .flat_map(|kind| cases(kind).into_iter().map(move |file| (file, matches!(kind, "accepted" | "stricter"))))
        .collect();
    assert!(files.len() >= 120);
    make_namespaces(&plane.client().await, &files).await;
    let judged = stream::iter(&files).map(|(file, expected)| {
        let verdict = of_kubectl(plane, file);
        async move { (file, *expected, verdict.await) }
    });
    let judged: Vec<_> = judged.buffered(AT_ONCE).collect().await;
    let mut differences = Vec::new();
    for (file, expected, verdict) in judged {
        if verdict.accepted != expected {
            differences.push(format!("{}: accepted {}: {}", file.display(), verdict.accepted, verdict.words));
        }
        // What both accept is the same to both: defaults, and how scalars were read.
        let own: Vec<Value> = read_manifests(&fs::read_to_string(file).expect("it is there"))
            .manifests
            .iter()
            .map(|document| serde_json::to_value(&document.manifest.spec).expect("it is JSON"))
            .collect();
        if expected
            && verdict.accepted
            && file.parent().is_some_and(|kind| kind.ends_with("accepted"))
            && own != verdict.specs
        {
            differences.push(format!("{}: {own:?} is not {:?}", file.display(), verdict.specs));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Makes the namespaces that manifests name; the API server refuses what is in none.
async fn make_namespaces(client: &Client, files: &[(PathBuf, bool)]) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let texts = files.iter().map(|(file, _)| fs::read_to_string(file).expect("it is there"));
    let names: BTreeSet<String> = texts
        .flat_map(|text| read_manifests(&text).manifests)
        .filter_map(|document| document.manifest.metadata.namespace)
        .collect();
    for name in names {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let apply = PatchParams::apply("tests");
        namespaces.patch(&name, &apply, &Patch::Apply(namespace)).await.expect("a namespace can be made");
    }
}

/// Sends a manifest as it is, to be judged and not kept.
async fn of_api_server(client: &Client, namespace: &str, manifest: &Value) -> Result<Value, String> {
    let path = format!(
        "/apis/restream.wilddragon.net/v1alpha1/namespaces/{namespace}/restreamprocesses?dryRun=All&fieldValidation=Strict"
    );
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(manifest).expect("a value can be written"))
        .expect("it is well-formed");
    match client.request::<Value>(request).await {
        Ok(answer) => Ok(answer["spec"].clone()),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => Err(status.message.clone()),
        Err(error) => panic!("{error}: {manifest}"),
    }
}

#[tokio::test]
async fn the_api_server_gives_every_value_of_every_field_the_verdict_that_we_give() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let client = plane.client().await;
    let manifests = manifests();
    let judged = stream::iter(&manifests).map(|(what, manifest)| {
        let verdict = of_api_server(&client, &namespace.name, manifest);
        async move { (what, manifest, verdict.await) }
    });
    let judged: Vec<_> = judged.buffered(AT_ONCE).collect().await;
    let accepted = judged.iter().filter(|(_, _, theirs)| theirs.is_ok()).count();
    assert!(accepted > 200 && judged.len() - accepted > 500, "{accepted} of {} are accepted", judged.len());
    let mut differences = Vec::new();
    for (what, manifest, theirs) in judged {
        let reading = read_manifests(&manifest.to_string());
        let faults: Vec<String> = reading.faults.iter().map(ToString::to_string).collect();
        let ours = match reading.manifests.as_slice() {
            [document] if faults.is_empty() => Ok(serde_json::to_value(&document.manifest.spec).expect("it is JSON")),
            _ => Err(faults.join("; ")),
        };
        let same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (ours, theirs) => ours.is_err() == theirs.is_err(),
        };
        if !same {
            differences.push(format!("{what}:\n  ours {ours:?}\n  theirs {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// A valid manifest, and that manifest with one thing about one field changed: every field of the schema, and every
/// value on either side of what its schema allows.
fn manifests() -> Vec<(String, Value)> {
    let base = json!({
        "apiVersion": "restream.wilddragon.net/v1alpha1",
        "kind": "RestreamProcess",
        "metadata": {"name": "cam", "labels": {"team": "blue"}, "annotations": {"note": "any"}},
        "spec": {
            "processID": "a:b",
            "reference": "studio-a",
            "suspend": false,
            "options": ["-hide_banner"],
            "input": [{"id": "in", "address": "a", "options": ["-re"]}],
            "output": [{"id": "out", "address": "b", "options": ["-c"], "cleanup": [
                {"pattern": "memfs:/a", "maxFiles": 3, "maxFileAgeSeconds": 4, "purgeOnDelete": true},
            ]}],
            "reconnect": true,
            "reconnectDelaySeconds": 1,
            "staleTimeoutSeconds": 2,
            "webrtc": {
                "enabled": true,
                "maxViewers": 5,
                "video": {"map": "0:v:0", "codec": "Copy", "options": ["-g"]},
                "audio": {"map": "0:a:0", "codec": "Opus", "options": ["-b:a"]},
            },
        },
    });
    let definition = serde_json::to_value(RestreamProcess::crd()).expect("it is JSON");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut made = vec![("nothing".to_owned(), base.clone())];
    let mut change = |pointer: &str, what: &str, value: Option<Value>| {
        let mut manifest = base.clone();
        set(&mut manifest, pointer, value);
        made.push((format!("{pointer} {what}"), manifest));
    };
    walk(schema, "/spec", &mut |pointer, schema| {
        change(pointer, "is missing", None);
        for (what, value) in values(schema, base.pointer(pointer).expect("the base has every field")) {
            change(pointer, &what, Some(value));
        }
    });
    for name in
        ["", "a", "-a", "a-", "1a", "a1", "a.b", "a_b", "A", "ä", "a b", "a\n", "a/b", &"a".repeat(52), &"a".repeat(53)]
    {
        change("/metadata/name", &format!("{name:?}"), Some(name.into()));
    }
    for text in ["", "a", "-a", "a-", "A.b_c-9", "ä", "a b", "a\n", &"a".repeat(63), &"a".repeat(64)] {
        change("/metadata/labels/team", &format!("{text:?}"), Some(text.into()));
        change("/metadata/labels", &format!("has the key {text:?}"), Some(json!({text: "x"})));
        change("/metadata/annotations/note", &format!("{text:?}"), Some(text.into()));
        change("/metadata/annotations", &format!("has the key {text:?}"), Some(json!({text: "x"})));
    }
    for key in [
        "a/b",
        "A/b",
        "a.b/C",
        "/a",
        "a/",
        "a/b/c",
        "a..b/c",
        "-a/b",
        &format!("{}/a", "a.".repeat(126) + "a"),
        &format!("{}/a", "a.".repeat(127)),
    ] {
        change("/metadata/labels", &format!("has the key {key:?}"), Some(json!({key: "x"})));
        change("/metadata/annotations", &format!("has the key {key:?}"), Some(json!({key: "x"})));
    }
    for (what, value) in of_every_type() {
        for pointer in
            ["/spec", "/metadata/labels", "/metadata/labels/team", "/metadata/annotations/note", "/metadata/generation"]
        {
            change(pointer, &what, Some(value.clone()));
        }
    }
    change("/metadata/lables", "is unknown", Some(json!({})));
    change("/extra", "is unknown", Some(json!(1)));
    change("/status", "is empty", Some(json!({})));
    change("/status", "has an unknown field", Some(json!({"sate": "Running"})));
    made
}

/// Every schema below a schema, with the pointer to its value.
fn walk(schema: &Value, pointer: &str, visit: &mut impl FnMut(&str, &Value)) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{pointer}/{name}");
        visit(&pointer, inner);
        walk(inner, &pointer, visit);
        if let Some(items) = inner.get("items") {
            let pointer = format!("{pointer}/0");
            visit(&pointer, items);
            walk(items, &pointer, visit);
        }
    }
}

fn of_every_type() -> Vec<(String, Value)> {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(7),
        json!(-1),
        json!(7.0),
        json!(7.5),
        json!(1e3),
        json!(u64::MAX),
        json!("7"),
        json!("true"),
        json!([]),
        json!([null]),
        json!(["a"]),
        json!([7]),
        json!({}),
        json!({"a": "b"}),
    ];
    values.into_iter().map(|value| (format!("is {value}"), value)).collect()
}

/// Values that a schema allows just so, and just so does not.
fn values(schema: &Value, sound: &Value) -> Vec<(String, Value)> {
    let mut values = of_every_type();
    let mut add = |value: Value| values.push((format!("is {:.40}…", value.to_string()), value));
    for bound in ["minimum", "maximum"].iter().filter_map(|bound| schema[bound].as_f64()) {
        #[expect(clippy::cast_possible_truncation, reason = "the bounds are small whole numbers")]
        let bound = bound as i64;
        [bound - 1, bound, bound + 1].into_iter().for_each(|number| add(number.into()));
    }
    for choice in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        [choice.to_owned(), choice.to_lowercase(), format!("{choice} ")].into_iter().for_each(|text| add(text.into()));
    }
    if schema["type"] == "string" {
        let texts = [
            "",
            " ",
            "a",
            "a b",
            " a",
            "a ",
            "a\n",
            "a\tb",
            "\0",
            "a\0b",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "ä",
            "日本",
            "🐉",
            "-a",
            ".a",
            "..",
            "_a",
            "a.",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a%b",
            "webrtc-",
            "webrtc-x",
            "mem:",
            "mem:/a",
            "memfs:a",
            "disk:\0",
            "diskfs:*",
            "memfs",
            "xmemfs:/a",
            "010",
            "yes",
            "null",
            "~",
            "<<",
        ];
        texts.into_iter().for_each(|text| add(text.into()));
    }
    let length = |bound: &str| schema[bound].as_u64().and_then(|bound| usize::try_from(bound).ok());
    if let Some(longest) = length("maxLength") {
        for length in [longest, longest + 1] {
            ["a", "ä", "🐉"].into_iter().for_each(|letter| add(letter.repeat(length).into()));
        }
    }
    if let Some(most) = length("maxItems") {
        let item = |number: usize| {
            let mut item = sound[0].clone();
            if let Some(id) = item.get_mut("id") {
                *id = format!("id-{number}").into();
            }
            item
        };
        [most, most + 1].into_iter().for_each(|count| add((0..count).map(item).collect()));
        add(json!([sound[0], sound[0]]));
    }
    if let Value::Object(fields) = sound {
        let mut fields: Map<String, Value> = fields.clone();
        fields.insert("unknown".into(), json!(1));
        add(fields.into());
    }
    values
}

/// Sets what a pointer points to, or removes it.
fn set(manifest: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    match (manifest.pointer_mut(parent).expect("the base has every field"), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(name.into(), value)),
        (Value::Object(fields), None) => drop(fields.remove(name)),
        (Value::Array(items), Some(value)) => items[0] = value,
        (Value::Array(items), None) => drop(items.remove(0)),
        (parent, _) => panic!("{parent} has no fields"),
    }
}

#[test]
fn temporary_fill() {
    if std::env::var_os("FILL").is_none() {
        return;
    }
    for file in cases("refused") {
        let text = fs::read_to_string(&file).unwrap();
        if text.starts_with("#! ") {
            continue;
        }
        let count = read_manifests(&text).faults.len();
        let shifted = format!("{}{text}", "#! \n".repeat(count));
        let faults = read_manifests(&shifted).faults;
        let head: String = faults.iter().map(|fault| format!("#! {fault}\n")).collect();
        fs::write(&file, format!("{head}{text}")).unwrap();
        println!("{} {head}", file.display());
    }
}
