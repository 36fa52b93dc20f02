//! A viewer whose address changes under a running ICE session, because its NAT or its network gave it another one.
//!
//! The WebRTC engine stays with the pair that was nominated first, and gives the session up when nothing comes from there
//! any more. So the engine is left to believe that the viewer is where it was, once the viewer has proven with the
//! passwords of both sides that it is somewhere else: the two addresses stand for each other then, in both directions.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::framing::is_alias;
use super::super::stun::{self, BINDING_REQUEST, BINDING_SUCCESS, Transaction, USE_CANDIDATE, is_authentic};

/// A viewer that nominates nothing (RFC 8445 section 7.3.1.5 leaves that to the first time) has moved when checks come
/// from elsewhere and nothing has come from where it was for this long.
const SILENCE: Duration = Duration::from_secs(4);
/// Checks of this side that are remembered.
const CHECKS: usize = 32;
/// Addresses that are remembered as the viewer's.
const PROVEN: usize = 8;

/// Where a connected viewer is.
pub struct Roam {
    /// Where the engine believes it to be.
    believed: SocketAddr,
    actual: SocketAddr,
    /// When something came from there.
    heard_at: Instant,
    /// Where it wants to be, before it has answered a check there.
    wanted: Option<SocketAddr>,
    /// Where it has answered. The engine does not check again what has answered once (RFC 8445 section 7.3.1.5).
    proven: VecDeque<SocketAddr>,
    /// Checks of this side, the newest last.
    checks: VecDeque<Check>,
    /// This side nominates. Its engine checks no other path from then on, so what it sends to keep the path goes where
    /// the viewer wants to be.
    nominates: bool,
}

/// A check of this side.
struct Check {
    transaction: Transaction,
    /// Where the engine sent it.
    believed: SocketAddr,
    /// Where it went.
    actual: SocketAddr,
}

impl Roam {
    /// A viewer that was found at this address, by the nomination of this side or by its own.
    pub fn new(at: SocketAddr, nominates: bool, now: Instant) -> Self {
        Self {
            believed: at,
            actual: at,
            heard_at: now,
            wanted: None,
            proven: [at].into(),
            checks: VecDeque::new(),
            nominates,
        }
    }

    /// Where the engine believes the viewer to be.
    pub fn believed(&self) -> SocketAddr {
        self.believed
    }

    /// Where the viewer is.
    pub fn actual(&self) -> SocketAddr {
        self.actual
    }

    /// Takes a datagram that the engine sends; where it is to go.
    pub fn handle_sent(&mut self, to: SocketAddr, datagram: &[u8]) -> SocketAddr {
        let Some((BINDING_REQUEST, transaction)) = stun::header(datagram) else { return self.swapped(to) };
        let actual = match self.wanted {
            Some(wanted) if self.nominates && to == self.believed => wanted,
            _ => self.swapped(to),
        };
        if self.checks.len() == CHECKS {
            self.checks.pop_front();
        }
        self.checks.push_back(Check { transaction, believed: to, actual });
        actual
    }

    /// Takes a datagram that came; where the engine is to believe that it came from. The passwords are those of this side
    /// and of the viewer.
    pub fn handle_received(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        (own, viewers): (&str, &str),
        now: Instant,
    ) -> SocketAddr {
        let is_silent = now.saturating_duration_since(self.heard_at) > SILENCE;
        if from == self.actual {
            self.heard_at = now;
            if self.nominates {
                self.wanted = None;
            }
        }
        match stun::header(datagram) {
            Some((BINDING_REQUEST, _)) if from != self.actual => {
                // Browsers nominate each path that works, and TCP is for where UDP does not.
                let is_slower = is_alias(&from) && !is_alias(&self.actual);
                let nominates = stun::attribute(datagram, USE_CANDIDATE).is_some() && !is_slower;
                if (nominates || is_silent) && is_authentic(datagram, own) {
                    self.wanted = Some(from);
                    // Nobody speaks TCP from where he is not.
                    if is_alias(&from) || self.proven.contains(&from) {
                        self.move_to(from, now);
                    }
                }
                // What the engine answers is for whoever has asked, wherever the viewer is now.
                self.swapped(from)
            }
            Some((BINDING_SUCCESS, transaction)) => {
                // The engine knows its check by the address that it was sent to.
                let check = self.checks.iter().find(|check| check.transaction == transaction && check.actual == from);
                let told = check.map_or_else(|| self.swapped(from), |check| check.believed);
                if self.wanted == Some(from) && check.is_some() && is_authentic(datagram, viewers) {
                    if self.proven.len() == PROVEN {
                        self.proven.pop_front();
                    }
                    self.proven.push_back(from);
                    self.move_to(from, now);
                }
                told
            }
            _ => self.swapped(from),
        }
    }

    fn swapped(&self, address: SocketAddr) -> SocketAddr {
        match address {
            address if address == self.believed => self.actual,
            address if address == self.actual => self.believed,
            address => address,
        }
    }

    fn move_to(&mut self, address: SocketAddr, now: Instant) {
        (self.actual, self.heard_at, self.wanted) = (address, now, None);
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::super::super::framing::alias;
    use super::super::super::stun::HEADER;
    use super::*;

    const PASSWORDS: (&str, &str) = ("the gateway's", "the viewer's");

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn message(kind: [u8; 2], transaction: u8, attributes: &[u16], password: &str) -> Vec<u8> {
        let mut message = [&kind[..], &[0, 0, 0x21, 0x12, 0xa4, 0x42], &[transaction; 12]].concat();
        attributes.iter().for_each(|kind| message.extend_from_slice(&[kind.to_be_bytes(), [0, 0]].concat()));
        let length = (message.len() + 24 - HEADER) as u16;
        message[2..4].copy_from_slice(&length.to_be_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let code = hmac::sign(&key, &message);
        message.extend_from_slice(&[0, 8, 0, 20]);
        message.extend_from_slice(code.as_ref());
        message
    }

    fn nomination(password: &str) -> Vec<u8> {
        message(BINDING_REQUEST, 1, &[USE_CANDIDATE], password)
    }

    fn success(transaction: u8, password: &str) -> Vec<u8> {
        message(BINDING_SUCCESS, transaction, &[], password)
    }

    /// A viewer at port 1 that nominates port 2, and the check that the engine sends there.
    fn nominated(now: Instant) -> Roam {
        let mut roam = Roam::new(address(1), false, now);
        assert_eq!(roam.handle_received(address(2), &nomination(PASSWORDS.0), PASSWORDS, now), address(2));
        assert_eq!(roam.handle_sent(address(2), &message(BINDING_REQUEST, 7, &[], PASSWORDS.1)), address(2));
        assert_eq!(roam.actual(), address(1), "nothing is proven yet");
        roam
    }

    #[test]
    fn a_viewer_that_answers_where_it_wants_to_be_is_there() {
        let now = Instant::now();
        let mut roam = nominated(now);
        assert_eq!(roam.handle_received(address(2), &success(7, PASSWORDS.1), PASSWORDS, now), address(2));
        assert_eq!((roam.actual(), roam.believed()), (address(2), address(1)));
        assert_eq!(roam.handle_sent(address(1), &[0x80]), address(2), "media feedback goes there");
        roam.handle_sent(address(1), &message(BINDING_REQUEST, 8, &[], PASSWORDS.1));
        assert_eq!(roam.handle_received(address(2), &success(8, PASSWORDS.1), PASSWORDS, now), address(1));
        roam.handle_received(address(1), &nomination(PASSWORDS.0), PASSWORDS, now);
        assert_eq!(roam.actual(), address(1), "it is back");
    }

    #[test]
    fn the_engine_believes_that_a_viewer_that_moved_checks_from_where_it_was() {
        let now = Instant::now();
        let mut roam = nominated(now);
        roam.handle_received(address(2), &success(7, PASSWORDS.1), PASSWORDS, now);
        let check = message(BINDING_REQUEST, 2, &[], PASSWORDS.0);
        assert_eq!(
            roam.handle_received(address(2), &check, PASSWORDS, now),
            address(1),
            "an ICE lite agent lives by it"
        );
        assert_eq!(roam.handle_received(address(2), &[0x80], PASSWORDS, now), address(1));
        assert_eq!(roam.handle_received(address(1), &check, PASSWORDS, now), address(2));
        assert_eq!(roam.handle_sent(address(2), &success(2, PASSWORDS.0)), address(1), "who asked is answered");
    }

    #[test]
    fn a_viewer_may_go_to_and_fro_between_addresses_that_have_answered() {
        let now = Instant::now();
        let mut roam = nominated(now);
        roam.handle_received(address(2), &success(7, PASSWORDS.1), PASSWORDS, now);
        for port in [1, 2, 1, 2] {
            let told = roam.handle_received(address(port), &nomination(PASSWORDS.0), PASSWORDS, now);
            assert_eq!((roam.actual(), told), (address(port), address(1)));
            assert_eq!(roam.handle_sent(address(1), &success(1, PASSWORDS.0)), address(port));
        }
    }

    #[test]
    fn a_side_that_nominates_checks_where_the_viewer_is_heard_when_it_is_silent_where_it_was() {
        let start = Instant::now();
        let now = start + Duration::from_secs(5);
        let check = message(BINDING_REQUEST, 1, &[], PASSWORDS.0);
        let ours = message(BINDING_REQUEST, 7, &[], PASSWORDS.1);
        let mut roam = Roam::new(address(1), true, start);
        assert_eq!(roam.handle_received(address(2), &check, PASSWORDS, now), address(2));
        assert_eq!(roam.handle_sent(address(1), &[0x80]), address(1), "feedback does not go there yet");
        assert_eq!(roam.handle_sent(address(1), &ours), address(2));
        assert_eq!(roam.handle_received(address(2), &success(7, PASSWORDS.1), PASSWORDS, now), address(1));
        assert_eq!((roam.actual(), roam.believed()), (address(2), address(1)));

        let mut roam = Roam::new(address(1), true, start);
        roam.handle_received(address(2), &check, PASSWORDS, now);
        roam.handle_received(address(1), &check, PASSWORDS, now);
        assert_eq!(roam.handle_sent(address(1), &ours), address(1), "it is back");
    }

    #[test]
    fn who_lacks_a_password_moves_nobody() {
        let now = Instant::now();
        let mut roam = nominated(now);
        roam.handle_received(address(2), &success(7, "another"), PASSWORDS, now);
        roam.handle_received(address(2), &success(9, PASSWORDS.1), PASSWORDS, now);
        roam.handle_received(address(3), &success(7, PASSWORDS.1), PASSWORDS, now);
        assert_eq!(roam.actual(), address(1));
        let mut roam = Roam::new(address(1), false, now);
        roam.handle_received(address(2), &nomination("another"), PASSWORDS, now);
        roam.handle_sent(address(2), &message(BINDING_REQUEST, 7, &[], PASSWORDS.1));
        roam.handle_received(address(2), &success(7, PASSWORDS.1), PASSWORDS, now);
        assert_eq!(roam.actual(), address(1));
    }

    #[test]
    fn a_check_without_a_nomination_moves_a_viewer_that_is_silent_where_it_was() {
        let start = Instant::now();
        for (silence, expected) in [(1, address(1)), (5, address(2))] {
            let mut roam = Roam::new(address(1), false, start);
            let now = start + Duration::from_secs(silence);
            roam.handle_received(address(2), &message(BINDING_REQUEST, 1, &[], PASSWORDS.0), PASSWORDS, now);
            roam.handle_sent(address(2), &message(BINDING_REQUEST, 7, &[], PASSWORDS.1));
            roam.handle_received(address(2), &success(7, PASSWORDS.1), PASSWORDS, now);
            assert_eq!(roam.actual(), expected, "after {silence} s");
        }
    }

    #[test]
    fn tcp_is_for_a_viewer_whose_udp_is_silent_and_udp_takes_it_back() {
        let start = Instant::now();
        let by_tcp = alias(7, &address(1));
        let mut roam = Roam::new(address(1), false, start);
        roam.handle_received(by_tcp, &nomination(PASSWORDS.0), PASSWORDS, start);
        assert_eq!(roam.actual(), address(1), "browsers nominate what works");
        let later = start + SILENCE + Duration::from_millis(1);
        roam.handle_received(by_tcp, &nomination("another"), PASSWORDS, later);
        assert_eq!(roam.actual(), address(1));
        roam.handle_received(by_tcp, &nomination(PASSWORDS.0), PASSWORDS, later);
        assert_eq!(roam.actual(), by_tcp, "a connection proves where its other end is");
        roam.handle_received(address(1), &nomination(PASSWORDS.0), PASSWORDS, later);
        assert_eq!(roam.actual(), address(1));
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let whole = nomination(PASSWORDS.0);
        assert!(is_authentic(&whole, PASSWORDS.0));
        for size in 0..whole.len() {
            assert!(!is_authentic(&whole[..size], PASSWORDS.0), "{size} octets");
        }
    }
}
