//! Addresses: what FFmpeg takes them for, and what of the disk an output may be written to.

use std::path::{Component, Path, PathBuf};

use super::words::{WHITE, pairs, word};

/// Protocols that open another address within their own, or several.
const WRAPPERS: [&str; 13] = [
    "async",
    "cache",
    "concat",
    "concatf",
    "crypto",
    "data",
    "ffrtmpcrypt",
    "hls",
    "ipfs",
    "ipns",
    "md5",
    "subfile",
    "tee",
];
/// Protocols whose address may follow the colon without slashes.
const NETWORK: [&str; 34] = [
    "amqp",
    "bluray",
    "dtls",
    "ffrtmphttp",
    "ftp",
    "gopher",
    "gophers",
    "http",
    "httpproxy",
    "https",
    "icecast",
    "mmsh",
    "mmst",
    "prompeg",
    "rist",
    "rtmp",
    "rtmpe",
    "rtmps",
    "rtmpt",
    "rtmpte",
    "rtmpts",
    "rtp",
    "rtsp",
    "rtsps",
    "sap",
    "sctp",
    "sftp",
    "smb",
    "srt",
    "srtp",
    "tcp",
    "tls",
    "udp",
    "udplite",
];
/// Further ones.
const OTHERS: [&str; 5] = ["unix", "zmq", "pipe", "fd", "satip"];

/// What FFmpeg takes an address for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `-`: a standard stream.
    Standard,
    /// A path, as it is written.
    Path(&'a str),
    /// Another address within a protocol's own.
    Wrapped(&'a str),
    /// Anything else with a scheme.
    Url,
}

impl<'a> Kind<'a> {
    /// What FFmpeg takes this address for.
    pub fn of(address: &'a str) -> Self {
        if address == "-" {
            return Self::Standard;
        }
        let is_scheme = |character: char| character.is_ascii_alphanumeric() || "+-.,".contains(character);
        let behind = address.trim_start_matches(is_scheme);
        let name = &address[..address.len() - behind.len()];
        let base = name.split(['+', ',']).next().unwrap_or_default().to_ascii_lowercase();
        if base == "subfile" && name.contains(',') {
            return Self::Wrapped("subfile");
        }
        let Some(rest) = behind.strip_prefix(':').filter(|_| !name.is_empty()) else { return Self::Path(address) };
        if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| **wrapper == base) {
            return Self::Wrapped(wrapper);
        }
        match base.as_str() {
            "file" => Self::Path(rest),
            base if NETWORK.contains(&base) || OTHERS.contains(&base) || scheme(address).is_some() => Self::Url,
            _ => Self::Path(address),
        }
    }
}

/// Scheme, and authority as it is written, of an address with `://`. A scheme may hold colons itself.
pub fn scheme(address: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_scheme = scheme.chars().all(|character| character.is_ascii_alphanumeric() || "+-.:".contains(character));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (begins && is_scheme).then_some((scheme, authority))
}

/// Host and port of an authority. The rest of an address is left as it is: patterns such as `%v` stand there.
pub fn host_and_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.contains(|character: char| {
        character.is_whitespace() || character.is_control() || "<>\"\\^`".contains(character)
    }) {
        return Err("its host holds a character that none may hold");
    }
    let (name, port) = match host.strip_prefix('[') {
        Some(address) => {
            let (address, port) = address.split_once(']').ok_or("the [ of its host is not closed")?;
            (
                address,
                if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or("its port needs a colon")?) },
            )
        }
        None => match host.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    if name.contains(['[', ']']) {
        return Err("its host holds a bracket");
    }
    match port {
        Some(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) => Err("its port is no number"),
        _ => Ok((name, port)),
    }
}

/// A place that FFmpeg writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What FFmpeg is told.
    pub address: String,
    /// What access lists are asked about: `file:` and an absolute path, `pipe:`, or the address.
    pub listed: String,
    /// The absolute path of a file.
    pub file: Option<PathBuf>,
}

impl Place {
    /// Whether it is a file of the disk directory, and no device.
    pub fn is_local_file(&self) -> bool {
        self.file.as_ref().is_some_and(|file| !file.starts_with("/dev"))
    }

    /// Where FFmpeg would write with this address. A path begins at the disk directory and stays in it, or in `/dev`.
    pub fn of_output(address: &str, disk: &Path) -> Result<Self, String> {
        let address = address.trim();
        match Kind::of(address) {
            Kind::Standard => Ok(Self { address: "-".into(), listed: "pipe:".into(), file: None }),
            Kind::Url => {
                check_host(address)?;
                Ok(Self { address: address.into(), listed: address.into(), file: None })
            }
            Kind::Wrapped(wrapper) => {
                Err(format!("the protocol {wrapper}: hides where FFmpeg writes; give the address itself"))
            }
            Kind::Path(path) => {
                let file = absolute(path, disk);
                let is_device = file.starts_with("/dev") && file != Path::new("/dev");
                if !is_device && (!file.starts_with(disk) || file == disk) {
                    let disk = disk.display();
                    return Err(format!(
                        "leads out of the disk directory {disk}, and files are written there or to /dev"
                    ));
                }
                let is_plain = path == address && !path.starts_with('/') && !has_scheme_characters(path);
                let short = is_plain.then(|| file.strip_prefix(disk).ok()).flatten();
                Ok(Self {
                    address: short.unwrap_or(&file).display().to_string(),
                    listed: format!("file:{}", file.display()),
                    file: Some(file),
                })
            }
        }
    }
}

/// Whether FFmpeg would take the beginning of a relative path for a protocol, or the path for an option.
fn has_scheme_characters(path: &str) -> bool {
    path.contains(':') || path.starts_with('-')
}

/// An address with `://` has a host that can be read, if any.
pub fn check_host(address: &str) -> Result<(), String> {
    let Some((_, authority)) = scheme(address) else { return Ok(()) };
    host_and_port(authority).map(|_| ()).map_err(|why| format!("is no address: {why}"))
}

/// The absolute path, without `.` and `..`; a relative one begins at `base`.
pub fn absolute(path: &str, base: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in base.join(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// One leg of FFmpeg's tee muxer: `[options]address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeeLeg {
    /// Options with the brackets, as they are written; empty without.
    pub brackets: String,
    /// The options, taken apart.
    pub options: Vec<(String, String)>,
    /// The address.
    pub address: String,
}

/// Whether an address is one of the tee muxer, even where no option says so.
pub fn is_tee(address: &str) -> bool {
    address.contains('|') || address.trim_start().starts_with('[')
}

/// The legs of an address of the tee muxer.
pub fn tee_legs(address: &str) -> Vec<TeeLeg> {
    let mut legs = Vec::new();
    let mut rest = address;
    loop {
        let (leg, behind) = word(rest, &['|']);
        legs.push(tee_leg(&leg));
        match behind.strip_prefix('|') {
            Some(next) => rest = next,
            None => return legs,
        }
    }
}

fn tee_leg(leg: &str) -> TeeLeg {
    let Some(inside) = leg.strip_prefix('[') else {
        return TeeLeg { brackets: String::new(), options: Vec::new(), address: leg.to_owned() };
    };
    let (options, behind) = pairs(inside, &[']']);
    let address = behind.strip_prefix(']').unwrap_or(behind);
    let brackets = leg[..leg.len() - address.len()].to_owned();
    TeeLeg { brackets, options, address: address.to_owned() }
}

/// The address of the tee muxer that has these legs.
pub fn tee_address<'a>(legs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let legs = legs.map(|(brackets, address)| {
        let leg = format!("{brackets}{address}");
        let escape = |character: char| {
            let special = matches!(character, '\\' | '\'' | '|') || WHITE.contains(&character);
            special.then_some('\\').into_iter().chain([character])
        };
        leg.chars().flat_map(escape).collect::<String>()
    });
    legs.collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests;
