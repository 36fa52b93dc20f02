//! The composition root of each mode: the only place where IO rooms meet.

mod convert;
mod credentials;
mod desk;
mod files;
mod keepers;
mod links;
mod listen;
mod play;
mod questions;
mod settings;
mod standalone;
mod store;
mod surroundings;
mod token;
mod turn;
mod validate;

pub use convert::{Converted, NOT_WHOLE, convert};
pub use play::{Played, play};
pub use standalone::standalone;
pub use token::token;
pub use validate::{Validated, validate};

/// Version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Variant of the program; `DRAGONFORK_VARIANT` at build time replaces it.
pub const VARIANT: &str = match option_env!("DRAGONFORK_VARIANT") {
    Some(variant) => variant,
    None => "dragonfork",
};
/// Fork of the program; `DRAGONFORK_FORK` at build time replaces it.
pub const FORK: &str = match option_env!("DRAGONFORK_FORK") {
    Some(fork) => fork,
    None => "Datarhei — Dragon Fork",
};
