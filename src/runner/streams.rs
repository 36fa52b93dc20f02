//! The streams of a run as people are shown them: what FFmpeg reports, under the names that the plan has for it.

use crate::plan::{Detail, Details, Io, Plan};
use crate::process::{Figures, Redactor, Stream, Streams};

/// The same streams under the names of the plan.
pub fn named(streams: &Streams, plan: &Plan, redactor: &Redactor) -> Streams {
    let mut named = streams.clone();
    let Streams { inputs, outputs } = &mut named;
    for (streams, side) in [(inputs, Side::Input), (outputs, Side::Output)] {
        for stream in streams {
            (stream.id, stream.address) = name(plan, redactor, side, stream.index, &stream.kind);
        }
    }
    named
}

/// What is shown of these streams. Figures that are known already are kept.
pub fn describe(details: &Details, plan: &Plan, redactor: &Redactor, known: &Streams) -> Streams {
    let streams = |side: Side, details: &[Detail], known: &[Stream]| {
        let stream = |detail: &Detail| {
            let is_same = |known: &&Stream| (known.index, known.stream) == (detail.number, detail.index);
            let figures = known.iter().find(is_same).map(|known| known.figures).unwrap_or_default();
            stream(detail, name(plan, redactor, side, detail.number, &detail.kind), figures)
        };
        details.iter().map(stream).collect()
    };
    Streams {
        inputs: streams(Side::Input, &details.inputs, &known.inputs),
        outputs: streams(Side::Output, &details.outputs, &known.outputs),
    }
}

/// A stream of an input that is looked at, with its codec for a coder.
pub fn probed(detail: &Detail, inputs: &[Io], redactor: &Redactor) -> Stream {
    let names = match inputs.get(detail.number) {
        Some(Io { id, address, options: _, files: _ }) => (id.clone(), redactor.redact(address.expose())),
        None => Default::default(),
    };
    Stream { coder: detail.codec.clone(), ..stream(detail, names, Figures::default()) }
}

#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

/// Name and address of an input or output by its number; behind the outputs of the plan come the egress legs.
fn name(plan: &Plan, redactor: &Redactor, side: Side, number: usize, kind: &str) -> (String, String) {
    let ios = match side {
        Side::Input => &plan.inputs,
        Side::Output => &plan.outputs,
    };
    match (ios.get(number), side) {
        (Some(Io { id, address, options: _, files: _ }), _) => (id.clone(), redactor.redact(address.expose())),
        (None, Side::Input) => Default::default(),
        (None, Side::Output) => (format!("webrtc-{kind}"), "webrtc".into()),
    }
}

fn stream(detail: &Detail, (id, address): (String, String), figures: Figures) -> Stream {
    let Detail {
        number,
        index,
        format,
        kind,
        codec,
        coder,
        language,
        duration,
        bitrate,
        rate,
        pix_fmt,
        width,
        height,
        sampling_hz,
        layout,
        channels,
    } = detail.clone();
    Stream {
        id,
        address,
        index: number,
        stream: index,
        format,
        kind,
        codec,
        coder,
        language,
        duration,
        rate,
        declared_bitrate: bitrate,
        pix_fmt,
        width,
        height,
        sampling_hz,
        layout,
        channels,
        figures,
    }
}
