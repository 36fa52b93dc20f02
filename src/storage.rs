//! The filesystems behind [`crate::files`]: memory and the disk directory, and the housekeeper that looks at both every
//! second, removes what cleanup rules say, and holds the disk directory to its cap.
//!
//! This room never knows who asks for a file, nor what is in one.

mod disk;
mod housekeeper;
mod memory;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::files::{Filesystem, Memory, Name, Refused, Rule, Rules};

use disk::DiskFiles;
use housekeeper::Housekeeper;
use memory::MemoryFiles;

/// What the filesystems are made with. Caps are in octets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The disk directory; it exists.
    pub directory: PathBuf,
    /// Octets that the disk directory may have; `None` without a cap.
    pub disk_limit: Option<u64>,
    /// Octets that the memory filesystem may have; `None` takes half of the memory that this program may use.
    pub memory_limit: Option<u64>,
    /// A full memory filesystem removes its oldest files instead of refusing new ones.
    pub memory_purge: bool,
}

/// What is told of the filesystems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The disk directory exceeds its cap and nothing in it may be removed, or no longer so.
    DiskFull(bool),
}

/// The filesystems, with their housekeeper.
#[derive(Debug)]
pub struct Storage {
    handle: Handle,
    housekeeper: JoinHandle<()>,
}

/// What rules hold, and what is to go now.
#[derive(Clone, Debug)]
pub struct Handle {
    memory: Arc<MemoryFiles>,
    disk: Arc<DiskFiles>,
    rules: Arc<Mutex<Rules>>,
}

impl Storage {
    /// Starts with an empty memory filesystem, within a runtime.
    pub fn start(settings: Settings, events: UnboundedSender<Event>) -> std::io::Result<Self> {
        let Settings { directory, disk_limit, memory_limit, memory_purge } = settings;
        let limit = memory_limit.unwrap_or_else(memory::half_of_all);
        let handle = Handle {
            memory: Arc::new(MemoryFiles::new(Memory::new(Some(limit), memory_purge))),
            disk: Arc::new(DiskFiles::open(directory, disk_limit)?),
            rules: Arc::default(),
        };
        let housekeeper = tokio::spawn(Housekeeper::new(handle.clone(), events).run());
        Ok(Self { handle, housekeeper })
    }

    /// What rules hold, and what is to go now.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Returns only when the housekeeper fails. To be awaited all the time.
    pub async fn ended(&mut self) {
        if let Err(error) = (&mut self.housekeeper).await {
            tracing::error!(%error, "the housekeeper of the filesystems failed");
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.housekeeper.abort();
    }
}

impl Handle {
    /// Every filesystem, the disk directory first.
    pub fn filesystems(&self) -> Vec<Arc<dyn Filesystem>> {
        vec![self.disk.clone(), self.memory.clone()]
    }

    /// These are the cleanup rules of a process from now on.
    pub fn tidy(&self, process: &str, rules: Vec<Rule>) {
        self.rules.lock().expect("nothing panics while it is held").set(process, rules);
    }

    /// Removes what the rules of a process that was deleted say.
    pub async fn purge(&self, rules: Vec<Rule>) {
        let filesystems = self.filesystems();
        let purged = tokio::task::spawn_blocking(move || {
            for files in filesystems {
                purge(files.as_ref(), &rules);
            }
        });
        if let Err(error) = purged.await {
            tracing::error!(%error, "the files of a deleted process stay");
        }
    }
}

fn purge(files: &dyn Filesystem, rules: &[Rule]) {
    let kind = files.kind();
    if !rules.iter().any(|rule| rule.purge_on_delete && rule.pattern.kind == kind) {
        return;
    }
    match files.list() {
        Ok(entries) => {
            for entry in entries.iter().filter(|entry| rules.iter().any(|rule| rule.purges(kind, &entry.name))) {
                remove(files, &entry.name);
            }
        }
        Err(error) => tracing::warn!(filesystem = kind.word(), %error, "the files of a deleted process stay"),
    }
}

fn remove(files: &dyn Filesystem, name: &Name) {
    match files.remove(name) {
        Ok(()) => tracing::debug!(filesystem = files.kind().word(), %name, "file removed"),
        Err(Refused::NotFound(_)) => {}
        Err(error) => tracing::warn!(filesystem = files.kind().word(), %name, %error, "a file cannot be removed"),
    }
}
