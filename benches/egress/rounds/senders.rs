//! Our gateway beside the floor, plain `webrtc` and Janus, in turns.

use anyhow::Result;

use super::{MICROSECONDS, lossy, measure, progress};
use crate::client::Protection;
use crate::control::Cores;
use crate::parameters::{FULL, Parameters, targets};
use crate::report::{Figure, Target};
use crate::rig::Rig;

const DELIVERED: &str = "CPU a packet and viewer, beside others";
const UNSPLIT: &str = "The same without the splitting of runs, which a network card would do (viewers with UDP_GRO)";

/// The senders with their viewers, and what they are called.
struct Contest {
    rigs: Vec<(&'static str, Rig)>,
    viewers: usize,
}

/// What each sender's repetitions gave.
struct Turns {
    samples: Vec<Vec<f64>>,
    lost: Vec<u64>,
}

/// Measures all of them, twice: with viewers that get datagrams, and with viewers that take whole runs.
pub fn senders(parameters: &Parameters, left_out: &mut Vec<String>) -> Result<Vec<Figure>> {
    let mut contest = Contest::start(parameters, left_out)?;
    let turns = contest.take_turns(parameters)?;
    let mut figures = contest.figures(DELIVERED, "", &turns, true);
    for (_, rig) in &mut contest.rigs {
        rig.take_runs()?;
    }
    let turns = contest.take_turns(parameters)?;
    figures.extend(contest.figures(UNSPLIT, "/unsplit", &turns, false));
    Ok(figures)
}

impl Contest {
    fn start(parameters: &Parameters, left_out: &mut Vec<String>) -> Result<Self> {
        let ours = Rig::gateway(1, Cores::All)?;
        let mut rigs = vec![("ours", ours), ("floor", Rig::floor()?), ("webrtc", Rig::plain()?)];
        match Rig::janus() {
            Ok(rig) => rigs.push(("janus", rig)),
            Err(error) => left_out.push(format!("Janus: {error:#}")),
        }
        for (name, rig) in &mut rigs {
            rig.grow(parameters.viewers, Protection::Gcm)?;
            rig.measure(&FULL, parameters.warm_up)?;
            progress(&format!("{name}: {} viewers", parameters.viewers));
        }
        Ok(Self { rigs, viewers: parameters.viewers })
    }

    fn take_turns(&mut self, parameters: &Parameters) -> Result<Turns> {
        let mut turns = Turns { samples: vec![Vec::new(); self.rigs.len()], lost: vec![0; self.rigs.len()] };
        for _ in 0..parameters.repetitions {
            for (at, (name, rig)) in self.rigs.iter_mut().enumerate() {
                let slice = measure(name, rig, parameters)?;
                turns.samples[at].push(slice.per_packet());
                turns.lost[at] += slice.lost();
            }
        }
        Ok(turns)
    }

    fn figures(&self, group: &str, kind: &str, turns: &Turns, with_targets: bool) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (at, (name, _)) in self.rigs.iter().enumerate() {
            let what = format!("{}, {} viewers", title(name), self.viewers);
            let name = format!("cpu{kind}/{name}/{}", self.viewers);
            let figure = Figure::new(group, &name, what, MICROSECONDS, &turns.samples[at]);
            let figure = if at == 1 { figure } else { figure.beside("floor", &turns.samples[1]) };
            figures.push(lossy(figure, turns.lost[at]));
        }
        for (at, (name, _)) in self.rigs.iter().enumerate().filter(|(at, _)| *at != 1) {
            let (of, to, other) = if at == 0 { (0, 1, "floor") } else { (at, 0, "ours") };
            let samples: Vec<f64> = turns.samples[of].iter().zip(&turns.samples[to]).map(|(of, to)| of / to).collect();
            let to = if at == 0 { "the floor" } else { "ours" };
            let what = format!("{} relative to {to}", title(name));
            let figure = Figure::new(group, &format!("ratio{kind}/{name}/{other}"), what, "", &samples);
            figures.push(if with_targets { figure.target(target(name)) } else { figure });
        }
        figures
    }
}

fn title(name: &str) -> &str {
    match name {
        "ours" => "Our gateway",
        "floor" => "The floor",
        "webrtc" => "Plain `webrtc`",
        _ => "Janus",
    }
}

fn target(name: &str) -> Target {
    match name {
        "ours" => Target::AtMost(targets::OURS_TO_FLOOR),
        "webrtc" => Target::AtLeast(targets::WEBRTC_TO_OURS),
        _ => Target::AtLeast(targets::JANUS_TO_OURS),
    }
}
