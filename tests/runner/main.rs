//! The runner with real children: FFmpeg itself, and stand-ins for what FFmpeg cannot be made to do.

mod bench;
mod children;
mod engine;
#[path = "../support/fake.rs"]
mod fake;
#[allow(dead_code, reason = "a program of its own, which is here to be looked at by the compiler's tools")]
#[path = "../support/fake_ffmpeg.rs"]
mod fake_ffmpeg;
mod media;
mod orphans;
mod preflight;
mod skills;
mod stalls;
