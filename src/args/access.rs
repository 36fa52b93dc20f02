//! Whose tokens are taken beside those of the login, and how often somebody may try a password.

use std::net::IpAddr;
use std::path::PathBuf;

use axum::http::Uri;
use clap::{Args, ValueEnum};
use ipnet::IpNet;

/// Whose tokens are taken too, and how often somebody may try a password.
#[derive(Debug, Args)]
pub struct Access {
    /// JWKS with the public keys of another issuer of tokens: a file, or an http: or https: URL.
    #[arg(long, env = "CORE_API_AUTH_JWKS", value_parser = key_source, value_name = "FILE|URL",
        requires = "api_auth_jwks_issuer", requires = "api_auth_jwks_audience")]
    pub api_auth_jwks: Option<KeySource>,
    /// Comma list of what may stand in `iss` of tokens that a key of the JWKS signed.
    #[arg(long, env = "CORE_API_AUTH_JWKS_ISSUER", value_delimiter = ',', value_parser = word, value_name = "ISSUER,…")]
    pub api_auth_jwks_issuer: Vec<String>,
    /// Comma list of names of this server, of which one has to stand in `aud` of those tokens.
    #[arg(long, env = "CORE_API_AUTH_JWKS_AUDIENCE", value_delimiter = ',', value_parser = word, value_name = "AUDIENCE,…")]
    pub api_auth_jwks_audience: Vec<String>,
    /// Comma list of the algorithms that those tokens may be signed with.
    #[arg(
        long,
        env = "CORE_API_AUTH_JWKS_ALGORITHMS",
        value_delimiter = ',',
        default_value = "RS256,ES256,EdDSA",
        value_name = "ALGORITHM,…"
    )]
    pub api_auth_jwks_algorithms: Vec<Algorithm>,
    /// Wrong passwords in a row from one client address (one IPv6 /64).
    #[arg(long, env = "CORE_API_LOGIN_BURST", default_value_t = 10, value_parser = times(1), value_name = "N")]
    pub api_login_burst: u32,
    /// Wrong passwords in a minute from one client address after that; 0 turns the limit off.
    #[arg(long, env = "CORE_API_LOGINS_PER_MINUTE", default_value_t = 20, value_parser = times(0), value_name = "N")]
    pub api_logins_per_minute: u32,
}

/// Where a JWKS is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file, which is read again when it changes.
    File(PathBuf),
    /// At an `http:` or `https:` URL.
    Url(Uri),
}

/// With what tokens may be signed by another issuer; only with key pairs, so no secret is shared (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5 with SHA-256.
    #[value(name = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[value(name = "ES256")]
    Es256,
    /// Ed25519 (RFC 8037).
    #[value(name = "EdDSA")]
    EdDsa,
}

fn key_source(text: &str) -> Result<KeySource, String> {
    let is_url = ["http:", "https:"].iter().any(|scheme| text.to_ascii_lowercase().starts_with(scheme));
    if !is_url {
        return if text.trim().is_empty() { Err("is empty".into()) } else { Ok(KeySource::File(text.into())) };
    }
    let url: Uri = text.parse().map_err(|error| format!("is no URL: {error}"))?;
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err("holds credentials, which would be logged; a JWKS is public".into())
        }
        Some(authority) if !authority.host().is_empty() => Ok(KeySource::Url(url)),
        _ => Err("names no host".into()),
    }
}

fn word(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("is empty".into()),
        text => Ok(text.to_owned()),
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| "is no address or network: write 10.0.0.0/8, 192.0.2.1 or fd00::/8".into())
}

pub(super) fn times(least: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(least..=1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_a_file_or_at_a_url() {
        assert_eq!(key_source("/keys/jwks.json"), Ok(KeySource::File("/keys/jwks.json".into())));
        assert!(matches!(key_source("https://id.example.com/keys?x=1"), Ok(KeySource::Url(_))));
        for text in ["", " ", "https://", "https:///keys", "https://user:secret@id.example.com/", "http://a b/"] {
            let error = key_source(text).expect_err("it is refused");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        assert_eq!(network("192.0.2.1").map(|network| network.to_string()), Ok("192.0.2.1/32".into()));
        assert_eq!(network(" fd00::/8").map(|network| network.to_string()), Ok("fd00::/8".into()));
        for text in ["", "proxy", "10.0.0.0/33", "10.0.0"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_jwks_needs_an_issuer_and_an_audience() {
        use clap::Parser;
        let parse = |flags: &[&str]| {
            let command = ["dragonfork", "standalone", "--api-auth-jwks", "keys.json"];
            crate::args::Command::try_parse_from(command.iter().chain(flags)).map(|_| ())
        };
        let (issuer, audience) = (["--api-auth-jwks-issuer", "x"], ["--api-auth-jwks-audience", "y"]);
        for (flags, missing) in [(issuer, "--api-auth-jwks-audience"), (audience, "--api-auth-jwks-issuer")] {
            let error = parse(&flags).expect_err("it is refused").to_string();
            assert!(error.contains(missing), "{error}");
        }
        assert!(parse(&[issuer, audience].concat()).is_ok());
        let secret = [&issuer[..], &audience[..], &["--api-auth-jwks-algorithms", "HS256"]].concat();
        let error = parse(&secret).expect_err("no secret is shared").to_string();
        assert!(error.contains("HS256") && error.contains("EdDSA"), "{error}");
    }
}
