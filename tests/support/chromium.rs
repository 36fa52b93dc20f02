//! Headless Chromium, driven by chromedriver.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};
use serde_json::json;
use tempfile::TempDir;

/// How long a killed browser may take to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with an empty profile, which ends with this value.
pub struct Chromium {
    pub client: Client,
    driver: Child,
    _directory: TempDir,
}

impl Chromium {
    /// Starts with these flags beside those that every test needs.
    pub async fn start(flags: &[&str]) -> Self {
        let directory =
            tempfile::Builder::new().prefix("dragonfork-browser-").tempdir().expect("a directory can be made");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // Chromium's crash reporter writes to the user's configuration otherwise.
            .env("XDG_CONFIG_HOME", directory.path().join("config"))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed");
        let address = address(&mut driver);
        let profile = format!("--user-data-dir={}", directory.path().join("profile").display());
        let mut arguments = vec![
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
        ];
        arguments.extend(flags);
        let capabilities = json!({"goog:chromeOptions": {"binary": binary(), "args": arguments}});
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("it is one").clone())
            .connect(&address)
            .await
            .expect("chromedriver starts Chromium");
        Self { client, driver, _directory: directory }
    }
}

/// The browser; `CHROMIUM` names another one.
pub fn binary() -> String {
    std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into())
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let group = i32::try_from(self.driver.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        // The driver leaves its browser behind when it ends; both are in one group.
        kill_process_group(group, Signal::KILL).expect("it is our child");
        self.driver.wait().expect("it is our child");
        // The directory goes when nobody writes there any more.
        let deadline = Instant::now() + PATIENCE;
        while test_kill_process_group(group).is_ok() && Instant::now() < deadline {
            // Orphans come to this process where it asked for them, and stay in the group until they are taken note of.
            let _ = waitpgid(group, WaitOptions::NOHANG);
            std::thread::sleep(Duration::from_millis(5));
        }
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
