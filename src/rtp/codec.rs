//! The codec table: one row for each codec that a leg can carry.

/// Picture or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}

/// A codec that a leg can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Codec {
    /// H.264, packetization mode 1 (RFC 6184).
    H264,
    /// H.265 (RFC 7798).
    H265,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// AV1 (RTP Payload Format For AV1, v1.0).
    Av1,
    /// Opus (RFC 7587).
    Opus,
}

/// A row of the table.
struct Row {
    kind: MediaKind,
    name: &'static str,
    clock_rate: u32,
    payload_type: u8,
    reorders: bool,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 6] = [Self::H264, Self::H265, Self::Vp8, Self::Vp9, Self::Av1, Self::Opus];

    const fn row(self) -> Row {
        use MediaKind::{Audio, Video};
        let (kind, name, clock_rate, payload_type, reorders) = match self {
            Self::H264 => (Video, "H264", 90_000, 102, true),
            Self::H265 => (Video, "H265", 90_000, 103, true),
            Self::Vp8 => (Video, "VP8", 90_000, 96, false),
            Self::Vp9 => (Video, "VP9", 90_000, 98, false),
            Self::Av1 => (Video, "AV1", 90_000, 100, false),
            Self::Opus => (Audio, "opus", 48_000, 111, false),
        };
        Row { kind, name, clock_rate, payload_type, reorders }
    }

    /// Picture or sound.
    pub const fn kind(self) -> MediaKind {
        self.row().kind
    }

    /// Name in `a=rtpmap`, compared without regard to case.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Ticks a second of the RTP timestamp.
    pub const fn clock_rate(self) -> u32 {
        self.row().clock_rate
    }

    /// Payload type on the way from FFmpeg to the gateway: each has its own, so that what is left of a run with another
    /// codec is not taken for this one. Viewers get the payload type of their offer.
    pub const fn payload_type(self) -> u8 {
        self.row().payload_type
    }

    /// Whether its frames may come in another order than they are shown (B-frames).
    pub const fn reorders(self) -> bool {
        self.row().reorders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_codecs_share_a_payload_type() {
        let types: std::collections::BTreeSet<u8> = Codec::ALL.into_iter().map(Codec::payload_type).collect();
        assert_eq!(types.len(), Codec::ALL.len());
    }
}
