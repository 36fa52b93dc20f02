//! A session that begins with an offer of this side.
//!
//! This side is the offerer then: it is the controlling agent of ICE (RFC 8445 section 6.1.1) unless it is lite, and the
//! viewer's answer says which of both begins DTLS (RFC 5763 section 5).

use std::time::Instant;

use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::shared::error::Error;

use super::super::answer::{accept, plain};
use super::super::counter::{check_answer, own_media, write_offer};
use super::super::fragment::Fragment;
use super::super::offer::{Offer, OfferedMedia};
use super::super::{Opening, Refusal, StreamMedia};
use super::engine::{Engine, OwnSide, host_candidate};
use super::{CONNECT_TIMEOUT, Session, Settings};

/// What an offer of this side waits with for its answer.
pub struct Pending {
    stream: StreamMedia,
    own: Vec<OfferedMedia>,
    senders: Vec<RTCRtpSenderId>,
    /// Candidates that came before the answer, with the user fragment that they belong to.
    candidates: Vec<(Option<String>, String)>,
}

impl Pending {
    /// Keeps candidates until the answer comes.
    pub fn keep(&mut self, fragment: Fragment) {
        fragment.keep(&mut self.candidates);
    }
}

impl Session {
    /// Offers what the stream has, to a viewer whose own offer could not be answered; `why` is told with the offer.
    /// Without an answer the session is over after 30 s.
    pub fn offer(
        settings: &Settings,
        stream: &StreamMedia,
        why: &str,
        number: u64,
        now: Instant,
    ) -> Result<(Self, String), Refusal> {
        let own = own_media(stream);
        let mut offer = Offer {
            ufrag: String::new(),
            password: String::new(),
            fingerprint: String::new(),
            setup: "actpass".into(),
            tag: None,
            media: own.clone(),
            candidates: Vec::new(),
        };
        let offered = accept(&offer, stream)?;
        offer.media.clear();
        let failed = |error: Error| Refusal::Unprocessable(format!("the stream cannot be offered: {error}"));
        let codecs = own.iter().zip(&stream.tracks).flat_map(|(media, track)| {
            media.codecs.iter().filter(|codec| codec.is(track.codec)).map(|codec| (track.codec, codec))
        });
        let mut engine = Engine::new(settings, &offered, codecs, now).map_err(failed)?;
        let peer = &mut engine.peer;
        for address in &settings.canonical {
            peer.add_local_candidate(host_candidate(*address).map_err(failed)?).map_err(failed)?;
        }
        let engines = peer.create_offer(None).map_err(failed)?;
        peer.set_local_description(now, engines).map_err(failed)?;
        let side = OwnSide::read(peer);
        let text =
            write_offer(&own, stream, why, &side.local(&settings.announced, (settings.ice_lite, settings.tcp), number));
        let senders = engine.senders.clone();
        let mut session = Self::begin(settings, engine, side, (Vec::new(), offer), number, now);
        session.opening = Opening::CounterOffer;
        session.pending = Some(Box::new(Pending { stream: stream.clone(), own, senders, candidates: Vec::new() }));
        Ok((session, text))
    }

    /// Takes the viewer's answer to the offer of this side. An answer that cannot be used changes nothing, so that another
    /// one may follow; after [`Refusal::NothingTaken`] there is nothing to wait for.
    pub fn handle_answer(&mut self, if_match: Option<&str>, answer: &str, now: Instant) -> Result<(), Refusal> {
        let Some(pending) = &self.pending else {
            return Err(match self.opening {
                Opening::Offer => Refusal::NoCounterOffer,
                Opening::CounterOffer => Refusal::AlreadyAnswered,
            });
        };
        self.check_if_match(if_match)?;
        let mut answer = Offer::parse_answer(answer)?;
        check_answer(&pending.own, &answer)?;
        let accepted = accept(&answer, &pending.stream).map_err(|refusal| match refusal {
            Refusal::NoCommonCodec(why) => Refusal::NothingTaken(why),
            other => other,
        })?;
        let unusable = |error: Error| Refusal::Unprocessable(format!("the SDP answer cannot be used: {error}"));
        let plain = RTCSessionDescription::answer(plain(&answer, &accepted)).map_err(unusable)?;
        self.peer.set_remote_description(now, plain).map_err(unusable)?;
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let Pending { senders, candidates, .. } = *pending;
        self.sender = senders[accepted[0].at];
        self.accepted = accepted;
        // An ICE restart is the viewer's offer, whoever began.
        answer.setup = "actpass".into();
        let is_of_this = |ufrag: &Option<String>| ufrag.as_ref().is_none_or(|ufrag| *ufrag == answer.ufrag);
        let early = candidates.into_iter().filter(|(ufrag, _)| is_of_this(ufrag)).map(|(_, candidate)| candidate);
        let early = early.collect();
        self.offer = answer;
        self.deadline = Some(now + CONNECT_TIMEOUT);
        self.add_candidates(early);
        Ok(())
    }
}
