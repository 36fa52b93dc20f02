//! A receiving peer with a socket, which it may leave for another one.

use std::time::{Duration, Instant};

use dragonfork::whep::{Received, Watcher};
use tokio::net::UdpSocket;

/// One step waits so long for a datagram.
const PAUSE: Duration = Duration::from_millis(5);

/// A peer that somebody has to move on, step by step.
pub struct Receiver {
    pub watcher: Watcher,
    pub socket: UdpSocket,
}

/// A socket of loopback.
pub async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("a free port")
}

impl Receiver {
    pub async fn new() -> Self {
        let socket = socket().await;
        let watcher = Watcher::new(socket.local_addr().expect("bound"), Instant::now()).expect("a peer");
        Self { watcher, socket }
    }

    /// Takes the SDP answer.
    pub fn handle_answer(&mut self, answer: &str) {
        self.watcher.handle_answer(answer, Instant::now()).expect("the answer is read");
    }

    /// Sends what is to be sent, each shown to `sent`, and waits a moment for a datagram; the packets that came.
    pub async fn step(&mut self, mut sent: impl FnMut(&[u8])) -> Vec<Received> {
        let Self { watcher, socket } = self;
        watcher.handle_timeout(Instant::now()).expect("it goes on");
        while let Some(transmit) = watcher.poll_transmit() {
            socket.send_to(&transmit.datagram, transmit.to).await.expect("sent");
            sent(&transmit.datagram);
        }
        let mut buffer = [0; 2048];
        if let Ok(Ok((size, from))) = tokio::time::timeout(PAUSE, socket.recv_from(&mut buffer)).await {
            // A packet that comes before the handshake is over cannot be opened, and is no error.
            let _ = watcher.handle_datagram(from, &buffer[..size], Instant::now());
        }
        watcher.is_connected();
        std::iter::from_fn(|| watcher.poll_received()).collect()
    }
}
