//! The same verdict from the API server and from this program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::http::Request;
use dragonfork::crd::read_manifests;
use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::plane::{Plane, With, shared};
use crate::values::manifests;

/// Manifests that are judged at once.
const AT_ONCE: usize = 4;

/// What is expected of the two verdicts; `stricter` and `laxer` than Kubernetes are named exceptions.
const KINDS: [&str; 4] = ["accepted", "laxer", "refused", "stricter"];

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
    let mut specs: Vec<Value> = items.into_iter().map(|mut item| item["spec"].take()).collect();
    specs.iter_mut().for_each(plain);
    // A file without manifests is an error to kubectl alone, which has nothing to do then.
    let text = fs::read_to_string(file).expect("it is there");
    let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}'));
    let empty = words.contains("no objects passed to apply")
        && lines.all(|line| line.trim().is_empty() || line.starts_with(['#', '-']));
    Verdict { accepted: output.status.success() || empty, specs, words }
}

/// What `dragonfork validate` would have the API server refuse, by file.
fn refusals(paths: &[PathBuf]) -> BTreeMap<PathBuf, Vec<String>> {
    let output = Command::new(env!("CARGO_BIN_EXE_dragonfork")).args(["validate", "--json"]).args(paths).output();
    let report: Value = serde_json::from_slice(&output.expect("the program starts").stdout).expect("it prints JSON");
    let files = report["files"].as_array().expect("it lists files").iter();
    let of_file = |file: &Value| {
        let findings = file["findings"].as_array().expect("a file has findings").iter();
        let refused = findings.filter(|finding| finding["verdict"] == "Refused").map(Value::to_string);
        (PathBuf::from(file["file"].as_str().expect("a file has a name")), refused.collect())
    };
    files.map(of_file).collect()
}

/// JSON that is YAML: that has the character U+007F as an escape alone, to kubectl too.
fn as_yaml(manifest: &Value) -> String {
    manifest.to_string().replace('\u{7f}', "\\u007f")
}

/// Numbers without a fraction are the same however they are written.
fn plain(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().map(|float| float as i64);
            if let Some(whole) = whole.filter(|whole| number.is_f64() && number.as_f64() == Some(*whole as f64)) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(fields) => fields.values_mut().for_each(plain),
        _ => {}
    }
}

/// The specs of what is accepted of a text, with all defaults.
fn specs(text: &str) -> Vec<Value> {
    let manifests = read_manifests(text).manifests;
    let mut specs: Vec<Value> =
        manifests.iter().map(|document| serde_json::to_value(&document.manifest.spec).expect("it is JSON")).collect();
    specs.iter_mut().for_each(plain);
    specs
}

#[tokio::test]
async fn kubectl_gives_every_file_the_verdict_that_we_give() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let files: Vec<(PathBuf, &str)> =
        KINDS.into_iter().flat_map(|kind| cases(kind).into_iter().map(move |it| (it, kind))).collect();
    assert!(files.len() >= 150, "{} files", files.len());
    let paths: Vec<PathBuf> = files.iter().map(|(file, _)| file.clone()).collect();
    make_namespaces(&plane.client().await, &paths).await;
    let judged = stream::iter(&paths).map(|file| of_kubectl(plane, file)).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let refusals = refusals(&paths);
    let mut differences = Vec::new();
    for ((file, kind), Verdict { accepted, specs: theirs, words }) in files.iter().zip(judged) {
        let refused = &refusals[file];
        let expected = match *kind {
            "accepted" => refused.is_empty() && accepted,
            "refused" => !refused.is_empty() && !accepted,
            "stricter" => !refused.is_empty() && accepted,
            _ => refused.is_empty() && !accepted,
        };
        // What both accept is the same to both: defaults, and how scalars were read.
        let ours = specs(&fs::read_to_string(file).expect("it is there"));
        if !expected || (*kind == "accepted" && ours != theirs) {
            let both = format!("{refused:?} {ours:?}\n  kubectl: accepted {accepted}: {words}{theirs:?}");
            differences.push(format!("{}: {both}", file.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Makes the namespaces that manifests name; the API server refuses what is in none.
async fn make_namespaces(client: &Client, files: &[PathBuf]) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("it is there"));
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
        Ok(mut answer) => {
            plain(&mut answer["spec"]);
            Ok(answer["spec"].take())
        }
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
    assert!(accepted > 500 && judged.len() - accepted > 2000, "{accepted} of {} are accepted", judged.len());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = |number: usize| folder.path().join(format!("{number:05}.yaml"));
    for (number, (_, manifest, _)) in judged.iter().enumerate() {
        fs::write(file(number), as_yaml(manifest)).expect("the folder can be written");
    }
    let refusals = refusals(&[folder.path().to_owned()]);
    let mut differences = Vec::new();
    for (number, (what, manifest, theirs)) in judged.into_iter().enumerate() {
        let refused = &refusals[&file(number)];
        let ours = match specs(&as_yaml(manifest)).pop() {
            Some(spec) if refused.is_empty() => Ok(spec),
            _ => Err(refused.join("; ")),
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
