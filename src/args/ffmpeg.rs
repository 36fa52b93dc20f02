//! FFmpeg, and where it runs.

use std::path::PathBuf;

use clap::Args;

use super::count;

/// FFmpeg, and where it runs.
#[derive(Debug, Args)]
pub struct Ffmpeg {
    /// FFmpeg's name or path.
    #[arg(long, env = "CORE_FFMPEG_BINARY", default_value = "ffmpeg", value_name = "PATH")]
    pub ffmpeg_binary: PathBuf,
    /// Lines of FFmpeg's log that the report of a run holds.
    #[arg(long, env = "CORE_FFMPEG_LOG_MAX_LINES", default_value_t = 50, value_parser = count(10_000), value_name = "N")]
    pub ffmpeg_log_max_lines: usize,
    /// Runs of a process whose reports are kept beside that of the newest.
    #[arg(long, env = "CORE_FFMPEG_LOG_MAX_HISTORY", default_value_t = 3, value_parser = count(1000), value_name = "N")]
    pub ffmpeg_log_max_history: usize,
    /// Directory of the files that processes write; FFmpeg runs in it.
    #[arg(long, env = "CORE_STORAGE_DISK_DIR", default_value = "./data", value_name = "DIR")]
    pub storage_disk_dir: PathBuf,
}
