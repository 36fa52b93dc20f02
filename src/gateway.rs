//! WebRTC out of FFmpeg's RTP: ingress, the one UDP port, the viewers' sessions and the egress.
//!
//! Media threads ([`media`]) read the legs into rings and send to a shard of the viewers each, one thread ([`control`])
//! owns the sessions and receives from the UDP port. They speak by queues, so the media path takes no lock: a packet goes
//! from its leg into a batch, and from there through each viewer's protection to the socket. [`Handle`] sends commands,
//! [`Event`]s come back. Where the gateway is a program of its own, a [`Door`] there and a [`Remote`] here carry both over
//! a Unix socket, and notes between the two programs, which mean nothing to this room.
//!
//! This room never knows what FFmpeg is, nor why a stream exists.

mod announce;
mod control;
mod door;
mod handle;
mod ingest;
mod legs;
mod media;
mod path;
mod remote;
mod run;
mod shared;
mod socket;
mod tcp;
mod viewer;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc as queue, oneshot};

use crate::plan::EgressPorts;
use crate::rtp::Codec;
use crate::whep::Request;

pub use announce::Announcement;
pub use door::{Door, DoorError};
pub use handle::Handle;
pub use legs::OpenError;
pub use remote::Remote;
pub use viewer::JumpReason;
pub use wire::Note;

/// Media threads at most: a few fill any network.
const MOST_THREADS: usize = 8;

/// What a gateway is built from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The one UDP port. An unspecified IPv6 address serves IPv4 too.
    pub bind: SocketAddr,
    /// Listen on the TCP port of the same number too, for viewers whose network lets no UDP through.
    pub tcp: bool,
    /// Addresses or names that are put into answers; empty announces every address of this machine.
    pub announce: Vec<String>,
    /// The legs of the one stream have this port and the next one, bound from the start; `None` gives each stream a free
    /// pair.
    pub leg_port: Option<u16>,
    /// How often the names, or the addresses of this machine, are looked up again.
    pub announce_interval: Duration,
    /// ICE lite (RFC 8445 section 2.5): only answer checks, for a gateway that every viewer can reach.
    pub ice_lite: bool,
    /// Viewers of all streams together.
    pub max_viewers: usize,
    /// Viewers of one stream, where its manifest says nothing.
    pub max_viewers_per_stream: usize,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP port cannot be had.
    #[error("the WebRTC UDP port {address} cannot be bound; choose another one (CORE_WEBRTC_ADDRESS)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The TCP port of the same number cannot be had.
    #[error(
        "the WebRTC TCP port {address} cannot be bound; choose another one (CORE_WEBRTC_ADDRESS), or do without TCP \
         (CORE_WEBRTC_TCP=false)"
    )]
    BindTcp {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// An address to announce cannot be resolved.
    #[error(
        "{name:?} of CORE_WEBRTC_ANNOUNCE (in a cluster: webrtc.exposure.announce) is no address and cannot be resolved: {reason}"
    )]
    Announce {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The fixed ports of the legs cannot be had.
    #[error("{0}; choose others (CORE_WORKER_LEG_PORT)")]
    Legs(OpenError),
    /// The WebRTC engine is not what this program was built for.
    #[error("the WebRTC self-test failed, no viewer could be served: {0}")]
    SelfTest(String),
    /// The operating system refuses something else.
    #[error("the WebRTC gateway cannot start")]
    Io(#[from] std::io::Error),
}

/// What a gateway tells.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Event {
    /// Media of a stream comes, or does not come any more.
    Media {
        /// The stream.
        stream: String,
        /// Picture comes.
        video: bool,
        /// Sound comes.
        audio: bool,
    },
    /// Frames of a stream come in another order than they are shown: it has B-frames, which browsers cannot play.
    Reordered {
        /// The stream.
        stream: String,
    },
    /// Viewers are told of other addresses from now on.
    Announced(Vec<SocketAddr>),
    /// Viewers of a stream at this moment.
    Viewers {
        /// The stream.
        stream: String,
        /// How many.
        count: usize,
    },
    /// Whether no new viewers are taken from now on; how many there are was told before.
    Draining(bool),
    /// A gateway of another program answers again, or does not for some time.
    Reachable(bool),
}

/// How often viewers went on from the newest keyframe since the gateway started, by reason.
#[derive(Debug, Default)]
pub struct Totals {
    keyframe_wanted: AtomicU64,
    loss: AtomicU64,
    behind: AtomicU64,
}

impl Totals {
    fn of(&self, reason: JumpReason) -> &AtomicU64 {
        match reason {
            JumpReason::KeyframeWanted => &self.keyframe_wanted,
            JumpReason::Loss => &self.loss,
            JumpReason::Behind => &self.behind,
        }
    }

    fn count_jump(&self, reason: JumpReason) {
        self.of(reason).fetch_add(1, Ordering::Relaxed);
    }

    /// How often for this reason.
    pub fn jumps(&self, reason: JumpReason) -> u64 {
        self.of(reason).load(Ordering::Relaxed)
    }
}

/// A running gateway.
pub struct Gateway {
    way: handle::Here,
    handle: Handle,
    announced: Vec<SocketAddr>,
    totals: Arc<Totals>,
    threads: Vec<JoinHandle<()>>,
    lookups: announce::Lookups,
}

/// What the control thread is told.
enum Command {
    Open { stream: String, max_viewers: Option<usize>, reply: oneshot::Sender<Result<EgressPorts, OpenError>> },
    Configure { stream: String, max_viewers: Option<usize> },
    Expect { stream: String, video: Option<Codec>, audio: Option<Codec> },
    Close { stream: String },
    Announce(Vec<SocketAddr>),
    Limit(usize),
    Drain(bool),
    Tell,
    Whep(Request),
    Shutdown,
}

impl Gateway {
    /// Proves the WebRTC engine, binds the UDP port and starts. Requests of WHEP players come by `requests`; must be
    /// called within a tokio runtime.
    pub fn start(
        config: &Config,
        mut requests: queue::Receiver<Request>,
        events: queue::UnboundedSender<Event>,
    ) -> Result<Self, StartError> {
        crate::whep::self_test(std::time::Instant::now()).map_err(StartError::SelfTest)?;
        let (port, datagrams, tcp) = bind(config)?;
        let local = port.local_address();
        let announcement = Announcement::of(&config.announce);
        let announced = announce::addresses(local, &announcement)?;
        let spare = config.leg_port.map(legs::Legs::bind_at).transpose().map_err(StartError::Legs)?;
        let (commands, inbox) = mpsc::channel();
        let totals = Arc::new(Totals::default());
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let (media, mut threads) = media::start(threads, &port, &totals, &events)?;
        let (control, waker) = control::Control::new(
            config,
            (port, datagrams, tcp, spare),
            &announced,
            inbox,
            events,
            media,
            totals.clone(),
        )?;
        let way = handle::Here { commands, waker: Arc::new(waker) };
        threads.push(std::thread::Builder::new().name("webrtc".into()).spawn(move || control.run())?);
        let lookups = announce::Lookups::start(local, config.announce_interval, announcement, &announced, way.clone())?;
        let handle = Handle::here(way.clone(), lookups.wishes());
        let forward = way.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                forward.send(Command::Whep(request));
            }
        });
        Ok(Self { way, handle, announced, totals, threads, lookups })
    }

    /// The way to it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Addresses that were put into answers at start.
    pub fn announced(&self) -> &[SocketAddr] {
        &self.announced
    }

    /// How often viewers went on from the newest keyframe.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Whether one of its threads has ended, which they do only when told to.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Says goodbye to every viewer and ends.
    pub fn shutdown(self) {
        drop(self.lookups);
        self.way.send(Command::Shutdown);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the WebRTC gateway panicked");
            }
        }
    }
}

/// The UDP port, and the TCP port of the same number where it is wanted. Where any number will do, one is looked for that
/// is free for both.
fn bind(config: &Config) -> Result<(Arc<socket::Port>, socket::Receiver, Option<tcp::Tcp>), StartError> {
    const TRIES: usize = 10;
    let mut tries = if config.bind.port() == 0 { TRIES } else { 1 };
    loop {
        let bound = socket::Port::bind(config.bind);
        let (port, datagrams) = bound.map_err(|source| StartError::Bind { address: config.bind, source })?;
        if !config.tcp {
            return Ok((port, datagrams, None));
        }
        let address = port.local_address();
        tries -= 1;
        match tcp::Tcp::bind(address, control::FIRST_CONNECTION) {
            Ok(tcp) => return Ok((port, datagrams, Some(tcp))),
            Err(source) if tries == 0 => return Err(StartError::BindTcp { address, source }),
            Err(_) => {}
        }
    }
}
