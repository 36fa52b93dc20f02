//! Connectivity checks that the WebRTC engine does not answer when they come.
//!
//! Every check is to be answered (RFC 8445 section 7.3). The engine leaves one that nominates without an answer as long as
//! its own check of the same path has not succeeded. Chromium nominates with each check and sends the next one 50 ms
//! later, so every join would take that much longer. Therefore such a check is kept, and handed in again as soon as the
//! viewer has answered the engine's own.

use std::net::SocketAddr;

use super::stun::{BINDING_REQUEST, BINDING_SUCCESS, USE_CANDIDATE, attribute};

/// Paths of one viewer on which a check is kept at most.
const MOST: usize = 4;

/// Nominating checks that wait for an answer, the newest of each path.
#[derive(Debug, Default)]
pub struct Checks(Vec<(SocketAddr, Vec<u8>)>);

impl Checks {
    /// Looks at a datagram that the engine was given; gives the check that is to be handed in again now.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let kept = self.0.iter().position(|(path, _)| *path == from);
        match datagram.first_chunk() {
            Some(&BINDING_REQUEST) if attribute(datagram, USE_CANDIDATE).is_some() => {
                match kept {
                    Some(at) => self.0[at].1 = datagram.to_vec(),
                    None if self.0.len() < MOST => self.0.push((from, datagram.to_vec())),
                    None => {}
                }
                None
            }
            Some(&BINDING_SUCCESS) => kept.map(|at| self.0.swap_remove(at).1),
            _ => None,
        }
    }

    /// Forgets every check.
    pub fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUCCESS: &[u8] = &[1, 1, 0, 0];

    fn check(number: u8, attributes: &[u8]) -> Vec<u8> {
        let head = [0, 1, 0, attributes.len() as u8, 0x21, 0x12, 0xa4, 0x42, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        [&head, attributes].concat()
    }

    fn nominating(number: u8) -> Vec<u8> {
        // A USERNAME of five octets and its padding, and USE-CANDIDATE behind it.
        check(number, &[0, 6, 0, 5, b'a', b':', b'b', b'c', b'd', 0, 0, 0, 0, 0x25, 0, 0])
    }

    fn path(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_nominating_check_comes_again_once_when_its_own_path_works() {
        let mut checks = Checks::default();
        assert_eq!(checks.handle_datagram(path(1), SUCCESS), None, "nothing was kept");
        for (port, number) in [(1, 1), (2, 2), (1, 3)] {
            assert_eq!(checks.handle_datagram(path(port), &nominating(number)), None);
        }
        assert_eq!(checks.handle_datagram(path(1), SUCCESS), Some(nominating(3)), "the newest of this path");
        assert_eq!(checks.handle_datagram(path(1), SUCCESS), None);
        assert_eq!(checks.handle_datagram(path(2), SUCCESS), Some(nominating(2)));
    }

    #[test]
    fn checks_that_the_engine_answers_and_rubbish_are_not_kept() {
        let mut checks = Checks::default();
        for datagram in [check(1, &[0, 0x24, 0, 4, 1, 2, 3, 4]), check(1, &[0, 6, 0xff, 0xff, 0]), vec![0, 1], vec![]] {
            assert_eq!(checks.handle_datagram(path(1), &datagram), None);
            assert_eq!(checks.handle_datagram(path(1), SUCCESS), None, "{datagram:?}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut checks = Checks::default();
        for port in 1..100 {
            checks.handle_datagram(path(port), &nominating(1));
        }
        assert_eq!((1..100).filter(|port| checks.handle_datagram(path(*port), SUCCESS).is_some()).count(), MOST);
    }
}
