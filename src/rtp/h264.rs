//! What a payload of H.264 over RTP tells without decoding it (RFC 6184 section 5).

use super::access::{Access, Profile};

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Reads a payload; a slice of an IDR picture is a keyframe, and the sequence parameter set tells the profile.
pub(super) fn access(payload: &[u8]) -> Access {
    let mut access = Access::default();
    match payload.first().map(|octet| octet & 0x1f) {
        Some(STAP_A) => {
            for unit in AggregatedUnits(&payload[1..]) {
                note(&mut access, unit);
            }
        }
        Some(FU_A) => access.keyframe = payload.get(1).is_some_and(|header| header & 0x1f == IDR),
        Some(1..=23) => note(&mut access, payload),
        _ => {}
    }
    access
}

fn note(access: &mut Access, unit: &[u8]) {
    match unit.first().map(|octet| octet & 0x1f) {
        Some(IDR) => access.keyframe = true,
        Some(SPS) => {
            // The three octets that `profile-level-id` repeats (RFC 6184 section 8.1).
            if let [_, id, flags, level, ..] = *unit {
                access.profile = Some(Profile { id, flags, level });
            }
        }
        _ => {}
    }
}

/// Gives an aggregation packet the importance of its most important unit, as RFC 6184 section 5.7.1 asks; FFmpeg leaves
/// it at 0, which tells receivers that they may drop the parameter sets.
pub(super) fn repair_importance(payload: &mut [u8]) {
    if payload.first().is_some_and(|octet| octet & 0x7f == STAP_A) {
        let importance = AggregatedUnits(&payload[1..]).filter_map(|unit| unit.first()).map(|octet| octet & 0x60).max();
        payload[0] |= importance.unwrap_or(0);
    }
}

/// The units of an aggregation packet behind its header, each after its size in two octets; H.265 has the same.
pub(super) struct AggregatedUnits<'a>(pub &'a [u8]);

impl<'a> Iterator for AggregatedUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let size = usize::from(u16::from_be_bytes([*self.0.first()?, *self.0.get(1)?]));
        let unit = self.0.get(2..2 + size)?;
        self.0 = &self.0[2 + size..];
        Some(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAP: &[u8] = &[0x18, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce];

    #[test]
    fn an_aggregation_packet_tells_the_profile() {
        let access = access(STAP);
        assert_eq!(access.profile, Some(Profile { id: 0x42, flags: 0xc0, level: 0x1f }));
        assert!(!access.keyframe);
    }

    #[test]
    fn an_idr_is_found_alone_aggregated_and_fragmented() {
        assert!(access(&[0x65, 0x88]).keyframe);
        assert!(access(&[0x18, 0, 2, 0x65, 0x88]).keyframe);
        assert!(access(&[0x7c, 0x85, 0x88]).keyframe);
        assert!(!access(&[0x7c, 0x81, 0x88]).keyframe);
        assert!(!access(&[0x41, 0x9a]).keyframe);
    }

    #[test]
    fn torn_payloads_carry_nothing() {
        for payload in [&[][..], &[0x18], &[0x18, 0], &[0x18, 0, 9, 0x67], &[0x7c], &[0x67, 0x42]] {
            assert_eq!(access(payload), Access::default(), "{payload:?}");
        }
    }

    #[test]
    fn an_aggregation_packet_gets_the_importance_of_its_units() {
        let mut payload = STAP.to_vec();
        repair_importance(&mut payload);
        assert_eq!(payload[0], 0x78);
        let mut slice = vec![0x41, 0x9a];
        repair_importance(&mut slice);
        assert_eq!(slice, [0x41, 0x9a]);
    }
}
