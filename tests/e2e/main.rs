//! The real program with real FFmpeg, seen by real Chromium and by players that others wrote.
//!
//! Each test starts what it needs on free ports and in a directory of its own, and ends it by its id. What the programs
//! printed is shown when a test fails. Tests that measure have the machine for themselves (see [`turn`]).

mod aiortc;
mod browser;
#[path = "../support/child.rs"]
mod child;
#[path = "../support/chromium.rs"]
mod chromium;
mod lossy;
#[path = "../support/manifest.rs"]
mod manifest;
mod media;
mod peer;
mod picture;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "the tests of datarhei's interface use more of it")]
mod program;
mod proof;
mod publisher;
#[path = "../support/receiver.rs"]
mod receiver;
mod tools;
mod turn;

mod access;
mod bad_input;
mod changes;
mod codecs;
mod counter;
mod endings;
mod files;
mod hostile;
mod ice;
mod joins;
mod life;
mod lifecycle;
mod loss;
mod matrix;
mod paths;
mod play;
mod players;
mod real_life;
mod references;
mod samples;
mod watching;
