//! What the two egress legs do: copy, transcode or nothing, and why.

use super::{Egress, Inventory, Leg, LegAction, LegChoice, MediaKind, Plan, Stream};
use crate::crd::{AudioCodec, VideoCodec};

/// A stream that `-map` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Specifier {
    /// An output of a filter graph, such as `[mixed]`.
    Label,
    /// Of this input, the stream with this number, among those of the kind where one is given.
    Stream { input: usize, kind: Option<MediaKind>, index: usize },
    /// Something of this input that only FFmpeg can find, such as `0:m:language:eng`.
    Other { input: usize },
}

impl Specifier {
    /// Reads a stream specifier; the error says what is wrong with it.
    pub fn parse(map: &str, inputs: usize) -> Result<Self, String> {
        if map.starts_with('[') && map.ends_with(']') && map.len() > 2 {
            return Ok(Self::Label);
        }
        let wanted = "is no stream specifier of FFmpeg, such as 0:v:0 (input 0, first video stream)";
        let mut parts = map.trim_end_matches('?').split(':');
        let input: usize = parts.next().and_then(|input| input.parse().ok()).ok_or(wanted)?;
        if input >= inputs {
            return Err(format!("names input {input}, and the process has {inputs} (they count from 0)"));
        }
        if map.contains(char::is_whitespace) {
            return Err(wanted.into());
        }
        let rest: Vec<&str> = parts.collect();
        let kind = |letter| match letter {
            "v" | "V" => Some(MediaKind::Video),
            "a" => Some(MediaKind::Audio),
            _ => None,
        };
        Ok(match rest[..] {
            [] => Self::Other { input },
            [one] => match (kind(one), one.parse()) {
                (Some(kind), _) => Self::Stream { input, kind: Some(kind), index: 0 },
                (None, Ok(index)) => Self::Stream { input, kind: None, index },
                (None, Err(_)) => Self::Other { input },
            },
            [letter, index] => match (kind(letter), index.parse()) {
                (Some(kind), Ok(index)) => Self::Stream { input, kind: Some(kind), index },
                _ => Self::Other { input },
            },
            _ => Self::Other { input },
        })
    }
}

/// A stream that a leg may take.
enum Target<'a> {
    /// It is there, and this specifier names it.
    Known(String, &'a Stream),
    /// Nobody knows yet, or only FFmpeg can find it.
    Assumed(String, &'static str),
    /// There is none.
    Absent(String),
}

impl LegChoice {
    /// Whether FFmpeg would be told the same; the reasons may differ.
    pub fn does_the_same_as(&self, other: &Self) -> bool {
        self.video.action == other.video.action && self.audio.action == other.audio.action
    }
}

impl LegAction {
    /// The stream that the leg takes.
    pub fn map(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Copy(map) | Self::Transcode(map) => Some(map),
        }
    }
}

impl Plan {
    /// What the two legs do, from what is known of the inputs; `None` without egress. An input that nobody knows yet is
    /// taken to have picture and sound. Two choices may differ in their reasons alone
    /// ([`LegChoice::does_the_same_as`]).
    pub fn choose(&self, inventory: &Inventory) -> Option<LegChoice> {
        let egress = self.egress.as_ref()?;
        Some(LegChoice { video: self.video(egress, inventory), audio: self.audio(egress, inventory) })
    }

    fn video(&self, egress: &Egress, inventory: &Inventory) -> Leg {
        let codec = egress.video.codec;
        if codec == VideoCodec::None {
            return Leg { action: LegAction::None, reason: "the manifest says so (webrtc.video.codec: None)".into() };
        }
        let target = self.target(egress.video.map.as_deref(), MediaKind::Video, inventory);
        leg(target, |stream| match (codec, stream) {
            (VideoCodec::Copy, _) => (true, "the manifest says so (webrtc.video.codec: Copy)".into()),
            (VideoCodec::H264, _) => (false, "the manifest says so (webrtc.video.codec: H264)".into()),
            (_, Some(stream)) => match unfit_picture(stream).or_else(|| self.unfit_input(stream.input)) {
                None => (true, format!("{} without B-frames is fit for WebRTC", codec_name(stream))),
                Some(reason) => (false, reason),
            },
            (_, None) => (true, "taken to be H.264 without B-frames".into()),
        })
    }

    /// Why no picture of an input can be copied. FFmpeg ends the bitstream filters of its copies with the first round of
    /// a repeated input; from then on it sends no picture, and goes on as if nothing had happened.
    fn unfit_input(&self, input: usize) -> Option<String> {
        let rounds = self.inputs.get(input)?.option("-stream_loop")?;
        (rounds != "0").then(|| "its input is repeated (-stream_loop), which FFmpeg cannot copy".into())
    }

    fn audio(&self, egress: &Egress, inventory: &Inventory) -> Leg {
        let codec = egress.audio.codec;
        if codec == AudioCodec::None {
            return Leg { action: LegAction::None, reason: "the manifest says so (webrtc.audio.codec: None)".into() };
        }
        let target = self.target(egress.audio.map.as_deref(), MediaKind::Audio, inventory);
        leg(target, |stream| match (codec, stream) {
            (AudioCodec::Copy, _) => (true, "the manifest says so (webrtc.audio.codec: Copy)".into()),
            (AudioCodec::Opus, _) => (false, "the manifest says so (webrtc.audio.codec: Opus)".into()),
            (_, Some(stream)) => match unfit_sound(stream) {
                None => (true, "Opus is fit for WebRTC".into()),
                Some(reason) => (false, reason),
            },
            (_, None) => (false, "whatever it is, it becomes Opus".into()),
        })
    }

    /// The stream of the manifest's `map`, else the first of its kind of the first input that has one.
    fn target<'a>(&self, map: Option<&str>, kind: MediaKind, inventory: &'a Inventory) -> Target<'a> {
        const LISTENS: &str = "its input waits for its publisher and cannot be probed";
        let name = match kind {
            MediaKind::Video => "video",
            _ => "audio",
        };
        if let Some(map) = map {
            let map = map.trim_end_matches('?');
            return match Specifier::parse(map, self.inputs.len()) {
                Ok(Specifier::Stream { input, kind: of, index }) if inventory.known.contains(&input) => {
                    let mut streams = inventory.streams.iter().filter(|stream| stream.input == input);
                    let found = match of {
                        Some(of) => streams.filter(|stream| stream.kind == of).nth(index),
                        None => streams.find(|stream| stream.index == index),
                    };
                    match found {
                        Some(stream) if stream.kind == kind => Target::Known(map.to_owned(), stream),
                        Some(_) => Target::Absent(format!("{map} of the manifest's map is no {name} stream")),
                        None => Target::Absent(format!("input {input} has no stream {map}, which the manifest maps")),
                    }
                }
                Ok(Specifier::Stream { .. }) => Target::Assumed(map.to_owned(), LISTENS),
                _ => Target::Assumed(map.to_owned(), "only FFmpeg can tell what the manifest's map names"),
            };
        }
        let letter = if kind == MediaKind::Video { 'v' } else { 'a' };
        for input in 0..self.inputs.len() {
            if !inventory.known.contains(&input) {
                return Target::Assumed(format!("{input}:{letter}:0"), LISTENS);
            }
            // FFmpeg counts attached pictures too.
            let streams = inventory.streams.iter().filter(|stream| stream.input == input && stream.kind == kind);
            if let Some((number, stream)) = streams.enumerate().find(|(_, stream)| !stream.attached_picture) {
                return Target::Known(format!("{input}:{letter}:{number}"), stream);
            }
        }
        Target::Absent(format!("no input has a {name} stream"))
    }
}

/// The leg of a target; `judge` says whether to copy, and why.
fn leg(target: Target<'_>, judge: impl Fn(Option<&Stream>) -> (bool, String)) -> Leg {
    let (map, (copy, reason)) = match target {
        Target::Absent(reason) => return Leg { action: LegAction::None, reason },
        Target::Known(map, stream) => (map, judge(Some(stream))),
        Target::Assumed(map, why) => {
            let (copy, reason) = judge(None);
            let copy = copy && !map.starts_with('[');
            (map, (copy, format!("{reason}; {why}")))
        }
    };
    Leg { action: if copy { LegAction::Copy(map) } else { LegAction::Transcode(map) }, reason }
}

/// Why browsers could not play a picture as it is.
fn unfit_picture(stream: &Stream) -> Option<String> {
    let name = codec_name(stream);
    if stream.codec != "h264" {
        return Some(format!("{name} is not H.264"));
    }
    // High 10, High 4:2:2, High 4:4:4 and their Intra variants have samples that browsers do not decode.
    if ["10", "4:2:2", "4:4:4"].iter().any(|sign| stream.profile.contains(sign)) {
        return Some(format!("{name} has a sample format that browsers do not decode"));
    }
    if stream.is_turned {
        return Some(format!("{name} is to be turned before it is shown, which RTP cannot say"));
    }
    (stream.reordered == Some(true)).then(|| format!("{name} has B-frames, which WebRTC receivers do not reorder"))
}

/// Why browsers could not play a sound as it is.
fn unfit_sound(stream: &Stream) -> Option<String> {
    if stream.codec != "opus" {
        return Some(format!("{} is not Opus", codec_name(stream)));
    }
    (!matches!(stream.channels, 1 | 2)).then(|| format!("Opus with {} channels is not stereo", stream.channels))
}

fn codec_name(stream: &Stream) -> String {
    let name = match stream.codec.as_str() {
        "h264" => "H.264",
        "hevc" => "H.265",
        "aac" => "AAC",
        codec => codec,
    };
    if stream.profile.is_empty() { name.to_owned() } else { format!("{name} ({})", stream.profile) }
}
