//! Real FFmpeg without preflight: figures, log levels, ends.

use std::time::Duration;

use dragonfork::plan::Plan;
use dragonfork::process::{self, Cause};
use dragonfork::runner::Event;
use rustix::process::Signal;

use crate::bench::{Bench, exists, io, kill, plan, secrets};

const PICTURE: &str = "-re -f lavfi testsrc2=size=160x120:rate=25";
const SOUND: &str = "-re -f lavfi sine=frequency=440";

fn picture(options: &[&str]) -> Plan {
    Plan {
        options: secrets(options.iter().copied()),
        inputs: vec![io("a", PICTURE)],
        outputs: vec![io("a", "-c:v libx264 -preset ultrafast -f mpegts -y out.ts")],
        stale: Some(Duration::from_secs(5)),
        ..plan()
    }
}

#[tokio::test]
async fn figures_come_at_every_log_level_and_the_log_is_what_the_level_makes_it() {
    for (level, has_log) in [("quiet", false), ("error", false), ("level+info", true)] {
        let mut bench = Bench::new();
        let run = bench.start(picture(&["-loglevel", level]));
        let pid = bench.started().await;
        bench.progress().await;
        let progress = bench.progress().await;
        assert!(progress.frame > 0 && progress.time > Duration::ZERO && progress.speed.is_some(), "{progress:?}");
        if has_log {
            let log = bench.log(|line| line.starts_with("[info]   Stream #0:0")).await;
            assert!(!log.iter().any(|line| line.line.contains("frame=")), "figures are no lines");
            assert!(!log.iter().any(|line| line.line.contains("Command line")), "the report is no log");
        }
        run.stop().await;
        assert!(!exists(pid));
        let mut logged = 0;
        for event in bench.rest() {
            match event {
                Event::Run(process::Event::Ended { exit, restart_in }) => {
                    assert_eq!((exit.cause, exit.code, restart_in), (Cause::Stopped, Some(255), None));
                }
                Event::Run(process::Event::Log(lines)) => logged = lines.len(),
                _ => {}
            }
        }
        assert!(has_log || logged == 0);
    }
}

#[tokio::test]
async fn c145_sound_alone_is_alive() {
    let mut bench = Bench::new();
    let run = bench.start(Plan {
        inputs: vec![io("a", SOUND)],
        outputs: vec![io("a", "-c:a aac -f adts -y out.aac")],
        stale: Some(Duration::from_secs(2)),
        ..plan()
    });
    let mut progress = bench.progress().await;
    for _ in 0..3 {
        progress = bench.progress().await;
    }
    assert!(progress.size_bytes > 0 && progress.time > Duration::from_secs(1) && progress.frame == 0, "{progress:?}");
    run.stop().await;
}

#[tokio::test]
async fn c147_the_sdp_on_standard_output_is_not_taken_for_progress() {
    let sink = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = format!("udp://{}?pkt_size=1200", sink.local_addr().expect("bound"));
    let mut bench = Bench::new();
    let run = bench.start(Plan {
        inputs: vec![io("a", PICTURE)],
        outputs: vec![io("a", &format!("-c:v libx264 -preset ultrafast -f rtp {address}"))],
        ..plan()
    });
    bench.progress().await;
    assert!(bench.progress().await.frame > 0);
    run.stop().await;
}

#[tokio::test]
async fn c016_an_ffmpeg_that_somebody_terminates_has_finished() {
    let mut bench = Bench::new();
    let run = bench.start(picture(&[]));
    let pid = bench.started().await;
    bench.progress().await;
    kill(pid, Signal::TERM);
    let (exit, restart_in) = bench.ended().await;
    assert_eq!((exit.cause, exit.code), (Cause::Finished, Some(255)));
    assert!(exit.message.contains("received signal 15"), "{}", exit.message);
    assert_eq!(restart_in, Some(Duration::from_secs(1)));
    run.stop().await;
}

#[tokio::test]
async fn an_ffmpeg_that_is_stopped_in_its_tracks_is_stale() {
    let mut bench = Bench::new();
    let run = bench.start(Plan { stale: Some(Duration::from_secs(2)), ..picture(&[]) });
    let pid = bench.started().await;
    bench.progress().await;
    kill(pid, Signal::STOP);
    let (exit, _) = bench.ended().await;
    assert_eq!((exit.cause, exit.signal), (Cause::Stale, Some(9)));
    bench.started().await;
    bench.progress().await;
    run.stop().await;
}

#[tokio::test]
async fn a_source_that_ends_starts_again_after_the_delay() {
    let mut bench = Bench::new();
    let run = bench.start(Plan {
        inputs: vec![io("a", "-f lavfi -t 1 testsrc2=size=160x120")],
        outputs: vec![io("a", "-f null -")],
        ..plan()
    });
    for _ in 0..2 {
        let (exit, restart_in) = bench.ended().await;
        assert_eq!((exit.cause, exit.code, restart_in), (Cause::Finished, Some(0), Some(Duration::from_secs(1))));
    }
    run.stop().await;
}

#[tokio::test]
async fn an_input_that_is_refused_is_told_without_its_secrets() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let mut bench = Bench::new();
    let run = bench.start(Plan {
        inputs: vec![io("a", &format!("http://user:topsecret@{address}/a?token=hidden-one"))],
        outputs: vec![io("a", "-f null -")],
        ..plan()
    });
    let (exit, _) = bench.ended().await;
    assert_eq!(exit.cause, Cause::Failed);
    assert!(exit.message.ends_with("Connection refused"), "{}", exit.message);
    let log = bench.log(|line| line.contains(&format!("http://***@{address}/a?token=***"))).await;
    assert!(!log.iter().any(|line| line.line.contains("topsecret") || line.line.contains("hidden-one")), "{log:?}");
    run.stop().await;
}
