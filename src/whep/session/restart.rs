//! What a fragment does to a session: more candidates, or a new ICE session under the same media.

use std::time::Instant;

use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCIceCandidateInit;

use super::super::answer::{plain, write_fragment};
use super::super::fragment::Fragment;
use super::super::offer::Offer;
use super::super::{Refusal, Restart};
use super::Session;
use super::engine::own_answer;

impl Session {
    /// Takes a trickle fragment (RFC 9725 section 4.3). A missing If-Match is accepted for candidates, because real
    /// clients leave it out. Other credentials than before restart ICE, and what comes back is for the player; media and
    /// its protection go on.
    pub fn handle_fragment(
        &mut self,
        if_match: Option<&str>,
        fragment: &str,
        now: Instant,
    ) -> Result<Option<Restart>, Refusal> {
        self.check_if_match(if_match)?;
        let fragment = Fragment::parse(fragment)?;
        if let Some(pending) = &mut self.pending {
            pending.keep(fragment);
            return Ok(None);
        }
        let restart = match &fragment.ufrag {
            Some(ufrag) if self.former_ufrag.as_ref() == Some(ufrag) => {
                tracing::debug!("candidates of an ICE session that is over are left out");
                return Ok(None);
            }
            Some(ufrag) if *ufrag != self.offer.ufrag => match if_match {
                None => return Err(Refusal::PreconditionRequired),
                Some(_) => Some(self.restart(&fragment, now)?),
            },
            _ => None,
        };
        self.add_candidates(fragment.candidates);
        Ok(restart)
    }

    /// Whether an If-Match header, where there is one, names this ICE session.
    pub(super) fn check_if_match(&self, if_match: Option<&str>) -> Result<(), Refusal> {
        let matches = |tag: &str| tag == "*" || tag == "\"*\"" || tag == self.etag;
        match if_match {
            Some(tags) if !tags.split(',').any(|tag| matches(tag.trim())) => Err(Refusal::PreconditionFailed),
            _ => Ok(()),
        }
    }

    /// Takes candidates of the viewer; what cannot be used is left out.
    pub(super) fn add_candidates(&mut self, candidates: Vec<String>) {
        for candidate in candidates {
            let candidate = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
            if let Err(error) = self.peer.add_remote_candidate(candidate) {
                tracing::debug!(%error, "candidate left out");
            }
        }
    }

    /// Begins a new ICE session (RFC 8445 section 9). Until its checks have found a path, media goes on to the address
    /// that was found before.
    fn restart(&mut self, fragment: &Fragment, now: Instant) -> Result<Restart, Refusal> {
        let (ufrag, password) = fragment.credentials()?;
        let mut offer = Offer { ufrag: ufrag.to_owned(), password: password.to_owned(), ..self.offer.clone() };
        offer.candidates.clear();
        let refused =
            |error: rtc::shared::error::Error| Refusal::Unprocessable(format!("ICE cannot be restarted: {error}"));
        let plain = RTCSessionDescription::offer(plain(&offer, &self.accepted)).map_err(refused)?;
        self.peer.set_remote_description(now, plain).map_err(refused)?;
        let own = own_answer(&mut self.peer, now).map_err(refused)?;
        let fragment =
            write_fragment(&offer, &self.accepted, &own.local(&self.announced, (self.ice_lite, self.tcp), self.number));
        self.former_ufrag = Some(std::mem::replace(&mut self.offer, offer).ufrag);
        self.etag = format!("\"{}\"", own.ufrag);
        (self.local_ufrag, self.local_password) = (own.ufrag, own.password);
        self.roam = None;
        Ok(Restart { fragment, etag: self.etag.clone() })
    }
}
