//! What a payload of H.265 over RTP tells without decoding it (RFC 7798 section 4.4).

use super::access::{Access, Profile};
use super::h264::AggregatedUnits;

/// Pictures that a decoder can begin with: BLA, IDR, CRA and what is reserved beside them (H.265 table 7-1).
const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
const SPS: u8 = 33;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
/// Octets of a unit's header.
const HEADER: usize = 2;

/// Reads a payload; a slice of an IRAP picture is a keyframe, and the sequence parameter set tells profile and tier.
/// The fields of interleaving (DONL) are never there: FFmpeg sends in the order of decoding.
pub(super) fn access(payload: &[u8]) -> Access {
    let mut access = Access::default();
    match (kind(payload), payload.get(HEADER..)) {
        (Some(AGGREGATION), Some(units)) => AggregatedUnits(units).for_each(|unit| note(&mut access, unit)),
        (Some(FRAGMENTATION), Some([header, ..])) => access.keyframe = IRAP.contains(&(header & 0x3f)),
        _ => note(&mut access, payload),
    }
    access
}

fn note(access: &mut Access, unit: &[u8]) {
    match kind(unit) {
        Some(kind) if IRAP.contains(&kind) => access.keyframe = true,
        Some(SPS) => {
            // Behind the header and one octet: profile space, tier, profile (H.265 section 7.3.3). So early in the unit
            // no octet is there to prevent a start code.
            if let Some(octet) = unit.get(HEADER + 1) {
                access.profile = Some(Profile { id: octet & 0x1f, flags: octet >> 5 & 1, level: 0 });
            }
        }
        _ => {}
    }
}

fn kind(unit: &[u8]) -> Option<u8> {
    unit.get(..HEADER).map(|header| header[0] >> 1 & 0x3f)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: &[u8] = &[0x60, 1, 0, 4, 0x40, 1, 0x0c, 1, 0, 6, 0x42, 1, 1, 0x22, 0x60, 0, 0, 3, 0x44, 1, 0xc0];

    #[test]
    fn an_aggregation_packet_tells_profile_and_tier() {
        let access = access(SETS);
        assert_eq!(access.profile, Some(Profile { id: 2, flags: 1, level: 0 }));
        assert!(!access.keyframe, "parameter sets alone are no keyframe");
    }

    #[test]
    fn a_picture_to_begin_with_is_found_alone_aggregated_and_fragmented() {
        for kind in [16, 19, 20, 21] {
            assert!(access(&[kind << 1, 1, 0xaf]).keyframe, "{kind}");
            assert!(access(&[0x60, 1, 0, 3, kind << 1, 1, 0xaf]).keyframe, "{kind}");
            assert!(access(&[0x62, 1, 0x80 | kind, 0xaf]).keyframe, "{kind}");
        }
        assert!(!access(&[0x02, 1, 0xd0]).keyframe);
        assert!(!access(&[0x62, 1, 0x81, 0xd0]).keyframe);
    }

    #[test]
    fn torn_payloads_carry_nothing() {
        for payload in [&[][..], &[0x26], &[0x60, 1], &[0x60, 1, 0, 9, 0x26, 1], &[0x62, 1], &[0x42, 1, 1]] {
            assert_eq!(access(payload), Access::default(), "{payload:?}");
        }
    }
}
