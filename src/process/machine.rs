//! What is done with one FFmpeg child, and when.

mod child;
mod pace;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::run_report::Reporter;
use super::{Backoff, Block, Cause, Event, Exit, Limits, Log, Redactor, Usage, stats_line};
use child::{Child, Stopping};
use pace::Pace;

/// Between the request to end and the kill.
const GRACE: Duration = Duration::from_secs(5);
/// A probe that takes longer is stopped.
const PROBE: Duration = Duration::from_secs(20);
/// FFmpeg is started again no sooner than this after its last start, however short the delay is.
const START_DISTANCE: Duration = Duration::from_secs(1);
/// Characters of an exit's message.
const MESSAGE: usize = 1000;

/// This moment, on the clock that measures and on the one that people read.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For durations.
    pub instant: Instant,
    /// Unix seconds, for what is shown.
    pub unix: u64,
}

/// What the machine needs to know of the process.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Start again this long after an end; `None` leaves it ended.
    pub reconnect: Option<Duration>,
    /// Wait longer after each bad run; `None` waits the same every time.
    pub backoff: Option<Backoff>,
    /// Stop FFmpeg after this long without progress; `None` turns the watch off.
    pub stale: Option<Duration>,
    /// What FFmpeg may use.
    pub limits: Limits,
    /// Lines of the log that the report of a run holds.
    pub log_lines: usize,
    /// For each input in order, whether it waits for a publisher.
    pub listens: Vec<bool>,
    /// Masks the credentials of the process in its log.
    pub redactor: Redactor,
}

/// What is to be done. The answer to each is a `handle_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the probe ([`Machine::handle_probing`]) where something is still to be found out, else FFmpeg itself
    /// ([`Machine::handle_started`]); or [`Machine::handle_start_failed`].
    Start,
    /// Ask the child to end (SIGINT).
    Interrupt,
    /// End the child (SIGKILL to its process group).
    Kill,
}

/// How a child ended, as the operating system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal number.
    pub signal: Option<i32>,
}

/// The life of one process's FFmpeg: start, run, end, and again. Put in what happened, then take out every
/// [`Action`] and [`Event`], and come back at [`Machine::poll_timeout`].
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    /// Holds from the next start on.
    next_policy: Option<Policy>,
    phase: Phase,
    afterwards: Afterwards,
    last_start: Option<Instant>,
    /// How the last run ended, until the next start.
    ended: Option<(Instant, Exit)>,
    /// Waits for a start since the last good run, before the one that comes next.
    waits: u32,
    log: Log,
    log_pace: Pace,
    reporter: Reporter,
    progress_pace: Pace,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
enum Phase {
    /// [`Action::Start`] is out.
    Starting,
    /// The probe runs.
    Probing(Child),
    /// FFmpeg runs.
    Running(Child),
    /// FFmpeg is to be started at this time.
    Delayed(Instant),
    /// There is nothing to be done.
    Ended,
}

/// What follows the end of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    /// What the policy says.
    AsTold,
    /// A start at once.
    AtOnce,
    /// Nothing.
    Nothing,
}

impl Machine {
    /// A process that is to be started at once.
    pub fn new(now: Now, policy: Policy) -> Self {
        let reporter = Reporter::new(now.unix, policy.log_lines);
        let mut machine = Self {
            policy,
            next_policy: None,
            phase: Phase::Ended,
            afterwards: Afterwards::AsTold,
            last_start: None,
            ended: None,
            waits: 0,
            log: Log::default(),
            log_pace: Pace::default(),
            reporter,
            progress_pace: Pace::default(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        };
        machine.start(now);
        machine
    }

    /// The next thing to be done.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing to be told.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Machine::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Starting | Phase::Ended => None,
            Phase::Delayed(until) => Some(*until),
            Phase::Probing(child) | Phase::Running(child) => match &child.stopping {
                Some(stopping) => stopping.kill_at,
                None => self.patience(),
            },
        };
        [phase, self.log_pace.due_at(), self.progress_pace.due_at()].into_iter().flatten().min()
    }

    /// Whether it was told to stop and nothing is left to be done.
    pub fn is_over(&self) -> bool {
        self.afterwards == Afterwards::Nothing && matches!(self.phase, Phase::Ended)
    }

    /// It is [`Machine::poll_timeout`]'s time, or later.
    pub fn handle_timeout(&mut self, now: Now) {
        let lost_patience = self.patience().is_some_and(|at| at <= now.instant);
        let is_probing = matches!(self.phase, Phase::Probing(_));
        match &mut self.phase {
            Phase::Starting | Phase::Ended => {}
            Phase::Delayed(until) if *until > now.instant => {}
            Phase::Delayed(_) => self.start(now),
            Phase::Probing(child) | Phase::Running(child) => match &mut child.stopping {
                Some(stopping) => {
                    let kill = stopping.kill_at.take_if(|at| *at <= now.instant);
                    self.actions.extend(kill.map(|_| Action::Kill));
                }
                None if lost_patience => {
                    self.interrupt(now.instant, if is_probing { Cause::Failed } else { Cause::Stale });
                }
                None => {}
            },
        }
        self.show(now.instant);
    }

    /// The probe was started.
    pub fn handle_probing(&mut self, now: Now) {
        self.phase = Phase::Probing(Child::new(now.instant));
        self.events.push_back(Event::Probing);
        self.obey(now.instant);
    }

    /// The probe ended. Where it found out what it should, FFmpeg is started; else this was a failed run.
    pub fn handle_probe_ended(&mut self, now: Now, end: End, succeeded: bool) {
        let Phase::Probing(child) = &mut self.phase else { return };
        if self.afterwards != Afterwards::AsTold {
            return self.handle_ended(now, end);
        }
        if succeeded {
            return self.start(now);
        }
        let line = child.last_line.take();
        let message = if child.stopping.is_some() {
            let line = line.map(|line| format!(": {line}")).unwrap_or_default();
            format!("the inputs did not show their streams within {} s{line}", PROBE.as_secs())
        } else {
            line.unwrap_or_else(|| "the inputs showed no streams, nothing in the log".into())
        };
        self.end(now, end, Cause::Failed, message);
    }

    /// FFmpeg was started with this process id.
    pub fn handle_started(&mut self, now: Now, pid: u32) {
        if !matches!(self.phase, Phase::Starting) {
            return;
        }
        self.phase = Phase::Running(Child::new(now.instant));
        self.progress_pace = Pace::default();
        self.events.push_back(Event::Started(pid));
        self.obey(now.instant);
    }

    /// FFmpeg or the probe could not be started; `message` tells a person what to do.
    pub fn handle_start_failed(&mut self, now: Now, message: &str) {
        self.handle_start_refused(now, Cause::SpawnFailed, message);
    }

    /// FFmpeg is not started for this cause; `message` tells a person what to do.
    pub fn handle_start_refused(&mut self, now: Now, cause: Cause, message: &str) {
        self.push_line(now, message);
        let message = self.log.last().unwrap_or_default().to_owned();
        self.end(now, End::default(), cause, message);
    }

    /// FFmpeg says that so many of its inputs are open; 0 as soon as it says anything.
    pub fn handle_open_inputs(&mut self, now: Now, count: usize) {
        let Phase::Running(child) = &mut self.phase else { return };
        if child.handle_open(now.instant, count) && self.policy.listens.get(count) == Some(&true) {
            self.events.push_back(Event::Waiting);
        }
    }

    /// A block of the progress report.
    pub fn handle_progress(&mut self, now: Now, figures: &Block) {
        if let Phase::Running(child) = &mut self.phase {
            child.handle_report(now.instant, figures);
            self.note_progress();
        }
        self.show(now.instant);
    }

    /// A line of the log of FFmpeg or the probe.
    pub fn handle_log(&mut self, now: Now, line: &str) {
        match (&mut self.phase, stats_line(line)) {
            (Phase::Running(child), Some(figures)) => {
                child.handle_stats(now.instant, &figures);
                self.note_progress();
            }
            (Phase::Probing(_), Some(_)) => {}
            (Phase::Probing(_) | Phase::Running(_), None) => {
                self.push_line(now, line);
                if let Phase::Probing(child) | Phase::Running(child) = &mut self.phase {
                    child.last_line = self.log.last().map(str::to_owned);
                }
            }
            (Phase::Starting | Phase::Delayed(_) | Phase::Ended, _) => {}
        }
        self.show(now.instant);
    }

    /// FFmpeg ended.
    pub fn handle_ended(&mut self, now: Now, end: End) {
        let (Phase::Probing(child) | Phase::Running(child)) = &mut self.phase else { return };
        let cause = match (&child.stopping, end) {
            (Some(stopping), _) => stopping.cause,
            // FFmpeg answers an interrupt with 255.
            (None, End { code: Some(0 | 255), .. }) => Cause::Finished,
            (None, End { code: Some(_), .. }) => Cause::Failed,
            (None, End { code: None, .. }) => Cause::Killed,
        };
        let why = child.stopping.as_mut().and_then(|stopping| stopping.why.take());
        let message = why.or_else(|| child.last_line.take()).unwrap_or_else(|| match (cause, end) {
            (Cause::Failed, End { code: Some(code), .. }) => format!("exit code {code}, nothing in the log"),
            (Cause::Killed, End { signal: Some(signal), .. }) => format!("signal {signal}, nothing in the log"),
            _ => String::new(),
        });
        self.end(now, end, cause, message);
    }

    /// The process is to be stopped for good.
    pub fn handle_stop(&mut self, now: Now) {
        self.afterwards = Afterwards::Nothing;
        self.interrupt(now.instant, Cause::Stopped);
        self.show(now.instant);
    }

    /// FFmpeg is to be stopped and started again at once, by this policy.
    pub fn handle_replace(&mut self, now: Now, policy: Policy) {
        if self.afterwards != Afterwards::Nothing {
            self.next_policy = Some(policy);
            self.bring_about_start(now);
        }
    }

    /// Somebody asks for a restart: FFmpeg is stopped where it runs, and started at once. A wait for the next start is
    /// over, and what has ended for good starts again.
    pub fn handle_restart(&mut self, now: Now) {
        if self.afterwards != Afterwards::Nothing && !matches!(self.phase, Phase::Starting) {
            self.bring_about_start(now);
        }
    }

    /// Somebody asks for a start: nothing changes where FFmpeg runs, else it is as with a restart.
    pub fn handle_start_request(&mut self, now: Now) {
        if matches!(self.phase, Phase::Delayed(_) | Phase::Ended) {
            self.handle_restart(now);
        }
    }

    /// Somebody looked at what FFmpeg uses.
    pub fn handle_usage(&mut self, now: Now, usage: Usage) {
        let Phase::Running(child) = &mut self.phase else { return };
        self.events.push_back(Event::Usage(usage));
        if child.stopping.is_none()
            && let Some((cause, why)) = child.excess.judge(now.instant, &self.policy.limits, &usage)
        {
            self.interrupt(now.instant, cause);
            if let Phase::Running(Child { stopping: Some(stopping), .. }) = &mut self.phase {
                stopping.why = Some(why);
            }
        }
    }

    /// FFmpeg goes on, and this policy holds from now on; also for a restart that FFmpeg waits for.
    pub fn handle_configure(&mut self, now: Now, policy: Policy) {
        if let Some(next) = &mut self.next_policy {
            *next = policy;
            return;
        }
        let is_rescheduled = (self.policy.reconnect, self.policy.backoff) != (policy.reconnect, policy.backoff)
            && self.afterwards == Afterwards::AsTold;
        self.policy = policy;
        if is_rescheduled {
            self.schedule(now.instant);
        }
    }

    /// FFmpeg runs with other legs than its streams need: it is stopped and started again at once.
    pub fn handle_correction(&mut self, now: Now) {
        if matches!(&self.phase, Phase::Running(child) if child.stopping.is_none()) {
            self.interrupt(now.instant, Cause::Corrected);
        }
    }

    /// When a child that was not asked to end is asked to, unless it shows life before.
    fn patience(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Probing(child) => child.stale_at(PROBE, &[]),
            Phase::Running(child) => child.stale_at(self.policy.stale?, &self.policy.listens),
            _ => None,
        }
    }

    fn bring_about_start(&mut self, now: Now) {
        self.afterwards = Afterwards::AtOnce;
        self.interrupt(now.instant, Cause::Stopped);
    }

    fn push_line(&mut self, now: Now, line: &str) {
        self.log.push(now.unix, line, &self.policy.redactor);
        self.reporter.push(now.unix, line, &self.policy.redactor);
        self.log_pace.is_due = true;
    }

    fn note_progress(&mut self) {
        if matches!(&self.phase, Phase::Running(child) if child.is_progressing()) {
            self.progress_pace.is_due = true;
            self.reporter.handle_progress();
        }
    }

    fn start(&mut self, now: Now) {
        if let Some(policy) = self.next_policy.take() {
            self.policy = policy;
        }
        match (self.afterwards, self.ended.take()) {
            (Afterwards::AtOnce, _) => self.waits = 0,
            (_, Some((_, exit))) if exit.cause != Cause::Corrected => self.waits = self.waits.saturating_add(1),
            _ => {}
        }
        self.afterwards = Afterwards::AsTold;
        self.last_start = Some(now.instant);
        self.reporter = Reporter::new(now.unix, self.policy.log_lines);
        self.phase = Phase::Starting;
        self.actions.push_back(Action::Start);
    }

    /// What was told while the child was being started holds for it.
    fn obey(&mut self, now: Instant) {
        if self.afterwards != Afterwards::AsTold {
            self.interrupt(now, Cause::Stopped);
        }
    }

    /// Asks the child to end where there is one; where none is, what comes afterwards comes now.
    fn interrupt(&mut self, now: Instant, cause: Cause) {
        match &mut self.phase {
            Phase::Probing(child) | Phase::Running(child) => {
                if child.stopping.is_none() {
                    child.stopping = Some(Stopping { cause, why: None, kill_at: Some(now + GRACE) });
                    self.actions.push_back(Action::Interrupt);
                    self.events.push_back(Event::Ending);
                }
            }
            Phase::Starting => {}
            Phase::Delayed(_) | Phase::Ended if self.afterwards == Afterwards::Nothing => self.phase = Phase::Ended,
            Phase::Delayed(_) | Phase::Ended => self.phase = Phase::Delayed(now),
        }
    }

    fn end(&mut self, now: Now, end: End, cause: Cause, message: String) {
        let message = message.chars().take(MESSAGE).collect();
        let exit = Exit { code: end.code, signal: end.signal, cause, message, at: now.unix };
        self.reporter.handle_end(&exit);
        self.events.push_back(Event::Report(Arc::new(self.reporter.report())));
        if self.was_good(now.instant) {
            self.waits = 0;
        }
        self.ended = Some((now.instant, exit));
        self.progress_pace.is_due = false;
        self.schedule(now.instant);
        self.show(now.instant);
    }

    /// Whether the run that ends now made progress for a while.
    fn was_good(&self, now: Instant) -> bool {
        let Phase::Running(child) = &self.phase else { return false };
        child.progressing_since.is_some_and(|since| now.duration_since(since) >= Backoff::GOOD)
    }

    /// Decides from the last end when the next start is, and tells of both.
    fn schedule(&mut self, now: Instant) {
        let Some((ended, exit)) = &self.ended else { return };
        let at_once = self.afterwards == Afterwards::AtOnce || exit.cause == Cause::Corrected;
        let earliest = self.last_start.map_or(*ended, |start| start + START_DISTANCE);
        let start = match self.afterwards {
            Afterwards::Nothing => None,
            _ if at_once => Some(*ended),
            _ => self.policy.reconnect.map(|delay| earliest.max(*ended + self.delay(delay))),
        };
        self.phase = start.map_or(Phase::Ended, Phase::Delayed);
        let restart_in = start.map(|start| start.saturating_duration_since(now));
        self.events.push_back(Event::Ended { exit: exit.clone(), restart_in });
    }

    /// The wait after the run that ended last.
    fn delay(&self, first: Duration) -> Duration {
        self.policy.backoff.map_or(first, |backoff| backoff.delay(first, self.waits))
    }

    /// Tells of progress and log, where it is time.
    fn show(&mut self, now: Instant) {
        if self.is_over() {
            self.log_pace.last = None;
        }
        if self.log_pace.take(now) {
            self.events.push_back(Event::Log(self.log.snapshot()));
            self.events.push_back(Event::Report(Arc::new(self.reporter.report())));
        }
        if let Phase::Running(child) = &self.phase
            && self.progress_pace.take(now)
        {
            self.events.push_back(Event::Progress(child.figures.progress()));
        }
    }
}
