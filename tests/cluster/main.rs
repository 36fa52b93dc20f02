//! A real Kubernetes control plane: what it says of our resource, and what it makes of our objects.
//!
//! [`plane`] starts it; [`programs`] says where it comes from. Nodes are played by kwok: Pods become Ready there, and
//! nothing runs in them.

#[path = "../support/child.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod child;
mod keeper;
mod plane;
mod programs;

mod away;
mod definition;
mod nodes;
mod orphans;
mod parity;
mod values;
