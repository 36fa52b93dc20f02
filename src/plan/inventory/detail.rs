//! What people are shown of the streams of a run, from FFmpeg's own report.

use super::{channels, leading_number, stream_number};

/// The streams of inputs and outputs, in the order of FFmpeg's report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Streams of the inputs.
    pub inputs: Vec<Detail>,
    /// Streams of the outputs.
    pub outputs: Vec<Detail>,
    format: String,
    duration: f64,
}

/// One stream. What FFmpeg does not say is empty or 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detail {
    /// Number of the input or output.
    pub number: usize,
    /// Number of the stream within it.
    pub index: usize,
    /// Container, such as `mpegts`.
    pub format: String,
    /// `video`, `audio`, `subtitle`, `data` or `attachment`.
    pub kind: String,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// FFmpeg's name of the decoder or encoder; `copy` where there is none.
    pub coder: String,
    /// Language, such as `eng`.
    pub language: String,
    /// Seconds, of an input that has an end.
    pub duration: f64,
    /// Bits a second.
    pub bitrate: f64,
    /// Frames a second.
    pub rate: f64,
    /// Pixel format.
    pub pix_fmt: String,
    /// Columns of the picture.
    pub width: u32,
    /// Lines of the picture.
    pub height: u32,
    /// Samples a second.
    pub sampling_hz: u32,
    /// Layout of the channels.
    pub layout: String,
    /// Channels.
    pub channels: u32,
}

/// Which side of FFmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Input,
    Output,
}

impl Details {
    /// Takes a heading such as `Input #0, flv, from 'x':`, of which the number is known already.
    pub(super) fn handle_heading(&mut self, side: Side, text: &str) {
        let end = match side {
            Side::Input => ", from '",
            Side::Output => ", to '",
        };
        let format = text.split_once(", ").and_then(|(_, rest)| Some(rest.split_once(end)?.0));
        self.format = format.unwrap_or_default().to_owned();
        self.duration = 0.0;
    }

    /// Takes a line such as `Duration: 00:01:02.28, start: 0.000000`.
    pub(super) fn handle_duration(&mut self, text: &str) {
        let mut parts =
            text.split(',').next().unwrap_or_default().trim().split(':').map(|part| part.parse::<f64>().ok());
        let mut part = || parts.next().flatten();
        if let (Some(hours), Some(minutes), Some(seconds)) = (part(), part(), part()) {
            self.duration = hours * 3600.0 + minutes * 60.0 + seconds;
        }
    }

    /// Takes what follows `Stream #` among the lines of this input or output.
    pub(super) fn handle_stream(&mut self, side: Side, number: usize, text: &str) {
        let Some(mut detail) = read(text).filter(|detail| detail.number == number) else { return };
        detail.format.clone_from(&self.format);
        detail.duration = if side == Side::Input { self.duration } else { 0.0 };
        let side = self.side(side);
        let known = side.iter().position(|known| (known.number, known.index) == (detail.number, detail.index));
        match known {
            Some(at) => side[at] = detail,
            None => side.push(detail),
        }
    }

    /// Takes a line of the list of which stream goes where, such as `Stream #0:0 -> #0:0 (h264 (native) -> vp8 (libvpx))`.
    pub(super) fn handle_mapping(&mut self, line: &str, coders: &mut Vec<Coder>) {
        let Some((from, to)) = line.split_once(" -> ") else { return };
        let origin = from.strip_prefix("Stream #").and_then(stream_number);
        let Some(((number, index), coding)) =
            to.trim_start_matches("Stream ").strip_prefix('#').and_then(stream_number)
        else {
            // Into a filter graph, with the decoder behind the stream's number.
            coders.extend(origin.map(|((number, index), decoder)| {
                let decoder = decoder.trim().trim_matches(['(', ')']).to_owned();
                Coder { side: Side::Input, number, index, coder: decoder }
            }));
            return;
        };
        let coding = coding.trim().trim_start_matches('(');
        let (decoder, encoder) = coding.split_once(" -> ").unwrap_or((coding, coding));
        coders.push(Coder { side: Side::Output, number, index, coder: coder(encoder) });
        if let Some(((number, index), _)) = origin {
            coders.push(Coder { side: Side::Input, number, index, coder: coder(decoder) });
        }
    }

    /// Takes what the list said of the coders over, wherever the streams are known.
    pub(super) fn apply(&mut self, coders: &[Coder]) {
        for Coder { side, number, index, coder } in coders {
            let side = self.side(*side);
            if let Some(detail) = side.iter_mut().find(|detail| (detail.number, detail.index) == (*number, *index)) {
                detail.coder.clone_from(coder);
            }
        }
    }

    fn side(&mut self, side: Side) -> &mut Vec<Detail> {
        match side {
            Side::Input => &mut self.inputs,
            Side::Output => &mut self.outputs,
        }
    }
}

/// What decodes or encodes a stream.
#[derive(Debug)]
pub(super) struct Coder {
    side: Side,
    number: usize,
    index: usize,
    coder: String,
}

/// `h264 (libx264)` is `libx264`, `h264 (native)` is `h264`.
fn coder(text: &str) -> String {
    let text = text.trim_end_matches(')');
    match text.split_once(" (") {
        Some((codec, "native")) => codec.to_owned(),
        Some((_, coder)) => coder.to_owned(),
        None => text.to_owned(),
    }
}

fn read(text: &str) -> Option<Detail> {
    let ((number, index), mut rest) = stream_number(text)?;
    let mut language = "";
    while let Some((inner, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        (_, rest) = (inner, after);
    }
    if let Some((inner, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        (language, rest) = (inner, after);
    }
    let (kind, description) = rest.split_once(": ")?.1.split_once(": ")?;
    let items = items(description);
    let mut detail = Detail {
        number,
        index,
        kind: kind.to_lowercase(),
        language: language.to_owned(),
        codec: items.first()?.split(' ').next()?.to_owned(),
        ..Detail::default()
    };
    detail.coder = "copy".into();
    let amount = |unit: &str| items.iter().find_map(|item| amount(item, unit)).unwrap_or_default();
    detail.bitrate = amount(" kb/s") * 1000.0;
    match kind {
        "Video" => {
            detail.rate = amount(" fps");
            let size = items.iter().enumerate().find_map(|(at, item)| Some((at, size(item)?)));
            if let Some((at, (width, height))) = size {
                (detail.width, detail.height) = (width, height);
                let format = items.get(1).filter(|_| at > 1).and_then(|format| format.split('(').next());
                detail.pix_fmt = format.unwrap_or_default().to_owned();
            }
        }
        "Audio" => {
            if let Some(at) = items.iter().position(|item| item.ends_with(" Hz")) {
                detail.sampling_hz = items[at].trim_end_matches(" Hz").parse().unwrap_or_default();
                detail.layout = items.get(at + 1).map(|layout| (*layout).to_owned()).unwrap_or_default();
                detail.channels = channels(&detail.layout);
            }
        }
        _ => {}
    }
    Some(detail)
}

/// Splits at commas that stand in no brackets.
fn items(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    items.push(text[begin..].trim());
    items
}

/// The number before a unit, with `k` for thousands.
fn amount(item: &str, unit: &str) -> Option<f64> {
    let (number, rest) = item.split_once(unit)?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let (number, times) = number.strip_suffix('k').map_or((number, 1.0), |number| (number, 1000.0));
    Some(number.parse::<f64>().ok().filter(|number| number.is_finite())? * times)
}

/// `2560x1440 [SAR 1:1 DAR 16:9]`.
fn size(item: &str) -> Option<(u32, u32)> {
    let (width, height) = item.split(' ').next()?.split_once('x')?;
    let is_number = |text: &str| leading_number(text).is_some() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(width) && is_number(height)).then(|| Some((width.parse().ok()?, height.parse().ok()?)))?
}
