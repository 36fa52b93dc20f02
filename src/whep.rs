//! WHEP: offer, answer, trickle fragment, one viewer's session, registry and caps.
//!
//! [`Client`] is what the HTTP side holds: it sends [`Request`]s to whatever drives the sessions and awaits the reply.
//!
//! This room never opens a socket and never reads a clock.

mod answer;
mod checks;
mod feedback;
mod fragment;
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

/// Answer to an accepted offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Unguessable id of the session, one path segment.
    pub session: String,
    /// The SDP answer, candidates included.
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
    /// Whether a session is live.
    Has {
        /// Id of the process.
        process: String,
        /// Id of the session.
        session: String,
        /// Whether it is.
        reply: oneshot::Sender<bool>,
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

    /// Offers; waits for the answer.
    pub async fn offer(&self, process: &str, offer: String) -> Result<Answer, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Offer { process: process.into(), offer, reply }).await?;
        answer.await.unwrap_or(Err(Refusal::Timeout))
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

    /// Whether a session of this process is live.
    pub async fn has(&self, process: &str, session: &str) -> Result<bool, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Has { process: process.into(), session: session.into(), reply }).await?;
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
