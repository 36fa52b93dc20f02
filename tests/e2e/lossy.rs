//! A network that loses and delays: a relay on another loopback address stands between the browser and the gateway.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Share of the media that is lost on its way to the viewer, as by netem at the gateway's interface.
const LOSS: f64 = 0.02;
/// Every datagram is delayed by up to this, in either direction, and may overtake others.
const JITTER: Duration = Duration::from_millis(30);

/// Datagrams of one viewer on their way, both ways.
pub struct LossyNetwork {
    port: u16,
    is_ending: Arc<AtomicBool>,
    is_dead: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// The address that the gateway announces.
pub const RELAY: &str = "127.0.0.2";

struct Late {
    at: Instant,
    to_viewer: bool,
    datagram: Vec<u8>,
}

impl LossyNetwork {
    /// Begins to relay to the gateway that will be bound to the same port of 127.0.0.1.
    pub fn start() -> Self {
        let (outside, inside) = std::iter::repeat_with(|| {
            let outside = UdpSocket::bind((RELAY, 0)).expect("loopback has a free port");
            let port = outside.local_addr().expect("it is bound").port();
            // Free on the gateway's address too.
            UdpSocket::bind(("127.0.0.1", port)).ok().map(|_| (outside, UdpSocket::bind("127.0.0.1:0").expect("free")))
        })
        .flatten()
        .next()
        .expect("it goes on until there is one");
        let port = outside.local_addr().expect("it is bound").port();
        inside.connect(("127.0.0.1", port)).expect("an address");
        outside.set_nonblocking(true).expect("set");
        inside.set_nonblocking(true).expect("set");
        let (is_ending, is_dead, lost) = (Arc::default(), Arc::default(), Arc::default());
        let relay = Relay {
            outside,
            inside,
            viewer: None,
            late: Vec::new(),
            random: 1,
            is_ending: Arc::clone(&is_ending),
            is_dead: Arc::clone(&is_dead),
            lost: Arc::clone(&lost),
        };
        let thread = Some(std::thread::spawn(move || relay.run()));
        Self { port, is_ending, is_dead, lost, thread }
    }

    /// Where the gateway has to be.
    pub fn gateway(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Datagrams that were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// From now on everything is lost, or not any more.
    pub fn set_dead(&self, dead: bool) {
        self.is_dead.store(dead, Ordering::Relaxed);
    }
}

impl Drop for LossyNetwork {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the relay does not panic");
        }
    }
}

struct Relay {
    outside: UdpSocket,
    inside: UdpSocket,
    viewer: Option<SocketAddr>,
    late: Vec<Late>,
    random: u64,
    is_ending: Arc<AtomicBool>,
    is_dead: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

impl Relay {
    fn run(mut self) {
        let mut buffer = [0; 2048];
        while !self.is_ending.load(Ordering::Relaxed) {
            while let Ok((size, from)) = self.outside.recv_from(&mut buffer) {
                self.viewer = Some(from);
                self.take(false, &buffer[..size]);
            }
            while let Ok(size) = self.inside.recv(&mut buffer) {
                self.take(true, &buffer[..size]);
            }
            let now = Instant::now();
            for late in self.late.extract_if(.., |late| late.at <= now) {
                // What a socket does not take is lost, as on any network.
                let _ = match (late.to_viewer, self.viewer) {
                    (true, Some(viewer)) => self.outside.send_to(&late.datagram, viewer),
                    (true, None) => Ok(0),
                    (false, _) => self.inside.send(&late.datagram),
                };
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn take(&mut self, to_viewer: bool, datagram: &[u8]) {
        // The handshake is not what is looked at: only RTP and RTCP are lost (RFC 7983 section 7).
        let is_media = matches!(datagram.first(), Some(128..=191));
        let is_lost = to_viewer && self.random() < LOSS;
        if is_media && (is_lost || self.is_dead.load(Ordering::Relaxed)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let at = Instant::now() + JITTER.mul_f64(self.random());
        self.late.push(Late { at, to_viewer, datagram: datagram.to_vec() });
    }

    /// Between 0 and 1, the same sequence in every run (xorshift).
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}
