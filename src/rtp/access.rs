//! What a payload tells of its access unit without decoding it, whatever the codec is.

use super::codec::Codec;
use super::{av1, h264, h265, vp8, vp9};

/// What one packet's payload carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A viewer can begin with the access unit: a part of a picture is in it that needs no other one.
    pub keyframe: bool,
    /// The profile that is told in it.
    pub profile: Option<Profile>,
}

/// Which decoders can read a stream, as its parameters in a session description say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// H.264: `profile_idc` (66 Baseline, 77 Main, 100 High). H.265: `general_profile_idc` (1 Main, 2 Main 10). VP9 and
    /// AV1: the profile, 0 to 3.
    pub id: u8,
    /// H.264: the constraint flags. H.265: the tier, 0 or 1. 0 elsewhere.
    pub flags: u8,
    /// H.264: `level_idc`, ten times the level. 0 elsewhere.
    pub level: u8,
}

impl Access {
    /// Reads a payload; one that is torn or of another kind carries nothing.
    pub fn of(codec: Codec, payload: &[u8]) -> Self {
        match codec {
            Codec::H264 => h264::access(payload),
            Codec::H265 => h265::access(payload),
            Codec::Vp8 => vp8::access(payload),
            Codec::Vp9 => vp9::access(payload),
            Codec::Av1 => av1::access(payload),
            Codec::Opus => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets without a pattern, the same in every run.
    fn noise(count: usize) -> impl Iterator<Item = u8> {
        let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(7_u32), step).map(|state| (state >> 24) as u8).take(count)
    }

    #[test]
    fn hostile_octets_are_read_to_their_end_and_not_beyond() {
        let octets: Vec<u8> = noise(4096).collect();
        for codec in Codec::ALL {
            for first in 0..=255 {
                for at in 0..64 {
                    let payload = [&[first], &octets[at * 37..at * 37 + at]].concat();
                    for end in 0..=payload.len() {
                        Access::of(codec, &payload[..end]);
                    }
                }
            }
        }
    }
}
