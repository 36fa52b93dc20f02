//! The HTTP surface over real TCP, with a real gateway, real FFmpeg, and a real browser.

mod access;
mod browser;
mod cluster;
mod conformance;
mod files;
mod house;
mod issuer;
mod jwks;
mod limits;
mod listener;
mod offers;
mod page;
mod process;
mod relays;
mod restart;
mod sessions;
mod whep;

#[path = "../support/child.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod child;
#[path = "../support/chromium.rs"]
mod chromium;
#[path = "../support/manifest.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod manifest;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod program;
#[path = "../support/receiver.rs"]
mod receiver;
#[path = "../support/source.rs"]
mod source;
