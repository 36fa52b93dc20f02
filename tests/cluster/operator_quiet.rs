//! An operator that has nothing to do does nothing.

use std::time::{Duration, Instant};

use crate::operator_program::{ALONE, Operator, Space, playable};
use crate::plane::{With, own};

/// For so long nothing may be written.
const QUIET: Duration = Duration::from_secs(20);
const PROCESSES: usize = 5;

/// Waits until an operator has written nothing for a while.
async fn settled(operator: &Operator) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut last = (operator.writes().await, Instant::now());
    while last.1.elapsed() < Duration::from_secs(3) {
        assert!(Instant::now() < deadline, "it does not come to rest: {}", operator.child.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = operator.writes().await;
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes_nor_after_a_restart() {
    // Where there are controllers, they write to the same objects.
    let Some(plane) = own(With::ApiServer).await else { return };
    let plane = &plane;
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let operator = Operator::start(plane, &namespace.name);
    for number in 0..PROCESSES {
        space.create(&playable(&format!("cam-{number}"))).await;
    }
    for number in 0..PROCESSES {
        space.applied(&format!("cam-{number}")).await;
    }
    settled(&operator).await;
    let (writes, versions) = (operator.writes().await, space.versions().await);
    assert!(writes > 0.0 && versions.len() >= PROCESSES * 5, "{writes} {versions:?}");
    tokio::time::sleep(QUIET).await;
    assert_eq!((operator.writes().await, space.versions().await), (writes, versions.clone()));

    let operator = operator.restart(plane, &namespace.name, &[ALONE]).await;
    operator.ready().await;
    space
        .until("every process is looked at", async |_| {
            (operator.figure("controller_runtime_reconcile_total{", |_| true).await >= PROCESSES as f64).then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(operator.writes().await, 0.0, "{}", operator.child.log());
    assert_eq!(space.versions().await, versions);
}
