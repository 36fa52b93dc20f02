//! A WHEP player without a browser, many of which fit on one machine.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::LOCATION;

use crate::program::Program;
use crate::receiver::{Receiver, socket};

/// One viewer; who drops it leaves without a word.
pub struct Peer {
    receiver: Receiver,
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
        let mut receiver = Receiver::new().await;
        let request = client.post(program.whep(id)).bearer_auth(program.token());
        let request = request.header("content-type", "application/sdp").body(write(receiver.watcher.offer()));
        let response = request.send().await.expect("the program answers");
        if response.status() != StatusCode::CREATED {
            return Err(response.status());
        }
        let location = response.headers()[LOCATION].to_str().expect("text").to_owned();
        let answer = response.text().await.expect("an answer");
        receiver.handle_answer(&answer);
        let location = format!("{}{location}", program.origin());
        Ok(Self {
            receiver,
            location,
            answer,
            last: None,
            longest_gap: Duration::ZERO,
            picture: None,
            reports: Vec::new(),
        })
    }

    /// The whole answer.
    pub fn answer(&self) -> &str {
        &self.answer
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
        self.receiver.socket = socket().await;
    }

    /// The longest time between two packets so far.
    pub fn longest_gap(&self) -> Duration {
        self.longest_gap
    }

    /// Goes on for so long; how many packets came and could be opened.
    pub async fn play(&mut self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut received = 0;
        while Instant::now() < end {
            let reports = &mut self.reports;
            let packets = self.receiver.step(|datagram| {
                // RFC 5761 section 4.
                if matches!(datagram, [128..=191, 192..=223, ..]) {
                    reports.push(datagram.to_vec());
                }
            });
            for packet in packets.await {
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
        let fragment = self.receiver.watcher.restart(Instant::now()).expect("it can restart");
        let request = client.patch(&self.location).bearer_auth(program.token()).header("if-match", "*");
        let request = request.header("content-type", "application/trickle-ice-sdpfrag").body(fragment);
        let response = request.send().await.expect("the program answers");
        let status = response.status();
        assert!(matches!(status, StatusCode::OK | StatusCode::NOT_FOUND), "PATCH: {status}");
        let fragment = response.text().await.expect("a body");
        if status == StatusCode::OK {
            self.receiver.watcher.handle_restart(&fragment, Instant::now()).expect("the fragment is read");
        }
        status == StatusCode::OK
    }

    /// Asks for a keyframe.
    pub fn want_keyframe(&mut self) {
        let picture = self.picture.expect("it has seen one");
        self.receiver.watcher.want_keyframe(picture, Instant::now()).expect("it is connected");
    }

    /// Sends every report again that it has sent, whole and cut off; how many.
    pub async fn replay(&self) -> usize {
        for report in &self.reports {
            for size in [report.len(), report.len() - 1, report.len() / 2, 2] {
                self.receiver.socket.send_to(&report[..size], self.gateway()).await.expect("sent");
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
