//! The probe: what FFmpeg is started with to see the streams of inputs before the process itself is started.

use super::{Io, Plan, Secret};
use crate::crd::{AudioCodec, VideoCodec};

/// The probe of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// FFmpeg's arguments. A moment of each first picture stream comes as `framecrc` on standard output, where
    /// presentation times that go back show B-frames.
    pub argv: Vec<Secret>,
    /// Number within the plan of each input of the probe, in the probe's order.
    pub inputs: Vec<usize>,
}

/// Global options that name streams of inputs, with one value each; the probe has other inputs and no use for them.
const GRAPHS: [&str; 3] = ["-filter_complex", "-lavfi", "-filter_complex_script"];

/// FFmpeg's arguments to look at inputs and do nothing with them.
pub fn look(options: &[Secret], inputs: &[Io]) -> Vec<Secret> {
    let mut argv = without(options, &GRAPHS, &[]);
    for Io { id: _, address, options, files: _ } in inputs {
        argv.extend(without(options, &["-readrate"], &["-re"]));
        argv.extend([Secret::new("-i"), address.clone()]);
    }
    argv
}

impl Plan {
    /// The probe that has to come before the choice of the legs; `None` where there is nothing to find out: no egress,
    /// a manifest that leaves no choice, or only inputs that listen.
    pub fn probe(&self) -> Option<Probe> {
        let egress = self.egress.as_ref()?;
        let settled = egress.video.codec == VideoCodec::None
            || egress.video.codec == VideoCodec::H264 && egress.video.map.is_some();
        let settled = settled
            && (egress.audio.codec == AudioCodec::None
                || egress.audio.codec == AudioCodec::Opus && egress.audio.map.is_some());
        let inputs: Vec<usize> = (0..self.inputs.len()).filter(|input| !self.inputs[*input].listens()).collect();
        if settled || inputs.is_empty() {
            return None;
        }
        let mut argv = Vec::new();
        // Options that stand before the first input belong to it.
        if inputs.first() == Some(&0) {
            argv.extend(without(&self.options, &GRAPHS, &[]));
        }
        for input in &inputs {
            let input = &self.inputs[*input];
            argv.extend(without(&input.options, &["-readrate"], &["-re"]));
            argv.extend([Secret::new("-i"), input.address.clone()]);
        }
        for number in 0..inputs.len() {
            argv.extend([Secret::new("-map"), Secret::new(format!("{number}:v:0?"))]);
        }
        let tail = ["-c", "copy", "-an", "-sn", "-dn", "-t", "2", "-frames:v", "50", "-f", "framecrc", "pipe:1"];
        argv.extend(tail.map(Secret::new));
        Some(Probe { argv, inputs })
    }
}

/// The options without some that take a value and some that take none.
fn without(options: &[Secret], valued: &[&str], bare: &[&str]) -> Vec<Secret> {
    let mut kept = Vec::new();
    let mut options = options.iter();
    while let Some(option) = options.next() {
        if valued.contains(&option.expose()) {
            options.next();
        } else if !bare.contains(&option.expose()) {
            kept.push(option.clone());
        }
    }
    kept
}
