//! How long a viewer waits for the first picture: the whole program with FFmpeg, played by Chromium.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::progress;
use crate::child::{self, Child, free_port};
use crate::chromium::{self, Chromium};
use crate::machine;
use crate::manifest::manifest;
use crate::parameters::{JOIN_GOP, JOIN_RATE, JOIN_STEP, Parameters, targets};
use crate::program::Program;
use crate::report::{Figure, Target, percentile};

const JOINS: &str = "From POST to the first picture in Chromium";

/// Name and version of the browser.
pub fn browser() -> Option<String> {
    let output = Command::new(chromium::binary()).arg("--version").output().ok()?;
    // The distribution stands behind the version.
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// What one join took, in milliseconds from just before the POST.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Join {
    /// The answer is there (201).
    answer: f64,
    /// ICE has a way.
    ice: f64,
    /// The DTLS handshake is over.
    dtls: f64,
    /// The first packet of the picture is there.
    packet: f64,
    /// The first frame is decoded.
    frame: f64,
}

/// Joins one after the other, at moments that are spread over the time between two keyframes.
pub fn joins(parameters: &Parameters) -> Result<Vec<Figure>> {
    machine::adopt_orphans()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let joins = runtime.block_on(join_often(parameters.joins));
    machine::reap_orphans();
    Ok(figures(&joins?))
}

async fn join_often(count: usize) -> Result<Vec<Join>> {
    let program = Program::start().await;
    let port = free_port();
    let address = format!("rtmp://127.0.0.1:{port}/live/cam");
    program.apply(&manifest("cam").input("-f flv -listen 1 -analyzeduration 500000", address.as_str()));
    child::until("the program waits for the publisher", || child::is_bound(port)).await;
    let _publisher = publish(&address, &program);
    program.until("cam", "can be played", is_playable).await;
    let browser = Chromium::start(&[]).await;
    browser.client.goto(&format!("{}/ping", program.origin())).await?;
    // The first one finds a browser that has not decoded anything yet.
    join(&program, &browser).await?;
    let begin = Instant::now();
    let mut joins = Vec::new();
    for step in 1..=count {
        tokio::time::sleep_until((begin + JOIN_STEP * step as u32).into()).await;
        joins.push(join(&program, &browser).await?);
    }
    Ok(joins)
}

async fn join(program: &Program, browser: &Chromium) -> Result<Join> {
    let arguments = vec![program.whep("cam").into(), program.token().into()];
    let seen = browser.client.execute(include_str!("join.js"), arguments).await.context("a join failed")?;
    let join: Join = serde_json::from_value(seen.clone()).with_context(|| format!("{seen} is no join"))?;
    progress(&format!(
        "join: answer {:.0} ms, ICE {:.0} ms, DTLS {:.0} ms, first packet {:.0} ms, first frame {:.0} ms",
        join.answer, join.ice, join.dtls, join.packet, join.frame
    ));
    Ok(join)
}

/// Pushes a test picture and a tone as OBS would, 4 Mb/s with a keyframe every [`JOIN_GOP`].
fn publish(address: &str, program: &Program) -> Child {
    let gop = JOIN_GOP.as_secs() * u64::from(JOIN_RATE);
    let arguments = format!(
        "-nostdin -loglevel warning -re -f lavfi -i testsrc2=size=1280x720:rate={JOIN_RATE} -re -f lavfi -i sine=frequency=440 \
         -c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -pix_fmt yuv420p -b:v 4M -maxrate 4M \
         -bufsize 4M -g {gop} -keyint_min {gop} -sc_threshold 0 -c:a aac -ar 48000 -ac 2 -f flv {address}"
    );
    Child::start("publisher", Command::new("ffmpeg").args(arguments.split_whitespace()), program.directory())
}

fn is_playable(process: &Value) -> bool {
    let conditions = process["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "PlaybackReady" && condition["status"] == "True")
}

fn figures(joins: &[Join]) -> Vec<Figure> {
    let of = |take: fn(&Join) -> f64| joins.iter().map(take).collect::<Vec<f64>>();
    // Whole microseconds.
    let part = |take: fn(&Join) -> f64, percent| {
        let mut times: Vec<u32> = joins.iter().map(|join| (take(join) * 1000.0) as u32).collect();
        percentile(&mut times, percent) / 1000.0
    };
    let count = joins.len();
    let figure =
        |name: &str, what: String, samples: &[f64]| Figure::new(JOINS, &format!("joins/{name}"), what, "ms", samples);
    vec![
        figure("p50", format!("50 of 100 of {count} joins"), &[part(|join| join.frame, 50)]),
        figure("p95", format!("95 of 100 of {count} joins"), &[part(|join| join.frame, 95)])
            .target(Target::AtMost(targets::JOIN)),
        figure("longest", "The longest".into(), &[part(|join| join.frame, 100)]),
        figure("p95/answered", "95 of 100, from the answer on".into(), &[part(|join| join.frame - join.answer, 95)]),
        figure("answer", "Until the answer (201)".into(), &of(|join| join.answer)),
        figure("ice", "From there until ICE has a way".into(), &of(|join| join.ice - join.answer)),
        figure("dtls", "From there until the DTLS handshake is over".into(), &of(|join| join.dtls - join.ice)),
        figure(
            "packet",
            "From there until the first packet of the picture".into(),
            &of(|join| join.packet - join.dtls),
        ),
        figure("frame", "From there until the first frame is decoded".into(), &of(|join| join.frame - join.packet)),
    ]
}
