//! What clients want to be remembered, in one file of the directory of what the program must remember.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use crate::core::Stored;
use crate::source::{self, Place};

/// Name of the file.
const FILE: &str = "api.json";

/// What is remembered, in memory and in its file.
pub struct Store {
    directory: PathBuf,
    stored: watch::Sender<Arc<Stored>>,
}

impl Store {
    /// Reads what is remembered; nothing is, where there is no file yet.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(FILE);
        let stored = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged: mend it, or remove it to begin anew", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stored::default(),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read (CORE_DB_DIR)", path.display()));
            }
        };
        Ok(Self { directory: directory.to_owned(), stored: watch::Sender::new(Arc::new(stored)) })
    }

    /// Who wants to see it.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Stored>> {
        self.stored.subscribe()
    }

    /// What is remembered.
    pub fn stored(&self) -> Arc<Stored> {
        self.stored.borrow().clone()
    }

    /// Changes what is remembered: first in the file, then in memory. What stays the same is not written.
    pub fn change(&self, change: impl FnOnce(&mut Stored)) -> std::io::Result<()> {
        let before = self.stored();
        let mut stored = Stored::clone(&before);
        change(&mut stored);
        if stored != *before {
            let text = serde_json::to_string_pretty(&stored)?;
            source::place(&self.directory, FILE, text.as_bytes(), Place::Any)?;
            self.stored.send_replace(Arc::new(stored));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_there_after_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Store::open(directory.path()).expect("there is none yet");
        first.change(|stored| drop(stored.metadata.insert("k".into(), 1.into()))).expect("it is written");
        let second = Store::open(directory.path()).expect("it is read");
        assert_eq!(second.stored().metadata["k"], 1);
        std::fs::write(directory.path().join(FILE), "{").expect("written");
        let error = Store::open(directory.path()).err().expect("it is damaged").to_string();
        assert!(error.contains(FILE) && error.contains("remove it"), "{error}");
    }
}
