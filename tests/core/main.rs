//! datarhei Core's API at the real program with real FFmpeg, as datarhei's own clients use it: what they send, with its
//! nulls, and what they demand of an answer.

mod client;
mod figures;
mod lists;
mod memory;
mod probes;
mod processes;
mod schema;

#[path = "../support/child.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod child;
#[path = "../support/manifest.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod manifest;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod program;
#[path = "../support/python.rs"]
mod python;
