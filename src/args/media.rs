//! What manifests can refer to: servers, Secrets, and what FFmpeg may open.

use std::path::PathBuf;

use clap::Args;

use crate::plan::Expressions;

/// What manifests can refer to, and what FFmpeg may open.
#[derive(Args)]
pub struct Media {
    /// Directory of the values that manifests take from Secrets and ConfigMaps, `<name>/<key>`; it is watched.
    #[arg(long, env = "CORE_SECRETS_DIR", default_value = "./secrets", value_name = "DIR")]
    pub secrets_dir: PathBuf,
    /// RTMP server of `{rtmp}`: `host:port`; without a host it is `localhost`.
    #[arg(long, env = "CORE_RTMP_ADDRESS", value_parser = server, value_name = "ADDRESS")]
    pub rtmp_address: Option<String>,
    /// Application of `{rtmp}`.
    #[arg(long, env = "CORE_RTMP_APP", default_value = "/", value_parser = application, value_name = "PATH")]
    pub rtmp_app: String,
    /// Token of `{rtmp}`.
    #[arg(long, env = "CORE_RTMP_TOKEN", hide_env_values = true)]
    pub rtmp_token: Option<String>,
    /// SRT server of `{srt}`: `host:port`; without a host it is `localhost`.
    #[arg(long, env = "CORE_SRT_ADDRESS", value_parser = server, value_name = "ADDRESS")]
    pub srt_address: Option<String>,
    /// Passphrase of `{srt}`, 10 to 79 characters.
    #[arg(long, env = "CORE_SRT_PASSPHRASE", hide_env_values = true, value_parser = passphrase)]
    pub srt_passphrase: Option<String>,
    /// Token of `{srt}`.
    #[arg(long, env = "CORE_SRT_TOKEN", hide_env_values = true)]
    pub srt_token: Option<String>,
    /// Regular expressions, separated by spaces, of what FFmpeg may read; everything where there is none.
    #[arg(long, env = "CORE_FFMPEG_ACCESS_INPUT_ALLOW", value_parser = Expressions::parse, value_name = "REGEX …")]
    pub ffmpeg_access_input_allow: Option<Expressions>,
    /// Regular expressions, separated by spaces, of what FFmpeg may not read.
    #[arg(long, env = "CORE_FFMPEG_ACCESS_INPUT_BLOCK", value_parser = Expressions::parse, value_name = "REGEX …")]
    pub ffmpeg_access_input_block: Option<Expressions>,
    /// Regular expressions, separated by spaces, of where FFmpeg may write; everywhere where there is none.
    #[arg(long, env = "CORE_FFMPEG_ACCESS_OUTPUT_ALLOW", value_parser = Expressions::parse, value_name = "REGEX …")]
    pub ffmpeg_access_output_allow: Option<Expressions>,
    /// Regular expressions, separated by spaces, of where FFmpeg may not write.
    #[arg(long, env = "CORE_FFMPEG_ACCESS_OUTPUT_BLOCK", value_parser = Expressions::parse, value_name = "REGEX …")]
    pub ffmpeg_access_output_block: Option<Expressions>,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media").field("secrets_dir", &self.secrets_dir).finish_non_exhaustive()
    }
}

/// Begins the names of variables that are parameters of every manifest: `CORE_PARAM_KEY` is `$(KEY)`.
pub const PARAMETER: &str = "CORE_PARAM_";

/// The address of a server outside, as `host:port`.
fn server(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 = port.parse().map_err(|_| "is no address: write host:port, [::1]:port or :port")?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:%".contains(c);
    if port == 0 || !host.chars().all(is_host) || host.contains(':') != host.starts_with('[') {
        return Err("is no address: write host:port, [::1]:port or :port".into());
    }
    Ok(format!("{}:{port}", if host.is_empty() { "localhost" } else { host }))
}

fn application(text: &str) -> Result<String, String> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if text.chars().all(is_path) { Ok(text.to_owned()) } else { Err("is no path: letters, digits and -._~/".into()) }
}

/// FFmpeg takes a passphrase as it stands in the URL, so that nothing in it can be escaped.
fn passphrase(text: &str) -> Result<String, String> {
    if !(10..=79).contains(&text.len()) {
        return Err("has not 10 to 79 characters, which SRT needs".into());
    }
    if !text.chars().all(|c| c.is_ascii_graphic() && !"&+|[]'\\".contains(c)) {
        return Err(
            "holds a character that FFmpeg cannot take in an SRT URL: white space, or one of & + | [ ] ' \\".into()
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_host_is_on_this_machine() {
        for (text, address) in [
            (":1935", "localhost:1935"),
            ("1935", "localhost:1935"),
            ("media.example:1935", "media.example:1935"),
            ("[::1]:6000", "[::1]:6000"),
        ] {
            assert_eq!(server(text), Ok(address.into()));
        }
        for text in ["", ":", "host", "host:0", "host:70000", "rtmp://host:1935", "a b:1", "::1:80"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_passphrase_is_one_that_a_url_can_hold() {
        assert!(passphrase("0123456789").is_ok());
        for text in ["short", "0123456789 x", "0123456789&x", "0123456789+x"] {
            assert!(passphrase(text).is_err(), "{text}");
        }
    }
}
