//! The runner with real children: FFmpeg itself, and stand-ins for what FFmpeg cannot be made to do.

mod bench;
mod children;
mod media;
mod orphans;
mod preflight;
