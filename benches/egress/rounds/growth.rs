//! More viewers and more streams: CPU, memory, and what one core serves.

use anyhow::Result;

use super::{LIMITS, MICROSECONDS, lossy, measure, progress};
use crate::client::Protection;
use crate::control::Cores;
use crate::parameters::{FULL, HALF, Parameters, targets};
use crate::report::{Figure, Target, count, median};
use crate::rig::Rig;

const SWEEP: &str = "CPU a packet and viewer, by viewers";
const STREAMS: &str = "CPU a packet and viewer, by streams";

/// Our gateway and the floor with more and more viewers of one stream; and what each viewer's memory is.
pub fn sweep(parameters: &Parameters) -> Result<Vec<Figure>> {
    let (mut ours, mut floor) = (Rig::gateway(1, Cores::All)?, Rig::floor()?);
    let (mut figures, mut resident, mut medians) = (Vec::new(), Vec::new(), Vec::new());
    for &viewers in parameters.sweep {
        for rig in [&mut ours, &mut floor] {
            rig.grow(viewers, Protection::Gcm)?;
            rig.measure(&FULL, parameters.warm_up)?;
        }
        let (mut samples, mut beside, mut lost) = (Vec::new(), Vec::new(), 0);
        for _ in 0..parameters.sweep_repetitions {
            let slice = measure(&format!("ours, {}", count(viewers, "viewer")), &mut ours, parameters)?;
            samples.push(slice.per_packet());
            lost += slice.lost();
            beside.push(measure(&format!("floor, {}", count(viewers, "viewer")), &mut floor, parameters)?.per_packet());
        }
        resident.push((viewers, ours.resident()?));
        medians.push((viewers, median(&samples)));
        let (name, what) = (format!("sweep/ours/{viewers}"), format!("Our gateway, {}", count(viewers, "viewer")));
        let figure = Figure::new(SWEEP, &name, what, MICROSECONDS, &samples).beside("floor", &beside);
        figures.push(lossy(figure, lost));
    }
    figures.extend(flat(SWEEP, "sweep/flat", "viewers", &medians, parameters.viewers));
    let from = resident.iter().find(|(viewers, _)| *viewers >= parameters.viewers);
    if let (Some((few, less)), Some((many, more))) = (from, resident.last())
        && many > few
    {
        let each = more.saturating_sub(*less) as f64 / (many - few) as f64 / 1000.0;
        let what = format!("Memory a viewer, between {few} and {many}");
        figures.push(Figure::new(LIMITS, "memory/ours", what, "kB", &[each]).target(Target::AtMost(targets::MEMORY)));
    }
    Ok(figures)
}

/// The largest count relative to the one that it is compared with.
fn flat(group: &str, name: &str, of: &str, medians: &[(usize, f64)], from: usize) -> Option<Figure> {
    let (few, less) = medians.iter().find(|(count, _)| *count >= from)?;
    let (many, more) = medians.last().filter(|(many, _)| many > few)?;
    let what = format!("{many} {of} relative to {few}");
    Some(Figure::new(group, name, what, "", &[more / less]).target(Target::AtMost(targets::FLAT)))
}

/// More and more streams: with as many viewers of each, and with the same viewers spread over them.
pub fn streams(parameters: &Parameters) -> Result<Vec<Figure>> {
    let each = parameters.stream_viewers;
    let (mut figures, medians) = spread(parameters, "each", |streams| each * streams)?;
    figures.extend(flat(STREAMS, "streams/each/flat", &format!("streams with {each} viewers each"), &medians, 1));
    let (spread, _) = spread(parameters, "spread", |_| parameters.viewers)?;
    figures.extend(spread);
    Ok(figures)
}

/// What was measured at each count.
type Medians = Vec<(usize, f64)>;

/// So many viewers of so many streams: the figures, and the median of each count of streams.
fn spread(parameters: &Parameters, name: &str, viewers: impl Fn(usize) -> usize) -> Result<(Vec<Figure>, Medians)> {
    let mut rigs = Vec::new();
    for &streams in parameters.streams {
        let mut rig = Rig::gateway(streams, Cores::All)?;
        rig.grow(viewers(streams), Protection::Gcm)?;
        rig.measure(&FULL, parameters.warm_up)?;
        rigs.push((streams, rig, Vec::new(), 0));
    }
    for _ in 0..parameters.sweep_repetitions {
        for (streams, rig, samples, lost) in &mut rigs {
            let what = format!("ours, {} viewers of {}", viewers(*streams), count(*streams, "stream"));
            let slice = measure(&what, rig, parameters)?;
            samples.push(slice.per_packet());
            *lost += slice.lost();
        }
    }
    let figure = |(streams, _, samples, lost): &(usize, Rig, Vec<f64>, u64)| {
        let what = format!("Our gateway, {} viewers of {}", viewers(*streams), count(*streams, "stream"));
        lossy(Figure::new(STREAMS, &format!("streams/{name}/{streams}"), what, MICROSECONDS, samples), *lost)
    };
    let medians = rigs.iter().map(|(streams, _, samples, _)| (*streams, median(samples))).collect();
    Ok((rigs.iter().map(figure).collect(), medians))
}

/// How many viewers of 2 Mb/s one core serves.
pub fn one_core(parameters: &Parameters) -> Result<Vec<Figure>> {
    let (begin, step, end) = parameters.one_core;
    let mut rig = Rig::gateway(1, Cores::First)?;
    let (mut served, mut used, mut fails) = (0, 0.0, None);
    for viewers in (begin..=end).step_by(step) {
        rig.grow(viewers, Protection::Gcm)?;
        rig.measure(&HALF, parameters.warm_up)?;
        let mut slice = rig.measure(&HALF, parameters.slice)?;
        if slice.lost() > 0 {
            slice = rig.measure(&HALF, parameters.slice)?;
        }
        progress(&format!(
            "one core, {viewers} viewers: {} of {} packets lost ({} by the load client), {:.0} % of the core",
            slice.lost(),
            slice.expected,
            slice.counted.dropped,
            slice.cores() * 100.0
        ));
        if slice.lost() > 0 {
            fails = Some((viewers, slice));
            break;
        }
        (served, used) = (viewers, slice.cores());
    }
    let note = match &fails {
        None => format!("the search ends there, at {:.0} % of the core", used * 100.0),
        Some((viewers, slice)) if slice.counted.dropped > 0 => {
            format!("at {viewers} the load client cannot follow; the core was used by {:.0} %", slice.cores() * 100.0)
        }
        Some((viewers, slice)) => {
            format!("at {viewers} there is loss, with {:.0} % of the core", slice.cores() * 100.0)
        }
    };
    let what = "Viewers of one stream on one core without loss";
    let mut figures = vec![
        Figure::new(LIMITS, "one_core/viewers", what, "", &[served as f64])
            .target(Target::AtLeast(targets::ONE_CORE_VIEWERS))
            .note(note),
    ];
    if let Some((viewers, _)) = fails {
        figures.push(Figure::new(LIMITS, "one_core/loss", "Viewers at which loss begins", "", &[viewers as f64]));
    }
    Ok(figures)
}
