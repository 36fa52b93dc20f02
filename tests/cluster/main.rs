//! A real Kubernetes control plane: what it says of our resource, and what it makes of our objects.
//!
//! [`plane`] starts it; [`programs`] says where it comes from. Nodes are played by kwok: Pods become Ready there, and
//! nothing runs in them.

#[path = "../support/child.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod child;
#[path = "../support/chromium.rs"]
mod chromium;
mod keeper;
mod plane;
mod pod;
mod programs;
#[path = "../e2e/tools.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod tools;

mod away;
mod definition;
mod nodes;
mod operator_faults;
mod operator_lead;
mod operator_objects;
mod operator_program;
mod operator_quiet;
mod operator_rights;
mod operator_workers;
mod orphans;
mod parity;
mod values;
mod worker;
