//! What a payload of H.264 over RTP tells without decoding it (RFC 6184 section 5).

/// What one packet's payload carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A slice of an IDR picture is in it (or begins in it).
    pub idr: bool,
    /// The sequence parameter set that is in it.
    pub sps: Option<SpsProfile>,
}

/// The three octets of a sequence parameter set that `profile-level-id` repeats (RFC 6184 section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpsProfile {
    /// `profile_idc`: 66 Baseline, 77 Main, 100 High.
    pub profile: u8,
    /// The constraint flags.
    pub constraints: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
}

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

impl Access {
    /// Reads a payload; one that is torn or of another kind carries nothing.
    pub fn of(payload: &[u8]) -> Self {
        let mut access = Self::default();
        match payload.first().map(|octet| octet & 0x1f) {
            Some(STAP_A) => {
                for unit in AggregatedUnits(&payload[1..]) {
                    access.note(unit);
                }
            }
            Some(FU_A) => access.idr = payload.get(1).is_some_and(|header| header & 0x1f == IDR),
            Some(1..=23) => access.note(payload),
            _ => {}
        }
        access
    }

    fn note(&mut self, unit: &[u8]) {
        match unit.first().map(|octet| octet & 0x1f) {
            Some(IDR) => self.idr = true,
            Some(SPS) => {
                if let [_, profile, constraints, level, ..] = *unit {
                    self.sps = Some(SpsProfile { profile, constraints, level });
                }
            }
            _ => {}
        }
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

struct AggregatedUnits<'a>(&'a [u8]);

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
        let access = Access::of(STAP);
        assert_eq!(access.sps, Some(SpsProfile { profile: 0x42, constraints: 0xc0, level: 0x1f }));
        assert!(!access.idr);
    }

    #[test]
    fn an_idr_is_found_alone_aggregated_and_fragmented() {
        assert!(Access::of(&[0x65, 0x88]).idr);
        assert!(Access::of(&[0x18, 0, 2, 0x65, 0x88]).idr);
        assert!(Access::of(&[0x7c, 0x85, 0x88]).idr);
        assert!(!Access::of(&[0x7c, 0x81, 0x88]).idr);
        assert!(!Access::of(&[0x41, 0x9a]).idr);
    }

    #[test]
    fn torn_payloads_carry_nothing() {
        for payload in [&[][..], &[0x18], &[0x18, 0], &[0x18, 0, 9, 0x67], &[0x7c], &[0x67, 0x42]] {
            assert_eq!(Access::of(payload), Access::default(), "{payload:?}");
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
