//! What clients want FFmpeg to be asked. Each question has a task of its own, for an answer takes its time.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::desk::written;
use crate::controller::{self, Controller, UnknownProcess};
use crate::core::{Inputs, Io, Refusal, Reply, carry, read_config};
use crate::crd::RestreamProcess;
use crate::plan::{Key, Obstacle, Plan, skills::Skills};
use crate::process::Probed;
use crate::runner::Runner;

/// What only the controller can do, and where the outcome goes. Who asked may have gone.
pub enum Ask {
    /// Take a command.
    Command(Key, controller::Command, oneshot::Sender<Result<(), UnknownProcess>>),
    /// Give the newest proven plan of a process.
    Plan(Key, oneshot::Sender<Option<Arc<Plan>>>),
    /// Prove a manifest that is no process.
    Prove(Box<RestreamProcess>, oneshot::Sender<Result<Plan, Obstacle>>),
}

impl Ask {
    /// Has the controller do it.
    pub fn put_to(self, controller: &mut Controller) {
        match self {
            Self::Command(key, command, reply) => drop(reply.send(controller.handle_command(&key, command))),
            Self::Plan(key, reply) => drop(reply.send(controller.plan(&key))),
            Self::Prove(manifest, reply) => drop(reply.send(controller.plan_of(&manifest))),
        }
    }
}

/// Where FFmpeg is asked.
#[derive(Clone)]
pub struct Questions {
    /// What starts FFmpeg.
    pub runner: Arc<Runner>,
    /// The way to the controller.
    pub asks: UnboundedSender<Ask>,
    /// What clients take for 100 % of the CPU.
    pub cores: NonZero<usize>,
}

impl Questions {
    /// Looks at inputs, unless whoever asked for it goes.
    pub async fn probe(self, inputs: Inputs, mut reply: Reply<Probed>) {
        let look = async { Ok(self.runner.probe(&*self.plan(inputs).await?).await) };
        let outcome = tokio::select! {
            outcome = look => outcome,
            () = reply.closed() => return,
        };
        // Who asked may have gone.
        let _ = reply.send(outcome);
    }

    /// Asks FFmpeg what it can do.
    pub async fn load_skills(self, reply: Reply<Arc<Skills>>) {
        let outcome = match self.runner.load_skills().await {
            Ok(Ok(skills)) => Ok(skills),
            Ok(Err(error)) => Err(Refusal::Silent(error.to_string())),
            Err(error) => Err(Refusal::Silent(error.to_string())),
        };
        // Who asked may have gone.
        let _ = reply.send(outcome);
    }

    /// Has the controller do something, and gives what comes of it.
    pub async fn controller<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Refusal> {
        let (reply, outcome) = oneshot::channel();
        self.asks.send(ask(reply)).map_err(|_| Refusal::Timeout)?;
        outcome.await.map_err(|_| Refusal::Timeout)
    }

    async fn plan(&self, inputs: Inputs) -> Result<Arc<Plan>, Refusal> {
        match inputs {
            Inputs::OfProcess(id) => {
                let plan = self.controller(|reply| Ask::Plan(Key::new(&*id), reply)).await?;
                plan.ok_or_else(|| {
                    let why = "its manifest is refused, or waits for what it refers to; its status says which";
                    Refusal::Refused(vec![format!("the inputs of process {id} cannot be looked at: {why}")])
                })
            }
            Inputs::OfJson(json) => {
                let manifest = Box::new(self.manifest(json)?);
                let proven = self.controller(|reply| Ask::Prove(manifest, reply)).await?;
                proven.map(Arc::new).map_err(refusal)
            }
        }
    }

    /// A manifest with the inputs of a client's process, and an output that nothing is written to.
    fn manifest(&self, json: serde_json::Value) -> Result<RestreamProcess, Refusal> {
        let (mut config, _) = read_config(json)?;
        let options = ["-f", "null"].map(str::to_owned).to_vec();
        config.output = vec![Io { id: "nothing".into(), address: "-".into(), options, cleanup: Vec::new() }];
        config.webrtc = None;
        let carried = carry(config, None, self.cores).map_err(Refusal::Refused)?;
        Ok(written(&carried.manifest)?.0)
    }
}

fn refusal(obstacle: Obstacle) -> Refusal {
    Refusal::Refused(match obstacle {
        Obstacle::Refused(reasons) => reasons,
        Obstacle::Missing(missing) => missing.into_iter().map(|missing| missing.message).collect(),
    })
}
