//! The real program with real FFmpeg, seen by real Chromium and by aiortc.
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
mod program;
mod proof;
mod publisher;
#[path = "../support/python.rs"]
mod python;
#[path = "../support/receiver.rs"]
mod receiver;
mod turn;

mod access;
mod bad_input;
mod changes;
mod codecs;
mod endings;
mod hostile;
mod ice;
mod joins;
mod life;
mod lifecycle;
mod loss;
mod matrix;
mod paths;
mod play;
mod real_life;
mod samples;
mod watching;
