//! Delay, and what one viewer that behaves badly does to the others.

use std::time::Duration;

use anyhow::Result;

use super::{MICROSECONDS, progress};
use crate::client::{Conduct, Protection};
use crate::control::Cores;
use crate::parameters::{FULL, Parameters, targets};
use crate::report::{Figure, Target, percentile};
use crate::rig::Rig;

const DELAY: &str = "Delay from the source to the viewer's socket";

/// What the others' packets wait for when one viewer behaves badly.
pub fn delay(parameters: &Parameters) -> Result<Vec<Figure>> {
    let mut rig = Rig::gateway(1, Cores::All)?;
    rig.grow(parameters.viewers, Protection::Gcm)?;
    rig.watch_delays()?;
    rig.measure(&FULL, parameters.warm_up)?;
    rig.take_delays()?;
    let conducts = [Conduct::Receives, Conduct::DoesNotRead, Conduct::AsksAgain];
    let mut samples = vec![Vec::new(); conducts.len()];
    let mut middles = Vec::new();
    for _ in 0..parameters.repetitions {
        for (at, conduct) in conducts.iter().enumerate() {
            rig.first_viewer(*conduct)?;
            std::thread::sleep(Duration::from_millis(100));
            rig.measure(&FULL, parameters.slice)?;
            let mut delays = rig.take_delays()?;
            samples[at].push(percentile(&mut delays, 99));
            if at == 0 {
                middles.push(percentile(&mut delays, 50));
            }
            progress(&format!("delay, the first viewer {conduct:?}: p99 {:.0} µs", samples[at].last().unwrap_or(&0.0)));
        }
    }
    let viewers = parameters.viewers;
    let figure = |name, what: String, samples: &[f64]| Figure::new(DELAY, name, what, MICROSECONDS, samples);
    let mut figures = vec![
        figure("delay/p50", format!("50 of 100 packets, {viewers} viewers"), &middles),
        figure("delay/p99", format!("99 of 100 packets, {viewers} viewers"), &samples[0]),
        figure("delay/p99/unread", "99 of 100, one viewer does not read its socket".into(), &samples[1]),
        figure("delay/p99/nacks", "99 of 100, one viewer asks for everything again".into(), &samples[2]),
    ];
    for (at, name, what) in [
        (1, "delay/ratio/unread", "With the one that does not read"),
        (2, "delay/ratio/nacks", "With the one that asks"),
    ] {
        let ratios: Vec<f64> = samples[at].iter().zip(&samples[0]).map(|(with, without)| with / without).collect();
        figures.push(
            Figure::new(DELAY, name, format!("{what} relative to without"), "", &ratios)
                .target(Target::AtMost(targets::STALLED_DELAY)),
        );
    }
    Ok(figures)
}
