//! Headless Chromium, driven by chromedriver.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::house::PATIENCE;

/// A browser with an empty profile, which ends with this value.
pub struct Browser {
    client: Client,
    driver: Child,
    _directory: TempDir,
}

impl Browser {
    pub async fn start(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // Chromium's crash reporter writes to the user's configuration otherwise.
            .env("XDG_CONFIG_HOME", directory.path().join("config"))
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed");
        let address = address(&mut driver);
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
        ]
        .iter()
        .chain(flags)
        .map(|flag| (*flag).to_owned())
        .collect();
        arguments.push(format!("--user-data-dir={}", directory.path().join("profile").display()));
        let binary = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
        let capabilities = json!({ "goog:chromeOptions": { "binary": binary, "args": arguments } });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("it is one").clone())
            .connect(&address)
            .await
            .expect("chromedriver starts Chromium");
        Self { client, driver, _directory: directory }
    }

    pub async fn open(&self, address: &str) {
        self.client.goto(address).await.expect("the page opens");
    }

    /// What an expression of the page's script is.
    pub async fn value(&self, expression: &str) -> Value {
        let value = self.client.execute(&format!("return {expression}"), Vec::new()).await;
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression of the page's script is true.
    pub async fn until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.value(&format!("Boolean({expression})")).await.as_bool().expect("a boolean") {
            if Instant::now() > deadline {
                let seen = self.value("document.body.innerText").await;
                panic!("{expression} is not true; the page says {seen}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.textContent ?? ''")).await;
        text.as_str().expect("text").trim().to_owned()
    }

    pub async fn click(&self, selector: &str) {
        self.client.find(Locator::Css(selector)).await.expect(selector).click().await.expect(selector);
    }

    pub async fn write(&self, selector: &str, text: &str) {
        let field = self.client.find(Locator::Css(selector)).await.expect(selector);
        field.clear().await.expect(selector);
        field.send_keys(text).await.expect(selector);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let pid = i32::try_from(self.driver.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        // The driver leaves its browser behind when it ends; both are in one group.
        kill_process_group(pid, Signal::KILL).expect("it is our child");
        self.driver.wait().expect("it is our child");
    }
}

fn address(driver: &mut Child) -> String {
    let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
    let port = lines.map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("started successfully on port ")?;
        rest.trim_end_matches('.').parse::<u16>().ok()
    });
    format!("http://127.0.0.1:{}", port.expect("chromedriver says its port"))
}
