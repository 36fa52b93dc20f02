//! One process: what is wanted of it and what was seen of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::conditions;
use super::machine::Playback;
use super::{Live, Order, Origin, Process, Reports, Seen, Step};
use crate::crd::{LastExit, LegStatus, Progress, RestreamProcess, RestreamProcessStatus, State, WebRtcStatus};
use crate::plan::{self, Key, Leg, LegAction, LegChoice, Missing, Obstacle, Plan};
use crate::process::{self, Cause, Exit, LogLine};

/// One process.
pub struct Entry {
    /// Where its manifest stands.
    pub origin: Origin,
    /// The manifest as it is now.
    pub manifest: Arc<RestreamProcess>,
    /// Why the manifest as it is now cannot be used; empty where it is.
    pub refused: Vec<String>,
    /// What the manifest as it is now refers to and what is not there.
    pub missing: Vec<Missing>,
    /// The plan that runs; `None` while nothing is to run.
    pub plan: Option<Arc<Plan>>,
    /// The newest proven plan, running or suspended.
    pub proven: Option<Arc<Plan>>,
    /// It has to wait, because it writes files and the disk directory is full.
    pub is_held: bool,
    /// What was seen.
    pub seen: Observed,
    conditions: Vec<Condition>,
    log: Arc<Vec<LogLine>>,
    live: Live,
    reports: Reports,
    ends: BTreeMap<Cause, u64>,
    created_at: Timestamp,
    updated_at: Timestamp,
    state_since: Timestamp,
}

/// What was seen of a process since its plan was started.
#[derive(Default)]
pub struct Observed {
    /// Where it is in its life.
    pub state: State,
    /// How often FFmpeg was started, or should have been: a start that fails at the probe or at once counts too.
    pub starts: i32,
    /// The newest start has not come to its end.
    is_begun: bool,
    /// How the last run ended, and the seconds until the next start.
    pub exit: Option<(Exit, Option<u64>)>,
    /// The run's figures.
    pub progress: Option<process::Progress>,
    /// Servers that take nothing.
    pub stalled: Vec<process::Stalled>,
    /// What the legs do.
    pub legs: Option<LegChoice>,
    /// Why the legs could not be opened.
    pub egress_failed: Option<String>,
    /// Picture and sound arrive at the gateway.
    pub media: (bool, bool),
    /// Viewers at this moment.
    pub viewers: usize,
}

impl Observed {
    /// Counts a start once, whether it is seen at its probe or at FFmpeg itself.
    fn begin(&mut self) {
        self.starts += i32::from(!self.is_begun);
        self.is_begun = true;
    }
}

impl Entry {
    /// A process of which nothing was seen yet.
    pub fn new(origin: Origin, manifest: Arc<RestreamProcess>, now: Timestamp) -> Self {
        Self {
            origin,
            manifest,
            refused: Vec::new(),
            missing: Vec::new(),
            plan: None,
            proven: None,
            is_held: false,
            seen: Observed::default(),
            conditions: Vec::new(),
            log: Arc::default(),
            live: Live::new(unix(now)),
            reports: Reports::default(),
            ends: BTreeMap::new(),
            created_at: now,
            updated_at: now,
            state_since: now,
        }
    }

    /// Takes a changed manifest.
    pub fn handle_manifest(&mut self, manifest: Arc<RestreamProcess>, now: Timestamp) {
        self.manifest = manifest;
        self.updated_at = now;
    }

    /// Takes a proven plan; the step that it needs, if any.
    pub fn handle_plan(&mut self, plan: Arc<Plan>, now: Timestamp) -> Option<Step> {
        self.refused.clear();
        self.missing.clear();
        self.proven = Some(plan.clone());
        let before = self.plan.take();
        if plan.suspended {
            return self.suspend(before.as_ref(), now);
        }
        self.plan = Some(plan.clone());
        match before {
            Some(before) if before == plan => None,
            Some(before) if before.runs_the_same_as(&plan) => Some(Step::Configure(plan)),
            Some(before) => {
                let exit = self.seen.exit.take();
                let (viewers, media) = (self.seen.viewers, self.seen.media);
                self.seen = Observed { exit, ..Observed::default() };
                if before.egress.is_some() && plan.egress.is_some() {
                    // Legs and viewers stay, and what is known of them is told only when it changes.
                    (self.seen.viewers, self.seen.media) = (viewers, media);
                }
                self.set_state(State::Starting, now);
                Some(Step::Replace(plan))
            }
            None => {
                self.seen = Observed::default();
                self.set_state(State::Starting, now);
                Some(Step::Start(plan))
            }
        }
    }

    /// Whether FFmpeg would write files below this folder if it ran.
    pub fn wants_to_write_below(&self, folder: &str) -> bool {
        self.proven.as_ref().is_some_and(|plan| !plan.suspended && plan.writes_below(folder))
    }

    /// Has it wait; the step for that, where it runs.
    pub fn hold(&mut self, now: Timestamp) -> Option<Step> {
        self.is_held = true;
        let before = self.plan.take();
        self.suspend(before.as_ref(), now)
    }

    /// Takes why there is no plan; the step that it needs, if any. What the last good version started goes on.
    pub fn handle_obstacle(&mut self, key: &Key, obstacle: Obstacle, now: Timestamp) -> Option<Step> {
        let (refused, missing) = match obstacle {
            Obstacle::Refused(refused) => (refused, Vec::new()),
            Obstacle::Missing(missing) => (Vec::new(), missing),
        };
        for reason in refused.iter().filter(|reason| !self.refused.contains(reason)) {
            tracing::warn!(process = %key, origin = self.origin.0, reason, "manifest refused");
        }
        for missing in missing.iter().filter(|missing| !self.missing.contains(missing)) {
            tracing::info!(process = %key, origin = self.origin.0, reason = missing.message, "waiting for what is missing");
        }
        let is_right = refused.is_empty();
        (self.refused, self.missing) = (refused, missing);
        if is_right && self.manifest.spec.suspend {
            self.proven = None;
            let before = self.plan.take();
            return self.suspend(before.as_ref(), now);
        }
        if is_right && self.plan.is_none() {
            self.set_state(State::Pending, now);
        }
        None
    }

    /// Whether it depends on what other manifests and Secrets hold.
    pub fn refers(&self) -> bool {
        plan::refers(&self.manifest) || !self.missing.is_empty()
    }

    fn suspend(&mut self, before: Option<&Arc<Plan>>, now: Timestamp) -> Option<Step> {
        self.seen = Observed { exit: self.seen.exit.take(), ..Observed::default() };
        self.set_state(State::Suspended, now);
        before.map(|before| Step::Stop(before.key.clone()))
    }

    /// It need not wait any longer; the step for that, where it is to run.
    pub fn let_go(&mut self, now: Timestamp) -> Option<Step> {
        self.is_held = false;
        let plan = self.proven.clone().filter(|plan| !plan.suspended)?;
        self.plan = Some(plan.clone());
        self.seen = Observed::default();
        self.set_state(State::Starting, now);
        Some(Step::Start(plan))
    }

    /// Of a suspended process nothing waits for its next start.
    fn order(&self) -> Order {
        if self.manifest.spec.suspend { Order::Stop } else { Order::Start }
    }

    /// Takes what was seen; of runs that are over so many reports are kept. What still comes of a run that is over,
    /// because nothing is to run, changes no state.
    pub fn handle_seen(&mut self, seen: Seen, now: Timestamp, history: usize) {
        match seen {
            Seen::Run(event) => {
                self.live.handle_run(&event, unix(now));
                self.reports.handle_run(&event, unix(now), history);
                self.handle_run(event, now);
            }
            Seen::Command(arguments) => self.live.command = arguments,
            Seen::Streams(streams) => self.live.streams = streams,
            Seen::Stalled(stalled) => self.seen.stalled = stalled,
            Seen::Legs(legs) => self.seen.legs = Some(legs),
            Seen::EgressFailed(reason) => self.seen.egress_failed = Some(reason),
            Seen::Media { video, audio } => self.seen.media = (video, audio),
            Seen::Viewers(viewers) => self.seen.viewers = viewers,
        }
    }

    fn handle_run(&mut self, event: process::Event, now: Timestamp) {
        use process::Event;
        if let Event::Log(lines) = event {
            self.log = lines;
            return;
        }
        if let Event::Ended { exit, .. } = &event {
            *self.ends.entry(exit.cause).or_default() += 1;
        }
        if self.plan.is_none() {
            return;
        }
        match event {
            Event::Log(_) | Event::Report(_) | Event::Usage(_) | Event::Ending => {}
            Event::Probing => {
                self.seen.begin();
                self.set_state(State::Starting, now);
            }
            Event::Started(_) => {
                self.seen.begin();
                self.seen.progress = None;
                self.set_state(State::Starting, now);
            }
            Event::Waiting => self.set_state(State::Waiting, now),
            Event::Progress(progress) => {
                self.seen.progress = Some(progress);
                self.set_state(State::Running, now);
            }
            Event::Ended { exit, restart_in } => {
                // A run that was told to stop makes room for what is wanted now.
                if exit.cause != Cause::Stopped {
                    self.set_state(after(&exit, restart_in.is_some()), now);
                }
                if exit.cause.is_no_start() {
                    self.seen.begin();
                }
                self.seen.is_begun = false;
                (self.seen.progress, self.seen.stalled) = (None, Vec::new());
                self.seen.exit = Some((exit, restart_in.map(|delay| delay.as_secs())));
            }
        }
    }

    fn set_state(&mut self, state: State, now: Timestamp) {
        if self.seen.state != state {
            self.seen.state = state;
            self.state_since = now;
        }
    }

    /// What is shown of it.
    pub fn show(&mut self, key: &Key, playback: &Playback, now: Timestamp) -> Process {
        let wanted = conditions::of(self, playback);
        conditions::bring(&mut self.conditions, wanted, self.manifest.metadata.generation, now);
        Process {
            key: key.clone(),
            origin: self.origin.clone(),
            manifest: self.manifest.clone(),
            refused: self.refused.clone(),
            status: self.status(key, playback),
            log: self.log.clone(),
            live: Live {
                order: self.order(),
                limits: self.proven.as_ref().map(|plan| plan.limits).unwrap_or_default(),
                reconnect_at: self.live.reconnect_at.filter(|_| self.plan.is_some()),
                ..self.live.clone()
            },
            reports: self.reports.clone(),
            ends: self.ends.clone(),
            created_at: unix(self.created_at),
            updated_at: unix(self.updated_at),
            state_since: unix(self.state_since),
        }
    }

    fn status(&self, key: &Key, playback: &Playback) -> RestreamProcessStatus {
        let egress = self.proven.as_ref().is_some_and(|plan| plan.egress.is_some());
        RestreamProcessStatus {
            observed_generation: self.manifest.metadata.generation,
            state: self.seen.state,
            restarts: (self.seen.starts - 1).max(0),
            pod_name: None,
            node_name: None,
            last_exit: self.seen.exit.as_ref().map(|(exit, _)| last_exit(exit)),
            progress: self.seen.progress.as_ref().map(progress),
            webrtc: egress.then(|| WebRtcStatus {
                whep_url: (playback.enabled && !playback.ended).then(|| key.whep_path()),
                announced: playback.announced.clone(),
                viewers: i32::try_from(self.seen.viewers).unwrap_or(i32::MAX),
                video: self.seen.legs.as_ref().map(|legs| leg_status(&legs.video)),
                audio: self.seen.legs.as_ref().map(|legs| leg_status(&legs.audio)),
            }),
            conditions: self.conditions.clone(),
        }
    }
}

fn after(exit: &Exit, again: bool) -> State {
    match exit.cause {
        Cause::Corrected => State::Starting,
        _ if again => State::Reconnecting,
        Cause::Finished | Cause::Stopped => State::Finished,
        Cause::Failed
        | Cause::Killed
        | Cause::Stale
        | Cause::SpawnFailed
        | Cause::Unsupported
        | Cause::CpuLimit
        | Cause::MemoryLimit => State::Failed,
    }
}

fn unix(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or_default()
}

fn last_exit(exit: &Exit) -> LastExit {
    let Exit { code, signal, cause, message, at } = exit;
    let at = i64::try_from(*at).ok().and_then(|at| Timestamp::from_second(at).ok()).unwrap_or_default();
    LastExit {
        code: *code,
        signal: *signal,
        reason: format!("{cause:?}"),
        at: at.to_string(),
        message: message.chars().take(1024).collect(),
    }
}

fn progress(progress: &process::Progress) -> Progress {
    let process::Progress { frame, fps, q: _, bitrate, size_bytes, time, speed, drop, dup } = progress;
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Progress {
        frame: whole(*frame),
        fps: *fps,
        bitrate: *bitrate,
        size_bytes: whole(*size_bytes),
        time_seconds: time.as_secs_f64(),
        speed: *speed,
        drop: whole(*drop),
        dup: whole(*dup),
    }
}

fn leg_status(leg: &Leg) -> LegStatus {
    let action = match leg.action {
        LegAction::None => "None",
        LegAction::Copy(_) => "Copy",
        LegAction::Transcode(_) => "Transcode",
    };
    LegStatus { action: action.into(), map: leg.action.map().map(str::to_owned), reason: leg.reason.clone() }
}
