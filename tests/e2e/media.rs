//! Media that FFmpeg makes once and that stays in the target directory: real H.264 and HEVC with real AAC.
//!
//! Picture: a moving test pattern with a patch at the lower left ([`PATCH`]) that flashes for a tenth of a second at each
//! full second. Sound: a beep of the same length at the same moment. So whatever is received tells which moment of the
//! source it shows, and how far the sound is behind.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Length of a film in seconds.
pub const LENGTH: u32 = 60;
/// Length of the film for tests that watch for long.
pub const LONG: u32 = 180;
/// Length of other files in seconds.
const SHORT: u32 = 30;
/// Frames a second.
pub const RATE: u32 = 30;
/// The patch that flashes: left, top, width and height as parts of the picture, a little inside its border.
pub const PATCH: [f64; 4] = [0.025, 0.81, 0.09, 0.15];

/// Filter graph of the picture.
pub fn picture() -> String {
    format!(
        "testsrc2=size=320x180:rate={RATE},drawbox=x=0:y=140:w=44:h=40:color=black:t=fill,\
         drawbox=x=0:y=140:w=44:h=40:color=white:t=fill:enable='lt(mod(t,1),0.1)'"
    )
}

/// Filter graph of the sound.
pub fn sound() -> String {
    "aevalsrc=exprs='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':sample_rate=48000".into()
}

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264 as WebRTC takes it.
    Baseline,
    /// H.264 as encoders make it by default.
    HighWithBFrames,
    Hevc,
}

impl Codec {
    pub const ALL: [Self; 3] = [Self::Baseline, Self::HighWithBFrames, Self::Hevc];

    /// FFmpeg's options for an encoder, with a keyframe every `gop` seconds.
    pub fn options(self, gop: u32) -> String {
        let gop = gop * RATE;
        match self {
            Self::Baseline => {
                format!("-c:v libx264 -preset veryfast -profile:v baseline -pix_fmt yuv420p -g {gop} -sc_threshold 0")
            }
            Self::HighWithBFrames => format!(
                "-c:v libx264 -preset veryfast -profile:v high -bf 2 -b_strategy 0 -pix_fmt yuv420p -g {gop} \
                 -sc_threshold 0"
            ),
            Self::Hevc => {
                format!("-c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p -g {gop}")
            }
        }
    }

    /// FFmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline | Self::HighWithBFrames => "h264",
            Self::Hevc => "hevc",
        }
    }
}

/// AAC as encoders make it by default.
pub const AAC: &str = "-c:a aac -b:a 128k -ac 2";

/// A file with this picture, a keyframe every `gop` seconds, and AAC where there is sound.
pub fn film(codec: Codec, gop: u32, with_sound: bool) -> PathBuf {
    film_of(codec, gop, with_sound, LENGTH)
}

/// The film for tests that watch for long: H.264 as WebRTC takes it, with AAC.
pub fn long_film() -> PathBuf {
    film_of(Codec::Baseline, 2, true, LONG)
}

fn film_of(codec: Codec, gop: u32, with_sound: bool, seconds: u32) -> PathBuf {
    let name = format!("{codec:?}-{gop}s{}.mp4", if with_sound { "-aac" } else { "" });
    let tag = if codec == Codec::Hevc { "-tag:v hvc1" } else { "" };
    let audio = if with_sound { AAC } else { "" };
    let options = format!("{} {audio} {tag}", codec.options(gop));
    make(&name, &arguments(&picture(), with_sound.then(sound).as_deref(), &options), seconds)
}

/// The sound alone.
pub fn song() -> PathBuf {
    let inputs = ["-f".into(), "lavfi".into(), "-i".into(), sound()];
    make("song.m4a", &[inputs.as_slice(), &words(AAC)].concat(), LENGTH)
}

/// A short file that FFmpeg makes from two filter graphs.
pub fn made(name: &str, picture: &str, sound: Option<&str>, options: &str) -> PathBuf {
    make(name, &arguments(picture, sound, options), SHORT)
}

/// A short file that FFmpeg makes with these arguments.
pub fn made_with(name: &str, arguments: &[String]) -> PathBuf {
    make(name, arguments, SHORT)
}

fn arguments(picture: &str, sound: Option<&str>, options: &str) -> Vec<String> {
    let mut arguments = words("-f lavfi -i");
    arguments.push(picture.to_owned());
    if let Some(sound) = sound {
        arguments.extend(words("-f lavfi -i"));
        arguments.push(sound.to_owned());
    }
    arguments.extend(words(options));
    arguments
}

/// Where the files are.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("media")
}

/// A file that FFmpeg makes with these arguments, unless it is there. Its name holds a number that stands for them.
fn make(name: &str, arguments: &[String], seconds: u32) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let directory = directory();
    std::fs::create_dir_all(&directory).expect("the target directory can be written");
    let mut hasher = DefaultHasher::new();
    (arguments, seconds).hash(&mut hasher);
    let (stem, extension) = name.rsplit_once('.').expect("names of media have an extension");
    let file = directory.join(format!("{stem}-{:016x}.{extension}", hasher.finish()));
    if !file.exists() {
        // Another run of the tests may make the same file, and nobody shall see half of one.
        let draft = directory.join(format!("{stem}-{}.{extension}", std::process::id()));
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
            .args(arguments)
            .args(["-t", &seconds.to_string()])
            .arg(&draft)
            .output()
            .expect("FFmpeg is installed");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(draft, &file).expect("it can be moved");
    }
    file
}

/// FFmpeg's names of the codecs in a file, in the order of the alphabet.
pub fn streams(file: &Path) -> Vec<String> {
    streams_of(&file.display().to_string())
}

/// FFmpeg's names of the codecs at an address, in the order of the alphabet, because a server may give any other; none
/// where nothing comes within some seconds.
pub fn streams_of(address: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(words("-v error -rw_timeout 8000000 -show_entries stream=codec_name -of json"))
        .arg(address)
        .output()
        .expect("FFmpeg is installed");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let streams = report["streams"].as_array().into_iter().flatten();
    let mut names: Vec<String> =
        streams.filter_map(|stream| stream["codec_name"].as_str()).map(str::to_owned).collect();
    names.sort();
    names
}

pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn flashes_and_beeps_of_the_media_coincide() {
    for codec in Codec::ALL {
        let film = film(codec, 2, true).display().to_string();
        let input = format!("-nostdin -loglevel error -t 10 -i {film}");
        let decoded = |rest: &str| {
            let output = Command::new("ffmpeg").args(words(&format!("{input} {rest} pipe:1"))).output();
            output.expect("FFmpeg is installed").stdout
        };
        let light = decoded("-vf crop=20:20:10:150,scale=1:1:flags=area -f rawvideo -pix_fmt gray");
        let sound = decoded("-f s16le -ac 1 -ar 48000");
        let loud = |second: usize| {
            let samples = sound.chunks_exact(2).map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]).unsigned_abs());
            let found = samples.skip(second * 48_000 - 24_000).position(|sample| sample > 4000).expect("it beeps");
            second as f64 - 0.5 + found as f64 / 48_000.0
        };
        for second in 1..9 {
            let frame = light.iter().skip(second * RATE as usize - 15).position(|light| *light > 128);
            let flash = second as f64 - 0.5 + frame.expect("it flashes") as f64 / f64::from(RATE);
            assert!((flash - second as f64).abs() < 0.02, "{codec:?} flashes at {flash}");
            let beep = loud(second);
            assert!((beep - flash).abs() < 0.03, "{codec:?} beeps at {beep} and flashes at {flash}");
        }
    }
}
