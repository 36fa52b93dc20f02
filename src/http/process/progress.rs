//! The progress of FFmpeg in datarhei's words. What FFmpeg does not say is 0 there.

use serde::Serialize;
use utoipa::ToSchema;

use crate::controller::Live;
use crate::process::{self, Figures, Stream};

/// Figures of the running FFmpeg.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Progress {
    /// The streams that are read.
    inputs: Vec<StreamProgress>,
    /// The streams that are written, those for WebRTC viewers among them.
    outputs: Vec<StreamProgress>,
    pub frame: u64,
    /// Over all outputs.
    pub packet: u64,
    pub fps: f64,
    /// Quantizer; -1 where the picture is copied.
    pub q: f64,
    pub size_kb: u64,
    /// Media seconds written.
    pub time: f64,
    /// In units of 1024 bits a second.
    pub bitrate_kbit: f64,
    /// Media time over wall-clock time.
    pub speed: f64,
    pub drop: u64,
    pub dup: u64,
}

/// One stream of an input or output.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct StreamProgress {
    id: String,
    /// Redacted.
    address: String,
    /// Number of the input or output.
    index: usize,
    /// Number of the stream within it.
    stream: usize,
    format: String,
    /// `video`, `audio`, `subtitle`, `data` or `attachment`.
    r#type: String,
    codec: String,
    coder: String,
    frame: u64,
    keyframe: u64,
    framerate: Framerate,
    fps: f64,
    packet: u64,
    pps: f64,
    size_kb: u64,
    /// In units of 1024 bits a second.
    bitrate_kbit: f64,
    extradata_size_bytes: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pix_fmt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<f64>,
    #[serde(skip_serializing_if = "is_zero")]
    width: u32,
    #[serde(skip_serializing_if = "is_zero")]
    height: u32,
    #[serde(skip_serializing_if = "is_zero")]
    sampling_hz: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    layout: String,
    #[serde(skip_serializing_if = "is_zero")]
    channels: u32,
    /// There is no such input here.
    #[schema(value_type = Option<Object>)]
    avstream: (),
}

/// Frames a second as the stream declares them.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Framerate {
    min: f64,
    max: f64,
    avg: f64,
}

impl Progress {
    /// What FFmpeg does at this moment.
    pub fn of(live: &Live) -> Self {
        let process::Streams { inputs, outputs } = &*live.streams;
        let process::Progress { frame, fps, q, bitrate, size_bytes, time, speed, drop, dup } =
            live.progress.unwrap_or_default();
        Self {
            inputs: inputs.iter().map(StreamProgress::of).collect(),
            outputs: outputs.iter().map(StreamProgress::of).collect(),
            frame,
            packet: outputs.iter().filter_map(|stream| stream.figures.packet).sum(),
            fps: thousandths(fps),
            q: thousandths(q.unwrap_or_default()),
            size_kb: size_bytes / 1024,
            time: thousandths(time.as_secs_f64()),
            bitrate_kbit: thousandths(bitrate.unwrap_or_default() / 1024.0),
            speed: thousandths(speed.unwrap_or_default()),
            drop,
            dup,
        }
    }
}

impl StreamProgress {
    fn of(stream: &Stream) -> Self {
        let Stream {
            id,
            address,
            index,
            stream,
            format,
            kind,
            codec,
            coder,
            language: _, // These three are a probe's.
            duration: _,
            declared_bitrate: _,
            rate,
            pix_fmt,
            width,
            height,
            sampling_hz,
            layout,
            channels,
            figures,
        } = stream.clone();
        let Figures { frame, fps, packet, size_bytes, bitrate, q } = figures;
        let rate = thousandths(rate);
        Self {
            id,
            address,
            index,
            stream,
            format,
            r#type: kind,
            codec,
            coder,
            frame: frame.unwrap_or_default(),
            keyframe: 0,
            framerate: Framerate { min: rate, max: rate, avg: rate },
            fps: thousandths(fps.unwrap_or_default()),
            packet: packet.unwrap_or_default(),
            pps: 0.0,
            size_kb: size_bytes.unwrap_or_default() / 1024,
            bitrate_kbit: thousandths(bitrate.unwrap_or_default() / 1024.0),
            extradata_size_bytes: 0,
            pix_fmt,
            q: q.map(thousandths),
            width,
            height,
            sampling_hz,
            layout,
            channels,
            avstream: (),
        }
    }
}

/// datarhei's figures have three decimals.
pub fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
