//! The program under test, in a directory of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::child::{Child, PATIENCE, arguments, descendants};
use crate::manifest::Manifest;

/// `dragonfork standalone` over its own manifests.
pub struct Program {
    pub child: Child,
    origin: String,
    token: String,
    client: reqwest::Client,
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl Program {
    /// Starts without manifests.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// Starts with these files as manifests and these variables in its environment, and waits for the link that it
    /// prints.
    pub async fn start_with(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("dragonfork-e2e-").tempdir().expect("a directory can be made");
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("manifests")).expect("it is new");
        for (name, text) in files {
            fs::write(path("manifests").join(name), text).expect("it can be written");
        }
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<(String, String)> = environment.iter().map(own).collect();
        let (child, origin, token) = launch(directory.path(), &environment).await;
        Self { child, origin, token, client: reqwest::Client::new(), directory, environment }
    }

    /// Ends the program as a person would, and starts it again over what it left.
    pub async fn restart(&mut self) {
        self.child.signal(Signal::TERM);
        assert!(self.child.end_within(PATIENCE).await.is_some(), "the program does not end");
        (self.child, self.origin, self.token) = launch(self.directory.path(), &self.environment).await;
    }

    /// `http://127.0.0.1:<port>`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The link that it prints for people.
    pub fn link(&self) -> String {
        format!("{}/#token={}", self.origin, self.token)
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn whep(&self, id: &str) -> String {
        format!("{}/api/v3/whep/{id}", self.origin)
    }

    /// The page that plays a process at once.
    pub fn player(&self, id: &str) -> String {
        format!("{}/?url={}&token={}", self.origin, self.whep(id), self.token)
    }

    /// The directory that FFmpeg writes to.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn manifests(&self) -> PathBuf {
        self.directory.path().join("manifests")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes `<name>.yaml` as editors do: a file beside it takes its place.
    pub fn apply(&self, manifest: &Manifest) {
        self.write(&format!("{}.yaml", manifest.name()), &manifest.text());
    }

    pub fn write(&self, file: &str, text: &str) {
        let draft = self.directory.path().join("draft");
        fs::write(&draft, text).expect("it can be written");
        fs::rename(draft, self.manifests().join(file)).expect("it can be moved");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.manifests().join(format!("{name}.yaml"))).expect("it is there");
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.origin)).bearer_auth(&self.token)
    }

    /// The JSON at a path, with a token for everything.
    pub async fn json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.expect("the program answers");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.expect("it is JSON")
    }

    /// Every process that the program shows.
    pub async fn processes(&self) -> Vec<Value> {
        self.json("/api/v3/process").await.as_array().expect("it is a list").clone()
    }

    /// One process, `Null` where there is none.
    pub async fn process(&self, id: &str) -> Value {
        self.processes().await.into_iter().find(|process| process["id"] == id).unwrap_or_default()
    }

    /// The last lines of a process's FFmpeg.
    pub async fn log(&self, id: &str) -> String {
        let lines = self.json(&format!("/api/v3/process/{id}/log")).await;
        let lines = lines.as_array().into_iter().flatten().filter_map(|line| line["line"].as_str());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What the program itself has printed and logged.
    pub fn printed(&self) -> String {
        self.child.log()
    }

    /// What is wrong with the manifests, as text.
    pub async fn problems(&self) -> Vec<(String, String)> {
        let problems = self.json("/api/v3/problem").await;
        let problem = |problem: &Value| {
            let errors: Vec<&str> =
                problem["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            (problem["origin"].as_str().unwrap_or_default().to_owned(), errors.join("\n"))
        };
        problems.as_array().expect("it is a list").iter().map(problem).collect()
    }

    /// Waits until a process is as it should be, and gives it.
    pub async fn until(&self, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.until_within(PATIENCE, id, what, holds).await
    }

    pub async fn until_within(
        &self,
        patience: Duration,
        id: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + patience;
        loop {
            let process = self.process(id).await;
            if holds(&process) {
                return process;
            }
            assert!(Instant::now() < deadline, "{id} {what}: not within {patience:?}; it is {process:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a process is in this state.
    pub async fn until_state(&self, id: &str, state: &str) -> Value {
        self.until(id, &format!("is {state}"), |process| process["status"]["state"] == state).await
    }

    /// Waits until a problem of this file holds each of these words.
    pub async fn until_problem(&self, file: &str, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let problems = self.problems().await;
            let found = problems.iter().find(|(origin, errors)| {
                let text = format!("{origin}\n{errors}");
                origin.contains(file) && words.iter().all(|word| text.contains(word))
            });
            if let Some((origin, errors)) = found {
                return format!("{origin}\n{errors}");
            }
            assert!(Instant::now() < deadline, "no problem of {file} with {words:?} among {problems:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Process ids of the running FFmpegs whose arguments hold this word.
    pub fn ffmpegs(&self, word: &str) -> BTreeSet<u32> {
        let has_word = |id: &u32| arguments(*id).iter().skip(1).any(|argument| argument.contains(word));
        descendants(self.child.id()).into_iter().filter(has_word).collect()
    }

    /// Process id of the one FFmpeg that runs with this word among its arguments, once it is the only one.
    pub async fn ffmpeg(&self, word: &str) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ids = self.ffmpegs(word);
            if let (Some(id), 1) = (ids.first(), ids.len()) {
                return *id;
            }
            assert!(Instant::now() < deadline, "{} FFmpegs have {word:?}", ids.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Body of an answer, asked for without a runtime; for the report of a failure.
    fn raw(&self, path: &str) -> String {
        let ask = || {
            let host = self.origin.trim_start_matches("http://");
            let mut stream = std::net::TcpStream::connect(host)?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\r\n", self.token)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        let answer = ask().unwrap_or_else(|error| error.to_string());
        answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned())
    }

    /// Status and body of the answer to a POST.
    pub async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        content_type: &str,
        body: impl Into<String>,
    ) -> (u16, String) {
        let request = self.client.post(format!("{}{path}", self.origin)).header("content-type", content_type);
        let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
        let response = request.body(body.into()).send().await.expect("the program answers");
        (response.status().as_u16(), response.text().await.unwrap_or_default())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the processes ---\n{}", self.raw("/api/v3/process"));
            let processes: Vec<Value> = serde_json::from_str(&self.raw("/api/v3/process")).unwrap_or_default();
            for id in processes.iter().filter_map(|process| process["id"].as_str()) {
                eprintln!("--- FFmpeg of {id} ---\n{}", self.raw(&format!("/api/v3/process/{id}/log")));
            }
        }
    }
}

/// Starts the program, and waits for the link that it prints: its two halves beside the child.
async fn launch(directory: &Path, environment: &[(String, String)]) -> (Child, String, String) {
    let path = |name: &str| directory.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
    command.arg("standalone").current_dir(directory);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CORE_")) {
        command.env_remove(name);
    }
    command
        .env("CORE_MANIFESTS_DIR", path("manifests"))
        .env("CORE_DB_DIR", path("config"))
        .env("CORE_STORAGE_DISK_DIR", path("data"))
        .env("CORE_ADDRESS", "127.0.0.1:0")
        .env("CORE_WEBRTC_ADDRESS", "127.0.0.1:0")
        .env("CORE_API_AUTH_USERNAME", "admin")
        .env("CORE_API_AUTH_PASSWORD", "a password of the tests")
        .env("CORE_LOG_FORMAT", "json")
        .envs(environment.iter().map(|(name, value)| (name, value)));
    let mut child = Child::start("dragonfork", &mut command, directory);
    let (origin, token) = link(&mut child).await;
    (child, origin, token)
}

/// The link for people that the program prints, in its two halves: where it is, and the token.
async fn link(child: &mut Child) -> (String, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = child.log();
        let mut words = log.split_whitespace().filter_map(|word| word.split_once("/#token="));
        if let Some((origin, token)) = words.rfind(|(origin, _)| origin.starts_with("http://"))
            && log.ends_with('\n')
        {
            return (origin.to_owned(), token.to_owned());
        }
        assert!(child.ended().is_none(), "the program ended at start");
        assert!(Instant::now() < deadline, "the program prints no link");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
