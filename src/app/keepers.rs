//! One keeper for each process: performs its steps in order, and holds up no other process while one takes its time.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::controller::{Observation, Seen, Step};
use crate::gateway;
use crate::plan::{EgressPorts, Key, Plan};
use crate::runner::{Run, Runner};
use crate::storage;

/// What a keeper is asked to do.
enum Order {
    Perform(Step),
    NoteReordered,
}

/// The keepers of all processes.
pub struct Keepers {
    rooms: Rooms,
    keepers: HashMap<Key, Keeper>,
    tasks: JoinSet<()>,
    done: UnboundedSender<Key>,
    finished: UnboundedReceiver<Key>,
}

/// What every keeper works with.
#[derive(Clone)]
struct Rooms {
    runner: Arc<Runner>,
    gateway: Option<gateway::Handle>,
    storage: storage::Handle,
    observations: UnboundedSender<Observation>,
}

struct Keeper {
    orders: UnboundedSender<Order>,
    /// Stops and purges that were asked for and that are not done yet.
    stops: usize,
    /// The last step is one of these.
    stopped: bool,
}

impl Keepers {
    /// Keepers of no process yet.
    pub fn new(
        runner: Arc<Runner>,
        gateway: Option<gateway::Handle>,
        storage: storage::Handle,
        observations: UnboundedSender<Observation>,
    ) -> Self {
        let (done, finished) = unbounded_channel();
        let rooms = Rooms { runner, gateway, storage, observations };
        Self { rooms, keepers: HashMap::new(), tasks: JoinSet::new(), done, finished }
    }

    /// Has a step performed after those of the same process that came before.
    pub fn perform(&mut self, step: Step) {
        let key = match &step {
            Step::Start(plan) | Step::Replace(plan) | Step::Configure(plan) => plan.key.clone(),
            Step::Stop(key) | Step::Purge(key, _) => key.clone(),
            Step::Tidy(key, rules) => return self.rooms.storage.tidy(key.as_str(), rules.clone()),
        };
        let Self { rooms, keepers, tasks, done, .. } = self;
        let keeper = keepers.entry(key.clone()).or_insert_with(|| {
            let (orders, inbox) = unbounded_channel();
            tasks.spawn(keep(key, inbox, rooms.clone(), done.clone()));
            Keeper { orders, stops: 0, stopped: false }
        });
        keeper.stopped = matches!(step, Step::Stop(_) | Step::Purge(..));
        keeper.stops += usize::from(keeper.stopped);
        // A keeper ends only when it is let go of, or with a panic that `finished` tells of.
        let _ = keeper.orders.send(Order::Perform(step));
    }

    /// The gateway saw frames of this process's picture out of order.
    pub fn note_reordered(&self, key: &Key) {
        if let Some(keeper) = self.keepers.get(key) {
            let _ = keeper.orders.send(Order::NoteReordered);
        }
    }

    /// Lets go of keepers that have nothing to keep. To be awaited all the time; the error names a keeper's panic.
    pub async fn tend(&mut self) -> Result<(), tokio::task::JoinError> {
        tokio::select! {
            Some(key) = self.finished.recv() => {
                if let Some(keeper) = self.keepers.get_mut(&key) {
                    keeper.stops -= 1;
                    if keeper.stops == 0 && keeper.stopped {
                        self.keepers.remove(&key);
                    }
                }
                Ok(())
            }
            Some(ended) = self.tasks.join_next() => ended,
        }
    }

    /// Stops every process, all at once, and returns when no child is left.
    pub async fn shutdown(mut self) {
        for (key, keeper) in self.keepers.drain() {
            let _ = keeper.orders.send(Order::Perform(Step::Stop(key)));
        }
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the keeper of a process failed");
            }
        }
    }
}

async fn keep(key: Key, mut orders: UnboundedReceiver<Order>, rooms: Rooms, done: UnboundedSender<Key>) {
    let mut run: Option<Run> = None;
    while let Some(order) = orders.recv().await {
        match (order, &run) {
            (Order::Perform(Step::Start(plan) | Step::Replace(plan)), _) => {
                let ports = rooms.legs(&plan).await;
                match &run {
                    Some(run) => run.replace(plan, ports),
                    None => run = Some(rooms.runner.start(plan, ports)),
                }
            }
            (Order::Perform(Step::Configure(plan)), Some(run)) => {
                rooms.configure(&plan);
                run.configure(plan);
            }
            (Order::NoteReordered, Some(run)) => run.note_reordered(),
            (Order::Perform(Step::Configure(_)) | Order::NoteReordered, None) => {}
            // Rules are told at once, without a keeper.
            (Order::Perform(Step::Tidy(..)), _) => {}
            (Order::Perform(Step::Purge(_, rules)), _) => {
                rooms.storage.purge(rules).await;
                let _ = done.send(key.clone());
            }
            (Order::Perform(Step::Stop(_)), _) => {
                // Viewers are told first, so that they need not find out.
                if let Some(gateway) = &rooms.gateway {
                    gateway.close(key.as_str());
                }
                if let Some(run) = run.take() {
                    run.stop().await;
                }
                let _ = done.send(key.clone());
            }
        }
    }
}

impl Rooms {
    /// Opens the legs of a plan that has some, and closes those of one that has none.
    async fn legs(&self, plan: &Plan) -> Option<EgressPorts> {
        let gateway = self.gateway.as_ref()?;
        let stream = plan.key.as_str();
        let Some(egress) = &plan.egress else {
            gateway.close(stream);
            return None;
        };
        match gateway.open(stream, egress.max_viewers.map(|viewers| viewers as usize)).await {
            Ok(ports) => {
                let EgressPorts { video, audio } = ports;
                tracing::info!(process = stream, video_port = video, audio_port = audio, "egress legs opened");
                Some(ports)
            }
            Err(error) => {
                tracing::warn!(process = stream, %error, "FFmpeg runs without its egress legs");
                let seen = Seen::EgressFailed(error.to_string());
                let _ = self.observations.send(Observation { key: plan.key.clone(), seen });
                None
            }
        }
    }

    fn configure(&self, plan: &Plan) {
        if let (Some(gateway), Some(egress)) = (&self.gateway, &plan.egress) {
            gateway.configure(plan.key.as_str(), egress.max_viewers.map(|viewers| viewers as usize));
        }
    }
}
