//! Headless Chromium, driven by chromedriver, and what it says about the stream that its page plays.

use std::time::{Duration, Instant};

use fantoccini::Client;
use fantoccini::wd::TimeoutConfiguration;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::child::PATIENCE;
use crate::chromium::Chromium;
use crate::picture::Picture;
use crate::program::Program;

/// A browser with an empty profile, which ends with this value.
pub struct Browser(Chromium);

impl Browser {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with these flags beside the usual ones.
    pub async fn start_with(flags: &[&str]) -> Self {
        let usual = ["--autoplay-policy=no-user-gesture-required", "--window-size=1000,800"];
        let chromium = Chromium::start(&[&usual, flags].concat()).await;
        let script = Some(Duration::from_secs(120));
        let timeouts = TimeoutConfiguration::new(script, None, None);
        chromium.client.update_timeouts(timeouts).await.expect("it takes them");
        Self(chromium)
    }

    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Opens an address and lays the measures of `page.js` into the page.
    pub async fn open(&self, address: &str) {
        self.0.client.goto(address).await.expect("the page opens");
        self.0.client.execute(include_str!("page.js"), Vec::new()).await.expect("the page takes the measures");
    }

    /// Opens the page that plays a process, and waits for the first frame.
    pub async fn watch(&self, program: &Program, id: &str) {
        self.open(&program.player(id)).await;
        self.until("the first frame", |stats| stats.video.frames_decoded > 0).await;
    }

    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        match self.0.client.execute(script, arguments).await {
            Ok(value) => value,
            Err(error) => panic!("{script}: {error}"),
        }
    }

    /// Text of the first element that a selector finds.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.run("return document.querySelector(arguments[0])?.textContent ?? ''", vec![selector.into()]);
        text.await.as_str().unwrap_or_default().trim().to_owned()
    }

    /// Waits until an element's text is as it should be.
    pub async fn until_text(&self, selector: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text(selector).await;
            if holds(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "{selector} of the page is {text:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the connection of the page says of itself.
    pub async fn stats(&self) -> Stats {
        let stats = self.run("return e2e.stats()", Vec::new()).await;
        serde_json::from_value(stats.clone()).unwrap_or_else(|error| panic!("{error}: {stats:#}"))
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Stats) -> bool) -> Stats {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats().await;
            if holds(&stats) {
                return stats;
            }
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}; the browser says {stats:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The picture that the video element shows at this moment.
    pub async fn picture(&self) -> Picture {
        let png = self.run("return e2e.picture()", Vec::new()).await;
        let encoded = png.as_str().and_then(|url| url.strip_prefix("data:image/png;base64,")).expect("it is a PNG");
        let png = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).expect("it is base64");
        Picture::from_png(&png)
    }

    /// Watches flashes and beeps for some seconds. `patch` is the part of the picture that flashes, as left, top, width
    /// and height between 0 and 1.
    pub async fn flashes_and_beeps(&self, seconds: u32, patch: [f64; 4]) -> FlashesAndBeeps {
        let script = "return e2e.flashesAndBeeps(arguments[0], arguments[1])";
        let seen = self.run(script, vec![seconds.into(), json!(patch)]).await;
        serde_json::from_value(seen.clone()).unwrap_or_else(|error| panic!("{error}: {seen:#}"))
    }
}

/// What the page's RTCPeerConnection says; zero where it says nothing.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    pub connection: String,
    pub ice: String,
    /// `udp` or `tcp`: how the path that is used goes.
    pub transport: String,
    /// What the page tells the person who looks at it.
    pub said: String,
    /// Errors that the page has thrown.
    pub errors: Vec<String>,
    pub video: Video,
    pub audio: Audio,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Video {
    pub codec: String,
    pub frame_width: u32,
    pub frame_height: u32,
    pub bytes_received: u64,
    pub packets_received: u64,
    pub packets_lost: i64,
    pub nack_count: u64,
    pub pli_count: u64,
    pub frames_received: u64,
    pub frames_decoded: u64,
    pub frames_dropped: u64,
    pub key_frames_decoded: u64,
    pub freeze_count: u64,
    pub total_freezes_duration: f64,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Audio {
    pub codec: String,
    pub bytes_received: u64,
    pub packets_received: u64,
    pub total_samples_received: u64,
    pub concealed_samples: u64,
    pub silent_concealed_samples: u64,
    pub total_audio_energy: f64,
}

/// Times in milliseconds at which the received picture began to flash and the received sound began to beep.
#[derive(Debug, Deserialize)]
pub struct FlashesAndBeeps {
    pub flashes: Vec<f64>,
    pub beeps: Vec<f64>,
}

impl FlashesAndBeeps {
    /// How far each beep is behind the flash that it belongs to, in milliseconds, sorted. They come once a second.
    pub fn delays(&self) -> Vec<f64> {
        let nearest = |flash: &f64| {
            let delays = self.beeps.iter().map(|beep| beep - flash);
            delays.min_by(|a, b| a.abs().total_cmp(&b.abs()))
        };
        let mut delays: Vec<f64> =
            self.flashes.iter().filter_map(nearest).filter(|delay| delay.abs() < 500.0).collect();
        delays.sort_by(f64::total_cmp);
        delays
    }
}
