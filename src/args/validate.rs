//! What manifests are judged.

use std::path::PathBuf;

use clap::Args;

/// Configuration of `dragonfork validate`. What the manifests are proven with is the configuration that `standalone` would
/// have.
#[derive(Debug, Args)]
pub struct Validate {
    /// Files of manifests, or directories as `standalone` reads them; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
