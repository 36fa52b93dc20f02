//! What a payload of VP8 over RTP tells without decoding it (RFC 7741 section 4).

use super::access::Access;

const EXTENDED: u8 = 0x80;
const START: u8 = 0x10;
const PARTITION: u8 = 0x07;

/// Reads a payload; the first packet of a frame tells whether it is a keyframe (the P bit of section 4.3).
pub(super) fn access(payload: &[u8]) -> Access {
    let is_first = payload.first().is_some_and(|octet| octet & START != 0 && octet & PARTITION == 0);
    let frame = descriptor(payload).and_then(|size| payload.get(size)).filter(|_| is_first);
    Access { keyframe: frame.is_some_and(|octet| octet & 1 == 0), profile: None }
}

/// The payload without the optional fields of its descriptor, and the octet that its first one has to become. The
/// picture's id among them counts on from frame to frame, which it would not do for a viewer who goes on from an older
/// keyframe, nor over a restart of FFmpeg.
pub(super) fn without_extension(payload: &[u8]) -> (u8, &[u8]) {
    match descriptor(payload) {
        Some(size) if size < payload.len() => (payload[0] & !EXTENDED, &payload[size - 1..]),
        _ => (payload.first().copied().unwrap_or_default(), payload),
    }
}

/// Octets of the payload descriptor.
fn descriptor(payload: &[u8]) -> Option<usize> {
    const PICTURE_ID: u8 = 0x80;
    const LEVEL_INDEX: u8 = 0x40;
    const LAYER_OR_KEY_INDEX: u8 = 0x30;
    if payload.first()? & EXTENDED == 0 {
        return Some(1);
    }
    let fields = *payload.get(1)?;
    let mut size = 2;
    if fields & PICTURE_ID != 0 {
        let is_long = payload.get(size)? & 0x80 != 0;
        size += 1 + usize::from(is_long);
    }
    size += usize::from(fields & LEVEL_INDEX != 0);
    size += usize::from(fields & LAYER_OR_KEY_INDEX != 0);
    Some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYFRAME: &[u8] = &[0x90, 0x80, 0x80, 0x07, 0xf0, 0x62, 0x00, 0x9d, 0x01, 0x2a];

    #[test]
    fn the_first_packet_of_a_keyframe_is_found_with_and_without_an_extension() {
        assert!(access(KEYFRAME).keyframe);
        assert!(access(&[0x10, 0xf0]).keyframe);
        assert!(access(&[0x90, 0xf0, 0x07, 1, 2, 0xf0]).keyframe, "all fields, a short picture id");
        assert!(!access(&[0x90, 0x80, 0x80, 0x07, 0xb1]).keyframe, "a frame that needs others");
        assert!(!access(&[0x80, 0x80, 0x80, 0x07, 0xf0]).keyframe, "the middle of a frame");
        assert!(!access(&[0x11, 0xf0]).keyframe, "the begin of another partition");
    }

    #[test]
    fn the_extension_is_left_out() {
        assert_eq!(without_extension(KEYFRAME), (0x10, &KEYFRAME[3..]));
        assert_eq!(without_extension(&[0xa0, 0xf0, 0x07, 1, 2, 0xf0]), (0x20, &[2, 0xf0][..]));
        assert_eq!(without_extension(&[0x10, 0xf0]), (0x10, &[0x10, 0xf0][..]));
    }

    #[test]
    fn torn_payloads_carry_nothing_and_stay() {
        for payload in [&[][..], &[0x10], &[0x90], &[0x90, 0x80], &[0x90, 0x80, 0x80], &[0x90, 0x80, 0x80, 7]] {
            assert_eq!(access(payload), Access::default(), "{payload:?}");
            assert_eq!(without_extension(payload).1, payload);
        }
    }
}
