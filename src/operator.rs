//! `RestreamProcess` in a cluster: what is wanted and what is there are watched, objects are applied, workers are asked,
//! and the status is written.
//!
//! What an object looks like and what a status says is decided in the room `workload`; here it is done. Nothing is
//! written that is there already: an operator that starts anew where all is well writes nothing.
//!
//! This room never knows what a manifest means to FFmpeg or WebRTC.

mod apply;
mod dispatch;
mod election;
mod failure;
mod figures;
mod index;
mod key;
mod kind;
mod known;
mod notices;
mod ownership;
mod poll;
mod queue;
mod reconcile;
mod record;
mod requests;
mod state;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kube::Client;
use kube::runtime::events::Recorder;

use crate::crd::RestreamProcess;
use crate::workload;

pub use dispatch::Operator;
pub use election::{Election, Term};
pub use figures::Figures;
pub use requests::counted;

/// Makes a token that opens the worker of the process with this id.
pub type Mint = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What the operator is configured to.
#[derive(Clone)]
pub struct Settings {
    /// What objects are made from.
    pub workload: workload::Config,
    /// Where processes are looked for; empty: everywhere.
    pub namespaces: Vec<String>,
    /// Read addresses of nodes.
    pub nodes: bool,
    /// Processes that are reconciled at a time.
    pub concurrency: usize,
    /// Port of a worker's own HTTP.
    pub worker_port: u16,
    /// The id of this operator among several.
    pub identity: String,
    /// Of the tokens for workers.
    pub mint: Mint,
}

/// What everything in this room needs.
#[derive(Clone)]
struct Context {
    client: Client,
    settings: Arc<Settings>,
    figures: Figures,
    recorder: Recorder,
    /// The API server has HTTPRoutes.
    serves_routes: Arc<AtomicBool>,
    index: Arc<index::Index>,
    /// Processes that are to be reconciled.
    queue: Arc<queue::Queue>,
    /// Processes whose worker is to be asked.
    polls: Arc<queue::Queue>,
}

/// A process, as it is shown to who asks for all of them.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Manifest and status.
    pub process: Arc<RestreamProcess>,
    /// Where its worker answers, while it has a Pod.
    pub worker: Option<SocketAddr>,
}
