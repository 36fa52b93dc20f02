//! Where files are kept, how much room they have, who may write and read them, and how those who watch are counted.

use axum::http::{HeaderValue, Uri};
use clap::{ArgAction, Args};
use ipnet::IpNet;

/// Where files are kept and how they are served.
#[derive(Args)]
pub struct Storage {
    /// MiB that the disk directory may have; 0 is no cap.
    #[arg(long, env = "CORE_STORAGE_DISK_MAX_SIZE_MBYTES", default_value_t = 0, value_parser = mebibytes(), value_name = "MIB")]
    pub storage_disk_max_size_mbytes: u64,
    /// MiB that the memory filesystem may have; 0 is half of the memory that this program may use.
    #[arg(long, env = "CORE_STORAGE_MEMORY_MAX_SIZE_MBYTES", default_value_t = 0, value_parser = mebibytes(), value_name = "MIB")]
    pub storage_memory_max_size_mbytes: u64,
    /// Remove the oldest files of a full memory filesystem instead of refusing new ones.
    #[arg(long, env = "CORE_STORAGE_MEMORY_PURGE", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    pub storage_memory_purge: bool,
    /// Basic authentication for those who write below /memfs; `false` lets everybody write.
    #[arg(long, env = "CORE_STORAGE_MEMORY_AUTH_ENABLE", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub storage_memory_auth_enable: bool,
    /// Name for those who write below /memfs.
    #[arg(long, env = "CORE_STORAGE_MEMORY_AUTH_USERNAME", default_value = "admin", value_parser = username)]
    pub storage_memory_auth_username: String,
    /// Password for those who write below /memfs; default: one that is made and stored at the first start.
    #[arg(long, env = "CORE_STORAGE_MEMORY_AUTH_PASSWORD", hide_env_values = true, value_parser = super::not_empty)]
    pub storage_memory_auth_password: Option<String>,
    /// Comma list of sites whose pages may read files, such as https://example.com; `*` is every site.
    #[arg(long, env = "CORE_STORAGE_CORS_ORIGINS", value_delimiter = ',', default_value = "*", value_parser = origin, value_name = "ORIGIN,…")]
    pub storage_cors_origins: Vec<Origin>,
    /// Count those who watch by HLS.
    #[arg(long, env = "CORE_SESSIONS_ENABLE", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub sessions_enable: bool,
    /// Comma list of addresses and networks of clients that are not counted, such as FFmpeg on this machine.
    #[arg(long, env = "CORE_SESSIONS_IP_IGNORELIST", value_delimiter = ',', default_value = "127.0.0.1/32,::1/128", value_parser = ignored, value_name = "NETWORK,…")]
    pub sessions_ip_ignorelist: Vec<Ignored>,
    /// Seconds after which a viewer that loads nothing is gone.
    #[arg(long, env = "CORE_SESSIONS_SESSION_TIMEOUT_SEC", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400), value_name = "SECONDS")]
    pub sessions_session_timeout_sec: u64,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage")
            .field("storage_disk_max_size_mbytes", &self.storage_disk_max_size_mbytes)
            .field("storage_memory_max_size_mbytes", &self.storage_memory_max_size_mbytes)
            .finish_non_exhaustive()
    }
}

/// Which sites' pages may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Every one.
    Any,
    /// This one, as browsers write it (RFC 6454 section 6.2).
    One(HeaderValue),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(origin) => f.write_str(&String::from_utf8_lossy(origin.as_bytes())),
        }
    }
}

/// Whose requests are not counted; an empty text, which turns the list off, names nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored(pub Option<IpNet>);

fn mebibytes() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(0..=1 << 30)
}

fn username(text: &str) -> Result<String, String> {
    if text.contains(':') {
        Err("holds a colon, which ends a name of basic authentication".into())
    } else {
        super::not_empty(text)
    }
}

fn ignored(text: &str) -> Result<Ignored, String> {
    if text.trim().is_empty() { Ok(Ignored(None)) } else { super::access::network(text).map(Some).map(Ignored) }
}

fn origin(text: &str) -> Result<Origin, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Origin::Any);
    }
    let is_origin = |uri: &Uri| {
        let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let host =
            uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
        has_scheme && host && matches!(uri.path(), "" | "/") && uri.query().is_none()
    };
    let bare = text.trim_end_matches('/');
    match (bare.parse::<Uri>(), HeaderValue::from_str(bare)) {
        (Ok(uri), Ok(value)) if is_origin(&uri) => Ok(Origin::One(value)),
        _ => Err("is no origin: write * or https://example.com, with a port where it is not the usual one".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c170_an_origin_is_a_star_or_a_site_of_http_or_https() {
        assert_eq!(origin("*"), Ok(Origin::Any));
        for text in ["http://example.com", "https://example.com:8443", " https://example.com/ "] {
            assert!(matches!(origin(text), Ok(Origin::One(_))), "{text}");
        }
        for text in
            ["rtmp://example.com", "example.com", "", "https://", "https://a@example.com", "https://example.com/x"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_is_ignored_where_the_list_is_empty() {
        assert_eq!(ignored(""), Ok(Ignored(None)));
        assert_eq!(ignored("10.0.0.0/8").map(|ignored| ignored.0.is_some()), Ok(true));
        assert!(ignored("x").is_err());
    }

    #[test]
    fn debug_output_holds_no_password() {
        use clap::Parser;
        let words = ["dragonfork", "standalone", "--storage-memory-auth-password", "hunter2"];
        let command = crate::args::Command::try_parse_from(words).expect("it is read");
        assert!(!format!("{command:?}").contains("hunter2"));
    }
}
