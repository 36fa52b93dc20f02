//! What is left when the program itself is killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dragonfork::plan::Plan;
use rustix::process::Signal;

use crate::bench::{Bench, io, kill, plan, runs};

/// Set in the program that is killed; it is this test once more.
const VICTIM: &str = "DRAGONFORK_TEST_VICTIM";

/// Starts some FFmpegs, prints their ids, and waits to be killed.
async fn be_the_victim() {
    let mut bench = Bench::new();
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(bench.start(Plan {
            inputs: vec![io("a", "-re -f lavfi testsrc2=size=160x120")],
            outputs: vec![io("a", "-f null -")],
            ..plan()
        }));
        let pid = bench.started().await;
        bench.progress().await;
        eprintln!("pid {pid}");
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn no_ffmpeg_outlives_a_program_that_is_killed() {
    if std::env::var_os(VICTIM).is_some() {
        be_the_victim().await;
    }
    let mut victim = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "orphans::no_ffmpeg_outlives_a_program_that_is_killed", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(victim.stderr.take().expect("it is piped")).lines();
    let pids: Vec<u32> =
        lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("pid ")?.parse().ok()).take(3).collect();
    assert!(pids.len() == 3 && pids.iter().all(|pid| runs(*pid)), "{pids:?}");
    victim.kill().expect("it runs");
    let killed = Instant::now();
    victim.wait().expect("it ended");
    let left = || pids.iter().copied().filter(|pid| runs(*pid)).collect::<Vec<_>>();
    while !left().is_empty() && killed.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = left();
    left.iter().for_each(|pid| kill(*pid, Signal::KILL));
    assert!(left.is_empty(), "{left:?} of {pids:?} are left");
}
