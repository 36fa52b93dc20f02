//! Janus, as the distribution packages it: a streaming mountpoint that is fed with the same RTP, viewers over its HTTP
//! API.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::parameters::JANUS_LOOPS;
use crate::source::Ports;
use crate::traffic::Kind;

/// How long it may take to start and to answer.
const PATIENCE: Duration = Duration::from_secs(15);
const MOUNTPOINT: u32 = 1;
const LIBRARY: &str = "libjanus_streaming.so";

/// A running Janus, ended with this value.
pub struct Janus {
    process: Child,
    folder: TempDir,
    ports: Ports,
    runtime: Runtime,
    client: reqwest::Client,
    url: String,
    session: u64,
}

impl Janus {
    /// Starts it with a configuration of its own; `Err` says what is missing.
    pub fn start() -> Result<Self> {
        let libraries = libraries()?;
        let folder = tempfile::tempdir()?;
        let ports = Ports { video: free_udp_port()?, audio: free_udp_port()? };
        let http = free_tcp_port()?;
        configure(folder.path(), &libraries, ports, http)?;
        let mut command = Command::new("janus");
        command.arg("-F").arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: between fork and exec there is this one call to the system, which allocates nothing. It ends Janus with
        // the benchmark, also where that is killed.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let process = command.spawn().context("janus cannot be started")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let url = format!("http://127.0.0.1:{http}/janus");
        let mut janus = Self { process, folder, ports, runtime, client, url, session: 0 };
        janus.session = janus.open_session()?;
        Ok(janus)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where the mountpoint takes media.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Attaches a viewer; its id and the offer that it is made.
    pub fn watch(&self) -> Result<(u64, String)> {
        let attached = self.post("", json!({"janus": "attach", "plugin": "janus.plugin.streaming"}))?;
        let handle = attached["data"]["id"].as_u64().context("janus gives no handle")?;
        self.message(handle, json!({"request": "watch", "id": MOUNTPOINT}), None)?;
        let event = self.event(handle, |event| !event["jsep"].is_null())?;
        let offer = event["jsep"]["sdp"].as_str().context("janus offers nothing")?;
        Ok((handle, offer.to_owned()))
    }

    /// Takes a viewer's answer.
    pub fn answer(&self, handle: u64, answer: &str) -> Result<()> {
        let jsep = json!({"type": "answer", "sdp": answer});
        self.message(handle, json!({"request": "start"}), Some(jsep))
    }

    fn open_session(&mut self) -> Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.post("", json!({"janus": "create"})) {
                Ok(created) => return created["data"]["id"].as_u64().context("janus gives no session"),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("janus does not start: {}", self.last_words())));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("janus ended ({status}): {}", self.last_words());
            }
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    fn message(&self, handle: u64, body: Value, jsep: Option<Value>) -> Result<()> {
        let mut message = json!({"janus": "message", "body": body});
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        self.post(&format!("/{handle}"), message).map(|_| ())
    }

    fn post(&self, path: &str, mut message: Value) -> Result<Value> {
        let base = if self.session == 0 { self.url.clone() } else { format!("{}/{}", self.url, self.session) };
        message["transaction"] = "bench".into();
        let reply: Value = self
            .runtime
            .block_on(async { self.client.post(format!("{base}{path}")).json(&message).send().await?.json().await })?;
        if reply["janus"] == "error" {
            bail!("janus refuses: {}", reply["error"]["reason"]);
        }
        Ok(reply)
    }

    /// Waits for an event of a handle.
    fn event(&self, handle: u64, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let url = format!("{}/{}?maxev=1", self.url, self.session);
            let event: Value = self.runtime.block_on(async { self.client.get(url).send().await?.json().await })?;
            if event["sender"] == handle && wanted(&event) {
                return Ok(event);
            }
        }
        bail!("janus does not answer a viewer")
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder that holds the folders of its libraries.
fn libraries() -> Result<PathBuf> {
    let installed = Command::new("janus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    installed.context("janus is not installed (on Debian: apt-get install janus)")?;
    let places = ["/usr/lib/x86_64-linux-gnu/janus", "/usr/lib/aarch64-linux-gnu/janus", "/usr/lib/janus"];
    let found = places.iter().map(PathBuf::from).find(|place| place.join("plugins").join(LIBRARY).exists());
    found.with_context(|| format!("janus is installed without {LIBRARY} in any of {places:?}"))
}

/// The version, as it says: `Janus version: 1102 (1.1.2)`.
pub fn version() -> Option<String> {
    let output = Command::new("janus").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = text.lines().next()?.split_once('(')?;
    rest.split_once(')').map(|(version, _)| version.to_owned())
}

fn configure(folder: &Path, libraries: &Path, ports: Ports, http: u16) -> Result<()> {
    let libraries = libraries.display();
    let others = |kind: &str, but: &str| -> Result<String> {
        let files = std::fs::read_dir(format!("{libraries}/{kind}"))?;
        let names = files.map_while(Result::ok).map(|file| file.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name.ends_with(".so") && name != but).collect::<Vec<_>>().join(","))
    };
    let log = folder.join("log");
    let main = format!(
        "general: {{\n  configs_folder = \"{folder}\"\n  plugins_folder = \"{libraries}/plugins\"\n  \
         transports_folder = \"{libraries}/transports\"\n  events_folder = \"{folder}\"\n  \
         loggers_folder = \"{folder}\"\n  log_to_stdout = false\n  log_to_file = \"{log}\"\n  debug_level = 3\n  \
         session_timeout = 0\n  event_loops = {JANUS_LOOPS}\n  server_name = \"bench\"\n}}\n\
         media: {{ ipv6 = false }}\nnat: {{ ice_lite = true\n  ice_ignore_list = \"vmnet\" }}\n\
         plugins: {{ disable = \"{plugins}\" }}\ntransports: {{ disable = \"{transports}\" }}\n",
        folder = folder.display(),
        log = log.display(),
        plugins = others("plugins", LIBRARY)?,
        transports = others("transports", "libjanus_http.so")?,
    );
    let transport = format!(
        "general: {{ json = \"compact\"\n  base_path = \"/janus\"\n  http = true\n  port = {http}\n  \
         ip = \"127.0.0.1\"\n  https = false }}\nadmin: {{ admin_http = false }}\n"
    );
    let mountpoint = format!(
        "bench: {{ type = \"rtp\"\n  id = {MOUNTPOINT}\n  audio = true\n  video = true\n  audioport = {audio}\n  \
         audiopt = {audio_type}\n  audiocodec = \"opus\"\n  videoport = {video}\n  videopt = {video_type}\n  \
         videocodec = \"h264\"\n  videofmtp = \"profile-level-id=42e01f;packetization-mode=1\" }}\n",
        audio = ports.audio,
        video = ports.video,
        audio_type = Kind::Audio.payload_type(),
        video_type = Kind::Video.payload_type(),
    );
    for (file, content) in
        [("janus.jcfg", main), ("janus.transport.http.jcfg", transport), ("janus.plugin.streaming.jcfg", mountpoint)]
    {
        std::fs::write(folder.join(file), content)?;
    }
    Ok(())
}

fn free_udp_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

fn free_tcp_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
