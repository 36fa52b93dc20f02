//! Life and death of children that do what FFmpeg cannot be made to do.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dragonfork::plan::Plan;
use dragonfork::process::{self, Cause};
use dragonfork::runner::{Event, Run};
use rustix::process::Signal;

use crate::bench::{Bench, exists, fake, io, kill, plan, runs, secrets, until};

async fn stop(bench: &mut Bench, run: Run) -> process::Exit {
    run.stop().await;
    let (exit, restart_in) = bench.ended().await;
    assert_eq!(restart_in, None);
    exit
}

#[tokio::test]
async fn c001_ffmpeg_gets_the_arguments_as_they_stand_in_the_manifest() {
    let bench = Bench::with_script(
        "for word; do printf '<%s>' \"$word\"; done > words.part; echo >> words.part
        mv words.part words; exec sleep 100",
    );
    let odd = ["two words", "", "$(id)", "; rm -rf x", "'\"\\", "ünï", "-i"];
    let plan = Plan {
        options: secrets(odd),
        inputs: vec![io("a", "-input option inputAddress"), io("b", "second")],
        outputs: vec![io("a", "-output option outputAddress")],
        ..plan()
    };
    let run = bench.start(plan);
    let words = bench.written("words").await;
    let (own, rest) = words.split_once("<two words>").expect("the manifest's arguments");
    assert!(own.starts_with("<-hide_banner><-nostdin><-nostats><-progress><pipe:"), "{own}");
    assert_eq!(
        rest.trim_end(),
        "<><$(id)><; rm -rf x><'\"\\><ünï><-i><-input><option><-i><inputAddress><-i><second>\
         <-output><option><outputAddress>"
    );
    run.stop().await;
}

#[tokio::test]
async fn ffmpeg_sees_its_explicit_environment_and_no_descriptor_of_the_program() {
    // Not closed on exec, as descriptors are that this program itself inherits.
    let leak = rustix::io::dup(std::fs::File::open("/dev/zero").expect("opened")).expect("a descriptor");
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("set");
    let bench = Bench::with_script(
        "(ls -l /proc/$$/fd > fds.part); tr '\\0' '\\n' < /proc/$$/environ > environ.part; pwd > directory
         mv fds.part fds; mv environ.part environ; exec sleep 100",
    );
    let run = bench.start(plan());
    let environ = bench.written("environ").await;
    let names: BTreeSet<&str> = environ.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(names, BTreeSet::from(["FFREPORT", "ONLY"]));
    assert!(environ.contains("ONLY=this one\n"));
    let fds = bench.written("fds").await;
    let links: Vec<_> = fds.lines().filter_map(|line| line.split_once(" -> ")).collect();
    let of = |number: &str| links.iter().find(|(left, _)| left.ends_with(&format!(" {number}"))).map(|link| link.1);
    assert_eq!((of("0"), of("1")), (Some("/dev/null"), Some("/dev/null")));
    assert!(of("2").is_some_and(|link| link.starts_with("pipe:[")), "{fds}");
    let (pipes, others): (Vec<_>, Vec<_>) =
        links.iter().map(|link| link.1).partition(|link| link.starts_with("pipe:["));
    assert_eq!(pipes.len(), 3, "log, report and progress: {fds}");
    let others: Vec<_> = others.iter().filter(|link| **link != "/dev/null" && !link.ends_with("/ffmpeg.sh")).collect();
    assert!(others.is_empty(), "{others:?}, and {} is leaked", leak.as_raw_fd());
    let directory = bench.directory.path().canonicalize().expect("it exists");
    assert_eq!(bench.written("directory").await.trim_end(), directory.display().to_string());
    run.stop().await;
}

#[tokio::test]
async fn ffmpeg_leads_a_process_group_of_its_own() {
    let mut bench = Bench::with_script("exec sleep 100");
    let run = bench.start(plan());
    let pid = bench.started().await;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<_> = stat.rsplit_once(") ").expect("fields").1.split(' ').collect();
    assert_eq!(fields[2], pid.to_string(), "the process group of {stat}");
    run.stop().await;
}

#[tokio::test]
async fn c003_c004_a_child_is_interrupted_and_nothing_is_left_of_it() {
    let mut bench = Bench::with_script("exec sleep 100");
    let run = bench.start(plan());
    let pid = bench.started().await;
    assert!(runs(pid));
    let exit = stop(&mut bench, run).await;
    assert_eq!((exit.cause, exit.code, exit.signal), (Cause::Stopped, None, Some(2)));
    assert!(!exists(pid), "not even a zombie");
    assert!(bench.rest().is_empty());
}

#[tokio::test]
async fn c011_a_stop_returns_when_the_child_has_ended() {
    let mut bench = Bench::with_fake();
    let run = bench.start(fake("slow-int=1000,say=ready,silent"));
    bench.log(|line| line == "ready").await;
    let begin = Instant::now();
    let exit = stop(&mut bench, run).await;
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!((exit.cause, exit.code), (Cause::Stopped, Some(255)));
}

#[tokio::test]
async fn c013_two_hundred_children_that_ignore_the_interrupt_are_killed_after_five_seconds_at_once() {
    const MANY: usize = 200;
    let mut bench = Bench::with_fake();
    let runs_of: Vec<Run> = (0..MANY).map(|_| bench.start(fake("ignore-int,say=ready,silent"))).collect();
    let mut pids = Vec::new();
    let mut ready = 0;
    while ready < MANY {
        match bench.next().await {
            Event::Run(process::Event::Started(pid)) => pids.push(pid),
            Event::Run(process::Event::Log(_)) => ready += 1,
            _ => {}
        }
    }
    let begin = Instant::now();
    let stops: Vec<_> = runs_of.into_iter().map(|run| tokio::spawn(run.stop())).collect();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(pids.len() == MANY && pids.iter().all(|pid| runs(*pid)), "they get their five seconds");
    for stop in stops {
        stop.await.expect("it stops");
    }
    let took = begin.elapsed();
    assert!(Duration::from_secs(5) <= took && took < Duration::from_secs(15), "{took:?}");
    assert!(!pids.iter().any(|pid| exists(*pid)));
    for _ in 0..MANY {
        let (exit, _) = bench.ended().await;
        assert_eq!((exit.cause, exit.signal), (Cause::Stopped, Some(9)));
    }
}

#[tokio::test]
async fn c010_c015_a_failed_child_is_told_with_its_last_line_and_starts_again() {
    let mut bench = Bench::with_script("echo 'first line' >&2; echo 'it went wrong' >&2; exit 3");
    let run = bench.start(plan());
    for _ in 0..2 {
        let pid = bench.started().await;
        let (exit, restart_in) = bench.ended().await;
        assert_eq!((exit.cause, exit.code, exit.signal), (Cause::Failed, Some(3), None));
        assert_eq!((exit.message.as_str(), restart_in), ("it went wrong", Some(Duration::from_secs(1))));
        assert!(!exists(pid), "reaped");
    }
    run.stop().await;
}

#[tokio::test]
async fn without_reconnect_a_child_is_started_once() {
    let mut bench = Bench::with_script("exit 0");
    let run = bench.start(Plan { reconnect: None, ..plan() });
    let (exit, restart_in) = bench.ended().await;
    assert_eq!((exit.cause, exit.code, restart_in), (Cause::Finished, Some(0), None));
    run.replace(Arc::new(Plan { reconnect: None, ..plan() }), None);
    bench.started().await;
    bench.ended().await;
    run.stop().await;
    assert!(bench.rest().is_empty());
}

#[tokio::test]
async fn a_child_that_somebody_kills_is_back_after_the_delay() {
    let mut bench = Bench::with_script("exec sleep 100");
    let run = bench.start(plan());
    let pid = bench.started().await;
    kill(pid, Signal::KILL);
    let killed = Instant::now();
    let (exit, _) = bench.ended().await;
    assert_eq!((exit.cause, exit.signal), (Cause::Killed, Some(9)));
    assert_ne!(bench.started().await, pid);
    assert!(killed.elapsed() < Duration::from_secs(5));
    run.stop().await;
}

#[tokio::test]
async fn c007_a_silent_child_is_stale() {
    let mut bench = Bench::with_script("exec sleep 100");
    let run = bench.start(Plan { stale: Some(Duration::from_secs(1)), ..plan() });
    let pid = bench.started().await;
    let (exit, restart_in) = bench.ended().await;
    assert_eq!((exit.cause, restart_in.is_some()), (Cause::Stale, true));
    assert!(!exists(pid));
    run.stop().await;
}

#[tokio::test]
async fn a_flood_without_line_ends_stays_bounded_and_can_be_stopped() {
    let mut bench = Bench::with_script("trap '' INT\n while :; do printf 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' >&2; done");
    let run = bench.start(plan());
    let log = bench.log(|line| line.starts_with("xxxx")).await;
    assert!(log.iter().all(|line| line.line.len() == 2000));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    stop(&mut bench, run).await;
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_flood_of_lines_is_told_once_a_second() {
    let mut bench = Bench::with_script("exec yes 'a line' >&2");
    let run = bench.start(plan());
    bench.started().await;
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    run.stop().await;
    let seconds = begin.elapsed().as_secs_f64();
    let logs = bench.rest().into_iter().filter_map(|event| match event {
        Event::Run(process::Event::Log(log)) => Some(log.len()),
        _ => None,
    });
    let logs: Vec<_> = logs.collect();
    assert!(logs.iter().all(|lines| *lines <= 200), "{logs:?}");
    assert!(logs.len() >= 2 && logs.len() as f64 <= seconds + 2.0, "{} logs in {seconds} s", logs.len());
}

#[tokio::test]
async fn characters_that_come_in_two_reads_and_octets_that_are_none_are_shown() {
    let mut bench =
        Bench::with_script("printf 'gr\\303' >&2; sleep 0.2; printf '\\274n\\rbad \\377\\n' >&2; exec sleep 100");
    let run = bench.start(plan());
    let log = bench.log(|line| line.starts_with("bad")).await;
    let lines: Vec<_> = log.iter().map(|line| line.line.as_str()).collect();
    assert_eq!(lines, ["grün", "bad \u{fffd}"]);
    run.stop().await;
}

#[tokio::test]
async fn grandchildren_go_with_the_child_however_it_ends() {
    let body = "sh -c \"trap '' INT HUP; sleep 1000\" & echo $! > grandchild";
    let mut bench = Bench::with_script(&format!("{body}; sleep 0.3; exit 1"));
    let run = bench.start(Plan { reconnect: None, ..plan() });
    let grandchild: u32 = bench.written("grandchild").await.trim().parse().expect("a process id");
    assert!(runs(grandchild));
    bench.ended().await;
    until(|| !runs(grandchild)).await;
    run.stop().await;

    let mut bench = Bench::with_script(&format!("{body}; wait"));
    let run = bench.start(plan());
    let grandchild: u32 = bench.written("grandchild").await.trim().parse().expect("a process id");
    stop(&mut bench, run).await;
    until(|| !runs(grandchild)).await;
}

#[tokio::test]
async fn who_left_the_process_group_and_keeps_the_pipes_does_not_hold_the_end_up() {
    let mut bench = Bench::with_script(
        "setsid sh -c 'echo $$ > deserter; exec sleep 1000' & while ! [ -s deserter ]; do sleep 0.01; done
        echo 'last words' >&2; exit 1",
    );
    let run = bench.start(Plan { reconnect: None, ..plan() });
    let deserter: u32 = bench.written("deserter").await.trim().parse().expect("a process id");
    let (exit, _) = bench.ended().await;
    assert_eq!(exit.message, "last words");
    kill(deserter, Signal::KILL);
    run.stop().await;
}

#[tokio::test]
async fn c008_c009_a_missing_ffmpeg_is_named_and_tried_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::with("no-such-ffmpeg".into(), directory);
    let run = bench.start(plan());
    for _ in 0..2 {
        let (exit, restart_in) = bench.ended().await;
        assert_eq!((exit.cause, exit.code, exit.signal), (Cause::SpawnFailed, None, None));
        assert_eq!(restart_in, Some(Duration::from_secs(1)));
        for word in ["no-such-ffmpeg", "not found", "CORE_FFMPEG_BINARY"] {
            assert!(exit.message.contains(word), "{}", exit.message);
        }
    }
    run.stop().await;
}

#[tokio::test]
async fn an_ffmpeg_that_cannot_be_executed_says_what_to_do() {
    for (mode, content, word) in
        [(0o644, "#!/bin/sh\n", "executable"), (0o755, "#!/no/such/shell\n", "cannot be started")]
    {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ffmpeg");
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("set");
        let mut bench = Bench::with(path.clone(), directory);
        let run = bench.start(plan());
        let (exit, _) = bench.ended().await;
        assert_eq!(exit.cause, Cause::SpawnFailed);
        for word in [word, "CORE_FFMPEG_BINARY", &path.display().to_string()] {
            assert!(exit.message.contains(word), "{word:?} in {}", exit.message);
        }
        run.stop().await;
    }
}

#[tokio::test]
async fn a_working_directory_that_is_gone_is_named() {
    let mut bench = Bench::with_script("exit 0");
    let path = bench.path("");
    std::fs::remove_dir_all(&path).expect("removed");
    let run = bench.start(plan());
    let (exit, _) = bench.ended().await;
    assert_eq!(exit.cause, Cause::SpawnFailed);
    assert!(exit.message.contains("working directory") && exit.message.contains("No such file"), "{}", exit.message);
    run.stop().await;
}

#[tokio::test]
async fn an_ffmpeg_is_found_in_its_own_path() {
    let bench = Bench::with_script("echo found >&2; exec sleep 100");
    let settings = dragonfork::runner::Settings {
        ffmpeg: "ffmpeg.sh".into(),
        directory: "/".into(),
        log_lines: 50,
        environment: vec![("PATH".into(), std::env::join_paths(["/nowhere".into(), bench.path("")]).expect("a path"))],
    };
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let runner = dragonfork::runner::Runner::new(settings, sender).expect("it starts");
    let run = runner.start(Arc::new(plan()), None);
    let (_, event) = events.recv().await.expect("it tells");
    assert!(matches!(event, Event::Command(_)), "{event:?}");
    let (_, event) = events.recv().await.expect("it tells");
    assert!(matches!(event, Event::Run(process::Event::Started(_))), "{event:?}");
    run.stop().await;
}

#[tokio::test]
async fn secrets_in_the_log_are_redacted() {
    let mut bench = Bench::with_script("echo \"$@\" >&2; exec sleep 100");
    let run = bench.start(Plan {
        options: secrets(["-headers", "Authorization: Basic c2VjcmV0MQ==\r\n"]),
        inputs: vec![io("a", "-passphrase secret2secret srt://h:1?streamid=secret3"), io("b", "rtsp://u:secret4@cam/")],
        outputs: vec![io("a", "rtmp://a.example/live2/secret5"), io("b", "{memfs}/harmless.m3u8")],
        ..plan()
    });
    let log = bench.log(|line| line.contains("harmless.m3u8")).await;
    for line in log.iter() {
        assert!(!line.line.contains("secret") && !line.line.contains("c2VjcmV0"), "{}", line.line);
    }
    run.stop().await;
}

#[tokio::test]
async fn another_plan_replaces_the_child_at_once() {
    let mut bench = Bench::with_script("echo \"$@\" >&2; exec sleep 100");
    let run = bench.start(Plan { reconnect: Some(Duration::from_secs(1000)), outputs: vec![io("a", "one")], ..plan() });
    let first = bench.started().await;
    bench.log(|line| line.ends_with("one")).await;
    run.replace(Arc::new(Plan { outputs: vec![io("a", "two")], ..plan() }), None);
    let (exit, restart_in) = bench.ended().await;
    assert_eq!((exit.cause, restart_in), (Cause::Stopped, Some(Duration::ZERO)));
    assert_ne!(bench.started().await, first);
    assert!(!exists(first), "never two at once");
    bench.log(|line| line.ends_with("two")).await;
    run.stop().await;
}

#[tokio::test]
async fn another_policy_leaves_the_child_alone() {
    let mut bench = Bench::with_script("exec sleep 100");
    let run = bench.start(Plan { reconnect: None, ..plan() });
    let pid = bench.started().await;
    run.configure(Arc::new(plan()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(runs(pid) && bench.rest().is_empty());
    kill(pid, Signal::KILL);
    assert_eq!(bench.ended().await.1, Some(Duration::from_secs(1)));
    bench.started().await;
    run.stop().await;
}

#[tokio::test]
async fn a_run_that_is_dropped_is_stopped() {
    let mut bench = Bench::with_script("exec sleep 100");
    let run = bench.start(plan());
    let pid = bench.started().await;
    drop(run);
    assert_eq!(bench.ended().await.0.cause, Cause::Stopped);
    assert!(!exists(pid));
}
