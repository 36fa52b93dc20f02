//! The load client: makes real handshakes and then gets out of the way.
//!
//! Once a viewer is connected its packets are counted and their sequence numbers looked at, and nothing else: of each
//! datagram only the head is copied out of the kernel. The sockets are looked at in turns with a pause between them, and
//! nobody waits on them, so that the sender, in whose calls loopback does the receiver's work, never wakes anybody up.
//! Receive offload (UDP_GRO) is off unless an order says otherwise: the kernel splits every run into datagrams again,
//! within the sender's call, so senders that use segmentation offload pay for more than they would with a network card.

mod inbox;
mod peer;
mod viewer;

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::control;
use crate::parameters::{DELAY_SAMPLES, SWEEP};
use inbox::Inbox;
pub use peer::Protection;
use viewer::{Stall, Viewer, Watching};

/// What the load client is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Make a viewer that offers. Answered with [`Described`].
    Offer(Protection),
    /// Give a viewer the answer to its offer. Answered with nothing.
    Accept {
        /// The viewer.
        viewer: usize,
        /// The SDP answer.
        sdp: String,
    },
    /// Make a viewer that answers this offer. Answered with [`Described`].
    Answer(String),
    /// Make so many sockets that only count. Answered with their ports.
    Sinks(usize),
    /// Say what has come so far. Answered with [`Counted`].
    Count,
    /// Open every packet of every viewer. Answered with nothing.
    OpenAll,
    /// Take runs of packets as the sender gave them to the kernel (UDP_GRO). Answered with nothing.
    TakeRuns,
    /// Send no receiver reports any more. Answered with nothing.
    NoReports,
    /// Open the packets of some viewers, and not of the first, for their delay. Answered with nothing.
    Delays,
    /// Say the delays since the last time, in microseconds. Answered with a list.
    TakeDelays,
    /// What the first viewer does. Answered with nothing.
    First(Conduct),
}

/// What a viewer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conduct {
    /// It receives.
    Receives,
    /// It does not read its socket.
    DoesNotRead,
    /// It asks for everything again, all the time.
    AsksAgain,
}

/// A viewer and its session description.
#[derive(Debug, Serialize, Deserialize)]
pub struct Described {
    /// The viewer.
    pub viewer: usize,
    /// Its SDP.
    pub sdp: String,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Viewers whose handshake is over.
    pub connected: usize,
    /// Viewers whose path broke.
    pub failed: usize,
    /// RTP packets.
    pub packets: u64,
    /// Sequence numbers that were left out.
    pub missing: u64,
    /// Datagrams that the kernel threw away because a viewer's buffer was full.
    pub dropped: u64,
    /// Packets that were opened.
    pub opened: u64,
    /// Opened packets that are not what the source sent.
    pub torn: u64,
}

/// Plays the role.
pub fn run() -> Result<()> {
    let orders = control::orders();
    let mut client = Client::default();
    let mut swept = Instant::now();
    loop {
        match orders.recv_timeout((swept + SWEEP).saturating_duration_since(Instant::now())) {
            Ok(order) => client.handle(order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if swept.elapsed() >= SWEEP {
            swept = Instant::now();
            client.sweep()?;
        }
    }
}

#[derive(Default)]
struct Client {
    viewers: Vec<Viewer>,
    inbox: Option<Inbox>,
    delays: Vec<u32>,
}

impl Client {
    fn handle(&mut self, order: Order) {
        match order {
            Order::Offer(protection) => control::answer(&self.offer(protection)),
            Order::Accept { viewer, sdp } => control::answer(&self.accept(viewer, sdp)),
            Order::Answer(offer) => control::answer(&self.answer(offer)),
            Order::Sinks(count) => control::answer(&self.sinks(count)),
            Order::Count => control::answer(&self.sweep().map(|()| self.count())),
            Order::OpenAll => {
                self.viewers.iter_mut().for_each(|viewer| viewer.watching = Watching::Content);
                control::answer(&Ok(()));
            }
            Order::TakeRuns => control::answer(&self.viewers.iter_mut().try_for_each(Viewer::take_runs)),
            Order::NoReports => {
                self.viewers.iter_mut().for_each(|viewer| viewer.reports = false);
                control::answer(&Ok(()));
            }
            Order::Delays => control::answer(&self.watch_delays()),
            Order::TakeDelays => control::answer(&Ok(std::mem::take(&mut self.delays))),
            Order::First(conduct) => control::answer(&self.first(conduct)),
        }
    }

    fn add(&mut self, viewer: Viewer) -> usize {
        self.viewers.push(viewer);
        self.viewers.len() - 1
    }

    fn offer(&mut self, protection: Protection) -> Result<Described> {
        let (viewer, sdp) = Viewer::offer(protection)?;
        Ok(Described { viewer: self.add(viewer), sdp })
    }

    fn answer(&mut self, offer: String) -> Result<Described> {
        let (viewer, sdp) = Viewer::answer(offer)?;
        Ok(Described { viewer: self.add(viewer), sdp })
    }

    fn accept(&mut self, viewer: usize, sdp: String) -> Result<()> {
        self.viewers.get_mut(viewer).context("there is no such viewer")?.accept(sdp)
    }

    fn sinks(&mut self, count: usize) -> Result<Vec<u16>> {
        (0..count)
            .map(|_| {
                let viewer = Viewer::sink()?;
                let port = viewer.port()?;
                self.add(viewer);
                Ok(port)
            })
            .collect()
    }

    /// Looks at every socket.
    fn sweep(&mut self) -> Result<()> {
        let now = Instant::now();
        let inbox = self.inbox.get_or_insert_with(Inbox::new);
        for viewer in &mut self.viewers {
            viewer.receive(inbox, now, &mut self.delays)?;
        }
        Ok(())
    }

    fn count(&mut self) -> Counted {
        self.viewers.iter_mut().fold(Counted::default(), |sum, viewer| viewer.count(sum))
    }

    fn watch_delays(&mut self) -> Result<()> {
        let step = (self.viewers.len() / DELAY_SAMPLES).max(1);
        self.viewers.iter_mut().skip(1).step_by(step).try_for_each(Viewer::watch_delay)
    }

    fn first(&mut self, conduct: Conduct) -> Result<()> {
        let viewer = self.viewers.first_mut().context("there is no viewer")?;
        viewer.stall(match conduct {
            Conduct::Receives => None,
            Conduct::DoesNotRead => Some(Stall::Unread),
            Conduct::AsksAgain => Some(Stall::Nacks),
        })
    }
}

/// How long to wait for handshakes.
pub const HANDSHAKE: Duration = Duration::from_secs(20);
