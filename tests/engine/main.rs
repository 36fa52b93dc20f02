//! The real program with a stand-in for FFmpeg, which does what FFmpeg cannot be made to do.

#[path = "../support/child.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod child;
#[path = "../support/fake.rs"]
mod fake;
#[path = "../support/manifest.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod manifest;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod program;

mod many;
