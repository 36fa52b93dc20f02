//! A media description that carries media, line by line: in an answer and in a counter-offer.

use std::fmt::Write;

use super::answer::{Local, MID, PLAYOUT_DELAY, Retransmission, media_name};
use super::offer::OfferedMedia;
use crate::rtp::{Codec, MediaKind};

/// What is sent by one media description, however it came about.
pub struct Sent {
    /// The codec.
    pub codec: Codec,
    /// Its payload types, best first: one in an answer.
    pub entries: Vec<Entry>,
    /// Id of the MID header extension.
    pub mid_extension: Option<u8>,
    /// Id of the playout-delay header extension.
    pub playout_delay_extension: Option<u8>,
    /// SSRC of the media.
    pub ssrc: u32,
    /// `a=setup` of this side.
    pub setup: &'static str,
}

/// One payload type.
pub struct Entry {
    /// Its number.
    pub payload_type: u8,
    /// The `a=fmtp` parameters; empty without.
    pub fmtp: String,
    /// How lost packets are resent.
    pub retransmission: Option<Retransmission>,
}

/// A media description that carries media.
pub fn write_media(sdp: &mut String, media: &OfferedMedia, sent: &Sent, local: &Local<'_>) {
    let Sent { codec, entries, mid_extension, playout_delay_extension, ssrc, setup } = sent;
    let (protocol, name, clock_rate) = (&media.protocol, codec.name(), codec.clock_rate());
    let kind = media_name(codec.kind());
    let channels = if *codec == Codec::Opus { "/2" } else { "" };
    let formats =
        entries.iter().flat_map(|entry| [Some(entry.payload_type), entry.retransmission.map(|rtx| rtx.payload_type)]);
    let formats = formats.flatten().map(|format| format!(" {format}")).collect::<String>();
    let mut line = |text: std::fmt::Arguments<'_>| write!(sdp, "{text}\r\n").expect("writing to a string");
    line(format_args!("m={kind} 9 {protocol}{formats}"));
    line(format_args!("c=IN IP4 0.0.0.0"));
    line(format_args!("a=ice-ufrag:{}", local.ufrag));
    line(format_args!("a=ice-pwd:{}", local.password));
    line(format_args!("a=setup:{setup}"));
    line(format_args!("a=mid:{}", media.mid));
    if let Some(id) = mid_extension {
        line(format_args!("a=extmap:{id} {MID}"));
    }
    if let Some(id) = playout_delay_extension {
        line(format_args!("a=extmap:{id} {PLAYOUT_DELAY}"));
    }
    line(format_args!("a=sendonly"));
    line(format_args!("a=msid:dragonfork {kind}"));
    line(format_args!("a=rtcp-mux"));
    line(format_args!("a=rtcp-mux-only"));
    line(format_args!("a=rtcp-rsize"));
    if media.measures_round_trip {
        line(format_args!("a=rtcp-xr:rcvr-rtt=all"));
    }
    for Entry { payload_type, fmtp, retransmission } in entries {
        line(format_args!("a=rtpmap:{payload_type} {name}/{clock_rate}{channels}"));
        if !fmtp.is_empty() {
            line(format_args!("a=fmtp:{payload_type} {fmtp}"));
        }
        if codec.kind() == MediaKind::Video {
            for feedback in ["nack", "nack pli", "ccm fir"] {
                line(format_args!("a=rtcp-fb:{payload_type} {feedback}"));
            }
        }
        if let Some(Retransmission { payload_type: rtx, ssrc: _ }) = retransmission {
            line(format_args!("a=rtpmap:{rtx} rtx/{clock_rate}"));
            line(format_args!("a=fmtp:{rtx} apt={payload_type}"));
        }
    }
    let resent = entries.iter().find_map(|entry| entry.retransmission).map(|rtx| rtx.ssrc);
    if let Some(resent) = resent {
        line(format_args!("a=ssrc-group:FID {ssrc} {resent}"));
    }
    for ssrc in [Some(*ssrc), resent].into_iter().flatten() {
        line(format_args!("a=ssrc:{ssrc} cname:{}", local.cname));
        line(format_args!("a=ssrc:{ssrc} msid:dragonfork {kind}"));
    }
}
