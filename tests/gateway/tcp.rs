//! Viewers that come by TCP, and strangers that do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dragonfork::gateway::JumpReason;
use dragonfork::whep::{Deframer, Received, Watcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{House, PATIENCE, encoder, frames, gaps, house, video};
use crate::source::Source;

/// A receiving peer that believes to speak UDP, through a connection.
struct Framed {
    watcher: Watcher,
    connection: TcpStream,
    deframer: Deframer,
    gateway: SocketAddr,
    received: Vec<Received>,
}

/// Addresses that an answer names for a transport.
fn named(answer: &str, transport: &str) -> Vec<SocketAddr> {
    let candidates = answer.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let words = candidates.map(|candidate| candidate.split(' ').collect::<Vec<_>>());
    let such = words.filter(|words| words[2] == transport);
    such.map(|words| format!("{}:{}", words[4], words[5]).parse().expect("an address")).collect()
}

/// Connects with little room for what nobody reads.
async fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("set");
    socket.connect(to).await.expect("it listens")
}

impl Framed {
    /// Offers until the stream has media, and connects.
    async fn watch(house: &House, stream: &str) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let placeholder = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut watcher = Watcher::new(placeholder, Instant::now()).expect("a peer");
        let answer = loop {
            match house.client.offer(stream, watcher.offer().to_owned(), false).await {
                Ok(answer) => break answer,
                Err(refusal) => assert!(Instant::now() < deadline, "{refusal}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let [gateway] = named(&answer.sdp, "tcp")[..] else { panic!("one TCP candidate: {}", answer.sdp) };
        assert_eq!(named(&answer.sdp, "udp"), [gateway], "one number for both");
        watcher.handle_answer(&answer.sdp, Instant::now()).expect("the answer is read");
        let connection = connect(gateway).await;
        Self { watcher, connection, deframer: Deframer::default(), gateway, received: Vec::new() }
    }

    async fn step(&mut self) {
        let Self { watcher, connection, deframer, gateway, received } = self;
        watcher.handle_timeout(Instant::now()).expect("it goes on");
        while let Some(transmit) = watcher.poll_transmit() {
            let size = (transmit.datagram.len() as u16).to_be_bytes();
            connection.write_all(&[&size[..], &transmit.datagram].concat()).await.expect("sent");
        }
        let mut buffer = [0; 16 << 10];
        if let Ok(read) = tokio::time::timeout(Duration::from_millis(5), connection.read(&mut buffer)).await {
            let size = read.expect("the connection lives");
            assert!(size > 0, "the gateway has closed the connection");
            let take = |datagram: &[u8]| {
                // A packet that comes before the handshake is over cannot be opened, and is no error.
                let _ = watcher.handle_datagram(*gateway, datagram, Instant::now());
            };
            deframer.handle_octets(&buffer[..size], take).expect("frames are whole");
        }
        watcher.is_connected();
        received.extend(std::iter::from_fn(|| watcher.poll_received()));
    }

    async fn until(&mut self, what: &str, enough: impl Fn(&[Received]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(&self.received) {
            assert!(Instant::now() < deadline, "{what}: only {} packets came", self.received.len());
            self.step().await;
        }
    }
}

/// Sequence numbers that do not follow the one before, of all tracks.
fn missing(received: &[Received]) -> usize {
    gaps(received).values().sum()
}

#[tokio::test]
async fn a_viewer_by_tcp_alone_gets_picture_and_sound_without_a_gap() {
    let house = house(8, 8);
    let ports = house.open("cam").await;
    let _source = Source::start(ports, &encoder(30, 0));
    let mut viewer = Framed::watch(&house, "cam").await;
    viewer.until("picture and sound", |received| frames(received) > 60 && received.len() > 150).await;
    assert!(video(&viewer.received).len() < viewer.received.len(), "sound comes too");
    assert_eq!(missing(&viewer.received), 0, "nothing is lost by TCP");
}

#[tokio::test]
async fn a_connection_that_takes_nothing_delays_nobody_and_goes_on_from_a_keyframe() {
    let house = house(8, 8);
    let ports = house.open("cam").await;
    let _source =
        Source::start(ports, &format!("{} -b:v 4M -minrate 4M -maxrate 4M -bufsize 1M -nal-hrd cbr", encoder(30, 0)));
    let mut stalled = Framed::watch(&house, "cam").await;
    stalled.until("the first frames", |received| frames(received) > 30).await;
    let mut other = house.watch("cam").await;
    let jumps = || house.gateway.as_ref().expect("it runs").totals().jumps(JumpReason::Behind);
    assert_eq!(jumps(), 0);
    let (deadline, mut pause) = (Instant::now() + PATIENCE, Duration::ZERO);
    let (mut last, mut seen) = (None, 0);
    while jumps() == 0 {
        assert!(Instant::now() < deadline, "nobody notices");
        let before = other.received.len();
        other.received.extend(other.receiver.step(|_| {}).await);
        if other.received.len() > before {
            let now = Instant::now();
            pause = pause.max(last.replace(now).map_or(Duration::ZERO, |last| now - last));
            seen += other.received.len() - before;
        }
    }
    assert!(seen > 500 && missing(&other.received) == 0, "{seen} packets, {} gaps", missing(&other.received));
    assert!(pause < Duration::from_millis(500), "the other viewer waited {pause:?}");
    let before = stalled.received.len();
    stalled.until("what comes after the pause", |received| frames(&received[before..]) > 150).await;
    assert_eq!(missing(&stalled.received), 0, "numbers go on where packets are left out");
}

/// How long until the gateway closes a connection on which this was said.
async fn closed_after(gateway: SocketAddr, said: &[u8]) -> Duration {
    let begin = Instant::now();
    let mut connection = TcpStream::connect(gateway).await.expect("it listens");
    connection.write_all(said).await.expect("sent");
    let end = tokio::time::timeout(PATIENCE, connection.read(&mut [0; 16])).await.expect("it is closed");
    assert!(matches!(end, Ok(0) | Err(_)), "nothing is said to strangers: {end:?}");
    begin.elapsed()
}

#[tokio::test]
async fn strangers_are_sent_away_and_disturb_nobody() {
    let house = house(8, 8);
    let ports = house.open("cam").await;
    let _source = Source::start(ports, &encoder(30, 0));
    let mut viewer = Framed::watch(&house, "cam").await;
    viewer.until("the first frames", |received| frames(received) > 10).await;
    let gateway = viewer.gateway;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(gateway).await.expect("it listens"));
    }
    let check_of_nobody = b"\0\x20\0\x01\0\x0c\x21\x12\xa4\x42aaaaaaaaaaaa\0\x06\0\x08nobody:x";
    let soon = Duration::from_secs(2);
    let strangers = async {
        for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xff", b"\0\0", b"\0\x04\x80\x60\0\x01", check_of_nobody] {
            let after = closed_after(gateway, said).await;
            assert!(after < soon, "{said:?} is endured for {after:?}");
        }
        let half = closed_after(gateway, b"\0").await;
        assert!(half > soon && half < Duration::from_secs(8), "half a frame is waited for, and not for long: {half:?}");
    };
    let playing = async {
        for _ in 0..2 {
            let before = viewer.received.len();
            viewer.until("more frames", |received| frames(&received[before..]) > 90).await;
        }
    };
    tokio::join!(strangers, playing);
    assert_eq!(missing(&viewer.received), 0);
    let mut late = Framed::watch(&house, "cam").await;
    late.until("frames of a later viewer", |received| frames(received) > 10).await;
}
