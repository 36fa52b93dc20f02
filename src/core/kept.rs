//! What the program itself remembers of processes, because a manifest has no place for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::config::Limits;

/// A rule for the files of an input or output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cleanup {
    /// Which files, such as `diskfs:/cam_*.ts`.
    #[serde(default)]
    pub pattern: String,
    /// Files that stay; 0 is no limit.
    #[serde(default)]
    pub max_files: u64,
    /// Seconds that a file stays; 0 is no limit.
    #[serde(default)]
    pub max_file_age_seconds: u64,
    /// Delete all when the process is deleted.
    #[serde(default)]
    pub purge_on_delete: bool,
}

/// What is kept of one process beside its manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// What the client said of starting at once; `None` where the process did not come from a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autostart: Option<bool>,
    /// When a client made it, unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<u64>,
    /// Limits in the client's words. Where the manifest has others, those hold.
    #[serde(default)]
    pub limits: Limits,
    /// Rules for files by id of the input; they have no effect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input_cleanup: BTreeMap<String, Vec<Cleanup>>,
    /// What clients want to be remembered, by key.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// Everything that is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// What clients want to be remembered of no process, by key.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// By id of the process.
    #[serde(default)]
    pub processes: BTreeMap<String, Kept>,
}
