//! What clients want to have changed or asked, and the way to whatever does it.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::config::Config;
use super::kept::Stored;
use crate::plan::skills::Skills;
use crate::process::Probed;

/// What is to be changed.
#[derive(Clone, PartialEq)]
pub enum Order {
    /// Make a process of this JSON.
    Create(Value),
    /// Change a process; what the JSON leaves out stays.
    Update {
        /// Id of the process.
        id: String,
        /// What is to be different.
        changes: Value,
    },
    /// Remove a process.
    Delete {
        /// Id of the process.
        id: String,
    },
    /// Start or stop a process.
    Command {
        /// Id of the process.
        id: String,
        /// What to do.
        command: Command,
    },
    /// Remember this; null forgets it.
    Remember {
        /// Id of the process that it belongs to; `None` for none.
        process: Option<String>,
        /// Under which key.
        key: String,
        /// What.
        value: Value,
    },
    /// Let these settings be so until the program ends, each by its path such as `log.level`.
    Configure(Vec<(String, Value)>),
    /// Look at the manifests again.
    Reload,
}

/// Inputs that are to be looked at.
#[derive(Clone, PartialEq)]
pub enum Inputs {
    /// Those of the process with this id.
    OfProcess(String),
    /// Those of this JSON of a process, which has an id and may be none here.
    OfJson(Value),
}

/// What datarhei's clients command a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// It shall run.
    Start,
    /// It shall not run.
    Stop,
    /// FFmpeg shall begin anew, where it is to run.
    Restart,
    /// The same, with the manifest proven anew.
    Reload,
}

/// An order that was carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// A process is as it should be.
    Process {
        /// The whole process.
        config: Box<Config>,
        /// What of the JSON has no effect, and why.
        without_effect: Vec<String>,
    },
    /// Nothing more is to be told.
    Plain,
}

/// Why an order is not carried out; nothing is left behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such process.
    #[error("there is no process {0:?} here")]
    Unknown(String),
    /// There is such a process.
    #[error("there is a process {0:?} already")]
    Taken(String),
    /// It cannot be used, with every reason.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// Its manifest is in the hands of a person.
    #[error("{0}")]
    NotOurs(String),
    /// A file cannot be written.
    #[error("{0}")]
    Failed(String),
    /// FFmpeg cannot be asked.
    #[error("FFmpeg cannot be asked what it can do: {0}")]
    Silent(String),
    /// Nobody carried it out in time.
    #[error("it was not done in time; look at the process before you try again")]
    Timeout,
}

/// Where an outcome goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// What is asked for, and where the outcome goes.
pub enum Request {
    /// Carry out an order, after those that came before.
    Order(Order, Reply<Done>),
    /// Look at inputs. That takes up to 20 s, and holds up nothing else.
    Probe(Inputs, Reply<Probed>),
    /// Ask FFmpeg what it can do now; this too beside everything else.
    LoadSkills(Reply<Arc<Skills>>),
}

/// The HTTP side's end.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    stored: watch::Receiver<Arc<Stored>>,
}

impl Client {
    /// A client that sees what is stored, and the queue that it fills.
    pub fn new(stored: watch::Receiver<Arc<Stored>>) -> (Self, mpsc::Receiver<Request>) {
        let (requests, queue) = mpsc::channel(64);
        (Self { requests, stored }, queue)
    }

    /// Has something done, and waits until it is.
    pub async fn order(&self, order: Order) -> Result<Done, Refusal> {
        self.request(|reply| Request::Order(order, reply)).await
    }

    /// Has inputs looked at. Dropped, the look ends.
    pub async fn probe(&self, inputs: Inputs) -> Result<Probed, Refusal> {
        self.request(|reply| Request::Probe(inputs, reply)).await
    }

    /// Has FFmpeg asked what it can do.
    pub async fn load_skills(&self) -> Result<Arc<Skills>, Refusal> {
        self.request(Request::LoadSkills).await
    }

    async fn request<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Refusal> {
        let (reply, outcome) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Refusal::Timeout)?;
        outcome.await.unwrap_or(Err(Refusal::Timeout))
    }

    /// What is kept beside the manifests.
    pub fn stored(&self) -> Arc<Stored> {
        self.stored.borrow().clone()
    }
}
