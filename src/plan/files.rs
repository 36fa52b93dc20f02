//! The files that a process writes.

use std::time::Duration;

use super::address::tee_legs;
use super::{Io, Plan};
use crate::crd;
use crate::files::{Pattern, Rule};

/// The cleanup rule of an output, `pattern` being its pattern with the placeholders replaced; an error says why that is
/// none.
pub fn rule(cleanup: &crd::Cleanup, pattern: &str) -> Result<Rule, String> {
    let crd::Cleanup { pattern: _, max_files, max_file_age_seconds, purge_on_delete } = cleanup;
    let pattern = Pattern::parse(pattern).map_err(|bad| format!("{pattern:?} is no pattern of files: {bad}"))?;
    Ok(Rule {
        pattern,
        max_files: usize::try_from(*max_files).ok().filter(|max| *max > 0),
        max_age: u64::try_from(*max_file_age_seconds).ok().filter(|max| *max > 0).map(Duration::from_secs),
        purge_on_delete: *purge_on_delete,
    })
}

impl Plan {
    /// Whether FFmpeg itself writes files below this folder, which is the one that it runs in.
    pub fn writes_below(&self, folder: &str) -> bool {
        self.outputs.iter().any(|output| output.writes_below(folder))
    }
}

impl Io {
    fn writes_below(&self, folder: &str) -> bool {
        let segments = self.option("-hls_segment_filename");
        let ways = self.ways();
        ways.iter().map(String::as_str).chain(segments).any(|address| is_below(address, folder))
    }

    /// The addresses that an output goes to: of the tee muxer each, of any other the one.
    pub(super) fn ways(&self) -> Vec<String> {
        let address = self.address.expose();
        match self.option("-f") {
            Some("tee") => tee_legs(address).into_iter().map(|leg| leg.address).collect(),
            _ => vec![address.to_owned()],
        }
    }
}

fn is_below(address: &str, folder: &str) -> bool {
    let path = address.strip_prefix("file:").unwrap_or(address);
    let path = path.strip_prefix("//").unwrap_or(path);
    let is_protocol = |path: &str| {
        path.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
        })
    };
    match path.strip_prefix('/') {
        Some(_) => path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        None => path != "-" && !is_protocol(path),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Secret;
    use super::*;

    fn output(address: &str, options: &str) -> Io {
        let options = options.split_whitespace().map(Secret::new).collect();
        Io { id: "out".into(), address: Secret::new(address), options, files: Vec::new() }
    }

    #[test]
    fn files_are_told_from_what_goes_elsewhere() {
        for (address, options, expected) in [
            ("cam.m3u8", "-f hls", true),
            ("cam/%d.ts", "", true),
            ("/data/cam.m3u8", "", true),
            ("file:cam.mp4", "", true),
            ("file:///data/cam.mp4", "", true),
            ("/database/cam.mp4", "", false),
            ("/media/cam.mp4", "", false),
            ("/dev/null", "", false),
            ("rtmp://host/live", "", false),
            ("http://127.0.0.1:8080/memfs/cam.m3u8", "-f hls", false),
            ("http://127.0.0.1:8080/memfs/cam.m3u8", "-hls_segment_filename cam%d.ts", true),
            ("-", "-f null", false),
            ("pipe:1", "", false),
            ("[f=flv]rtmp://host/live|[f=hls:hls_time=2]cam.m3u8", "-f tee", true),
            ("[f=flv]rtmp://host/live|[f=mpegts]srt://host:6000", "-f tee", false),
        ] {
            assert_eq!(output(address, options).writes_below("/data"), expected, "{address} {options}");
        }
    }
}
