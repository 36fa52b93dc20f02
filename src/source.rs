//! The manifest directory: what stands in it, and what changes.
//!
//! This room never knows what a process is made of; it hands on what [`crate::crd`] could read.
