//! The rounds: each connects its viewers once and takes repetitions in turns.

mod allocations;
mod delay;
mod growth;
pub mod joins;
mod processes;
mod senders;

use anyhow::{Context, Result, ensure};

use crate::client::Protection;
use crate::control::Cores;
use crate::parameters::{FULL, Parameters};
use crate::report::Figure;
use crate::rig::{Rig, Slice};

/// The round that takes longer than all the others.
const SOAK: &str = "soak-processes";
const LIMITS: &str = "Limits and memory";
const MICROSECONDS: &str = "µs";

/// A round that measures something.
type Round = fn(&Parameters) -> Result<Vec<Figure>>;

/// Takes every round that is wanted by name, in order; all but the soak where none is named.
pub fn take(parameters: &Parameters, wanted: &[&str], left_out: &mut Vec<String>) -> Result<Vec<Figure>> {
    let rounds: [(&str, Round); 8] = [
        ("sweep", growth::sweep),
        ("streams", growth::streams),
        ("one-core", growth::one_core),
        ("allocations", allocations::allocations),
        ("delay", delay::delay),
        ("joins", joins::joins),
        ("processes", processes::processes),
        (SOAK, processes::soak),
    ];
    let known = |name: &str| name == "senders" || rounds.iter().any(|(round, _)| *round == name);
    for name in wanted {
        ensure!(
            known(name),
            "there is no round {name:?}; there are senders, {}",
            rounds.map(|(name, _)| name).join(", ")
        );
    }
    let is_wanted = |name: &str| wanted.is_empty() && name != SOAK || wanted.contains(&name);
    if wanted != [SOAK] {
        sanity(parameters).context("sanity")?;
    }
    let mut figures = Vec::new();
    if is_wanted("senders") {
        figures.extend(senders::senders(parameters, left_out).context("senders")?);
    }
    for (name, round) in rounds {
        if is_wanted(name) {
            figures.extend(round(parameters).context(name)?);
        }
    }
    Ok(figures)
}

/// Every packet of our gateway can be opened and is what was sent, under each protection.
fn sanity(parameters: &Parameters) -> Result<()> {
    for protection in [Protection::Gcm, Protection::CmSha1] {
        let mut rig = Rig::gateway(1, Cores::All)?;
        rig.grow(3, protection)?;
        rig.open_all()?;
        rig.measure(&FULL, parameters.warm_up)?;
        let slice = rig.measure(&FULL, parameters.slice)?;
        let counted = slice.counted;
        ensure!(
            counted.torn == 0 && counted.missing == 0 && counted.opened == slice.expected,
            "{protection:?}: of {} packets {} came, {} could be opened, and {} were not what was sent",
            slice.expected,
            counted.packets,
            counted.opened,
            counted.torn
        );
        progress(&format!("{protection:?}: {} packets came, could be opened and are what was sent", counted.opened));
    }
    Ok(())
}

fn measure(name: &str, rig: &mut Rig, parameters: &Parameters) -> Result<Slice> {
    let slice = rig.measure(&FULL, parameters.slice)?;
    progress(&format!(
        "{name}: {:.2} µs a packet, {:.0} % of a core, {} of {} packets lost",
        slice.per_packet(),
        slice.cores() * 100.0,
        slice.lost(),
        slice.expected
    ));
    Ok(slice)
}

/// Says at a figure that packets were lost.
fn lossy(figure: Figure, lost: u64) -> Figure {
    if lost == 0 { figure } else { figure.note(format!("{lost} packets were lost")) }
}

/// Says how far it is.
fn progress(line: &str) {
    eprintln!("  {line}");
}
