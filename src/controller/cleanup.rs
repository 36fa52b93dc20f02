//! The files of processes: their cleanup rules, what is purged with a process, and who has to wait while the disk directory
//! is full.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::Step;
use super::entry::Entry;
use crate::files::Rule;
use crate::plan::Key;

/// What was told of the files of processes.
#[derive(Default)]
pub struct Files {
    /// The rules that hold.
    rules: BTreeMap<Key, Vec<Rule>>,
    /// The disk directory, while it is full.
    full: Option<String>,
}

impl Files {
    /// Takes that the disk directory, which is this folder, is full, or that there is room again.
    pub fn handle_full(&mut self, folder: Option<String>) {
        self.full = folder;
    }

    /// Adds the steps that follow; gives the processes that have to wait, or no longer have to.
    pub fn tend(&mut self, entries: &mut BTreeMap<Key, Entry>, steps: &mut VecDeque<Step>, now: Timestamp) -> Vec<Key> {
        self.tell_rules(entries, steps);
        let mut changed = Vec::new();
        for (key, entry) in entries {
            let is_held = self.full.as_ref().is_some_and(|folder| entry.wants_to_write_below(folder));
            if is_held != entry.is_held || (is_held && entry.plan.is_some()) {
                // A start that is not yet performed need not be.
                let is_running = entry.plan.is_some() && !steps.iter().any(|step| starts(step, key));
                steps.retain(|step| !starts(step, key));
                steps.extend(if is_held { entry.hold(now).filter(|_| is_running) } else { entry.let_go(now) });
                changed.push(key.clone());
            }
        }
        changed
    }

    fn tell_rules(&mut self, entries: &BTreeMap<Key, Entry>, steps: &mut VecDeque<Step>) {
        for (key, entry) in entries {
            let Some(plan) = &entry.proven else { continue };
            let is_told = match self.rules.get(key) {
                Some(told) => *told == plan.cleanup,
                None => plan.cleanup.is_empty(),
            };
            if !is_told {
                self.rules.insert(key.clone(), plan.cleanup.clone());
                steps.push_back(Step::Tidy(key.clone(), plan.cleanup.clone()));
            }
        }
        let gone: Vec<Key> = self.rules.keys().filter(|key| !entries.contains_key(key)).cloned().collect();
        for key in gone {
            let rules = self.rules.remove(&key).unwrap_or_default();
            steps.push_back(Step::Tidy(key.clone(), Vec::new()));
            if rules.iter().any(|rule| rule.purge_on_delete) {
                steps.push_back(Step::Purge(key, rules));
            }
        }
    }
}

fn starts(step: &Step, key: &Key) -> bool {
    matches!(step, Step::Start(plan) if plan.key == *key)
}
