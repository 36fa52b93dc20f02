//! Words of RTP: the packet view, the codec table, keyframes, the shared ring, continuity and the ingest clock.
//!
//! One [`Ring`] per leg holds one copy of each packet for all viewers. What enters it has gone through
//! [`Continuity`], so that sequence numbers and timestamps go on while FFmpeg restarts.
//!
//! This room never knows who sends and who watches.

mod access;
mod assembler;
mod av1;
mod batch;
mod clock;
mod codec;
mod continuity;
mod h264;
mod h265;
mod packet;
mod ring;
mod vp8;
mod vp9;

pub use access::{Access, Profile};
pub use assembler::Assembler;
pub use batch::{Batch, Packet};
pub use clock::{IngestClock, ntp};
pub use codec::{Codec, MediaKind};
pub use continuity::{Continuity, Placed};
pub use packet::{PacketView, is_rtcp};
pub use ring::{Limits, Ring, Rings};
