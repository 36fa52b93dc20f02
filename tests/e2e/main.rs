//! The real program with real FFmpeg, seen by real Chromium and by aiortc.
//!
//! Each test starts what it needs on free ports and in a directory of its own, and ends it by its id. What the programs
//! printed is shown when a test fails. Tests that measure have the machine for themselves (see [`turn`]).

mod aiortc;
mod browser;
mod child;
#[path = "../support/chromium.rs"]
mod chromium;
mod lossy;
mod manifest;
mod media;
mod peer;
mod picture;
mod program;
mod proof;
mod publisher;
mod turn;

mod bad_input;
mod changes;
mod endings;
mod hostile;
mod ice;
mod life;
mod lifecycle;
mod loss;
mod matrix;
mod paths;
mod real_life;
mod samples;
mod watching;
