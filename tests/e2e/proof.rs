//! What it means that a process is played: frames and sound come as steadily as they should, and they are the source's.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{Browser, Stats};
use crate::media;
use crate::picture::{Reel, SAME};
use crate::program::Program;

/// What a viewer must get.
pub struct Expected {
    pub size: (u32, u32),
    /// Frames a second at least; `None` where there is no picture.
    pub frames: Option<f64>,
    pub sound: bool,
    /// `Copy`, `Transcode` or `None` of the picture's leg; `None` leaves the choice open.
    pub action: Option<&'static str>,
    /// What the picture must look like.
    pub reel: Option<&'static Reel>,
}

/// The pictures of every film.
pub static FILM: LazyLock<Reel> = LazyLock::new(|| Reel::of_graph(&media::picture(), media::LENGTH, media::RATE));

/// What came within some seconds.
struct Flow {
    /// A second.
    frames: f64,
    /// Packets of sound a second; each has 20 ms.
    packets: f64,
    /// Part of the sound that the browser made up.
    concealed: f64,
    stats: Stats,
}

impl Flow {
    async fn of(browser: &Browser) -> Self {
        const LENGTH: Duration = Duration::from_millis(2500);
        let (begin, before) = (Instant::now(), browser.stats().await);
        tokio::time::sleep(LENGTH).await;
        let (elapsed, stats) = (begin.elapsed().as_secs_f64(), browser.stats().await);
        let samples = stats.audio.total_samples_received - before.audio.total_samples_received;
        let concealed = stats.audio.concealed_samples - before.audio.concealed_samples;
        Self {
            frames: (stats.video.frames_decoded - before.video.frames_decoded) as f64 / elapsed,
            packets: (stats.audio.packets_received - before.audio.packets_received) as f64 / elapsed,
            concealed: concealed as f64 / samples.max(1) as f64,
            stats,
        }
    }

    fn is_steady(&self, expected: &Expected) -> bool {
        let heard = self.packets > 40.0 && self.concealed < 0.05;
        expected.frames.is_none_or(|least| self.frames >= least) && (!expected.sound || heard)
    }
}

/// Plays a process, proves that a viewer gets what is expected, and says in one line what was seen.
pub async fn prove_playback(program: &Program, browser: &Browser, id: &str, expected: &Expected) -> String {
    let asked = Instant::now();
    program.until(id, "has settled", |process| has_settled(process, expected)).await;
    let settled = asked.elapsed().as_secs_f64();
    browser.open(&program.player(id)).await;
    let media = browser.until("media", |stats| {
        let picture = expected.frames.is_none() || stats.video.frames_decoded > 0;
        picture && (!expected.sound || stats.audio.packets_received > 0)
    });
    media.await;
    // A machine that is busy with something else for a moment proves nothing.
    let mut flow = Flow::of(browser).await;
    for _ in 0..2 {
        if !flow.is_steady(expected) {
            flow = Flow::of(browser).await;
        }
    }
    let Flow { frames, packets, concealed, stats } = &flow;
    let seen =
        format!("{frames:4.1} frames/s, {packets:4.1} packets of sound/s ({:.1} % concealed)", 100.0 * concealed);
    assert!(flow.is_steady(expected), "{seen}: {stats:#?}");
    if expected.frames.is_some() {
        assert_eq!((stats.video.frame_width, stats.video.frame_height), expected.size, "{stats:#?}");
        let picture = browser.picture().await;
        let found = expected.reel.map(|reel| reel.find(&picture));
        assert!(found.is_none_or(|found| found.psnr > SAME), "the picture is not the source's: {found:?}");
    }
    assert_eq!(expected.frames.is_some(), stats.video.frames_decoded > 0, "{stats:#?}");
    assert_eq!(expected.sound, stats.audio.packets_received > 0, "{stats:#?}");
    assert_eq!(expected.sound, stats.audio.total_audio_energy > 0.0, "the sound is silent: {stats:#?}");
    let process = program.process(id).await;
    assert!(has_settled(&process, expected), "it was corrected meanwhile: {process:#}");
    let status = &process["status"];
    let text = |leg: &str, field: &str| status["webrtc"][leg][field].as_str().unwrap_or("-").to_owned();
    format!(
        "{seen}; picture: {} ({}), sound: {}; settled in {settled:.1} s, {} restarts",
        text("video", "action"),
        text("video", "reason"),
        text("audio", "action"),
        status["restarts"],
    )
}

/// Whether the program has made up its mind: FFmpeg runs with legs that fit the source.
fn has_settled(process: &Value, expected: &Expected) -> bool {
    let webrtc = &process["status"]["webrtc"];
    process["status"]["state"] == "Running"
        && condition(process, "PlaybackReady") == "True"
        && expected.action.is_none_or(|action| webrtc["video"]["action"] == action)
        && (webrtc["audio"]["action"] == "None") != expected.sound
}

/// Waits until viewers of a process are answered.
pub async fn until_playable(program: &Program, id: &str) {
    let playable = |process: &Value| condition(process, "PlaybackReady") == "True";
    program.until(id, "can be played", playable).await;
}

/// Status of a condition.
pub fn condition<'a>(process: &'a Value, kind: &str) -> &'a str {
    let conditions = process["status"]["conditions"].as_array().into_iter().flatten();
    let mut of_kind = conditions.filter(|condition| condition["type"] == kind);
    of_kind.find_map(|condition| condition["status"].as_str()).unwrap_or("")
}
