//! What is left when the test binary itself is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::child::{descendants, is_alive, until};
use crate::keeper;
use crate::plane::{With, own, programs_for};

/// Set in the binary that is killed; it is this test once more.
const VICTIM: &str = "DRAGONFORK_TEST_VICTIM";

/// Starts a control plane, prints where it is and what runs, and waits to be killed.
async fn be_the_victim() {
    let plane = own(With::Controllers).await.expect("the test that started this has one");
    eprintln!("folder {}", keeper::folder().display());
    for id in descendants(std::process::id()) {
        eprintln!("pid {id}");
    }
    eprintln!("all");
    std::future::pending::<()>().await;
    drop(plane);
}

#[tokio::test]
async fn nothing_of_a_control_plane_outlives_a_test_that_is_killed() {
    if std::env::var_os(VICTIM).is_some() {
        be_the_victim().await;
    }
    if programs_for(With::Controllers).is_none() {
        return;
    }
    let mut victim = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "orphans::nothing_of_a_control_plane_outlives_a_test_that_is_killed", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(victim.stderr.take().expect("it is piped")).lines();
    let said: Vec<String> = lines.map_while(Result::ok).take_while(|line| line != "all").collect();
    let ids: Vec<u32> = said.iter().filter_map(|line| line.strip_prefix("pid ")?.parse().ok()).collect();
    let folder = said.iter().find_map(|line| line.strip_prefix("folder ")).expect("it says its folder");
    assert!(ids.len() >= 4 && ids.iter().all(|id| is_alive(*id)) && Path::new(folder).exists(), "{said:?}");
    victim.kill().expect("it runs");
    victim.wait().expect("it ended");
    until("what it had started ends", || !ids.iter().any(|id| is_alive(*id))).await;
    assert!(!Path::new(folder).exists());
}
