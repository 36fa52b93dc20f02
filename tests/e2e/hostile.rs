//! Strangers who send what nobody should: each gets a 4xx or nothing, a viewer goes on, and memory comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::child::until;
use crate::manifest::manifest;
use crate::media;
use crate::peer::Peer;
use crate::program::Program;
use crate::proof::until_playable;
use crate::turn;

/// Between two packets of a viewer who is not disturbed: sound comes every 20 ms, and the machine is busy.
const UNDISTURBED: Duration = Duration::from_millis(300);
/// Connections that are never finished.
const SLOW: usize = 200;
/// As many as 10,000 a minute, for so long.
const POSTS: usize = 2000;
const BETWEEN_POSTS: Duration = Duration::from_millis(6);
/// What allocators keep for themselves.
const SLACK_KIB: u64 = 8 * 1024;

/// A program with one stream, a viewer of it, and what the program's memory was.
struct Scene {
    program: Arc<Program>,
    http: reqwest::Client,
    viewer: tokio::task::JoinHandle<Peer>,
    is_over: Arc<AtomicBool>,
    gateway: SocketAddr,
    ufrag: String,
    memory: u64,
}

impl Scene {
    async fn start() -> Self {
        let program = Arc::new(Program::start().await);
        program.apply(&manifest("film").input("-re", media::long_film().display().to_string()));
        until_playable(&program, "film").await;
        let http = reqwest::Client::new();
        let mut viewer = Peer::offer(&http, &program, "film").await.expect("it is answered");
        assert!(viewer.play(Duration::from_secs(2)).await > 0, "it plays");
        let (gateway, ufrag) = (viewer.gateway(), viewer.answered("a=ice-ufrag:").to_owned());
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let viewer = tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                viewer.play(Duration::from_millis(100)).await;
            }
            viewer
        });
        let memory = memory(program.child.id());
        Self { program, http, viewer, is_over, gateway, ufrag, memory }
    }

    /// The viewer was not disturbed, and memory is back where it was.
    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let viewer = self.viewer.await.expect("it does not panic");
        eprintln!("longest gap {:?}", viewer.longest_gap());
        assert!(viewer.longest_gap() < UNDISTURBED, "the viewer waited for {:?}", viewer.longest_gap());
        assert!(viewer.leave(&self.http, &self.program).await, "its session is live");
        let id = self.program.child.id();
        eprintln!("memory {} KiB before, {} KiB after", self.memory, memory(id));
        until("memory is back", || memory(id) < self.memory + SLACK_KIB).await;
    }

    fn host(&self) -> &str {
        self.program.origin().trim_start_matches("http://")
    }
}

/// What a process has resident, in KiB.
fn memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_never_end_are_ended_and_hold_up_nobody() {
    let _turn = turn::alone().await;
    let scene = Scene::start().await;
    let mut slow = JoinSet::new();
    for number in 0..SLOW {
        let mut stream = TcpStream::connect(scene.host()).await.expect("it listens");
        slow.spawn(async move {
            let begin = Instant::now();
            // One octet after the other of a head, or of a body that was announced.
            let body = b"POST /api/v3/whep/film HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\nContent-Type: application/sdp\r\n\r\n";
            if number.is_multiple_of(2) {
                stream.write_all(body).await.expect("written");
            }
            let mut answer = Vec::new();
            loop {
                let mut buffer = [0; 512];
                let pause = Duration::from_millis(500);
                match tokio::time::timeout(pause, stream.read(&mut buffer)).await {
                    Ok(Ok(0) | Err(_)) => break,
                    Ok(Ok(size)) => answer.extend_from_slice(&buffer[..size]),
                    Err(_) if stream.write_all(b"x").await.is_err() => break,
                    Err(_) => assert!(begin.elapsed() < Duration::from_secs(40), "nobody ends it"),
                }
            }
            String::from_utf8_lossy(&answer).into_owned()
        });
    }
    let asked = Instant::now();
    assert_eq!(scene.program.process("film").await["status"]["state"], "Running");
    assert!(asked.elapsed() < Duration::from_secs(2), "others are answered meanwhile");
    for answer in slow.join_all().await {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_too_large_are_refused() {
    let _turn = turn::alone().await;
    let scene = Scene::start().await;
    for head in [
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "a".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: a\r\n".repeat(50_000)),
        "\0\u{1}\u{2} rubbish\r\n\r\n".into(),
    ] {
        let mut stream = TcpStream::connect(scene.host()).await.expect("it listens");
        // The program may close before it was given everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_offers_a_minute_are_refused_one_by_one() {
    let _turn = turn::alone().await;
    let scene = Scene::start().await;
    let mut posts = JoinSet::new();
    for number in 0..POSTS {
        let request = scene.http.post(scene.program.whep("film")).header("content-type", "application/sdp");
        let request = match number % 3 {
            0 => request.body("v=0"),
            1 => request.bearer_auth("no token").body("v=0"),
            _ => request.bearer_auth(scene.program.token()).body("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"),
        };
        posts.spawn(async move { request.send().await.expect("it is answered").status().as_u16() });
        tokio::time::sleep(BETWEEN_POSTS).await;
    }
    for status in posts.join_all().await {
        assert!((400..500).contains(&status), "{status}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_nobody_goes_on_with_give_their_slots_back() {
    let _turn = turn::alone().await;
    let scene = Scene::start().await;
    let mut refused = 0;
    for _ in 0..20 {
        match Peer::offer(&scene.http, &scene.program, "film").await {
            Ok(_) => {}
            Err(status) => {
                assert_eq!(status.as_u16(), 503);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 13, "one viewer plays, and seven more fit");
    let until_free = async {
        while Peer::offer(&scene.http, &scene.program, "film").await.is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(45), until_free).await.expect("a slot is free again after 30 s");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_datagrams_are_dropped() {
    let _turn = turn::alone().await;
    let scene = Scene::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let mut random = StdRng::seed_from_u64(1);
    for number in 0..20_000_u32 {
        let datagram = forged(number, &scene.ufrag, &mut random);
        socket.send_to(&datagram, scene.gateway).await.expect("sent");
        if number.is_multiple_of(100) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_are_sent_again_or_cut_off_are_dropped() {
    let _turn = turn::alone().await;
    let scene = Scene::start().await;
    let mut strange = Peer::offer(&scene.http, &scene.program, "film").await.expect("it is answered");
    strange.play(Duration::from_secs(2)).await;
    strange.want_keyframe();
    strange.play(Duration::from_secs(1)).await;
    for _ in 0..500 {
        assert!(strange.replay().await > 0, "it has sent reports");
    }
    assert!(strange.play(Duration::from_secs(1)).await > 0, "it goes on itself");
    scene.end().await;
}

/// A datagram that looks like STUN, DTLS, SRTP or SRTCP and is none.
fn forged(number: u32, ufrag: &str, random: &mut StdRng) -> Vec<u8> {
    let mut rest = vec![0; random.random_range(0..1400)];
    random.fill_bytes(&mut rest);
    let head: Vec<u8> = match number % 6 {
        // Binding requests: of nobody, and of the viewer without its password.
        0 | 1 => {
            let name = if number.is_multiple_of(6) { "nobody:x".to_owned() } else { format!("{ufrag}:viewer") };
            let name = format!("{name}{}", "\0".repeat(name.len().next_multiple_of(4) - name.len()));
            rest.truncate(40);
            let size = u16::try_from(4 + name.len() + rest.len()).expect("small");
            let mut head =
                [&[0, 1], &size.to_be_bytes()[..], &[0x21, 0x12, 0xa4, 0x42], &number.to_be_bytes()].concat();
            head.extend_from_slice(&[7; 8]);
            head.extend_from_slice(&[0, 6]);
            head.extend_from_slice(&u16::try_from(name.trim_end_matches('\0').len()).expect("small").to_be_bytes());
            head.extend_from_slice(name.as_bytes());
            head
        }
        2 => vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0],
        3 => vec![0x80, 102],
        4 => vec![0x81, 201, 0, 7],
        _ => Vec::new(),
    };
    [head, rest].concat()
}
