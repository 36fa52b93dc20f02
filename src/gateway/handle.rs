//! The way to a gateway: in this program, or in another one.

use std::sync::{Arc, mpsc};

use serde_json::Value;
use tokio::sync::{mpsc as queue, oneshot};

use super::remote::Ask;
use super::wire::{Note, Order};
use super::{Announcement, Command, OpenError};
use crate::plan::EgressPorts;
use crate::rtp::Codec;

/// The way to a gateway.
#[derive(Clone)]
pub struct Handle(Way);

#[derive(Clone)]
enum Way {
    Here(Here, mpsc::Sender<Announcement>),
    There(queue::UnboundedSender<Ask>),
}

/// The way to the control thread of this program's gateway.
#[derive(Clone)]
pub struct Here {
    /// Its inbox.
    pub commands: mpsc::Sender<Command>,
    /// Has it look there.
    pub waker: Arc<mio::Waker>,
}

impl Here {
    /// Tells it something.
    pub fn send(&self, command: Command) {
        // A gateway that has ended drops the command, and with it the reply that somebody may wait for.
        if self.commands.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "the WebRTC thread cannot be woken");
        }
    }
}

impl Handle {
    pub(super) fn here(here: Here, wishes: mpsc::Sender<Announcement>) -> Self {
        Self(Way::Here(here, wishes))
    }

    pub(super) fn there(asks: queue::UnboundedSender<Ask>) -> Self {
        Self(Way::There(asks))
    }

    /// Opens the two legs of a stream, or gives the ports of open ones. Both are bound when this returns. Another program
    /// is waited for, for some seconds, unless its ports are known already.
    pub async fn open(&self, stream: &str, max_viewers: Option<usize>) -> Result<EgressPorts, OpenError> {
        let (reply, ports) = oneshot::channel();
        let stream = stream.to_owned();
        match &self.0 {
            Way::Here(here, _) => here.send(Command::Open { stream, max_viewers, reply }),
            Way::There(asks) => {
                let _ = asks.send(Ask::Open { stream, max_viewers, reply });
            }
        }
        ports.await.unwrap_or(Err(OpenError::Ended))
    }

    /// Changes the cap of a stream; its viewers stay.
    pub fn configure(&self, stream: &str, max_viewers: Option<usize>) {
        let stream = stream.to_owned();
        match &self.0 {
            Way::Here(here, _) => here.send(Command::Configure { stream, max_viewers }),
            Way::There(asks) => order(asks, Order::Configure { stream, max_viewers }),
        }
    }

    /// Says which legs FFmpeg will send and what they carry; before that a stream has no media. Where a leg carries another
    /// codec than before, the stream's sessions end.
    pub fn expect(&self, stream: &str, video: Option<Codec>, audio: Option<Codec>) {
        let stream = stream.to_owned();
        match &self.0 {
            Way::Here(here, _) => here.send(Command::Expect { stream, video, audio }),
            Way::There(asks) => order(asks, Order::Expect { stream, video, audio }),
        }
    }

    /// Closes the legs of a stream and ends its sessions.
    pub fn close(&self, stream: &str) {
        let stream = stream.to_owned();
        match &self.0 {
            Way::Here(here, _) => here.send(Command::Close { stream }),
            Way::There(asks) => order(asks, Order::Close { stream }),
        }
    }

    /// Tells viewers that come, or restart ICE, of other addresses.
    pub fn announce(&self, announcement: Announcement) {
        match &self.0 {
            // A gateway that has ended announces nothing.
            Way::Here(_, wishes) => drop(wishes.send(announcement)),
            Way::There(asks) => order(asks, Order::Announce(announcement)),
        }
    }

    /// Changes the cap of streams that have none of their own.
    pub fn limit(&self, max_viewers_per_stream: usize) {
        match &self.0 {
            Way::Here(here, _) => here.send(Command::Limit(max_viewers_per_stream)),
            Way::There(asks) => order(asks, Order::Limit(max_viewers_per_stream)),
        }
    }

    /// Takes no new viewers any more, or takes them again; those that are there stay. [`Event::Draining`](super::Event)
    /// follows.
    pub fn drain(&self, draining: bool) {
        match &self.0 {
            Way::Here(here, _) => here.send(Command::Drain(draining)),
            Way::There(asks) => order(asks, Order::Drain(draining)),
        }
    }

    /// Has everything told as it is now, for who has heard nothing before.
    pub(super) fn tell(&self) {
        match &self.0 {
            Way::Here(here, _) => here.send(Command::Tell),
            Way::There(asks) => order(asks, Order::Tell),
        }
    }

    /// Tells the program of the gateway something that is nothing to the gateway itself. In this program nobody listens.
    pub fn note(&self, topic: &str, text: Value) {
        if let Way::There(asks) = &self.0 {
            order(asks, Order::Note(Note { topic: topic.to_owned(), text }));
        }
    }
}

fn order(asks: &queue::UnboundedSender<Ask>, order: Order) {
    // The other end is gone only while the program ends.
    let _ = asks.send(Ask::Order(order));
}
