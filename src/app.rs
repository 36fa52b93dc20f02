//! The composition root of each mode: the only place where IO rooms meet.

mod convert;
mod credentials;
mod desk;
mod endpoint;
mod files;
mod house;
mod keepers;
mod keys;
mod links;
mod listen;
mod operator;
mod play;
mod questions;
mod runner;
mod settings;
mod shown;
mod standalone;
mod store;
mod surroundings;
mod token;
mod turn;
mod validate;
mod whep;
mod worker;

pub use convert::{Converted, NOT_WHOLE, convert};
pub use operator::operator;
pub use play::{Played, play};
pub use runner::runner;
pub use standalone::standalone;
pub use token::token;
pub use validate::{Validated, validate};
pub use whep::whep;

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
