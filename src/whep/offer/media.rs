//! One media description of an offer: what it takes, and which of its codecs fits what is sent.

use rtc::sdp::{MediaDescription, SessionDescription};

use super::super::Refusal;
use crate::rtp::{Codec, MediaKind, Profile};

/// One media description of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedMedia {
    /// The media type as it stands: `audio`, `video`, `application`.
    pub media: String,
    /// Picture or sound; `None` for anything else.
    pub kind: Option<MediaKind>,
    /// The `a=mid`; empty where a rejected media description has none.
    pub mid: String,
    /// The transport protocol as it stands.
    pub protocol: String,
    /// The formats as they stand.
    pub formats: Vec<String>,
    /// Whether it is offered at all: it has a port, or is `a=bundle-only` (RFC 9143 section 6).
    pub live: bool,
    /// Whether media may be sent to the offerer here.
    pub receives: bool,
    /// The codecs in the offerer's order.
    pub codecs: Vec<OfferedCodec>,
    /// Header extensions: id and URI.
    pub extensions: Vec<(u8, String)>,
    /// Whether the offerer wants to measure the round trip (RFC 3611 section 5.1, `rcvr-rtt`).
    pub measures_round_trip: bool,
    /// Whether RTCP may be of reduced size (RFC 5506 section 5).
    pub reduced_size: bool,
}

/// One codec of a media description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedCodec {
    /// Payload type.
    pub payload_type: u8,
    /// The value of `a=rtpmap` as it stands: name, clock rate, and for sound the channels.
    pub map: String,
    /// Name in `a=rtpmap`.
    pub name: String,
    /// Ticks a second.
    pub clock_rate: u32,
    /// The `a=fmtp` parameters; empty without.
    pub fmtp: String,
    /// What the `a=rtcp-fb` lines of this payload type and of all (`*`) name (RFC 4585 section 4.2).
    pub feedback: Vec<String>,
}

impl OfferedMedia {
    /// Reads one of a session's media descriptions.
    pub fn read(session: &SessionDescription, description: &MediaDescription) -> Result<Self, Refusal> {
        let name = &description.media_name;
        let kind = match name.media.as_str() {
            "video" => Some(MediaKind::Video),
            "audio" => Some(MediaKind::Audio),
            _ => None,
        };
        let live = name.port.value != 0 || description.has_attribute("bundle-only");
        let mid = description.attribute("mid").flatten().unwrap_or_default();
        if live && mid.is_empty() {
            return Err(Refusal::Malformed(format!("m={} has no a=mid", name.media)));
        }
        let direction = direction(session, description);
        if live && kind.is_some() && direction != "inactive" && !description.has_attribute("rtcp-mux") {
            return Err(Refusal::Unprocessable(format!("m={} does not multiplex RTCP (a=rtcp-mux)", name.media)));
        }
        Ok(Self {
            media: name.media.clone(),
            kind,
            mid: mid.to_owned(),
            protocol: name.protos.join("/"),
            formats: name.formats.clone(),
            live,
            receives: live && kind.is_some() && matches!(direction, "recvonly" | "sendrecv"),
            codecs: codecs(description),
            extensions: extensions(description),
            measures_round_trip: description
                .attribute("rtcp-xr")
                .flatten()
                .is_some_and(|formats| formats.split_whitespace().any(|format| format.starts_with("rcvr-rtt"))),
            reduced_size: description.has_attribute("rtcp-rsize"),
        })
    }

    /// The codec to answer with for a leg: for H.264 the packetization mode 1 entry whose profile is nearest to what is
    /// really sent, which its decoders usually read all the same; for H.265, VP9 and AV1 the entry of the very profile.
    ///
    /// An H.264 entry without any parameters would mean mode 0 (RFC 6184 section 8.1). It is taken where there is no
    /// other, because whoever writes such (GStreamer) says nothing of what it reads, and reads every mode.
    pub fn codec(&self, codec: Codec, profile: Option<Profile>) -> Option<&OfferedCodec> {
        let mut matching = self.codecs.iter().filter(|offered| offered.is(codec));
        match codec {
            Codec::Opus | Codec::Vp8 => matching.next(),
            Codec::Vp9 => matching.find(|offered| offered.number("profile-id", 0) == profile.map_or(0, |sent| sent.id)),
            Codec::Av1 => matching.find(|offered| offered.number("profile", 0) == profile.map_or(0, |sent| sent.id)),
            Codec::H265 => {
                let (id, tier) = profile.map_or((1, 0), |sent| (sent.id, sent.flags));
                matching.find(|offered| {
                    offered.number("profile-id", 1) == id
                        && offered.number("tier-flag", 0) == tier
                        && offered.parameter("tx-mode").is_none_or(|mode| mode.eq_ignore_ascii_case("SRST"))
                })
            }
            Codec::H264 => {
                let offered: Vec<_> =
                    matching.filter(|offered| offered.parameter("packetization-mode") == Some("1")).collect();
                let families = families(profile);
                families
                    .iter()
                    .find_map(|family| offered.iter().find(|offered| offered.profile_family() == Some(*family)))
                    .or(offered.first())
                    .copied()
                    .or_else(|| self.codecs.iter().find(|offered| offered.is(codec) && offered.fmtp.is_empty()))
            }
        }
    }

    /// Whether it can stay without media, for its transport.
    pub fn can_carry(&self) -> bool {
        self.live && (self.is_data_channel() || self.kind.is_some() && !self.codecs.is_empty())
    }

    /// Whether it is one for data channels (RFC 8841 section 4).
    pub fn is_data_channel(&self) -> bool {
        self.protocol.ends_with("DTLS/SCTP") && self.formats == ["webrtc-datachannel"]
    }

    /// Payload type of the retransmission stream for a codec (RFC 4588 section 8.6).
    pub fn retransmission(&self, codec: &OfferedCodec) -> Option<u8> {
        let apt = codec.payload_type.to_string();
        let is_for = |offered: &&OfferedCodec| {
            offered.name.eq_ignore_ascii_case("rtx") && offered.parameter("apt") == Some(apt.as_str())
        };
        self.codecs.iter().find(is_for).map(|rtx| rtx.payload_type)
    }

    /// Id of a header extension.
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.extensions.iter().find(|(_, offered)| offered == uri).map(|(id, _)| *id)
    }
}

/// H.264 profile families in the order of preference for what is really sent.
fn families(profile: Option<Profile>) -> &'static [Family] {
    use Family::{Baseline, ConstrainedBaseline, High, Main};
    match profile {
        Some(Profile { id: 66, flags, .. }) if flags & 0x40 == 0 => &[Baseline, ConstrainedBaseline, Main, High],
        Some(Profile { id: 77, .. }) => &[Main, ConstrainedBaseline, Baseline, High],
        Some(Profile { id: 100.., .. }) => &[High, Main, ConstrainedBaseline, Baseline],
        _ => &[ConstrainedBaseline, Baseline, Main, High],
    }
}

/// The first four digits of H.264's `profile-level-id` in the order of preference for what is really sent.
pub fn h264_families(profile: Option<Profile>) -> impl Iterator<Item = &'static str> {
    families(profile).iter().map(|family| match family {
        Family::ConstrainedBaseline => "42e0",
        Family::Baseline => "4200",
        Family::Main => "4d00",
        Family::High => "6400",
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    ConstrainedBaseline,
    Baseline,
    Main,
    High,
}

impl OfferedCodec {
    /// Whether it is this codec.
    pub fn is(&self, codec: Codec) -> bool {
        self.name.eq_ignore_ascii_case(codec.name()) && self.clock_rate == codec.clock_rate()
    }

    /// A parameter of the `a=fmtp` line.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// A number among the parameters, which is `absent` where it is not there (RFC 7798 section 7.1, RFC 9628 section 6,
    /// and section 7.2 of AV1's).
    fn number(&self, name: &str, absent: u8) -> u8 {
        self.parameter(name).map_or(absent, |value| value.parse().unwrap_or(u8::MAX))
    }

    fn profile_family(&self) -> Option<Family> {
        // Absent means Baseline level 1 (RFC 6184 section 8.1).
        let id = self.parameter("profile-level-id").unwrap_or("42000a");
        let constraints = u8::from_str_radix(id.get(2..4)?, 16).ok()?;
        match id.get(..2)? {
            "42" if constraints & 0x40 != 0 => Some(Family::ConstrainedBaseline),
            "42" => Some(Family::Baseline),
            id if id.eq_ignore_ascii_case("4d") => Some(Family::Main),
            "64" => Some(Family::High),
            _ => None,
        }
    }
}

/// The direction of a media description: its own, else the session's, else both ways (RFC 8866 section 6.7).
fn direction(session: &SessionDescription, description: &MediaDescription) -> &'static str {
    let of_media = |direction: &&str| description.has_attribute(direction);
    let of_session = |direction: &&str| session.has_attribute(direction);
    let directions = ["recvonly", "sendonly", "inactive", "sendrecv"];
    directions.into_iter().find(of_media).or_else(|| directions.into_iter().find(of_session)).unwrap_or("sendrecv")
}

fn codecs(description: &MediaDescription) -> Vec<OfferedCodec> {
    let values = |key: &'static str| {
        description
            .attributes
            .iter()
            .filter(move |attribute| attribute.key == key)
            .filter_map(|attribute| attribute.value.as_deref())
    };
    let mut codecs = Vec::new();
    for format in &description.media_name.formats {
        let of_format = |value: &'static str| {
            values(value).find_map(|line| line.split_once(' ').filter(|(id, _)| id == format).map(|(_, rest)| rest))
        };
        let (Ok(payload_type), Some(map)) = (format.parse(), of_format("rtpmap")) else { continue };
        let mut parts = map.split('/');
        let (Some(name), Some(Ok(clock_rate))) = (parts.next(), parts.next().map(str::parse)) else { continue };
        codecs.push(OfferedCodec {
            payload_type,
            map: map.to_owned(),
            name: name.to_owned(),
            clock_rate,
            fmtp: of_format("fmtp").unwrap_or_default().to_owned(),
            feedback: values("rtcp-fb")
                .filter_map(|line| line.split_once(' '))
                .filter(|(id, _)| id == format || *id == "*")
                .map(|(_, feedback)| feedback.trim().to_owned())
                .collect(),
        });
    }
    codecs
}

/// Header extensions with an id of the one-byte form (RFC 8285 section 4.2); a direction suffix is accepted.
fn extensions(description: &MediaDescription) -> Vec<(u8, String)> {
    description
        .attributes
        .iter()
        .filter(|attribute| attribute.key == "extmap")
        .filter_map(|attribute| attribute.value.as_deref())
        .filter_map(|value| {
            let mut words = value.split_whitespace();
            let id = words.next()?.split('/').next()?.parse().ok()?;
            (1..=14).contains(&id).then_some((id, words.next()?.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Offer;
    use super::*;

    const CHROMIUM: &str = include_str!("../../../tests/offers/offer_chromium156_mdns.sdp");
    const FIREFOX: &str = include_str!("../../../tests/offers/offer_firefox153_h264.sdp");

    fn video(offer: &Offer) -> &OfferedMedia {
        offer.media.iter().find(|media| media.kind == Some(MediaKind::Video)).expect("there is a picture")
    }

    fn chosen(offer: &Offer, profile: u8, constraints: u8) -> Option<u8> {
        let profile = Profile { id: profile, flags: constraints, level: 31 };
        video(offer).codec(Codec::H264, Some(profile)).map(|codec| codec.payload_type)
    }

    #[test]
    fn the_answered_h264_profile_is_nearest_to_what_is_sent() {
        let offer = Offer::parse(CHROMIUM).expect("Chromium's offer is read");
        assert_eq!(chosen(&offer, 66, 0xc0), Some(108), "constrained baseline");
        assert_eq!(chosen(&offer, 66, 0x00), Some(102), "baseline");
        assert_eq!(chosen(&offer, 77, 0x40), Some(116), "main");
        assert_eq!(chosen(&offer, 100, 0x00), Some(116), "high, which is not offered, goes as main");
        assert_eq!(video(&offer).codec(Codec::H264, None).map(|codec| codec.payload_type), Some(108));
    }

    #[test]
    fn the_answered_entry_has_the_very_profile_where_decoders_read_no_other() {
        let chromium = Offer::parse(CHROMIUM).expect("Chromium's offer is read");
        let firefox = Offer::parse(FIREFOX).expect("Firefox's offer is read");
        let chosen = |offer: &Offer, codec, id: Option<u8>| {
            let profile = id.map(|id| Profile { id, flags: 0, level: 0 });
            video(offer).codec(codec, profile).map(|codec| codec.payload_type)
        };
        assert_eq!(chosen(&chromium, Codec::Vp8, None), Some(96));
        assert_eq!(
            [None, Some(0), Some(2)].map(|id| chosen(&chromium, Codec::Vp9, id)),
            [Some(98), Some(98), Some(100)]
        );
        assert_eq!([Some(0), Some(1), Some(2)].map(|id| chosen(&chromium, Codec::Av1, id)), [Some(45), Some(47), None]);
        assert_eq!(chosen(&chromium, Codec::H265, None), None, "this build has none");
        assert_eq!([Some(0), Some(2)].map(|id| chosen(&firefox, Codec::Vp9, id)), [Some(121), None]);
    }

    #[test]
    fn h265_is_answered_where_profile_and_tier_and_one_stream_are_offered() {
        let offered = |fmtp: &str, id, tier| {
            let codec = |fmtp: &str| OfferedCodec {
                payload_type: 49,
                map: "h265/90000".into(),
                name: "h265".into(),
                clock_rate: 90_000,
                fmtp: fmtp.to_owned(),
                feedback: Vec::new(),
            };
            let offer = Offer::parse(CHROMIUM).expect("Chromium's offer is read");
            let media = OfferedMedia { codecs: vec![codec(fmtp)], ..video(&offer).clone() };
            media.codec(Codec::H265, Some(Profile { id, flags: tier, level: 0 })).is_some()
        };
        assert!(offered("level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST", 1, 0));
        assert!(offered("", 1, 0), "all of them may be absent");
        assert!(!offered("profile-id=1", 2, 0) && !offered("profile-id=1", 1, 1));
        assert!(!offered("profile-id=1;tx-mode=MRST", 1, 0) && !offered("profile-id=x", 1, 0));
    }

    #[test]
    fn an_extension_with_a_direction_is_found() {
        let offer = Offer::parse(FIREFOX).expect("Firefox's offer is read");
        assert!(video(&offer).extension("http://www.webrtc.org/experiments/rtp-hdrext/playout-delay").is_some());
    }

    #[test]
    fn h264_of_packetization_mode_0_is_left_out_and_one_that_says_nothing_is_the_last_choice() {
        let choice = |entries: &[&str]| {
            let codec = |(number, fmtp): (usize, &&str)| OfferedCodec {
                payload_type: 100 + number as u8,
                map: "H264/90000".into(),
                name: "H264".into(),
                clock_rate: 90_000,
                fmtp: (*fmtp).to_owned(),
                feedback: Vec::new(),
            };
            let offer = Offer::parse(CHROMIUM).expect("Chromium's offer is read");
            let media =
                OfferedMedia { codecs: entries.iter().enumerate().map(codec).collect(), ..video(&offer).clone() };
            media.codec(Codec::H264, None).map(|codec| codec.payload_type)
        };
        assert_eq!(choice(&["profile-level-id=42e01f"]), None, "absent is 0");
        assert_eq!(choice(&["packetization-mode=0;profile-level-id=42e01f"]), None);
        assert_eq!(choice(&["profile-level-id=42e01f", ""]), Some(101));
        assert_eq!(choice(&["", "packetization-mode=1;profile-level-id=640c1f"]), Some(101));
    }
}
