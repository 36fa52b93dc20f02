//! What FFmpeg does at this moment, as others see it.

use super::*;
use crate::plan::Limits;
use crate::process::{Event, LogLine, Progress, RunReport, Stalled, Usage};

fn running() -> Controller {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    run(&mut controller, Event::Started(7), 100);
    controller
}

fn run(controller: &mut Controller, event: Event, second: i64) {
    see(controller, "a", Seen::Run(event), second);
}

fn exec(controller: &Controller) -> Exec {
    shown(controller, "a").live.exec
}

fn end(code: Option<i32>, signal: Option<i32>, cause: Cause, restart_in: Option<u64>) -> Event {
    let exit = Exit { code, signal, cause, message: String::new(), at: 100 };
    Event::Ended { exit, restart_in: restart_in.map(Duration::from_secs) }
}

fn suspended(name: &str) -> Arc<RestreamProcess> {
    let mut suspended = (*manifest(name, "one", "")).clone();
    suspended.spec.suspend = true;
    Arc::new(suspended)
}

fn report(started_at: u64, line: &str, is_over: bool) -> Event {
    let exit = Exit { code: Some(0), signal: None, cause: Cause::Finished, message: String::new(), at: started_at };
    Event::Report(Arc::new(RunReport {
        started_at,
        prelude: vec![line.into()],
        log: vec![LogLine { at: started_at, line: line.into() }],
        exit: is_over.then_some(exit),
    }))
}

#[test]
fn c002_what_was_never_started_has_finished() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &suspended("a"))]);
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.exec.word(), live.order.word()), ("finished", "stop"));
    assert_eq!((live.pid, live.reconnect_at), (None, None));
}

#[test]
fn c003_c004_what_was_started_runs_and_dies_by_a_signal() {
    let mut controller = running();
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.exec.word(), live.order.word(), live.pid), ("running", "start", Some(7)));
    reset(&mut controller, &[("a.yaml", &suspended("a"))]);
    run(&mut controller, Event::Ending, 101);
    assert_eq!((exec(&controller), shown(&controller, "a").live.order), (Exec::Finishing, Order::Stop));
    run(&mut controller, end(None, Some(2), Cause::Stopped, None), 102);
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.exec.word(), live.exec_since, live.pid), ("killed", 102, None));
}

#[test]
fn c005_c006_what_ended_waits_for_its_next_start_and_a_stop_ends_that() {
    let mut controller = running();
    run(&mut controller, end(Some(0), None, Cause::Finished, Some(20)), 110);
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.exec, live.reconnect_at, live.exec_since), (Exec::Finished, Some(130), 110));
    assert_eq!(reset(&mut controller, &[("a.yaml", &suspended("a"))]), ["stop a"]);
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.exec, live.reconnect_at), (Exec::Finished, None));
}

#[test]
fn c007_what_was_stale_and_died_by_a_signal_stays_killed() {
    let mut controller = running();
    run(&mut controller, Event::Ending, 101);
    run(&mut controller, end(None, Some(2), Cause::Stale, None), 102);
    reset(&mut controller, &[("a.yaml", &suspended("a"))]);
    assert_eq!(exec(&controller), Exec::Killed);
}

#[test]
fn c008_c009_what_cannot_be_started_has_failed_and_is_counted() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    for _ in 0..3 {
        run(&mut controller, end(None, None, Cause::SpawnFailed, Some(2)), 101);
        assert_eq!(exec(&controller), Exec::Failed);
    }
    assert_eq!(shown(&controller, "a").status.restarts, 2);
    reset(&mut controller, &[("a.yaml", &suspended("a"))]);
    assert_eq!(exec(&controller), Exec::Failed);
}

#[test]
fn an_output_that_stalls_is_a_condition_of_its_own_until_it_goes_on_or_ffmpeg_ends() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    assert!(
        shown(&controller, "a").status.conditions.iter().all(|one| one.type_ != "OutputStalled"),
        "it has no server"
    );
    let mut sending = (*manifest("a", "one", "")).clone();
    sending.spec.output[0].address = "rtmp://live.example/app/key".into();
    reset(&mut controller, &[("a.yaml", &Arc::new(sending))]);
    let stalled = Stalled { peer: ([192, 0, 2, 1], 1935).into(), outputs: vec!["main".into()] };
    let is_stalled = |controller: &Controller| condition(controller, "a", "OutputStalled");
    for second in [100, 200] {
        run(&mut controller, Event::Started(7), second);
        run(&mut controller, Event::Progress(Progress::default()), second);
        assert_eq!(is_stalled(&controller).0, "False");
        see(&mut controller, "a", Seen::Stalled(vec![stalled.clone()]), second + 20);
        let (status, reason, message) = is_stalled(&controller);
        assert_eq!((status.as_str(), reason.as_str()), ("True", "NothingTaken"));
        assert_eq!(message, "192.0.2.1:1935 (output main) has taken nothing for 10 s or longer");
        assert_eq!(condition(&controller, "a", "Ready").0, "True");
        match second {
            100 => see(&mut controller, "a", Seen::Stalled(Vec::new()), 130),
            _ => run(&mut controller, end(None, Some(9), Cause::Stale, None), 230),
        }
        assert_eq!(is_stalled(&controller).0, "False");
    }
}

#[test]
fn what_ffmpeg_lacks_is_a_reason_of_its_own() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    let message = "this FFmpeg has no encoder \"x\"".to_owned();
    let exit = Exit { code: None, signal: None, cause: Cause::Unsupported, message, at: 100 };
    for (restart_in, next) in [(Some(15), "it starts again after 15 s"), (None, "it is not started again")] {
        let restart_in = restart_in.map(Duration::from_secs);
        run(&mut controller, Event::Ended { exit: exit.clone(), restart_in }, 101);
        let (status, reason, message) = condition(&controller, "a", "Ready");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Unsupported"));
        let what = "FFmpeg was not started: this FFmpeg has no encoder \"x\"; ";
        assert!(message.starts_with(&format!("{what}{next}")), "{message}");
        assert_eq!(exec(&controller), Exec::Failed);
    }
}

#[test]
fn c010_c012_c014_the_exit_code_decides() {
    for (code, cause, word) in [
        (0, Cause::Finished, "finished"),
        (255, Cause::Stopped, "finished"),
        (255, Cause::Finished, "finished"),
        (1, Cause::Failed, "failed"),
        (1, Cause::Stopped, "failed"),
        (255, Cause::Failed, "failed"),
    ] {
        let mut controller = running();
        run(&mut controller, end(Some(code), None, cause, None), 101);
        assert_eq!(exec(&controller).word(), word, "{code} {cause:?}");
    }
}

#[test]
fn c013_what_ignores_the_interrupt_is_finishing_and_then_killed() {
    let mut controller = running();
    run(&mut controller, Event::Ending, 101);
    run(&mut controller, Event::Progress(Progress::default()), 102);
    assert_eq!(exec(&controller).word(), "finishing");
    run(&mut controller, end(None, Some(9), Cause::Stopped, None), 106);
    assert_eq!(exec(&controller).word(), "killed");
}

#[test]
fn c015_what_failed_starts_again_after_its_delay() {
    let mut controller = running();
    run(&mut controller, end(Some(1), None, Cause::Failed, Some(15)), 110);
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.exec, live.reconnect_at), (Exec::Failed, Some(125)));
    run(&mut controller, Event::Probing, 125);
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.exec, live.reconnect_at), (Exec::Starting, None));
}

#[test]
fn c017_what_has_finished_does_not_run_without_a_start() {
    assert!(!Exec::Finished.may_become(Exec::Running));
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    run(&mut controller, Event::Progress(Progress::default()), 101);
    run(&mut controller, Event::Ending, 101);
    assert_eq!(exec(&controller), Exec::Finished);
}

#[test]
fn c018_c021_c023_a_command_is_a_step_of_its_process_alone() {
    let mut controller = running();
    let key = Key::new("a");
    for (command, step) in [(Command::Start, "begin a"), (Command::Restart, "restart a")] {
        assert_eq!(controller.handle_command(&key, command), Ok(()));
        assert_eq!(steps(&mut controller), [step]);
        assert_eq!(shown(&controller, "a").live.order, Order::Start);
    }
}

#[test]
fn c020_a_command_leaves_a_suspended_process_alone() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &suspended("a"))]);
    for command in [Command::Start, Command::Restart] {
        assert_eq!(controller.handle_command(&Key::new("a"), command), Ok(()));
        assert!(steps(&mut controller).is_empty());
    }
    assert_eq!(shown(&controller, "a").live.order, Order::Stop);
}

#[test]
fn c022_a_command_for_an_unknown_process_is_an_error() {
    let key = Key::new("nobody");
    assert_eq!(controller().handle_command(&key, Command::Restart), Err(UnknownProcess(key)));
}

#[test]
fn c028_c030_limits_are_shown() {
    let mut limited = (*manifest("a", "one", "")).clone();
    let limits = |cpu_percent, memory_mib| crate::crd::Limits { cpu_percent, memory_mib, wait_for_seconds: 3 };
    for (cpu, mebibytes, bytes) in [(61, 42, 44_040_192), (1, 10, 10_485_760)] {
        limited.spec.limits = Some(limits(Some(cpu), Some(mebibytes)));
        let mut controller = controller();
        reset(&mut controller, &[("a.yaml", &Arc::new(limited.clone()))]);
        let wait = Duration::from_secs(3);
        let expected = Limits { cpu_percent: u32::try_from(cpu).ok(), memory_bytes: Some(bytes), wait };
        assert_eq!(shown(&controller, "a").live.limits, expected);
    }
}

#[test]
fn other_limits_and_delays_restart_nothing() {
    let mut controller = running();
    let mut changed = (*manifest("a", "one", "")).clone();
    changed.spec.restart = Some(crate::crd::Restart { factor: 2.0, maximum_seconds: 60 });
    assert_eq!(reset(&mut controller, &[("a.yaml", &Arc::new(changed.clone()))]), ["configure a"]);
    changed.spec.limits = Some(crate::crd::Limits { cpu_percent: Some(100), ..crate::crd::Limits::default() });
    assert_eq!(reset(&mut controller, &[("a.yaml", &Arc::new(changed))]), ["configure a"]);
}

#[test]
fn what_ffmpeg_uses_is_shown_while_it_runs() {
    let mut controller = running();
    let usage = Usage { cpu_percent: Some(12.5), memory_bytes: 1 << 20 };
    run(&mut controller, Event::Usage(usage), 101);
    run(&mut controller, Event::Log(Arc::new(vec![LogLine { at: 101, line: "hello".into() }])), 101);
    see(&mut controller, "a", Seen::Command(Arc::new(vec!["-re".into()])), 101);
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.usage, live.last_line.as_str(), &**live.command), (usage, "hello", &["-re".to_owned()][..]));
    run(&mut controller, end(Some(0), None, Cause::Finished, None), 102);
    let live = shown(&controller, "a").live.clone();
    assert_eq!((live.usage, live.progress, live.last_line.as_str()), (Usage::default(), None, "hello"));
}

#[test]
fn c151_the_log_is_empty_before_the_first_start_and_stays_after_the_end() {
    let mut controller = controller();
    assert!(!controller.snapshot().processes.contains_key(&Key::new("a")));
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    assert!(shown(&controller, "a").reports.current.is_none());
    run(&mut controller, Event::Started(7), 100);
    run(&mut controller, report(100, "one", false), 101);
    run(&mut controller, report(100, "one", true), 102);
    run(&mut controller, end(Some(0), None, Cause::Finished, None), 102);
    reset(&mut controller, &[("a.yaml", &suspended("a"))]);
    let current = shown(&controller, "a").reports.current.clone().expect("it ran");
    assert_eq!((current.prelude.len(), current.log.len()), (1, 1));
}

#[test]
fn c152_a_change_keeps_the_reports_of_the_runs_before_it() {
    let mut controller = running();
    run(&mut controller, report(100, "first", true), 101);
    run(&mut controller, Event::Started(8), 102);
    run(&mut controller, report(102, "second", true), 103);
    assert_eq!(shown(&controller, "a").reports.history.len(), 1);
    reset(&mut controller, &[("a.yaml", &manifest("a", "two", ""))]);
    let reports = shown(&controller, "a").reports.clone();
    assert_eq!((reports.history.len(), reports.history[0].prelude[0].as_str()), (1, "first"));
    assert_eq!(reports.current.map(|current| current.prelude[0].clone()), Some("second".into()));
}

#[test]
fn the_oldest_report_makes_room_for_the_newest() {
    let mut controller = running();
    for number in 0..6 {
        // Some could not even be started.
        if number % 2 == 0 {
            run(&mut controller, Event::Started(8), 100 + number);
        }
        run(&mut controller, report(100 + number.unsigned_abs(), &format!("run {number}"), true), 100 + number);
    }
    let reports = shown(&controller, "a").reports.clone();
    let lines: Vec<&str> = reports.history.iter().map(|report| report.prelude[0].as_str()).collect();
    assert_eq!(lines, ["run 2", "run 3", "run 4"]);
    let mut controller = self::controller().with_history(0);
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    for number in [1, 2] {
        run(&mut controller, report(number, "x", true), 100);
    }
    assert!(shown(&controller, "a").reports.history.is_empty());
}
