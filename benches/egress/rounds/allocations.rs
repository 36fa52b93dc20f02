//! What a packet allocates in the gateway.

use anyhow::Result;

use super::{LIMITS, progress};
use crate::client::Protection;
use crate::control::Cores;
use crate::parameters::{DOUBLE, DRAIN, FULL, Parameters, targets};
use crate::report::{Figure, Target, median};
use crate::rig::Rig;

/// Allocations and packets of one window.
type Window = (f64, f64);

/// What more packets allocate more: timers and reports do the same in both, for every window is as long as a whole
/// number of their intervals, and viewers send no reports.
pub fn allocations(parameters: &Parameters) -> Result<Vec<Figure>> {
    let mut rig = Rig::gateway(1, Cores::All)?;
    rig.grow(parameters.viewers, Protection::Gcm)?;
    rig.no_reports()?;
    rig.count_allocations()?;
    let mut windows: [Vec<Window>; 2] = Default::default();
    for (windows, shape) in windows.iter_mut().zip([FULL, DOUBLE]) {
        rig.measure(&shape, parameters.fill)?;
        for _ in 0..parameters.sweep_repetitions {
            let before = total(&rig.allocations()?);
            let slice = rig.measure(&shape, parameters.window - DRAIN)?;
            let threads = rig.allocations()?;
            let made = total(&threads) - before;
            windows.push((made as f64, slice.counted.packets as f64));
            progress(&format!(
                "allocations: {made} for {} packets; by thread so far {threads:?}",
                slice.counted.packets
            ));
        }
    }
    let pairs = windows[0].iter().zip(&windows[1]);
    let samples: Vec<f64> = pairs.map(|(few, many)| (many.0 - few.0) / (many.1 - few.1)).collect();
    let all: Vec<f64> = windows[0].iter().map(|(made, packets)| made / packets).collect();
    progress(&format!("allocations: {:.4} a packet, {:.4} with timers and reports", median(&samples), median(&all)));
    let figure = Figure::new(LIMITS, "allocations/ours", "Allocations a packet and viewer", "", &samples)
        .beside("with timers and reports", &all)
        .target(Target::AtMost(targets::ALLOCATIONS));
    Ok(vec![figure])
}

fn total(threads: &[(String, u64)]) -> u64 {
    threads.iter().map(|(_, count)| count).sum()
}
