//! What a payload of VP9 over RTP tells without decoding it (RFC 9628 section 4).

use super::access::{Access, Profile};

const PICTURE_ID: u8 = 0x80;
const PREDICTED: u8 = 0x40;
const LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGIN: u8 = 0x08;
const STRUCTURE: u8 = 0x02;

/// Reads a payload; the first packet of a frame tells whether it is a keyframe, and a keyframe tells the profile.
/// FFmpeg never says in the descriptor that a frame is predicted from others, so the frame's own header is asked.
pub(super) fn access(payload: &[u8]) -> Access {
    let is_first = payload.first().is_some_and(|octet| octet & BEGIN != 0 && octet & PREDICTED == 0);
    let frame = descriptor(payload).and_then(|size| payload.get(size)).filter(|_| is_first);
    let profile = frame.and_then(|octet| keyframe_profile(*octet));
    Access { keyframe: profile.is_some(), profile: profile.map(|id| Profile { id, flags: 0, level: 0 }) }
}

/// Says in the descriptor of a packet that its frame is predicted from others, which FFmpeg leaves out: receivers take
/// every frame for a keyframe otherwise. In the flexible mode it is not for us to say from which ones.
pub(super) fn mark_predicted(payload: &mut [u8]) {
    if let Some(octet) = payload.first_mut().filter(|octet| **octet & FLEXIBLE == 0) {
        *octet |= PREDICTED;
    }
}

/// Profile of a frame whose uncompressed header begins with this octet; `None` where it is no keyframe (VP9 bitstream
/// specification section 6.2: marker, profile, reserved bit in profile 3, show_existing_frame, frame_type).
fn keyframe_profile(octet: u8) -> Option<u8> {
    let profile = (octet >> 5 & 1) | (octet >> 3 & 2);
    let rest = if profile == 3 { octet << 5 } else { octet << 4 };
    (octet >> 6 == 0b10 && rest >> 6 == 0).then_some(profile)
}

/// Octets of the payload descriptor.
fn descriptor(payload: &[u8]) -> Option<usize> {
    let fields = *payload.first()?;
    let mut size = 1;
    if fields & PICTURE_ID != 0 {
        let is_long = payload.get(size)? & 0x80 != 0;
        size += 1 + usize::from(is_long);
    }
    if fields & LAYERS != 0 {
        size += 1 + usize::from(fields & FLEXIBLE == 0);
    }
    if fields & (FLEXIBLE | PREDICTED) == FLEXIBLE | PREDICTED {
        for _ in 0..3 {
            let is_followed = payload.get(size)? & 1 != 0;
            size += 1;
            if !is_followed {
                break;
            }
        }
    }
    if fields & STRUCTURE != 0 {
        size += structure(payload.get(size..)?)?;
    }
    Some(size)
}

/// Octets of the scalability structure (section 4.2.1).
fn structure(octets: &[u8]) -> Option<usize> {
    let head = *octets.first()?;
    let mut size = 1;
    if head & 0x10 != 0 {
        size += 4 * (usize::from(head >> 5) + 1);
    }
    if head & 0x08 != 0 {
        let pictures = *octets.get(size)?;
        size += 1;
        for _ in 0..pictures {
            size += 1 + usize::from(octets.get(size)? >> 2 & 3);
        }
    }
    Some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_keyframe(payload: &[u8]) -> bool {
        access(payload).keyframe
    }

    #[test]
    fn a_keyframe_is_told_by_the_header_of_its_frame() {
        assert!(is_keyframe(&[0x08, 0x82, 0x49, 0x83, 0x42]));
        assert!(is_keyframe(&[0x0c, 0x82]), "in one packet");
        assert!(!is_keyframe(&[0x0c, 0x86]), "predicted, which FFmpeg does not say");
        assert!(!is_keyframe(&[0x4c, 0x82]), "predicted as its descriptor says");
        assert!(!is_keyframe(&[0x04, 0x82]), "the end of a frame");
        assert!(!is_keyframe(&[0x0c, 0x88]), "an older frame that is shown now");
        assert!(!is_keyframe(&[0x0c, 0x02]), "no frame of VP9");
    }

    #[test]
    fn the_profile_is_that_of_the_keyframe() {
        for (octet, profile) in [(0x82, 0), (0xa2, 1), (0x92, 2), (0xb1, 3)] {
            assert_eq!(access(&[0x08, octet]).profile.map(|profile| profile.id), Some(profile), "{octet:#x}");
        }
        assert!(!is_keyframe(&[0x08, 0xb3]), "profile 3 has a bit more before the frame's type");
    }

    #[test]
    fn all_fields_of_the_descriptor_are_passed_over() {
        assert!(is_keyframe(&[0x88, 0x05, 0x82]), "a short picture id");
        assert!(is_keyframe(&[0xa8, 0x81, 0x05, 0x00, 0x01, 0x82]), "a long one and layers");
        let structure = [0x0a, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 2, 0x04, 1, 0x00, 0x82];
        assert!(is_keyframe(&structure), "two layers and two pictures");
    }

    #[test]
    fn a_predicted_frame_is_marked_outside_the_flexible_mode() {
        let mut payload = [0x0c, 0x86];
        mark_predicted(&mut payload);
        assert_eq!(payload, [0x4c, 0x86]);
        let mut flexible = [0x9c, 0x05, 0x86];
        mark_predicted(&mut flexible);
        assert_eq!(flexible[0], 0x9c);
    }

    #[test]
    fn torn_payloads_carry_nothing() {
        for payload in [&[][..], &[0x08], &[0x88, 0x85], &[0x0a], &[0x0a, 0x18], &[0x0a, 0x08, 2, 0x04]] {
            assert_eq!(access(payload), Access::default(), "{payload:?}");
        }
    }
}
