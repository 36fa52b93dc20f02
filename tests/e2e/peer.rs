//! A WHEP player without a browser, many of which fit on one machine.

use std::net::SocketAddr;
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
    answer: String,
    /// When the newest packet came, and the longest time between two.
    last: Option<Instant>,
    longest_gap: Duration,
    /// SSRC of the picture.
    picture: Option<u32>,
    /// RTCP that was sent, as it was on the wire.
    reports: Vec<Vec<u8>>,
}

impl Peer {
    /// Offers; the status where that was refused.
    pub async fn offer(client: &reqwest::Client, program: &Program, id: &str) -> Result<Self, StatusCode> {
        Self::offer_as(client, program, id, str::to_owned).await
    }

    /// Offers what `write` makes of the offer.
    pub async fn offer_as(
        client: &reqwest::Client,
        program: &Program,
        id: &str,
        write: impl Fn(&str) -> String,
    ) -> Result<Self, StatusCode> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let now = Instant::now();
        let mut watcher = Watcher::new(socket.local_addr().expect("bound"), now).expect("a peer");
        let request = client.post(program.whep(id)).bearer_auth(program.token());
        let request = request.header("content-type", "application/sdp").body(write(watcher.offer()));
        let response = request.send().await.expect("the program answers");
        if response.status() != StatusCode::CREATED {
            return Err(response.status());
        }
        let location = response.headers()[LOCATION].to_str().expect("text").to_owned();
        let answer = response.text().await.expect("an answer");
        watcher.handle_answer(&answer, now).expect("the answer is read");
        let location = format!("{}{location}", program.origin());
        Ok(Self {
            watcher,
            socket,
            location,
            answer,
            last: None,
            longest_gap: Duration::ZERO,
            picture: None,
            reports: Vec::new(),
        })
    }

    /// The value of the answer's first line that begins so.
    pub fn answered(&self, line: &str) -> &str {
        self.answer.lines().find_map(|found| found.strip_prefix(line)).expect("the answer has such a line").trim()
    }

    /// Where the gateway says to be.
    pub fn gateway(&self) -> SocketAddr {
        let words: Vec<&str> = self.answered("a=candidate:").split_whitespace().collect();
        format!("{}:{}", words[4], words[5]).parse().expect("a candidate has an address")
    }

    /// The address of its session.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Goes on from another address, as behind a NAT that has forgotten it, and does not know it.
    pub async fn rebind(&mut self) {
        self.socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    }

    /// The longest time between two packets so far.
    pub fn longest_gap(&self) -> Duration {
        self.longest_gap
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
                // RFC 5761 section 4.
                if matches!(transmit.datagram[..], [128..=191, 192..=223, ..]) {
                    self.reports.push(transmit.datagram.to_vec());
                }
            }
            let heard = tokio::time::timeout(Duration::from_millis(10), self.socket.recv_from(&mut buffer)).await;
            if let Ok(Ok((size, from))) = heard {
                // A packet that comes before the handshake is over cannot be opened, and is no error.
                let _ = self.watcher.handle_datagram(from, &buffer[..size], Instant::now());
            }
            self.watcher.is_connected();
            while let Some(packet) = self.watcher.poll_received() {
                self.picture = self.picture.or(packet.track.contains("video").then_some(packet.ssrc));
                let now = Instant::now();
                let gap = self.last.replace(now).map_or(Duration::ZERO, |last| now - last);
                self.longest_gap = self.longest_gap.max(gap);
                received += 1;
            }
        }
        received
    }

    /// Restarts ICE; whether the session was still there.
    pub async fn restart(&mut self, client: &reqwest::Client, program: &Program) -> bool {
        let fragment = self.watcher.restart(Instant::now()).expect("it can restart");
        let request = client.patch(&self.location).bearer_auth(program.token()).header("if-match", "*");
        let request = request.header("content-type", "application/trickle-ice-sdpfrag").body(fragment);
        let response = request.send().await.expect("the program answers");
        let status = response.status();
        assert!(matches!(status, StatusCode::OK | StatusCode::NOT_FOUND), "PATCH: {status}");
        let fragment = response.text().await.expect("a body");
        if status == StatusCode::OK {
            self.watcher.handle_restart(&fragment, Instant::now()).expect("the fragment is read");
        }
        status == StatusCode::OK
    }

    /// Asks for a keyframe.
    pub fn want_keyframe(&mut self) {
        let picture = self.picture.expect("it has seen one");
        self.watcher.want_keyframe(picture, Instant::now()).expect("it is connected");
    }

    /// Sends every report again that it has sent, whole and cut off; how many.
    pub async fn replay(&self) -> usize {
        for report in &self.reports {
            for size in [report.len(), report.len() - 1, report.len() / 2, 2] {
                self.socket.send_to(&report[..size], self.gateway()).await.expect("sent");
            }
        }
        self.reports.len()
    }

    /// Leaves as a player should; whether the session was still there.
    pub async fn leave(self, client: &reqwest::Client, program: &Program) -> bool {
        let request = client.delete(&self.location).bearer_auth(program.token());
        let status = request.send().await.expect("the program answers").status();
        assert!(matches!(status, StatusCode::OK | StatusCode::NO_CONTENT), "DELETE: {status}");
        status == StatusCode::OK
    }
}
