//! What a process needs and an FFmpeg has not.

use std::fmt;

use super::{Named, Skills};
use crate::plan::{Io, Plan, Secret};

/// Suggestions that are made.
const NEAR: usize = 5;

/// What kind of thing is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// An encoder.
    Encoder,
    /// A decoder.
    Decoder,
    /// A container or device.
    Format,
    /// A protocol.
    Protocol,
}

/// Something that FFmpeg has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What kind of thing it is.
    pub thing: Thing,
    /// Its name.
    pub name: String,
    /// Which input or output asks for it, such as `output "hls"`.
    pub place: String,
    /// What the FFmpeg has that is near.
    pub near: Vec<String>,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thing, name, place, near } = self;
        let thing = match thing {
            Thing::Encoder => "encoder",
            Thing::Decoder => "decoder",
            Thing::Format => "format",
            Thing::Protocol => "protocol",
        };
        write!(f, "this FFmpeg has no {thing} {name:?}, which {place} asks for")?;
        if near.is_empty() { Ok(()) } else { write!(f, "; it has {}", near.join(", ")) }
    }
}

impl Skills {
    /// What a process needs and this FFmpeg has not. `legs` are the arguments of the egress legs. Of what FFmpeg listed
    /// nothing, nothing is missing.
    pub fn lacks(&self, plan: &Plan, legs: &[Secret]) -> Vec<Lack> {
        let mut lacks = Vec::new();
        for Io { id, address, options, files: _ } in &plan.inputs {
            let place = format!("input {id:?}");
            lacks.extend(self.coders(options, Thing::Decoder, &place));
            lacks.extend(self.container(options, address, false, &place));
        }
        for Io { id, address, options, files: _ } in &plan.outputs {
            let place = format!("output {id:?}");
            lacks.extend(self.coders(options, Thing::Encoder, &place));
            lacks.extend(self.container(options, address, true, &place));
        }
        lacks.extend(self.coders(legs, Thing::Encoder, "spec.webrtc"));
        lacks
    }

    /// The decoders or encoders that options name.
    fn coders(&self, options: &[Secret], thing: Thing, place: &str) -> Vec<Lack> {
        let codecs = || self.video.iter().chain(&self.audio).chain(&self.subtitle);
        let of = |codec: &super::Codec| {
            if thing == Thing::Encoder { codec.encoders.clone() } else { codec.decoders.clone() }
        };
        // FFmpeg takes a codec's name for the coder that it prefers.
        let known: Vec<String> = codecs()
            .filter(|codec| !of(codec).is_empty())
            .flat_map(|codec| of(codec).into_iter().chain([codec.id.clone()]))
            .collect();
        let names = options.windows(2).filter_map(|pair| {
            let option = pair[0].expose().strip_prefix('-')?;
            let option = option.split(':').next()?;
            let name = pair[1].expose();
            let is_coder = matches!(option, "c" | "codec" | "vcodec" | "acodec" | "scodec");
            (is_coder && name != "copy").then(|| name.to_owned())
        });
        let missing = names.filter(|name| !known.is_empty() && !known.contains(name));
        let lack = |name: String| {
            let stem = name.split(['_', '-']).next().unwrap_or_default().to_owned();
            let of_codec = codecs().filter(|codec| codec.id == stem).flat_map(&of).collect();
            Lack { near: near(&name, of_codec, &known), thing, name, place: place.to_owned() }
        };
        missing.map(lack).collect()
    }

    /// The format that options name, else the protocol of the address.
    fn container(&self, options: &[Secret], address: &Secret, is_output: bool, place: &str) -> Option<Lack> {
        let (formats, devices, protocols) = if is_output {
            (&self.muxers, &self.sinks, &self.output_protocols)
        } else {
            (&self.demuxers, &self.sources, &self.input_protocols)
        };
        let names =
            |named: &[Named]| named.iter().flat_map(|named| named.id.split(',').map(str::to_owned)).collect::<Vec<_>>();
        let devices: Vec<String> = devices.iter().flat_map(|kind| kind.id.split(',').map(str::to_owned)).collect();
        let formats = [names(formats), devices.clone()].concat();
        let at = options.iter().rposition(|option| option.expose() == "-f");
        let format = at.and_then(|at| options.get(at + 1)).map(|format| format.expose());
        if let Some(format) = format
            && !formats.is_empty()
            && !formats.iter().any(|known| known.eq_ignore_ascii_case(format))
        {
            let near = near(format, Vec::new(), &formats);
            return Some(Lack { thing: Thing::Format, name: format.into(), place: place.into(), near });
        }
        if format.is_some_and(|format| format == "tee" || devices.iter().any(|device| device == format)) {
            return None;
        }
        let scheme = scheme(address.expose())?;
        let is_known = protocols.is_empty() || protocols.contains(&scheme) || formats.contains(&scheme);
        // These belong to the format `rtsp`.
        if is_known || matches!(scheme.as_str(), "rtsps" | "satip") && formats.iter().any(|format| format == "rtsp") {
            return None;
        }
        let near = near(&scheme, Vec::new(), protocols);
        Some(Lack { thing: Thing::Protocol, name: scheme, place: place.into(), near })
    }
}

/// The scheme of a URL, of nested ones the inner one; `None` for what is no URL for sure.
fn scheme(address: &str) -> Option<String> {
    let (schemes, _) = address.split_once("://")?;
    let scheme = schemes.rsplit(':').next()?.to_ascii_lowercase();
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme.then_some(scheme)
}

/// Those that fit for sure, then those with a similar name.
fn near(name: &str, mut sure: Vec<String>, known: &[String]) -> Vec<String> {
    let likeness = |other: &String| strsim::jaro_winkler(name, other);
    let mut similar: Vec<&String> =
        known.iter().filter(|other| likeness(other) > 0.8 && !sure.contains(other)).collect();
    similar.sort_by(|one, other| likeness(other).total_cmp(&likeness(one)));
    similar.dedup();
    sure.extend(similar.into_iter().cloned());
    sure.truncate(NEAR);
    sure
}
