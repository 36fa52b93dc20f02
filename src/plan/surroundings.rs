//! What manifests can refer to: the configuration around them, values of Secrets, outputs of other processes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::access::Access;
use super::placeholders::Template;
use super::{Key, Secret};

/// What the configuration says, the same for every manifest.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The disk directory, absolute: `{diskfs}`. FFmpeg runs in it, and files are written nowhere else.
    pub disk: PathBuf,
    /// The memory filesystem.
    pub memory: Option<Memory>,
    /// The RTMP server of `{rtmp}`.
    pub rtmp: Option<Rtmp>,
    /// The SRT server of `{srt}`.
    pub srt: Option<Srt>,
    /// What FFmpeg may read, and where it may write.
    pub access: Access,
    /// `$(NAME)` for every manifest; a manifest's own parameters win.
    pub parameters: BTreeMap<String, Secret>,
}

/// The memory filesystem of `{memfs}`.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Where this program serves it.
    pub address: SocketAddr,
    /// Name and password of those who write there; `None` where everybody may.
    pub login: Option<(String, Secret)>,
}

/// The RTMP server of `{rtmp}`.
#[derive(Clone, Debug)]
pub struct Rtmp {
    /// `host:port`.
    pub server: String,
    /// The application, with or without a slash at its beginning; may be empty.
    pub app: String,
    /// Opens the server, as `token` of the query.
    pub token: Option<Secret>,
}

/// The SRT server of `{srt}`.
#[derive(Clone, Debug)]
pub struct Srt {
    /// `host:port`.
    pub server: String,
    /// Encrypts the connection. It stands in the URL as it is, because FFmpeg decodes nothing there.
    pub passphrase: Option<Secret>,
    /// Opens the server, as a part of the stream id.
    pub token: Option<Secret>,
}

/// What changes while the program runs.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Addresses of the outputs of each process, by their ids.
    pub outputs: BTreeMap<Key, BTreeMap<String, Secret>>,
    /// What the source could read of Secrets and ConfigMaps.
    pub values: Values,
}

/// Values of Secrets and ConfigMaps by name and key, or why there is none. What nobody looked for is not among them.
pub type Values = BTreeMap<(String, String), Result<Secret, String>>;

/// Something that a manifest refers to and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What it is.
    pub what: Referent,
    /// Where it is asked for, and what would have to be there.
    pub message: String,
}

/// What can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referent {
    /// Another process.
    Process,
    /// An output of another process.
    Output,
    /// A key of a Secret or ConfigMap.
    Value,
}

/// Why a manifest gives no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is wrong: every reason, each with its path.
    Refused(Vec<String>),
    /// It is right, and waits for what it refers to.
    Missing(Vec<Missing>),
}

/// Which side an input or output is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is read.
    Input,
    /// It is written.
    Output,
}

/// What in a part of a URL may stand as it is: RFC 3986 section 2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Surroundings {
    /// A disk directory and nothing else.
    pub fn new(disk: impl Into<PathBuf>) -> Self {
        Self {
            disk: disk.into(),
            memory: None,
            rtmp: None,
            srt: None,
            access: Access::default(),
            parameters: BTreeMap::new(),
        }
    }

    /// What is put into addresses and must be seen nowhere.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let memory = self.memory.iter().filter_map(|memory| Some(&memory.login.as_ref()?.1));
        let rtmp = self.rtmp.iter().filter_map(|rtmp| rtmp.token.as_ref());
        let srt = self.srt.iter().flat_map(|srt| [&srt.passphrase, &srt.token]).flatten();
        memory.chain(rtmp).chain(srt)
    }

    /// What a placeholder for files stands for; an error says why it stands for nothing.
    pub(super) fn files(&self, name: &str) -> Option<Result<Template<'static>, String>> {
        match name {
            "diskfs" | "fs:disk" => Some(Ok(Template::plain(self.disk.display().to_string()))),
            "memfs" | "fs:mem" => Some(match &self.memory {
                Some(memory) => Ok(Template::plain(memory.url())),
                None => Err(format!("{{{name}}} stands for files in memory, which are not there; write to {{diskfs}}")),
            }),
            _ => None,
        }
    }

    /// What a placeholder for a server stands for; an error says why it stands for nothing.
    pub(super) fn servers(&self, name: &str, side: Side) -> Option<Result<Template<'static>, String>> {
        let unset = |variable: &str| Err(format!("{{{name}}} needs the address of a server: set {variable}"));
        match name {
            "rtmp" => Some(self.rtmp.as_ref().map_or_else(|| unset("CORE_RTMP_ADDRESS"), |rtmp| Ok(rtmp.template()))),
            "srt" => Some(self.srt.as_ref().map_or_else(|| unset("CORE_SRT_ADDRESS"), |srt| Ok(srt.template(side)))),
            _ => None,
        }
    }
}

impl Memory {
    /// Base URL, with the login that writing needs.
    fn url(&self) -> String {
        let Self { address, login } = self;
        let host = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
        let login = login.as_ref().map(|(name, password)| format!("{}:{}@", percent_encoded(name), encoded(password)));
        format!("http://{}{}/memfs", login.unwrap_or_default(), SocketAddr::new(host, address.port()))
    }
}

impl Rtmp {
    fn template(&self) -> Template<'static> {
        let Self { server, app, token } = self;
        let app = app.trim_matches('/');
        let slash = if app.is_empty() { "" } else { "/" };
        let token = token.as_ref().map(|token| format!("?token={}", encoded(token))).unwrap_or_default();
        Template::new(format!("rtmp://{server}{slash}{app}/{{name}}{token}"), &[])
    }
}

impl Srt {
    fn template(&self, side: Side) -> Template<'static> {
        let Self { server, passphrase, token } = self;
        let mode = match side {
            Side::Input => "request",
            Side::Output => "publish",
        };
        let token = token.as_ref().map(|token| format!(",token:{}", encoded(token))).unwrap_or_default();
        let passphrase =
            passphrase.as_ref().map(|phrase| format!("&passphrase={}", phrase.expose())).unwrap_or_default();
        let text = format!(
            "srt://{server}?mode=caller&transtype=live&latency={{latency}}&streamid={{name}},mode:{mode}{token}{passphrase}"
        );
        Template::new(text, &[("latency", "20000")])
    }
}

fn encoded(secret: &Secret) -> String {
    percent_encoded(secret.expose())
}

fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}
