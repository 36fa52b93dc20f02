//! Command line and `CORE_*` environment variables -> typed configuration.
//!
//! A flag and its variable name the same thing. A bad value stops the start with its name, the value and what is
//! allowed; a `CORE_*` variable that nothing here reads is named by [`unsupported_variables`].

mod access;
mod ffmpeg;
mod logging;
mod media;
mod operator;
mod storage;
mod turn;
mod validate;
mod webrtc;
mod worker;

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZero;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub use access::{Access, Algorithm, KeySource};
pub use ffmpeg::Ffmpeg;
pub use logging::{LogFormat, LogLevel, Logging};
pub use media::{Media, PARAMETER};
pub use operator::{Operator, PullPolicy};
pub use storage::{Ignored, Origin, Storage};
pub use turn::Turn;
pub use validate::Validate;
pub use webrtc::{Clients, Webrtc};
pub use worker::{Runner, Whep, Worker};

/// Turns any FFmpeg process into live WebRTC that a browser plays in a fraction of a second, declared as a manifest.
#[derive(Debug, Parser)]
#[command(name = "dragonfork", version = crate::app::VERSION, disable_help_subcommand = true)]
pub struct Command {
    /// What to run.
    #[command(subcommand)]
    pub mode: Mode,
}

/// What the binary does.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Run the processes of a manifest directory on this machine, with WebRTC playback and the player page.
    Standalone(Box<Standalone>),
    /// Run the processes of a Kubernetes cluster, each in a worker Pod of its own.
    Operator(Box<Operator>),
    /// In a worker Pod: run FFmpeg for one process; the gateway is the program beside it.
    Runner(Box<Runner>),
    /// In a worker Pod: the WebRTC gateway and WHEP endpoint of one process.
    Whep(Box<Whep>),
    /// Play a stream without a browser, and tell what came and how fast; fails where no media came.
    Play(Play),
    /// Say what the API server would refuse in manifests, and what would not run although it takes them; fails then.
    Validate(Validate),
    /// Print the CustomResourceDefinition of RestreamProcess.
    Crd,
    /// Make manifests of datarhei Core's `db.json`, or of processes as its API shows them.
    Convert(Convert),
    /// Print a token for the API or for one player, signed with the secret of the standalone program or the key of an operator.
    Token(Token),
}

/// Configuration of `dragonfork standalone`.
#[derive(Debug, Args)]
pub struct Standalone {
    /// Directory of the manifests; it is watched.
    #[arg(long = "manifests", env = "CORE_MANIFESTS_DIR", default_value = "./manifests", value_name = "DIR")]
    pub manifests: PathBuf,
    /// Address of HTTP: `:8080`, `8080`, `127.0.0.1:8080`, `[::1]:8080` or `name:8080`.
    #[arg(long, env = "CORE_ADDRESS", default_value = ":8080", value_parser = listen_address)]
    pub address: SocketAddr,
    /// JWT on the API; `false` lets everybody in who reaches the address.
    #[arg(long, env = "CORE_API_AUTH_ENABLE", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub api_auth_enable: bool,
    /// Who may log in and what signs the tokens.
    #[command(flatten)]
    pub credentials: Credentials,
    /// Whose tokens are taken too, and how often somebody may try a password.
    #[command(flatten)]
    pub access: Access,
    /// The clients of HTTP.
    #[command(flatten)]
    pub clients: Clients,
    /// Leave out every route that changes something; the manifest directory alone says what runs.
    #[arg(long, env = "CORE_API_READ_ONLY", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    pub api_read_only: bool,
    /// Figures for Prometheus at `/metrics`.
    #[arg(long, env = "CORE_METRICS_ENABLE_PROMETHEUS", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub metrics_enable_prometheus: bool,
    /// A token that may read every process is needed for them.
    #[arg(long, env = "CORE_METRICS_AUTH", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    pub metrics_auth: bool,
    /// FFmpeg, and where it runs.
    #[command(flatten)]
    pub ffmpeg: Ffmpeg,
    /// Where files are kept and how they are served.
    #[command(flatten)]
    pub storage: Storage,
    /// What manifests can refer to, and what FFmpeg may open.
    #[command(flatten)]
    pub media: Media,
    /// The WebRTC gateway as a whole.
    #[arg(long, env = "CORE_WEBRTC_ENABLE", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub webrtc_enable: bool,
    /// The gateway.
    #[command(flatten)]
    pub webrtc: Webrtc,
    /// Comma list of addresses or names that are put into answers; default: every address of this machine.
    #[arg(long, env = "CORE_WEBRTC_ANNOUNCE", value_delimiter = ',', value_name = "ADDRESS,…")]
    pub webrtc_announce: Vec<String>,
    /// Comma list of `stun:` and `turn:` URLs for the Link headers of WHEP.
    #[arg(long, env = "CORE_WEBRTC_ICE_SERVERS", value_delimiter = ',', value_parser = ice_server, value_name = "URL,…")]
    pub webrtc_ice_servers: Vec<String>,
    /// Viewers of one process whose manifest says nothing.
    #[arg(long, env = "CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", default_value_t = 8, value_parser = viewers(), value_name = "N")]
    pub webrtc_max_viewers_per_stream: u32,
    /// What is logged.
    #[command(flatten)]
    pub logging: Logging,
}

/// Who may log in and what signs the tokens.
#[derive(Args)]
pub struct Credentials {
    /// Directory of what the program must remember: the secret, the login.
    #[arg(long, env = "CORE_DB_DIR", default_value = "./config", value_name = "DIR")]
    pub db_dir: PathBuf,
    /// Name to log in with; default: `admin`.
    #[arg(long, env = "CORE_API_AUTH_USERNAME", value_parser = not_empty)]
    pub api_auth_username: Option<String>,
    /// Password to log in with; default: one that is made and stored at the first start.
    #[arg(long, env = "CORE_API_AUTH_PASSWORD", hide_env_values = true, value_parser = not_empty)]
    pub api_auth_password: Option<String>,
    /// Secret that signs tokens (HS256), 16 characters or more; default: one that is made and stored at the first start.
    #[arg(long, env = "CORE_API_AUTH_JWT_SECRET", hide_env_values = true, value_parser = jwt_secret)]
    pub api_auth_jwt_secret: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("db_dir", &self.db_dir).finish_non_exhaustive()
    }
}

/// Configuration of `dragonfork token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The secret is that of the standalone program with the same configuration.
    #[command(flatten)]
    pub credentials: Credentials,
    /// PEM file with the key pair of an operator, which signs the token then: for a cluster.
    #[arg(long, env = "CORE_OPERATOR_SIGNING_KEY", value_name = "PATH")]
    pub signing_key: Option<PathBuf>,
    /// The process that may be played, by its id; `*` stands for any text. Without it the token opens the whole API.
    #[arg(long, value_name = "ID")]
    pub process: Option<String>,
    /// Seconds until the token expires.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=315_360_000), value_name = "SECONDS")]
    pub seconds: u64,
}

/// Configuration of `dragonfork convert`. What the manifests are proven with is the configuration that `standalone` would
/// have.
#[derive(Debug, Args)]
pub struct Convert {
    /// `db.json` of version 4, or JSON of the API: a process, a list of them, or a configuration; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Directory to write to, where no file is overwritten; without it manifests go to standard output.
    #[arg(long, required_if_eq("secrets", "directory"), value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where passwords and stream keys go; default: `directory` with `--out`, else `manifest`.
    #[arg(long)]
    pub secrets: Option<Secrets>,
    /// Cores of the machine that datarhei Core ran on, whose limits count in percent of all; default: those of this one.
    #[arg(long, value_name = "N")]
    pub cores: Option<NonZero<usize>>,
}

/// Where `dragonfork convert` puts passwords and stream keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Secrets {
    /// Into a Secret beside each manifest, for a cluster.
    Manifest,
    /// Into files of their own, for `standalone`.
    Directory,
}

/// Configuration of `dragonfork play`.
#[derive(Args)]
pub struct Play {
    /// URL of a WHEP endpoint, such as `http://localhost:8080/api/v3/whep/lobby`.
    #[arg(value_name = "URL")]
    pub url: String,
    /// Bearer token. On the command line every user of the machine can read it.
    #[arg(long, env = "CORE_PLAY_TOKEN", hide_env_values = true, value_parser = not_empty)]
    pub token: Option<String>,
    /// File with the bearer token; it wins over the token itself.
    #[arg(long, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// Seconds to watch once connected.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400), value_name = "SECONDS")]
    pub duration: u64,
    /// Viewers, all at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub viewers: u32,
    /// Percent of the RTP packets that are lost on purpose, after decryption and before the receiver, 0 to 100.
    #[arg(long, default_value_t = 0.0, value_parser = percent, value_name = "PERCENT")]
    pub loss: f64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl std::fmt::Debug for Play {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Play").field("duration", &self.duration).field("viewers", &self.viewers).finish_non_exhaustive()
    }
}

/// Names of `CORE_*` variables that are set and that no flag reads.
pub fn unsupported_variables(names: impl Iterator<Item = String>) -> BTreeSet<String> {
    let command = Command::command();
    let known: BTreeSet<String> = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|argument| argument.get_env())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let is_read = |name: &str| known.contains(name) || name.starts_with(PARAMETER);
    names.filter(|name| name.starts_with("CORE_") && !is_read(name)).collect()
}

/// An address to listen at. Without a host it is every address of the machine, IPv6 and IPv4.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 =
        port.parse().map_err(|_| "is no address: write :8080, 127.0.0.1:8080, [::1]:8080 or name:8080".to_owned())?;
    if host.is_empty() {
        return Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    }
    let resolved = (host.trim_start_matches('[').trim_end_matches(']'), port).to_socket_addrs();
    let mut addresses = resolved.map_err(|error| format!("the host {host:?} cannot be resolved: {error}"))?;
    addresses.next().ok_or_else(|| format!("the host {host:?} has no address"))
}

fn viewers() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=100_000)
}

/// A number from 0 on.
fn count(most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(count) if count <= most => Ok(count),
        _ => Err(format!("is no whole number from 0 to {most}")),
    }
}

fn ice_server(text: &str) -> Result<String, String> {
    let text = text.trim();
    let known = ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| text.starts_with(scheme));
    let clean = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || "<>\"".contains(letter));
    if known && clean { Ok(text.to_owned()) } else { Err("is no stun:, stuns:, turn: or turns: URL".into()) }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(text.to_owned()) }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("is no number from 0 to 100".into()),
    }
}

fn jwt_secret(text: &str) -> Result<String, String> {
    if text.len() < 16 {
        Err("is shorter than 16 characters, which can be guessed".into())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, clap::Error> {
        Command::try_parse_from(["dragonfork"].iter().chain(arguments))
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Command::command().debug_assert();
    }

    #[test]
    fn an_address_may_leave_out_its_host() {
        for (text, address) in
            [(":8080", "[::]:8080"), ("8080", "[::]:8080"), ("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:9", "[::1]:9")]
        {
            assert_eq!(listen_address(text), Ok(address.parse().expect("an address")), "{text}");
        }
        assert!(listen_address("localhost:80").expect("localhost is known").ip().is_loopback());
        for text in ["", "x", ":", ":70000", "host:", "no such host:80"] {
            assert!(listen_address(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_its_value_and_what_is_allowed() {
        for (arguments, signs) in [
            (["standalone", "--address", "nowhere"], ["--address", "nowhere", ":8080"]),
            (["standalone", "--log-level", "loud"], ["--log-level", "loud", "silent"]),
            (["standalone", "--webrtc-max-viewers", "0"], ["--webrtc-max-viewers", "0", "1..=100000"]),
            (["standalone", "--webrtc-enable", "maybe"], ["--webrtc-enable", "maybe", "true"]),
            (["standalone", "--webrtc-ice-servers", "http://x"], ["--webrtc-ice-servers", "http://x", "stun:"]),
            (
                ["standalone", "--ffmpeg-access-input-allow", "^ok (x"],
                ["--ffmpeg-access-input-allow", "(x", "unclosed"],
            ),
            (["standalone", "--rtmp-address", "rtmp://h"], ["--rtmp-address", "rtmp://h", "host:port"]),
            (["standalone", "--api-auth-jwt-secret", "short"], ["--api-auth-jwt-secret", "short", "16"]),
        ] {
            let message = parse(&arguments).expect_err("it is refused").to_string();
            assert!(signs.iter().all(|sign| message.contains(sign)), "{message}");
        }
    }

    #[test]
    fn a_turn_server_is_opened_by_one_thing() {
        for arguments in [
            &["--webrtc-turn-username", "viewer"][..],
            &["--webrtc-turn-password", "wind"],
            &["--webrtc-turn-secret", "north", "--webrtc-turn-secret-file", "/x"],
            &["--webrtc-turn-secret", "north", "--webrtc-turn-username", "viewer", "--webrtc-turn-password", "wind"],
            &["--webrtc-turn-secret", "n\nx"],
        ] {
            let whole = [&["standalone"][..], arguments].concat();
            let message = parse(&whole).expect_err("it is refused").to_string();
            assert!(message.contains("--webrtc-turn-"), "{message}");
        }
        let whole = ["standalone", "--webrtc-turn-username", "viewer", "--webrtc-turn-password", "hunter2"];
        let debug = format!("{:?}", parse(&whole).expect("it is read"));
        assert!(!debug.contains("hunter2"), "{debug}");
    }

    #[test]
    fn a_variable_that_nothing_reads_is_named() {
        let names = ["CORE_ADDRESS", "CORE_RTMP_ENABLE", "CORE_TYPO", "CORE_PARAM_KEY", "PATH"].map(String::from);
        let unsupported = unsupported_variables(names.into_iter());
        assert_eq!(unsupported.into_iter().collect::<Vec<_>>(), ["CORE_RTMP_ENABLE", "CORE_TYPO"]);
    }

    #[test]
    fn debug_output_of_the_configuration_holds_no_secret() {
        let command = parse(
            &["standalone", "--api-auth-password", "hunter2", "--api-auth-jwt-secret", "0123456789abcdef"]
                .into_iter()
                .chain(["--rtmp-token", "hunter2", "--srt-token", "hunter2", "--srt-passphrase", "0123456789abcdef"])
                .collect::<Vec<_>>(),
        );
        let debug = format!("{:?}", command.expect("it is read"));
        assert!(!debug.contains("hunter2") && !debug.contains("abcdef"), "{debug}");
    }
}
