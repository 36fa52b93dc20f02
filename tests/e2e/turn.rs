//! Whose turn it is: the tests of one binary share the machine, and those that measure have it for themselves.

use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Tests that run beside each other.
const PLACES: u32 = 3;

static TURNS: Semaphore = Semaphore::const_new(PLACES as usize);

/// Waits for one of the places.
pub async fn shared() -> SemaphorePermit<'static> {
    TURNS.acquire().await.expect("it is never closed")
}

/// Waits until nobody else runs; first come, first served.
pub async fn alone() -> SemaphorePermit<'static> {
    TURNS.acquire_many(PLACES).await.expect("it is never closed")
}

/// Waits until the machine has time left, for a while at most: what others do on it is no fault of the program.
pub async fn calm() {
    const PATIENCE: Duration = Duration::from_secs(60);
    const LEFT: f64 = 0.25;
    let begin = Instant::now();
    loop {
        let (idle_before, all_before) = ticks();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (idle, all) = ticks();
        if (idle - idle_before) / (all - all_before) > LEFT || begin.elapsed() > PATIENCE {
            return;
        }
    }
}

/// Clock ticks of all processors since the start of the machine: idle ones, and all.
fn ticks() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").expect("this is Linux");
    let line = stat.lines().next().expect("the first line is about all processors");
    let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    (ticks[3] + ticks[4], ticks.iter().sum())
}
