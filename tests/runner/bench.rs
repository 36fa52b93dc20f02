//! What the tests share: a runner in a directory of its own, and the events that it tells.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dragonfork::crd;
use dragonfork::plan::{Egress, Io, Key, Limits, Plan, Secret};
use dragonfork::process::{self, Exit, LogLine, Progress};
use dragonfork::runner::{Event, Run, Runner, Settings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::fake;

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Bench {
    pub directory: TempDir,
    pub runner: Runner,
    events: UnboundedReceiver<(Key, Event)>,
    /// The newest log.
    log: Arc<Vec<LogLine>>,
}

impl Bench {
    /// A runner of the real FFmpeg.
    pub fn new() -> Self {
        Self::with("ffmpeg".into(), tempfile::tempdir().expect("a directory"))
    }

    /// A runner whose FFmpeg is this shell script.
    pub fn with_script(body: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let text = directory.path().join("text");
        let script = directory.path().join("ffmpeg.sh");
        std::fs::write(&text, format!("#!/bin/sh\n{body}\n")).expect("written");
        // Copied by another program: what a thread of this one holds open for writing while another thread forks cannot
        // be executed.
        run("install", &["-m", "755", &text.display().to_string(), &script.display().to_string()]);
        Self::with(script, directory)
    }

    /// A runner of the stand-in for FFmpeg.
    pub fn with_fake() -> Self {
        Self::with(fake::ffmpeg().into(), tempfile::tempdir().expect("a directory"))
    }

    pub fn with(ffmpeg: PathBuf, directory: TempDir) -> Self {
        let environment = vec![(OsString::from("ONLY"), OsString::from("this one"))];
        let settings = Settings { ffmpeg, directory: directory.path().to_owned(), environment, log_lines: 50 };
        let (sender, events) = unbounded_channel();
        Self { directory, runner: Runner::new(settings, sender).expect("it starts"), events, log: Arc::default() }
    }

    pub fn start(&self, plan: Plan) -> Run {
        self.runner.start(Arc::new(plan), None)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The content of a file that a stand-in writes, once it ends with a line end.
    pub async fn written(&self, name: &str) -> String {
        let path = self.path(name);
        let read = || std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
        until(|| read().is_some()).await;
        read().expect("it is there")
    }

    /// The next step in the life of a process.
    pub async fn next(&mut self) -> Event {
        loop {
            let event = self.next_of_any().await;
            if is_step(&event) {
                return event;
            }
        }
    }

    /// The next thing that is told.
    async fn next_of_any(&mut self) -> Event {
        let (_, event) = self.events.recv().await.expect("the runner runs");
        if let Event::Run(process::Event::Log(log)) = &event {
            self.log = log.clone();
        }
        event
    }

    /// The next event of a kind; those before it are dropped.
    pub async fn wait<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> T {
        let mut others = Vec::new();
        let search = async {
            loop {
                let event = self.next_of_any().await;
                match pick(&event) {
                    Some(picked) => return picked,
                    None => others.push(event),
                }
            }
        };
        match timeout(PATIENCE, search).await {
            Ok(picked) => picked,
            Err(_) => panic!("the event does not come, but {others:#?}"),
        }
    }

    pub async fn started(&mut self) -> u32 {
        self.wait(|event| match event {
            Event::Run(process::Event::Started(pid)) => Some(*pid),
            _ => None,
        })
        .await
    }

    pub async fn waiting(&mut self) {
        self.wait(|event| matches!(event, Event::Run(process::Event::Waiting)).then_some(())).await;
    }

    pub async fn progress(&mut self) -> Progress {
        self.wait(|event| match event {
            Event::Run(process::Event::Progress(progress)) => Some(*progress),
            _ => None,
        })
        .await
    }

    pub async fn ended(&mut self) -> (Exit, Option<Duration>) {
        self.wait(|event| match event {
            Event::Run(process::Event::Ended { exit, restart_in }) => Some((exit.clone(), *restart_in)),
            _ => None,
        })
        .await
    }

    /// The log once it has a line for which this holds.
    pub async fn log(&mut self, wanted: impl Fn(&str) -> bool) -> Arc<Vec<LogLine>> {
        if !self.log.iter().any(|line| wanted(&line.line)) {
            self.wait(|event| match event {
                Event::Run(process::Event::Log(log)) => log.iter().any(|line| wanted(&line.line)).then_some(()),
                _ => None,
            })
            .await;
        }
        self.log.clone()
    }

    /// Every step in the life of processes that was told and is not taken yet.
    pub fn rest(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).map(|(_, event)| event).filter(is_step).collect()
    }
}

/// Whether it is more than what goes along with the life of a process.
fn is_step(event: &Event) -> bool {
    use process::Event::{Ending, Report, Usage};
    !matches!(event, Event::Command(_) | Event::Streams(_) | Event::Run(Ending | Report(_) | Usage(_)))
}

/// A process without inputs and outputs, which starts again after a short while.
pub fn plan() -> Plan {
    Plan {
        key: Key::new("cam"),
        reference: None,
        suspended: false,
        options: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        reconnect: Some(Duration::from_secs(1)),
        stale: None,
        restart: None,
        limits: Limits::default(),
        egress: None,
        cleanup: Vec::new(),
        secrets: Vec::new(),
    }
}

/// A process whose FFmpeg is the stand-in, which does this.
pub fn fake(words: &str) -> Plan {
    Plan { inputs: vec![io("in", &format!("fake:{words}"))], ..plan() }
}

pub fn secrets<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Secret> {
    texts.into_iter().map(Secret::new).collect()
}

/// An input or output: options and, as the last word, the address.
pub fn io(id: &str, words: &str) -> Io {
    let mut options = secrets(words.split_whitespace());
    let address = options.pop().expect("an address");
    Io { id: id.into(), address, options, files: Vec::new() }
}

pub fn egress() -> Option<Egress> {
    Some(Egress {
        video: crd::Video::default(),
        audio: crd::Audio::default(),
        video_options: Vec::new(),
        audio_options: Vec::new(),
        max_viewers: None,
    })
}

/// Runs a program to its end.
pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until something holds.
pub async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it comes to hold");
}

/// Sends a signal to a process that runs.
pub fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().expect("a process id")).expect("a process id");
    kill_process(pid, signal).expect("it runs");
}

/// Whether there is such a process, be it a zombie.
pub fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether such a process runs.
pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
