//! FFmpeg as a child: spawn, process group, signals, reaping, standard streams, probe.
//!
//! This room does what the [`process::Machine`] decides, and never decides itself. Each process has a task of its own;
//! the tasks share nothing but the one thread that forks.

mod child;
mod containment;
mod legs;
mod look;
mod run;
mod skills;
mod sockets;
mod spawner;
mod streams;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::plan::{EgressPorts, Key, LegChoice, Plan, skills::Skills};
use crate::process;

pub use skills::{AskError, Known};

use run::{Control, Surroundings, Task};
use sockets::Sockets;
use spawner::Spawner;

/// How FFmpeg is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A path, or a name that is looked for in `PATH`. A script in its place has to become FFmpeg (`exec`), or FFmpeg
    /// would outlive a killed program.
    pub ffmpeg: PathBuf,
    /// Its working directory, which relative paths in manifests start from.
    pub directory: PathBuf,
    /// Its whole environment: nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// Lines of FFmpeg's log that the report of a run holds.
    pub log_lines: usize,
}

/// What was seen of one process's run.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step in the life of FFmpeg.
    Run(process::Event),
    /// What the egress legs of the run that begins do, and why.
    Legs(LegChoice),
    /// FFmpeg is started with these arguments, redacted, besides those for this program's own purposes.
    Command(Arc<Vec<String>>),
    /// The streams of the run, or their figures, are others.
    Streams(Arc<process::Streams>),
    /// These servers have taken nothing of what FFmpeg writes for some time; none where they take it again.
    Stalled(Vec<process::Stalled>),
}

/// Why there can be no runner.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system gives no handle on processes.
    #[error("this system cannot watch child processes ({0}); Linux 5.3 or later is needed")]
    Watch(std::io::Error),
    /// The operating system gives no thread.
    #[error("the thread that starts FFmpeg cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Starts processes. No FFmpeg outlives the program, however that ends.
#[derive(Clone, Debug)]
pub struct Runner {
    spawner: Arc<Spawner>,
    skills: Arc<watch::Sender<Known>>,
    sockets: Arc<Sockets>,
    log_lines: usize,
    events: UnboundedSender<(Key, Event)>,
}

/// One process that is kept running. Dropped, it is stopped like [`Run::stop`] does, and nobody waits for it.
#[derive(Debug)]
pub struct Run {
    controls: UnboundedSender<Control>,
    task: JoinHandle<()>,
}

impl Runner {
    /// A runner that tells of its processes by `events`.
    pub fn new(settings: Settings, events: UnboundedSender<(Key, Event)>) -> Result<Self, StartError> {
        let log_lines = settings.log_lines;
        Ok(Self {
            spawner: Arc::new(Spawner::new(settings)?),
            skills: Arc::default(),
            sockets: Arc::default(),
            log_lines,
            events,
        })
    }

    /// Asks FFmpeg what it can do, whether anybody waits for the answer or not; also again, as FFmpeg may be another one
    /// by now. No process is started between the first question and its answer, and none that needs what FFmpeg lacks
    /// after it. Must be called within a tokio runtime.
    pub fn load_skills(&self) -> JoinHandle<Result<Arc<Skills>, AskError>> {
        self.skills.send_if_modified(|known| {
            let is_first = matches!(known, Known::NotAsked);
            if is_first {
                *known = Known::Asked;
            }
            is_first
        });
        tokio::spawn(skills::load(self.spawner.clone(), self.skills.clone()))
    }

    /// What is known of FFmpeg's skills, now and whenever that changes.
    pub fn skills(&self) -> watch::Receiver<Known> {
        self.skills.subscribe()
    }

    /// Looks at the inputs of a plan, for 20 s at most. One that listens shows streams only if somebody publishes to it
    /// in that time. Dropped, it ends the FFmpeg that looks.
    pub async fn probe(&self, plan: &Plan) -> process::Probed {
        look::probe(&self.spawner, plan).await
    }

    /// Keeps the process running, with its egress legs where they were opened. Must be called within a tokio runtime.
    pub fn start(&self, plan: Arc<Plan>, ports: Option<EgressPorts>) -> Run {
        let (controls, inbox) = unbounded_channel();
        let surroundings = Surroundings {
            spawner: self.spawner.clone(),
            skills: self.skills.clone(),
            sockets: self.sockets.clone(),
            events: self.events.clone(),
        };
        let task = Task::new(surroundings, plan, ports, self.log_lines);
        Run { controls, task: tokio::spawn(task.run(inbox)) }
    }
}

impl Run {
    /// Stops FFmpeg and starts it with this plan at once. What is known of the inputs is kept where both plans read the
    /// same ones.
    pub fn replace(&self, plan: Arc<Plan>, ports: Option<EgressPorts>) {
        self.tell(Control::Replace(plan, ports));
    }

    /// Goes on with this plan, which tells FFmpeg the same ([`Plan::runs_the_same_as`]): FFmpeg is not started again,
    /// and delays and timeouts hold from now on.
    pub fn configure(&self, plan: Arc<Plan>) {
        self.tell(Control::Configure(plan));
    }

    /// Starts FFmpeg at once where it does not run.
    pub fn begin(&self) {
        self.tell(Control::Begin);
    }

    /// Stops FFmpeg where it runs, and starts it at once.
    pub fn restart(&self) {
        self.tell(Control::Restart);
    }

    /// Frames of the picture's leg came out of order: its stream has B-frames, which browsers cannot play.
    pub fn note_reordered(&self) {
        self.tell(Control::Reordered);
    }

    /// Stops FFmpeg: SIGINT, and SIGKILL after five seconds. Returns when nothing is left of it.
    pub async fn stop(self) {
        self.tell(Control::Stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task of a process ended early");
        }
    }

    fn tell(&self, control: Control) {
        // A task that has ended has nothing to be told.
        let _ = self.controls.send(control);
    }
}
