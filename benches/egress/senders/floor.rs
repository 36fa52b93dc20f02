//! The floor: what no sender can be below. AES-128-GCM under a key for each viewer, and one call with segmentation
//! offload for each viewer's picture; no ingress, no sessions, no timers but the media's own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use quinn_udp::{Transmit, UdpSocketState};
use serde::{Deserialize, Serialize};

use crate::control;
use crate::parameters::{RTP_HEADER, Shape};
use crate::source::Sent;
use crate::traffic::{self, Kind, Leg};

/// What the floor is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Send to these ports of loopback too. Answered with nothing.
    Destinations(Vec<u16>),
    /// Send for so many milliseconds. Answered with [`Sent`].
    Run {
        /// What.
        shape: Shape,
        /// How long.
        milliseconds: u64,
    },
}

const TAG: usize = 16;
/// Packets that one call takes (the kernel's UDP_MAX_SEGMENTS is 64, and a call carries less than 64 KiB).
const SEGMENTS: usize = 44;

struct Destination {
    to: SocketAddr,
    key: LessSafeKey,
}

struct Floor {
    socket: UdpSocket,
    state: UdpSocketState,
    destinations: Vec<Destination>,
    video: Leg,
    audio: Leg,
    /// Packets of one picture or sound, before protection.
    packets: Vec<u8>,
    /// The same for one destination, protected.
    protected: Vec<u8>,
    /// Bytes of nonces that change from packet to packet.
    nonce: u64,
    sent: u64,
}

/// Plays the role.
pub fn run() -> Result<()> {
    let orders = control::orders();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket2::SockRef::from(&socket).set_send_buffer_size(8 << 20)?;
    let state = UdpSocketState::new((&socket).into())?;
    let mut floor = Floor {
        socket,
        state,
        destinations: Vec::new(),
        video: Leg::new(Kind::Video),
        audio: Leg::new(Kind::Audio),
        packets: Vec::new(),
        protected: Vec::new(),
        nonce: 0,
        sent: 0,
    };
    for order in orders {
        match order {
            Order::Destinations(ports) => {
                for port in ports {
                    floor.add(port);
                }
                control::answer(&Ok(()));
            }
            Order::Run { shape, milliseconds } => {
                floor.sent = 0;
                let mut outcome = Ok(());
                traffic::play(&shape, 1, Duration::from_millis(milliseconds), |_, kind| {
                    if outcome.is_ok() {
                        outcome = floor.burst(kind, &shape);
                    }
                });
                control::answer(&outcome.map(|()| Sent::from([floor.sent])));
            }
        }
    }
    Ok(())
}

impl Floor {
    fn add(&mut self, port: u16) {
        let key: [u8; 16] = std::array::from_fn(|at| (self.destinations.len() + at) as u8);
        let key = UnboundKey::new(&AES_128_GCM, &key).expect("a key of 16 octets is one of AES-128");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.destinations.push(Destination { to, key: LessSafeKey::new(key) });
    }

    fn burst(&mut self, kind: Kind, shape: &Shape) -> Result<()> {
        let (leg, length) = match kind {
            Kind::Video => (&mut self.video, shape.packets as u16),
            Kind::Audio => (&mut self.audio, 1),
        };
        self.packets.clear();
        leg.burst(length, |packet| self.packets.extend_from_slice(packet));
        self.sent += u64::from(length);
        let size = kind.packet_size();
        for destination in &self.destinations {
            for run in self.packets.chunks(SEGMENTS * size) {
                self.protected.clear();
                for packet in run.chunks_exact(size) {
                    self.nonce += 1;
                    protect(&destination.key, self.nonce, packet, &mut self.protected);
                }
                send(&self.socket, &self.state, destination.to, &self.protected, size + TAG)?;
            }
        }
        Ok(())
    }
}

fn protect(key: &LessSafeKey, number: u64, packet: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(packet);
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    let (header, payload) = out[start..].split_at_mut(RTP_HEADER);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&*header), payload)
        .expect("a packet is far below the limit of AES-GCM");
    out.extend_from_slice(tag.as_ref());
}

fn send(socket: &UdpSocket, state: &UdpSocketState, to: SocketAddr, run: &[u8], size: usize) -> Result<()> {
    let segment_size = (run.len() > size).then_some(size);
    let transmit = Transmit { destination: to, ecn: None, contents: run, segment_size, src_ip: None };
    loop {
        match state.try_send(socket.into(), &transmit) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
            sent => return Ok(sent?),
        }
    }
}
