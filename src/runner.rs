//! FFmpeg as a child: spawn, process group, signals, reaping, standard streams, probe.
//!
//! This room does what the [`crate::process`] machine decides, and never decides itself.

use crate::plan::LegChoice;
use crate::process;

/// What was seen of one process's run.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step in the life of FFmpeg.
    Run(process::Event),
    /// What the egress legs of the run that begins do, and why.
    Legs(LegChoice),
}
