//! The senders that are compared, each in a process of its own.

pub mod floor;
pub mod gateway;
pub mod janus;
pub mod plain;

use serde::{Deserialize, Serialize};

/// What a sender of this program is told; one that makes its own media takes [`crate::source::Order`] instead.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Open so many streams. Answered with the ports of each.
    Open(usize),
    /// Answer a viewer's offer. Answered with the SDP answer.
    Offer {
        /// The stream.
        stream: usize,
        /// The SDP offer.
        sdp: String,
    },
    /// Count allocations from now on. Answered with nothing.
    CountAllocations,
    /// Say how many allocations there were, for each thread by name. Answered with a list.
    Allocations,
}
