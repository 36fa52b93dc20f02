//! The client of a control socket: a gateway in another program, which may end and come back.
//!
//! What the gateway was told is remembered here, and told again to one that is new: legs, what they carry, addresses,
//! caps, notes, that it is to drain. FFmpeg notices nothing, because the legs of such a gateway have fixed ports.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::wire::{Note, Order, Report, Wire};
use super::{Announcement, Event, Handle, OpenError};
use crate::plan::EgressPorts;
use crate::rtp::Codec;

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(100);
/// A gateway that is away for longer is said to be so.
const AWAY: Duration = Duration::from_secs(3);
/// Who opens legs waits for so long for a gateway that is away.
const PATIENCE: Duration = Duration::from_secs(30);
/// At the end the last orders have this time to leave.
const GOODBYE: Duration = Duration::from_secs(1);

type Reply = oneshot::Sender<Result<EgressPorts, OpenError>>;

/// What a handle wants.
pub enum Ask {
    /// Legs, and their ports.
    Open {
        /// The stream.
        stream: String,
        /// Its cap.
        max_viewers: Option<usize>,
        /// Where the ports go.
        reply: Reply,
    },
    /// Anything else.
    Order(Order),
}

/// A gateway in another program.
pub struct Remote(JoinHandle<()>);

impl Remote {
    /// Begins to connect, and never stops as long as a handle is there. Must be called within a tokio runtime.
    pub fn connect(path: PathBuf, events: UnboundedSender<Event>) -> (Self, Handle) {
        let (asks, inbox) = unbounded_channel();
        let client = Client {
            path,
            inbox,
            events,
            told: Told::default(),
            waiting: HashMap::new(),
            numbers: 0,
            lost_at: Instant::now(),
            is_away: false,
        };
        (Self(tokio::spawn(client.run())), Handle::there(asks))
    }

    /// Waits until the last orders have left; every handle must be gone.
    pub async fn shutdown(self) {
        let Self(mut task) = self;
        if tokio::time::timeout(GOODBYE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// What the gateway was told, and a new one is told again.
#[derive(Default)]
struct Told {
    streams: BTreeMap<String, Stream>,
    announcement: Option<Announcement>,
    limit: Option<usize>,
    draining: bool,
    notes: BTreeMap<String, Note>,
}

struct Stream {
    number: u64,
    max_viewers: Option<usize>,
    expected: Option<(Option<Codec>, Option<Codec>)>,
    ports: Option<EgressPorts>,
}

impl Told {
    fn take(&mut self, order: &Order) {
        match order.clone() {
            Order::Configure { stream, max_viewers } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.max_viewers = max_viewers;
                }
            }
            Order::Expect { stream, video, audio } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.expected = Some((video, audio));
                }
            }
            Order::Close { stream } => drop(self.streams.remove(&stream)),
            Order::Announce(announcement) => self.announcement = Some(announcement),
            Order::Limit(limit) => self.limit = Some(limit),
            Order::Drain(draining) => self.draining = draining,
            Order::Note(note) => drop(self.notes.insert(note.topic.clone(), note)),
            Order::Open { number, stream, max_viewers } => {
                let former = self.streams.remove(&stream);
                let (expected, ports) = former.map_or((None, None), |former| (former.expected, former.ports));
                self.streams.insert(stream, Stream { number, max_viewers, expected, ports });
            }
            Order::Tell => {}
        }
    }

    /// Everything, for a gateway that may be new.
    fn orders(&self) -> Vec<Order> {
        let Self { streams, announcement, limit, draining, notes } = self;
        let mut orders: Vec<Order> = announcement.iter().cloned().map(Order::Announce).collect();
        orders.extend(limit.map(Order::Limit));
        for (name, Stream { number, max_viewers, expected, ports: _ }) in streams {
            orders.push(Order::Open { number: *number, stream: name.clone(), max_viewers: *max_viewers });
            orders.extend(expected.map(|(video, audio)| Order::Expect { stream: name.clone(), video, audio }));
        }
        orders.extend(notes.values().cloned().map(Order::Note));
        // The program before this one may have left it draining.
        orders.extend([Order::Drain(*draining), Order::Tell]);
        orders
    }
}

struct Client {
    path: PathBuf,
    inbox: UnboundedReceiver<Ask>,
    events: UnboundedSender<Event>,
    told: Told,
    /// Who waits for the answer of this number, and until when.
    waiting: HashMap<u64, (Reply, Instant)>,
    numbers: u64,
    lost_at: Instant,
    /// It was said that the gateway is away.
    is_away: bool,
}

/// No handle is left.
struct Done;

impl Client {
    async fn run(mut self) {
        loop {
            let talked = match UnixStream::connect(&self.path).await {
                Ok(stream) => self.talk(Wire::new(stream)).await,
                Err(_) => Ok(()),
            };
            if talked.is_err() || self.pause().await.is_err() {
                return;
            }
        }
    }

    /// Until the next try.
    async fn pause(&mut self) -> Result<(), Done> {
        let until = Instant::now() + PAUSE;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                ask = self.inbox.recv() => drop(self.take(ask.ok_or(Done)?)),
            }
        }
        let now = Instant::now();
        if !self.is_away && now >= self.lost_at + AWAY {
            self.is_away = true;
            tracing::warn!(socket = %self.path.display(), "the WebRTC gateway does not answer at its control socket");
            self.tell(Event::Reachable(false));
        }
        let late: Vec<u64> =
            self.waiting.iter().filter(|(_, (_, until))| *until <= now).map(|(number, _)| *number).collect();
        for number in late {
            self.answer(number, Err(OpenError::Away));
        }
        Ok(())
    }

    /// Until the connection is lost.
    async fn talk(&mut self, mut wire: Wire) -> Result<(), Done> {
        for order in self.told.orders() {
            if !wire.say(&order).await {
                return Ok(());
            }
        }
        tracing::info!(socket = %self.path.display(), "connected with the WebRTC gateway");
        self.is_away = false;
        self.tell(Event::Reachable(true));
        loop {
            tokio::select! {
                report = wire.hear::<Report>() => match report {
                    Some(Report::Event(event)) => self.tell(event),
                    Some(Report::Opened { number, ports }) => self.take_ports(number, ports),
                    None => break,
                },
                ask = self.inbox.recv() => {
                    let order = self.take(ask.ok_or(Done)?);
                    if !wire.say(&order).await {
                        break;
                    }
                }
            }
        }
        self.lose();
        Ok(())
    }

    /// Remembers what is wanted, and says how the gateway is told.
    fn take(&mut self, ask: Ask) -> Order {
        let order = match ask {
            Ask::Order(order) => order,
            Ask::Open { stream, max_viewers, reply } => {
                self.numbers += 1;
                let number = self.numbers;
                let known = self.told.streams.get(&stream).and_then(|stream| stream.ports);
                match known {
                    // FFmpeg need not wait for a gateway that will have the same ports again.
                    Some(ports) => drop(reply.send(Ok(ports))),
                    None => drop(self.waiting.insert(number, (reply, Instant::now() + PATIENCE))),
                }
                Order::Open { number, stream, max_viewers }
            }
        };
        self.told.take(&order);
        order
    }

    fn take_ports(&mut self, number: u64, ports: Result<EgressPorts, OpenError>) {
        let stream = self.told.streams.iter_mut().find(|(_, stream)| stream.number == number);
        if let Some((name, stream)) = stream {
            match (&ports, stream.ports) {
                (Ok(ports), Some(known)) if *ports != known => {
                    tracing::error!(stream = name, ?known, ?ports, "the legs have other ports than before");
                }
                (Err(error), Some(_)) => tracing::error!(stream = name, %error, "the legs cannot be opened again"),
                _ => {}
            }
            stream.ports = ports.as_ref().ok().copied();
        }
        self.answer(number, ports);
    }

    fn answer(&mut self, number: u64, ports: Result<EgressPorts, OpenError>) {
        if let Some((reply, _)) = self.waiting.remove(&number) {
            // Nobody waits any more where this fails.
            let _ = reply.send(ports);
        }
    }

    /// Nothing plays without the gateway.
    fn lose(&mut self) {
        tracing::warn!(socket = %self.path.display(), "the connection with the WebRTC gateway is lost");
        self.lost_at = Instant::now();
        for stream in self.told.streams.keys().cloned() {
            self.tell(Event::Media { stream: stream.clone(), video: false, audio: false });
            self.tell(Event::Viewers { stream, count: 0 });
        }
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more while the program ends.
        let _ = self.events.send(event);
    }
}
