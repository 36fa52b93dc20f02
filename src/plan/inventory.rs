//! FFmpeg's own report -> what is known of its inputs.

mod detail;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::choice::Specifier;
use super::{Inventory, MediaKind, Stream};
use detail::{Coder, Side};

pub use detail::{Detail, Details};

/// Reads FFmpeg's report (its log at level `info`, with or without level prefixes, of FFmpeg 4 to 8) and gathers the
/// streams of its inputs.
///
/// An input is open once its heading came, and known once FFmpeg went on to something else.
#[derive(Debug, Default)]
pub struct Report {
    inventory: Inventory,
    details: Details,
    coders: Vec<Coder>,
    open_inputs: usize,
    /// For each stream of the first output, in order, the input and stream that it is made of.
    mapping: BTreeMap<usize, (usize, usize)>,
    place: Place,
    /// Indentation of the `Metadata:` heading that the line may belong to.
    metadata: Option<usize>,
    /// FFmpeg is done with its inputs: whatever looks like one of them now is not.
    is_past_inputs: bool,
}

/// Where in the report the next line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nowhere of interest.
    #[default]
    Elsewhere,
    /// On FFmpeg's command line.
    CommandLine,
    /// In the heading of an input whose address has several lines.
    Heading(usize),
    /// Among the lines of this input.
    Input(usize),
    /// Among the lines of this output.
    Output(usize),
    /// In the list of which stream goes where.
    Mapping,
}

impl Report {
    /// What is known until now.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What people are shown of the streams, until now.
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// Number of inputs that are open.
    pub fn open_inputs(&self) -> usize {
        self.open_inputs
    }

    /// Takes the next line.
    pub fn handle_line(&mut self, line: &str) {
        match self.place {
            Place::CommandLine => self.place = Place::Elsewhere,
            Place::Heading(input) if line.ends_with("':") => self.place = Place::Input(input),
            Place::Heading(_) => {}
            _ => {
                let text = without_prefix(line);
                match text.chars().next() {
                    Some(first) if first.is_whitespace() => self.handle_indented(text),
                    // A component's remark belongs to nothing and ends nothing.
                    Some('[') | None => {}
                    Some(_) => self.handle_heading(text),
                }
            }
        }
    }

    /// FFmpeg exited by itself: nothing comes any more.
    pub fn handle_end(&mut self) {
        self.leave();
    }

    /// Takes over what was seen of the order of the frames that FFmpeg wrote.
    pub fn handle_order(&mut self, order: &FrameOrder) {
        for (output, (input, index)) in &self.mapping {
            let stream =
                self.inventory.streams.iter_mut().find(|stream| (stream.input, stream.index) == (*input, *index));
            if let Some(stream) = stream {
                stream.reordered = order.is_reordered(*output);
            }
        }
    }

    fn handle_heading(&mut self, text: &str) {
        self.leave();
        if let Some(input) = text.strip_prefix("Input #").and_then(leading_number).filter(|_| !self.is_past_inputs) {
            self.open_inputs += 1;
            self.details.handle_heading(Side::Input, text);
            self.place = if text.ends_with("':") { Place::Input(input) } else { Place::Heading(input) };
        } else if text.starts_with("Stream mapping:") {
            self.is_past_inputs = true;
            self.place = Place::Mapping;
        } else if let Some(output) = text.strip_prefix("Output #").and_then(leading_number) {
            self.is_past_inputs = true;
            self.details.handle_heading(Side::Output, text);
            self.place = Place::Output(output);
        } else if text.starts_with("Command line:") && self.open_inputs == 0 {
            self.place = Place::CommandLine;
        }
    }

    fn handle_indented(&mut self, text: &str) {
        let line = text.trim_start();
        let indentation = text.len() - line.len();
        // FFmpeg before 4.4 indents the streams of an output as its metadata.
        let is_output = matches!(self.place, Place::Output(_)) && line.starts_with("Stream #");
        if !is_output && self.metadata.is_some_and(|heading| indentation > heading) {
            return;
        }
        self.metadata = (line.trim_end() == "Metadata:").then_some(indentation);
        match (self.place, line.strip_prefix("Stream #")) {
            (Place::Input(input), Some(rest)) => {
                if let Some(stream) = stream(rest).filter(|stream| stream.input == input) {
                    self.inventory.streams.retain(|known| (known.input, known.index) != (input, stream.index));
                    self.inventory.streams.push(stream);
                }
                self.details.handle_stream(Side::Input, input, rest);
            }
            (Place::Output(output), Some(rest)) => {
                self.details.handle_stream(Side::Output, output, rest);
                self.details.apply(&self.coders);
            }
            (Place::Input(input), None) => {
                if let Some(duration) = line.strip_prefix("Duration: ") {
                    self.details.handle_duration(duration);
                }
                if let Some(degrees) = line.strip_prefix("displaymatrix: rotation of ")
                    && let Some(stream) = self.inventory.streams.last_mut().filter(|stream| stream.input == input)
                {
                    stream.is_turned = leading_degrees(degrees).is_some_and(|degrees| degrees.abs() >= 1.0);
                }
            }
            (Place::Mapping, rest) => {
                self.details.handle_mapping(line, &mut self.coders);
                self.details.apply(&self.coders);
                let Some(rest) = rest else { return };
                if let Some((from, to)) = rest.split_once(" -> #")
                    && let (Some((from, _)), Some(((0, to), _))) = (stream_number(from), stream_number(to))
                {
                    self.mapping.insert(to, from);
                }
            }
            _ => {}
        }
    }

    /// The part that the last lines belonged to is over.
    fn leave(&mut self) {
        if let Place::Input(input) = self.place {
            self.inventory.known.insert(input);
        }
        self.place = Place::Elsewhere;
        self.metadata = None;
    }
}

/// Degrees of a display matrix, such as `-90.00 degrees`.
fn leading_degrees(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Watches the order of frames in FFmpeg's `framecrc` output, whose lines are `stream, dts, pts, duration, size, hash`
/// in the order of decoding.
#[derive(Debug, Default)]
pub struct FrameOrder {
    streams: BTreeMap<usize, Seen>,
}

#[derive(Debug)]
struct Seen {
    frames: usize,
    newest: i64,
    is_reordered: bool,
}

impl FrameOrder {
    /// Frames after which a stream without B-frames is believed.
    const ENOUGH: usize = 3;

    /// Takes the next line.
    pub fn handle_line(&mut self, line: &str) {
        let mut columns = line.split(',').map(str::trim);
        let (Some(stream), Some(Ok(pts))) = (columns.next().and_then(leading_number), columns.nth(1).map(str::parse))
        else {
            return;
        };
        if pts == i64::MIN {
            return;
        }
        let seen = self.streams.entry(stream).or_insert(Seen { frames: 0, newest: pts, is_reordered: false });
        seen.frames += 1;
        seen.is_reordered |= pts < seen.newest;
        seen.newest = seen.newest.max(pts);
    }

    /// Whether frames of this output stream are shown in another order than they are decoded; `None` where too few came.
    pub fn is_reordered(&self, stream: usize) -> Option<bool> {
        let seen = self.streams.get(&stream)?;
        (seen.is_reordered || seen.frames >= Self::ENOUGH).then_some(seen.is_reordered)
    }
}

impl Inventory {
    /// Takes over what was seen of inputs, in place of what was known of them. Only the order of frames, which not
    /// every look shows, is kept of a stream with the same codec and profile.
    pub fn learn(&mut self, seen: &Self) {
        let is_seen = |stream: &mut Stream| seen.known.contains(&stream.input);
        let old: Vec<Stream> = self.streams.extract_if(.., is_seen).collect();
        for stream in seen.streams.iter().filter(|stream| seen.known.contains(&stream.input)) {
            let is_same = |old: &&Stream| {
                (old.input, old.kind, &old.codec, &old.profile)
                    == (stream.input, stream.kind, &stream.codec, &stream.profile)
            };
            let reordered = stream.reordered.or_else(|| old.iter().find(is_same)?.reordered);
            self.streams.push(Stream { reordered, ..stream.clone() });
        }
        self.streams.sort_by_key(|stream| (stream.input, stream.index));
        self.known.extend(&seen.known);
    }

    /// The same inventory with the inputs numbered as `inputs` says.
    pub fn renumbered(&self, inputs: &[usize]) -> Self {
        let number = |input: usize| inputs.get(input).copied();
        Self {
            known: self.known.iter().filter_map(|input| number(*input)).collect(),
            streams: (self.streams.iter())
                .filter_map(|stream| Some(Stream { input: number(stream.input)?, ..stream.clone() }))
                .collect(),
        }
    }

    /// Frames of the video stream that this stream specifier takes come out of order. A specifier that only FFmpeg
    /// understands means every video stream that it may name.
    pub fn note_reordered(&mut self, specifier: &str) {
        let specifier = Specifier::parse(specifier, usize::MAX).unwrap_or(Specifier::Label);
        let of_input = match specifier {
            Specifier::Label => None,
            Specifier::Stream { input, .. } | Specifier::Other { input } => Some(input),
        };
        let is_video = |stream: &&mut Stream| {
            stream.kind == MediaKind::Video && of_input.is_none_or(|input| input == stream.input)
        };
        for (position, stream) in self.streams.iter_mut().filter(is_video).enumerate() {
            let is_meant = match specifier {
                Specifier::Stream { kind: Some(kind), index, .. } => kind == MediaKind::Video && index == position,
                Specifier::Stream { kind: None, index, .. } => index == stream.index,
                Specifier::Label | Specifier::Other { .. } => true,
            };
            if is_meant {
                stream.reordered = Some(true);
            }
        }
    }
}

/// The line without date and level, which FFmpeg puts before it when its user wants them (`-loglevel level+info`).
fn without_prefix(line: &str) -> &str {
    const LEVELS: [&str; 8] = ["panic", "fatal", "error", "warning", "info", "verbose", "debug", "trace"];
    let mut text = line;
    while let Some((word, rest)) = text.split_once(' ') {
        let is_date = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_digit() || b"-:.".contains(&byte));
        let level = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
        if !is_date && !level.is_some_and(|level| LEVELS.contains(&level)) {
            break;
        }
        text = rest;
    }
    text
}

fn leading_number(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok()
}

/// `0:1` at the beginning: input and stream, and what follows.
fn stream_number(text: &str) -> Option<((usize, usize), &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let input = leading_number(text)?;
    let rest = text[digits(text)..].strip_prefix([':', '.'])?;
    Some(((input, leading_number(rest)?), &rest[digits(rest)..]))
}

/// What follows `Stream #`: `0:1[0x101](eng): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, stereo, fltp, 162 kb/s`.
fn stream(text: &str) -> Option<Stream> {
    let ((input, index), mut rest) = stream_number(text)?;
    while let Some(close) =
        [('[', ']'), ('(', ')')].iter().find_map(|(open, close)| rest.strip_prefix(*open).and(Some(*close)))
    {
        rest = rest.split_once(close)?.1;
    }
    let (_, description) = rest.split_once(": ")?;
    let (kind, description) = description.split_once(": ")?;
    let kind = match kind {
        "Video" => MediaKind::Video,
        "Audio" => MediaKind::Audio,
        _ => MediaKind::Other,
    };
    let codec = description.split([' ', ',']).next()?.trim_end();
    let mut items = description.split(", ");
    let profile = items.next().and_then(|head| profile(&head[codec.len()..])).unwrap_or_default();
    let mut stream = Stream {
        input,
        index,
        kind,
        codec: codec.to_owned(),
        profile: profile.to_owned(),
        attached_picture: description.contains("(attached pic)"),
        ..Stream::default()
    };
    if kind == MediaKind::Audio
        && let Some(rate) = items.by_ref().find_map(|item| item.strip_suffix(" Hz"))
    {
        stream.sample_rate = rate.parse().unwrap_or(0);
        stream.channels = items.next().map_or(0, channels);
    }
    Some(stream)
}

/// The first part in brackets that is no codec tag such as `(avc1 / 0x31637661)`.
fn profile(text: &str) -> Option<&str> {
    let groups = text.split('(').skip(1).filter_map(|group| Some(group.split_once(')')?.0));
    groups.into_iter().find(|group| !group.contains(" / 0x"))
}

/// Channels of a layout as FFmpeg names it; 0 for one that is not known here.
fn channels(layout: &str) -> u32 {
    let name = layout.trim().split('(').next().unwrap_or_default().trim_end();
    let named = [
        ("mono", 1),
        ("stereo", 2),
        ("downmix", 2),
        ("quad", 4),
        ("hexagonal", 6),
        ("octagonal", 8),
        ("cube", 8),
        ("hexadecagonal", 16),
    ];
    if let Some((_, channels)) = named.iter().find(|(known, _)| *known == name) {
        return *channels;
    }
    if let Some(count) = name.strip_suffix(" channels").or_else(|| name.strip_suffix(" channel")) {
        return count.parse().unwrap_or(0);
    }
    // `5.1`: full ones and low-frequency ones.
    let count = |text: &str| text.parse::<u32>().ok().filter(|count| *count < 100);
    let sum = name.split('.').map(count).try_fold(0, |sum, count| Some(sum + count?));
    sum.filter(|_| name.contains('.')).unwrap_or(0)
}
