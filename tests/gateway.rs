//! The gateway over real sockets: FFmpeg sends its legs, receiving peers watch.

#[path = "support/receiver.rs"]
mod receiver;
#[path = "support/source.rs"]
mod source;

#[path = "gateway/tcp.rs"]
mod tcp;

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use dragonfork::gateway::{Config, Event, Gateway};
use dragonfork::plan::EgressPorts;
use dragonfork::rtp::Codec;
use dragonfork::whep::{Client, Received, Refusal};
use receiver::Receiver;
use source::Source;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    gateway: Option<Gateway>,
    client: Client,
    events: UnboundedReceiver<Event>,
}

fn house(max_viewers_per_stream: usize, max_viewers: usize) -> House {
    let (client, requests) = Client::new();
    let (sender, events) = unbounded_channel();
    let config = Config {
        bind: "127.0.0.1:0".parse().expect("an address"),
        announce: Vec::new(),
        announce_interval: Duration::from_secs(60),
        leg_port: None,
        ice_lite: false,
        tcp: true,
        max_viewers,
        max_viewers_per_stream,
    };
    let gateway = Gateway::start(&config, requests, sender).expect("it starts");
    House { gateway: Some(gateway), client, events }
}

impl House {
    fn handle(&self) -> dragonfork::gateway::Handle {
        self.gateway.as_ref().expect("it runs").handle()
    }

    async fn open(&self, stream: &str) -> EgressPorts {
        let ports = self.handle().open(stream, None).await.expect("legs are opened");
        self.handle().expect(stream, Some(Codec::H264), Some(Codec::Opus));
        ports
    }

    /// Offers until the stream has media.
    async fn watch(&self, stream: &str) -> Viewing {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Viewing::start(&self.client, stream).await {
                Ok(viewing) => return viewing,
                Err(Refusal::NoMediaYet(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(refusal) => panic!("{refusal}"),
            }
        }
    }

    async fn event(&mut self, wanted: impl Fn(&Event) -> bool) {
        let found = async { while !wanted(&self.events.recv().await.expect("the gateway runs")) {} };
        tokio::time::timeout(PATIENCE, found).await.expect("the event comes");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.shutdown();
        }
    }
}

/// Options of the source's encoder: a keyframe every so many frames, and so many B-frames between others.
fn encoder(gop: u32, b_frames: u32) -> String {
    format!("-bf {b_frames} -g {gop} -keyint_min {gop}")
}

struct Viewing {
    receiver: Receiver,
    session: String,
    sdp: String,
    received: Vec<Received>,
}

impl Viewing {
    async fn start(client: &Client, stream: &str) -> Result<Self, Refusal> {
        let mut receiver = Receiver::new().await;
        let answer = client.offer(stream, receiver.watcher.offer().to_owned(), false).await?;
        receiver.handle_answer(&answer.sdp);
        Ok(Self { receiver, session: answer.session, sdp: answer.sdp, received: Vec::new() })
    }

    /// Goes on until `enough`; panics when that takes too long.
    async fn receive_until(&mut self, enough: impl Fn(&[Received]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(&self.received) {
            assert!(Instant::now() < deadline, "only {} packets came", self.received.len());
            self.received.extend(self.receiver.step(|_| {}).await);
        }
    }
}

fn video(received: &[Received]) -> Vec<&Received> {
    received.iter().filter(|packet| packet.track.contains("video")).collect()
}

fn frames(received: &[Received]) -> usize {
    video(received).iter().filter(|packet| packet.marker).count()
}

/// Sequence numbers that do not follow the one before, by SSRC.
fn gaps(received: &[Received]) -> BTreeMap<u32, usize> {
    let (mut last, mut gaps) = (BTreeMap::new(), BTreeMap::new());
    for Received { ssrc, sequence_number, .. } in received {
        let before = last.insert(*ssrc, *sequence_number);
        *gaps.entry(*ssrc).or_default() +=
            usize::from(before.is_some_and(|before| *sequence_number != u16::wrapping_add(before, 1)));
    }
    gaps
}

#[tokio::test]
async fn a_viewer_gets_picture_and_sound_without_a_gap() {
    let house = house(8, 8);
    let ports = house.open("cam").await;
    let _source = Source::start(ports, &encoder(30, 0));
    let mut viewing = house.watch("cam").await;
    viewing.receive_until(|received| frames(received) > 60 && received.len() - video(received).len() > 50).await;
    for (ssrc, gaps) in gaps(&viewing.received) {
        assert!(gaps <= 1, "{gaps} gaps in {ssrc}");
    }
    assert!(viewing.sdp.contains("a=setup:passive") && viewing.sdp.contains("a=end-of-candidates"));
}

#[tokio::test]
async fn a_late_viewer_starts_at_the_newest_keyframe_at_once() {
    let house = house(8, 8);
    let ports = house.open("cam").await;
    let _source = Source::start(ports, &encoder(120, 0));
    let mut first = house.watch("cam").await;
    // The second keyframe of a 4 s GOP is 4 s old in the middle of it.
    first.receive_until(|received| frames(received) > 60).await;
    let begin = Instant::now();
    let mut late = house.watch("cam").await;
    late.receive_until(|received| frames(received) > 30).await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    let kind =
        late.received.iter().find(|packet| packet.track.contains("video")).map(|packet| packet.payload[0] & 0x1f);
    assert_eq!(kind, Some(24), "the first packet holds the parameter sets");
}

#[tokio::test]
async fn sequence_numbers_and_timestamps_go_on_when_ffmpeg_starts_again() {
    let house = house(8, 8);
    let ports = house.open("cam").await;
    let source = Source::start(ports, &encoder(30, 0));
    let mut viewing = house.watch("cam").await;
    viewing.receive_until(|received| frames(received) > 30).await;
    drop(source);
    let _source = Source::start(ports, &encoder(30, 0));
    viewing.receive_until(|received| frames(received) > 120).await;
    let ssrcs: std::collections::BTreeSet<u32> = viewing.received.iter().map(|packet| packet.ssrc).collect();
    assert_eq!(ssrcs.len(), 2, "one SSRC for each track");
    let stamps: Vec<u32> = video(&viewing.received).iter().map(|packet| packet.timestamp).collect();
    assert!(stamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) < 90_000 * 5), "time goes on and never back");
}

#[tokio::test]
async fn frames_out_of_order_are_told() {
    let mut house = house(8, 8);
    let ports = house.open("cam").await;
    let _source = Source::start(ports, &encoder(30, 2));
    house.event(|event| matches!(event, Event::Reordered { stream } if stream == "cam")).await;
}

#[tokio::test]
async fn media_and_viewers_are_told() {
    let mut house = house(8, 8);
    let ports = house.open("cam").await;
    let _source = Source::start(ports, &encoder(30, 0));
    house.event(|event| *event == Event::Media { stream: "cam".into(), video: true, audio: true }).await;
    let viewing = house.watch("cam").await;
    house.event(|event| *event == Event::Viewers { stream: "cam".into(), count: 1 }).await;
    assert_eq!(house.client.delete("other", &viewing.session).await, Ok(false), "a session belongs to its process");
    assert_eq!(house.client.delete("cam", &viewing.session).await, Ok(true));
    assert_eq!(house.client.delete("cam", &viewing.session).await, Ok(false));
    house.event(|event| *event == Event::Viewers { stream: "cam".into(), count: 0 }).await;
}

#[tokio::test]
async fn caps_refuse_each_with_its_own_reason() {
    let house = house(1, 2);
    let mut sources = Vec::new();
    for stream in ["a", "b", "c"] {
        sources.push(Source::start(house.open(stream).await, &encoder(30, 0)));
    }
    house.watch("a").await;
    let refused = Viewing::start(&house.client, "a").await.err();
    assert_eq!(refused, Some(Refusal::StreamViewerLimit { process: "a".into(), limit: 1 }));
    house.watch("b").await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Viewing::start(&house.client, "c").await.err() {
            Some(Refusal::NoMediaYet(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            refused => break assert_eq!(refused, Some(Refusal::TotalViewerLimit { limit: 2 })),
        }
    }
    house.handle().configure("a", Some(2));
    let refused = Viewing::start(&house.client, "a").await.err();
    assert_eq!(refused, Some(Refusal::TotalViewerLimit { limit: 2 }), "the total cap is asked first");
}

#[tokio::test]
async fn what_cannot_be_played_is_refused() {
    let house = house(8, 8);
    let refused = |stream: &'static str, offer: &'static str| {
        let client = house.client.clone();
        async move { client.offer(stream, offer.into(), false).await.expect_err("it cannot be played") }
    };
    let chromium = include_str!("offers/offer_chromium156_mdns.sdp");
    assert_eq!(refused("cam", chromium).await, Refusal::UnknownProcess("cam".into()));
    house.open("cam").await;
    assert!(matches!(refused("cam", "").await, Refusal::Malformed(_)));
    assert_eq!(refused("cam", chromium).await, Refusal::NoMediaYet("cam".into()));
}

#[tokio::test]
async fn an_offer_without_the_streams_codec_is_refused_and_takes_no_slot() {
    let mut house = house(1, 1);
    let ports = house.open("cam").await;
    let _source = Source::start(ports, &encoder(30, 0));
    house.event(|event| *event == Event::Media { stream: "cam".into(), video: true, audio: true }).await;
    let offer =
        include_str!("offers/offer_chromium156_mdns.sdp").replace("H264/90000", "H999/90000").replace("opus", "x");
    let refusal = house.client.offer("cam", offer, false).await.expect_err("no codec is common");
    assert!(matches!(&refusal, Refusal::NoCommonCodec(why) if why.contains("H264")), "{refusal}");
    house.watch("cam").await;
}

#[tokio::test]
async fn a_closed_stream_ends_its_sessions_and_frees_its_ports() {
    let mut house = house(8, 8);
    let ports = house.open("cam").await;
    let source = Source::start(ports, &encoder(30, 0));
    let mut viewing = house.watch("cam").await;
    viewing.receive_until(|received| frames(received) > 5).await;
    house.handle().close("cam");
    house.event(|event| *event == Event::Viewers { stream: "cam".into(), count: 0 }).await;
    drop(source);
    let again = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], ports.video)));
    assert!(again.is_ok(), "the port is free again");
}
