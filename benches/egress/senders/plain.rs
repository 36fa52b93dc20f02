//! Plain `webrtc`: its `TrackLocalStaticRTP`, with the interceptors that it registers by default.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use tokio::net::UdpSocket;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCSessionDescription, Registry,
    register_default_interceptors,
};

use super::Order;
use crate::control;
use crate::parameters::{RTP_HEADER, WEBRTC_WORKERS};
use crate::source::Ports;
use crate::traffic::Kind;

/// How long gathering may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One viewer's tracks, and what holds its connection.
struct Viewer {
    video: Arc<TrackLocalStaticRTP>,
    audio: Arc<TrackLocalStaticRTP>,
    ssrcs: [u32; 2],
    payload_types: [u8; 2],
    _connection: Arc<dyn PeerConnection>,
}

/// Takes the events of a connection, none of which matters here.
struct Deaf;

impl PeerConnectionEventHandler for Deaf {}

type Viewers = Arc<Mutex<Arc<Vec<Arc<Viewer>>>>>;

/// Plays the role.
pub fn run() -> Result<()> {
    let orders = control::orders();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WEBRTC_WORKERS).enable_all().build()?;
    let viewers = Viewers::default();
    for order in orders {
        match order {
            Order::Open(1) => control::answer(&runtime.block_on(open(&viewers))),
            Order::Offer { sdp, .. } => control::answer(&runtime.block_on(answer(&viewers, sdp))),
            order => control::answer::<()>(&Err(anyhow!("plain webrtc does not do {order:?}"))),
        }
    }
    Ok(())
}

async fn open(viewers: &Viewers) -> Result<Vec<Ports>> {
    let mut ports = [0; 2];
    for kind in [Kind::Video, Kind::Audio] {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        ports[kind as usize] = socket.local_addr()?.port();
        tokio::spawn(forward(socket, kind, viewers.clone()));
    }
    Ok(vec![Ports { video: ports[0], audio: ports[1] }])
}

/// Writes every packet of a leg to every viewer's track.
async fn forward(socket: UdpSocket, kind: Kind, viewers: Viewers) {
    let mut buffer = vec![0; 2048];
    while let Ok(size) = socket.recv(&mut buffer).await {
        let (header, payload) = buffer[..size].split_at(RTP_HEADER);
        let payload = Bytes::copy_from_slice(payload);
        let current = viewers.lock().expect("no holder of this lock panics").clone();
        for viewer in current.iter() {
            let header = rtp::Header {
                version: 2,
                marker: header[1] & 0x80 != 0,
                payload_type: viewer.payload_types[kind as usize],
                sequence_number: u16::from_be_bytes([header[2], header[3]]),
                timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                ssrc: viewer.ssrcs[kind as usize],
                ..rtp::Header::default()
            };
            let track = if kind == Kind::Video { &viewer.video } else { &viewer.audio };
            // A track refuses what comes before its handshake is over.
            let _ = track.write_rtp(rtp::Packet { header, payload: payload.clone() }).await;
        }
    }
}

async fn answer(viewers: &Viewers, offer: String) -> Result<String> {
    let number = viewers.lock().expect("no holder of this lock panics").len() as u32;
    let mut media = MediaEngine::default();
    media.register_default_codecs()?;
    let interceptors = register_default_interceptors(Registry::new(), &mut media)?;
    let settings = SettingEngineBuilder::new()
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .build();
    let connection = PeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(interceptors)
        .with_handler(Arc::new(Deaf))
        .with_runtime(Arc::new(webrtc::runtime::TokioRuntime))
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .build()
        .await?;
    let connection: Arc<dyn PeerConnection> = Arc::new(connection);
    let ssrcs = [0x1000_0000 + number, 0x2000_0000 + number];
    let video = track(RtpCodecKind::Video, ssrcs[0]);
    let audio = track(RtpCodecKind::Audio, ssrcs[1]);
    let mut payload_types = [0; 2];
    let mut senders = Vec::new();
    for track in [&video, &audio] {
        senders.push(connection.add_track(track.clone() as Arc<dyn TrackLocal>).await?);
    }
    connection.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
    let answer = connection.create_answer(None).await?;
    connection.set_local_description(answer).await?;
    for (sender, payload_type) in senders.iter().zip(&mut payload_types) {
        let parameters = sender.get_parameters().await?;
        *payload_type = parameters.rtp_parameters.codecs.first().context("no codec was agreed on")?.payload_type;
    }
    let sdp = gathered(connection.as_ref()).await?;
    let viewer = Arc::new(Viewer { video, audio, ssrcs, payload_types, _connection: connection });
    let mut viewers = viewers.lock().expect("no holder of this lock panics");
    Arc::make_mut(&mut viewers).push(viewer);
    Ok(sdp)
}

/// The answer, once it has its candidate.
async fn gathered(connection: &dyn PeerConnection) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let description = connection.local_description().await.map(|description| description.sdp);
        if let Some(sdp) = description.filter(|sdp| sdp.contains("a=candidate:")) {
            return Ok(sdp);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bail!("no candidate was gathered")
}

fn track(kind: RtpCodecKind, ssrc: u32) -> Arc<TrackLocalStaticRTP> {
    let (mime_type, clock_rate, channels, fmtp) = match kind {
        RtpCodecKind::Audio => (MIME_TYPE_OPUS, 48_000, 2, "minptime=10;useinbandfec=1"),
        _ => (MIME_TYPE_H264, 90_000, 0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    };
    let codec = RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: Vec::new(),
    };
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
        codec,
        ..RTCRtpEncodingParameters::default()
    };
    let track = MediaStreamTrack::new("bench".into(), format!("{kind}"), format!("{kind}"), kind, vec![coding]);
    Arc::new(TrackLocalStaticRTP::new(track))
}
