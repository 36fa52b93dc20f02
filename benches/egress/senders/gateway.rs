//! Our gateway, driven by its crate API.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dragonfork::gateway::{Config, Gateway};
use dragonfork::rtp::Codec;
use dragonfork::whep::{Client, Refusal};

use super::Order;
use crate::source::Ports;
use crate::{allocations, control};

/// How long a stream may take to have media.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays the role.
pub fn run() -> Result<()> {
    let orders = control::orders();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (client, requests) = Client::new();
    let (events, _told) = tokio::sync::mpsc::unbounded_channel();
    let config = Config {
        bind: "127.0.0.1:0".parse()?,
        announce: Vec::new(),
        announce_interval: Duration::from_secs(60),
        leg_port: None,
        ice_lite: false,
        tcp: false,
        max_viewers: usize::MAX,
        max_viewers_per_stream: usize::MAX,
    };
    let gateway = {
        let _within = runtime.enter();
        Gateway::start(&config, requests, events)?
    };
    for order in orders {
        match order {
            Order::Open(streams) => control::answer(&runtime.block_on(open(&gateway, streams))),
            Order::Offer { stream, sdp } => control::answer(&runtime.block_on(offer(&client, stream, sdp))),
            Order::CountAllocations => {
                allocations::begin();
                control::answer(&Ok(()));
            }
            Order::Allocations => control::answer(&Ok(allocations::by_thread())),
        }
    }
    Ok(())
}

fn name(stream: usize) -> String {
    format!("stream-{stream}")
}

async fn open(gateway: &Gateway, streams: usize) -> Result<Vec<Ports>> {
    let mut opened = Vec::new();
    for stream in 0..streams {
        let ports = gateway.handle().open(&name(stream), None).await?;
        gateway.handle().expect(&name(stream), Some(Codec::H264), Some(Codec::Opus));
        opened.push(Ports { video: ports.video, audio: ports.audio });
    }
    Ok(opened)
}

/// Offers until the stream has media.
async fn offer(client: &Client, stream: usize, sdp: String) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.offer(&name(stream), sdp.clone(), false).await {
            Ok(answer) => return Ok(answer.sdp),
            Err(Refusal::NoMediaYet(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(refusal) => return Err(refusal).context("the gateway refuses"),
        }
    }
}
