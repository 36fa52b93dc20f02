//! The description of the interface, and the page that shows it.

use std::path::Path;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::program::Program;
use crate::python;

/// Routes that the description leaves out: the page, the description with its own page, and what only the operator asks a
/// worker Pod.
const OUTSIDE: [&str; 6] =
    ["/", "/api/openapi.json", "/api/swagger", "/api/swagger/", "/api/swagger/{file}", "/worker"];

async fn description(program: &Program) -> Value {
    let response = reqwest::get(format!("{}/api/openapi.json", program.origin())).await.expect("it is answered");
    assert_eq!(response.status(), 200);
    response.json().await.expect("JSON")
}

#[tokio::test]
async fn every_route_that_is_served_is_described_and_every_described_one_is_served() {
    let program = Program::start().await;
    let description = description(&program).await;
    assert_eq!(description["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    let paths = description["paths"].as_object().expect("an object");
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/routes.rs"));
    let source = source.expect("it is there");
    // Routes that come with their description are described; those that are put in beside it must be too.
    let beside: Vec<&str> =
        source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().expect("it ends")).collect();
    assert!(beside.contains(&"/"), "the routes are read from the right place");
    for path in beside {
        assert!(OUTSIDE.contains(&path) || paths.contains_key(path), "{path} is served and not described");
    }
    let client = reqwest::Client::new();
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("an object") {
            let name = operation["operationId"].as_str().expect("it has a name").to_owned();
            assert!(names.insert(name.clone()), "{name} is there twice");
            let words = path.split('/').filter(|word| word.starts_with('{')).count();
            let named = operation["parameters"].as_array().into_iter().flatten();
            assert_eq!(named.filter(|parameter| parameter["in"] == "path").count(), words, "{name}");
            let url = format!(
                "{}{}",
                program.origin(),
                path.replace("{id}", "x")
                    .replace("{key}", "k")
                    .replace("{resource}", "r")
                    .replace("{filesystem}", "mem")
                    .replace("{name}", "n")
            );
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let response =
                client.request(method, url).bearer_auth(program.token()).send().await.expect("it is answered");
            let status = response.status();
            let body = response.text().await.unwrap_or_default();
            assert!(status != 405 && !body.contains("no_route"), "{name} is described and not served: {status} {body}");
        }
    }
}

#[tokio::test]
async fn the_page_of_the_description_needs_nothing_from_elsewhere() {
    let program = Program::start().await;
    let get = |path: String| reqwest::get(format!("{}{path}", program.origin()));
    let page = get("/api/swagger/".into()).await.expect("it is answered");
    assert_eq!(page.url().path(), "/api/swagger/index.html");
    assert!(page.headers()["content-security-policy"].to_str().expect("text").contains("default-src 'none'"));
    let page = page.text().await.expect("text");
    let parts: Vec<&str> = page
        .split(['"', '\''])
        .filter(|word| word.ends_with(".js") || word.ends_with(".css") || word.ends_with(".png"))
        .collect();
    assert!(parts.len() >= 3, "{page}");
    for part in parts {
        assert!(!part.contains("//"), "{part} is elsewhere");
        let part = part.trim_start_matches("./");
        assert_eq!(get(format!("/api/swagger/{part}")).await.expect("it is answered").status(), 200, "{part}");
    }
    let script = get("/api/swagger/swagger-initializer.js".into()).await.expect("it is answered");
    assert!(script.text().await.expect("text").contains("/api/openapi.json"));
    let datarheis = get("/api/swagger/doc.json".into()).await.expect("it is answered");
    assert_eq!(datarheis.url().path(), "/api/openapi.json");
    assert_eq!(get("/api/swagger/nothing.js".into()).await.expect("it is answered").status(), 404);
}

/// Whatever is sent that fits the description, or nearly so, the program answers without an error of its own.
#[tokio::test]
async fn nothing_that_the_description_allows_breaks_the_program() {
    // No FFmpeg is given addresses that nobody thought of.
    let program = Program::start_with(&[], &[("CORE_FFMPEG_BINARY", "/bin/false"), ("CORE_LOG_LEVEL", "error")]).await;
    let (url, token) = (format!("{}/api/openapi.json", program.origin()), program.token().to_owned());
    let output = tokio::task::spawn_blocking(move || {
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/requirements.txt");
        let python = python::environment("schemathesis", &requirements);
        Command::new(python.with_file_name("schemathesis"))
            .args(["run", &url, "--checks", "not_a_server_error", "--max-examples", "15", "--seed", "1"])
            .args(["--header", &format!("Authorization: Bearer {token}"), "--suppress-health-check", "all"])
            .args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none"])
            .env("SCHEMATHESIS_HOOKS", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/hooks.py"))
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .output()
            .expect("it can be started")
    });
    let output = output.await.expect("it does not panic");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Operations:") && !said.contains(" 0 selected"), "{said}");
}
