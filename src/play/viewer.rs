//! One viewer: its phases in their order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rtc::interceptor::{NackGeneratorBuilder, ReceiverReportBuilder, Registry, Slot};
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_AV1, MIME_TYPE_H264, MIME_TYPE_HEVC, MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8, MIME_TYPE_VP9,
};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::rtp_transceiver::rtp_sender::{RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use webrtc::error::Error;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceConnectionState,
    RTCPeerConnectionState, RTCSessionDescription,
};

use super::http::{Endpoint, Session};
use super::wire::{OFFERED, PayloadType, SharedTallies, Wire};
use super::{Failure, Phase, Settings, Times, Viewer};
use crate::rtp::{Codec, MediaKind};

/// How long gathering, ICE and DTLS may take, each.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the description is looked at while candidates are gathered.
const GATHERING: Duration = Duration::from_millis(2);
/// How often the receiver asks for what is missing, and how often for one packet.
const ASK_INTERVAL: Duration = Duration::from_millis(20);
const ASK_AT_MOST: u16 = 10;

/// How far the connection is.
#[derive(Clone, Copy, Default)]
struct Progress {
    ice: Option<Instant>,
    dtls: Option<Instant>,
    has_ended: bool,
}

/// Hears the events of a connection.
struct Listener(watch::Sender<Progress>);

#[async_trait]
impl PeerConnectionEventHandler for Listener {
    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        self.0.send_modify(|progress| match state {
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => {
                progress.ice.get_or_insert_with(Instant::now);
            }
            RTCIceConnectionState::Failed | RTCIceConnectionState::Closed => progress.has_ended = true,
            _ => {}
        });
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.0.send_modify(|progress| match state {
            RTCPeerConnectionState::Connected => {
                progress.dtls.get_or_insert_with(Instant::now);
            }
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => progress.has_ended = true,
            _ => {}
        });
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        // What is counted was counted before; the rest is thrown away.
        tokio::spawn(async move { while track.poll().await.is_some() {} });
    }
}

/// A viewer on its way.
struct Watching<'a> {
    endpoint: &'a Endpoint,
    stop: &'a CancellationToken,
    duration: Duration,
    connection: Arc<dyn PeerConnection>,
    progress: watch::Receiver<Progress>,
    tallies: SharedTallies,
}

/// Plays once, and deletes the session.
pub async fn watch(number: u32, settings: &Settings, endpoint: &Endpoint, stop: &CancellationToken) -> Viewer {
    let tallies = SharedTallies::default();
    let (listener, progress) = watch::channel(Progress::default());
    let connection = match connect(settings, endpoint, listener, tallies.clone()).await {
        Ok(connection) => connection,
        Err(error) => {
            return Viewer::failed(number, Failure::new(Phase::Ice, format!("no peer on this machine: {error}")));
        }
    };
    let mut watching = Watching { endpoint, stop, duration: settings.duration, connection, progress, tallies };
    let viewer = watching.run(number).await;
    // It is over either way.
    let _ = watching.connection.close().await;
    viewer
}

impl Watching<'_> {
    async fn run(&mut self, number: u32) -> Viewer {
        let offer = match self.offer().await {
            Ok(offer) => offer,
            Err(failure) => return Viewer::failed(number, failure),
        };
        let begin = Instant::now();
        let session = match self.endpoint.open(offer).await {
            Ok(session) => session,
            Err(failure) => return Viewer::failed(number, failure),
        };
        let answered = Instant::now();
        let failure = self.follow(&session).await.err();
        let end = Instant::now();
        let progress = *self.progress.borrow();
        let deleted = self.endpoint.close(&session).await;
        let tallies = self.tallies.lock().expect("no holder of this lock panics");
        let since = |moment: Option<Instant>| moment.map(|moment| moment.saturating_duration_since(begin));
        let first = [tallies.video.first_packet, tallies.audio.first_packet].into_iter().flatten().min();
        let times = Times::new(
            since(Some(answered)),
            since(progress.ice),
            since(progress.dtls),
            since(first),
            since(tallies.video.first_keyframe),
        );
        let watched = progress.dtls.map_or(Duration::ZERO, |begin| end.saturating_duration_since(begin));
        Viewer::new(number, times, watched, &tallies, end, deleted, failure)
    }

    /// The offer, once this machine's addresses are in it.
    async fn offer(&self) -> Result<String, Failure> {
        let failed = |error: Error| Failure::new(Phase::Ice, format!("no offer can be made: {error}"));
        let offer = self.connection.create_offer(None).await.map_err(failed)?;
        self.connection.set_local_description(offer).await.map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let description = self.connection.local_description().await.map(|description| description.sdp);
            if let Some(sdp) = description.filter(|sdp| sdp.contains("a=candidate:")) {
                return Ok(sdp);
            }
            tokio::time::sleep(GATHERING).await;
        }
        Err(Failure::new(Phase::Ice, "this machine has no address for UDP"))
    }

    /// Goes through the phases behind the 201.
    async fn follow(&mut self, session: &Session) -> Result<(), Failure> {
        let answer = RTCSessionDescription::answer(session.answer.clone());
        let answer = answer.map_err(|error| Failure::new(Phase::Answer, format!("the answer is no SDP: {error}")))?;
        let applied = self.connection.set_remote_description(answer).await;
        applied.map_err(|error| Failure::new(Phase::Answer, format!("the answer does not fit the offer: {error}")))?;
        if !self.until(|progress| progress.ice.is_some()).await {
            let servers = candidates(&session.answer).join(", ");
            let servers = if servers.is_empty() { "the answer names no address".to_owned() } else { servers };
            return Err(Failure::new(Phase::Ice, format!("no UDP path to the server was found ({servers})")));
        }
        if !self.until(|progress| progress.dtls.is_some()).await {
            return Err(Failure::new(Phase::Dtls, "UDP gets through, but DTLS did not come to its end"));
        }
        self.watch().await;
        self.judge(&session.answer)
    }

    /// Waits until the connection is so far.
    async fn until(&mut self, holds: impl Fn(&Progress) -> bool) -> bool {
        let news = self.progress.wait_for(|progress| holds(progress) || progress.has_ended);
        tokio::select! {
            news = tokio::time::timeout(PATIENCE, news) => matches!(news, Ok(Ok(progress)) if holds(&progress)),
            () = self.stop.cancelled() => false,
        }
    }

    /// Watches for its time, or as long as the server goes on.
    async fn watch(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(self.duration) => {}
            () = self.stop.cancelled() => {}
            _ = self.progress.wait_for(|progress| progress.has_ended) => {}
        }
    }

    fn judge(&self, answer: &str) -> Result<(), Failure> {
        let tallies = self.tallies.lock().expect("no holder of this lock panics");
        if tallies.video.packets + tallies.audio.packets == 0 {
            return Err(Failure::new(Phase::Media, "the connection stands, but no packet came"));
        }
        if has_picture(answer) && tallies.video.keyframes == 0 {
            let packets = tallies.video.packets;
            return Err(Failure::new(
                Phase::Keyframe,
                format!("{packets} packets of the picture and no keyframe came"),
            ));
        }
        Ok(())
    }
}

async fn connect(
    settings: &Settings,
    endpoint: &Endpoint,
    listener: watch::Sender<Progress>,
    tallies: SharedTallies,
) -> Result<Arc<dyn PeerConnection>, Error> {
    let mut media = MediaEngine::default();
    for offered in &OFFERED {
        register(&mut media, offered)?;
    }
    let asking = NackGeneratorBuilder::new().with_interval(ASK_INTERVAL).with_max_nacks_per_packet(ASK_AT_MOST);
    let registry = Registry::new()
        .with(Slot::from(500), Wire::new(tallies, settings.loss))
        .with(Slot::NackGenerator, asking.build())
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build());
    let settings =
        SettingEngineBuilder::new().with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled).build();
    let connection = PeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Listener(listener)))
        .with_runtime(Arc::new(webrtc::runtime::TokioRuntime))
        .with_udp_addrs(super::own_addresses(&endpoint.addresses))
        .build()
        .await?;
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: Vec::new(),
            send_encodings: Vec::new(),
        };
        connection.add_transceiver_from_kind(kind, Some(init)).await?;
    }
    Ok(Arc::new(connection))
}

fn register(media: &mut MediaEngine, offered: &PayloadType) -> Result<(), Error> {
    let PayloadType { number, codec, fmtp, resent } = offered;
    let (mime_type, channels, kind) = match codec {
        Codec::H264 => (MIME_TYPE_H264, 0, RtpCodecKind::Video),
        Codec::H265 => (MIME_TYPE_HEVC, 0, RtpCodecKind::Video),
        Codec::Vp8 => (MIME_TYPE_VP8, 0, RtpCodecKind::Video),
        Codec::Vp9 => (MIME_TYPE_VP9, 0, RtpCodecKind::Video),
        Codec::Av1 => (MIME_TYPE_AV1, 0, RtpCodecKind::Video),
        Codec::Opus => (MIME_TYPE_OPUS, 2, RtpCodecKind::Audio),
    };
    let feedback = |parameter: &str| RTCPFeedback { typ: "nack".into(), parameter: parameter.into() };
    let rtcp_feedback = if codec.kind() == MediaKind::Video { vec![feedback(""), feedback("pli")] } else { Vec::new() };
    let mut add = |mime_type: &str, fmtp: String, payload_type, rtcp_feedback| {
        let mime_type = mime_type.to_owned();
        let clock_rate = codec.clock_rate();
        let rtp_codec = RTCRtpCodec { mime_type, clock_rate, channels, sdp_fmtp_line: fmtp, rtcp_feedback };
        media.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, kind)
    };
    add(mime_type, (*fmtp).to_owned(), *number, rtcp_feedback)?;
    if let Some(resent) = resent {
        add(MIME_TYPE_RTX, format!("apt={number}"), *resent, Vec::new())?;
    }
    Ok(())
}

/// Whether an answer has a picture: an m-line for it that was not rejected.
fn has_picture(answer: &str) -> bool {
    answer.lines().any(|line| line.starts_with("m=video ") && !line.starts_with("m=video 0 "))
}

/// Addresses and ports of an answer's candidates.
fn candidates(answer: &str) -> Vec<String> {
    let mut found: Vec<String> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some(format!("{} port {}", words.get(4)?, words.get(5)?))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_m_line_is_no_picture() {
        assert!(has_picture("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\n"));
        assert!(!has_picture("v=0\r\nm=video 0 UDP/TLS/RTP/SAVPF 102\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"));
    }

    #[test]
    fn each_address_of_an_answer_is_named_once() {
        let answer =
            "a=candidate:1 1 udp 1 192.0.2.1 8189 typ host\r\na=candidate:1 1 udp 1 192.0.2.1 8189 typ host\r\n";
        assert_eq!(candidates(answer), ["192.0.2.1 port 8189"]);
    }
}
