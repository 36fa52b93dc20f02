//! Files that processes write and players read: names, the memory filesystem as a data structure, what cleanup rules
//! take away, and [`Filesystem`], by which HTTP reads and writes whatever is behind it.
//!
//! This room never knows where a file is kept, nor what time it is: both come in.

mod glob;
mod media;
mod memory;
mod name;
mod query;
mod rule;

use std::fmt;
use std::io::{Read, Seek};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

pub use glob::{BadGlob, Glob};
pub use media::{MediaType, media_type};
pub use memory::{Memory, Stored};
pub use name::Name;
pub use query::{Order, Query, Sort};
pub use rule::{BadPattern, Kind, Pattern, Rule, Rules};

/// One filesystem. Its methods may wait for a disk, so they are for threads that may block.
pub trait Filesystem: Send + Sync + fmt::Debug {
    /// Which one it is.
    fn kind(&self) -> Kind;
    /// Every file of it.
    fn list(&self) -> Result<Vec<Entry>, Refused>;
    /// Opens a file as it is now; what is written later does not change what was opened, unless it is written in place.
    fn open(&self, name: &Name) -> Result<Opened, Refused>;
    /// Begins a file, which is there once [`Upload::finish`] is done. `declared` is its size where that is known.
    fn upload(&self, name: Name, declared: Option<u64>) -> Result<Box<dyn Upload>, Refused>;
    /// Removes a file.
    fn remove(&self, name: &Name) -> Result<(), Refused>;
    /// How much is in it.
    fn usage(&self) -> Usage;
}

/// A file that is on its way; dropped, it leaves nothing behind.
pub trait Upload: Send {
    /// Takes the next octets.
    fn write(&mut self, octets: &[u8]) -> Result<(), Refused>;
    /// Puts the file in its place at once; true where there was none before.
    fn finish(self: Box<Self>) -> Result<bool, Refused>;
}

/// One file in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// Octets.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

/// How much is in a filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files.
    pub files: u64,
    /// Octets of all files.
    pub octets: u64,
    /// Octets that all files may have; `None` where there is no cap.
    pub limit: Option<u64>,
}

/// A file that was opened.
pub struct Opened {
    /// Octets.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// What is in it.
    pub content: Content,
}

impl Opened {
    /// What tells this version of the file from others; to stand in an ETag.
    pub fn version(&self) -> String {
        let since = self.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{:x}", since.as_nanos(), self.size)
    }
}

/// What is in a file.
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// To be read piece by piece.
    Pieces(Box<dyn Pieces>),
}

/// What can be read from any place on.
pub trait Pieces: Read + Seek + Send {}

impl<T: Read + Seek + Send> Pieces for T {}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such file.
    #[error("there is no file {0} here")]
    NotFound(Name),
    /// The cap would be exceeded.
    #[error("{kind} is full: {octets} octets more would exceed its {limit} octets ({variable})", kind = kind.label(), variable = kind.variable())]
    Full {
        /// Which filesystem.
        kind: Kind,
        /// Octets that were asked for.
        octets: u64,
        /// Its cap.
        limit: u64,
    },
    /// Something that is no file stands at this name or above it.
    #[error("{0} cannot be a file: a folder is there, or a file is where its folder should be")]
    Taken(Name),
    /// The disk failed.
    #[error("{0}")]
    Failed(String),
}
