//! The offer of this side, for a player whose own offer has none of the stream's codecs (draft-ietf-wish-whep,
//! "Server Sends Counter-offer").

use super::answer::{Local, MID, PLAYOUT_DELAY, Retransmission, fmtp, lite, media_name, write_candidates};
use super::media::{Entry, Sent, write_media};
use super::offer::{Offer, OfferedCodec, OfferedMedia, h264_families};
use super::{Refusal, StreamMedia, Track};
use crate::rtp::{Codec, MediaKind, Profile};

/// Ids of the header extensions.
const MID_EXTENSION: u8 = 1;
const PLAYOUT_DELAY_EXTENSION: u8 = 2;
/// Payload types: of the picture from here on, each with its retransmission stream behind it, and of the sound.
const VIDEO: u8 = 96;
const AUDIO: u8 = 111;

/// What a stream is offered as, one media description for each track, by the numbers that are their `a=mid`.
pub fn own_media(stream: &StreamMedia) -> Vec<OfferedMedia> {
    let media = |(at, track): (usize, &Track)| {
        let codecs = codecs(track);
        let mut extensions = vec![(MID_EXTENSION, MID.to_owned())];
        if track.codec.kind() == MediaKind::Video {
            extensions.push((PLAYOUT_DELAY_EXTENSION, PLAYOUT_DELAY.to_owned()));
        }
        OfferedMedia {
            media: media_name(track.codec.kind()).to_owned(),
            kind: Some(track.codec.kind()),
            mid: at.to_string(),
            protocol: "UDP/TLS/RTP/SAVPF".into(),
            formats: codecs.iter().map(|codec| codec.payload_type.to_string()).collect(),
            receives: true,
            codecs,
            extensions,
            measures_round_trip: true,
        }
    };
    stream.tracks.iter().enumerate().map(media).collect()
}

/// Payload types of a track, best first, each picture's with a retransmission stream.
fn codecs(track: &Track) -> Vec<OfferedCodec> {
    let entry = |payload_type, name: &str, fmtp| {
        let (name, clock_rate) = (name.to_owned(), track.codec.clock_rate());
        OfferedCodec { payload_type, name, clock_rate, fmtp }
    };
    if track.codec.kind() == MediaKind::Audio {
        return vec![entry(AUDIO, track.codec.name(), parameters(track).remove(0))];
    }
    let both = |(number, parameters): (usize, String)| {
        let payload_type = VIDEO + 2 * number as u8;
        let resent = format!("apt={payload_type}");
        [entry(payload_type, track.codec.name(), parameters), entry(payload_type + 1, "rtx", resent)]
    };
    parameters(track).into_iter().enumerate().flat_map(both).collect()
}

/// The `a=fmtp` parameters of each payload type. H.264 is offered as what it is and as the profiles that its decoders
/// usually take it for, as an answer does; the others as what they are.
fn parameters(track: &Track) -> Vec<String> {
    let Track { codec, profile, .. } = *track;
    let id = profile.map_or(0, |profile| profile.id);
    match codec {
        Codec::Opus | Codec::Vp8 => vec![String::new()],
        Codec::Vp9 => vec![format!("profile-id={id}")],
        // The level of browsers, because they take no other one.
        Codec::Av1 => vec![format!("level-idx=5;profile={id};tier=0")],
        Codec::H265 => {
            let (id, tier) = profile.map_or((1, 0), |Profile { id, flags, .. }| (id, flags));
            // The level of what is sent is not known: that of 2160p at 60 frames a second.
            vec![format!("level-id=153;profile-id={id};tier-flag={tier};tx-mode=SRST")]
        }
        Codec::H264 => {
            let level = profile.map_or(0x1f, |profile| profile.level);
            let of = |family: &str| {
                format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={family}{level:02x}")
            };
            h264_families(profile).map(of).collect()
        }
    }
}

/// The counter-offer. `why` is for people who look at it: why there was no answer.
pub fn write_offer(own: &[OfferedMedia], stream: &StreamMedia, why: &str, local: &Local<'_>) -> String {
    let mids = own.iter().map(|media| media.mid.as_str()).collect::<Vec<_>>().join(" ");
    let mut sdp = format!(
        "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\ni={why}\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n\
         a=msid-semantic: WMS *\r\n{}a=ice-options:trickle\r\na=fingerprint:{}\r\n",
        local.session,
        lite(local),
        local.fingerprint
    );
    for (media, track) in own.iter().zip(&stream.tracks) {
        write_own(&mut sdp, media, track, local);
        // Whichever the player takes first has the transport.
        write_candidates(&mut sdp, local, true);
    }
    sdp
}

fn write_own(sdp: &mut String, media: &OfferedMedia, track: &Track, local: &Local<'_>) {
    let Track { codec, ssrc, retransmission_ssrc, profile } = *track;
    let entry = |offered: &OfferedCodec| Entry {
        payload_type: offered.payload_type,
        fmtp: fmtp(codec, offered, profile),
        retransmission: media
            .retransmission(offered)
            .map(|payload_type| Retransmission { payload_type, ssrc: retransmission_ssrc }),
    };
    let sent = Sent {
        codec,
        entries: media.codecs.iter().filter(|offered| offered.is(codec)).map(entry).collect(),
        mid_extension: media.extension(MID),
        playout_delay_extension: media.extension(PLAYOUT_DELAY),
        ssrc,
        // RFC 9429 section 5.2.1.
        setup: "actpass",
    };
    write_media(sdp, media, &sent, local);
}

/// Whether an answer has the media descriptions of the offer, in their order (RFC 3264 section 6).
pub fn check_answer(own: &[OfferedMedia], answer: &Offer) -> Result<(), Refusal> {
    let unlike = |why: String| Err(Refusal::Unprocessable(format!("the answer does not fit the offer: {why}")));
    if answer.media.len() != own.len() {
        return unlike(format!("it has {} media descriptions, and the offer {}", answer.media.len(), own.len()));
    }
    for (own, media) in own.iter().zip(&answer.media) {
        let same_mid = own.mid == media.mid || (media.mid.is_empty() && !media.receives);
        if own.media != media.media || !same_mid {
            let (kind, mid) = (&media.media, &media.mid);
            return unlike(format!("m={kind} with a=mid:{mid} stands for m={} with a=mid:{}", own.media, own.mid));
        }
    }
    if !answer.fingerprint.split_once(' ').is_some_and(|(hash, _)| hash.eq_ignore_ascii_case("sha-256")) {
        return Err(Refusal::Unprocessable("the answer needs an a=fingerprint of sha-256".into()));
    }
    Ok(())
}
