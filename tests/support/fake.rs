//! The stand-in for FFmpeg, compiled where a test needs it: so it is never installed, and any single test can be run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Path of the stand-in that `fake_ffmpeg.rs` describes.
pub fn ffmpeg() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(compile);
    &PROGRAM
}

fn compile() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    include_str!("fake_ffmpeg.rs").hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join(format!("fake-ffmpeg-{:x}", hasher.finish()));
    if !program.exists() {
        // Tests of other binaries may do the same at this moment.
        let draft = program.with_extension(std::process::id().to_string());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fake_ffmpeg.rs");
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(compiler)
            .args(["--edition", "2024", "--crate-name", "fake_ffmpeg", "-O", source, "-o"])
            .arg(&draft)
            .output()
            .expect("rustc starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&draft, &program).expect("it can be moved");
    }
    program
}
