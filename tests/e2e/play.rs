//! `dragonfork play` against the program itself.

use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::child::{PATIENCE, free_port};
use crate::manifest::{Manifest, manifest};
use crate::program::Program;
use crate::proof::until_playable;
use crate::turn;

/// A small picture with a keyframe every second, and sound. It needs little of the machine.
fn film() -> Manifest {
    let graph = "testsrc2=size=320x180:rate=30[out0];sine=frequency=440:sample_rate=48000[out1]";
    manifest("film").input("-re -f lavfi", graph)
}

async fn program() -> Program {
    let program = Program::start().await;
    program.apply(&film());
    until_playable(&program, "film").await;
    program
}

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
    command.arg("play").arg(url).args(arguments).env_remove("CORE_PLAY_TOKEN").stdin(Stdio::null());
    command
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("it can be started")).await.expect("no panic")
}

/// Plays a process as one who may; the exit code and the report.
async fn play(program: &Program, id: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = command(&program.whep(id), arguments);
    command.arg("--json").env("CORE_PLAY_TOKEN", program.token());
    let output = run(command).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code(), report)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

fn viewers(report: &Value) -> &[Value] {
    report["viewers"].as_array().expect("it is a list")
}

/// Milliseconds of each step.
fn steps(times: &Value) -> [f64; 5] {
    ["answered_ms", "ice_connected_ms", "dtls_connected_ms", "first_packet_ms", "first_keyframe_ms"]
        .map(|step| number(&times[step]))
}

async fn until_no_viewer(program: &Program) {
    program.until("film", "has no viewer", |process| process["status"]["webrtc"]["viewers"] == 0).await;
}

#[tokio::test]
async fn three_viewers_get_figures_that_fit_each_other() {
    let _turn = turn::shared().await;
    let program = program().await;
    let (code, report) = play(&program, "film", &["--viewers", "3", "--duration", "4"]).await;
    assert_eq!((code, &report["failure"]), (Some(0), &Value::Null), "{report:#}");
    assert_eq!(viewers(&report).len(), 3);
    for viewer in viewers(&report) {
        let [answered, ice, dtls, packet, keyframe] = steps(&viewer["times"]);
        assert!(answered <= ice && ice <= dtls && dtls <= packet && packet <= keyframe, "{viewer:#}");
        assert!(keyframe < 5000.0, "{viewer:#}");
        assert_eq!(viewer["deleted"], 200);
        let (video, audio) = (&viewer["video"], &viewer["audio"]);
        assert!(number(&video["keyframes"]) >= 3.0 && number(&video["packets"]) >= 80.0, "{video:#}");
        // One packet each 20 ms.
        assert!((150.0..=350.0).contains(&number(&audio["packets"])), "{audio:#}");
        for figure in ["packets", "octets", "bitrate", "lost"] {
            assert_eq!(number(&video[figure]) + number(&audio[figure]), number(&viewer["all"][figure]), "{figure}");
        }
        assert!(number(&viewer["watched_seconds"]) >= 4.0);
        assert_eq!((&viewer["all"]["dropped"], &viewer["all"]["duplicates"]), (&json!(0), &json!(0)), "{viewer:#}");
        let rate = number(&video["octets"]) * 8.0 / 4.0;
        assert!((0.5..2.0).contains(&(number(&video["bitrate"]) / rate)), "{video:#}");
    }
    let packets: f64 = viewers(&report).iter().map(|viewer| number(&viewer["all"]["packets"])).sum();
    assert_eq!(packets, number(&report["sum"]["packets"]));
    until_no_viewer(&program).await;
}

#[tokio::test]
async fn five_concurrent_viewers_of_one_stream_each_receive_every_packet() {
    let _turn = turn::alone().await;
    turn::calm().await;
    let program = program().await;
    let (code, report) = play(&program, "film", &["--viewers", "5", "--duration", "5"]).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(viewers(&report).len(), 5);
    let mut counts = Vec::new();
    for viewer in viewers(&report) {
        assert_eq!((&viewer["video"]["lost"], &viewer["audio"]["lost"]), (&json!(0), &json!(0)), "{viewer:#}");
        counts.push(number(&viewer["audio"]["packets"]));
        assert!(number(&viewer["video"]["keyframes"]) >= 4.0, "{viewer:#}");
    }
    // All begin and end within a moment: a tenth of a second is five packets of sound.
    let (least, most) = counts.iter().fold((f64::MAX, 0.0_f64), |(a, b), count| (a.min(*count), b.max(*count)));
    assert!(least > 200.0 && most - least < 50.0, "{counts:?}");
}

#[tokio::test]
async fn what_is_lost_on_purpose_is_asked_for_and_comes() {
    let _turn = turn::shared().await;
    let program = program().await;
    let (code, report) = play(&program, "film", &["--loss", "5", "--duration", "6"]).await;
    assert_eq!(code, Some(0), "{report:#}");
    let video = &report["viewers"][0]["video"];
    let [dropped, asked, received, lost] =
        ["dropped", "retransmissions_asked", "retransmissions_received", "lost"].map(|figure| number(&video[figure]));
    assert!(dropped > 0.0 && asked > 0.0 && received > 0.0, "{video:#}");
    assert!(received >= dropped * 0.5 && lost <= dropped * 0.2, "what was lost was not repaired: {video:#}");
    assert!(number(&video["keyframes"]) >= 4.0, "{video:#}");
}

#[tokio::test]
async fn a_wrong_token_fails_with_what_the_server_said() {
    let _turn = turn::shared().await;
    let program = program().await;
    let mut command = command(&program.whep("film"), &["--token", "not.a.token"]);
    command.arg("--json");
    let output = run(command).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for word in ["401", "invalid_token", "check the token"] {
        assert!(said.contains(word), "{said}");
    }
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let failure = &report["failure"];
    assert_eq!((&failure["phase"], &failure["status"]), (&json!("http"), &json!(401)), "{failure:#}");
    assert_eq!(failure["reason"], "invalid_token");
}

#[tokio::test]
async fn the_token_may_stand_in_a_file() {
    let _turn = turn::shared().await;
    let program = program().await;
    let path = program.directory().join("token");
    std::fs::write(&path, format!("{}\n", program.token())).expect("it can be written");
    let path = path.display().to_string();
    let output = run(command(&program.whep("film"), &["--duration", "1", "--token-file", &path])).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for word in ["viewer 1: answered", "picture: ", "sound: ", "all 1, 0 failed"] {
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn an_unknown_process_and_one_without_media_are_told_apart() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let port = free_port();
    program.apply(&manifest("mute").input("-listen 1", format!("rtmp://127.0.0.1:{port}/live/mute")));
    program.until_state("mute", "Waiting").await;
    for (id, status, reason, sign) in
        [("nobody", 404, "unknown_process", "process id"), ("mute", 409, "no_media_yet", "state of the process")]
    {
        let (code, report) = play(&program, id, &[]).await;
        let failure = &report["failure"];
        assert_eq!(code, Some(1));
        assert_eq!((&failure["status"], &failure["reason"]), (&json!(status), &json!(reason)), "{failure:#}");
        assert!(failure["check"].as_str().is_some_and(|check| check.contains(sign)), "{failure:#}");
    }
}

/// The origin of a relay before the program's HTTP, on whose way an offer loses its candidates; so the gateway cannot
/// come to the player by itself.
async fn way_without_candidates(origin: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = origin.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.expect("the program listens");
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(size @ 1..) = from_client.read(&mut buffer).await {
                    // Of the same length, so that Content-Length stays true.
                    let text = String::from_utf8_lossy(&buffer[..size]).replace("a=candidate:", "a=forgotten:");
                    to_server.write_all(text.as_bytes()).await.expect("the program reads");
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_server_whose_udp_is_dead_fails_in_ice_and_names_its_address() {
    let _turn = turn::shared().await;
    // Whatever comes to it stays in the socket.
    let grave = UdpSocket::bind("127.0.0.2:0").expect("loopback has a free port");
    let port = grave.local_addr().expect("bound").port();
    let gateway = format!("127.0.0.1:{port}");
    let environment = [("CORE_WEBRTC_ADDRESS", gateway.as_str()), ("CORE_WEBRTC_ANNOUNCE", "127.0.0.2")];
    let program = Program::start_with(&[("film.yaml", &film().text())], &environment).await;
    until_playable(&program, "film").await;
    let way = way_without_candidates(program.origin()).await;
    let mut command = command(&format!("{way}/api/v3/whep/film"), &["--json"]);
    command.env("CORE_PLAY_TOKEN", program.token());
    let output = run(command).await;
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let (code, failure) = (output.status.code(), &report["failure"]);
    assert_eq!((code, &failure["phase"]), (Some(1), &json!("ice")), "{report:#}");
    assert!(failure["message"].as_str().is_some_and(|text| text.contains(&format!("127.0.0.2 port {port}"))));
    assert!(failure["check"].as_str().is_some_and(|text| text.contains("CORE_WEBRTC_ANNOUNCE")), "{failure:#}");
    assert_eq!(report["viewers"][0]["deleted"], 200, "the session does not stay");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_and_a_closed_port_are_told_apart() {
    for (url, phase) in [
        ("http://no-such-host.invalid/whep", "name"),
        ("ftp://127.0.0.1/whep", "name"),
        (&format!("http://127.0.0.1:{}/whep", free_port()), "http"),
    ] {
        let output = run(command(url, &["--json"])).await;
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((output.status.code(), &report["failure"]["phase"]), (Some(1), &json!(phase)), "{report:#}");
    }
}

#[tokio::test]
async fn one_who_is_interrupted_leaves_no_session() {
    let _turn = turn::shared().await;
    let program = program().await;
    let mut command = command(&program.whep("film"), &["--json", "--duration", "600"]);
    command.env("CORE_PLAY_TOKEN", program.token()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it can be started");
    program.until("film", "has a viewer", |process| process["status"]["webrtc"]["viewers"] == 1).await;
    let begin = Instant::now();
    // Let it see something.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = Pid::from_raw(i32::try_from(child.id()).expect("small")).expect("not 0");
    kill_process(id, Signal::INT).expect("it runs");
    let output = tokio::task::spawn_blocking(move || {
        let status = child.wait().expect("it is our child");
        let report: Value = serde_json::from_reader(child.stdout.take().expect("piped")).expect("JSON");
        (status, report)
    });
    let (status, report) = output.await.expect("no panic");
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert!(status.success(), "{report:#}");
    assert_eq!(report["viewers"][0]["deleted"], 200, "{report:#}");
    until_no_viewer(&program).await;
}
