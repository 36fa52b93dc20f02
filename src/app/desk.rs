//! Where clients have processes changed: one order after another, each until what came of it is seen. What FFmpeg is to be
//! asked goes on beside that.
//!
//! A change is a file in the manifest directory, as a person would make it, and nothing else. Only manifests that clients
//! made are changed; those of persons stay as they are written.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::questions::{Ask, Questions};
use super::settings::Settings;
use super::store::Store;
use crate::controller::{self, Process, Snapshot};
use crate::core::{
    Before, Carried, Command, Config, Done, Kept, Order, ReadError, Refusal, Request, carry, config_of, is_managed,
    overlay, read_config,
};
use crate::crd::{RestreamProcess, read_manifests};
use crate::plan::Key;
use crate::source::{self, Hand, Place};

/// What is written is seen within milliseconds; a directory on a network may take longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the desk works with.
pub struct Desk {
    /// The manifest directory.
    pub directory: PathBuf,
    /// The way to its watch.
    pub hand: Hand,
    /// What is kept beside the manifests.
    pub store: Store,
    /// What of the configuration holds.
    pub settings: Settings,
    /// What is shown of the processes.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Where FFmpeg and the controller are asked.
    pub questions: Questions,
    /// What clients take for 100 % of the CPU.
    pub cores: NonZero<usize>,
}

/// A process that clients may change, and its file.
struct Managed {
    process: Arc<Process>,
    file: String,
}

impl Desk {
    /// Carries out orders until nobody can give one any more.
    pub async fn run(mut self, mut requests: Receiver<Request>) {
        let mut asked = JoinSet::new();
        loop {
            let request = tokio::select! {
                request = requests.recv() => request,
                Some(_) = asked.join_next() => continue,
            };
            match request {
                Some(Request::Order(order, reply)) => {
                    let outcome = self.perform(order).await;
                    // Who asked may have gone.
                    let _ = reply.send(outcome);
                }
                Some(Request::Probe(inputs, reply)) => drop(asked.spawn(self.questions.clone().probe(inputs, reply))),
                Some(Request::LoadSkills(reply)) => drop(asked.spawn(self.questions.clone().load_skills(reply))),
                None => return,
            }
        }
    }

    async fn perform(&mut self, order: Order) -> Result<Done, Refusal> {
        match order {
            Order::Create(json) => self.create(json).await,
            Order::Update { id, changes } => self.update(&id, changes).await,
            Order::Delete { id } => self.delete(&id).await,
            Order::Command { id, command } => self.command(&id, command).await,
            Order::Remember { process, key, value } => self.remember(process, key, value),
            Order::Configure(changes) => {
                changes.into_iter().try_for_each(|(path, value)| self.settings.change(&path, value))?;
                Ok(Done::Plain)
            }
            Order::Reload => {
                self.hand.believe(Vec::new()).await;
                Ok(Done::Plain)
            }
        }
    }

    async fn create(&mut self, json: serde_json::Value) -> Result<Done, Refusal> {
        let (config, unknown) = read_config(json)?;
        if self.process(&config.id).is_some() {
            return Err(Refusal::Taken(config.id));
        }
        let id = config.id.clone();
        let mut carried = carry(config, None, self.cores).map_err(Refusal::Refused)?;
        carried.kept.created_at = u64::try_from(Timestamp::now().as_second()).ok();
        let (manifest, text) = written(&carried.manifest)?;
        let file = file_of(&manifest);
        self.place(&file, &text, Place::New)?;
        self.hand.believe(vec![file.clone()]).await;
        if let Err(refusal) = self.accepted(&id, &file, &manifest).await {
            self.take_back(&file).await;
            let key = Key::new(&*id);
            self.until(|snapshot| (!snapshot.processes.contains_key(&key)).then_some(())).await?;
            return Err(refusal);
        }
        self.keep(&id, None, carried.kept.clone())?;
        Ok(done(&id, carried, unknown, self.cores))
    }

    async fn update(&mut self, id: &str, changes: serde_json::Value) -> Result<Done, Refusal> {
        let Managed { process, file } = self.managed(id)?;
        let kept = self.kept(id);
        let mut json =
            serde_json::to_value(config_of(id, &process.manifest, &kept, self.cores)).expect("a process is JSON");
        if !changes.is_object() {
            return Err(Refusal::Refused(vec!["this is no process: an object is needed".into()]));
        }
        overlay(&mut json, changes);
        let (config, unknown) = read_config(json)?;
        let new_id = config.id.clone();
        if new_id != id && self.process(&new_id).is_some() {
            return Err(Refusal::Taken(new_id));
        }
        let before = Before { manifest: &process.manifest, kept: &kept };
        let mut carried = carry(config, Some(before), self.cores).map_err(Refusal::Refused)?;
        carried.kept.created_at = kept.created_at.or(Some(process.created_at));
        self.replace(&process, &new_id, &file, &carried.manifest).await?;
        self.keep(&new_id, Some(id), carried.kept.clone())?;
        Ok(done(&new_id, carried, unknown, self.cores))
    }

    /// Puts a manifest into the place of that of a process, under another id where it has one.
    async fn replace(
        &mut self,
        before: &Process,
        new_id: &str,
        file: &str,
        manifest: &RestreamProcess,
    ) -> Result<(), Refusal> {
        let id = before.key.as_str();
        let (manifest, text) = written(manifest)?;
        let old = source::read(&self.directory, file).map_err(|error| unwritten(file, &error))?;
        let new_file = if new_id == id { file.to_owned() } else { file_of(&manifest) };
        if new_file != file {
            self.place(&new_file, &text, Place::New)?;
            if let Err(error) = source::remove(&self.directory, file) {
                self.take_back(&new_file).await;
                return Err(unwritten(file, &error));
            }
        } else {
            self.place(file, &text, Place::Any)?;
        }
        self.hand.believe(vec![file.to_owned(), new_file.clone()]).await;
        let accepted = self.accepted(new_id, &new_file, &manifest).await;
        if accepted.is_err() {
            // As it was before; the reason of the refusal says more than a failure of this would.
            if new_file != file {
                let _ = source::remove(&self.directory, &new_file);
            }
            let _ = self.place(file, &old, Place::Any);
            self.hand.believe(vec![file.to_owned(), new_file]).await;
            let is_back = |process: &Arc<Process>| *process.manifest == *before.manifest;
            self.until(|snapshot| snapshot.processes.get(&before.key).filter(|process| is_back(process)).map(drop))
                .await?;
        }
        accepted
    }

    async fn delete(&mut self, id: &str) -> Result<Done, Refusal> {
        let Managed { file, .. } = self.managed(id)?;
        source::remove(&self.directory, &file).map_err(|error| unwritten(&file, &error))?;
        self.hand.believe(vec![file]).await;
        let key = Key::new(id);
        self.until(|snapshot| (!snapshot.processes.contains_key(&key)).then_some(())).await?;
        self.store.change(|stored| drop(stored.processes.remove(id))).map_err(|error| unkept(&error))?;
        Ok(Done::Plain)
    }

    async fn command(&mut self, id: &str, command: Command) -> Result<Done, Refusal> {
        let process = self.process(id).ok_or_else(|| Refusal::Unknown(id.to_owned()))?;
        match (command, process.manifest.spec.suspend) {
            (Command::Start, true) => self.suspend(id, false).await?,
            (Command::Stop, false) => self.suspend(id, true).await?,
            (Command::Start, false) => self.engine(&process.key, controller::Command::Start).await?,
            (Command::Stop, true) => {}
            // A changed manifest is proven by itself, so there is nothing more to a reload.
            (Command::Restart | Command::Reload, _) => {
                self.engine(&process.key, controller::Command::Restart).await?;
            }
        }
        Ok(Done::Plain)
    }

    /// Has the controller take a command.
    async fn engine(&self, key: &Key, command: controller::Command) -> Result<(), Refusal> {
        let taken = self.questions.controller(|reply| Ask::Command(key.clone(), command, reply)).await?;
        taken.map_err(|controller::UnknownProcess(key)| Refusal::Unknown(key.as_str().to_owned()))
    }

    async fn suspend(&mut self, id: &str, suspend: bool) -> Result<(), Refusal> {
        let Managed { process, file } = self.managed(id)?;
        let mut manifest = RestreamProcess::clone(&process.manifest);
        manifest.spec.suspend = suspend;
        self.replace(&process, id, &file, &manifest).await
    }

    fn remember(&self, process: Option<String>, key: String, value: serde_json::Value) -> Result<Done, Refusal> {
        if let Some(id) = &process
            && self.process(id).is_none()
        {
            return Err(Refusal::Unknown(id.clone()));
        }
        let change = |stored: &mut crate::core::Stored| {
            let metadata = match process {
                Some(id) => &mut stored.processes.entry(id).or_default().metadata,
                None => &mut stored.metadata,
            };
            match value.is_null() {
                true => drop(metadata.shift_remove(&key)),
                false => drop(metadata.insert(key, value)),
            }
        };
        self.store.change(change).map_err(|error| unkept(&error))?;
        Ok(Done::Plain)
    }

    fn process(&self, id: &str) -> Option<Arc<Process>> {
        self.snapshot.borrow().processes.get(&Key::new(id)).cloned()
    }

    fn kept(&self, id: &str) -> Kept {
        self.store.stored().processes.get(id).cloned().unwrap_or_default()
    }

    /// A process whose manifest clients made: it says so, and it is alone in its file.
    fn managed(&self, id: &str) -> Result<Managed, Refusal> {
        let process = self.process(id).ok_or_else(|| Refusal::Unknown(id.to_owned()))?;
        let file = process.origin.0.clone();
        let is_alone = !file.contains(' ');
        if is_managed(&process.manifest) && is_alone {
            return Ok(Managed { process, file });
        }
        Err(Refusal::NotOurs(format!(
            "the manifest of process {id} ({file}) was written by a person, and only a person changes it; to let clients \
             change it, put it into a file of its own with the annotation {}: {}",
            crate::core::MANAGED_BY,
            crate::core::MANAGER
        )))
    }

    fn place(&self, file: &str, text: &str, place: Place) -> Result<(), Refusal> {
        source::place(&self.directory, file, text.as_bytes(), place).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Refusal::NotOurs(format!(
                "there is a file {file} in the manifest directory already; choose another id, or remove the file"
            )),
            _ => unwritten(file, &error),
        })
    }

    async fn take_back(&self, file: &str) {
        // The reason of the refusal says more than a failure of this would.
        let _ = source::remove(&self.directory, file);
        self.hand.believe(vec![file.to_owned()]).await;
    }

    /// Waits until the controller has said what it makes of a manifest.
    async fn accepted(&mut self, id: &str, file: &str, manifest: &RestreamProcess) -> Result<(), Refusal> {
        let key = Key::new(id);
        let verdict = |snapshot: &Snapshot| {
            if let Some(problem) = snapshot.problems.iter().find(|problem| problem.origin == file) {
                return Some(Err(Refusal::Refused(problem.errors.clone())));
            }
            let process = snapshot.processes.get(&key).filter(|process| *process.manifest == *manifest)?;
            Some(match process.refused.is_empty() {
                true => Ok(()),
                false => Err(Refusal::Refused(process.refused.clone())),
            })
        };
        self.until(verdict).await?
    }

    async fn until<T>(&mut self, found: impl Fn(&Snapshot) -> Option<T>) -> Result<T, Refusal> {
        let wait = async {
            loop {
                let found = found(&self.snapshot.borrow_and_update());
                if let Some(found) = found {
                    return Ok(found);
                }
                self.snapshot.changed().await.map_err(|_| Refusal::Timeout)?;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or(Err(Refusal::Timeout))
    }

    /// Keeps what a manifest has no place for.
    fn keep(&self, id: &str, instead_of: Option<&str>, kept: Kept) -> Result<(), Refusal> {
        let change = |stored: &mut crate::core::Stored| {
            if let Some(before) = instead_of {
                stored.processes.remove(before);
            }
            stored.processes.insert(id.to_owned(), kept);
        };
        self.store.change(change).map_err(|error| unkept(&error))
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self::Refused(vec![error.to_string()])
    }
}

/// The text of a manifest, and the manifest as it is read again: what is written is proven before.
pub fn written(manifest: &RestreamProcess) -> Result<(RestreamProcess, String), Refusal> {
    let text = serde_yaml::to_string(manifest).map_err(|error| Refusal::Refused(vec![error.to_string()]))?;
    let mut reading = read_manifests(&text);
    // The lines are those of a file that the client does not see.
    let reasons = reading.faults.iter().map(|fault| match fault.path.as_str() {
        "" => fault.message.clone(),
        path => format!("{path}: {}", fault.message),
    });
    let reasons: Vec<String> = reasons.collect();
    match reading.manifests.pop() {
        Some(document) if reasons.is_empty() => Ok((document.manifest, text)),
        _ => Err(Refusal::Refused(reasons)),
    }
}

fn file_of(manifest: &RestreamProcess) -> String {
    format!("{}.yaml", manifest.metadata.name.as_deref().unwrap_or_default())
}

fn unwritten(file: &str, error: &std::io::Error) -> Refusal {
    Refusal::Failed(format!("{file} cannot be changed in the manifest directory (CORE_MANIFESTS_DIR): {error}"))
}

fn unkept(error: &std::io::Error) -> Refusal {
    Refusal::Failed(format!("api.json cannot be written (CORE_DB_DIR): {error}"))
}

fn done(id: &str, carried: Carried, unknown: Vec<String>, cores: NonZero<usize>) -> Done {
    let Carried { manifest, kept, without_effect } = carried;
    let config: Config = config_of(id, &manifest, &kept, cores);
    let without_effect: Vec<String> = without_effect.into_iter().chain(unknown).collect();
    for what in &without_effect {
        tracing::warn!(process = id, what, "a client asks for what has no effect");
    }
    Done::Process { config: Box::new(config), without_effect }
}
