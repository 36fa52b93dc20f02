//! The HTTP surface over real TCP, with a real gateway, real FFmpeg, and a real browser.

mod access;
mod browser;
mod conformance;
mod house;
mod issuer;
mod jwks;
mod limits;
mod listener;
mod page;
mod process;
mod relays;
mod restart;
mod whep;

#[path = "../support/chromium.rs"]
mod chromium;
#[path = "../support/source.rs"]
mod source;
