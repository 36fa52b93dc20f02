//! What an FFmpeg can do, from its own lists.
//!
//! Each `read_*` takes what FFmpeg prints; lines that it does not understand are left out, so that no build is refused.

mod devices;
mod lack;
#[cfg(test)]
mod tests;

pub use devices::{Device, read_cards, read_framebuffers, read_sound, read_videos};
pub use lack::{Lack, Thing};

/// What an FFmpeg can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skills {
    /// The program itself.
    pub build: Build,
    /// Filters.
    pub filters: Vec<Named>,
    /// Hardware acceleration.
    pub hwaccels: Vec<Named>,
    /// Codecs of pictures.
    pub video: Vec<Codec>,
    /// Codecs of sound.
    pub audio: Vec<Codec>,
    /// Codecs of subtitles.
    pub subtitle: Vec<Codec>,
    /// Containers that are read.
    pub demuxers: Vec<Named>,
    /// Containers that are written.
    pub muxers: Vec<Named>,
    /// Devices that are read.
    pub sources: Vec<DeviceKind>,
    /// Devices that are written.
    pub sinks: Vec<DeviceKind>,
    /// Protocols that are read.
    pub input_protocols: Vec<String>,
    /// Protocols that are written.
    pub output_protocols: Vec<String>,
}

/// What `ffmpeg -version` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// `5.1.9` of a release, without what its packager adds; of another build the text itself, such as
    /// `N-109468-gd39b34123d`.
    pub version: String,
    /// What it was compiled with.
    pub compiler: String,
    /// What it was configured with.
    pub configuration: String,
    /// Its libraries.
    pub libraries: Vec<Library>,
}

/// One library of FFmpeg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Library {
    /// Such as `libavcodec`.
    pub name: String,
    /// The version that it was compiled with.
    pub compiled: String,
    /// The version that is there.
    pub linked: String,
}

/// Something with a name and a description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// FFmpeg's name; several with commas between them for one thing.
    pub id: String,
    /// What it is.
    pub name: String,
}

/// A codec and what codes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codec {
    /// FFmpeg's name.
    pub id: String,
    /// What it is.
    pub name: String,
    /// Names of its encoders.
    pub encoders: Vec<String>,
    /// Names of its decoders.
    pub decoders: Vec<String>,
}

/// A kind of device and those that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceKind {
    /// FFmpeg's name.
    pub id: String,
    /// What it is.
    pub name: String,
    /// Those that were found.
    pub devices: Vec<Device>,
}

/// Reads `-version`.
pub fn read_version(text: &str) -> Build {
    let mut build = Build::default();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("ffmpeg version ") {
            build.version = version(rest.split_whitespace().next().unwrap_or_default());
        } else if let Some(rest) = line.trim().strip_prefix("built with ") {
            build.compiler = rest.to_owned();
        } else if let Some(rest) = line.trim().strip_prefix("configuration: ") {
            build.configuration = rest.to_owned();
        } else if let Some((versions, linked)) = line.trim().split_once(" / ")
            && let Some((name, compiled)) = versions.split_once(' ')
            && name.starts_with("lib")
        {
            let version = |text: &str| text.split_whitespace().collect::<String>();
            build.libraries.push(Library { name: name.into(), compiled: version(compiled), linked: version(linked) });
        }
    }
    build
}

/// `4.4.1-datarhei` is 4.4.1, `4.4` and `n4.4` are 4.4.0; what is no release stays as it is.
fn version(text: &str) -> String {
    let release = text.strip_prefix('n').unwrap_or(text);
    let digits = release.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next().unwrap_or_default();
    let mut parts: Vec<&str> = digits.trim_end_matches('.').split('.').collect();
    if parts.len() < 2 || parts.iter().any(|part| part.is_empty()) {
        return text.to_owned();
    }
    parts.resize(3, "0");
    parts.join(".")
}

/// Reads `-filters`.
pub fn read_filters(text: &str) -> Vec<Named> {
    let filter = |line: &str| {
        let mut words = line.split_whitespace();
        let (flags, id, ways) = (words.next()?, words.next()?, words.next()?);
        let is_filter = flags.len() <= 3 && ways.contains("->");
        is_filter.then(|| Named { id: id.into(), name: words.collect::<Vec<_>>().join(" ") })
    };
    text.lines().filter_map(filter).collect()
}

/// Reads `-hwaccels`.
pub fn read_hwaccels(text: &str) -> Vec<Named> {
    let lines = text.lines().skip_while(|line| !line.starts_with("Hardware acceleration methods:")).skip(1);
    let names = lines.map(str::trim).filter(|line| !line.is_empty());
    names.map(|name| Named { id: name.into(), name: name.into() }).collect()
}

impl Skills {
    /// Reads `-codecs`.
    pub fn read_codecs(&mut self, text: &str) {
        for line in text.lines() {
            let Some((flags, rest)) = line.trim_start().split_once(' ').filter(|(flags, _)| flags.len() == 6) else {
                continue;
            };
            let Some((id, name)) = rest.trim_start().split_once(' ').filter(|(id, _)| *id != "=") else { continue };
            let list = |kind: &str, flag: bool| {
                let listed = name.split_once(&format!("({kind}: ")).and_then(|(_, rest)| rest.split_once(')'));
                match listed {
                    Some((names, _)) => names.split_whitespace().map(str::to_owned).collect(),
                    None if flag => vec![id.to_owned()],
                    None => Vec::new(),
                }
            };
            let flag = |at: usize, letter: u8| flags.as_bytes()[at] == letter;
            let codec = Codec {
                id: id.to_owned(),
                name: name
                    .split(" (decoders: ")
                    .next()
                    .unwrap_or(name)
                    .split(" (encoders: ")
                    .next()
                    .unwrap_or(name)
                    .trim()
                    .to_owned(),
                encoders: list("encoders", flag(1, b'E')),
                decoders: list("decoders", flag(0, b'D')),
            };
            match flags.as_bytes()[2] {
                b'V' => self.video.push(codec),
                b'A' => self.audio.push(codec),
                b'S' => self.subtitle.push(codec),
                _ => {}
            }
        }
    }

    /// Reads `-formats`.
    pub fn read_formats(&mut self, text: &str) {
        (self.demuxers, self.muxers) = read_both(text);
    }

    /// Reads `-devices`.
    pub fn read_devices(&mut self, text: &str) {
        let kind = |Named { id, name }| DeviceKind { id, name, devices: Vec::new() };
        let (sources, sinks) = read_both(text);
        self.sources = sources.into_iter().map(kind).collect();
        self.sinks = sinks.into_iter().map(kind).collect();
    }

    /// Reads `-protocols`.
    pub fn read_protocols(&mut self, text: &str) {
        let mut is_output = None;
        for line in text.lines() {
            match line.trim() {
                "Input:" => is_output = Some(false),
                "Output:" => is_output = Some(true),
                "" => {}
                name => match is_output {
                    Some(false) => self.input_protocols.push(name.to_owned()),
                    Some(true) => self.output_protocols.push(name.to_owned()),
                    None => {}
                },
            }
        }
    }
}

/// What can be demuxed and what can be muxed, of a list with the flags `D` and `E` in front.
fn read_both(text: &str) -> (Vec<Named>, Vec<Named>) {
    let (mut demuxers, mut muxers) = (Vec::new(), Vec::new());
    for line in text.lines().skip_while(|line| line.trim() != "--" && line.trim() != "---").skip(1) {
        let Some(flags) = line.get(..4).filter(|flags| flags.contains(['D', 'E'])) else { continue };
        let mut words = line[4..].trim_start().splitn(2, ' ');
        let Some(id) = words.next().filter(|id| !id.is_empty()) else { continue };
        let named = Named { id: id.into(), name: words.next().unwrap_or_default().trim().into() };
        if flags.contains('D') {
            demuxers.push(named.clone());
        }
        if flags.contains('E') {
            muxers.push(named);
        }
    }
    (demuxers, muxers)
}
