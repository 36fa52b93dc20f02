//! The source: sends the media of every stream to its legs over loopback, packet by packet, as FFmpeg does.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::control;
use crate::parameters::{HUM, Shape};
use crate::traffic::{self, Kind, Leg};

/// Where a stream's media is received, on loopback.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ports {
    /// For the picture.
    pub video: u16,
    /// For the sound.
    pub audio: u16,
}

/// What a source, and a sender that makes its own media, is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Where to send: one for each stream. Answered with nothing.
    Legs(Vec<Ports>),
    /// Send a little, until another order comes. Answered with nothing.
    Hum,
    /// Send nothing. Answered with nothing.
    Quiet,
    /// Send for so many milliseconds and be quiet. Answered with [`Sent`].
    Run {
        /// What.
        shape: Shape,
        /// How long.
        milliseconds: u64,
    },
}

/// Packets that were sent, for each stream.
pub type Sent = Vec<u64>;

struct Stream {
    video: (Leg, UdpSocket),
    audio: (Leg, UdpSocket),
    sent: u64,
}

/// Plays the role.
pub fn run() -> Result<()> {
    let orders = control::orders::<Order>();
    let mut streams: Vec<Stream> = Vec::new();
    let mut hums = false;
    loop {
        let order = if hums {
            send(&mut streams, &HUM, Duration::from_millis(200));
            match orders.try_recv() {
                Ok(order) => order,
                Err(_) => continue,
            }
        } else {
            orders.recv()?
        };
        hums = matches!(order, Order::Hum);
        match order {
            Order::Legs(legs) => {
                let opened = legs.iter().map(Stream::new).collect::<Result<_>>();
                control::answer(&opened.map(|opened| streams = opened));
            }
            Order::Hum | Order::Quiet => control::answer(&Ok(())),
            Order::Run { shape, milliseconds } => {
                control::answer(&Ok(send(&mut streams, &shape, Duration::from_millis(milliseconds))));
            }
        }
    }
}

fn send(streams: &mut [Stream], shape: &Shape, duration: Duration) -> Sent {
    streams.iter_mut().for_each(|stream| stream.sent = 0);
    traffic::play(shape, streams.len(), duration, |stream, kind| streams[stream].burst(kind, shape));
    streams.iter().map(|stream| stream.sent).collect()
}

impl Stream {
    fn new(ports: &Ports) -> Result<Self> {
        let socket = |port| -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect((Ipv4Addr::LOCALHOST, port))?;
            Ok(socket)
        };
        Ok(Self {
            video: (Leg::new(Kind::Video), socket(ports.video)?),
            audio: (Leg::new(Kind::Audio), socket(ports.audio)?),
            sent: 0,
        })
    }

    fn burst(&mut self, kind: Kind, shape: &Shape) {
        let ((leg, socket), length) = match kind {
            Kind::Video => (&mut self.video, shape.packets as u16),
            Kind::Audio => (&mut self.audio, 1),
        };
        leg.burst(length, |packet| {
            // A leg that is closed refuses; its packets count as sent, and so as lost.
            let _ = socket.send(packet);
            self.sent += 1;
        });
    }
}
