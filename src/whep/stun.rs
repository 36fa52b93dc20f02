//! STUN messages, as far as they are read beside the WebRTC engine: whom a check is for, whether it nominates, and who
//! made it (RFC 8489, RFC 8445).

use aws_lc_rs::hmac;

/// Type of a connectivity check.
pub const BINDING_REQUEST: [u8; 2] = [0, 1];
/// Type of the answer to one that succeeded.
pub const BINDING_SUCCESS: [u8; 2] = [1, 1];
/// Octets of a header (RFC 8489 section 5).
pub const HEADER: usize = 20;
/// The attribute by which a check nominates its path (RFC 8445 section 7.1.2).
pub const USE_CANDIDATE: u16 = 0x0025;

/// Octets of an attribute's type and length (RFC 8489 section 14).
const ATTRIBUTE_HEADER: usize = 4;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;

/// What ties an answer to its request.
pub type Transaction = [u8; 12];

/// Type and transaction of a message; `None` of what is no STUN (RFC 7983 section 7).
pub fn header(datagram: &[u8]) -> Option<([u8; 2], Transaction)> {
    let header = datagram.get(..HEADER)?;
    let kind = [header[0], header[1]];
    (header[0] < 4).then(|| (kind, header[8..].try_into().expect("a header has so many octets left")))
}

/// Where an attribute of a message begins, and its value.
pub fn attribute(datagram: &[u8], wanted: u16) -> Option<(usize, &[u8])> {
    let mut at = HEADER;
    loop {
        let header = datagram.get(at..at + ATTRIBUTE_HEADER)?;
        let size = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let value = datagram.get(at + ATTRIBUTE_HEADER..at + ATTRIBUTE_HEADER + size)?;
        if u16::from_be_bytes([header[0], header[1]]) == wanted {
            return Some((at, value));
        }
        at += ATTRIBUTE_HEADER + size.next_multiple_of(4);
    }
}

/// The receiving side's user fragment of a check: what stands before the colon in its USERNAME (RFC 8445 section 7.2.2).
pub fn requested_ufrag(datagram: &[u8]) -> Option<&str> {
    if datagram.first_chunk() != Some(&BINDING_REQUEST) {
        return None;
    }
    let (_, name) = attribute(datagram, USERNAME)?;
    std::str::from_utf8(name).ok()?.split(':').next()
}

/// Whether a message was made with this password (RFC 8489 section 14.5).
pub fn is_authentic(datagram: &[u8], password: &str) -> bool {
    let Some((at, code)) = attribute(datagram, MESSAGE_INTEGRITY) else { return false };
    let mut covered = datagram[..at].to_vec();
    let length = (at + ATTRIBUTE_HEADER + code.len() - HEADER) as u16;
    covered[2..4].copy_from_slice(&length.to_be_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    hmac::verify(&key, &covered, code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_names_whom_it_is_for_and_nothing_else_does() {
        let message = |kind: [u8; 2], attributes: &[u8]| {
            [&kind[..], &[0, attributes.len() as u8, 0x21, 0x12, 0xa4, 0x42], &[7; 12], attributes].concat()
        };
        let named = [&[0, 0x24, 0, 1, 9, 0, 0, 0, 0, 6, 0, 5][..], b"ab:cd", &[0; 3]].concat();
        let check = message(BINDING_REQUEST, &named);
        assert_eq!(requested_ufrag(&check), Some("ab"));
        assert_eq!(requested_ufrag(&message(BINDING_SUCCESS, &named)), None);
        assert_eq!(requested_ufrag(&message(BINDING_REQUEST, &[0, 6, 0, 2, 0xff, 0xfe, 0, 0])), None, "no text");
        for size in 0..check.len() - 3 {
            assert_eq!(requested_ufrag(&check[..size]), None, "{size} octets");
        }
    }
}
