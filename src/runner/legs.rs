//! What is known of the inputs, and what the egress legs are made of it.

use std::time::{Duration, Instant};

use crate::plan::{Inventory, LegAction, LegChoice, Plan, Probe};

/// A run whose inputs were open for so long is steady: what it was corrected for may be corrected again.
const STEADY: Duration = Duration::from_secs(10);

/// What is to be done about the legs of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing.
    Keep,
    /// They stay, for another reason than was told.
    Explain(LegChoice),
    /// They are wrong.
    Correct,
}

/// Remembers the streams of one process's inputs over its runs.
#[derive(Debug, Default)]
pub struct Legs {
    inventory: Inventory,
    /// What the legs of this run do.
    running: Option<LegChoice>,
    /// What was corrected for since the last steady run: where FFmpeg sees now this and now that, it must not be
    /// restarted without end.
    corrected: Vec<Inventory>,
    /// Since when all inputs of this run are open.
    open_since: Option<Instant>,
}

impl Legs {
    /// The probe that has to come before the run.
    pub fn probe(&self, plan: &Plan) -> Option<Probe> {
        plan.probe().filter(|probe| !probe.inputs.iter().all(|input| self.inventory.known.contains(input)))
    }

    /// What the legs of the run that begins do.
    pub fn begin(&mut self, now: Instant, plan: &Plan) -> Option<LegChoice> {
        if self.open_since.take().is_some_and(|since| now.duration_since(since) >= STEADY) {
            self.corrected.clear();
        }
        self.running = plan.choose(&self.inventory);
        self.running.clone()
    }

    /// The run has no legs.
    pub fn begin_without(&mut self) {
        (self.running, self.open_since) = (None, None);
    }

    /// FFmpeg reports these streams.
    pub fn handle_seen(&mut self, seen: &Inventory) {
        self.inventory.learn(seen);
    }

    /// The gateway saw frames of the picture's leg out of order.
    pub fn handle_reordered(&mut self) {
        if let Some(LegAction::Copy(stream)) = self.running.as_ref().map(|legs| &legs.video.action) {
            self.inventory.note_reordered(stream);
        }
    }

    /// The inputs are others from now on.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Compares what the legs do with what they should, now that all inputs are open.
    pub fn judge(&mut self, now: Instant, plan: &Plan) -> Verdict {
        self.open_since.get_or_insert(now);
        let (Some(running), Some(right)) = (&mut self.running, plan.choose(&self.inventory)) else {
            return Verdict::Keep;
        };
        let is_right = running.does_the_same_as(&right);
        if is_right && *running == right {
            Verdict::Keep
        } else if is_right {
            *running = right.clone();
            Verdict::Explain(right)
        } else if self.corrected.contains(&self.inventory) {
            Verdict::Keep
        } else {
            self.corrected.push(self.inventory.clone());
            Verdict::Correct
        }
    }
}
