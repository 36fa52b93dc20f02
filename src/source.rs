//! The manifest directory: what stands in it, and what changes.
//!
//! Every `*.yaml` and `*.yml` directly in the directory is a file of manifests; hidden files, folders and what editors
//! leave behind are none. [`watch`] tells all manifests and all problems whenever either changed. What is told rests on
//! what lasted: a file is read once it has been still for a moment, and what is gone is believed gone after a longer
//! one, so that an editor's way of saving never stops a process. [`place`] and [`remove`] change files whole, and who uses
//! them may have them believed at once ([`Hand::believe`]).
//!
//! What manifests take from Secrets and ConfigMaps is read from files beside them and told in the same way.
//!
//! This room never knows what a process is made of; it hands on what [`crate::crd`] could read.

mod directory;
mod listing;
mod place;
mod values;
mod watch;

pub use directory::read_all;
pub use place::{Place, place, read, remove};
pub use watch::{Hand, Watch, WatchError, watch};
