//! A viewer's WebRTC side without sockets: ICE, DTLS and SRTP by the engine's own peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use dragonfork::whep::host_candidate;
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::media_stream::MediaStreamTrackId;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use serde::{Deserialize, Serialize};

/// How media is to be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protection {
    /// AES-128-GCM.
    Gcm,
    /// AES-128 in counter mode with HMAC-SHA1.
    CmSha1,
}

/// A receiving peer.
pub struct Peer {
    peer: RTCPeerConnection,
    local: SocketAddr,
    state: RTCPeerConnectionState,
}

/// A packet that was opened.
pub struct Opened {
    /// Payload.
    pub payload: Bytes,
}

impl Peer {
    /// A peer at `local` that offers, and its offer.
    pub fn offer(local: SocketAddr, protection: Protection, now: Instant) -> Result<(Self, String), Error> {
        let mut peer = build(protection, now)?;
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
        Ok(Self::described(peer, local))
    }

    /// A peer at `local` that answers an offer, and its answer.
    pub fn answer(local: SocketAddr, offer: String, now: Instant) -> Result<(Self, String), Error> {
        let mut peer = build(Protection::Gcm, now)?;
        peer.set_remote_description(now, RTCSessionDescription::offer(offer)?)?;
        peer.add_local_candidate(host_candidate(local)?)?;
        let answer = peer.create_answer(None)?;
        peer.set_local_description(now, answer)?;
        Ok(Self::described(peer, local))
    }

    fn described(peer: RTCPeerConnection, local: SocketAddr) -> (Self, String) {
        let description = peer.local_description().map(|description| description.sdp).unwrap_or_default();
        (Self { peer, local, state: RTCPeerConnectionState::New }, description)
    }

    /// Takes the answer to the offer.
    pub fn handle_answer(&mut self, answer: String, now: Instant) -> Result<(), Error> {
        self.peer.set_remote_description(now, RTCSessionDescription::answer(answer)?)
    }

    /// Takes a datagram that came from `from`.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        let transport = TransportContext {
            local_addr: self.local,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        // A packet that comes before the handshake is over cannot be opened, and is no error.
        let _ = self.peer.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) });
    }

    /// Goes on in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        // Timers of a peer that has failed; its state tells.
        let _ = self.peer.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.peer.poll_timeout()
    }

    /// The next datagram to send, and where to.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, BytesMut)> {
        self.peer.poll_write().map(|message| (message.transport.peer_addr, message.message))
    }

    /// The next packet that was opened.
    pub fn poll_opened(&mut self) -> Option<Opened> {
        while let Some(message) = self.peer.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = message.message {
                return Some(Opened { payload: packet.payload });
            }
        }
        None
    }

    /// How the handshake stands. To be called as often as there is news: the engine goes from ICE to DTLS only when its
    /// events are taken.
    pub fn state(&mut self) -> RTCPeerConnectionState {
        while let Some(event) = self.peer.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.state = state;
            }
        }
        self.state
    }

    /// Sends a receiver report: for each SSRC the highest sequence number with its rollovers.
    pub fn report(&mut self, tracks: &[(u32, u32)], now: Instant) {
        let reports = tracks
            .iter()
            .map(|(ssrc, highest)| ReceptionReport {
                ssrc: *ssrc,
                last_sequence_number: *highest,
                ..ReceptionReport::default()
            })
            .collect();
        self.send(Box::new(ReceiverReport { ssrc: 1, reports, ..ReceiverReport::default() }), now);
    }

    /// Asks for packets again.
    pub fn ask_again(&mut self, ssrc: u32, sequence_numbers: &[u16], now: Instant) {
        let nacks = nack_pairs_from_sequence_numbers(sequence_numbers);
        self.send(Box::new(TransportLayerNack { sender_ssrc: 1, media_ssrc: ssrc, nacks }), now);
    }

    fn send(&mut self, packet: Box<dyn rtc::rtcp::Packet>, now: Instant) {
        let message = RTCMessage::RtcpPacket(MediaStreamTrackId::default(), vec![packet]);
        // Nothing can be sent before the handshake is over.
        let _ = self.peer.handle_write(TaggedRTCMessage { now, message });
    }
}

fn build(protection: Protection, now: Instant) -> Result<RTCPeerConnection, Error> {
    let mut media = MediaEngine::default();
    let video = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    media.register_codec(codec(MIME_TYPE_H264, 90_000, 0, video, 102), RtpCodecKind::Video)?;
    let audio = "minptime=10;useinbandfec=1";
    media.register_codec(codec(MIME_TYPE_OPUS, 48_000, 2, audio, 111), RtpCodecKind::Audio)?;
    let profile = match protection {
        Protection::Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        Protection::CmSha1 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    };
    let settings = SettingEngineBuilder::new()
        .with_crypto_provider(Arc::new(rtc::crypto::providers::AwsLcRsProvider::new()))
        .with_srtp_protection_profiles(vec![profile])
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .build();
    RTCPeerConnectionBuilder::new().with_media_engine(media).with_setting_engine(settings).build(now)
}

fn codec(mime_type: &str, clock_rate: u32, channels: u16, fmtp: &str, payload_type: u8) -> RTCRtpCodecParameters {
    let rtp_codec = RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: Vec::new(),
    };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}
