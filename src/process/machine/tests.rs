mod demands;

use super::*;
use crate::process::Progress;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A machine and a clock that the test turns.
struct Bench {
    machine: Machine,
    now: Now,
}

fn policy() -> Policy {
    Policy {
        reconnect: Some(secs(15)),
        backoff: None,
        stale: Some(secs(30)),
        limits: Limits::default(),
        log_lines: 50,
        listens: vec![false],
        redactor: Redactor::default(),
    }
}

const CODE_0: End = End { code: Some(0), signal: None };
const CODE_1: End = End { code: Some(1), signal: None };
const CODE_255: End = End { code: Some(255), signal: None };
const KILLED: End = End { code: None, signal: Some(9) };

impl Bench {
    fn new(policy: Policy) -> Self {
        let now = Now { instant: Instant::now(), unix: 1_000 };
        Self { machine: Machine::new(now, policy), now }
    }

    /// A machine whose FFmpeg was started.
    fn started(policy: Policy) -> Self {
        let mut bench = Self::new(policy);
        bench.start();
        bench
    }

    fn start(&mut self) {
        assert_eq!(self.actions(), [Action::Start]);
        self.machine.handle_started(self.now, 42);
        assert!(matches!(self.events()[..], [Event::Started(42)]));
    }

    /// Turns the clock, and wakes the machine whenever it asks for it.
    fn pass(&mut self, duration: Duration) {
        let end = self.now.instant + duration;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            let at = at.max(self.now.instant);
            self.now.unix += (at - self.now.instant).as_secs();
            self.now.instant = at;
            self.machine.handle_timeout(self.now);
            assert!(self.machine.poll_timeout().is_none_or(|next| next > at || !self.machine.actions.is_empty()));
            if !self.machine.actions.is_empty() {
                break;
            }
        }
        self.now.unix += end.saturating_duration_since(self.now.instant).as_secs();
        self.now.instant = self.now.instant.max(end);
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.machine.poll_action()).collect()
    }

    /// What was told, but for reports and for the request to end.
    fn events(&mut self) -> Vec<Event> {
        let is_other = |event: &Event| !matches!(event, Event::Report(_) | Event::Ending);
        std::iter::from_fn(|| self.machine.poll_event()).filter(is_other).collect()
    }

    /// The end that was told, of all that was told.
    fn ended(&mut self) -> (Exit, Option<Duration>) {
        let ends = self.events().into_iter().filter_map(|event| match event {
            Event::Ended { exit, restart_in } => Some((exit, restart_in)),
            _ => None,
        });
        let [end] = &ends.collect::<Vec<_>>()[..] else { panic!("one end is told") };
        end.clone()
    }

    fn progress(&mut self, frame: u64) {
        let figures = Block { frame: Some(frame), ..Block::default() };
        self.machine.handle_progress(self.now, &figures);
    }
}

#[test]
fn a_new_process_is_started_at_once() {
    let mut bench = Bench::new(policy());
    assert_eq!(bench.actions(), [Action::Start]);
    assert_eq!(bench.machine.poll_timeout(), None);
}

#[test]
fn exits_are_told_by_their_cause() {
    for (end, cause) in [
        (CODE_0, Cause::Finished),
        (CODE_255, Cause::Finished),
        (CODE_1, Cause::Failed),
        (End { code: Some(137), signal: None }, Cause::Failed),
        (KILLED, Cause::Killed),
    ] {
        let mut bench = Bench::started(policy());
        bench.machine.handle_ended(bench.now, end);
        let (exit, _) = bench.ended();
        assert_eq!((exit.cause, exit.code, exit.signal, exit.at), (cause, end.code, end.signal, 1_000));
    }
}

#[test]
fn c005_c014_c015_ffmpeg_starts_again_after_the_delay_whatever_its_exit_code() {
    for end in [CODE_0, CODE_1, CODE_255, KILLED] {
        let mut bench = Bench::started(policy());
        bench.pass(secs(60 - 45));
        bench.machine.handle_ended(bench.now, end);
        assert_eq!(bench.ended().1, Some(secs(15)));
        bench.pass(Duration::from_millis(14_999));
        assert_eq!(bench.actions(), []);
        bench.pass(Duration::from_millis(1));
        bench.start();
    }
}

#[test]
fn c006_a_stop_while_waiting_for_the_restart_cancels_it() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_ended(bench.now, CODE_0);
    bench.ended();
    bench.machine.handle_stop(bench.now);
    assert!(bench.machine.is_over());
    bench.pass(secs(100));
    assert_eq!(bench.actions(), []);
    assert!(bench.events().is_empty());
}

#[test]
fn without_reconnect_an_end_is_final_until_the_plan_changes() {
    let mut bench = Bench::started(Policy { reconnect: None, ..policy() });
    bench.machine.handle_ended(bench.now, CODE_1);
    assert_eq!(bench.ended().1, None);
    bench.pass(secs(1000));
    assert_eq!(bench.actions(), []);
    assert!(!bench.machine.is_over(), "it may be told to start again");
    bench.machine.handle_replace(bench.now, policy());
    bench.pass(Duration::ZERO);
    bench.start();
}

#[test]
fn c008_c009_a_failed_start_is_told_and_tried_again() {
    let mut bench = Bench::new(Policy { reconnect: Some(secs(2)), ..policy() });
    for _ in 0..3 {
        assert_eq!(bench.actions(), [Action::Start]);
        bench.machine.handle_start_failed(bench.now, "FFmpeg \"nosuch\" was not found");
        let (exit, restart_in) = bench.ended();
        assert_eq!((exit.cause, exit.code, exit.signal), (Cause::SpawnFailed, None, None));
        assert_eq!((exit.message.as_str(), restart_in), ("FFmpeg \"nosuch\" was not found", Some(secs(2))));
        bench.pass(secs(2));
    }
    let mut bench = Bench::new(Policy { reconnect: None, ..policy() });
    bench.actions();
    bench.machine.handle_start_failed(bench.now, "no");
    assert_eq!(bench.ended().1, None);
}

#[test]
fn without_a_delay_ffmpeg_is_started_once_a_second_at_most() {
    let mut bench = Bench::started(Policy { reconnect: Some(Duration::ZERO), ..policy() });
    bench.pass(Duration::from_millis(300));
    bench.machine.handle_ended(bench.now, CODE_1);
    assert_eq!(bench.ended().1, Some(Duration::from_millis(700)));
    bench.pass(Duration::from_millis(700));
    bench.start();
    bench.pass(secs(10));
    bench.machine.handle_ended(bench.now, CODE_1);
    assert_eq!(bench.ended().1, Some(Duration::ZERO));
    bench.pass(Duration::ZERO);
    bench.start();
}

#[test]
fn c012_a_stop_interrupts_and_the_end_is_told() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_stop(bench.now);
    assert_eq!(bench.actions(), [Action::Interrupt]);
    assert!(!bench.machine.is_over());
    bench.machine.handle_ended(bench.now, CODE_255);
    let (exit, restart_in) = bench.ended();
    assert_eq!((exit.cause, exit.code, restart_in), (Cause::Stopped, Some(255), None));
    assert!(bench.machine.is_over());
    assert_eq!(bench.machine.poll_timeout(), None);
}

#[test]
fn c013_who_ignores_the_interrupt_is_killed_after_five_seconds() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_stop(bench.now);
    bench.actions();
    bench.pass(Duration::from_millis(4_999));
    assert_eq!(bench.actions(), []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.actions(), [Action::Kill]);
    bench.pass(secs(100));
    assert_eq!(bench.actions(), [], "one kill is enough");
    bench.machine.handle_ended(bench.now, KILLED);
    assert_eq!(bench.ended().0.cause, Cause::Stopped);
}

#[test]
fn c019_a_second_stop_changes_nothing() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_stop(bench.now);
    bench.actions();
    bench.pass(secs(3));
    bench.machine.handle_stop(bench.now);
    assert_eq!(bench.actions(), []);
    bench.pass(secs(2));
    assert_eq!(bench.actions(), [Action::Kill]);
}

#[test]
fn a_stop_during_the_start_stops_what_was_started() {
    let mut bench = Bench::new(policy());
    bench.machine.handle_stop(bench.now);
    assert_eq!(bench.actions(), [Action::Start]);
    bench.machine.handle_started(bench.now, 42);
    assert_eq!(bench.actions(), [Action::Interrupt]);
}

#[test]
fn c007_without_progress_it_is_stale_and_starts_again() {
    let mut bench = Bench::started(Policy { stale: Some(secs(2)), ..policy() });
    bench.pass(Duration::from_millis(1_999));
    assert_eq!(bench.actions(), []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.actions(), [Action::Interrupt]);
    bench.pass(secs(5));
    assert_eq!(bench.actions(), [Action::Kill]);
    bench.machine.handle_ended(bench.now, KILLED);
    let (exit, restart_in) = bench.ended();
    assert_eq!((exit.cause, exit.signal, restart_in), (Cause::Stale, Some(9), Some(secs(15))));
    bench.machine.handle_stop(bench.now);
    assert!(bench.events().is_empty(), "a later stop leaves it as it is");
}

#[test]
fn progress_keeps_it_alive_and_equal_figures_do_not() {
    let mut bench = Bench::started(policy());
    for frame in 1..=4 {
        bench.pass(secs(29));
        bench.progress(frame);
        assert_eq!(bench.actions(), []);
    }
    for _ in 0..29 {
        bench.pass(secs(1));
        bench.progress(4);
        assert_eq!(bench.actions(), []);
    }
    bench.pass(secs(1));
    assert_eq!(bench.actions(), [Action::Interrupt]);
}

#[test]
fn without_a_stale_timeout_it_is_never_stale() {
    let mut bench = Bench::started(Policy { stale: None, ..policy() });
    bench.pass(secs(100_000));
    assert_eq!(bench.actions(), []);
}

#[test]
fn the_clock_begins_when_all_inputs_are_open() {
    let mut bench = Bench::started(Policy { stale: Some(secs(4)), listens: vec![false, false], ..policy() });
    bench.machine.handle_open_inputs(bench.now, 0);
    bench.pass(secs(20));
    bench.machine.handle_open_inputs(bench.now, 1);
    bench.pass(secs(20));
    bench.machine.handle_open_inputs(bench.now, 2);
    bench.pass(Duration::from_millis(3_999));
    assert_eq!(bench.actions(), []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.actions(), [Action::Interrupt]);
}

#[test]
fn an_input_that_never_opens_is_stale_after_half_a_minute() {
    let mut bench = Bench::started(Policy { stale: Some(secs(4)), ..policy() });
    bench.machine.handle_open_inputs(bench.now, 0);
    bench.pass(Duration::from_millis(29_999));
    assert_eq!(bench.actions(), []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.actions(), [Action::Interrupt]);
}

#[test]
fn a_listening_input_waits_for_ever_and_is_watched_once_it_is_open() {
    let mut bench = Bench::started(Policy { listens: vec![false, true], ..policy() });
    bench.machine.handle_open_inputs(bench.now, 0);
    assert!(bench.events().is_empty());
    for _ in 0..2 {
        bench.machine.handle_open_inputs(bench.now, 1);
    }
    assert!(matches!(bench.events()[..], [Event::Waiting]), "told once");
    bench.pass(secs(100_000));
    assert_eq!(bench.actions(), []);
    bench.machine.handle_open_inputs(bench.now, 2);
    bench.pass(secs(30));
    assert_eq!(bench.actions(), [Action::Interrupt]);
}

#[test]
fn a_probe_comes_before_the_run_where_something_is_to_be_found_out() {
    let mut bench = Bench::new(policy());
    bench.actions();
    bench.machine.handle_probing(bench.now);
    assert!(matches!(bench.events()[..], [Event::Probing]));
    bench.machine.handle_probe_ended(bench.now, CODE_1, true);
    assert!(bench.events().is_empty(), "its end is no end of the process");
    bench.start();
}

#[test]
fn a_failed_probe_is_a_failed_run() {
    let mut bench = Bench::new(policy());
    bench.actions();
    bench.machine.handle_probing(bench.now);
    bench.machine.handle_log(bench.now, "rtsp://u:p@cam/: Connection refused");
    bench.machine.handle_probe_ended(bench.now, CODE_1, false);
    let (exit, restart_in) = bench.ended();
    assert_eq!((exit.cause, restart_in), (Cause::Failed, Some(secs(15))));
    assert_eq!(exit.message, "rtsp://***@cam/: Connection refused");
    bench.pass(secs(15));
    assert_eq!(bench.actions(), [Action::Start]);
}

#[test]
fn a_probe_takes_twenty_seconds_at_most() {
    let mut bench = Bench::new(policy());
    bench.actions();
    bench.machine.handle_probing(bench.now);
    bench.pass(secs(20));
    assert_eq!(bench.actions(), [Action::Interrupt]);
    bench.pass(secs(5));
    assert_eq!(bench.actions(), [Action::Kill]);
    bench.machine.handle_probe_ended(bench.now, KILLED, false);
    let (exit, restart_in) = bench.ended();
    assert_eq!((exit.cause, restart_in), (Cause::Failed, Some(secs(15))));
    assert_eq!(exit.message, "the inputs did not show their streams within 20 s");
}

#[test]
fn a_stop_during_the_probe_ends_it() {
    let mut bench = Bench::new(policy());
    bench.actions();
    bench.machine.handle_probing(bench.now);
    bench.machine.handle_stop(bench.now);
    assert_eq!(bench.actions(), [Action::Interrupt]);
    bench.machine.handle_probe_ended(bench.now, CODE_255, true);
    assert_eq!(bench.ended(), (exit(Cause::Stopped, CODE_255), None));
    assert!(bench.machine.is_over());
}

fn exit(cause: Cause, end: End) -> Exit {
    Exit { code: end.code, signal: end.signal, cause, message: String::new(), at: 1_000 }
}

#[test]
fn a_new_plan_starts_at_once_after_the_old_run_ended() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_replace(bench.now, Policy { reconnect: Some(secs(7)), ..policy() });
    assert_eq!(bench.actions(), [Action::Interrupt]);
    bench.machine.handle_ended(bench.now, CODE_255);
    assert_eq!(bench.ended(), (exit(Cause::Stopped, CODE_255), Some(Duration::ZERO)));
    bench.pass(Duration::ZERO);
    bench.start();
    bench.machine.handle_ended(bench.now, CODE_1);
    assert_eq!(bench.ended().1, Some(secs(7)), "the new policy holds");
}

#[test]
fn a_new_plan_while_waiting_for_the_restart_starts_at_once() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_ended(bench.now, CODE_1);
    bench.ended();
    bench.machine.handle_replace(bench.now, policy());
    bench.pass(Duration::ZERO);
    bench.start();
}

#[test]
fn a_new_plan_during_a_stale_end_starts_at_once() {
    let mut bench = Bench::started(policy());
    bench.pass(secs(30));
    assert_eq!(bench.actions(), [Action::Interrupt]);
    bench.machine.handle_replace(bench.now, policy());
    assert_eq!(bench.actions(), [], "it is on its way");
    bench.machine.handle_ended(bench.now, KILLED);
    assert_eq!(bench.ended().1, Some(Duration::ZERO));
}

#[test]
fn another_delay_holds_for_the_restart_that_is_waited_for() {
    let with = |reconnect| Policy { reconnect, stale: None, ..policy() };
    let mut bench = Bench::started(with(Some(secs(15))));
    bench.pass(secs(100));
    bench.machine.handle_ended(bench.now, CODE_1);
    let (first, _) = bench.ended();
    bench.pass(secs(4));
    for (reconnect, restart_in) in [(Some(secs(20)), Some(secs(16))), (None, None), (Some(secs(3)), Some(secs(0)))] {
        bench.machine.handle_configure(bench.now, with(reconnect));
        assert_eq!(bench.ended(), (first.clone(), restart_in));
    }
    bench.machine.handle_configure(bench.now, with(Some(secs(3))));
    assert!(bench.events().is_empty(), "nothing has changed");
    bench.pass(Duration::ZERO);
    bench.start();
}

#[test]
fn another_policy_leaves_ffmpeg_alone() {
    let mut bench = Bench::started(policy());
    bench.pass(secs(25));
    bench.machine.handle_configure(bench.now, Policy { stale: Some(secs(40)), reconnect: None, ..policy() });
    assert!(bench.events().is_empty());
    bench.pass(Duration::from_millis(14_999));
    assert_eq!(bench.actions(), []);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.actions(), [Action::Interrupt]);
    bench.machine.handle_replace(bench.now, policy());
    bench.machine.handle_configure(bench.now, Policy { reconnect: Some(secs(2)), ..policy() });
    bench.machine.handle_ended(bench.now, CODE_255);
    assert_eq!(bench.ended().1, Some(Duration::ZERO));
    bench.pass(Duration::ZERO);
    bench.start();
    bench.pass(secs(10));
    bench.machine.handle_ended(bench.now, CODE_255);
    assert_eq!(bench.ended().1, Some(secs(2)));
}

#[test]
fn a_stop_after_a_new_plan_is_a_stop() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_replace(bench.now, policy());
    bench.machine.handle_stop(bench.now);
    bench.machine.handle_replace(bench.now, policy());
    bench.machine.handle_ended(bench.now, CODE_255);
    assert_eq!(bench.ended().1, None);
    assert!(bench.machine.is_over());
}

#[test]
fn a_correction_starts_again_without_delay_even_without_reconnect() {
    let mut bench = Bench::started(Policy { reconnect: None, ..policy() });
    bench.machine.handle_correction(bench.now);
    bench.machine.handle_correction(bench.now);
    assert_eq!(bench.actions(), [Action::Interrupt]);
    bench.machine.handle_ended(bench.now, CODE_1);
    assert_eq!(
        bench.ended(),
        (Exit { message: String::new(), ..exit(Cause::Corrected, CODE_1) }, Some(Duration::ZERO))
    );
    bench.pass(Duration::ZERO);
    bench.start();
}

#[test]
fn progress_is_told_at_once_and_then_once_a_second() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_progress(bench.now, &Block { frame: Some(0), ..Block::default() });
    assert!(bench.events().is_empty(), "nothing is written yet");
    let mut told = 0;
    for frame in 1..=40 {
        bench.progress(frame);
        bench.pass(Duration::from_millis(250));
        let events = bench.events();
        assert!(frame != 1 || matches!(events[..], [Event::Progress(Progress { frame: 1, .. })]));
        told += events.len();
    }
    assert!((10..=11).contains(&told), "{told} times in 10 s");
    bench.progress(41);
    bench.pass(secs(2));
    assert!(
        matches!(bench.events()[..], [Event::Progress(Progress { frame: 41, .. })]),
        "the newest comes late, not never"
    );
}

#[test]
fn the_log_is_told_once_a_second_and_whole() {
    let mut bench = Bench::started(policy());
    for number in 0..1000 {
        bench.machine.handle_log(bench.now, &format!("line {number}"));
    }
    bench.pass(secs(2));
    let events = bench.events();
    let [Event::Log(first), Event::Log(second)] = &events[..] else { panic!("two logs, not {events:?}") };
    assert_eq!((first.len(), second.len()), (1, 200));
    assert_eq!((second[199].line.as_str(), second[199].at), ("line 999", 1_000));
    bench.machine.handle_log(bench.now, "the last words");
    bench.machine.handle_stop(bench.now);
    bench.machine.handle_log(bench.now, "really");
    bench.machine.handle_ended(bench.now, CODE_255);
    let last = bench.events().into_iter().rev().find_map(|event| match event {
        Event::Log(log) => log.last().cloned(),
        _ => None,
    });
    assert_eq!(last.map(|line| line.line), Some("really".into()), "nothing of it is lost at the end");
}

#[test]
fn an_exit_carries_the_last_line_of_its_own_run() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_log(bench.now, "srt://h?passphrase=abc: Input/output error");
    bench
        .machine
        .handle_log(bench.now, "frame=    1 fps=0.0 q=-1.0 Lsize=N/A time=00:00:00.00 bitrate=N/A speed=   0x");
    bench.machine.handle_ended(bench.now, CODE_1);
    assert_eq!(bench.ended().0.message, "srt://h?passphrase=***: Input/output error");
    bench.pass(secs(15));
    bench.start();
    bench.machine.handle_ended(bench.now, CODE_1);
    assert_eq!(bench.ended().0.message, "exit code 1, nothing in the log");
}

#[test]
fn figures_in_the_log_are_progress_and_no_line() {
    let mut bench = Bench::started(policy());
    bench
        .machine
        .handle_log(bench.now, "[info] size=      10kB time=00:00:00.97 bitrate=  86.4kbits/s speed=0.961x    ");
    assert!(matches!(bench.events()[..], [Event::Progress(Progress { size_bytes: 10_240, .. })]));
    // The report knows better: with both, a stalled FFmpeg must not look alive.
    for _ in 0..31 {
        bench.machine.handle_progress(bench.now, &Block { size: Some(10_528), ..Block::default() });
        bench.machine.handle_log(bench.now, "size=      10kB time=00:00:00.97 bitrate=  86.4kbits/s speed=0.961x");
        bench.pass(secs(1));
    }
    assert_eq!(bench.actions(), [Action::Interrupt]);
}

#[test]
fn the_old_secrets_are_masked_until_the_new_plan_runs() {
    let with = |secret| Policy { redactor: Redactor::new(["-token", secret], []), ..policy() };
    let mut bench = Bench::started(with("old-secret"));
    bench.machine.handle_replace(bench.now, with("new-secret"));
    bench.machine.handle_log(bench.now, "bye old-secret");
    bench.machine.handle_ended(bench.now, CODE_255);
    assert_eq!(bench.ended().0.message, "bye ***");
}
