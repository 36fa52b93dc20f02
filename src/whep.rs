//! WHEP: offer, answer, trickle fragment, one viewer's session, registry and caps.
//!
//! [`Client`] is what the HTTP side holds: it sends [`Request`]s to whatever drives the sessions and awaits the reply.
//!
//! This room never opens a socket and never reads a clock.

mod answer;
mod checks;
mod counter;
mod feedback;
mod fragment;
mod framing;
mod media;
mod offer;
mod proof;
mod session;
mod stun;
mod tap;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use answer::{Accepted, Retransmission};
pub use feedback::read_feedback;
pub use framing::{Deframer, TooLarge, alias, is_alias};
pub use proof::{Received, Watcher, self_test};
pub use session::{Event, Session, Settings, Transmit, host_candidate};
pub use stun::requested_ufrag;
pub use tap::UnknownDerivation;

use crate::rtp::{Codec, Profile};

/// Whether an offer can be read and answered as far as its transport goes.
pub fn check_offer(offer: &str) -> Result<(), Refusal> {
    offer::Offer::parse(offer).map(|_| ())
}

/// The media of one stream, as it is offered to viewers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMedia {
    /// One picture and one sound at most.
    pub tracks: Vec<Track>,
}

/// One track of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// What it carries.
    pub codec: Codec,
    /// SSRC on the wire, the same for all viewers.
    pub ssrc: u32,
    /// SSRC of its retransmission stream, for viewers that offer one.
    pub retransmission_ssrc: u32,
    /// Profile that is really sent, once it is known.
    pub profile: Option<Profile>,
}

/// Whose offer a session begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The player's: its offer was answered.
    Offer,
    /// The gateway's: the player's offer had none of the stream's codecs, and the player is to answer what the stream has.
    CounterOffer,
}

/// Answer to an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Unguessable id of the session, one path segment.
    pub session: String,
    /// Whether `sdp` is an answer or an offer.
    pub opening: Opening,
    /// The SDP answer, or the gateway's own offer; candidates included.
    pub sdp: String,
    /// Strong entity tag of the ICE session, with its quotes.
    pub etag: String,
}

/// What a player is told of an ICE restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The gateway's new credentials and its candidates, `application/trickle-ice-sdpfrag`.
    pub fragment: String,
    /// Strong entity tag of the new ICE session, with its quotes.
    pub etag: String,
}

/// Why a request was not done; each is one HTTP status (see the `http` room).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such process, or one without WebRTC: 404.
    #[error("no process {0} with WebRTC is here")]
    UnknownProcess(String),
    /// No such session: 404.
    #[error("no such session")]
    UnknownSession,
    /// The process is known and FFmpeg sends nothing yet: 409 with Retry-After.
    #[error("process {0} has no media yet")]
    NoMediaYet(String),
    /// The offer or fragment cannot be read: 400.
    #[error("{0}")]
    Malformed(String),
    /// The offer can be read and not be answered, such as one that only sends: 422.
    #[error("{0}")]
    Unprocessable(String),
    /// The offer has none of the stream's codecs: 406.
    #[error("{0}")]
    NoCommonCodec(String),
    /// The answer to a counter-offer takes nothing of the stream either, and the session is over: 422.
    #[error("{0}")]
    NothingTaken(String),
    /// The counter-offer has its answer: 409, without Retry-After.
    #[error("the counter-offer was answered before; media cannot be agreed on twice, so POST a new offer")]
    AlreadyAnswered,
    /// An answer for a session that began with the player's own offer: 415, because only fragments are taken there.
    #[error("the session is no counter-offer that waits for an answer")]
    NoCounterOffer,
    /// The stream has its viewers: 503.
    #[error("process {process} has its {limit} viewers")]
    StreamViewerLimit {
        /// The process.
        process: String,
        /// Its cap.
        limit: usize,
    },
    /// The gateway has its viewers: 503.
    #[error("the gateway has its {limit} viewers")]
    TotalViewerLimit {
        /// The cap.
        limit: usize,
    },
    /// The gateway is to end and takes no new viewers: 503.
    #[error("no new viewers are taken here, because this instance is about to end")]
    Draining,
    /// If-Match names another ICE session: 412.
    #[error("If-Match does not name the current ICE session")]
    PreconditionFailed,
    /// An ICE restart without If-Match: 428.
    #[error("an ICE restart needs If-Match")]
    PreconditionRequired,
    /// The gateway did not answer in time or is shutting down: 504.
    #[error("the gateway did not answer in time")]
    Timeout,
}

/// What the HTTP side asks of the gateway.
#[derive(Debug)]
pub enum Request {
    /// POST of an offer.
    Offer {
        /// Id of the process.
        process: String,
        /// The SDP offer.
        offer: String,
        /// Whether an offer without a common codec gets a counter-offer; else it is [`Refusal::NoCommonCodec`].
        may_counter: bool,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Answer, Refusal>>,
    },
    /// PATCH of a trickle fragment, or of one that restarts ICE.
    Patch {
        /// Id of the process.
        process: String,
        /// Id of the session.
        session: String,
        /// The If-Match header as it came.
        if_match: Option<String>,
        /// The body, `application/trickle-ice-sdpfrag`.
        fragment: String,
        /// Where the outcome goes.
        reply: oneshot::Sender<Result<Option<Restart>, Refusal>>,
    },
    /// PATCH of the answer to a counter-offer.
    Answer {
        /// Id of the process.
        process: String,
        /// Id of the session.
        session: String,
        /// The If-Match header as it came.
        if_match: Option<String>,
        /// The SDP answer.
        answer: String,
        /// Where the outcome goes.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Whether a session is live.
    Find {
        /// Id of the process.
        process: String,
        /// Id of the session.
        session: String,
        /// How it began, where it is.
        reply: oneshot::Sender<Option<Opening>>,
    },
    /// DELETE of a session.
    Delete {
        /// Id of the process.
        process: String,
        /// Id of the session.
        session: String,
        /// Whether there was one.
        reply: oneshot::Sender<bool>,
    },
    /// What the gateway does.
    Overview {
        /// Where it goes.
        reply: oneshot::Sender<Overview>,
    },
}

/// What the gateway does at a moment, and has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Every session.
    pub viewings: Vec<Viewing>,
    /// Viewers that have connected since the legs of their process were opened, by id of the process.
    pub connected: Vec<(String, u64)>,
    /// What was sent to all viewers, also those that are gone.
    pub sent: Traffic,
    /// How often viewers went on from the newest keyframe, by one word for the reason.
    pub jumps: Vec<(&'static str, u64)>,
    /// Viewers of all processes at most.
    pub max_viewers: usize,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewing {
    /// The beginning of its id, which opens nothing.
    pub session: String,
    /// Id of the process.
    pub process: String,
    /// Where the viewer is, once it has connected.
    pub remote: Option<SocketAddr>,
    /// Address of this machine that it reached, where that is known.
    pub local: Option<IpAddr>,
    /// Since its offer came.
    pub age: Duration,
    /// What it was sent.
    pub sent: Traffic,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// RTP packets, those that were sent again not counted.
    pub packets: u64,
    /// Octets of their payload.
    pub octets: u64,
    /// Packets that were sent again.
    pub resent: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, Self { packets, octets, resent }: Self) {
        self.packets += packets;
        self.octets += octets;
        self.resent += resent;
    }
}

/// The HTTP side's end of the gateway.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
}

impl Client {
    /// A client and the queue that it fills.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, queue) = mpsc::channel(64);
        (Self { requests }, queue)
    }

    /// Offers; waits for the answer, or for a counter-offer where `may_counter` allows one.
    pub async fn offer(&self, process: &str, offer: String, may_counter: bool) -> Result<Answer, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Offer { process: process.into(), offer, may_counter, reply }).await?;
        answer.await.unwrap_or(Err(Refusal::Timeout))
    }

    /// Answers a counter-offer.
    pub async fn answer(
        &self,
        process: &str,
        session: &str,
        if_match: Option<String>,
        answer: String,
    ) -> Result<(), Refusal> {
        let (reply, done) = oneshot::channel();
        let (process, session) = (process.into(), session.into());
        self.send(Request::Answer { process, session, if_match, answer, reply }).await?;
        done.await.unwrap_or(Err(Refusal::Timeout))
    }

    /// Adds remote candidates to a session, or restarts its ICE; what the player is to be told of a restart.
    pub async fn patch(
        &self,
        process: &str,
        session: &str,
        if_match: Option<String>,
        fragment: String,
    ) -> Result<Option<Restart>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Patch { process: process.into(), session: session.into(), if_match, fragment, reply })
            .await?;
        answer.await.unwrap_or(Err(Refusal::Timeout))
    }

    /// How a session of this process began, where it is live.
    pub async fn find(&self, process: &str, session: &str) -> Result<Option<Opening>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Find { process: process.into(), session: session.into(), reply }).await?;
        answer.await.map_err(|_| Refusal::Timeout)
    }

    /// Ends a session; `false` where there was none.
    pub async fn delete(&self, process: &str, session: &str) -> Result<bool, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Delete { process: process.into(), session: session.into(), reply }).await?;
        answer.await.map_err(|_| Refusal::Timeout)
    }

    /// What the gateway does; `None` where it does not answer.
    pub async fn overview(&self) -> Option<Overview> {
        let (reply, overview) = oneshot::channel();
        self.send(Request::Overview { reply }).await.ok()?;
        overview.await.ok()
    }

    async fn send(&self, request: Request) -> Result<(), Refusal> {
        self.requests.send(request).await.map_err(|_| Refusal::Timeout)
    }
}
