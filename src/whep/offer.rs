//! A player's SDP, read for what a session needs of it (RFC 8866, RFC 9429): its offer, or its answer to a counter-offer.

mod media;

use std::io::Cursor;

use rtc::sdp::{MediaDescription, SessionDescription};

use super::Refusal;

pub use media::{OfferedCodec, OfferedMedia, h264_families};

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
    /// The `a=mid`s of the BUNDLE group in its order (RFC 9143); empty where there is no such group.
    pub bundle: Vec<String>,
    /// Place of the media description whose transport all media share.
    pub carrier: usize,
    /// The media descriptions in order.
    pub media: Vec<OfferedMedia>,
    /// Candidates that can be used: UDP, component 1, an address and no name.
    pub candidates: Vec<String>,
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
        if description.media_descriptions.is_empty() {
            return Err(Refusal::Malformed(format!("the SDP {what} has no media description")));
        }
        let bundle = bundle(&description);
        let mut media = Vec::new();
        for offered in &description.media_descriptions {
            media.push(OfferedMedia::read(&description, offered)?);
        }
        leave_out_what_has_its_own_transport(&mut media, &bundle, what)?;
        let carrier = carrier(&media, &bundle);
        let own = &description.media_descriptions[carrier];
        let transport = Transport { description: &description, carrier: own, what };
        let ufrag = transport.needed("ice-ufrag")?;
        Ok(Self {
            candidates: transport.candidates(&ufrag),
            ufrag,
            password: transport.needed("ice-pwd")?,
            fingerprint: transport.needed("fingerprint")?,
            setup: transport.attribute("setup").unwrap_or_default().to_owned(),
            bundle,
            carrier,
            media,
        })
    }

    /// Places of the media descriptions of the answer's BUNDLE group in its order: these, and the carrier. Whatever else
    /// is in the offer's group is rejected, and so not in the answer's (RFC 9143 section 7.3.3).
    pub fn bundled(&self, is_answered: impl Fn(usize) -> bool) -> Vec<usize> {
        let place = |mid: &String| self.media.iter().position(|media| media.mid == *mid);
        self.bundle.iter().filter_map(place).filter(|at| *at == self.carrier || is_answered(*at)).collect()
    }
}

/// The `a=mid`s of the first group that bundles (RFC 9143 section 5); other groups mean something else.
fn bundle(description: &SessionDescription) -> Vec<String> {
    let groups = description.attributes.iter().filter(|attribute| attribute.key == "group");
    let mut groups = groups.filter_map(|attribute| attribute.value.as_deref()).map(str::split_whitespace);
    let bundle = groups.find_map(|mut words| (words.next() == Some("BUNDLE")).then_some(words));
    bundle.into_iter().flatten().map(str::to_owned).collect()
}

/// Media that is outside of the BUNDLE group, beside other media, has a transport of its own, and gets nothing.
fn leave_out_what_has_its_own_transport(
    media: &mut [OfferedMedia],
    bundle: &[String],
    what: What,
) -> Result<(), Refusal> {
    let needs_transport = |media: &&OfferedMedia| match what {
        What::Offer => media.live,
        // What an answer rejects is in no bundle.
        What::Answer => media.receives,
    };
    if media.iter().filter(needs_transport).count() > 1 {
        if bundle.is_empty() {
            return Err(Refusal::Unprocessable(format!("the {what} does not bundle its media (a=group:BUNDLE)")));
        }
        for media in media {
            media.receives &= bundle.contains(&media.mid);
        }
    }
    Ok(())
}

/// The first media description of the BUNDLE group, unless the answer rejects it (RFC 9143 section 7.3.1). It is never
/// rejected where it can stay: an offer that bundles all media from the start has no other transport, and Chromium
/// refuses an answer without it.
fn carrier(media: &[OfferedMedia], bundle: &[String]) -> usize {
    let place = |mid: &String| media.iter().position(|media| media.mid == *mid && media.can_carry());
    let receives = || media.iter().position(|media| media.receives);
    bundle.iter().find_map(place).or_else(receives).unwrap_or_default()
}

/// Attributes of the transport.
struct Transport<'a> {
    description: &'a SessionDescription,
    carrier: &'a MediaDescription,
    what: What,
}

impl Transport<'_> {
    /// An attribute of the carrier, else of the whole session, else of any media description that has one.
    fn attribute(&self, key: &str) -> Option<&str> {
        let session = || self.description.attribute(key).map(String::as_str);
        let anywhere = || self.description.media_descriptions.iter().find_map(|media| media.attribute(key).flatten());
        self.carrier.attribute(key).flatten().or_else(session).or_else(anywhere)
    }

    fn needed(&self, key: &str) -> Result<String, Refusal> {
        let missing = || Refusal::Malformed(format!("the SDP {} has no a={key}", self.what));
        self.attribute(key).map(str::to_owned).ok_or_else(missing)
    }

    /// The candidates that can be used, of every media description whose credentials are these.
    fn candidates(&self, ufrag: &str) -> Vec<String> {
        let media = self.description.media_descriptions.iter();
        let media = media.filter(|media| media.attribute("ice-ufrag").flatten().is_none_or(|own| own == ufrag));
        media
            .flat_map(|media| &media.attributes)
            .filter(|attribute| attribute.key == "candidate")
            .filter_map(|attribute| attribute.value.clone())
            .filter(|candidate| is_usable(candidate))
            .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = include_str!("../../tests/offers/offer_chromium156_mdns.sdp");
    const GATHERED: &str = include_str!("../../tests/offers/offer_chromium156_gathered.sdp");
    const GROUP: &str = "a=group:BUNDLE 0 1\r\n";

    fn read(text: &str) -> Offer {
        Offer::parse(text).unwrap_or_else(|refusal| panic!("{refusal}: {text}"))
    }

    #[test]
    fn the_bundle_is_found_beside_groups_that_mean_something_else() {
        let offer = read(&CHROMIUM.replace(GROUP, &format!("a=group:LS 0 1\r\na=group:BUNDLES 1 0\r\n{GROUP}")));
        assert_eq!(offer, read(CHROMIUM));
        assert_eq!(offer.bundled(|_| true), [0, 1]);
    }

    #[test]
    fn the_transport_is_that_of_the_first_of_the_bundle_wherever_it_stands() {
        let audio = GATHERED.find("m=audio").expect("there is sound");
        let ufrag = read(GATHERED).ufrag;
        let own = GATHERED[audio..].replace(&format!("a=ice-ufrag:{ufrag}"), "a=ice-ufrag:another");
        let text = GATHERED[..audio].replace(GROUP, "a=group:BUNDLE 1 0\r\n") + &own;
        let offer = read(&text);
        assert_eq!((offer.ufrag.as_str(), offer.carrier), ("another", 1));
        assert_eq!(offer.bundled(|at| at == 0), [1, 0], "the carrier stays, and comes first");
        assert!(offer.candidates.is_empty(), "those are of the other transport");
        assert!(!read(&text.replace("BUNDLE 1 0", "BUNDLE 0 1")).candidates.is_empty());
    }

    #[test]
    fn media_outside_of_the_bundle_gets_nothing() {
        let offer = read(&CHROMIUM.replace(GROUP, "a=group:BUNDLE 1\r\n"));
        assert_eq!(offer.media.iter().map(|media| media.receives).collect::<Vec<_>>(), [false, true]);
        assert_eq!((offer.carrier, offer.bundled(|_| true)), (1, vec![1]));
    }

    #[test]
    fn a_rejected_media_description_needs_no_name_and_no_bundle() {
        let audio = CHROMIUM.find("m=audio").expect("there is sound");
        let rejected = CHROMIUM[audio..].replace("m=audio 9", "m=audio 0").replace("a=mid:1\r\n", "");
        let offer = read(&(CHROMIUM[..audio].replace(GROUP, "") + &rejected));
        assert_eq!(offer.media.iter().map(|media| media.receives).collect::<Vec<_>>(), [true, false]);
        assert_eq!((offer.carrier, offer.bundled(|_| true)), (0, vec![]));
        let live = rejected.replace("m=audio 0", "m=audio 9");
        assert!(matches!(Offer::parse(&(CHROMIUM[..audio].to_owned() + &live)), Err(Refusal::Malformed(_))));
        let unbundled = CHROMIUM.replace(GROUP, "");
        assert!(matches!(Offer::parse(&unbundled), Err(Refusal::Unprocessable(_))));
    }

    #[test]
    fn a_direction_of_the_session_counts_where_the_media_has_none() {
        let of_session = |direction: &str| {
            CHROMIUM.replace("a=recvonly\r\n", "").replace(GROUP, &format!("{GROUP}a={direction}\r\n"))
        };
        assert!(read(&of_session("recvonly")).media.iter().all(|media| media.receives));
        assert!(matches!(Offer::parse(&of_session("sendonly")), Err(Refusal::Unprocessable(_))));
        let own = CHROMIUM.replace(GROUP, &format!("{GROUP}a=sendonly\r\n"));
        assert!(read(&own).media.iter().all(|media| media.receives), "the media's own is nearer");
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
    }
}
