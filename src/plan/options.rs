//! What options could open besides the addresses of a manifest.
//!
//! FFmpeg takes whatever is neither an option nor an option's value for an output, so a list of options is read as
//! FFmpeg reads it. Always refused is what would be another input or output, or a file that is written outside of the
//! disk directory; with access lists, also what opens anything that the lists cannot be asked about.

mod table;

use std::path::Path;

use super::access::{Access, Denied};
use super::address::{Kind, Place, absolute, is_tee};
use super::graph;

use table::{Meaning, is_unsettled, meaning, takes_value};

/// Formats of devices and filter graphs, whose addresses are no paths and no URLs.
const DEVICES: [&str; 26] = [
    "alsa",
    "android_camera",
    "audiotoolbox",
    "avfoundation",
    "bktr",
    "caca",
    "decklink",
    "dshow",
    "fbdev",
    "gdigrab",
    "iec61883",
    "jack",
    "kmsgrab",
    "lavfi",
    "libcdio",
    "libdc1394",
    "openal",
    "opengl",
    "oss",
    "pulse",
    "sdl",
    "sdl2",
    "sndio",
    "v4l2",
    "video4linux2",
    "x11grab",
];

/// What stands at one place among options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An option without a value: its place.
    Bare(usize, &'a str),
    /// An option and its value: the place of the option, its name without dash and stream specifier.
    Valued(usize, &'a str, &'a str),
}

/// Where options may write and what they may name.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// The disk directory.
    pub disk: &'a Path,
    /// The access lists.
    pub access: &'a Access,
}

/// Options as FFmpeg takes them apart, or what is wrong with which one.
pub fn read(options: &[String]) -> Result<Vec<Item<'_>>, (usize, &'static str)> {
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(option) = options.get(at) {
        let Some(name) = option.strip_prefix('-').filter(|name| !name.is_empty() && *name != "-") else {
            return Err((
                at,
                "is neither an option nor an option's value, so FFmpeg would write to a file of this name; outputs have \
                 their place in spec.output",
            ));
        };
        if name == "i" {
            return Err((at, "-i would be another input; inputs have their place in spec.input"));
        }
        let name = name.split(':').next().unwrap_or_default();
        if !takes_value(name) {
            items.push(Item::Bare(at, name));
            at += 1;
            continue;
        }
        let Some(value) = options.get(at + 1) else {
            return Err((at, "lacks its value, for which FFmpeg would take what stands behind; add it"));
        };
        if is_unsettled(name) && !matches!(value.as_str(), "0" | "1") {
            return Err((
                at,
                "needs a value to some versions of FFmpeg; write 0 or 1 behind it, or a no before its name",
            ));
        }
        items.push(Item::Valued(at, name, value));
        at += 2;
    }
    Ok(items)
}

/// The value of an option among these, the last one given.
pub fn value<'a>(items: &[Item<'a>], name: &str) -> Option<&'a str> {
    items.iter().rev().find_map(|item| match item {
        Item::Valued(_, option, value) if *option == name => Some(*value),
        _ => None,
    })
}

/// Whether the address behind these options is that of a device or a filter graph.
pub fn is_device(items: &[Item<'_>]) -> bool {
    value(items, "f").is_some_and(|format| DEVICES.contains(&format))
}

/// Whether the address behind these options is that of the tee muxer.
pub fn is_of_tee(items: &[Item<'_>], address: &str) -> bool {
    let names_tee = |item: &Item<'_>| matches!(item, Item::Valued(_, name, "tee") if meaning(name) == Meaning::Format);
    items.iter().any(names_tee) || is_tee(address)
}

impl Bounds<'_> {
    /// What is wrong with an option and its value. Messages hold no values, which may be secrets.
    pub fn check(&self, name: &str, value: &str) -> Result<(), String> {
        if name == "progress" {
            return Err("-progress is how this program itself hears of FFmpeg's progress; leave it out".into());
        }
        if meaning(name) == Meaning::Writes {
            return self.check_written(name, value);
        }
        if self.access.is_empty() {
            return Ok(());
        }
        if name.starts_with('/') {
            return Err(format!("-{name} reads the option from a file, which access lists cannot be asked about"));
        }
        match meaning(name) {
            Meaning::Opens => Err(format!("-{name} opens what access lists cannot be asked about")),
            Meaning::Reads => self.check_read(name, value),
            Meaning::Graph => graph::check(value).map_err(|why| format!("-{name}: {why}")),
            Meaning::Format if matches!(value, "concat" | "imf") => {
                Err(format!("-{name}: the format {value} opens what access lists cannot be asked about"))
            }
            Meaning::Text | Meaning::Format | Meaning::Writes => Ok(()),
            Meaning::Other if names_place(value) => Err(format!(
                "-{name} holds an address or a path, which access lists cannot be asked about; paths of the disk \
                 directory can be relative"
            )),
            Meaning::Other => Ok(()),
        }
    }

    /// An output address of options and tee legs, each against lists and directory.
    pub fn place(&self, address: &str) -> Result<Place, String> {
        let place = Place::of_output(address, self.disk)?;
        self.access.outputs.check(&[&place.listed]).map_err(of_output)?;
        Ok(place)
    }

    /// What FFmpeg reads, and what it is told for it. Lists are asked about a path without dots, as it is and with its
    /// scheme.
    pub fn check_source(&self, address: &str) -> Result<String, String> {
        let list = &self.access.inputs;
        if list.is_empty() {
            return Ok(address.to_owned());
        }
        match Kind::of(address) {
            Kind::Path(path) => {
                let path = absolute(path, self.disk).display().to_string();
                list.check(&[&path, &format!("file:{path}")]).map_err(of_input)?;
                Ok(path)
            }
            Kind::Wrapped(wrapper) => Err(format!(
                "the protocol {wrapper}: hides what FFmpeg reads, so access lists cannot be asked about it"
            )),
            Kind::Standard | Kind::Url => {
                list.check(&[address]).map_err(of_input)?;
                Ok(address.to_owned())
            }
        }
    }

    /// A device or a filter graph that is read.
    pub fn check_device(&self, address: &str) -> Result<(), String> {
        self.access.inputs.check(&[address]).map_err(of_input)
    }

    /// A device that is written to, by its name.
    pub fn check_sink(&self, address: &str) -> Result<(), String> {
        self.access.outputs.check(&[address]).map_err(of_output)
    }

    fn check_written(&self, name: &str, value: &str) -> Result<(), String> {
        self.place(value).map(|_| ()).map_err(|why| format!("-{name} {why}"))
    }

    fn check_read(&self, name: &str, value: &str) -> Result<(), String> {
        self.check_source(value).map(|_| ()).map_err(|why| format!("-{name} {why}"))
    }

    /// The options of one leg of the tee muxer.
    pub fn check_leg(&self, options: &[(String, String)]) -> Result<(), String> {
        for (name, value) in options {
            let name = name.split('/').next().unwrap_or_default();
            if meaning(name) == Meaning::Format && value == "tee" {
                return Err(format!("{name}=tee: a tee within a tee hides where FFmpeg writes"));
            }
            self.check(name, value)?;
        }
        Ok(())
    }
}

fn of_input(denied: Denied) -> String {
    listed(denied, "inputs", "INPUT")
}

fn of_output(denied: Denied) -> String {
    listed(denied, "outputs", "OUTPUT")
}

fn listed(denied: Denied, side: &str, list: &str) -> String {
    let name = match denied {
        Denied::Blocked => "BLOCK",
        Denied::NotAllowed => "ALLOW",
    };
    format!("{denied} for {side} (CORE_FFMPEG_ACCESS_{list}_{name})")
}

/// Whether a value holds a URL, an absolute path that is none of a device, or a way up. A slash that divides has
/// something before it.
pub fn names_place(value: &str) -> bool {
    if value.contains("://") || value.contains("../") || value.contains("/..") || value == ".." {
        return true;
    }
    value.match_indices('/').any(|(at, _)| {
        let before = value[..at].trim_end().chars().next_back();
        let begins = before.is_none_or(|before| ":=,;|'\"[]".contains(before));
        let behind = &value[at + 1..];
        begins && !behind.starts_with("dev/") && behind.starts_with(|next: char| !next.is_whitespace())
    })
}

#[cfg(test)]
mod tests;
