//! The WebRTC engine as a session wants it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rtc::interceptor::{Registry, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_AV1, MIME_TYPE_H264, MIME_TYPE_HEVC, MIME_TYPE_OPUS, MIME_TYPE_VP8, MIME_TYPE_VP9, MediaEngine,
};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::transport::{
    CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate, RTCIceCandidateInit,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtcp;
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};

use super::super::answer::{Accepted, Local};
use super::super::feedback::Deliver;
use super::super::offer::OfferedCodec;
use super::super::tap::KeyTap;
use super::Settings;
use crate::rtp::{Codec, MediaKind};

/// Without a sign of life for this long the path counts as broken; after the grace that follows the session is over.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(5);
const DISCONNECT_GRACE: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(2);

/// What the WebRTC engine's own description says of this side.
pub struct OwnSide {
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// DTLS fingerprint: hash function and value.
    pub fingerprint: String,
}

impl OwnSide {
    /// Reads the engine's description, which has to be set.
    pub fn read(peer: &RTCPeerConnection) -> Self {
        let own = peer.local_description().map(|description| description.sdp).unwrap_or_default();
        let line = |key: &str| {
            own.lines()
                .find_map(|line| line.strip_prefix(key))
                .map(|value| value.trim().to_owned())
                .expect("the engine's own description has credentials and a fingerprint")
        };
        Self { ufrag: line("a=ice-ufrag:"), password: line("a=ice-pwd:"), fingerprint: line("a=fingerprint:") }
    }

    /// The same with what the gateway knows.
    pub fn local<'a>(&'a self, announced: &'a [SocketAddr], (ice_lite, tcp): (bool, bool), session: u64) -> Local<'a> {
        let Self { ufrag, password, fingerprint } = self;
        Local { ufrag, password, fingerprint, announced, ice_lite, tcp, session, cname: "dragonfork" }
    }
}

/// Has the engine answer the offer that it was given last.
pub fn own_answer(peer: &mut RTCPeerConnection, now: Instant) -> Result<OwnSide, rtc::shared::error::Error> {
    let answer = peer.create_answer(None)?;
    peer.set_local_description(now, answer)?;
    Ok(OwnSide::read(peer))
}

/// The WebRTC engine of one session, and what belongs to it.
pub struct Engine {
    /// The engine.
    pub peer: RTCPeerConnection,
    /// Hears its keys.
    pub tap: Arc<KeyTap>,
    /// What viewers report.
    pub heard: Receiver<Vec<Box<dyn rtcp::Packet>>>,
    /// One for each track.
    pub senders: Vec<RTCRtpSenderId>,
}

impl Engine {
    /// An engine with these tracks, which knows these codecs.
    pub fn new<'a>(
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
