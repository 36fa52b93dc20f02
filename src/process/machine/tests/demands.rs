//! Growing delays, limits, and what somebody asks for.

use super::*;
use crate::process::RunReport;

fn with_backoff() -> Policy {
    Policy {
        reconnect: Some(secs(5)),
        backoff: Some(Backoff { factor: 2.0, maximum: secs(30) }),
        stale: None,
        ..policy()
    }
}

fn limited(cpu_percent: Option<f64>, memory_bytes: Option<u64>, wait: u64) -> Policy {
    Policy { stale: None, limits: Limits { cpu_percent, memory_bytes, wait: secs(wait) }, ..policy() }
}

impl Bench {
    /// Ends the run, and gives the seconds until the next one, which is waited for.
    fn fail(&mut self) -> u64 {
        self.machine.handle_ended(self.now, CODE_1);
        let delay = self.ended().1.expect("it starts again");
        self.pass(delay);
        self.start();
        delay.as_secs()
    }

    /// Looks at what FFmpeg uses every second, until it is asked to end or for so many seconds.
    fn use_up(&mut self, usage: Usage, most: u64) -> u64 {
        for second in 0..most {
            self.machine.handle_usage(self.now, usage);
            if self.actions() == [Action::Interrupt] {
                return second;
            }
            self.pass(secs(1));
        }
        most
    }

    fn reports(&mut self) -> Vec<RunReport> {
        std::iter::from_fn(|| self.machine.poll_event())
            .filter_map(|event| match event {
                Event::Report(report) => Some((*report).clone()),
                _ => None,
            })
            .collect()
    }
}

const BUSY: Usage = Usage { cpu_percent: Some(50.0), memory_bytes: 197 };

#[test]
fn the_delay_grows_to_its_maximum_and_a_good_run_brings_it_back() {
    let mut bench = Bench::started(with_backoff());
    assert_eq!([0; 5].map(|_| bench.fail()), [5, 10, 20, 30, 30]);
    bench.progress(1);
    bench.pass(secs(9));
    assert_eq!(bench.fail(), 30, "not long enough");
    bench.progress(1);
    bench.pass(secs(10));
    assert_eq!([bench.fail(), bench.fail()], [5, 10]);
}

#[test]
fn a_restart_that_somebody_asks_for_brings_the_delay_back() {
    let mut bench = Bench::started(with_backoff());
    assert_eq!([bench.fail(), bench.fail()], [5, 10]);
    bench.machine.handle_restart(bench.now);
    bench.actions();
    bench.machine.handle_ended(bench.now, CODE_255);
    bench.ended();
    bench.pass(Duration::ZERO);
    bench.start();
    assert_eq!(bench.fail(), 5);
}

#[test]
fn another_maximum_holds_for_the_wait_that_goes_on() {
    let mut bench = Bench::started(with_backoff());
    assert_eq!([bench.fail(), bench.fail(), bench.fail()], [5, 10, 20]);
    bench.machine.handle_ended(bench.now, CODE_1);
    assert_eq!(bench.ended().1, Some(secs(30)));
    bench.machine.handle_configure(bench.now, Policy { backoff: None, ..with_backoff() });
    assert_eq!(bench.ended().1, Some(secs(5)));
}

#[test]
fn c017_a_start_that_nobody_asked_for_changes_nothing() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_ended(bench.now, CODE_0);
    bench.ended();
    bench.machine.handle_started(bench.now, 43);
    assert!(bench.events().is_empty());
    bench.pass(secs(15));
    assert_eq!(bench.actions(), [Action::Start], "it still waits for its start");
}

#[test]
fn c018_a_second_start_changes_nothing() {
    let mut bench = Bench::new(policy());
    bench.machine.handle_start_request(bench.now);
    bench.start();
    bench.machine.handle_start_request(bench.now);
    assert_eq!(bench.actions(), []);
    assert!(bench.events().is_empty());
}

#[test]
fn c023_a_restart_while_waiting_for_the_next_start_starts_now() {
    for request in [Machine::handle_restart, Machine::handle_start_request] {
        let mut bench = Bench::started(policy());
        bench.machine.handle_ended(bench.now, CODE_1);
        bench.ended();
        request(&mut bench.machine, bench.now);
        bench.pass(Duration::ZERO);
        bench.start();
    }
}

#[test]
fn c024_a_process_that_ended_for_good_can_be_started() {
    for request in [Machine::handle_restart, Machine::handle_start_request] {
        let mut bench = Bench::started(Policy { reconnect: None, ..policy() });
        bench.machine.handle_ended(bench.now, CODE_0);
        assert_eq!(bench.ended().1, None);
        request(&mut bench.machine, bench.now);
        bench.pass(Duration::ZERO);
        bench.start();
    }
}

#[test]
fn c021_a_restart_stops_what_runs_and_starts_it_at_once() {
    let mut bench = Bench::started(Policy { reconnect: None, ..policy() });
    bench.machine.handle_restart(bench.now);
    assert_eq!(bench.actions(), [Action::Interrupt]);
    bench.machine.handle_ended(bench.now, CODE_255);
    assert_eq!(bench.ended(), (exit(Cause::Stopped, CODE_255), Some(Duration::ZERO)));
    bench.pass(Duration::ZERO);
    bench.start();
}

#[test]
fn c020_a_restart_of_what_was_stopped_changes_nothing() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_stop(bench.now);
    bench.actions();
    bench.machine.handle_restart(bench.now);
    bench.machine.handle_start_request(bench.now);
    bench.machine.handle_ended(bench.now, CODE_255);
    assert_eq!(bench.ended().1, None);
    assert!(bench.machine.is_over());
}

#[test]
fn c025_too_much_cpu_ends_it() {
    let mut bench = Bench::started(limited(Some(42.0), None, 0));
    assert_eq!(bench.use_up(BUSY, 10), 0);
    bench.machine.handle_ended(bench.now, CODE_255);
    let (exit, restart_in) = bench.ended();
    assert_eq!((exit.cause, restart_in), (Cause::CpuLimit, Some(secs(15))));
    assert_eq!(exit.message, "it used 50 % of a core, and spec.limits.cpuPercent allows 42 %");
}

#[test]
fn c026_too_much_cpu_is_borne_for_as_long_as_it_may_be() {
    let mut bench = Bench::started(limited(Some(42.0), None, 3));
    assert_eq!(bench.use_up(BUSY, 10), 3, "not before");
    let mut bench = Bench::started(limited(Some(42.0), None, 3));
    for _ in 0..5 {
        assert_eq!(bench.use_up(BUSY, 3), 3);
        assert_eq!(bench.use_up(Usage { cpu_percent: Some(42.0), ..BUSY }, 1), 1, "it begins anew");
    }
}

#[test]
fn c027_too_much_memory_ends_it() {
    let mut bench = Bench::started(limited(None, Some(42), 0));
    assert_eq!(bench.use_up(BUSY, 10), 0);
    bench.pass(secs(5));
    assert_eq!(bench.actions(), [Action::Kill], "it gets its time to end and no more");
    bench.machine.handle_ended(bench.now, KILLED);
    assert_eq!(bench.ended().0.cause, Cause::MemoryLimit);
    let mut bench = Bench::started(limited(None, Some(42), 3));
    assert_eq!(bench.use_up(BUSY, 10), 3);
}

#[test]
fn c029_without_limits_nothing_is_too_much() {
    let mut bench = Bench::started(limited(None, None, 0));
    let most = Usage { cpu_percent: Some(6400.0), memory_bytes: u64::MAX };
    assert_eq!(bench.use_up(most, 10), 10);
}

#[test]
fn the_first_look_knows_no_cpu() {
    let mut bench = Bench::started(limited(Some(1.0), None, 0));
    assert_eq!(bench.use_up(Usage { cpu_percent: None, ..BUSY }, 3), 3);
}

#[test]
fn c126_the_log_of_a_run_stays_until_the_next_one_begins() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_log(bench.now, "one line");
    bench.progress(1);
    bench.machine.handle_ended(bench.now, CODE_1);
    let last = bench.reports().pop().expect("it is told");
    assert_eq!((last.prelude.len(), last.log.len()), (1, 1));
    assert_eq!(last.exit.map(|exit| exit.cause), Some(Cause::Failed));
    bench.pass(secs(15));
    bench.start();
    bench.machine.handle_log(bench.now, "another");
    bench.pass(secs(2));
    let next = bench.reports().pop().expect("it is told");
    assert_eq!((next.prelude, next.exit), (vec!["another".to_owned()], None));
}

#[test]
fn the_prelude_ends_with_the_first_progress() {
    let mut bench = Bench::started(policy());
    bench.machine.handle_log(bench.now, "before");
    bench.machine.handle_progress(bench.now, &Block { frame: Some(0), ..Block::default() });
    bench.machine.handle_log(bench.now, "nothing is written yet");
    bench.progress(1);
    bench.machine.handle_log(bench.now, "after");
    bench.machine.handle_ended(bench.now, CODE_0);
    let report = bench.reports().pop().expect("it is told");
    assert_eq!(report.prelude, ["before", "nothing is written yet"]);
    assert_eq!(report.log.len(), 3);
}
