//! A player's SDP, read for what a session needs of it (RFC 8866, RFC 9429): its offer, or its answer to a counter-offer.

use std::io::Cursor;

use rtc::sdp::{MediaDescription, SessionDescription};

use super::Refusal;
use crate::rtp::{Codec, MediaKind, Profile};

/// A player's description that can be met as far as its transport goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// DTLS fingerprint: hash function and value.
    pub fingerprint: String,
    /// `a=setup`: what the player will be in DTLS (RFC 5763 section 5).
    pub setup: String,
    /// The `a=mid` whose transport all media share, unless the answer rejects it (RFC 9143 section 7.2.1).
    pub tag: Option<String>,
    /// The media descriptions in order.
    pub media: Vec<OfferedMedia>,
    /// Candidates that can be used: UDP, component 1, an address and no name.
    pub candidates: Vec<String>,
}

/// One media description of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedMedia {
    /// The media type as it stands: `audio`, `video`, `application`.
    pub media: String,
    /// Picture or sound; `None` for anything else.
    pub kind: Option<MediaKind>,
    /// The `a=mid`.
    pub mid: String,
    /// The transport protocol as it stands.
    pub protocol: String,
    /// The formats as they stand.
    pub formats: Vec<String>,
    /// Whether media may be sent to the offerer here.
    pub receives: bool,
    /// The codecs in the offerer's order.
    pub codecs: Vec<OfferedCodec>,
    /// Header extensions: id and URI.
    pub extensions: Vec<(u8, String)>,
    /// Whether the offerer wants to measure the round trip (RFC 3611 section 5.1, `rcvr-rtt`).
    pub measures_round_trip: bool,
}

/// One codec of a media description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedCodec {
    /// Payload type.
    pub payload_type: u8,
    /// Name in `a=rtpmap`.
    pub name: String,
    /// Ticks a second.
    pub clock_rate: u32,
    /// The `a=fmtp` parameters; empty without.
    pub fmtp: String,
}

impl Offer {
    /// Reads an offer. What cannot be read is [`Refusal::Malformed`], what can be read and not be met is
    /// [`Refusal::Unprocessable`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut offer = Self::read(text, What::Offer)?;
        if offer.setup.is_empty() {
            offer.setup = "actpass".into();
        }
        if offer.setup == "passive" {
            return Err(Refusal::Unprocessable("the offer is a=setup:passive, and so is every answer".into()));
        }
        if !offer.media.iter().any(|media| media.receives) {
            return Err(Refusal::Unprocessable("the offer receives no media (a=recvonly or a=sendrecv)".into()));
        }
        Ok(offer)
    }

    /// Reads the answer to an offer of this side. The refusals are those of [`Self::parse`].
    pub fn parse_answer(text: &str) -> Result<Self, Refusal> {
        let mut answer = Self::read(text, What::Answer)?;
        if answer.setup.is_empty() {
            // RFC 4145 section 4.1.
            answer.setup = "active".into();
        }
        if !matches!(answer.setup.as_str(), "active" | "passive") {
            let why = format!("the answer is a=setup:{}; it has to be active or passive", answer.setup);
            return Err(Refusal::Unprocessable(why));
        }
        Ok(answer)
    }

    fn read(text: &str, what: What) -> Result<Self, Refusal> {
        if text.contains('\0') {
            return Err(Refusal::Malformed(format!("the SDP {what} holds a NUL")));
        }
        let description = SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes()))
            .map_err(|error| Refusal::Malformed(format!("the SDP {what} cannot be read: {error}")))?;
        let session = |key: &str| description.attribute(key).map(String::as_str);
        let first = |key: &str| {
            let in_media = description.media_descriptions.iter().find_map(|media| media.attribute(key).flatten());
            session(key).or(in_media).map(str::to_owned)
        };
        let needed = |key: &str| first(key).ok_or_else(|| Refusal::Malformed(format!("the SDP {what} has no a={key}")));
        if description.media_descriptions.is_empty() {
            return Err(Refusal::Malformed(format!("the SDP {what} has no media description")));
        }
        let mut media = Vec::new();
        for description in &description.media_descriptions {
            media.push(OfferedMedia::read(description, what)?);
        }
        let group = session("group").unwrap_or_default();
        let bundled = match what {
            What::Offer => media.len(),
            // What an answer rejects is in no bundle.
            What::Answer => media.iter().filter(|media| media.receives).count(),
        };
        if bundled > 1 && !group.starts_with("BUNDLE") {
            return Err(Refusal::Unprocessable(format!("the {what} does not bundle its media (a=group:BUNDLE)")));
        }
        Ok(Self {
            ufrag: needed("ice-ufrag")?,
            password: needed("ice-pwd")?,
            fingerprint: needed("fingerprint")?,
            setup: first("setup").unwrap_or_default(),
            tag: group.split_whitespace().nth(1).map(str::to_owned),
            candidates: description
                .media_descriptions
                .iter()
                .flat_map(|media| &media.attributes)
                .filter(|attribute| attribute.key == "candidate")
                .filter_map(|attribute| attribute.value.clone())
                .filter(|candidate| is_usable(candidate))
                .collect(),
            media,
        })
    }
}

/// Which side of the exchange a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Offer,
    Answer,
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
        })
    }
}

/// Whether a candidate can be tried: UDP, component 1, an address. Names (mDNS) are never waited for; their checks
/// arrive and tell the address.
pub fn is_usable(candidate: &str) -> bool {
    let words: Vec<&str> = candidate.split_whitespace().collect();
    matches!(words[..], [_, "1", transport, _, address, _, "typ", ..]
        if transport.eq_ignore_ascii_case("udp") && address.parse::<std::net::IpAddr>().is_ok())
}

impl OfferedMedia {
    fn read(description: &MediaDescription, what: What) -> Result<Self, Refusal> {
        let name = &description.media_name;
        let kind = match name.media.as_str() {
            "video" => Some(MediaKind::Video),
            "audio" => Some(MediaKind::Audio),
            _ => None,
        };
        let mid = description.attribute("mid").flatten().unwrap_or_default();
        // What an answer rejects is known by its place, and some players say no more of it.
        if mid.is_empty() && (what == What::Offer || name.port.value != 0) {
            return Err(Refusal::Malformed(format!("m={} has no a=mid", name.media)));
        }
        let bundle_only = description.has_attribute("bundle-only");
        let live = (name.port.value != 0 || bundle_only) && !description.has_attribute("inactive");
        if live && kind.is_some() && !description.has_attribute("rtcp-mux") {
            return Err(Refusal::Unprocessable(format!("m={} does not multiplex RTCP (a=rtcp-mux)", name.media)));
        }
        Ok(Self {
            media: name.media.clone(),
            kind,
            mid: mid.to_owned(),
            protocol: name.protos.join("/"),
            formats: name.formats.clone(),
            receives: live && kind.is_some() && !description.has_attribute("sendonly"),
            codecs: codecs(description),
            extensions: extensions(description),
            measures_round_trip: description
                .attribute("rtcp-xr")
                .flatten()
                .is_some_and(|formats| formats.split_whitespace().any(|format| format.starts_with("rcvr-rtt"))),
        })
    }

    /// The codec to answer with for a leg: for H.264 the packetization mode 1 entry whose profile is nearest to what is
    /// really sent, which its decoders usually read all the same; for H.265, VP9 and AV1 the entry of the very profile.
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
            }
        }
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
            name: name.to_owned(),
            clock_rate,
            fmtp: of_format("fmtp").unwrap_or_default().to_owned(),
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
    use super::*;

    const OFFERS: [(&str, &str); 6] = [
        ("aiortc", include_str!("../../tests/offers/offer_aiortc116.sdp")),
        ("Chromium, gathered", include_str!("../../tests/offers/offer_chromium156_gathered.sdp")),
        ("Chromium, mDNS", include_str!("../../tests/offers/offer_chromium156_mdns.sdp")),
        ("Chromium, no candidates", include_str!("../../tests/offers/offer_chromium156_nocands.sdp")),
        ("Firefox", include_str!("../../tests/offers/offer_firefox153_h264.sdp")),
        ("Firefox, mDNS", include_str!("../../tests/offers/offer_firefox153_mdns_h264.sdp")),
    ];
    const CHROMIUM: &str = OFFERS[2].1;
    const FIREFOX: &str = OFFERS[4].1;

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
                name: "h265".into(),
                clock_rate: 90_000,
                fmtp: fmtp.to_owned(),
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
    fn offers_of_every_client_are_read() {
        for (name, text) in OFFERS {
            let offer = Offer::parse(text).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
            assert!(video(&offer).codec(Codec::H264, None).is_some(), "{name}");
            assert!(offer.candidates.iter().all(|candidate| !candidate.contains(".local")), "{name}");
        }
    }

    #[test]
    fn an_extension_with_a_direction_is_found() {
        let offer = Offer::parse(FIREFOX).expect("Firefox's offer is read");
        assert!(video(&offer).extension("http://www.webrtc.org/experiments/rtp-hdrext/playout-delay").is_some());
    }

    #[test]
    fn what_is_no_offer_is_malformed() {
        for text in ["", "hello", "v=0\r\n", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "v=0\0"] {
            assert!(matches!(Offer::parse(text), Err(Refusal::Malformed(_))), "{text:?}");
        }
    }

    #[test]
    fn an_offer_that_only_sends_is_unprocessable() {
        let text = CHROMIUM.replace("a=recvonly", "a=sendonly");
        assert!(matches!(Offer::parse(&text), Err(Refusal::Unprocessable(_))));
        let text = CHROMIUM.replace("a=rtcp-mux\r\n", "");
        assert!(matches!(Offer::parse(&text), Err(Refusal::Unprocessable(_))));
    }

    #[test]
    fn only_candidates_with_an_address_are_used() {
        assert!(is_usable("1 1 udp 2113937151 192.0.2.1 43957 typ host generation 0"));
        assert!(!is_usable("1 1 udp 2113937151 04328221.local 43957 typ host"));
        assert!(!is_usable("1 1 tcp 2113937151 192.0.2.1 9 typ host tcptype active"));
        assert!(!is_usable("1 2 udp 2113937151 192.0.2.1 9 typ host"));
        assert!(!is_usable("rubbish"));
    }

    #[test]
    fn an_answer_says_which_role_it_takes_and_bundles_what_it_does_not_reject() {
        let answer = CHROMIUM.replace("a=setup:actpass", "a=setup:active");
        let read = |text: &str| Offer::parse_answer(text);
        assert_eq!(read(&answer).map(|answer| answer.setup), Ok("active".into()));
        assert_eq!(read(&answer.replace("a=setup:active\r\n", "")).map(|answer| answer.setup), Ok("active".into()));
        let alone = answer.replace("a=group:", "a=x:");
        assert!(matches!(read(CHROMIUM), Err(Refusal::Unprocessable(_))), "actpass");
        assert!(matches!(read(&alone), Err(Refusal::Unprocessable(_))), "two without a bundle");
        let rejected = alone.replace("m=audio 9", "m=audio 0").replace("a=mid:1\r\n", "");
        let receives = |answer: Offer| answer.media.iter().map(|media| media.receives).collect::<Vec<_>>();
        assert_eq!(read(&rejected).map(receives), Ok(vec![true, false]), "it is known by its place");
        assert!(matches!(Offer::parse(&rejected), Err(Refusal::Malformed(_))));
    }
}
