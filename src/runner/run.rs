//! The task of one process: performs what its machine decides.

use std::future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::Event;
use super::child::{Child, Seen};
use super::containment;
use super::legs::{Legs, Verdict};
use super::skills::{self, Known};
use super::sockets::Sockets;
use super::spawner::{Purpose, Spawner};
use super::streams::{describe, named};
use super::usage::Sampler;
use crate::plan::{self, EgressPorts, FrameOrder, Io, Key, Plan, Probe, Report, Secret};
use crate::process::{
    self, Action, Backoff, Cause, End, Heard, JsonStats, Limits, Machine, Now, Policy, ProgressReport, Redactor,
    Stalled, Stalls, Streams,
};

/// What a task is told.
#[derive(Debug)]
pub enum Control {
    /// Go on with this plan.
    Replace(Arc<Plan>, Option<EgressPorts>),
    /// Go on with this plan, which tells FFmpeg the same.
    Configure(Arc<Plan>),
    /// Start FFmpeg where it does not run.
    Begin,
    /// Stop FFmpeg where it runs, and start it.
    Restart,
    /// Frames of the picture's leg came out of order.
    Reordered,
    /// Stop, and end.
    Stop,
}

/// What all tasks have in common.
#[derive(Debug)]
pub struct Surroundings {
    /// Starts FFmpeg.
    pub spawner: Arc<Spawner>,
    /// What FFmpeg can do.
    pub skills: Arc<watch::Sender<Known>>,
    /// The connections of all children.
    pub sockets: Arc<Sockets>,
    /// Where what was seen is told.
    pub events: UnboundedSender<(Key, Event)>,
}

/// One process.
#[derive(Debug)]
pub struct Task {
    surroundings: Surroundings,
    plan: Arc<Plan>,
    ports: Option<EgressPorts>,
    /// What holds from the next start on.
    next: Option<(Arc<Plan>, Option<EgressPorts>)>,
    machine: Machine,
    legs: Legs,
    child: Option<Watched>,
    is_stopping: bool,
    log_lines: usize,
    redactor: Redactor,
    streams: Streams,
    json: JsonStats,
}

/// A child and the readers of what it writes.
#[derive(Debug)]
struct Watched {
    child: Child,
    sampler: Sampler,
    /// When it is looked at again.
    sample_at: Instant,
    stalls: Stalls,
    /// When its connections are looked at again; `None` where its outputs go to no server over TCP.
    connections_at: Option<Instant>,
    report: Report,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Run(ProgressReport),
    Probe(Probe, FrameOrder),
}

impl Task {
    /// A process that is to be started at once.
    pub fn new(surroundings: Surroundings, plan: Arc<Plan>, ports: Option<EgressPorts>, log_lines: usize) -> Self {
        let policy = policy(&plan, log_lines);
        let redactor = policy.redactor.clone();
        Self {
            surroundings,
            plan,
            ports,
            next: None,
            machine: Machine::new(now(), policy),
            legs: Legs::default(),
            child: None,
            is_stopping: false,
            log_lines,
            redactor,
            streams: Streams::default(),
            json: JsonStats::default(),
        }
    }

    /// Runs until it is told to stop and nothing is left of FFmpeg.
    pub async fn run(mut self, mut controls: UnboundedReceiver<Control>) {
        loop {
            while let Some(action) = self.machine.poll_action() {
                self.perform(action).await;
            }
            self.tell();
            if self.machine.is_over() {
                return;
            }
            let timeout = self.machine.poll_timeout();
            let sample_at = self.child.as_ref().map(|watched| watched.sample_at);
            tokio::select! {
                control = controls.recv(), if !self.is_stopping => self.handle_control(control.unwrap_or(Control::Stop)),
                seen = next(&mut self.child) => self.handle_seen(seen),
                () = until(timeout) => self.machine.handle_timeout(now()),
                () = until(sample_at) => self.sample(),
            }
        }
    }

    /// Passes on what the machine tells.
    fn tell(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            let has_figures = matches!(event, process::Event::Progress(_));
            self.send(Event::Run(event));
            if has_figures && self.streams != Streams::default() {
                self.send(Event::Streams(Arc::new(self.streams.clone())));
            }
        }
    }

    fn send(&self, event: Event) {
        // Nobody listens any more when the program ends.
        let _ = self.surroundings.events.send((self.plan.key.clone(), event));
    }

    fn handle_control(&mut self, control: Control) {
        match control {
            Control::Replace(plan, ports) => {
                self.machine.handle_replace(now(), policy(&plan, self.log_lines));
                self.next = Some((plan, ports));
            }
            Control::Configure(plan) => {
                self.machine.handle_configure(now(), policy(&plan, self.log_lines));
                match &mut self.next {
                    Some((next, _)) => *next = plan,
                    None => self.plan = plan,
                }
            }
            Control::Begin => self.machine.handle_start_request(now()),
            Control::Restart => self.machine.handle_restart(now()),
            Control::Reordered => {
                self.legs.handle_reordered();
                self.judge();
            }
            Control::Stop => {
                self.is_stopping = true;
                self.machine.handle_stop(now());
            }
        }
    }

    async fn perform(&mut self, action: Action) {
        match (action, &self.child) {
            (Action::Start, _) => self.start().await,
            (Action::Interrupt, Some(watched)) => watched.child.signal(Signal::INT),
            (Action::Kill, Some(watched)) => watched.child.signal(Signal::KILL),
            // It ended in the meantime.
            (Action::Interrupt | Action::Kill, None) => {}
        }
    }

    async fn start(&mut self) {
        if let Some((plan, ports)) = self.next.take() {
            if !self.plan.has_same_inputs(&plan) {
                self.legs.forget();
            }
            (self.plan, self.ports) = (plan, ports);
            self.redactor = policy(&self.plan, self.log_lines).redactor;
        }
        (self.streams, self.json) = (Streams::default(), JsonStats::default());
        let probe = self.ports.and_then(|_| self.legs.probe(&self.plan));
        let (purpose, arguments, legs) = match &probe {
            Some(probe) => (Purpose::Probe, probe.argv.clone(), Vec::new()),
            None => {
                let (arguments, legs) = self.arguments();
                (Purpose::Run, arguments, legs)
            }
        };
        if purpose == Purpose::Run
            && let Err(message) = contain(self.plan.clone(), self.surroundings.spawner.directory().to_owned()).await
        {
            return self.machine.handle_start_failed(now(), &message);
        }
        let lacks = skills::lacks(&self.surroundings.skills, &self.plan, &legs).await;
        if !lacks.is_empty() {
            let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
            return self.machine.handle_start_refused(now(), Cause::Unsupported, &lacks.join("; "));
        }
        let spawned = self.surroundings.spawner.spawn(purpose, arguments).await;
        let child = spawned.map_err(|error| error.to_string()).and_then(|spawned| {
            Child::new(spawned).map_err(|error| format!("FFmpeg was started and cannot be watched: {error}"))
        });
        let child = match child {
            Ok(child) => child,
            Err(message) => return self.machine.handle_start_failed(now(), &message),
        };
        let kind = match probe {
            Some(probe) => {
                self.machine.handle_probing(now());
                Kind::Probe(probe, FrameOrder::default())
            }
            None => {
                self.machine.handle_started(now(), child.pid());
                Kind::Run(ProgressReport::default())
            }
        };
        let sampler = Sampler::new(child.pid());
        let sample_at = Instant::now() + Sampler::INTERVAL;
        let has_servers = matches!(kind, Kind::Run(_)) && self.plan.sends_by_tcp();
        let connections_at = has_servers.then(|| Instant::now() + Sockets::INTERVAL);
        let (stalls, report) = (Stalls::default(), Report::default());
        self.child = Some(Watched { child, sampler, sample_at, stalls, connections_at, report, kind });
    }

    /// What FFmpeg is started with, and what of that its legs are; tells what they will do.
    fn arguments(&mut self) -> (Vec<Secret>, Vec<Secret>) {
        let legs = self.arguments_of_legs();
        self.tell();
        let arguments = [self.plan.argv(None), legs.clone()].concat();
        let shown = self.redactor.redact_arguments(arguments.iter().map(Secret::expose));
        self.send(Event::Command(Arc::new(shown)));
        (arguments, legs)
    }

    fn arguments_of_legs(&mut self) -> Vec<Secret> {
        let Some(ports) = self.ports else {
            self.legs.begin_without();
            return Vec::new();
        };
        let choice = self.legs.begin(Instant::now(), &self.plan);
        if let Some(choice) = &choice {
            self.tell();
            self.send(Event::Legs(choice.clone()));
        }
        choice.as_ref().map(|choice| self.plan.legs(choice, ports)).unwrap_or_default()
    }

    fn handle_seen(&mut self, seen: Seen) {
        let Some(watched) = &mut self.child else { return };
        match (seen, &mut watched.kind) {
            (Seen::Log(lines), _) => lines.iter().for_each(|line| self.handle_log(line)),
            (Seen::Output(lines), Kind::Run(progress)) => {
                for line in &lines {
                    if let Some(figures) = progress.handle_line(line) {
                        self.streams.handle_block(&figures, progress.qualities());
                        self.machine.handle_progress(now(), &figures);
                    }
                }
            }
            (Seen::Output(lines), Kind::Probe(_, order)) => lines.iter().for_each(|line| order.handle_line(line)),
            (Seen::Report(lines), kind) => {
                let known = watched.report.inventory().known.len();
                let details = watched.report.details().clone();
                lines.iter().for_each(|line| watched.report.handle_line(line));
                if let (Kind::Run(_), false) = (kind, lines.is_empty()) {
                    if *watched.report.details() != details {
                        self.streams = describe(watched.report.details(), &self.plan, &self.redactor, &self.streams);
                        let streams = Event::Streams(Arc::new(self.streams.clone()));
                        let _ = self.surroundings.events.send((self.plan.key.clone(), streams));
                    }
                    self.machine.handle_open_inputs(now(), watched.report.open_inputs());
                    if watched.report.inventory().known.len() > known {
                        self.judge();
                    }
                }
            }
            (Seen::Ended(end), _) => self.handle_ended(end),
        }
    }

    fn handle_log(&mut self, line: &str) {
        match self.json.handle_line(line) {
            None => self.machine.handle_log(now(), line),
            Some(Heard::Nothing) => {}
            Some(Heard::Streams) => self.streams = named(self.json.streams(), &self.plan, &self.redactor),
            Some(Heard::Progress(figures)) => {
                self.streams = named(self.json.streams(), &self.plan, &self.redactor);
                self.machine.handle_progress(now(), &figures);
            }
        }
    }

    /// Looks at what FFmpeg uses.
    fn sample(&mut self) {
        let Some(watched) = &mut self.child else { return };
        watched.sample_at = Instant::now() + Sampler::INTERVAL;
        if let (Kind::Run(_), Some(usage)) = (&watched.kind, watched.sampler.sample()) {
            self.machine.handle_usage(now(), usage);
        }
        self.look_at_connections();
    }

    /// Finds out which servers take nothing.
    fn look_at_connections(&mut self) {
        let Some(watched) = &mut self.child else { return };
        let now = Instant::now();
        if watched.connections_at.is_none_or(|at| at > now) {
            return;
        }
        watched.connections_at = Some(now + Sockets::INTERVAL);
        let connections = self.surroundings.sockets.of(watched.child.pid());
        let stalled = |peer: &SocketAddr| {
            let outputs: Vec<String> = self.plan.outputs_to(*peer).into_iter().map(str::to_owned).collect();
            (!outputs.is_empty()).then_some(Stalled { peer: *peer, outputs })
        };
        if let Some(peers) = watched.stalls.handle(now, &connections) {
            let stalled = peers.iter().filter_map(stalled).collect();
            self.send(Event::Stalled(stalled));
        }
    }

    fn handle_ended(&mut self, end: End) {
        if let Some(watched) = &mut self.child
            && end.code.is_some()
        {
            watched.report.handle_end();
        }
        self.judge();
        match self.child.take() {
            Some(Watched { kind: Kind::Probe(probe, order), mut report, .. }) => {
                report.handle_order(&order);
                let seen = report.inventory().renumbered(&probe.inputs);
                let is_complete = probe.inputs.iter().all(|input| seen.known.contains(input));
                self.legs.handle_seen(&seen);
                self.machine.handle_probe_ended(now(), end, is_complete);
            }
            _ => self.machine.handle_ended(now(), end),
        }
    }

    /// Learns from the run what its inputs have, and corrects the legs where they contradict it.
    fn judge(&mut self) {
        let Some(Watched { report, kind: Kind::Run(_), .. }) = &self.child else { return };
        self.legs.handle_seen(report.inventory());
        if report.inventory().known.len() < self.plan.inputs.len() {
            return;
        }
        match self.legs.judge(Instant::now(), &self.plan) {
            Verdict::Keep => {}
            Verdict::Explain(choice) => {
                self.tell();
                self.send(Event::Legs(choice));
            }
            Verdict::Correct => self.machine.handle_correction(now()),
        }
    }
}

/// Symbolic links are followed where a network file system may take its time.
async fn contain(plan: Arc<Plan>, directory: PathBuf) -> Result<(), String> {
    let look = move || containment::check(&plan, &directory);
    tokio::task::spawn_blocking(look).await.map_err(|error| format!("the outputs could not be looked at: {error}"))?
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Now { instant: Instant::now(), unix }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => future::pending().await,
    }
}

async fn next(watched: &mut Option<Watched>) -> Seen {
    match watched {
        Some(watched) => watched.child.next().await,
        None => future::pending().await,
    }
}

fn policy(plan: &Plan, log_lines: usize) -> Policy {
    let plan::Limits { cpu_percent, memory_bytes, wait } = plan.limits;
    Policy {
        reconnect: plan.reconnect,
        backoff: plan.restart.map(|plan::Restart { factor, maximum }| Backoff { factor, maximum }),
        stale: plan.stale,
        limits: Limits { cpu_percent: cpu_percent.map(f64::from), memory_bytes, wait },
        log_lines,
        listens: plan.inputs.iter().map(Io::listens).collect(),
        redactor: redactor(plan),
    }
}

/// Takes out what a plan says of credentials.
pub fn redactor(plan: &Plan) -> Redactor {
    let of = |io: &Io| io.options.iter().chain([&io.address]).cloned().collect::<Vec<_>>();
    let inputs = plan.inputs.iter().flat_map(of);
    let outputs: Vec<Secret> = plan.outputs.iter().flat_map(of).collect();
    let legs = plan.egress.iter().flat_map(|egress| egress.video_options.iter().chain(&egress.audio_options)).cloned();
    let arguments: Vec<Secret> = plan.options.iter().cloned().chain(inputs).chain(outputs).chain(legs).collect();
    let addresses = plan.outputs.iter().map(|output| output.address.expose());
    Redactor::new(arguments.iter().map(Secret::expose), addresses).with(plan.secrets.iter().map(Secret::expose))
}
