//! A process as datarhei Core's API speaks of it, and the way from there to a manifest and back.
//!
//! [`read_config`] reads the JSON of a client, [`carry`] makes a manifest of it and keeps beside it what a manifest has no
//! place for ([`Kept`]), [`config_of`] makes the JSON again. What is carried by neither is told as a list and never
//! dropped in silence. [`convert`] does the same with a whole file of datarhei Core's, and moves the credentials of its
//! processes out of their manifests. [`Client`] is what the HTTP side holds to have something changed, or FFmpeg asked.
//!
//! This room never writes a manifest and never knows how a process is run.

mod carry;
mod client;
mod config;
mod convert;
mod credentials;
mod events;
mod kept;

pub use carry::{Before, Carried, MANAGED_BY, MANAGER, carry, config_of, is_managed};
pub use client::{Client, Command, Done, Inputs, Order, Refusal, Reply, Request};
pub use config::{Config, Io, Limits, ReadError, is_nothing, overlay, read_config};
pub use convert::{Conversion, ConvertError, Converted, Outcome, convert};
pub use events::{Event, Events};
pub use kept::{Cleanup, Kept, Stored};
