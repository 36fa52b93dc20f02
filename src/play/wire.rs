//! What stands between a viewer's SRTP and its receiver: it counts, unwraps retransmissions (RFC 4588), and loses packets
//! on purpose.
//!
//! A packet that is lost here was opened before, so the server's sender reports and the network know nothing of it. The
//! receiver does not see it and asks for it, as it does for a packet that the network lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Buf;
use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use super::tally::{Seen, Tally};
use crate::rtp::{Access, Codec, MediaKind};

/// A payload type of the offer.
pub struct PayloadType {
    /// Its number.
    pub number: u8,
    /// What it carries.
    pub codec: Codec,
    /// Parameters of the codec, as in `a=fmtp`.
    pub fmtp: &'static str,
    /// Payload type of its retransmissions.
    pub resent: Option<u8>,
}

/// What is offered: every codec of the table. H.264 in its profiles, so that a server that answers the profile that it
/// sends finds it.
pub const OFFERED: [PayloadType; 9] = [
    h264(102, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    h264(104, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
    h264(106, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"),
    h264(108, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032"),
    picture(96, Codec::Vp8, ""),
    picture(98, Codec::Vp9, "profile-id=0"),
    picture(100, Codec::Av1, "profile=0"),
    picture(112, Codec::H265, "profile-id=1"),
    PayloadType { number: 111, codec: Codec::Opus, fmtp: "minptime=10;useinbandfec=1", resent: None },
];

const fn h264(number: u8, fmtp: &'static str) -> PayloadType {
    picture(number, Codec::H264, fmtp)
}

const fn picture(number: u8, codec: Codec, fmtp: &'static str) -> PayloadType {
    PayloadType { number, codec, fmtp, resent: Some(number + 1) }
}

/// The accounts of a viewer.
#[derive(Default)]
pub struct Tallies {
    /// The picture's.
    pub video: Tally,
    /// The sound's.
    pub audio: Tally,
}

impl Tallies {
    fn of(&mut self, kind: MediaKind) -> &mut Tally {
        match kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        }
    }
}

/// Accounts that the viewer reads while they grow.
pub type SharedTallies = Arc<Mutex<Tallies>>;

/// The interceptor.
pub struct Wire {
    tallies: SharedTallies,
    loss: f64,
    /// SSRC and payload type of the picture, whose retransmissions are unwrapped.
    picture: Option<(u32, u8)>,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl Wire {
    /// Counts into `tallies` and loses this share, 0 to 1.
    pub fn new(tallies: SharedTallies, loss: f64) -> Self {
        Self { tallies, loss, picture: None, read: VecDeque::new(), write: VecDeque::new() }
    }

    /// Whether the packet goes on to the receiver.
    fn pass(&mut self, packet: &mut rtc::rtp::Packet, now: Instant) -> bool {
        let number = packet.header.payload_type;
        let is_of = |offered: &&PayloadType| offered.number == number || offered.resent == Some(number);
        let Some(offered) = OFFERED.iter().find(is_of) else { return true };
        let is_resent = offered.number != number;
        let mut tallies = self.tallies.lock().expect("no holder of this lock panics");
        let tally = tallies.of(offered.codec.kind());
        if self.loss > 0.0 && rand::random::<f64>() < self.loss {
            tally.handle_drop();
            return false;
        }
        if is_resent {
            let Some((ssrc, payload_type)) = self.picture else { return false };
            // Without an original sequence number it is padding.
            let Some(original) = packet.payload.first_chunk::<2>().copied() else { return false };
            packet.payload.advance(original.len());
            packet.header.ssrc = ssrc;
            packet.header.payload_type = payload_type;
            packet.header.sequence_number = u16::from_be_bytes(original);
        } else if offered.codec.kind() == MediaKind::Video {
            self.picture = Some((packet.header.ssrc, number));
        }
        let seen = Seen {
            sequence_number: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            octets: packet.payload.len(),
            is_keyframe: Access::of(offered.codec, &packet.payload).keyframe,
            is_resent,
        };
        tally.handle_packet(seen, now);
        true
    }

    fn note_asked(&self, packets: &[Box<dyn rtc::rtcp::Packet>]) {
        let nacks = packets.iter().filter_map(|packet| packet.as_any().downcast_ref::<TransportLayerNack>());
        for nack in nacks {
            let is_picture = self.picture.is_some_and(|(ssrc, _)| ssrc == nack.media_ssrc);
            let kind = if is_picture { MediaKind::Video } else { MediaKind::Audio };
            let mut tallies = self.tallies.lock().expect("no holder of this lock panics");
            tallies.of(kind).handle_asked(nack.nacks.iter().flat_map(|pair| pair.packet_list()));
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Wire {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        let passes = match &mut packet.message.packet {
            Packet::Rtp(rtp) => self.pass(rtp, packet.now),
            _ => true,
        };
        if passes {
            self.read.push_back(packet);
        }
        Ok(())
    }
    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }
    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            self.note_asked(packets);
        }
        self.write.push_back(packet);
        Ok(())
    }
    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl Interceptor for Wire {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, stream: &StreamInfo) {
        let is_picture = OFFERED
            .iter()
            .any(|offered| offered.number == stream.payload_type && offered.codec.kind() == MediaKind::Video);
        if is_picture {
            self.picture = Some((stream.ssrc, stream.payload_type));
        }
    }
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
