//! A WHEP player without a browser, many of which fit on one machine.

use std::time::{Duration, Instant};

use dragonfork::whep::Watcher;
use reqwest::StatusCode;
use reqwest::header::LOCATION;
use tokio::net::UdpSocket;

use crate::program::Program;

/// One viewer; who drops it leaves without a word.
pub struct Peer {
    watcher: Watcher,
    socket: UdpSocket,
    location: String,
}

impl Peer {
    /// Offers; the status where that was refused.
    pub async fn offer(client: &reqwest::Client, program: &Program, id: &str) -> Result<Self, StatusCode> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let now = Instant::now();
        let mut watcher = Watcher::new(socket.local_addr().expect("bound"), now).expect("a peer");
        let request = client.post(program.whep(id)).bearer_auth(program.token());
        let request = request.header("content-type", "application/sdp").body(watcher.offer().to_owned());
        let response = request.send().await.expect("the program answers");
        if response.status() != StatusCode::CREATED {
            return Err(response.status());
        }
        let location = response.headers()[LOCATION].to_str().expect("text").to_owned();
        let answer = response.text().await.expect("an answer");
        watcher.handle_answer(&answer, now).expect("the answer is read");
        Ok(Self { watcher, socket, location: format!("{}{location}", program.origin()) })
    }

    /// Goes on for so long; how many packets came and could be opened.
    pub async fn play(&mut self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut received = 0;
        let mut buffer = [0; 2048];
        while Instant::now() < end {
            self.watcher.handle_timeout(Instant::now()).expect("it goes on");
            while let Some(transmit) = self.watcher.poll_transmit() {
                self.socket.send_to(&transmit.datagram, transmit.to).await.expect("sent");
            }
            let heard = tokio::time::timeout(Duration::from_millis(10), self.socket.recv_from(&mut buffer)).await;
            if let Ok(Ok((size, from))) = heard {
                // A packet that comes before the handshake is over cannot be opened, and is no error.
                let _ = self.watcher.handle_datagram(from, &buffer[..size], Instant::now());
            }
            self.watcher.is_connected();
            while self.watcher.poll_received().is_some() {
                received += 1;
            }
        }
        received
    }

    /// Leaves as a player should; whether the session was still there.
    pub async fn leave(self, client: &reqwest::Client, program: &Program) -> bool {
        let request = client.delete(&self.location).bearer_auth(program.token());
        let status = request.send().await.expect("the program answers").status();
        assert!(matches!(status, StatusCode::OK | StatusCode::NO_CONTENT), "DELETE: {status}");
        status == StatusCode::OK
    }
}
