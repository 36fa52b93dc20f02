//! What a payload of AV1 over RTP tells without decoding it (RTP Payload Format For AV1, v1.0, section 4).

use super::access::{Access, Profile};

const CONTINUES: u8 = 0x80;
const NEW_SEQUENCE: u8 = 0x08;
const SEQUENCE_HEADER: u8 = 1;

/// Reads a payload. A keyframe's first packet begins a coded video sequence and holds the sequence header, without which
/// nobody can decode what follows; the header tells the profile.
pub(super) fn access(payload: &[u8]) -> Access {
    let begins = payload.first().is_some_and(|octet| octet & (CONTINUES | NEW_SEQUENCE) == NEW_SEQUENCE);
    let profile = Elements::of(payload).filter(|_| begins).find_map(sequence_profile);
    Access { keyframe: profile.is_some(), profile: profile.map(|id| Profile { id, flags: 0, level: 0 }) }
}

/// Profile of a sequence header; `None` of every other unit (AV1 bitstream specification sections 5.3.2 and 5.5.1).
fn sequence_profile(unit: &[u8]) -> Option<u8> {
    let header = *unit.first()?;
    let has_extension = header & 0x04 != 0;
    let has_size = header & 0x02 != 0;
    let rest = unit.get(1 + usize::from(has_extension)..)?;
    let content = if has_size { leb128(rest)?.1 } else { rest };
    (header >> 3 & 0x0f == SEQUENCE_HEADER).then(|| content.first().map(|octet| octet >> 5))?
}

/// The elements of a payload: with their size, but for the last one where the aggregation header counts them.
struct Elements<'a> {
    rest: &'a [u8],
    /// Elements that are still to come; `None` where each has its size.
    left: Option<u8>,
}

impl<'a> Elements<'a> {
    fn of(payload: &'a [u8]) -> Self {
        let count = payload.first().map_or(0, |octet| octet >> 4 & 3);
        Self { rest: payload.get(1..).unwrap_or_default(), left: (count > 0).then_some(count) }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.left {
            Some(0) => return None,
            Some(1) => {
                self.left = Some(0);
                return Some(std::mem::take(&mut self.rest));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let (size, rest) = leb128(self.rest)?;
        let element = rest.get(..size)?;
        self.rest = &rest[size..];
        Some(element)
    }
}

/// A number of seven bits an octet, least ones first, and what follows it (AV1 bitstream specification section 4.10.5).
fn leb128(octets: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, octet) in octets.iter().enumerate().take(4) {
        value |= usize::from(octet & 0x7f) << (7 * at);
        if octet & 0x80 == 0 {
            return Some((value, &octets[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; 3] = [0x08, 0x20, 0x00];

    #[test]
    fn a_keyframe_begins_with_its_sequence_header() {
        let counted = [&[0x28, 3][..], &HEADER, &[0x30, 0x10]].concat();
        let expected = Access { keyframe: true, profile: Some(Profile { id: 1, flags: 0, level: 0 }) };
        assert_eq!(access(&counted), expected);
        let alone = [&[0x18][..], &HEADER].concat();
        assert_eq!(access(&alone), expected);
        let sized = [&[0x08, 2, 0x30, 0x10, 3][..], &HEADER].concat();
        assert_eq!(access(&sized), expected, "every element has its size");
        assert_eq!(access(&[0x18, 0x0e, 0xff, 1, 0x20]), expected, "with an extension and a size of its own");
    }

    #[test]
    fn other_packets_are_no_keyframe() {
        let header = |first: u8| access(&[&[first, 3][..], &HEADER, &[0x30, 0x10]].concat()).keyframe;
        assert!(header(0x28) && !header(0x20), "a header that is repeated begins nothing");
        assert!(!header(0xa8), "what goes on begins nothing");
        assert!(!access(&[0x18, 0x30, 0x10]).keyframe, "no sequence header is there");
    }

    #[test]
    fn torn_payloads_carry_nothing() {
        for payload in
            [&[][..], &[0x18], &[0x18, 0x08], &[0x08, 9, 0x08], &[0x08, 0x80], &[0x08, 0xff, 0xff, 0xff, 0xff]]
        {
            assert_eq!(access(payload), Access::default(), "{payload:?}");
        }
    }
}
