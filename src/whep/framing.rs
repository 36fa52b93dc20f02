//! Viewers that come by TCP (RFC 6544): datagrams with their length before them (RFC 4571), and addresses that stand for
//! their connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets before a framed datagram (RFC 4571 section 2).
const FRAME_HEADER: usize = 2;
/// Octets of a framed datagram at most: more than ICE, DTLS and RTCP ever put into one.
const MAX_FRAME: usize = 4096;

/// Nobody has this address (RFC 7600), so it can stand for a connection.
const DUMMY_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// The same for IPv6 (RFC 6666).
const DISCARD_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

/// The address that stands for a TCP connection wherever a viewer is known by its address, as inside the WebRTC engine.
/// `like` gives the IP version.
pub fn alias(connection: u16, like: &SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => SocketAddr::from((DUMMY_V4, connection)),
        SocketAddr::V6(_) => SocketAddr::from((DISCARD_V6, connection)),
    }
}

/// Whether an address stands for a TCP connection.
pub fn is_alias(address: &SocketAddr) -> bool {
    address.ip() == IpAddr::V4(DUMMY_V4) || address.ip() == IpAddr::V6(DISCARD_V6)
}

/// Takes datagrams out of what a connection brings.
#[derive(Debug, Default)]
pub struct Deframer(Vec<u8>);

/// A datagram is larger than any that is expected, 4,096 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Deframer {
    /// Takes octets in the order of the connection, and hands each whole datagram to `take`. After an error nothing more
    /// is to be read of the connection.
    pub fn handle_octets(&mut self, octets: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), TooLarge> {
        self.0.extend_from_slice(octets);
        let mut at = 0;
        while let Some([high, low]) = self.0.get(at..at + FRAME_HEADER) {
            let size = usize::from(u16::from_be_bytes([*high, *low]));
            if size > MAX_FRAME {
                return Err(TooLarge);
            }
            let begin = at + FRAME_HEADER;
            let Some(datagram) = self.0.get(begin..begin + size) else { break };
            take(datagram);
            at = begin + size;
        }
        self.0.drain(..at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(datagrams: &[&[u8]]) -> Vec<u8> {
        datagrams.iter().flat_map(|datagram| [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()).collect()
    }

    #[test]
    fn datagrams_come_out_whole_however_the_connection_cuts_them() {
        let expected: Vec<Vec<u8>> = vec![vec![1; 5], vec![], vec![2; 1200], vec![3]];
        let octets = framed(&expected.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for size in [1, 2, 3, 7, 1000, octets.len()] {
            let (mut deframer, mut got) = (Deframer::default(), Vec::new());
            for part in octets.chunks(size) {
                deframer.handle_octets(part, |datagram| got.push(datagram.to_vec())).expect("none is too large");
            }
            assert_eq!(got, expected, "in parts of {size}");
        }
    }

    #[test]
    fn a_datagram_that_is_too_large_is_an_error_before_it_has_come() {
        let mut deframer = Deframer::default();
        let mut count = 0;
        let octets = [&framed(&[&[1; 4]])[..], &[0x10, 0x01]].concat();
        assert_eq!(deframer.handle_octets(&octets, |_| count += 1), Err(TooLarge));
        assert_eq!(count, 1, "what came before it is taken");
    }

    #[test]
    fn an_address_that_stands_for_a_connection_is_known_as_one() {
        for like in ["203.0.113.7:1", "[2001:db8::1]:1"].map(|text| text.parse::<SocketAddr>().expect("an address")) {
            let stands = alias(7, &like);
            assert!(is_alias(&stands) && stands.port() == 7 && stands.is_ipv4() == like.is_ipv4());
            assert!(!is_alias(&like));
        }
    }
}
