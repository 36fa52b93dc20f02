//! aiortc, a WebRTC stack that shares no code with ours nor with browsers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::program::Program;
use crate::python;

/// What aiortc received.
#[derive(Debug, Deserialize)]
pub struct Received {
    /// HTTP status of the answer to its offer, and of the DELETE at the end.
    pub post: u16,
    pub delete: u16,
    pub video_frames: u32,
    pub audio_frames: u32,
    pub width: u32,
    pub height: u32,
    /// The greatest sample of the decoded sound, 0 to 1.
    pub loudest: f64,
}

/// Watches a process until so many frames of picture and sound have come.
pub async fn watch(program: &Program, id: &str, video_frames: u32, audio_frames: u32) -> Received {
    let (address, token) = (program.whep(id), program.token().to_owned());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python())
            .arg(here("aiortc_viewer.py"))
            .args([address, token, video_frames.to_string(), audio_frames.to_string()])
            .output()
            .expect("Python can be started")
    });
    let output = output.await.expect("it does not panic");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "aiortc: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

pub fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e").join(file)
}

/// Python with aiortc.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| python::environment("aiortc", &here("requirements.txt")))
}
