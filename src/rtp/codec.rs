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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264, packetization mode 1 (RFC 6184).
    H264,
    /// Opus (RFC 7587).
    Opus,
}

impl Codec {
    /// Picture or sound.
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::H264 => MediaKind::Video,
            Self::Opus => MediaKind::Audio,
        }
    }

    /// Ticks a second of the RTP timestamp.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::H264 => 90_000,
            Self::Opus => 48_000,
        }
    }

    /// Name in `a=rtpmap`, compared without regard to case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::Opus => "opus",
        }
    }
}
