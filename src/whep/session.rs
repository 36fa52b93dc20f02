//! One viewer's WHEP session: ICE, DTLS and RTCP by the WebRTC engine, as a machine without sockets.
//!
//! Media never goes through here: the egress sends it, with the [`Protector`] and to the address that
//! [`Event::Connected`] gives.

mod counter;
mod engine;
mod restart;
mod roam;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto::RTCCryptoProvider;
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::rtcp;
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

pub use self::engine::host_candidate;

use self::counter::Pending;
use self::engine::{Engine, OwnSide, own_answer};
use self::roam::Roam;
use super::answer::{Accepted, accept, plain, write_answer};
use super::checks::Checks;
use super::feedback::{ReferenceTime, read_feedback};
use super::framing::is_alias;
use super::offer::Offer;
use super::tap::{KeyTap, UnknownDerivation};
use super::{Opening, Refusal, StreamMedia};
use crate::srtp::Protector;

/// A session that has not connected for this long is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A viewer that comes by UDP too is not let in by TCP within this time: the engine stays with the first path that works.
const UDP_FIRST: Duration = Duration::from_secs(2);

/// What every session of a gateway shares.
pub struct Settings {
    /// The cryptographic library.
    pub provider: Arc<dyn RTCCryptoProvider>,
    /// Addresses of the one UDP port that stand for it inside the engine, one for each IP version that it serves.
    pub canonical: Vec<SocketAddr>,
    /// Addresses that viewers may try, best first.
    pub announced: Vec<SocketAddr>,
    /// ICE lite (RFC 8445 section 2.5): this side answers checks and begins none.
    pub ice_lite: bool,
    /// Viewers may try TCP at the announced addresses too (RFC 6544).
    pub tcp: bool,
}

/// What a session tells.
#[expect(clippy::large_enum_variant, reason = "handed on at once, and the large one comes once a session")]
pub enum Event {
    /// The handshake is over: media may go to this address with this protection.
    Connected {
        /// Where the viewer is.
        remote: SocketAddr,
        /// How to protect what goes there.
        protector: Protector,
    },
    /// The viewer is somewhere else now.
    Moved(SocketAddr),
    /// The viewer misses these packets.
    Lost {
        /// SSRC of the media.
        ssrc: u32,
        /// Sequence numbers as they were on the wire.
        sequence_numbers: Vec<u16>,
    },
    /// The viewer cannot go on without a keyframe (PLI or FIR).
    KeyframeWanted,
    /// The viewer lost so many of 256 packets since its last report (RFC 3550 section 6.4.1), of the track where it was
    /// worst.
    FractionLost(u8),
    /// The session is over.
    Closed(&'static str),
    /// The session cannot go on: the engine is not what this program was built for.
    Broken(UnknownDerivation),
}

/// A datagram to send from the one UDP port.
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub datagram: BytesMut,
}

/// One viewer's session.
pub struct Session {
    peer: RTCPeerConnection,
    tap: Arc<KeyTap>,
    canonical: Vec<SocketAddr>,
    announced: Vec<SocketAddr>,
    ice_lite: bool,
    tcp: bool,
    /// When the viewer first came by TCP.
    by_tcp_since: Option<Instant>,
    /// Something came by UDP.
    came_by_udp: bool,
    /// The first track's; all share its transport.
    sender: RTCRtpSenderId,
    accepted: Vec<Accepted>,
    opening: Opening,
    /// A counter-offer that waits for its answer.
    pending: Option<Box<Pending>>,
    /// The viewer's description, with the credentials of its newest ICE session; without any before a counter-offer is
    /// answered.
    offer: Offer,
    /// The viewer's user fragment of the ICE session before.
    former_ufrag: Option<String>,
    number: u64,
    local_ufrag: String,
    local_password: String,
    etag: String,
    deadline: Option<Instant>,
    remote: Option<SocketAddr>,
    /// None before there is a path, and while ICE restarts.
    roam: Option<Roam>,
    /// A check came since the path was looked at.
    was_checked: bool,
    /// Checks that wait for an answer, until the viewer has connected.
    checks: Checks,
    heard: Receiver<Vec<Box<dyn rtcp::Packet>>>,
    feedback: VecDeque<Event>,
    /// When the viewer's newest reports were sent, of which it has not been told.
    reference_times: Vec<ReferenceTime>,
    closed: bool,
}

impl Session {
    /// Answers an offer. `number` is the session's number in the answer's `o=` line, `cname` names its source.
    pub fn answer(
        settings: &Settings,
        stream: &StreamMedia,
        offer: &str,
        number: u64,
        now: Instant,
    ) -> Result<(Self, String), Refusal> {
        let offer = Offer::parse(offer)?;
        let accepted = accept(&offer, stream)?;
        let unreadable =
            |error: rtc::shared::error::Error| Refusal::Malformed(format!("the SDP offer cannot be answered: {error}"));
        let codecs = accepted.iter().map(|accepted| (accepted.codec, &accepted.offered));
        let Engine { mut peer, tap, heard, senders } =
            Engine::new(settings, &accepted, codecs, now).map_err(unreadable)?;
        let plain = RTCSessionDescription::offer(plain(&offer, &accepted)).map_err(unreadable)?;
        peer.set_remote_description(now, plain).map_err(unreadable)?;
        for address in &settings.canonical {
            peer.add_local_candidate(host_candidate(*address).map_err(unreadable)?).map_err(unreadable)?;
        }
        let own = own_answer(&mut peer, now).map_err(unreadable)?;
        let text =
            write_answer(&offer, &accepted, &own.local(&settings.announced, (settings.ice_lite, settings.tcp), number));
        let engine = Engine { peer, tap, heard, senders };
        Ok((Self::begin(settings, engine, own, (accepted, offer), number, now), text))
    }

    /// A session that waits for its viewer.
    fn begin(
        settings: &Settings,
        engine: Engine,
        own: OwnSide,
        (accepted, offer): (Vec<Accepted>, Offer),
        number: u64,
        now: Instant,
    ) -> Self {
        let Engine { peer, tap, heard, senders } = engine;
        let OwnSide { ufrag, password, fingerprint: _ } = own;
        Self {
            peer,
            tap,
            canonical: settings.canonical.clone(),
            announced: settings.announced.clone(),
            ice_lite: settings.ice_lite,
            tcp: settings.tcp,
            by_tcp_since: None,
            came_by_udp: false,
            sender: *senders.first().expect("a session has at least one track"),
            accepted,
            etag: format!("\"{ufrag}\""),
            local_ufrag: ufrag,
            local_password: password,
            opening: Opening::Offer,
            pending: None,
            offer,
            former_ufrag: None,
            number,
            deadline: Some(now + CONNECT_TIMEOUT),
            remote: None,
            roam: None,
            was_checked: false,
            checks: Checks::default(),
            heard,
            feedback: VecDeque::new(),
            reference_times: Vec::new(),
            closed: false,
        }
    }

    /// Whose offer it began with.
    pub fn opening(&self) -> Opening {
        self.opening
    }

    /// Whether it is a counter-offer that nobody has answered yet.
    pub fn waits_for_answer(&self) -> bool {
        self.pending.is_some()
    }

    /// The media that was answered.
    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// ICE user fragment of this side, which every check of the viewer names first.
    pub fn local_ufrag(&self) -> &str {
        &self.local_ufrag
    }

    /// Strong entity tag of the ICE session, with its quotes.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// Takes other addresses that the viewer may try, for when it restarts ICE.
    pub fn announce(&mut self, announced: &[SocketAddr]) {
        self.announced = announced.to_vec();
    }

    /// Takes a datagram that came from `from`, which may [stand for a TCP connection](super::alias).
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        if is_alias(&from) {
            let since = *self.by_tcp_since.get_or_insert(now);
            let waits = self.came_by_udp && now.saturating_duration_since(since) < UDP_FIRST;
            if self.deadline.is_some() && waits {
                return;
            }
        } else {
            self.came_by_udp = true;
        }
        self.hand_in(from, datagram, now);
        if self.deadline.is_some()
            && let Some(check) = self.checks.handle_datagram(from, datagram)
        {
            self.hand_in(from, &check, now);
        }
    }

    /// Hands a datagram to the engine.
    fn hand_in(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        // RFC 7983 section 7.
        self.was_checked |= matches!(datagram.first(), Some(0..=3));
        let passwords = (self.local_password.as_str(), self.offer.password.as_str());
        let from = match &mut self.roam {
            Some(roam) => roam.handle_received(from, datagram, passwords, now),
            None => from,
        };
        // A viewer may come from IPv6 that the engine believes to be on IPv4.
        let Some(local) = self.canonical.iter().find(|local| local.is_ipv4() == from.is_ipv4()) else {
            return;
        };
        let transport = TransportContext {
            local_addr: *local,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        let message = TaggedBytesMut { now, transport, message: BytesMut::from(datagram) };
        if let Err(error) = self.peer.handle_read(message) {
            tracing::trace!(%error, %from, "datagram left out");
        }
    }

    /// Goes on in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Err(error) = self.peer.handle_timeout(now) {
            tracing::debug!(%error, "session timer");
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        [self.peer.poll_timeout(), self.deadline].into_iter().flatten().min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let message = self.peer.poll_write()?;
        let (to, datagram) = (message.transport.peer_addr, message.message);
        let to = self.roam.as_mut().map_or(to, |roam| roam.handle_sent(to, &datagram));
        Some(Transmit { to, datagram })
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        if self.closed {
            return None;
        }
        while let Some(event) = self.peer.poll_event() {
            let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event else { continue };
            match state {
                RTCPeerConnectionState::Connected if self.deadline.is_some() => return Some(self.connected(now)),
                RTCPeerConnectionState::Failed => return Some(self.over("the path to the viewer broke")),
                RTCPeerConnectionState::Closed => return Some(self.over("the viewer left")),
                _ => {}
            }
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Some(self.over(match self.pending {
                Some(_) => "the counter-offer was not answered",
                None => "the viewer did not connect",
            }));
        }
        while let Ok(packets) = self.heard.try_recv() {
            for packet in &packets {
                self.feedback.extend(read_feedback(packet.as_ref()));
                if let Some(time) = ReferenceTime::read(packet.as_ref(), now) {
                    time.keep(&mut self.reference_times);
                }
            }
        }
        if let Some(event) = self.feedback.pop_front() {
            return Some(event);
        }
        // Only a check can change the path, and looking is not cheap.
        let is_connected = self.deadline.is_none();
        let is_due = is_connected && std::mem::take(&mut self.was_checked);
        let remote = if is_due { self.actual_remote(now) } else { None };
        if remote.is_some() && remote != self.remote {
            self.remote = remote;
            return remote.map(Event::Moved);
        }
        None
    }

    fn connected(&mut self, now: Instant) -> Event {
        self.deadline = None;
        self.checks.clear();
        self.remote = self.actual_remote(now);
        match (self.tap.protector(), self.remote) {
            (Ok(protector), Some(remote)) => Event::Connected { remote, protector },
            (Err(unknown), _) => {
                self.closed = true;
                Event::Broken(unknown)
            }
            (Ok(_), None) => self.over("the viewer connected without an address"),
        }
    }

    fn over(&mut self, why: &'static str) -> Event {
        self.closed = true;
        Event::Closed(why)
    }

    /// Where the viewer is on the path that ICE has found.
    fn actual_remote(&mut self, now: Instant) -> Option<SocketAddr> {
        let selected = self.selected_remote()?;
        if self.roam.as_ref().is_none_or(|roam| roam.believed() != selected) {
            let nominates = self.opening == Opening::CounterOffer && !self.ice_lite;
            self.roam = Some(Roam::new(selected, nominates, now));
        }
        self.roam.as_ref().map(Roam::actual)
    }

    fn selected_remote(&mut self) -> Option<SocketAddr> {
        let sender = self.peer.rtp_sender(self.sender)?;
        let pair = sender.transport()?.ice_transport().get_selected_candidate_pair()?;
        Some(SocketAddr::new(pair.remote().address.parse().ok()?, pair.remote().port))
    }

    /// Sends the sender reports of all tracks in one packet (RFC 3550 section 6.4.1, RFC 8108), and with them what the
    /// viewer measures the round trip by.
    pub fn report(&mut self, mut reports: Vec<Box<dyn rtcp::Packet>>, now: Instant) {
        let times = std::mem::take(&mut self.reference_times);
        if let Some(report) = ReferenceTime::report(&times, self.accepted.first().map_or(0, |first| first.ssrc), now) {
            reports.push(Box::new(report));
        }
        if let Some(mut sender) = self.peer.rtp_sender(self.sender)
            && let Err(error) = sender.write_rtcp(now, reports)
        {
            tracing::debug!(%error, "sender reports left out");
        }
    }

    /// Ends the session; what is to be sent for it comes from [`Self::poll_transmit`].
    pub fn close(&mut self) {
        self.closed = true;
        if let Err(error) = self.peer.close() {
            tracing::debug!(%error, "session close");
        }
    }
}
