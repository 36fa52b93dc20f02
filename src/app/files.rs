//! The filesystems and how HTTP serves them, from the configuration.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use axum::http::HeaderValue;
use tokio::sync::mpsc::UnboundedSender;

use crate::args;
use crate::http;
use crate::sessions::Sessions;
use crate::storage;

const MEBIBYTE: u64 = 1 << 20;

/// Starts the filesystems; what HTTP serves of them comes beside. The password opens the memory filesystem where the
/// configuration has none.
pub fn start(
    config: &args::Storage,
    directory: &Path,
    password: &str,
    events: UnboundedSender<storage::Event>,
) -> anyhow::Result<(storage::Storage, http::Files)> {
    let args::Storage {
        storage_disk_max_size_mbytes,
        storage_memory_max_size_mbytes,
        storage_memory_purge,
        storage_memory_auth_enable,
        storage_memory_auth_username,
        storage_memory_auth_password,
        storage_cors_origins,
        sessions_enable,
        sessions_ip_ignorelist,
        sessions_session_timeout_sec,
    } = config;
    let limit = |mebibytes: u64| (mebibytes > 0).then_some(mebibytes * MEBIBYTE);
    let settings = storage::Settings {
        directory: directory.to_owned(),
        disk_limit: limit(*storage_disk_max_size_mbytes),
        memory_limit: limit(*storage_memory_max_size_mbytes),
        memory_purge: *storage_memory_purge,
    };
    let storage = storage::Storage::start(settings, events).context("the disk directory cannot be opened")?;
    let memory_login = match storage_memory_auth_enable {
        true => {
            let password = storage_memory_auth_password.as_deref().unwrap_or(password);
            Some(http::Login::new(storage_memory_auth_username, password)?)
        }
        false => None,
    };
    let watch = || http::Watch {
        sessions: Arc::new(Mutex::new(Sessions::new(Duration::from_secs(*sessions_session_timeout_sec)))),
        ignored: sessions_ip_ignorelist.iter().filter_map(|ignored| ignored.0).collect(),
    };
    let files = http::Files {
        filesystems: storage.handle().filesystems(),
        memory_login,
        origins: origins(storage_cors_origins),
        sessions: sessions_enable.then(watch),
    };
    Ok((storage, files))
}

/// The sites that may read files; none where every one may.
fn origins(origins: &[args::Origin]) -> Vec<HeaderValue> {
    if origins.contains(&args::Origin::Any) {
        return Vec::new();
    }
    let one = |origin: &args::Origin| match origin {
        args::Origin::Any => None,
        args::Origin::One(origin) => Some(origin.clone()),
    };
    origins.iter().filter_map(one).collect()
}
