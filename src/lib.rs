//! Dragon Fork turns any FFmpeg process into live WebRTC that a browser plays in a fraction of a second, declared as a
//! manifest.
//!
//! A manifest is read, proven, started, listened to, and shown; and what was seen is written back:
//!
//! ```text
//! source -> controller -> app -> runner (FFmpeg) -> gateway (RTP in, WebRTC out) -> viewers
//!              ^                    |                  |
//!              +---- observations --+------------------+       http shows the controller's snapshot
//! ```
//!
//! Two rules make the architecture. Pure rooms decide and IO rooms do: a pure room reads no clock, socket, file, process
//! or environment. IO rooms never see each other: they meet in [`app`] and nowhere else.

pub mod app;
pub mod args;
pub mod controller;
pub mod core;
pub mod crd;
pub mod files;
pub mod gateway;
pub mod http;
pub mod operator;
pub mod plan;
pub mod play;
pub mod process;
pub mod rtp;
pub mod runner;
pub mod sessions;
pub mod source;
pub mod srtp;
pub mod storage;
pub mod telemetry;
pub mod whep;
pub mod workload;
