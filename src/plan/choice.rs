//! What the two egress legs do: copy, transcode or nothing, and why.

use super::{Egress, Inventory, Leg, LegAction, LegChoice, MediaKind, Plan, Stream};
use crate::crd::{AudioCodec, VideoCodec};
use crate::rtp::Codec;
use Judgement::{Copy, Leave, Transcode};

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
        let does = |leg: &Leg| (leg.action.clone(), leg.codec);
        does(&self.video) == does(&other.video) && does(&self.audio) == does(&other.audio)
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

impl Leg {
    /// No leg, for this reason.
    fn none(reason: impl Into<String>) -> Self {
        Self { action: LegAction::None, codec: None, reason: reason.into() }
    }
}

/// What is to be done with a stream.
enum Judgement {
    /// Copy it; it carries this.
    Copy(Codec),
    /// Transcode it to what the leg carries then.
    Transcode,
    /// Nothing: WebRTC cannot carry it.
    Leave,
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
            return Leg::none("the manifest says so (webrtc.video.codec: None)");
        }
        let target = self.target(egress.video.map.as_deref(), MediaKind::Video, inventory);
        leg(target, Codec::H264, |stream| match (codec, stream) {
            (VideoCodec::H264, _) => (Transcode, "the manifest says so (webrtc.video.codec: H264)".into()),
            (VideoCodec::Copy, None) => {
                (Copy(Codec::H264), "the manifest says so (webrtc.video.codec: Copy), taken to be H.264".into())
            }
            (VideoCodec::Copy, Some(stream)) => match picture(stream) {
                Some(Codec::Av1) => (
                    Copy(Codec::Av1),
                    "the manifest says so (webrtc.video.codec: Copy); FFmpeg sends AV1 by RTP from version 8 on".into(),
                ),
                Some(codec) => (Copy(codec), "the manifest says so (webrtc.video.codec: Copy)".into()),
                None => (
                    Leave,
                    format!(
                        "the manifest says webrtc.video.codec: Copy, and WebRTC cannot carry {}; Auto and H264 transcode it",
                        codec_name(stream)
                    ),
                ),
            },
            (_, Some(stream)) => match fit_picture(stream) {
                Ok(codec) => match self.unfit_input(stream.input) {
                    None => (Copy(codec), fit(codec, stream)),
                    Some(reason) => (Transcode, reason),
                },
                Err(reason) => (Transcode, reason),
            },
            (_, None) => (Copy(Codec::H264), "taken to be H.264 without B-frames".into()),
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
            return Leg::none("the manifest says so (webrtc.audio.codec: None)");
        }
        let target = self.target(egress.audio.map.as_deref(), MediaKind::Audio, inventory);
        leg(target, Codec::Opus, |stream| match (codec, stream) {
            (AudioCodec::Copy, Some(stream)) if stream.codec != "opus" => (
                Leave,
                format!(
                    "the manifest says webrtc.audio.codec: Copy, and WebRTC cannot carry {}; Auto and Opus transcode it",
                    codec_name(stream)
                ),
            ),
            (AudioCodec::Copy, _) => (Copy(Codec::Opus), "the manifest says so (webrtc.audio.codec: Copy)".into()),
            (AudioCodec::Opus, _) => (Transcode, "the manifest says so (webrtc.audio.codec: Opus)".into()),
            (_, Some(stream)) => match unfit_sound(stream) {
                None => (Copy(Codec::Opus), "Opus is fit for WebRTC".into()),
                Some(reason) => (Transcode, reason),
            },
            (_, None) => (Transcode, "whatever it is, it becomes Opus".into()),
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

/// The leg of a target; `judge` says what to do with it, and why. Transcoded it carries `transcoded`.
fn leg(target: Target<'_>, transcoded: Codec, judge: impl Fn(Option<&Stream>) -> (Judgement, String)) -> Leg {
    let (map, (judgement, reason)) = match target {
        Target::Absent(reason) => return Leg::none(reason),
        Target::Known(map, stream) => (map, judge(Some(stream))),
        Target::Assumed(map, why) => {
            let (judgement, reason) = judge(None);
            // What a filter graph puts out is not encoded yet.
            let judgement = if map.starts_with('[') { Transcode } else { judgement };
            (map, (judgement, format!("{reason}; {why}")))
        }
    };
    match judgement {
        Copy(codec) => Leg { action: LegAction::Copy(map), codec: Some(codec), reason },
        Transcode => Leg { action: LegAction::Transcode(map), codec: Some(transcoded), reason },
        Leave => Leg::none(reason),
    }
}

/// The row of the codec table that carries a picture, from FFmpeg's name of its codec.
fn picture(stream: &Stream) -> Option<Codec> {
    match stream.codec.as_str() {
        "h264" => Some(Codec::H264),
        "hevc" => Some(Codec::H265),
        "vp8" => Some(Codec::Vp8),
        "vp9" => Some(Codec::Vp9),
        "av1" => Some(Codec::Av1),
        _ => None,
    }
}

/// What a picture goes to browsers as it is, or why they could not play it so.
fn fit_picture(stream: &Stream) -> Result<Codec, String> {
    const COPY: &str = "webrtc.video.codec: Copy passes it on";
    let name = codec_name(stream);
    let codec = picture(stream).ok_or_else(|| format!("{name} is no codec of WebRTC"))?;
    // High 10, High 4:2:2, High 4:4:4 and their Intra variants have samples that browsers do not decode; of VP9 all of
    // them decode profile 0 alone.
    let is_usual = match codec {
        Codec::H264 => !["10", "4:2:2", "4:4:4"].iter().any(|sign| stream.profile.contains(sign)),
        Codec::Vp9 => matches!(stream.profile.as_str(), "" | "Profile 0"),
        _ => true,
    };
    match codec {
        Codec::H265 => Err(format!("few browsers decode {name}; {COPY}")),
        Codec::Av1 => {
            Err(format!("not every browser decodes {name}, and only FFmpeg 8 and later send it by RTP; {COPY}"))
        }
        _ if !is_usual => Err(format!("{name} has a sample format that browsers do not decode")),
        _ if stream.is_turned => Err(format!("{name} is to be turned before it is shown, which RTP cannot say")),
        _ if codec.reorders() && stream.reordered == Some(true) => {
            Err(format!("{name} has B-frames, which WebRTC receivers do not reorder"))
        }
        _ => Ok(codec),
    }
}

/// Why a picture is copied.
fn fit(codec: Codec, stream: &Stream) -> String {
    let without = if codec.reorders() { " without B-frames" } else { "" };
    format!("{}{without} is fit for WebRTC", codec_name(stream))
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
        "vp8" => "VP8",
        "vp9" => "VP9",
        "av1" => "AV1",
        "aac" => "AAC",
        codec => codec,
    };
    if stream.profile.is_empty() { name.to_owned() } else { format!("{name} ({})", stream.profile) }
}
