//! The whole way, watched: from a source through the program into a browser.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::aiortc;
use crate::browser::{Browser, Stats};
use crate::child::free_port;
use crate::manifest::manifest;
use crate::media::{self, Codec};
use crate::picture::{OTHER, Reel, SAME};
use crate::program::Program;
use crate::proof::until_playable;
use crate::publisher::Publisher;
use crate::turn;

/// How long freezes and concealed sound are counted.
const WATCHED: Duration = Duration::from_secs(20);
/// How often a viewer is watched anew where the machine was busy with something else.
const ATTEMPTS: u32 = 3;

/// What a source shows.
struct Look {
    reel: Reel,
    /// How long the reel lasts until it begins again; `None` where its moments cannot be told apart well enough.
    period: Option<f64>,
    size: (u32, u32),
    patch: [f64; 4],
}

fn film_look() -> Look {
    Look {
        reel: Reel::of_graph(&media::picture(), media::LONG, media::RATE),
        period: Some(f64::from(media::LONG)),
        size: (320, 180),
        patch: media::PATCH,
    }
}

/// Watches a process and proves that everything about it is right.
async fn prove(program: &Program, id: &str, look: &Look) {
    let browser = Browser::start().await;
    browser.watch(program, id).await;
    browser.until("picture and sound", |stats| stats.video.frames_decoded > 60 && has_second_of_sound(stats)).await;
    prove_page(&browser, look).await;
    prove_pictures(&browser, look).await;
    let mut quality = Quality::of(&browser, id, look.patch).await;
    for _ in 1..ATTEMPTS {
        if quality.faults().is_empty() {
            break;
        }
        browser.watch(program, id).await;
        quality = Quality::of(&browser, id, look.patch).await;
    }
    let Quality { delays, load, stats, .. } = &quality;
    assert!(quality.faults().is_empty(), "{:?}: {delays:.0?}, load {load}, {stats:#?}", quality.faults());
    assert!(browser.stats().await.errors.is_empty(), "the page has thrown errors");
}

fn has_second_of_sound(stats: &Stats) -> bool {
    stats.audio.total_samples_received > 48_000 && stats.audio.total_audio_energy > 0.0
}

async fn prove_page(browser: &Browser, look: &Look) {
    browser.until_text("#connection", |text| text.to_lowercase().contains("connected")).await;
    browser.until_text("#ice", |text| ["connected", "completed"].iter().any(|state| text.contains(state))).await;
    let codec = browser.until_text("#codec", |text| text.contains("H264")).await;
    assert!(codec.to_lowercase().contains("opus"), "{codec}");
    let (width, height) = look.size;
    let resolution = browser.until_text("#resolution", |text| text.contains(&width.to_string())).await;
    assert!(resolution.contains(&height.to_string()), "{resolution}");
    let received = |stats: &Stats| (stats.video.bytes_received + stats.audio.bytes_received) as f64;
    let (begin, before) = (Instant::now(), browser.stats().await);
    browser.until("five seconds", |_| begin.elapsed() > Duration::from_secs(5)).await;
    let after = browser.stats().await;
    let bits = 8.0 * (received(&after) - received(&before)) / begin.elapsed().as_secs_f64();
    // The page says it once a second, and a second with a keyframe has more.
    let shown = bits_of(&browser.until_text("#bitrate", |text| bits_of(text).is_some()).await).expect("it is a rate");
    assert!(shown > 0.4 * bits && shown < 2.5 * bits, "the page shows {shown} bit/s, and {bits} come");
}

/// Reads a rate such as `1.2 Mbit/s` or `640 kb/s`.
fn bits_of(text: &str) -> Option<f64> {
    let number: String = text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(|c| !c.is_whitespace()).collect();
    let factor = match text.to_lowercase() {
        text if text.contains("mb") => 1e6,
        text if text.contains("kb") => 1e3,
        _ => 1.0,
    };
    number.replace(',', "").parse::<f64>().ok().map(|number| number * factor)
}

async fn prove_pictures(browser: &Browser, look: &Look) {
    let other = Reel::of_graph("mandelbrot=size=320x180:rate=30", 1, 30);
    let mut last: Option<(Instant, f64)> = None;
    for _ in 0..3 {
        let (asked, picture) = (Instant::now(), browser.picture().await);
        let found = look.reel.find(&picture);
        assert!(found.psnr > SAME, "the picture is not the source's: {found:?}");
        let control = other.find(&picture);
        assert!(control.psnr < OTHER, "the comparison cannot tell another picture: {control:?}");
        println!(
            "picture found at {:.2} s with {:.1} dB (another source: {:.1} dB)",
            found.at, found.psnr, control.psnr
        );
        if let (Some((before, then)), Some(period)) = (last, look.period) {
            let expected = asked.duration_since(before).as_secs_f64();
            let shown = (found.at - then + period) % period;
            assert!((shown - expected).abs() < 0.5, "{expected} s later the source's picture is {shown} s later");
        }
        last = Some((asked, found.at));
        browser.until("a second", |_| asked.elapsed() > Duration::from_secs(1)).await;
    }
}

/// How well a viewer is served.
#[derive(Debug)]
struct Quality {
    /// Frames a second.
    frames: f64,
    freezes: u64,
    /// Part of the sound that the browser made up.
    concealed: f64,
    /// How far the sound is behind the picture, in milliseconds: one beep after the other, sorted.
    delays: Vec<f64>,
    /// What the machine had to do (load averages).
    load: String,
    stats: Stats,
}

impl Quality {
    /// Watches a viewer for 20 s that has played for some seconds, and then flashes and beeps for 15 s.
    async fn of(browser: &Browser, id: &str, patch: [f64; 4]) -> Self {
        turn::calm().await;
        browser.until("some seconds", |stats| stats.video.frames_decoded > 90).await;
        let (begin, before) = (Instant::now(), browser.stats().await);
        tokio::time::sleep(WATCHED).await;
        let (elapsed, stats) = (begin.elapsed().as_secs_f64(), browser.stats().await);
        let samples = stats.audio.total_samples_received - before.audio.total_samples_received;
        let concealed = stats.audio.concealed_samples - before.audio.concealed_samples;
        let quality = Self {
            frames: (stats.video.frames_decoded - before.video.frames_decoded) as f64 / elapsed,
            freezes: stats.video.freeze_count - before.video.freeze_count,
            concealed: concealed as f64 / samples as f64,
            delays: browser.flashes_and_beeps(15, patch).await.delays(),
            load: std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned(),
            stats,
        };
        println!(
            "{id}: {:.1} frames/s, {} freezes and {:.3} % of the sound concealed in {elapsed:.0} s; sound is {:.0} ms \
             behind the picture (from {:.0} to {:.0}); load {}",
            quality.frames,
            quality.freezes,
            100.0 * quality.concealed,
            quality.delay(),
            quality.delays.first().unwrap_or(&f64::NAN),
            quality.delays.last().unwrap_or(&f64::NAN),
            quality.load,
        );
        quality
    }

    fn delay(&self) -> f64 {
        self.delays.get(self.delays.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// What is not as it must be. With playout-delay 0 sound is behind the picture, and less than one notices
    /// (ITU-R BT.1359 sets 125 ms for that).
    fn faults(&self) -> Vec<&'static str> {
        let wanted = [
            (self.freezes == 0, "the picture froze"),
            (self.frames > 0.9 * f64::from(media::RATE), "frames are missing"),
            (self.concealed < 0.01, "sound is missing"),
            (self.delays.len() >= 10, "flashes or beeps are missing"),
            ((-45.0..=130.0).contains(&self.delay()), "sound and picture are apart"),
        ];
        wanted.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

/// The first input of a sample, as far as it is a filter graph.
fn graph_of_sample(file: &str) -> String {
    #[derive(Deserialize)]
    struct Manifest {
        spec: Value,
    }
    let text = crate::samples::text(file);
    let manifest: Manifest = serde_yaml::from_str(&text).expect("a sample is YAML");
    manifest.spec["input"][0]["address"].as_str().expect("it has an input").to_owned()
}

#[tokio::test]
async fn the_test_picture_is_played_with_its_sound() {
    let _turn = turn::alone().await;
    let program = Program::start_with(&[("it.yaml", &crate::samples::text("test-picture.yaml"))], &[]).await;
    let graph = graph_of_sample("test-picture.yaml");
    // The middle shows the time of day. The light at the top right flashes.
    let reel = Reel::of_graph(&graph, 8, 30).without(0.33..0.7);
    let look = Look { reel, period: None, size: (1280, 720), patch: [0.86, 0.14, 0.045, 0.08] };
    prove(&program, "test-picture", &look).await;
}

#[tokio::test]
async fn a_file_that_ffmpeg_pushes_by_rtmp_is_played() {
    let _turn = turn::alone().await;
    let program = Program::start().await;
    let port = free_port();
    let address = format!("rtmp://127.0.0.1:{port}/live/cam");
    program.apply(&manifest("cam").input("-f flv -listen 1 -analyzeduration 500000", address));
    program.until_state("cam", "Waiting").await;
    let _publisher = Publisher::rtmp(&media::long_film(), port, program.directory());
    prove(&program, "cam", &film_look()).await;
}

#[tokio::test]
async fn a_file_that_ffmpeg_pushes_by_srt_is_played() {
    let _turn = turn::alone().await;
    let program = Program::start().await;
    let port = free_port();
    let address = format!("srt://127.0.0.1:{port}?mode=listener&latency=40000");
    program.apply(&manifest("cam").input("-f mpegts -analyzeduration 500000", address));
    program.until_state("cam", "Waiting").await;
    let _publisher = Publisher::srt(&media::long_film(), port, program.directory());
    prove(&program, "cam", &film_look()).await;
}

#[tokio::test]
async fn aiortc_receives_picture_and_sound() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let film = media::film(Codec::Baseline, 2, true).display().to_string();
    program.apply(&manifest("film").input("-re", film));
    until_playable(&program, "film").await;
    let received = aiortc::watch(&program, "film", 90, 100).await;
    println!("{received:?}");
    assert_eq!((received.post, received.delete), (201, 200));
    assert_eq!((received.width, received.height), (320, 180));
    assert!(received.video_frames == 90 && received.audio_frames == 100, "{received:?}");
    assert!(received.loudest > 0.3, "the beep is not heard: {received:?}");
}

#[tokio::test]
async fn a_late_viewer_sees_a_picture_without_waiting_for_a_keyframe() {
    let _turn = turn::alone().await;
    let program = Program::start().await;
    let film = media::film(Codec::Baseline, 4, true).display().to_string();
    program.apply(&manifest("film").input("-re", film));
    until_playable(&program, "film").await;
    let (first, late) = (Browser::start().await, Browser::start().await);
    first.watch(&program, "film").await;
    let keyframes = first.stats().await.video.key_frames_decoded;
    first.until("the next keyframe", |stats| stats.video.key_frames_decoded > keyframes).await;
    let keyframe = Instant::now();
    first.until("a second after it", |_| keyframe.elapsed() > Duration::from_secs(1)).await;
    let asked = Instant::now();
    late.watch(&program, "film").await;
    let waited = asked.elapsed();
    let keyframes_meanwhile = first.stats().await.video.key_frames_decoded - keyframes;
    println!("the late viewer sees a picture after {waited:?}, {:?} after the keyframe", keyframe.elapsed());
    assert_eq!(keyframes_meanwhile, 1, "the next keyframe came before the late viewer's picture, after {waited:?}");
    let reel = Reel::of_graph(&media::picture(), media::LENGTH, media::RATE);
    late.until("it goes on", |stats| stats.video.frames_decoded > 30).await;
    let (old, new) = (reel.find(&first.picture().await), reel.find(&late.picture().await));
    assert!(old.psnr > SAME && new.psnr > SAME, "{old:?} {new:?}");
    assert!((new.at - old.at).abs() < 0.7, "both see the same moment: {old:?} {new:?}");
}

#[tokio::test]
async fn five_viewers_watch_at_once() {
    let _turn = turn::alone().await;
    let program = Program::start().await;
    let film = media::film(Codec::Baseline, 2, true).display().to_string();
    program.apply(&manifest("film").input("-re", film));
    until_playable(&program, "film").await;
    let browser = Browser::start().await;
    let mut windows = vec![browser.client().window().await.expect("there is one")];
    for _ in 1..5 {
        windows.push(browser.client().new_window(false).await.expect("one more opens").handle);
    }
    for window in &windows {
        browser.client().switch_to_window(window.clone()).await.expect("it is there");
        browser.watch(&program, "film").await;
    }
    program.until("film", "has five viewers", |process| process["status"]["webrtc"]["viewers"] == 5).await;
    let mut before = Vec::new();
    for window in &windows {
        browser.client().switch_to_window(window.clone()).await.expect("it is there");
        before.push((Instant::now(), browser.stats().await));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (window, (begin, before)) in windows.iter().zip(before) {
        browser.client().switch_to_window(window.clone()).await.expect("it is there");
        let after = browser.stats().await;
        let rate = (after.video.frames_decoded - before.video.frames_decoded) as f64 / begin.elapsed().as_secs_f64();
        assert!(rate > 25.0, "{rate} frames a second: {after:#?}");
        assert!(has_second_of_sound(&after), "{after:#?}");
    }
    drop(browser);
    program.until("film", "has no viewer", |process| process["status"]["webrtc"]["viewers"] == 0).await;
}

#[tokio::test]
async fn the_printed_link_shows_the_processes_and_a_click_plays_one_without_typing() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&manifest("one").input("-re -f lavfi", media::picture()).input("-re -f lavfi", media::sound()));
    program.apply(&manifest("two").input("-f flv -listen 1", format!("rtmp://127.0.0.1:{}/live/x", free_port())));
    until_playable(&program, "one").await;
    program.until_state("two", "Waiting").await;
    let browser = Browser::start().await;
    browser.open(&program.link()).await;
    browser.until_text("#processes", |text| text.contains("one") && text.contains("two")).await;
    browser.until_text("#processes [data-id=one]", |text| text.to_lowercase().contains("running")).await;
    browser.until_text("#processes [data-id=two]", |text| text.to_lowercase().contains("waiting")).await;
    let click = "const row = document.querySelector('#processes [data-id=one]'); \
                 (row.matches('button, a') ? row : row.querySelector('button, a') ?? row).click()";
    browser.run(click, Vec::new()).await;
    browser.until("picture and sound", |stats| stats.video.frames_decoded > 30 && has_second_of_sound(stats)).await;
    let script = "return performance.getEntriesByType('resource').map(entry => entry.name)";
    let asked = browser.run(script, Vec::new()).await;
    for address in asked.as_array().expect("it is a list") {
        assert!(
            address.as_str().is_some_and(|address| address.starts_with(program.origin())),
            "{address} is elsewhere"
        );
    }
    assert!(browser.stats().await.errors.is_empty(), "the page has thrown errors");
}

#[tokio::test]
async fn the_page_works_from_disk_too() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&manifest("one").input("-re -f lavfi", media::picture()));
    until_playable(&program, "one").await;
    let browser = Browser::start().await;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page.html");
    browser.open(&format!("file://{page}?url={}&token={}", program.whep("one"), program.token())).await;
    browser.until("picture", |stats| stats.video.frames_decoded > 30).await;
}

#[tokio::test]
async fn a_page_that_is_opened_before_the_publisher_comes_plays_when_he_does() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let port = free_port();
    program.apply(&manifest("cam").input("-f flv -listen 1", format!("rtmp://127.0.0.1:{port}/live/cam")));
    program.until_state("cam", "Waiting").await;
    let browser = Browser::start().await;
    browser.open(&program.player("cam")).await;
    let _publisher = Publisher::rtmp(&media::film(Codec::Baseline, 2, true), port, program.directory());
    browser.until("picture", |stats| stats.video.frames_decoded > 30).await;
}
