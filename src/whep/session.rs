//! One viewer's WHEP session: ICE, DTLS and RTCP by the WebRTC engine, as a machine without sockets.
//!
//! Media never goes through here: the egress sends it, with the [`Protector`] and to the address that
//! [`Event::Connected`] gives.

mod counter;
mod restart;
mod roam;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto::RTCCryptoProvider;
use rtc::interceptor::{Registry, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_AV1, MIME_TYPE_H264, MIME_TYPE_HEVC, MIME_TYPE_OPUS, MIME_TYPE_VP8, MIME_TYPE_VP9, MediaEngine,
};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{
    CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate, RTCIceCandidateInit,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtcp;
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use self::counter::Pending;
use self::roam::Roam;
use super::answer::{Accepted, Local, accept, plain, write_answer};
use super::checks::Checks;
use super::feedback::{Deliver, ReferenceTime, read_feedback};
use super::offer::{Offer, OfferedCodec};
use super::tap::{KeyTap, UnknownDerivation};
use super::{Opening, Refusal, StreamMedia};
use crate::rtp::{Codec, MediaKind};
use crate::srtp::Protector;

/// A session that has not connected for this long is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Without a sign of life for this long the path counts as broken; after the grace that follows the session is over.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(5);
const DISCONNECT_GRACE: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(2);

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
        let text = write_answer(&offer, &accepted, &own.local(&settings.announced, settings.ice_lite, number));
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

    /// Takes a datagram that came from `from`.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
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
            self.roam = Some(Roam::new(selected, now));
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

/// What the WebRTC engine's own description says of this side.
struct OwnSide {
    ufrag: String,
    password: String,
    fingerprint: String,
}

impl OwnSide {
    fn read(peer: &RTCPeerConnection) -> Self {
        let own = peer.local_description().map(|description| description.sdp).unwrap_or_default();
        let line = |key: &str| {
            own.lines()
                .find_map(|line| line.strip_prefix(key))
                .map(|value| value.trim().to_owned())
                .expect("the engine's own description has credentials and a fingerprint")
        };
        Self { ufrag: line("a=ice-ufrag:"), password: line("a=ice-pwd:"), fingerprint: line("a=fingerprint:") }
    }

    fn local<'a>(&'a self, announced: &'a [SocketAddr], ice_lite: bool, session: u64) -> Local<'a> {
        let Self { ufrag, password, fingerprint } = self;
        Local { ufrag, password, fingerprint, announced, ice_lite, session, cname: "dragonfork" }
    }
}

/// Has the engine answer the offer that it was given last.
fn own_answer(peer: &mut RTCPeerConnection, now: Instant) -> Result<OwnSide, rtc::shared::error::Error> {
    let answer = peer.create_answer(None)?;
    peer.set_local_description(now, answer)?;
    Ok(OwnSide::read(peer))
}

/// The WebRTC engine of one session, and what belongs to it.
struct Engine {
    peer: RTCPeerConnection,
    tap: Arc<KeyTap>,
    heard: Receiver<Vec<Box<dyn rtcp::Packet>>>,
    /// One for each track.
    senders: Vec<RTCRtpSenderId>,
}

impl Engine {
    /// An engine with these tracks, which knows these codecs.
    fn new<'a>(
        settings: &Settings,
        accepted: &[Accepted],
        codecs: impl Iterator<Item = (Codec, &'a OfferedCodec)>,
        now: Instant,
    ) -> Result<Self, rtc::shared::error::Error> {
        let tap = Arc::new(KeyTap::new(settings.provider.clone()));
        let (deliver, heard) = channel();
        let mut media = MediaEngine::default();
        for (codec, OfferedCodec { payload_type, name: _, clock_rate: _, fmtp }) in codecs {
            let parameters =
                RTCRtpCodecParameters { rtp_codec: engine_codec(codec, fmtp), payload_type: *payload_type };
            media.register_codec(parameters, engine_kind(codec))?;
        }
        let mut peer = build_peer(tap.clone(), deliver, media, settings.ice_lite, now)?;
        let senders = accepted.iter().map(|accepted| peer.add_track(track(accepted))).collect::<Result<_, _>>()?;
        Ok(Self { peer, tap, heard, senders })
    }
}

fn build_peer(
    tap: Arc<KeyTap>,
    deliver: Sender<Vec<Box<dyn rtcp::Packet>>>,
    media: MediaEngine,
    ice_lite: bool,
    now: Instant,
) -> Result<RTCPeerConnection, rtc::shared::error::Error> {
    use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
    let settings = SettingEngineBuilder::new()
        .with_lite(ice_lite)
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_crypto_provider(tap)
        .with_srtp_protection_profiles(vec![
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        ])
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .with_ice_timeouts(Some(DISCONNECTED_AFTER), Some(DISCONNECT_GRACE), Some(KEEPALIVE))
        // Where this side nominates, it takes the first path that works: a browser that hides its addresses is found by
        // its checks alone, and the usual wait for something better would be a second of its join.
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .build();
    RTCPeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(Registry::new().with(Slot::from(20_000), Deliver::new(deliver)))
        .build(now)
}

fn engine_kind(codec: Codec) -> RtpCodecKind {
    match codec.kind() {
        MediaKind::Video => RtpCodecKind::Video,
        MediaKind::Audio => RtpCodecKind::Audio,
    }
}

fn engine_codec(codec: Codec, fmtp: &str) -> RTCRtpCodec {
    let (mime_type, channels) = match codec {
        Codec::H264 => (MIME_TYPE_H264, 0),
        Codec::H265 => (MIME_TYPE_HEVC, 0),
        Codec::Vp8 => (MIME_TYPE_VP8, 0),
        Codec::Vp9 => (MIME_TYPE_VP9, 0),
        Codec::Av1 => (MIME_TYPE_AV1, 0),
        Codec::Opus => (MIME_TYPE_OPUS, 2),
    };
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate: codec.clock_rate(),
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

fn track(accepted: &Accepted) -> MediaStreamTrack {
    let kind = engine_kind(accepted.codec);
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(accepted.ssrc),
            ..RTCRtpCodingParameters::default()
        },
        codec: engine_codec(accepted.codec, &accepted.offered.fmtp),
        ..RTCRtpEncodingParameters::default()
    };
    MediaStreamTrack::new("dragonfork".into(), kind.to_string(), kind.to_string(), kind, vec![coding])
}

/// A host candidate for UDP at this address (RFC 8445 section 5.1.1.1), as the WebRTC engine takes it.
pub fn host_candidate(address: SocketAddr) -> Result<RTCIceCandidateInit, rtc::shared::error::Error> {
    let candidate = CandidateHostConfig {
        base_config: CandidateConfig {
            network: "udp".into(),
            address: address.ip().to_string(),
            port: address.port(),
            component: 1,
            ..CandidateConfig::default()
        },
        ..CandidateHostConfig::default()
    }
    .new_candidate_host()?;
    RTCIceCandidate::from(&candidate).to_json()
}
