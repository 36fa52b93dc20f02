//! Comparison of received pictures with those of the source.

use std::io::Write;
use std::ops::Range;
use std::process::{Command, Stdio};

use crate::media;

/// Pictures are compared at this size: small enough that neither the codec's losses nor a scaler's taste count, large
/// enough that each moment of a source looks different.
const WIDTH: usize = 80;
const HEIGHT: usize = 45;
const SIZE: usize = WIDTH * HEIGHT * 3;

/// A small picture in Y, U and V as the codec has them: sources say nothing about their colours, and what a decoder makes
/// of them in RGB is its guess. Chromium guesses BT.709.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture(Vec<u8>);

/// Pictures of a source, one after the other.
pub struct Reel {
    pictures: Vec<Picture>,
    rate: u32,
    /// Parts of the picture's height that are not compared.
    without: Range<f64>,
}

/// Where a picture fits best into a source.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    /// Second of the source.
    pub at: f64,
    /// Peak signal-to-noise ratio there, in dB.
    pub psnr: f64,
}

impl Picture {
    /// Reads a PNG file.
    pub fn from_png(png: &[u8]) -> Self {
        let mut pictures = decode(
            &["-f", "png_pipe", "-i", "pipe:0"].map(str::to_owned),
            png,
            "",
            ":out_color_matrix=bt709:out_range=tv",
        );
        assert_eq!(pictures.len(), 1, "a PNG holds one picture");
        pictures.remove(0)
    }

    fn psnr(&self, other: &Self, without: &Range<f64>) -> f64 {
        let rows = self.0.chunks_exact(WIDTH).zip(other.0.chunks_exact(WIDTH)).enumerate();
        let (mut errors, mut count) = (0.0, 0.0);
        let counts = |row: usize| !without.contains(&((row % HEIGHT) as f64 / HEIGHT as f64));
        for (_, (own, other)) in rows.filter(|(row, _)| counts(*row)) {
            for (a, b) in own.iter().zip(other) {
                errors += (f64::from(*a) - f64::from(*b)).powi(2);
                count += 1.0;
            }
        }
        10.0 * (255.0 * 255.0 * count / f64::max(errors, 1.0)).log10()
    }
}

impl Reel {
    /// The first `seconds` of a filter graph's picture.
    pub fn of_graph(graph: &str, seconds: u32, rate: u32) -> Self {
        let mut input = media::words("-f lavfi -i");
        input.push(graph.to_owned());
        input.extend(media::words(&format!("-map 0:v:0 -t {seconds}")));
        Self { pictures: decode(&input, &[], &format!("fps={rate},"), ""), rate, without: 0.0..0.0 }
    }

    /// Leaves out a part of the height, 0 to 1 from the top, such as one that shows the time of day.
    pub fn without(self, part: Range<f64>) -> Self {
        Self { without: part, ..self }
    }

    /// Where a picture fits best.
    pub fn find(&self, picture: &Picture) -> Match {
        let matches = self
            .pictures
            .iter()
            .enumerate()
            .map(|(at, own)| Match { at: at as f64 / f64::from(self.rate), psnr: own.psnr(picture, &self.without) });
        matches.max_by(|a, b| a.psnr.total_cmp(&b.psnr)).expect("a reel has pictures")
    }
}

/// A picture that went through a codec is nearer to its own source than this, in dB.
pub const SAME: f64 = 20.0;
/// A picture of another source is farther away than this, in dB.
pub const OTHER: f64 = 15.0;

/// Decodes an input of FFmpeg to small pictures.
fn decode(input: &[String], stdin: &[u8], filters: &str, scaling: &str) -> Vec<Picture> {
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error"])
        .args(input)
        .args(["-vf", &format!("{filters}scale={WIDTH}:{HEIGHT}:flags=area{scaling}")])
        .args(["-f", "rawvideo", "-pix_fmt", "yuv444p", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("FFmpeg is installed");
    let mut pipe = child.stdin.take().expect("it is piped");
    let stdin = stdin.to_vec();
    let writer = std::thread::spawn(move || pipe.write_all(&stdin));
    let output = child.wait_with_output().expect("it is our child");
    writer.join().expect("it does not panic").expect("FFmpeg reads its input");
    assert!(output.status.success() && !output.stdout.is_empty(), "FFmpeg decodes {input:?}");
    output.stdout.chunks_exact(SIZE).map(|picture| Picture(picture.to_vec())).collect()
}

#[test]
fn a_picture_is_found_at_its_own_moment_and_not_in_another_source() {
    let reel = Reel::of_graph(&media::picture(), 10, media::RATE);
    let other = Reel::of_graph("smptebars=size=320x180:rate=30", 1, media::RATE);
    for codec in media::Codec::ALL {
        let film = media::film(codec, 2, true).display().to_string();
        let input = ["-ss", "7.5", "-t", "0.5", "-i", &film].map(str::to_owned);
        for (number, picture) in decode(&input, &[], "", "").iter().enumerate() {
            let found = reel.find(picture);
            let moment = 7.5 + number as f64 / f64::from(media::RATE);
            assert!(found.psnr > SAME && (found.at - moment).abs() < 0.02, "{codec:?} {moment}: {found:?}");
            let found = other.find(picture);
            assert!(found.psnr < OTHER, "{codec:?} {moment}: {found:?}");
        }
    }
}
