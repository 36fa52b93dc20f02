//! Of several operators one works.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::operator_program::{Operator, Space, playable};
use crate::plane::{With, shared};

/// Waits until one of these leads; its place among them, and how long it took.
async fn leader(operators: &[Operator]) -> (usize, Duration) {
    let start = Instant::now();
    loop {
        for (place, operator) in operators.iter().enumerate() {
            if operator.leads().await {
                return (place, start.elapsed());
            }
        }
        let logs: Vec<String> = operators.iter().map(|operator| operator.child.log()).collect();
        assert!(start.elapsed() < Duration::from_secs(60), "nobody leads: {logs:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn another_operator_goes_on_where_the_leader_is_gone() {
    let Some(plane) = shared(With::ApiServer).await else { return };
    plane.define().await;
    let namespace = plane.namespace().await;
    let space = Space::new(plane, &namespace.name).await;
    let mut operators: Vec<Operator> = (0..3).map(|_| Operator::start_with(plane, &namespace.name, &[])).collect();
    let (first, _) = leader(&operators).await;
    for operator in &operators {
        operator.ready().await;
    }
    space.create(&playable("one")).await;
    space.applied("one").await;

    let killed = operators.remove(first);
    killed.child.signal(Signal::KILL);
    drop(killed);
    let (second, took) = leader(&operators).await;
    assert!(took <= Duration::from_secs(20), "{took:?}");
    space.create(&playable("two")).await;
    space.applied("two").await;
    assert!(!operators[1 - second].leads().await, "one leads, and no more");

    let mut ended = operators.remove(second);
    ended.child.signal(Signal::TERM);
    let (_, took) = leader(&operators).await;
    assert!(took <= Duration::from_secs(2), "{took:?}");
    let status = ended.child.end_within(Duration::from_secs(10)).await.expect("it ends");
    assert!(status.success(), "{status}");
    space.create(&playable("three")).await;
    space.applied("three").await;
}
