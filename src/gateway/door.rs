//! The control socket of a gateway that is a program of its own: takes orders, and tells what the gateway tells.
//!
//! There is one client, the program that runs FFmpeg. One that comes takes the place of one that was there. Without any
//! everything stays as it is.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::wire::{Note, Order, Report, Wire};
use super::{Event, Handle};

/// The control socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the control socket {path} cannot be made: {source}; name a path in a writable directory (CORE_WORKER_SOCKET)")]
pub struct DoorError {
    path: PathBuf,
    source: io::Error,
}

/// The bound control socket.
pub struct Door(UnixListener);

impl Door {
    /// Binds, in the place of what a former run has left.
    pub fn bind(path: &Path) -> Result<Self, DoorError> {
        let failed = |source| DoorError { path: path.to_owned(), source };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        UnixListener::bind(path).map(Self).map_err(failed)
    }

    /// Serves until nobody tells events any more. Notes of the client go to `notes`.
    pub async fn serve(self, gateway: Handle, mut events: UnboundedReceiver<Event>, notes: UnboundedSender<Note>) {
        let mut client: Option<Wire> = None;
        loop {
            let heard = async {
                match &mut client {
                    Some(wire) => wire.hear::<Order>().await,
                    None => std::future::pending().await,
                }
            };
            let reply = tokio::select! {
                accepted = self.0.accept() => {
                    match accepted {
                        Ok((stream, _)) => {
                            tracing::info!("the runner has connected");
                            client = Some(Wire::new(stream));
                        }
                        Err(error) => tracing::warn!(%error, "a connection to the control socket cannot be accepted"),
                    }
                    None
                }
                order = heard => match order {
                    Some(order) => perform(&gateway, &notes, order).await,
                    None => {
                        tracing::warn!("the runner is gone; viewers stay");
                        client = None;
                        None
                    }
                },
                event = events.recv() => match event {
                    Some(event) => Some(Report::Event(event)),
                    None => return,
                },
            };
            if let (Some(reply), Some(wire)) = (reply, &mut client)
                && !wire.say(&reply).await
            {
                tracing::warn!("the runner takes nothing any more; viewers stay");
                client = None;
            }
        }
    }
}

/// Does what an order says; what is to be answered.
async fn perform(gateway: &Handle, notes: &UnboundedSender<Note>, order: Order) -> Option<Report> {
    match order {
        Order::Open { number, stream, max_viewers } => {
            return Some(Report::Opened { number, ports: gateway.open(&stream, max_viewers).await });
        }
        Order::Configure { stream, max_viewers } => gateway.configure(&stream, max_viewers),
        Order::Expect { stream, video, audio } => gateway.expect(&stream, video, audio),
        Order::Close { stream } => gateway.close(&stream),
        Order::Announce(announcement) => gateway.announce(announcement),
        Order::Limit(max_viewers_per_stream) => gateway.limit(max_viewers_per_stream),
        Order::Drain(draining) => gateway.drain(draining),
        Order::Tell => gateway.tell(),
        // Nobody reads them any more while the program ends.
        Order::Note(note) => drop(notes.send(note)),
    }
    None
}
