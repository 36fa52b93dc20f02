//! The controller: what is wanted against what runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::cleanup::Files;
use super::entry::Entry;
use super::{Change, Command, Observation, Origin, Problem, Process, Snapshot, Step, UnknownProcess};
use crate::crd::RestreamProcess;
use crate::plan::{self, Key, Known, Obstacle, Plan, Surroundings, process_id, skills::Skills};

/// Reports of runs that are kept beside the newest, unless it is said otherwise.
const HISTORY: usize = 3;

/// What is the same for the playback of every process.
#[derive(Clone, Debug, Default)]
pub struct Playback {
    /// There is a gateway; without it every process with WebRTC says why it cannot be played.
    pub enabled: bool,
    /// It has ended, which it does only by a fault.
    pub ended: bool,
    /// It is another program, which does not answer at the moment.
    pub away: bool,
    /// A cluster makes it reachable: the manifests say which addresses viewers are told.
    pub exposed: bool,
    /// Addresses that are put into answers.
    pub announced: Vec<String>,
}

/// Brings what runs to what is wanted, one step at a time.
pub struct Controller {
    playback: Playback,
    surroundings: Surroundings,
    /// What manifests can refer to.
    known: Known,
    /// Reports of runs that are kept beside the newest.
    history: usize,
    skills: Option<Arc<Skills>>,
    /// Every manifest that the source has, in its order.
    listing: Vec<(Origin, Arc<RestreamProcess>)>,
    entries: BTreeMap<Key, Entry>,
    shown: BTreeMap<Key, Arc<Process>>,
    /// Of the source, and documents that claim a taken id.
    unreadable: Vec<Problem>,
    duplicates: Vec<Problem>,
    files: Files,
    steps: VecDeque<Step>,
}

impl Controller {
    /// A controller that knows of nothing yet.
    pub fn new(playback: Playback, surroundings: Surroundings) -> Self {
        Self {
            playback,
            surroundings,
            known: Known::default(),
            history: HISTORY,
            skills: None,
            listing: Vec::new(),
            entries: BTreeMap::new(),
            shown: BTreeMap::new(),
            unreadable: Vec::new(),
            duplicates: Vec::new(),
            files: Files::default(),
            steps: VecDeque::new(),
        }
    }

    /// Keeps the reports of so many runs beside that of the newest.
    pub fn with_history(mut self, history: usize) -> Self {
        self.history = history;
        self
    }

    /// Takes what FFmpeg can do.
    pub fn handle_skills(&mut self, skills: Option<Arc<Skills>>) {
        self.skills = skills;
    }

    /// The newest proven plan of a process, be it suspended; to look at its inputs, say.
    pub fn plan(&self, key: &Key) -> Option<Arc<Plan>> {
        self.entries.get(key)?.proven.clone()
    }

    /// The plan of a manifest that is no process here; to look at its inputs, say.
    pub fn plan_of(&self, manifest: &RestreamProcess) -> Result<Plan, Obstacle> {
        Plan::new(manifest, &self.surroundings, &self.known)
    }

    /// Takes what somebody asks of a process. Nothing is done where its manifest says that it shall not run.
    pub fn handle_command(&mut self, key: &Key, command: Command) -> Result<(), UnknownProcess> {
        let entry = self.entries.get(key).ok_or_else(|| UnknownProcess(key.clone()))?;
        if entry.plan.is_some() {
            self.steps.push_back(match command {
                Command::Start => Step::Begin(key.clone()),
                Command::Restart => Step::Restart(key.clone()),
            });
        }
        Ok(())
    }

    /// Takes what a source says.
    pub fn handle_change(&mut self, change: Change, now: Timestamp) {
        match change {
            Change::Apply(origin, manifest) => {
                match self.listing.iter_mut().find(|(listed, _)| *listed == origin) {
                    Some(listed) => listed.1 = manifest,
                    None => self.listing.push((origin, manifest)),
                }
                self.reconcile(now);
            }
            Change::Delete(origin) => {
                self.listing.retain(|(listed, _)| *listed != origin);
                self.reconcile(now);
            }
            Change::Reset(listing) => {
                self.listing = listing;
                self.reconcile(now);
            }
            Change::Problems(problems) => {
                tell_new(&self.unreadable, &problems);
                self.unreadable = problems;
            }
            Change::Values(values) => {
                if self.known.values != values {
                    self.known.values = values;
                    self.prove(&self.entries.keys().cloned().collect(), now);
                }
            }
        }
        self.tend_files(now);
    }

    /// Takes that the disk directory, which is this folder, is full, or that there is room again (`None`).
    pub fn handle_disk_full(&mut self, folder: Option<String>, now: Timestamp) {
        self.files.handle_full(folder);
        self.tend_files(now);
    }

    /// What follows for the files of processes, and for the processes that write some.
    fn tend_files(&mut self, now: Timestamp) {
        let Self { files, entries, steps, .. } = self;
        let held = files.tend(entries, steps, now);
        held.iter().for_each(|key| self.show(key, now));
    }

    /// Takes what was seen. Of a process that is gone nothing is heard any more.
    pub fn handle_observation(&mut self, observation: Observation, now: Timestamp) {
        let Observation { key, seen } = observation;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.handle_seen(seen, now, self.history);
            self.show(&key, now);
        }
    }

    /// Takes the addresses that viewers are told from now on.
    pub fn handle_announced(&mut self, announced: Vec<String>, now: Timestamp) {
        self.playback.announced = announced;
        self.show_all(now);
    }

    /// Takes that the gateway has ended. FFmpeg goes on with its other outputs.
    pub fn handle_playback_ended(&mut self, now: Timestamp) {
        self.playback.ended = true;
        self.show_all(now);
    }

    /// Takes whether the gateway, which is another program, answers.
    pub fn handle_playback_reachable(&mut self, reachable: bool, now: Timestamp) {
        self.playback.away = !reachable;
        self.show_all(now);
    }

    fn show_all(&mut self, now: Timestamp) {
        let keys: Vec<Key> = self.entries.keys().cloned().collect();
        keys.iter().for_each(|key| self.show(key, now));
    }

    /// The next step to perform.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// What is shown of everything.
    pub fn snapshot(&self) -> Snapshot {
        let problems = self.unreadable.iter().chain(&self.duplicates).cloned().collect();
        Snapshot { processes: self.shown.clone(), problems, skills: self.skills.clone() }
    }

    /// Compares the listing with what is there. Of two manifests with one id the one that was there first is kept.
    fn reconcile(&mut self, now: Timestamp) {
        let mut wanted: BTreeMap<Key, (Origin, Arc<RestreamProcess>)> = BTreeMap::new();
        let mut claims = Vec::new();
        for (origin, manifest) in &self.listing {
            let key = process_id(manifest);
            let owner = self.entries.get(&key).map(|entry| &entry.origin);
            match wanted.get_mut(&key) {
                Some(first) if owner == Some(origin) => {
                    let first = std::mem::replace(first, (origin.clone(), manifest.clone()));
                    claims.push((key, first.0));
                }
                Some(_) => claims.push((key, origin.clone())),
                None => {
                    wanted.insert(key, (origin.clone(), manifest.clone()));
                }
            }
        }
        let duplicates: Vec<Problem> =
            claims.into_iter().map(|(key, origin)| duplicate(&key, &wanted[&key].0, &origin)).collect();
        tell_new(&self.duplicates, &duplicates);
        self.duplicates = duplicates;
        let gone: Vec<Key> = self.entries.keys().filter(|key| !wanted.contains_key(key)).cloned().collect();
        for key in gone {
            if self.entries.remove(&key).is_some_and(|entry| entry.plan.is_some()) {
                self.steps.push_back(Step::Stop(key.clone()));
            }
            self.shown.remove(&key);
        }
        let mut changed = BTreeSet::new();
        for (key, (origin, manifest)) in wanted {
            if self.take(&key, origin, manifest, now) {
                changed.insert(key);
            }
        }
        self.prove(&changed, now);
    }

    /// Takes in where a manifest stands and what is in it; tells whether it is another one than before.
    fn take(&mut self, key: &Key, origin: Origin, manifest: Arc<RestreamProcess>, now: Timestamp) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) => {
                entry.origin = origin;
                let is_changed = entry.manifest != manifest;
                if is_changed {
                    entry.handle_manifest(manifest, now);
                }
                is_changed
            }
            None => {
                self.entries.insert(key.clone(), Entry::new(origin, manifest, now));
                true
            }
        }
    }

    /// Proves what has changed, and what refers to something where that may have changed with it.
    fn prove(&mut self, changed: &BTreeSet<Key>, now: Timestamp) {
        let before = self.known.outputs.clone();
        self.known.outputs.retain(|key, _| self.entries.contains_key(key));
        for key in changed {
            let outputs = plan::outputs(&self.entries[key].manifest, &self.surroundings, &self.known);
            // Of a manifest that is refused the last version goes on, and so do its outputs.
            if let Some(outputs) = outputs {
                self.known.outputs.insert(key.clone(), outputs);
            }
        }
        let is_stale = self.known.outputs != before;
        let keys: Vec<Key> = self.entries.keys().cloned().collect();
        for key in keys {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if changed.contains(&key) || is_stale && entry.refers() {
                match Plan::new(&entry.manifest, &self.surroundings, &self.known) {
                    Ok(plan) => self.steps.extend(entry.handle_plan(Arc::new(plan), now)),
                    Err(obstacle) => self.steps.extend(entry.handle_obstacle(&key, obstacle, now)),
                }
            }
            self.show(&key, now);
        }
    }

    fn show(&mut self, key: &Key, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(key) {
            let process = entry.show(key, &self.playback, now);
            self.shown.insert(key.clone(), Arc::new(process));
        }
    }
}

/// Logs what is wrong and was not before.
fn tell_new(before: &[Problem], now: &[Problem]) {
    for Problem { origin, errors } in now.iter().filter(|problem| !before.contains(problem)) {
        for reason in errors {
            tracing::warn!(origin, reason, "manifest refused");
        }
    }
}

fn duplicate(key: &Key, kept: &Origin, origin: &Origin) -> Problem {
    Problem {
        origin: origin.0.clone(),
        errors: vec![format!(
            "the process id {key} is in {} and in {}: {} is kept and {} is not used; give one of them another \
             metadata.name or spec.processID",
            kept.0, origin.0, kept.0, origin.0
        )],
    }
}
