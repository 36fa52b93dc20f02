//! What is told of a run besides its life: what it uses, its streams, its report; and what somebody asks for.

use std::time::Duration;

use dragonfork::plan::{Limits, Plan};
use dragonfork::process::{self, Cause, RunReport, Streams, Usage};
use dragonfork::runner::Event;

use crate::bench::{Bench, exists, fake, io, plan, secrets};

async fn usage(bench: &mut Bench, wanted: impl Fn(&Usage) -> bool) -> Usage {
    bench
        .wait(|event| match event {
            Event::Run(process::Event::Usage(usage)) if wanted(usage) => Some(*usage),
            _ => None,
        })
        .await
}

async fn streams(bench: &mut Bench, wanted: impl Fn(&Streams) -> bool) -> Streams {
    bench
        .wait(|event| match event {
            Event::Streams(streams) if wanted(streams) => Some((**streams).clone()),
            _ => None,
        })
        .await
}

async fn report(bench: &mut Bench, wanted: impl Fn(&RunReport) -> bool) -> RunReport {
    bench
        .wait(|event| match event {
            Event::Run(process::Event::Report(report)) if wanted(report) => Some((**report).clone()),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn what_ffmpeg_uses_is_told() {
    let mut bench = Bench::with_fake();
    let run = bench.start(fake("memory=64,spin"));
    let usage = usage(&mut bench, |usage| usage.cpu_percent.is_some_and(|percent| percent > 1.0)).await;
    assert!((64 << 20..128 << 20).contains(&usage.memory_bytes), "{usage:?}");
    assert!(usage.cpu_percent.is_some_and(|percent| percent < 110.0), "{usage:?}");
    run.stop().await;
}

#[tokio::test]
async fn c025_who_uses_too_much_cpu_is_ended_and_starts_again() {
    let mut bench = Bench::with_fake();
    let limits = Limits { cpu_percent: Some(2), ..Limits::default() };
    let run = bench.start(Plan { limits, ..fake("spin") });
    let pid = bench.started().await;
    let (exit, restart_in) = bench.ended().await;
    assert_eq!((exit.cause, restart_in.is_some()), (Cause::CpuLimit, true));
    assert!(exit.message.contains("spec.limits.cpuPercent allows 2 %"), "{}", exit.message);
    assert!(!exists(pid));
    bench.started().await;
    run.stop().await;
}

#[tokio::test]
async fn c027_who_uses_too_much_memory_is_ended() {
    let mut bench = Bench::with_fake();
    let limits = Limits { memory_bytes: Some(32 << 20), ..Limits::default() };
    let run = bench.start(Plan { limits, ..fake("memory=64,silent") });
    let (exit, _) = bench.ended().await;
    assert_eq!(exit.cause, Cause::MemoryLimit);
    assert!(exit.message.contains("spec.limits.memoryMiB allows 32 MiB"), "{}", exit.message);
    run.stop().await;
}

#[tokio::test]
async fn c021_c023_c024_a_restart_starts_at_once_whatever_ffmpeg_does() {
    let mut bench = Bench::with_fake();
    let run = bench.start(Plan { reconnect: Some(Duration::from_secs(3600)), ..fake("frames=3,exit=1") });
    bench.started().await;
    bench.ended().await;
    run.begin();
    bench.started().await;
    bench.ended().await;
    run.restart();
    bench.started().await;
    run.stop().await;

    let mut bench = Bench::with_fake();
    let run = bench.start(Plan { reconnect: None, ..fake("silent") });
    let first = bench.started().await;
    run.begin();
    run.restart();
    assert_eq!(bench.ended().await.0.cause, Cause::Stopped);
    assert_ne!(bench.started().await, first);
    run.stop().await;
}

#[tokio::test]
async fn the_streams_of_the_stand_in_are_told_with_their_figures() {
    let mut bench = Bench::with_fake();
    let plan = Plan {
        inputs: vec![io("in", "fake:prelude,progress"), io("more", "rtsp://user:secret99@cam/")],
        outputs: vec![io("out", "rtmp://a.example/live2/secret88")],
        ..plan()
    };
    let run = bench.start(plan);
    let streams =
        streams(&mut bench, |streams| streams.outputs.first().is_some_and(|stream| stream.figures.frame > Some(1)))
            .await;
    assert_eq!((streams.inputs.len(), streams.outputs.len()), (3, 2));
    let picture = &streams.outputs[0];
    assert_eq!((picture.id.as_str(), picture.coder.as_str(), picture.format.as_str()), ("out", "libx264", "hls"));
    assert_eq!((picture.width, picture.height, picture.figures.q), (1280, 720, Some(17.0)));
    assert_eq!(picture.address, "rtmp://a.example/live2/***");
    let sound = &streams.inputs[1];
    assert_eq!((sound.id.as_str(), sound.language.as_str(), sound.layout.as_str()), ("in", "eng", "stereo"));
    assert!(!format!("{streams:?}").contains("secret"));
    run.stop().await;
}

#[tokio::test]
async fn the_streams_of_ffmpeg_are_told() {
    let mut bench = Bench::new();
    let run = bench.start(Plan {
        options: secrets(["-loglevel", "level+error"]),
        inputs: vec![
            io("picture", "-f lavfi -re testsrc2=size=320x240:rate=25"),
            io("sound", "-f lavfi -re sine=frequency=440:sample_rate=48000"),
        ],
        outputs: vec![
            io("one", "-map 0:v -c:v libx264 -preset ultrafast -f null -"),
            io("two", "-map 1:a -c:a aac -ac 2 -f adts pipe:1"),
        ],
        ..plan()
    });
    let streams =
        streams(&mut bench, |streams| streams.outputs.len() == 2 && streams.outputs[0].figures.frame > Some(0)).await;
    let [picture, sound] = &streams.outputs[..] else { panic!("{streams:?}") };
    assert_eq!((picture.id.as_str(), picture.kind.as_str(), picture.coder.as_str()), ("one", "video", "libx264"));
    assert_eq!((picture.width, picture.height, picture.rate), (320, 240, 25.0));
    assert!(picture.figures.q.is_some() && picture.figures.fps.is_some(), "{picture:?}");
    assert_eq!((sound.id.as_str(), sound.codec.as_str(), sound.channels), ("two", "aac", 2));
    assert_eq!((streams.inputs[0].coder.as_str(), streams.inputs[0].pix_fmt.as_str()), ("rawvideo", "yuv420p"));
    assert_eq!((streams.inputs[1].id.as_str(), streams.inputs[1].sampling_hz), ("sound", 48_000));
    run.stop().await;
}

#[tokio::test]
async fn c151_the_report_of_a_run_has_its_prelude_its_log_and_its_end() {
    let mut bench = Bench::with_fake();
    let run = bench.start(Plan { reconnect: None, ..fake("prelude,frames=3,say=after,burst=70,exit=3") });
    let report = report(&mut bench, |report| report.exit.is_some()).await;
    assert!(report.prelude[0].starts_with("Input #0, lavfi"), "{:?}", report.prelude);
    assert!(report.prelude.iter().any(|line| line.starts_with("Press [q]")));
    assert!(!report.prelude.iter().any(|line| line == "after"));
    assert_eq!((report.log.len(), report.log[49].line.as_str()), (50, "line 69"));
    let exit = report.exit.expect("it ended");
    assert_eq!((exit.code, exit.state()), (Some(3), process::ExitState::Failed));
    run.stop().await;
}

#[tokio::test]
async fn the_arguments_of_a_start_are_told_without_their_credentials() {
    let mut bench = Bench::with_fake();
    let outputs = vec![io("out", "-metadata title=north-wind -f null -")];
    let run = bench.start(Plan { outputs, secrets: secrets(["north-wind"]), ..fake("silent") });
    let command = bench
        .wait(|event| match event {
            Event::Command(command) => Some(command.clone()),
            _ => None,
        })
        .await;
    assert_eq!(*command, ["-i", "fake:silent", "-metadata", "title=***", "-f", "null", "-"]);
    run.stop().await;
}
