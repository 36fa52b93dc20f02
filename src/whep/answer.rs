//! The SDP answer, and the plain description that the WebRTC engine is given in place of a browser's.
//!
//! The engine sees only the media that is answered, with the one codec that was chosen. So what a browser writes
//! beside it (odd extensions, names as candidates, a second camera) cannot disturb it, and the answer is this room's
//! own, line by line.

use std::fmt::Write;
use std::net::SocketAddr;

use super::media::{Entry, Sent, write_media};
use super::offer::{Offer, OfferedCodec, OfferedMedia};
use super::{Refusal, StreamMedia};
use crate::rtp::{Codec, MediaKind, Profile};

/// Header extension that names the media description (RFC 9143 section 14.1).
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Header extension that bounds the receiver's playout delay.
pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// One media description that is answered with media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Place among the offer's media descriptions.
    pub at: usize,
    /// The `a=mid`.
    pub mid: String,
    /// The codec.
    pub codec: Codec,
    /// The offer's own entry of that codec.
    pub offered: OfferedCodec,
    /// The `a=fmtp` parameters of the answer; empty without.
    pub fmtp: String,
    /// Id of the MID header extension.
    pub mid_extension: Option<u8>,
    /// Id of the playout-delay header extension.
    pub playout_delay_extension: Option<u8>,
    /// SSRC of the media.
    pub ssrc: u32,
    /// How lost packets are resent; `None` resends the same packet again.
    pub retransmission: Option<Retransmission>,
}

/// A retransmission stream (RFC 4588).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// Its payload type.
    pub payload_type: u8,
    /// Its SSRC.
    pub ssrc: u32,
}

/// Chooses what is answered: of each kind the first media description that has the stream's codec.
pub fn accept(offer: &Offer, stream: &StreamMedia) -> Result<Vec<Accepted>, Refusal> {
    let mut accepted: Vec<Accepted> = Vec::new();
    let mut missed = Vec::new();
    for (at, media) in offer.media.iter().enumerate().filter(|(_, media)| media.receives) {
        let Some(track) = stream.tracks.iter().find(|track| Some(track.codec.kind()) == media.kind) else {
            continue;
        };
        if accepted.iter().any(|accepted| accepted.codec == track.codec) {
            continue;
        }
        match media.codec(track.codec, track.profile) {
            Some(offered) => accepted.push(Accepted {
                at,
                mid: media.mid.clone(),
                codec: track.codec,
                offered: offered.clone(),
                fmtp: fmtp(track.codec, offered, track.profile),
                mid_extension: media.extension(MID),
                playout_delay_extension: media
                    .extension(PLAYOUT_DELAY)
                    .filter(|_| media.kind == Some(MediaKind::Video)),
                ssrc: track.ssrc,
                retransmission: media
                    .retransmission(offered)
                    .map(|payload_type| Retransmission { payload_type, ssrc: track.retransmission_ssrc }),
            }),
            None => missed.push(format!("m={} lacks {}", media.media, track.codec.name())),
        }
    }
    if accepted.is_empty() {
        let streams = stream.tracks.iter().map(|track| track.codec.name()).collect::<Vec<_>>().join(" and ");
        let why = if missed.is_empty() { "nothing of it is asked for".into() } else { missed.join(", ") };
        return Err(Refusal::NoCommonCodec(format!("the stream has {streams}, and {why}")));
    }
    Ok(accepted)
}

/// The parameters of the answer: the offered profile, for H.264 with the level that is really sent. H.265 and AV1 have no
/// way to say that the levels of both sides differ, and browsers refuse an answer with another one than they offered.
pub fn fmtp(codec: Codec, offered: &OfferedCodec, profile: Option<Profile>) -> String {
    match codec {
        Codec::Opus => "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1".into(),
        Codec::Vp8 => String::new(),
        Codec::Vp9 => format!("profile-id={}", offered.parameter("profile-id").unwrap_or("0")),
        Codec::H265 | Codec::Av1 => offered.fmtp.clone(),
        Codec::H264 => {
            let id = offered.parameter("profile-level-id").unwrap_or("42e01f");
            let level = profile.map_or_else(|| id[id.len().min(4)..].to_owned(), |sent| format!("{:02x}", sent.level));
            let family = id.get(..4).unwrap_or("42e0");
            format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={family}{level}")
        }
    }
}

/// The offer, or the answer to a counter-offer, that the WebRTC engine is given.
pub fn plain(offer: &Offer, accepted: &[Accepted]) -> String {
    let mids = accepted.iter().map(|accepted| accepted.mid.as_str()).collect::<Vec<_>>().join(" ");
    let mut sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\na=ice-options:trickle\r\n\
         a=fingerprint:{}\r\n",
        offer.fingerprint
    );
    for accepted in accepted {
        let Accepted { mid, offered, .. } = accepted;
        let OfferedCodec { payload_type, name, clock_rate, fmtp } = offered;
        let media = media_name(accepted.codec.kind());
        let channels = if accepted.codec == Codec::Opus { "/2" } else { "" };
        write!(
            sdp,
            "m={media} 9 UDP/TLS/RTP/SAVPF {payload_type}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n\
             a=setup:{}\r\na=mid:{mid}\r\na=recvonly\r\na=rtcp-mux\r\n\
             a=rtpmap:{payload_type} {name}/{clock_rate}{channels}\r\n",
            offer.ufrag, offer.password, offer.setup
        )
        .expect("writing to a string");
        if !fmtp.is_empty() {
            write!(sdp, "a=fmtp:{payload_type} {fmtp}\r\n").expect("writing to a string");
        }
        for candidate in &offer.candidates {
            write!(sdp, "a=candidate:{candidate}\r\n").expect("writing to a string");
        }
    }
    sdp
}

/// What the answer needs of the engine and of the gateway.
pub struct Local<'a> {
    /// ICE user fragment.
    pub ufrag: &'a str,
    /// ICE password.
    pub password: &'a str,
    /// DTLS fingerprint: hash function and value.
    pub fingerprint: &'a str,
    /// Addresses that viewers may try, best first.
    pub announced: &'a [SocketAddr],
    /// Whether this side is ICE lite.
    pub ice_lite: bool,
    /// Whether viewers may try TCP too.
    pub tcp: bool,
    /// Number of the `o=` line.
    pub session: u64,
    /// Canonical name of both tracks (RFC 3550 section 6.5.1).
    pub cname: &'a str,
}

/// The answer to the browser.
pub fn write_answer(offer: &Offer, accepted: &[Accepted], local: &Local<'_>) -> String {
    let is_answered = |at: usize| accepted.iter().find(|accepted| accepted.at == at);
    let in_bundle = |(at, media): &(usize, &OfferedMedia)| is_answered(*at).is_some() || is_carrier(offer, media);
    let mids: Vec<&str> =
        offer.media.iter().enumerate().filter(in_bundle).map(|(_, media)| media.mid.as_str()).collect();
    let mids = mids.join(" ");
    let mut sdp = format!(
        "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\na=msid-semantic: WMS *\r\n\
         {}a=ice-options:trickle\r\na=fingerprint:{}\r\n",
        local.session,
        lite(local),
        local.fingerprint
    );
    let mut first = true;
    for (at, media) in offer.media.iter().enumerate() {
        match is_answered(at) {
            Some(accepted) => {
                let Accepted { mid_extension, playout_delay_extension, ssrc, .. } = accepted;
                let sent = Sent {
                    codec: accepted.codec,
                    entries: vec![Entry {
                        payload_type: accepted.offered.payload_type,
                        fmtp: accepted.fmtp.clone(),
                        retransmission: accepted.retransmission,
                    }],
                    mid_extension: *mid_extension,
                    playout_delay_extension: *playout_delay_extension,
                    ssrc: *ssrc,
                    setup: "passive",
                };
                write_media(&mut sdp, media, &sent, local);
                write_candidates(&mut sdp, local, std::mem::take(&mut first));
            }
            None if is_carrier(offer, media) => {
                write_carrier(&mut sdp, media, local);
                write_candidates(&mut sdp, local, std::mem::take(&mut first));
            }
            None => write!(
                sdp,
                "m={} 0 {} {}\r\nc=IN IP4 0.0.0.0\r\na=mid:{}\r\na=inactive\r\n",
                media.media,
                media.protocol,
                media.formats.first().map_or("0", String::as_str),
                media.mid
            )
            .expect("writing to a string"),
        }
    }
    sdp
}

/// The fragment that tells the player of an ICE restart (RFC 9725 section 4.3.3, RFC 8840 section 9).
pub fn write_fragment(offer: &Offer, accepted: &[Accepted], local: &Local<'_>) -> String {
    let is_answered = |at: usize| accepted.iter().any(|accepted| accepted.at == at);
    let in_bundle = |(at, media): &(usize, &OfferedMedia)| is_answered(*at) || is_carrier(offer, media);
    let bundle: Vec<_> = offer.media.iter().enumerate().filter(in_bundle).map(|(_, media)| media).collect();
    let mids: Vec<&str> = bundle.iter().map(|media| media.mid.as_str()).collect();
    let mut fragment = format!(
        "{}a=ice-options:trickle\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=group:BUNDLE {}\r\n",
        lite(local),
        local.ufrag,
        local.password,
        mids.join(" ")
    );
    // The transport of the bundle is that of its first media description.
    if let Some(first) = bundle.first() {
        let OfferedMedia { media, protocol, mid, .. } = first;
        write!(fragment, "m={media} 9 {protocol} 0\r\na=mid:{mid}\r\n").expect("writing to a string");
        write_candidates(&mut fragment, local, true);
    }
    fragment
}

/// Whether a media description has to stay although no media of the stream goes there. Where an offer bundles all media
/// from the start (`max-bundle`), only the first one has a transport, and rejecting it would reject everything.
fn is_carrier(offer: &Offer, media: &OfferedMedia) -> bool {
    media.kind.is_some() && !media.codecs.is_empty() && offer.tag.as_ref() == Some(&media.mid)
}

/// A media description that carries the transport and no media.
fn write_carrier(sdp: &mut String, media: &OfferedMedia, local: &Local<'_>) {
    let OfferedCodec { payload_type, name, clock_rate, fmtp: _ } = &media.codecs[0];
    let channels = if name.eq_ignore_ascii_case(Codec::Opus.name()) { "/2" } else { "" };
    write!(
        sdp,
        "m={} 9 {} {payload_type}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=setup:passive\r\n\
         a=mid:{}\r\na=inactive\r\na=rtcp-mux\r\na=rtcp-mux-only\r\n\
         a=rtpmap:{payload_type} {name}/{clock_rate}{channels}\r\n",
        media.media, media.protocol, local.ufrag, local.password, media.mid
    )
    .expect("writing to a string");
}

/// RFC 8839 section 5.3.
pub fn lite(local: &Local<'_>) -> &'static str {
    if local.ice_lite { "a=ice-lite\r\n" } else { "" }
}

/// Host candidates, best first (RFC 8445 section 5.1.2). The first media description of a bundle has them for all.
pub fn write_candidates(sdp: &mut String, local: &Local<'_>, first: bool) {
    if !first {
        return;
    }
    for (number, address) in local.announced.iter().enumerate() {
        let priority = (126_u32 << 24) | ((65_535_u32.saturating_sub(number as u32)) << 8) | 255;
        let (ip, port) = (address.ip(), address.port());
        write!(sdp, "a=candidate:{number} 1 udp {priority} {ip} {port} typ host\r\n").expect("writing to a string");
    }
    // Below every UDP candidate; the direction, passive, is a part of the local preference (RFC 6544 section 4.2).
    for (number, address) in local.announced.iter().enumerate().filter(|_| local.tcp) {
        let preference = (4 << 13) | 8_191_u32.saturating_sub(number as u32);
        let priority = (90_u32 << 24) | (preference << 8) | 255;
        let (foundation, ip, port) = (local.announced.len() + number, address.ip(), address.port());
        write!(sdp, "a=candidate:{foundation} 1 tcp {priority} {ip} {port} typ host tcptype passive\r\n")
            .expect("writing to a string");
    }
    sdp.push_str("a=end-of-candidates\r\n");
}

pub fn media_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whep::Track;

    fn answer(offer: &str, codec: Codec) -> String {
        let offer = Offer::parse(offer).expect("it is an offer");
        let stream = StreamMedia { tracks: vec![Track { codec, ssrc: 7, retransmission_ssrc: 8, profile: None }] };
        let accepted = accept(&offer, &stream).expect("the codec is common");
        let announced = ["192.0.2.1:8189".parse().expect("an address")];
        let local = Local {
            ufrag: "ufrag",
            password: "password",
            fingerprint: "sha-256 00",
            announced: &announced,
            ice_lite: false,
            tcp: true,
            session: 1,
            cname: "cname",
        };
        write_answer(&offer, &accepted, &local)
    }

    /// The media descriptions of a description, the session's part first.
    fn parts(sdp: &str) -> Vec<&str> {
        sdp.split("\r\nm=").collect()
    }

    #[test]
    fn the_transport_of_the_bundle_stays_where_the_stream_has_nothing_for_its_media() {
        let offer = include_str!("../../tests/offers/offer_chromium156_gathered.sdp");
        let sdp = answer(offer, Codec::Opus);
        let [session, video, audio] = parts(&sdp)[..] else { panic!("two media: {sdp}") };
        assert!(session.contains("a=group:BUNDLE 0 1\r\n"), "{session}");
        assert!(video.starts_with("video 9 ") && video.contains("a=inactive"), "{video}");
        for wanted in ["a=ice-ufrag:ufrag", "a=setup:passive", "a=rtcp-mux", "a=candidate:0", "a=end-of-candidates"] {
            assert!(video.contains(wanted), "{wanted} in {video}");
        }
        assert!(audio.starts_with("audio 9 ") && audio.contains("a=sendonly"), "{audio}");
        assert!(!audio.contains("a=candidate"), "{audio}");
    }

    #[test]
    fn each_codec_has_its_own_parameters_and_its_retransmission_stream() {
        let offer = include_str!("../../tests/offers/offer_chromium156_gathered.sdp");
        for (codec, line) in [
            (Codec::Vp8, "a=rtpmap:96 VP8/90000"),
            (Codec::Vp9, "a=fmtp:98 profile-id=0"),
            (Codec::Av1, "a=fmtp:45 level-idx=5;profile=0;tier=0"),
        ] {
            let sdp = answer(offer, codec);
            assert!(sdp.contains(&format!("{line}\r\n")) && sdp.contains("apt="), "{sdp}");
        }
        assert!(!answer(offer, Codec::Vp8).contains("a=fmtp:96 "), "VP8 has none");
    }

    #[test]
    fn the_round_trip_can_be_measured_where_that_was_offered() {
        let offer = include_str!("../../tests/offers/offer_chromium156_gathered.sdp");
        let line = "a=rtcp-xr:rcvr-rtt=all\r\n";
        assert!(answer(offer, Codec::H264).contains(line));
        assert!(!answer(&offer.replace(line, ""), Codec::H264).contains("rtcp-xr"));
    }

    #[test]
    fn other_media_that_the_stream_does_not_have_are_rejected() {
        let offer = include_str!("../../tests/offers/offer_chromium156_gathered.sdp");
        let sdp = answer(offer, Codec::H264);
        let [session, video, audio] = parts(&sdp)[..] else { panic!("two media: {sdp}") };
        assert!(session.contains("a=group:BUNDLE 0\r\n"), "{session}");
        assert!(video.starts_with("video 9 ") && video.contains("a=candidate:0"), "{video}");
        assert!(audio.starts_with("audio 0 "), "{audio}");
    }
}
