//! ICE servers that players are told in `Link` headers (RFC 9725 section 4.6), and what opens the relays among them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use tokio::sync::watch;

/// What opens the TURN servers.
#[derive(Clone)]
pub enum TurnAuth {
    /// The same name and password for everybody.
    Fixed {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// Each player gets credentials of its own, which the TURN server proves with the secret that it shares ("A REST API
    /// For Access To TURN Services", draft-uberti-behave-turn-rest-00 section 2.2).
    Shared {
        /// The secret.
        secret: String,
        /// How long credentials are good, from when they are given.
        lifetime: Duration,
    },
}

impl fmt::Debug for TurnAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { username, password: _ } => {
                f.debug_struct("Fixed").field("username", username).finish_non_exhaustive()
            }
            Self::Shared { secret: _, lifetime } => {
                f.debug_struct("Shared").field("lifetime", lifetime).finish_non_exhaustive()
            }
        }
    }
}

impl TurnAuth {
    /// Name and password of one player.
    fn credentials(&self, id: u32, now: SystemTime) -> (String, String) {
        match self {
            Self::Fixed { username, password } => (username.clone(), password.clone()),
            Self::Shared { secret, lifetime } => {
                let expiry = now.duration_since(UNIX_EPOCH).unwrap_or_default() + *lifetime;
                let username = format!("{}:{id:08x}", expiry.as_secs());
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
                let password = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
                (username, password)
            }
        }
    }
}

/// The servers, with what is in their headers.
pub struct IceServers {
    urls: watch::Receiver<Vec<String>>,
    auth: Option<TurnAuth>,
}

impl IceServers {
    /// Servers that cannot stand in a header are left out, and a warning names those that are there from the start.
    pub fn new(urls: watch::Receiver<Vec<String>>, auth: Option<TurnAuth>) -> Self {
        for url in urls.borrow().iter().filter(|url| !is_usable(url)) {
            tracing::warn!(url, "an ICE server is left out: its URL cannot stand in a Link header");
        }
        Self { urls, auth }
    }

    /// One `Link` header for each server, for a player that may use the relays.
    pub fn links(&self, now: SystemTime) -> Vec<HeaderValue> {
        let credentials = self.auth.as_ref().map(|auth| auth.credentials(rand::rng().random(), now));
        let urls = self.urls.borrow();
        urls.iter().filter_map(|url| link(url, credentials.as_ref().filter(|_| is_relay(url)))).collect()
    }

    /// One `Link` header for each server that needs no credentials, for everybody.
    pub fn open_links(&self) -> Vec<HeaderValue> {
        let is_open = |url: &&String| self.auth.is_none() || !is_relay(url);
        self.urls.borrow().iter().filter(is_open).filter_map(|url| link(url, None)).collect()
    }
}

fn is_usable(url: &str) -> bool {
    !url.contains(['<', '>', '"']) && url.chars().all(|letter| letter.is_ascii_graphic())
}

fn is_relay(url: &str) -> bool {
    url.starts_with("turn:") || url.starts_with("turns:")
}

fn link(url: &str, credentials: Option<&(String, String)>) -> Option<HeaderValue> {
    if !is_usable(url) {
        return None;
    }
    let mut link = format!("<{url}>; rel=\"ice-server\"");
    if let Some((username, password)) = credentials {
        let (username, password) = (quoted(username), quoted(password));
        link += &format!("; username={username}; credential={password}; credential-type=\"password\"");
    }
    // Logs never show it: it may hold a password.
    let mut link = HeaderValue::from_str(&link).ok()?;
    link.set_sensitive(credentials.is_some());
    Some(link)
}

/// A quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn servers(auth: Option<TurnAuth>) -> IceServers {
        let urls = ["stun:stun.example.com:3478", "turn:turn.example.com?transport=udp"].map(String::from);
        IceServers::new(watch::channel(urls.into()).1, auth)
    }

    fn text(links: &[HeaderValue]) -> Vec<&str> {
        links.iter().map(|link| link.to_str().expect("text")).collect()
    }

    #[test]
    fn an_ice_server_is_a_link() {
        let links = servers(None).links(UNIX_EPOCH + NOW);
        let expected = [
            "<stun:stun.example.com:3478>; rel=\"ice-server\"",
            "<turn:turn.example.com?transport=udp>; rel=\"ice-server\"",
        ];
        assert_eq!(text(&links), expected);
        assert_eq!(text(&servers(None).open_links()), expected);
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_left_out() {
        let urls = ["stun:x>; rel=\"y\"", "stun:x\r\ny", "stun:a b", "stun:ä"].map(String::from);
        assert!(IceServers::new(watch::channel(urls.into()).1, None).links(UNIX_EPOCH).is_empty());
    }

    #[test]
    fn a_fixed_name_and_password_stand_quoted_beside_relays_alone() {
        let auth = TurnAuth::Fixed { username: "viewer".into(), password: "a\"b\\c".into() };
        let links = servers(Some(auth)).links(UNIX_EPOCH + NOW);
        assert_eq!(text(&links)[0], "<stun:stun.example.com:3478>; rel=\"ice-server\"");
        let credentials = r#"; username="viewer"; credential="a\"b\\c"; credential-type="password""#;
        assert!(text(&links)[1].ends_with(credentials), "{links:?}");
        assert!(links[1].is_sensitive());
    }

    #[test]
    fn a_shared_secret_makes_credentials_that_expire() {
        let auth = TurnAuth::Shared { secret: "north".into(), lifetime: Duration::from_secs(3600) };
        let (username, password) = auth.credentials(0x2a, UNIX_EPOCH + NOW);
        assert_eq!(username, "1700003600:0000002a");
        // By OpenSSL: printf %s 1700003600:0000002a | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(password, "Plk+V0A+dq2WiTjcADJDfZRCM6E=");
    }

    #[test]
    fn who_may_not_watch_is_told_of_no_relay_that_needs_credentials() {
        let auth = TurnAuth::Shared { secret: "north".into(), lifetime: Duration::from_secs(3600) };
        assert_eq!(text(&servers(Some(auth)).open_links()), ["<stun:stun.example.com:3478>; rel=\"ice-server\""]);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let shared = TurnAuth::Shared { secret: "hunter2".into(), lifetime: Duration::ZERO };
        let fixed = TurnAuth::Fixed { username: "viewer".into(), password: "hunter2".into() };
        assert!(!format!("{shared:?} {fixed:?}").contains("hunter2"));
    }
}
