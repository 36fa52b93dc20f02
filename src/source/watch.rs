//! The thread that looks at the directory: whenever the system tells of a change, when time is due, and every few
//! seconds anyway, because network file systems and mounts into containers lose events.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::controller::{Change, Problem};
use crate::plan::Values;

use super::directory::{self, Identity};
use super::listing::{Listing, Manifests};
use super::values::ValueFiles;

/// Time between looks that nothing asked for.
const RESCAN: Duration = Duration::from_secs(5);
/// The same, while the system does not tell of changes.
const RESCAN_ALONE: Duration = Duration::from_secs(1);
/// One change is told in several events; they are answered by one look.
const GATHER: Duration = Duration::from_millis(20);

/// Why a directory cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It is not there.
    #[error(
        "the manifest directory {0} does not exist; create it, or name another one (--manifests, CORE_MANIFESTS_DIR)"
    )]
    Missing(PathBuf),
    /// It is something else.
    #[error("{0} is no directory; name a directory of manifests (--manifests, CORE_MANIFESTS_DIR)")]
    NoDirectory(PathBuf),
    /// It cannot be listed.
    #[error(
        "the manifest directory {directory} cannot be listed: {source}; let the user that this program runs as read it"
    )]
    Unreadable {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("the manifest directory cannot be watched: {0}")]
    Thread(io::Error),
}

/// A watched directory. It is watched until this is dropped.
pub struct Watch {
    wake: mpsc::Sender<Wake>,
    ended: CancellationToken,
}

/// The way to a watched directory, for who changes it and knows that a change is whole.
#[derive(Clone)]
pub struct Hand(mpsc::Sender<Wake>);

impl Hand {
    /// Believes what stands in these files, or that they are gone, without waiting whether it stays; returns when it is
    /// told.
    pub async fn believe(&self, names: Vec<String>) {
        let (told, heard) = oneshot::channel();
        // A watch that has ended drops the sender.
        if self.0.send(Wake::Believe(names, told)).is_ok() {
            let _ = heard.await;
        }
    }
}

enum Wake {
    /// Something has changed.
    Changed,
    /// These files are as they shall be; somebody waits until that is told.
    Believe(Vec<String>, oneshot::Sender<()>),
    /// The directory itself is another one now, or none.
    Moved,
    Stop,
}

/// Reads the directory once, tells what stands in it, and tells it again whenever something changes: always as
/// [`Change::Reset`] with every manifest, followed by [`Change::Problems`] with every problem. What manifests take from
/// Secrets and ConfigMaps is read below `secrets`, which need not exist, and told before them as [`Change::Values`].
pub fn watch(directory: PathBuf, secrets: PathBuf, changes: UnboundedSender<Change>) -> Result<Watch, WatchError> {
    let (wake, woken) = mpsc::channel();
    let ended = CancellationToken::new();
    let mut watcher = Watching {
        directory,
        changes,
        wake: wake.clone(),
        listing: Listing::default(),
        values: ValueFiles::new(secrets),
        told: None,
        told_values: Values::default(),
        events: None,
        value_events: None,
        deaf: false,
        _ended: ended.clone().drop_guard(),
    };
    watcher.begin()?;
    let thread = std::thread::Builder::new().name("manifests".into());
    thread.spawn(move || watcher.run(&woken)).map_err(WatchError::Thread)?;
    Ok(Watch { wake, ended })
}

impl Watch {
    /// The way to it.
    pub fn hand(&self) -> Hand {
        Hand(self.wake.clone())
    }

    /// Waits until nothing is watched any more. Without [`Watch::shutdown`] that happens only where nobody takes the
    /// changes, or by an error of this program.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Stops watching; nothing is told after this.
    pub async fn shutdown(self) {
        let ended = self.ended.clone();
        drop(self);
        ended.cancelled().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A thread that has ended needs no word.
        let _ = self.wake.send(Wake::Stop);
    }
}

struct Watching {
    directory: PathBuf,
    changes: UnboundedSender<Change>,
    wake: mpsc::Sender<Wake>,
    listing: Listing,
    values: ValueFiles,
    /// What was told last.
    told: Option<(Manifests, Vec<Problem>)>,
    told_values: Values,
    /// Where the system tells of changes: the watcher and the directory that it watches.
    events: Option<(RecommendedWatcher, Identity)>,
    /// The same for the directory of the values.
    value_events: Option<(RecommendedWatcher, Identity)>,
    /// The system was asked and does not tell; said once.
    deaf: bool,
    _ended: DropGuard,
}

/// Files that are to be believed, and who is to be told.
type Belief = (Vec<String>, oneshot::Sender<()>);

/// Nobody takes the changes any more.
struct Unwanted;

impl Watching {
    fn begin(&mut self) -> Result<(), WatchError> {
        let directory = self.directory.clone();
        match directory.metadata() {
            Ok(metadata) if !metadata.is_dir() => return Err(WatchError::NoDirectory(directory)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(WatchError::Missing(directory)),
            _ => {}
        }
        // Events are asked for before the first look, so that no change falls between the two.
        if let Ok(identity) = directory::identity(&directory) {
            self.listen(identity);
        }
        let (_, looks) = match directory::look(&directory) {
            Ok(seen) => seen,
            Err(source) => return Err(WatchError::Unreadable { directory, source }),
        };
        let now = Instant::now();
        self.listing.handle_look(looks, now);
        self.read(now);
        // The caller still has the other end, and notices by itself if it has not.
        let _ = self.tell();
        Ok(())
    }

    fn run(mut self, woken: &mpsc::Receiver<Wake>) {
        while let Some(beliefs) = self.wait(woken) {
            self.look(&beliefs);
            if self.tell().is_err() {
                return;
            }
            for (_, told) in beliefs {
                // Who asked may have gone.
                let _ = told.send(());
            }
        }
    }

    /// Waits for the next reason to look, and gives what is to be believed then; `None` ends the watch.
    fn wait(&mut self, woken: &mpsc::Receiver<Wake>) -> Option<Vec<Belief>> {
        let rescan = if self.events.is_some() { RESCAN } else { RESCAN_ALONE };
        let deadlines = [self.listing.poll_deadline(), self.values.poll_deadline()];
        let due = deadlines.into_iter().flatten().min().map(|due| due.saturating_duration_since(Instant::now()));
        let mut beliefs = Vec::new();
        let first = match woken.recv_timeout(due.map_or(rescan, |due| due.clamp(GATHER, rescan))) {
            Ok(wake) => wake,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => return Some(beliefs),
        };
        if !matches!(first, Wake::Believe(..)) {
            std::thread::sleep(GATHER);
        }
        for wake in std::iter::once(first).chain(woken.try_iter()) {
            match wake {
                Wake::Stop => return None,
                Wake::Moved => self.events = None,
                Wake::Changed => {}
                Wake::Believe(names, told) => beliefs.push((names, told)),
            }
        }
        Some(beliefs)
    }

    fn look(&mut self, beliefs: &[Belief]) {
        match directory::look(&self.directory) {
            Ok((identity, looks)) => {
                if self.events.as_ref().is_none_or(|(_, watched)| *watched != identity) {
                    self.listen(identity);
                }
                let now = Instant::now();
                self.listing.handle_look(looks, now);
                for name in beliefs.iter().flat_map(|(names, _)| names) {
                    self.listing.believe(name, now);
                }
                self.read(now);
            }
            Err(error) => {
                self.events = None;
                let errors = vec![format!(
                    "the manifest directory cannot be listed: {error}; what it declared keeps running until it is back"
                )];
                self.listing.handle_fault(Problem { origin: self.directory.display().to_string(), errors });
            }
        }
    }

    fn read(&mut self, now: Instant) {
        for (name, look) in self.listing.poll_read(now) {
            // A file that has gone in between is missing at the next look.
            if let Some(text) = directory::read(&self.directory, &name, &look) {
                self.listing.handle_read(&name, look, text, now);
            }
        }
    }

    /// Asks the system to tell of changes; without it the directory is looked at often.
    fn listen(&mut self, identity: Identity) {
        match listen(&self.directory, RecursiveMode::NonRecursive, self.wake.clone()) {
            Ok(watcher) => {
                self.events = Some((watcher, identity));
                self.deaf = false;
            }
            Err(error) => {
                self.events = None;
                if !std::mem::replace(&mut self.deaf, true) {
                    let directory = self.directory.display();
                    tracing::warn!(%error, %directory, "the system tells of no changes; looking every second instead");
                }
            }
        }
    }

    /// Asks the system to tell of changes of the values; without it they are looked at as often as the manifests.
    fn listen_for_values(&mut self) {
        let Some(directory) = self.values.watched() else {
            self.value_events = None;
            return;
        };
        let identity = directory::identity(directory).ok();
        if self.value_events.as_ref().map(|(_, watched)| *watched) != identity {
            let wake = self.wake.clone();
            self.value_events =
                identity.and_then(|identity| Some((listen(directory, RecursiveMode::Recursive, wake).ok()?, identity)));
        }
    }

    /// Tells what is believed, if it is not what was told last.
    fn tell(&mut self) -> Result<(), Unwanted> {
        let (manifests, problems) = (self.listing.manifests(), self.listing.problems());
        self.values.read(manifests.iter().map(|(_, manifest)| manifest.as_ref()), Instant::now());
        self.listen_for_values();
        // What nobody asks for any more is taken back after the manifests that asked for it.
        let values = self.values.values();
        let mut all = self.told_values.clone();
        all.extend(values.clone());
        self.tell_values(all)?;
        self.tell_manifests(manifests, problems)?;
        self.tell_values(values)
    }

    fn tell_values(&mut self, values: Values) -> Result<(), Unwanted> {
        if self.told_values != values {
            self.changes.send(Change::Values(values.clone())).map_err(|_| Unwanted)?;
            self.told_values = values;
        }
        Ok(())
    }

    fn tell_manifests(&mut self, manifests: Manifests, problems: Vec<Problem>) -> Result<(), Unwanted> {
        if self.told.as_ref().is_some_and(|told| told.0 == manifests && told.1 == problems) {
            return Ok(());
        }
        self.changes.send(Change::Reset(manifests.clone())).map_err(|_| Unwanted)?;
        self.changes.send(Change::Problems(problems.clone())).map_err(|_| Unwanted)?;
        self.told = Some((manifests, problems));
        Ok(())
    }
}

fn listen(directory: &Path, mode: RecursiveMode, wake: mpsc::Sender<Wake>) -> notify::Result<RecommendedWatcher> {
    let watched = directory.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let reason = match &event {
            // Looking at the directory is an access, and would wake itself.
            Ok(event) if event.kind.is_access() => return,
            Ok(event) if event.paths.contains(&watched) => Wake::Moved,
            _ => Wake::Changed,
        };
        // A thread that has ended needs no word.
        let _ = wake.send(reason);
    })?;
    watcher.watch(directory, mode)?;
    Ok(watcher)
}
