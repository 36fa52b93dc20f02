//! The ways of datagrams between viewers and the gateway: how they are found, that they change, and how they end.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::StatusCode;

use crate::browser::{Browser, Stats};
use crate::manifest::manifest;
use crate::media;
use crate::peer::Peer;
use crate::program::Program;
use crate::proof::until_playable;
use crate::turn;

/// A path counts as broken after 5 s without a sign of life, and 10 s later the session is over.
const EXPIRY: Duration = Duration::from_secs(15);
/// Until a viewer that does not know that its address has changed is followed: 6 s of silence at the old one, then its
/// next check.
const FOLLOWED: Duration = Duration::from_secs(10);

/// Plays a film as `film`.
async fn playing(environment: &[(&str, &str)]) -> Program {
    let program = Program::start_with(&[], environment).await;
    program.apply(&manifest("film").input("-re", media::long_film().display().to_string()));
    until_playable(&program, "film").await;
    program
}

async fn viewers(program: &Program) -> u64 {
    program.process("film").await["status"]["webrtc"]["viewers"].as_u64().expect("it is played")
}

/// An offer without any candidate.
fn bare(offer: &str) -> String {
    let lines = offer.lines().filter(|line| !line.starts_with("a=candidate") && *line != "a=end-of-candidates");
    lines.map(|line| format!("{line}\r\n")).collect()
}

/// An offer whose candidates are names that nobody can resolve, and complete.
fn named(offer: &str) -> String {
    let candidate = "a=candidate:1 1 udp 2113937151 3b1f4a5e-8a0e-4f0e-9d3c-4a1f6a6f0c11.local 51234 typ host\r\n";
    format!("{}{candidate}a=end-of-candidates\r\n", bare(offer))
}

#[tokio::test]
async fn a_viewer_needs_no_candidate_and_useless_ones_do_no_harm() {
    let _turn = turn::shared().await;
    let program = playing(&[]).await;
    let http = reqwest::Client::new();
    for write in [bare, named] {
        let begin = Instant::now();
        let mut peer = Peer::offer_as(&http, &program, "film", write).await.expect("it is answered");
        assert!(begin.elapsed() < Duration::from_secs(1), "nothing is waited for: {:?}", begin.elapsed());
        for candidate in [
            "1 1 udp 2113937151 3b1f4a5e-8a0e-4f0e-9d3c-4a1f6a6f0c11.local 51234 typ host",
            "2 1 tcp 1518280447 127.0.0.9 9 typ host tcptype active",
            "3 1 udp 2113937151 127.0.0.9 9 typ host",
            "4 1 udp 2113937151 ::1 9 typ host",
            "5 2 udp 2113937151 127.0.0.9 9 typ host",
        ] {
            let fragment = format!("m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:{candidate}\r\n");
            let request = http.patch(peer.location()).bearer_auth(program.token()).body(fragment);
            let response = request.header("content-type", "application/trickle-ice-sdpfrag").send().await;
            assert_eq!(response.expect("it is answered").status(), StatusCode::NO_CONTENT, "{candidate}");
        }
        assert!(peer.play(Duration::from_secs(3)).await > 50, "media comes");
        assert!(peer.leave(&http, &program).await, "the session is live");
    }
}

#[tokio::test]
async fn a_viewer_whose_address_changes_goes_on() {
    let _turn = turn::shared().await;
    change_address("false").await;
}

#[tokio::test]
async fn a_viewer_of_an_ice_lite_gateway_whose_address_changes_goes_on() {
    let _turn = turn::shared().await;
    change_address("true").await;
}

async fn change_address(lite: &str) {
    let program = playing(&[("CORE_WEBRTC_ICE_LITE", lite)]).await;
    let http = reqwest::Client::new();
    let mut peer = Peer::offer(&http, &program, "film").await.expect("it is answered");
    assert!(peer.play(Duration::from_secs(2)).await > 50, "media comes");
    // Twice, so that it is not the first address alone that can be left.
    for _ in 0..2 {
        peer.rebind().await;
        peer.play(FOLLOWED).await;
        let gap = peer.longest_gap();
        println!("no packet for {gap:?}");
        assert!(gap < FOLLOWED, "no packet for {gap:?}");
        assert!(peer.play(Duration::from_secs(2)).await > 50, "media comes");
    }
    assert!(peer.play(EXPIRY + Duration::from_secs(2)).await > 500, "it is not taken for gone");
    assert_eq!(viewers(&program).await, 1, "it is the same session");
    assert!(peer.leave(&http, &program).await, "the session is live");
}

#[tokio::test]
async fn the_slot_of_a_viewer_that_says_nothing_any_more_is_free_again() {
    let _turn = turn::shared().await;
    let program = playing(&[("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "1")]).await;
    let http = reqwest::Client::new();
    let mut peer = Peer::offer(&http, &program, "film").await.expect("it is answered");
    assert!(peer.play(Duration::from_secs(2)).await > 50, "media comes");
    drop(peer);
    let gone = Instant::now();
    let refused = Peer::offer(&http, &program, "film").await.err();
    assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE), "it may come back");
    let patience = EXPIRY + Duration::from_secs(5);
    program.until_within(patience, "film", "is free", |process| process["status"]["webrtc"]["viewers"] == 0).await;
    assert!(gone.elapsed() > EXPIRY - Duration::from_secs(3), "it could have come back: {:?}", gone.elapsed());
    let mut next = Peer::offer(&http, &program, "film").await.expect("the slot is free");
    assert!(next.play(Duration::from_secs(2)).await > 50, "media comes");
}

/// The address that the gateway announces; the NAT stands there.
const OUTSIDE: &str = "127.0.0.2";

/// A NAT between one viewer and the gateway, which may forget the viewer and give it another port.
struct Nat {
    port: u16,
    is_ending: Arc<AtomicBool>,
    forgets: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Nat {
    /// Begins to relay to the gateway that will be bound to the same port of 127.0.0.1.
    fn start() -> Self {
        let outside = std::iter::repeat_with(|| UdpSocket::bind((OUTSIDE, 0)).expect("loopback has a free port"))
            .find(|outside| UdpSocket::bind(("127.0.0.1", port(outside))).is_ok())
            .expect("it goes on until there is one");
        let port = port(&outside);
        outside.set_read_timeout(Some(Duration::from_millis(1))).expect("set");
        let (is_ending, forgets) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (ends, forgotten) = (is_ending.clone(), forgets.clone());
        let thread = std::thread::spawn(move || {
            let mut inside = inside(port);
            let mut viewer: Option<SocketAddr> = None;
            let mut buffer = [0; 2048];
            // What a socket does not take is lost, as on any network.
            while !ends.load(Ordering::Relaxed) {
                if forgotten.swap(false, Ordering::Relaxed) {
                    inside = self::inside(port);
                }
                if let Ok((size, from)) = outside.recv_from(&mut buffer) {
                    viewer = Some(from);
                    let _ = inside.send(&buffer[..size]);
                }
                while let (Ok(size), Some(viewer)) = (inside.recv(&mut buffer), viewer) {
                    let _ = outside.send_to(&buffer[..size], viewer);
                }
            }
        });
        Self { port, is_ending, forgets, thread: Some(thread) }
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the NAT does not panic");
        }
    }
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().expect("it is bound").port()
}

fn inside(gateway: u16) -> UdpSocket {
    let inside = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    inside.connect(("127.0.0.1", gateway)).expect("an address");
    inside.set_nonblocking(true).expect("set");
    inside
}

#[tokio::test]
async fn chromium_goes_on_when_a_nat_forgets_it() {
    let _turn = turn::alone().await;
    forget_chromium("false").await;
}

#[tokio::test]
async fn chromium_goes_on_when_a_nat_before_an_ice_lite_gateway_forgets_it() {
    let _turn = turn::alone().await;
    forget_chromium("true").await;
}

async fn forget_chromium(lite: &str) {
    let nat = Nat::start();
    let gateway = format!("127.0.0.1:{}", nat.port);
    let environment =
        [("CORE_WEBRTC_ADDRESS", gateway.as_str()), ("CORE_WEBRTC_ANNOUNCE", OUTSIDE), ("CORE_WEBRTC_ICE_LITE", lite)];
    let program = playing(&environment).await;
    let browser = Browser::start().await;
    browser.watch(&program, "film").await;
    browser.until("two seconds of picture", |stats| stats.video.frames_decoded > 60).await;
    nat.forgets.store(true, Ordering::Relaxed);
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = browser.stats().await.video.frames_decoded;
    let seen = browser.until("pictures again", |stats| stats.video.frames_decoded > before + 15).await;
    println!("pictures again {:?} after the NAT forgot the viewer", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}: {seen:#?}", begin.elapsed());
    let begin = Instant::now();
    let before = browser.stats().await.video.frames_decoded;
    browser.until("it is not taken for gone", |_| begin.elapsed() > EXPIRY + Duration::from_secs(2)).await;
    let seen = browser.stats().await;
    let rate = f64::from((seen.video.frames_decoded - before) as u32) / begin.elapsed().as_secs_f64();
    assert!(rate > 20.0, "{rate} frames a second: {seen:#?}");
    assert_eq!(viewers(&program).await, 1, "it is the same session");
}

#[tokio::test]
async fn chromium_without_udp_plays_by_tcp() {
    let _turn = turn::shared().await;
    let program = playing(&[]).await;
    let browser = Browser::start_with(&["--webrtc-ip-handling-policy=disable_non_proxied_udp"]).await;
    browser.watch(&program, "film").await;
    let before = browser.stats().await;
    let more = |stats: &Stats| {
        stats.video.frames_decoded > before.video.frames_decoded + 90
            && stats.audio.packets_received > before.audio.packets_received + 100
    };
    let stats = browser.until("frames and sound", more).await;
    assert_eq!((stats.transport.as_str(), stats.video.packets_lost), ("tcp", 0), "{stats:#?}");
    assert!(program.printed().contains(" by TCP\""), "the log says how the viewer comes: {}", program.printed());
}

#[tokio::test]
async fn chromium_prefers_udp_where_both_work() {
    let _turn = turn::shared().await;
    let program = playing(&[]).await;
    let browser = Browser::start().await;
    browser.watch(&program, "film").await;
    let frames = browser.stats().await.video.frames_decoded + 150;
    let stats = browser.until("frames", |stats| stats.video.frames_decoded > frames).await;
    assert_eq!(stats.transport, "udp", "{stats:#?}");
    assert!(!program.printed().contains(" by TCP\""), "{}", program.printed());
}

#[tokio::test]
async fn without_tcp_nobody_is_told_of_it_and_nobody_listens() {
    let _turn = turn::shared().await;
    let program = playing(&[("CORE_WEBRTC_TCP", "false")]).await;
    let http = reqwest::Client::new();
    let peer = Peer::offer_as(&http, &program, "film", str::to_owned).await.expect("it is answered");
    assert!(!peer.answer().contains(" tcp "), "{}", peer.answer());
    assert!(std::net::TcpStream::connect(peer.gateway()).is_err());
}
