//! The streams of a run, and the figures of each as far as FFmpeg tells them.

use std::collections::BTreeMap;

use super::Block;

/// The streams of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Streams {
    /// What FFmpeg reads.
    pub inputs: Vec<Stream>,
    /// What FFmpeg writes, the egress legs among it.
    pub outputs: Vec<Stream>,
}

/// One stream of an input or output. What FFmpeg does not say is empty or 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// Name of the input or output that it belongs to.
    pub id: String,
    /// Address of that input or output, redacted.
    pub address: String,
    /// Number of that input or output.
    pub index: usize,
    /// Number of the stream within it.
    pub stream: usize,
    /// Container, such as `flv`.
    pub format: String,
    /// `video`, `audio`, `subtitle`, `data` or `attachment`.
    pub kind: String,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// FFmpeg's name of the decoder or encoder, or `copy`.
    pub coder: String,
    /// Language, such as `eng`.
    pub language: String,
    /// Seconds, of an input that has an end.
    pub duration: f64,
    /// Frames a second that the stream declares.
    pub rate: f64,
    /// Bits a second that the stream declares.
    pub declared_bitrate: f64,
    /// Pixel format of a picture.
    pub pix_fmt: String,
    /// Columns of a picture.
    pub width: u32,
    /// Lines of a picture.
    pub height: u32,
    /// Samples a second of sound.
    pub sampling_hz: u32,
    /// Layout of the channels of sound, such as `stereo`.
    pub layout: String,
    /// Channels of sound.
    pub channels: u32,
    /// What FFmpeg says of its progress.
    pub figures: Figures,
}

/// Progress of one stream, as far as FFmpeg tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Frames.
    pub frame: Option<u64>,
    /// Frames a second.
    pub fps: Option<f64>,
    /// Packets.
    pub packet: Option<u64>,
    /// Bytes.
    pub size_bytes: Option<u64>,
    /// Bits a second.
    pub bitrate: Option<f64>,
    /// Quantizer of an encoded picture; -1 where it is copied.
    pub q: Option<f64>,
}

/// What was seen of inputs that somebody wanted looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probed {
    /// Their streams; `coder` is the codec, `figures` are empty.
    pub streams: Vec<Stream>,
    /// What FFmpeg said, redacted.
    pub log: Vec<String>,
}

/// Quantizers by number of output and stream.
pub type Qualities = BTreeMap<(usize, usize), f64>;

impl Streams {
    /// Takes what a progress report says of single streams: FFmpeg counts the frames of the first picture that it writes,
    /// and the octets of the first output; it names the quantizer of each picture.
    pub fn handle_block(&mut self, block: &Block, qualities: &Qualities) {
        for stream in &mut self.outputs {
            stream.figures.q = qualities.get(&(stream.index, stream.stream)).copied().or(stream.figures.q);
        }
        if let Some(picture) = self.outputs.iter_mut().find(|stream| stream.kind == "video") {
            picture.figures.frame = block.frame.or(picture.figures.frame);
            picture.figures.fps = block.fps.or(picture.figures.fps);
        }
        let mut first = self.outputs.iter_mut().filter(|stream| stream.index == 0);
        if let (Some(only), None) = (first.next(), first.next()) {
            only.figures.size_bytes = block.size.or(only.figures.size_bytes);
            only.figures.bitrate = block.bitrate.or(only.figures.bitrate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(index: usize, stream: usize, kind: &str) -> Stream {
        Stream { index, stream, kind: kind.into(), ..Stream::default() }
    }

    #[test]
    fn figures_go_to_the_streams_that_ffmpeg_counts() {
        let block =
            Block { frame: Some(5), fps: Some(25.0), size: Some(900), bitrate: Some(8000.0), ..Block::default() };
        let mut streams = Streams {
            inputs: vec![stream(0, 0, "video")],
            outputs: vec![stream(0, 0, "audio"), stream(1, 0, "video"), stream(1, 1, "video")],
        };
        streams.handle_block(&block, &Qualities::from([((1, 0), 17.0), ((1, 1), -1.0)]));
        let [sound, first, second] = [0, 1, 2].map(|at| streams.outputs[at].figures);
        assert_eq!((sound.frame, sound.size_bytes, sound.bitrate), (None, Some(900), Some(8000.0)));
        assert_eq!((first.frame, first.fps, first.size_bytes, first.q), (Some(5), Some(25.0), None, Some(17.0)));
        assert_eq!((second.frame, second.q), (None, Some(-1.0)));
        assert_eq!(streams.inputs[0].figures, Figures::default());
    }
}
