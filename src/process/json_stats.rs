//! What datarhei's build of FFmpeg says of every stream (`-jsonstats`), in lines of its log.

use serde::Deserialize;

use super::{Block, Figures, Stream, Streams};

/// Reads `ffmpeg.inputs:`, `ffmpeg.outputs:`, `ffmpeg.progress:` and `avstream.progress:`, each followed by JSON.
#[derive(Debug, Default)]
pub struct JsonStats {
    streams: Streams,
    /// Progress counts once the outputs are known.
    is_ready: bool,
}

/// What a line said.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The streams are known.
    Streams,
    /// Figures of the run; those of its streams are in [`JsonStats::streams`].
    Progress(Block),
    /// Something that is of no use.
    Nothing,
}

impl JsonStats {
    /// The streams and their figures.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Takes a line of the log; `None` where it is an ordinary one.
    pub fn handle_line(&mut self, line: &str) -> Option<Heard> {
        let at = line.find("ffmpeg.").or_else(|| line.find("avstream.progress:"))?;
        let (name, json) = line[at..].split_once(':')?;
        match name {
            "ffmpeg.inputs" => self.streams.inputs = announced(json)?,
            "ffmpeg.outputs" => {
                self.streams.outputs = announced(json)?;
                self.is_ready = true;
            }
            "ffmpeg.progress" => return Some(self.handle_progress(json)),
            "avstream.progress" => return Some(Heard::Nothing),
            _ => return None,
        }
        Some(if self.is_ready { Heard::Streams } else { Heard::Nothing })
    }

    fn handle_progress(&mut self, json: &str) -> Heard {
        let Ok(Report { inputs, outputs, frame, q, size_kb, size_bytes, time, speed, dup, drop }) =
            serde_json::from_str(json)
        else {
            return Heard::Nothing;
        };
        let is_whole = inputs.len() == self.streams.inputs.len() && outputs.len() == self.streams.outputs.len();
        if !self.is_ready || !is_whole {
            return Heard::Nothing;
        }
        let sides = [(&mut self.streams.inputs, inputs), (&mut self.streams.outputs, outputs)];
        for (streams, figures) in sides {
            for (stream, Counted { frame, packet, q, size_kb, size_bytes }) in streams.iter_mut().zip(figures) {
                let Figures { fps, bitrate, .. } = stream.figures;
                stream.figures = Figures { frame, fps, packet, size_bytes: size(size_bytes, size_kb), bitrate, q };
            }
        }
        Heard::Progress(Block {
            frame,
            fps: None,
            q,
            bitrate: None,
            size: size(size_bytes, size_kb),
            time: time.as_deref().and_then(microseconds),
            speed,
            drop,
            dup,
        })
    }
}

/// The more precise one.
fn size(bytes: Option<u64>, kibibytes: Option<u64>) -> Option<u64> {
    bytes.or_else(|| kibibytes?.checked_mul(1024))
}

/// `0h0m1.8s`.
fn microseconds(text: &str) -> Option<i64> {
    let (hours, rest) = text.split_once('h').unwrap_or(("0", text));
    let (minutes, rest) = rest.split_once('m').unwrap_or(("0", rest));
    let seconds = rest.trim_end_matches('s').parse::<f64>().ok()?;
    let whole = hours.parse::<f64>().ok()? * 3600.0 + minutes.parse::<f64>().ok()? * 60.0 + seconds;
    // Rounded, and far from what a number of 64 bits holds.
    (whole.abs() < 1e12).then(|| (whole * 1e6).round() as i64)
}

/// Streams that are announced; none is an error.
fn announced(json: &str) -> Option<Vec<Stream>> {
    let announced: Vec<Announced> = serde_json::from_str(json).ok()?;
    let streams: Vec<Stream> = announced.into_iter().map(stream).collect();
    (!streams.is_empty()).then_some(streams)
}

fn stream(announced: Announced) -> Stream {
    let Announced {
        url,
        format,
        index,
        stream,
        kind,
        codec,
        coder,
        language,
        duration_sec,
        fps,
        bitrate_kbps,
        pix_fmt,
        width,
        height,
        sampling_hz,
        layout,
        channels,
    } = announced;
    Stream {
        id: String::new(),
        address: url,
        index,
        stream,
        format,
        kind,
        codec,
        coder,
        language,
        duration: duration_sec,
        rate: fps,
        declared_bitrate: bitrate_kbps * 1000.0,
        pix_fmt,
        width,
        height,
        sampling_hz,
        layout,
        channels,
        figures: Figures::default(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Announced {
    url: String,
    format: String,
    index: usize,
    stream: usize,
    #[serde(rename = "type")]
    kind: String,
    codec: String,
    coder: String,
    language: String,
    duration_sec: f64,
    fps: f64,
    bitrate_kbps: f64,
    pix_fmt: String,
    width: u32,
    height: u32,
    sampling_hz: u32,
    layout: String,
    channels: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Report {
    inputs: Vec<Counted>,
    outputs: Vec<Counted>,
    frame: Option<u64>,
    q: Option<f64>,
    size_kb: Option<u64>,
    size_bytes: Option<u64>,
    time: Option<String>,
    speed: Option<f64>,
    dup: Option<u64>,
    drop: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counted {
    frame: Option<u64>,
    packet: Option<u64>,
    q: Option<f64>,
    size_kb: Option<u64>,
    size_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: &str = r#"ffmpeg.inputs:[{"url":"rtmp://h/a","format":"flv","index":0,"stream":0,"type":"video","codec":"h264","coder":"h264","width":1280,"height":720,"fps":25.0}]"#;
    const OUTPUTS: &str = r#"[info] ffmpeg.outputs:[{"url":"/dev/null","index":0,"stream":0,"type":"video","coder":"libx264"},{"url":"x","index":1,"stream":0,"type":"video","coder":"copy"}]"#;

    fn progress(first: u64, second: u64, size_kb: u64) -> String {
        format!(
            r#"ffmpeg.progress:{{"inputs":[{{"frame":7,"packet":11,"size_kb":226}}],"outputs":[{{"frame":{first},"packet":3,"q":21.0,"size_kb":1}},{{"frame":{second},"q":-1.0,"size_bytes":5}}],"frame":20,"q":21.0,"size_kb":{size_kb},"time":"0h0m1.8s","speed":1.12,"dup":4,"drop":5}}"#
        )
    }

    fn ready() -> JsonStats {
        let mut stats = JsonStats::default();
        assert_eq!(stats.handle_line(INPUTS), Some(Heard::Nothing));
        assert_eq!(stats.handle_line(OUTPUTS), Some(Heard::Streams));
        stats
    }

    fn block(stats: &mut JsonStats, line: &str) -> Block {
        match stats.handle_line(line) {
            Some(Heard::Progress(block)) => block,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn c129_progress_counts_once_the_outputs_are_announced() {
        let mut stats = JsonStats::default();
        stats.handle_line(INPUTS);
        assert_eq!(stats.handle_line(&progress(1, 1, 1)), Some(Heard::Nothing));
        stats.handle_line(OUTPUTS);
        block(&mut stats, &progress(9, 8, 789));
        let Streams { inputs, outputs } = stats.streams();
        assert_eq!((inputs.len(), outputs.len()), (1, 2));
        assert_eq!((inputs[0].width, inputs[0].rate, inputs[0].figures.packet), (1280, 25.0, Some(11)));
        assert_eq!((outputs[0].figures.frame, outputs[0].figures.size_bytes), (Some(9), Some(1024)));
        assert_eq!((outputs[1].figures.q, outputs[1].figures.size_bytes), (Some(-1.0), Some(5)));
    }

    #[test]
    fn c130_sizes_and_times_are_read() {
        let block = block(&mut ready(), &progress(1, 1, 789));
        assert_eq!((block.frame, block.size, block.time), (Some(20), Some(807_936), Some(1_800_000)));
        assert_eq!((block.speed, block.dup, block.drop), (Some(1.12), Some(4), Some(5)));
        for (text, time) in [("1h2m3.5s", Some(3_723_500_000)), ("2.5", Some(2_500_000)), ("x", None)] {
            assert_eq!(microseconds(text), time);
        }
    }

    #[test]
    fn c131_progress_of_other_streams_than_were_announced_is_refused() {
        let mut stats = ready();
        block(&mut stats, &progress(1, 1, 1));
        let before = stats.streams().clone();
        let other = r#"ffmpeg.progress:{"inputs":[{"frame":70}],"outputs":[{"frame":70}],"frame":70}"#;
        assert_eq!(stats.handle_line(other), Some(Heard::Nothing));
        assert_eq!(*stats.streams(), before);
    }

    #[test]
    fn c132_no_outputs_are_no_announcement() {
        let mut stats = JsonStats::default();
        assert_eq!(stats.handle_line("ffmpeg.outputs:[]"), None, "it stays in the log");
        assert_eq!(stats.handle_line(&progress(1, 1, 1)), Some(Heard::Nothing));
    }

    #[test]
    fn c133_what_an_input_says_of_itself_is_no_progress() {
        let line = r#"avstream.progress:{"id":"playout:https://h/x","input":{"state":"running","packet":148}}"#;
        assert_eq!(ready().handle_line(line), Some(Heard::Nothing));
    }

    #[test]
    fn c135_one_output_that_stands_still_is_not_the_end_of_progress() {
        let mut stats = ready();
        let mut known = block(&mut stats, &progress(5, 5, 100));
        let later = block(&mut stats, &progress(6, 5, 101));
        assert!(known.update(&later));
        assert_eq!(stats.streams().outputs[1].figures.frame, Some(5));
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in ["ffmpeg.", "ffmpeg.inputs", "ffmpeg.what:[]", "ffmpeg.inputs:x", "frame=1", ""] {
            assert_eq!(JsonStats::default().handle_line(line), None, "{line}");
        }
    }
}
