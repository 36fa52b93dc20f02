//! A receiving peer without sockets, and the self-test that every gateway does with it at start.
//!
//! The egress protects media with keys that it hears from the WebRTC engine ([`super::tap`]). Whether that is still
//! true is not left to luck: a handshake within the process must end with a packet that the other side can open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::media_stream::MediaStreamTrackId;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::RTCRtpTransceiverDirection;
use rtc::rtp_transceiver::RTCRtpTransceiverInit;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::session::{Event, Session, Settings, Transmit, host_candidate};
use super::{StreamMedia, Track};
use crate::rtp::{Codec, PacketView};

/// A peer that receives one picture and one sound, as a browser does.
pub struct Watcher {
    peer: RTCPeerConnection,
    local: SocketAddr,
    offer: String,
    answer: String,
    connected: bool,
}

/// One packet that a [`Watcher`] received and opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The track.
    pub track: MediaStreamTrackId,
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence_number: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// SSRC.
    pub ssrc: u32,
    /// Marker bit.
    pub marker: bool,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Watcher {
    /// A peer that says to be at `local`, and offers.
    pub fn new(local: SocketAddr, now: Instant) -> Result<Self, Error> {
        let mut peer = watching(RTCDtlsRole::Unspecified, now)?;
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                streams: Vec::new(),
                send_encodings: Vec::new(),
            };
            peer.add_transceiver_from_kind(kind, Some(init))?;
        }
        peer.add_local_candidate(host_candidate(local)?)?;
        let offer = peer.create_offer(None)?;
        peer.set_local_description(now, offer)?;
        let offer = peer.local_description().map(|description| description.sdp).unwrap_or_default();
        Ok(Self { peer, local, offer, answer: String::new(), connected: false })
    }

    /// A peer that says to be at `local`, and answers an offer: [`Self::answer`]. In DTLS it is the server where it is
    /// `passive`, else the client.
    pub fn answering(local: SocketAddr, offer: &str, passive: bool, now: Instant) -> Result<Self, Error> {
        let mut peer = watching(if passive { RTCDtlsRole::Server } else { RTCDtlsRole::Client }, now)?;
        peer.set_remote_description(now, RTCSessionDescription::offer(offer.to_owned())?)?;
        peer.add_local_candidate(host_candidate(local)?)?;
        let answer = peer.create_answer(None)?;
        peer.set_local_description(now, answer)?;
        let answer = peer.local_description().map(|description| description.sdp).unwrap_or_default();
        Ok(Self { peer, local, offer: offer.to_owned(), answer, connected: false })
    }

    /// The SDP offer.
    pub fn offer(&self) -> &str {
        &self.offer
    }

    /// The SDP answer; empty before there is one.
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// Takes the SDP answer.
    pub fn handle_answer(&mut self, answer: &str, now: Instant) -> Result<(), Error> {
        self.answer = answer.to_owned();
        self.peer.set_remote_description(now, RTCSessionDescription::answer(answer.to_owned())?)
    }

    /// Restarts ICE; the fragment that tells of it.
    pub fn restart(&mut self, now: Instant) -> Result<String, Error> {
        self.peer.restart_ice();
        let offer = self.peer.create_offer(None)?;
        self.peer.set_local_description(now, offer)?;
        self.offer = self.peer.local_description().map(|description| description.sdp).unwrap_or_default();
        let line = |key: &str| self.offer.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        let candidate = host_candidate(self.local)?.candidate;
        let [ufrag, password, media, mid] = ["a=ice-ufrag:", "a=ice-pwd:", "m=", "a=mid:"].map(line);
        Ok(format!("{ufrag}\r\n{password}\r\n{media}\r\n{mid}\r\na={candidate}\r\na=end-of-candidates\r\n"))
    }

    /// Takes the fragment that answers a restart.
    pub fn handle_restart(&mut self, fragment: &str, now: Instant) -> Result<(), Error> {
        let is_credential = |line: &str| line.starts_with("a=ice-ufrag:") || line.starts_with("a=ice-pwd:");
        let kind = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        let new = |old: &str| fragment.lines().find(|line| is_credential(line) && kind(line) == kind(old));
        let lines = self.answer.lines().map(|line| match is_credential(line) {
            true => new(line).unwrap_or(line),
            false => line,
        });
        let answer = lines.flat_map(|line| [line, "\r\n"]).collect::<String>();
        self.handle_answer(&answer, now)
    }

    /// Takes a datagram that came from `from`.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Result<(), Error> {
        let transport = TransportContext {
            local_addr: self.local,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        self.peer.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) })
    }

    /// Goes on in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.peer.handle_timeout(now)
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.peer.poll_timeout()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.peer.poll_write().map(|message| Transmit { to: message.transport.peer_addr, datagram: message.message })
    }

    /// Asks for a keyframe of the picture with this SSRC (PLI, RFC 4585 section 6.3.1).
    pub fn want_keyframe(&mut self, media_ssrc: u32, now: Instant) -> Result<(), Error> {
        let receiver = self.peer.get_receivers().next();
        let Some(mut receiver) = receiver.and_then(|id| self.peer.rtp_receiver(id)) else { return Ok(()) };
        receiver.write_rtcp(now, vec![Box::new(PictureLossIndication { sender_ssrc: 0, media_ssrc })])
    }

    /// The next packet that was received and opened.
    pub fn poll_received(&mut self) -> Option<Received> {
        while let Some(message) = self.peer.poll_read() {
            if let RTCMessage::RtpPacket(track, packet) = message.message {
                return Some(Received {
                    track,
                    payload_type: packet.header.payload_type,
                    sequence_number: packet.header.sequence_number,
                    timestamp: packet.header.timestamp,
                    ssrc: packet.header.ssrc,
                    marker: packet.header.marker,
                    payload: packet.payload.to_vec(),
                });
            }
        }
        None
    }

    /// Whether the handshake is over and the path is up. To be called as often as there is news: the engine goes from
    /// ICE to DTLS only when its events are taken.
    pub fn is_connected(&mut self) -> bool {
        while let Some(event) = self.peer.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.connected = state == RTCPeerConnectionState::Connected;
            }
        }
        self.connected
    }
}

/// A peer that can receive.
fn watching(role: RTCDtlsRole, now: Instant) -> Result<RTCPeerConnection, Error> {
    let mut media = MediaEngine::default();
    media.register_default_codecs()?;
    let settings = SettingEngineBuilder::new()
        .with_answering_dtls_role(role)
        .with_crypto_provider(Arc::new(rtc::crypto::providers::AwsLcRsProvider::new()))
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .build();
    RTCPeerConnectionBuilder::new().with_media_engine(media).with_setting_engine(settings).build(now)
}

const WATCHER: &str = "127.0.0.1:1";
const GATEWAY: &str = "127.0.0.1:2";
/// Virtual time until the self-test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a handshake within the process and sends a packet through it; the error says what did not work.
pub fn self_test(start: Instant) -> Result<(), String> {
    let failed = |error: Error| error.to_string();
    let mut watcher = Watcher::new(address(WATCHER), start).map_err(failed)?;
    let (mut session, answer) = Session::answer(&settings(false), &stream(), watcher.offer(), 1, start)
        .map_err(|refusal| refusal.to_string())?;
    watcher.handle_answer(&answer, start).map_err(failed)?;
    connect(&mut session, &mut watcher, start)
}

fn address(literal: &str) -> SocketAddr {
    literal.parse().expect("a literal address")
}

fn settings(ice_lite: bool) -> Settings {
    Settings {
        provider: Arc::new(rtc::crypto::providers::AwsLcRsProvider::new()),
        canonical: vec![address(GATEWAY)],
        announced: vec![address(GATEWAY)],
        ice_lite,
        tcp: false,
    }
}

fn stream() -> StreamMedia {
    let track = |codec, ssrc| Track { codec, ssrc, retransmission_ssrc: ssrc + 100, profile: None };
    StreamMedia { tracks: vec![track(Codec::H264, 11), track(Codec::Opus, 12)] }
}

/// Brings a handshake to its end and sends a packet.
fn connect(session: &mut Session, watcher: &mut Watcher, start: Instant) -> Result<(), String> {
    let failed = |error: Error| error.to_string();
    let mut now = start;
    let mut protector = None;
    while now < start + PATIENCE {
        now += Duration::from_millis(10);
        session.handle_timeout(now);
        watcher.handle_timeout(now).map_err(failed)?;
        exchange(session, watcher, now).map_err(failed)?;
        while let Some(event) = session.poll_event(now) {
            match event {
                Event::Connected { protector: heard, .. } => protector = Some(heard),
                Event::Broken(unknown) => return Err(unknown.to_string()),
                Event::Closed(why) => return Err(format!("the handshake failed: {why}")),
                Event::Moved(_) | Event::Lost { .. } | Event::KeyframeWanted | Event::FractionLost(_) => {}
            }
        }
        let connected = watcher.is_connected();
        if let Some(protector) = protector.as_ref().filter(|_| connected) {
            let accepted = &session.accepted()[0];
            let mut header = vec![0x80, accepted.offered.payload_type, 0, 1, 0, 0, 0, 9];
            header.extend_from_slice(&accepted.ssrc.to_be_bytes());
            let mut sealed = Vec::new();
            protector.protect(&header, b"\x65self-test", accepted.ssrc, 1, &mut sealed);
            if PacketView::parse(&sealed).is_none() {
                return Err("the sealed packet is no RTP packet".into());
            }
            watcher.handle_datagram(address(GATEWAY), &sealed, now).map_err(failed)?;
            return match watcher.poll_received() {
                Some(received) if received.payload == b"\x65self-test" => Ok(()),
                Some(_) => Err("the other side opened something else than was sealed".into()),
                None => Err("the other side cannot open what was sealed with the keys that were heard".into()),
            };
        }
    }
    Err(format!("the handshake was not over within {} s", PATIENCE.as_secs()))
}

/// Carries datagrams to and fro until none is left.
fn exchange(session: &mut Session, watcher: &mut Watcher, now: Instant) -> Result<(), Error> {
    let watcher_address = watcher.local;
    loop {
        let mut quiet = true;
        while let Some(Transmit { to, datagram }) = session.poll_transmit() {
            watcher.handle_datagram(address(GATEWAY), &datagram, now)?;
            debug_assert_eq!(to, watcher_address);
            quiet = false;
        }
        while let Some(Transmit { to: _, datagram }) = watcher.poll_transmit() {
            session.handle_datagram(watcher_address, &datagram, now);
            quiet = false;
        }
        if quiet {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
