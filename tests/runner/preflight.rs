//! What the inputs have decides the legs: by the probe, or by the run itself where an input waits for its publisher.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dragonfork::plan::{EgressPorts, LegAction, LegChoice, Plan};
use dragonfork::process::{self, Cause};
use dragonfork::runner::{Event, Run};
use tokio::task::JoinHandle;

use crate::bench::{Bench, PATIENCE, egress, io, plan, run, secrets};

/// The gateway's side of the legs.
struct Legs {
    video: UdpSocket,
    audio: UdpSocket,
}

impl Legs {
    fn open() -> Self {
        for _ in 0..100 {
            let video = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            let port = video.local_addr().expect("bound").port();
            if port.is_multiple_of(2)
                && let Ok(audio) = UdpSocket::bind(("127.0.0.1", port + 1))
            {
                return Self { video, audio };
            }
        }
        panic!("no pair of ports is free");
    }

    fn ports(&self) -> EgressPorts {
        let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
        EgressPorts { video: port(&self.video), audio: port(&self.audio) }
    }

    /// Whether media of the payload type of each leg comes within some seconds.
    fn receive(&self, video: bool, audio: bool) {
        for (socket, wanted, payload_type) in [(&self.video, video, 102), (&self.audio, audio, 111)] {
            let patience = if wanted { PATIENCE } else { Duration::from_millis(300) };
            socket.set_read_timeout(Some(patience)).expect("set");
            let mut packet = [0; 1500];
            match socket.recv(&mut packet) {
                Ok(_) => assert!(wanted && packet[1] & 0x7f == payload_type, "payload type {}", packet[1] & 0x7f),
                Err(error) => assert!(!wanted, "payload type {payload_type} does not come: {error}"),
            }
        }
    }
}

impl Bench {
    fn start_with(&self, legs: &Legs, plan: Plan) -> Run {
        self.runner.start(Arc::new(plan), Some(legs.ports()))
    }

    async fn legs(&mut self) -> LegChoice {
        self.wait(|event| match event {
            Event::Legs(choice) => Some(choice.clone()),
            _ => None,
        })
        .await
    }

    /// The next event must be this end.
    async fn corrected(&mut self) {
        let (exit, restart_in) = self.ended().await;
        assert_eq!((exit.cause, restart_in), (Cause::Corrected, Some(Duration::ZERO)), "{}", exit.message);
    }

    /// Nothing was corrected, nothing ended.
    fn assert_undisturbed(&mut self) {
        for event in self.rest() {
            assert!(!matches!(event, Event::Run(process::Event::Ended { .. })), "{event:?}");
        }
    }
}

fn sample(directory: &Path, name: &str, words: &str) -> String {
    let path = directory.join(name).display().to_string();
    let words: Vec<_> = words.split_whitespace().chain(["-y", &path]).collect();
    run("ffmpeg", &[&["-hide_banner", "-loglevel", "error", "-nostdin"], &words[..]].concat());
    path
}

const PICTURE: &str = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=6";
const SOUND: &str = "-f lavfi -i sine=frequency=440:duration=6";
const BASELINE: &str = "-c:v libx264 -preset ultrafast -profile:v baseline -g 25 -pix_fmt yuv420p";
const B_FRAMES: &str = "-c:v libx264 -preset veryfast -profile:v high -bf 2 -g 25 -pix_fmt yuv420p";
const HEVC: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=none -g 25 -pix_fmt yuv420p";

fn clean(directory: &Path) -> String {
    sample(directory, "clean.flv", &format!("{PICTURE} {SOUND} {BASELINE} -c:a aac"))
}

fn mute(directory: &Path) -> String {
    sample(directory, "mute.flv", &format!("{PICTURE} {BASELINE}"))
}

fn webrtc(inputs: &[&str]) -> Plan {
    let inputs = inputs.iter().enumerate().map(|(at, words)| io(&format!("in{at}"), words)).collect();
    Plan {
        inputs,
        egress: egress(),
        cleanup: Vec::new(),
        options: secrets(["-loglevel", "error"]),
        stale: Some(Duration::from_secs(10)),
        ..plan()
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// A second FFmpeg that pushes a file until it is dropped, and comes back like publishers do.
struct Publisher(JoinHandle<()>);

impl Publisher {
    fn new(file: &str, words: &str) -> Self {
        let words = format!("-nostdin -loglevel error -re -stream_loop -1 -i {file} -c copy {words}");
        Self(tokio::spawn(async move {
            loop {
                let mut command = tokio::process::Command::new("ffmpeg");
                command.args(words.split_whitespace()).kill_on_drop(true).stderr(std::process::Stdio::null());
                let _ = command.status().await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn rtmp(port: u16) -> (String, String) {
    let address = format!("rtmp://127.0.0.1:{port}/live/cam");
    (format!("-analyzeduration 500000 -f flv -listen 1 {address}"), format!("-f flv {address}"))
}

fn srt(port: u16) -> (String, String) {
    let listener = format!("-analyzeduration 500000 -f mpegts srt://127.0.0.1:{port}?mode=listener&latency=40000");
    (listener, format!("-f mpegts srt://127.0.0.1:{port}?mode=caller&latency=40000"))
}

#[tokio::test]
async fn a_clean_file_is_probed_and_copied() {
    let mut bench = Bench::new();
    let file = clean(bench.directory.path());
    let legs = Legs::open();
    let run = bench.start_with(&legs, webrtc(&[&format!("-re {file}")]));
    assert!(matches!(bench.next().await, Event::Run(process::Event::Probing)));
    let choice = bench.legs().await;
    assert_eq!(choice.video.action, LegAction::Copy("0:v:0".into()));
    assert_eq!(choice.audio.action, LegAction::Transcode("0:a:0".into()));
    bench.started().await;
    bench.progress().await;
    legs.receive(true, true);
    bench.assert_undisturbed();
    run.stop().await;
}

#[tokio::test]
async fn b_frames_of_a_file_are_seen_by_the_probe() {
    let mut bench = Bench::new();
    let file = sample(bench.directory.path(), "b.mp4", &format!("{PICTURE} {SOUND} {B_FRAMES} -c:a aac"));
    let legs = Legs::open();
    let run = bench.start_with(&legs, webrtc(&[&format!("-re {file}")]));
    let choice = bench.legs().await;
    assert_eq!(choice.video.action, LegAction::Transcode("0:v:0".into()));
    assert!(choice.video.reason.contains("B-frames"), "{}", choice.video.reason);
    bench.progress().await;
    legs.receive(true, true);
    bench.assert_undisturbed();
    run.stop().await;
}

#[tokio::test]
async fn a_file_without_sound_gets_no_audio_leg_and_one_without_picture_no_video_leg() {
    for (words, video) in [(format!("{PICTURE} {BASELINE}"), true), (format!("{SOUND} -c:a aac"), false)] {
        let mut bench = Bench::new();
        let file = sample(bench.directory.path(), "one.mp4", &words);
        let legs = Legs::open();
        let run = bench.start_with(&legs, webrtc(&[&format!("-re {file}")]));
        let choice = bench.legs().await;
        assert_eq!((choice.video.action.map().is_some(), choice.audio.action.map().is_some()), (video, !video));
        bench.progress().await;
        legs.receive(video, !video);
        bench.assert_undisturbed();
        run.stop().await;
    }
}

#[tokio::test]
async fn picture_and_sound_come_from_two_inputs_at_any_log_level() {
    let mut bench = Bench::new();
    let legs = Legs::open();
    let inputs = ["-re -f lavfi testsrc2=size=320x240:rate=25", "-re -f lavfi sine=frequency=440"];
    let plan = Plan { options: secrets(["-loglevel", "level+quiet"]), ..webrtc(&inputs) };
    let run = bench.start_with(&legs, plan);
    let choice = bench.legs().await;
    assert_eq!(choice.video.action, LegAction::Transcode("0:v:0".into()));
    assert_eq!(choice.audio.action, LegAction::Transcode("1:a:0".into()));
    bench.progress().await;
    legs.receive(true, true);
    run.stop().await;
}

#[tokio::test]
async fn a_failed_probe_is_a_failed_run_and_comes_again() {
    let mut bench = Bench::new();
    let legs = Legs::open();
    let run = bench.start_with(&legs, webrtc(&["nosuch.mp4"]));
    for _ in 0..2 {
        assert!(matches!(bench.next().await, Event::Run(process::Event::Probing)));
        let (exit, restart_in) = bench.ended().await;
        assert_eq!((exit.cause, restart_in), (Cause::Failed, Some(Duration::from_secs(1))));
        assert!(exit.message.ends_with("No such file or directory"), "{}", exit.message);
        bench.rest();
    }
    clean(bench.directory.path());
    std::fs::rename(bench.path("clean.flv"), bench.path("nosuch.mp4")).expect("renamed");
    bench.started().await;
    run.stop().await;
}

#[tokio::test]
async fn a_probe_that_hangs_can_be_stopped_and_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}/", listener.local_addr().expect("bound"));
    let mut bench = Bench::new();
    let legs = Legs::open();
    let run = bench.start_with(&legs, webrtc(&[&address]));
    assert!(matches!(bench.next().await, Event::Run(process::Event::Probing)));
    let _silent = listener.accept().expect("it connects");
    run.replace(Arc::new(webrtc(&[&format!("{address}?other")])), Some(legs.ports()));
    let (exit, restart_in) = bench.ended().await;
    assert_eq!((exit.cause, restart_in), (Cause::Stopped, Some(Duration::ZERO)));
    assert!(matches!(bench.next().await, Event::Run(process::Event::Probing)));
    let begin = Instant::now();
    run.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(4), "FFmpeg obeys an interrupt");
    assert_eq!(bench.ended().await.0.cause, Cause::Stopped);
}

#[tokio::test]
async fn without_legs_nothing_is_probed() {
    let mut bench = Bench::new();
    let file = clean(bench.directory.path());
    let plan = Plan { outputs: vec![io("o", "-c copy -f null -")], ..webrtc(&[&format!("-re {file}")]) };
    let run = bench.start(plan);
    assert!(matches!(bench.next().await, Event::Run(process::Event::Started(_))));
    bench.progress().await;
    run.stop().await;
    assert!(!bench.rest().iter().any(|event| matches!(event, Event::Legs(_))));
}

#[tokio::test]
async fn a_publisher_of_h264_and_aac_is_copied_without_a_restart() {
    let mut bench = Bench::new();
    let file = clean(bench.directory.path());
    let (listener, publisher) = rtmp(free_port());
    let legs = Legs::open();
    let run = bench.start_with(&legs, Plan { stale: Some(Duration::from_secs(1)), ..webrtc(&[&listener]) });
    let assumed = bench.legs().await;
    bench.started().await;
    bench.waiting().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(bench.rest().is_empty(), "who waits is not stale");
    let _publisher = Publisher::new(&file, &publisher);
    let seen = bench.legs().await;
    assert!(seen.does_the_same_as(&assumed) && seen.video.reason != assumed.video.reason, "{seen:?}");
    bench.progress().await;
    legs.receive(true, true);
    bench.assert_undisturbed();
    run.stop().await;
}

#[tokio::test]
async fn a_publisher_without_sound_is_corrected_once_and_remembered() {
    let mut bench = Bench::new();
    let file = mute(bench.directory.path());
    let (listener, publisher) = rtmp(free_port());
    let legs = Legs::open();
    let plan = Plan { options: secrets(["-loglevel", "quiet"]), ..webrtc(&[&listener]) };
    let run = bench.start_with(&legs, plan.clone());
    assert!(bench.legs().await.audio.action.map().is_some());
    bench.waiting().await;
    let publishing = Publisher::new(&file, &publisher);
    bench.corrected().await;
    let corrected = bench.legs().await;
    assert_eq!(corrected.audio.action, LegAction::None);
    bench.waiting().await;
    bench.progress().await;
    legs.receive(true, false);
    bench.assert_undisturbed();

    // The publisher leaves and comes back, and the manifest changes: it is remembered.
    drop(publishing);
    let (exit, _) = bench.ended().await;
    assert_eq!((exit.cause, exit.code), (Cause::Finished, Some(0)));
    assert_eq!(bench.legs().await.audio.action, LegAction::None);
    bench.waiting().await;
    let with_output = Plan { outputs: vec![io("o", "-c copy -f null -")], ..plan.clone() };
    run.replace(Arc::new(with_output), Some(legs.ports()));
    assert_eq!(bench.legs().await.audio.action, LegAction::None);
    bench.waiting().await;
    let _publisher = Publisher::new(&file, &publisher);
    bench.progress().await;
    bench.assert_undisturbed();

    // Other inputs: nothing is known of them.
    let (listener, _) = rtmp(free_port());
    run.replace(Arc::new(webrtc(&[&listener])), Some(legs.ports()));
    assert!(bench.legs().await.audio.action.map().is_some());
    run.stop().await;
}

#[tokio::test]
async fn a_publisher_with_b_frames_is_corrected_when_the_gateway_sees_them() {
    let mut bench = Bench::new();
    let file = sample(bench.directory.path(), "b.flv", &format!("{PICTURE} {SOUND} {B_FRAMES} -c:a aac"));
    let (listener, publisher) = rtmp(free_port());
    let legs = Legs::open();
    let run = bench.start_with(&legs, webrtc(&[&listener]));
    let _publisher = Publisher::new(&file, &publisher);
    bench.progress().await;
    run.note_reordered();
    bench.corrected().await;
    let choice = bench.legs().await;
    assert_eq!(choice.video.action, LegAction::Transcode("0:v:0".into()));
    bench.progress().await;
    run.note_reordered();
    legs.receive(true, true);
    bench.assert_undisturbed();
    run.stop().await;
}

#[tokio::test]
async fn a_publisher_of_hevc_over_srt_is_corrected() {
    let mut bench = Bench::new();
    let file = sample(bench.directory.path(), "hevc.ts", &format!("{PICTURE} {SOUND} {HEVC} -c:a aac"));
    let (listener, publisher) = srt(free_udp_port());
    let legs = Legs::open();
    let run = bench.start_with(&legs, webrtc(&[&listener]));
    bench.waiting().await;
    let _publisher = Publisher::new(&file, &publisher);
    bench.corrected().await;
    let choice = bench.legs().await;
    assert_eq!(choice.video.action, LegAction::Transcode("0:v:0".into()));
    bench.progress().await;
    legs.receive(true, true);
    bench.assert_undisturbed();
    run.stop().await;
}

#[tokio::test]
async fn a_listener_beside_a_file_is_waited_for_and_the_file_is_probed() {
    let mut bench = Bench::new();
    let file = mute(bench.directory.path());
    let sound = sample(bench.directory.path(), "sound.flv", &format!("{SOUND} -c:a aac"));
    let (listener, publisher) = rtmp(free_port());
    let legs = Legs::open();
    let run = bench.start_with(&legs, webrtc(&[&format!("-re {file}"), &listener]));
    assert!(matches!(bench.next().await, Event::Run(process::Event::Probing)));
    let choice = bench.legs().await;
    assert_eq!(choice.video.action, LegAction::Copy("0:v:0".into()));
    assert_eq!(choice.audio.action, LegAction::Transcode("1:a:0".into()));
    bench.waiting().await;
    let _publisher = Publisher::new(&sound, &publisher);
    bench.progress().await;
    legs.receive(true, true);
    bench.assert_undisturbed();
    run.stop().await;
}

/// Serves each connection the next of these files.
fn serve(files: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for file in files {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: video/x-flv\r\n\r\n");
            let _ = stream.write_all(&std::fs::read(file).expect("it is there"));
        }
    });
    format!("http://{address}/live.flv")
}

#[tokio::test]
async fn a_source_that_changed_since_the_probe_is_corrected() {
    let mut bench = Bench::new();
    let (clean, mute) = (clean(bench.directory.path()), mute(bench.directory.path()));
    let legs = Legs::open();
    let address = serve(vec![clean, mute.clone(), mute]);
    let run = bench.start_with(&legs, webrtc(&[&format!("-re -f flv {address}")]));
    assert!(bench.legs().await.audio.action.map().is_some());
    bench.corrected().await;
    assert_eq!(bench.legs().await.audio.action, LegAction::None);
    bench.progress().await;
    run.stop().await;
}

#[tokio::test]
async fn df097_other_outputs_go_on_where_the_gateway_is_gone() {
    let mut bench = Bench::new();
    let file = clean(bench.directory.path());
    let written = bench.directory.path().join("written.ts");
    let outputs = vec![io("file", &format!("-map 0 -c copy -flush_packets 1 -f mpegts -y {}", written.display()))];
    let legs = Legs::open();
    let plan = Plan { outputs, ..webrtc(&[&format!("-re -stream_loop -1 {file}")]) };
    let run = bench.start_with(&legs, plan);
    bench.progress().await;
    legs.receive(true, true);
    drop(legs);

    let size = || std::fs::metadata(&written).map(|metadata| metadata.len()).unwrap_or_default();
    let (without, deadline) = (size(), Instant::now() + PATIENCE);
    // More than the sockets' buffers hold, so that FFmpeg has noticed.
    while size() < without + 300_000 {
        assert!(Instant::now() < deadline, "{} octets are written", size() - without);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.assert_undisturbed();
    run.stop().await;
}
