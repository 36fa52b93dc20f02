//! aiortc, a WebRTC stack that shares no code with ours nor with browsers.

use std::process::Command;

use serde::Deserialize;

use crate::program::Program;
use crate::tools::{here, python};

/// What aiortc received.
#[derive(Debug, Deserialize)]
pub struct Received {
    /// HTTP status of the answer to its offer, and of the DELETE at the end.
    pub post: u16,
    pub delete: u16,
    /// That of the PATCH with its answer; 0 where it offered.
    pub patch: u16,
    pub video_frames: u32,
    pub audio_frames: u32,
    pub width: u32,
    pub height: u32,
    /// The greatest sample of the decoded sound, 0 to 1.
    pub loudest: f64,
}

/// Watches a process until so many frames of picture and sound have come.
pub async fn watch(program: &Program, id: &str, video_frames: u32, audio_frames: u32) -> Received {
    run_viewer(program, id, video_frames, audio_frames, &[]).await
}

/// The same, by an offer of codecs that the stream does not have, and the answer to what the stream has.
pub async fn watch_by_counter_offer(program: &Program, id: &str, video_frames: u32, audio_frames: u32) -> Received {
    run_viewer(program, id, video_frames, audio_frames, &["video/VP8", "audio/PCMU"]).await
}

async fn run_viewer(
    program: &Program,
    id: &str,
    video_frames: u32,
    audio_frames: u32,
    codecs: &'static [&'static str],
) -> Received {
    let (address, token) = (program.whep(id), program.token().to_owned());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python())
            .arg(here("aiortc_viewer.py"))
            .args([address, token, video_frames.to_string(), audio_frames.to_string()])
            .args(codecs)
            .output()
            .expect("Python can be started")
    });
    let output = output.await.expect("it does not panic");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "aiortc: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}
