//! What a person is told at start: the links that open the page, and how to log in later.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::credentials::Credentials;
use super::token;
use crate::http::token::{ACCESS_LIFETIME, Scope};

/// Addresses for people are at most this many.
const MOST: usize = 5;

/// Where the page is.
pub struct Links {
    /// Address of HTTP.
    pub address: SocketAddr,
    /// Addresses that viewers try.
    pub announced: Vec<SocketAddr>,
}

impl Links {
    /// Prints the links to standard output, with a short-lived token that opens the page without any typing, and how to
    /// get in later. Without credentials everybody gets in. Standard output that nobody reads is no error.
    pub fn print(&self, credentials: Option<&Credentials>) -> anyhow::Result<()> {
        let token = match credentials {
            Some(credentials) => Some(token::mint(credentials, ACCESS_LIFETIME, Scope::default())?),
            None => None,
        };
        let login = credentials.map(|Credentials { username, password_file, .. }| match password_file {
            Some(file) => format!("Log in later as {username} with the password in {file}."),
            None => format!("Log in later as {username} with your password (CORE_API_AUTH_PASSWORD)."),
        });
        let hosts = hosts(self.address, &self.announced);
        let text = text(&hosts, self.address.port(), token.as_deref(), login.as_deref());
        if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
            tracing::debug!(%error, "the link could not be printed");
        }
        Ok(())
    }
}

fn text(hosts: &[String], port: u16, token: Option<&str>, login: Option<&str>) -> String {
    let fragment = token.map(|token| format!("#token={token}")).unwrap_or_default();
    let mut text = String::from("\nDragon Fork is running. Open one of these links in a browser:\n\n");
    for host in hosts {
        text.push_str(&format!("  http://{host}:{port}/{fragment}\n"));
    }
    if let Some(login) = login {
        text.push_str(&format!("\nThe links log in for 10 minutes. {login}\n"));
    }
    text.push('\n');
    text
}

/// Hosts that a browser can reach the address by: this machine's name for itself, then the addresses that viewers try.
fn hosts(address: SocketAddr, announced: &[SocketAddr]) -> Vec<String> {
    if !address.ip().is_unspecified() {
        return vec![host(address.ip())];
    }
    let mut seen = BTreeSet::new();
    let others = announced.iter().map(SocketAddr::ip).filter(|ip| !ip.is_loopback() && seen.insert(*ip)).map(host);
    std::iter::once("localhost".to_owned()).chain(others).take(MOST).collect()
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn every_address_of_the_machine_gets_a_link_and_this_machine_the_first() {
        let announced = ["192.0.2.7:8189", "[2001:db8::1]:8189", "127.0.0.1:8189", "192.0.2.7:8189"].map(socket);
        assert_eq!(hosts(socket("[::]:8080"), &announced), ["localhost", "192.0.2.7", "[2001:db8::1]"]);
        assert_eq!(hosts(socket("127.0.0.1:8080"), &announced), ["127.0.0.1"]);
    }

    #[test]
    fn a_link_carries_its_token_in_the_fragment_where_no_server_sees_it() {
        let text = text(&["localhost".into()], 8080, Some("a.b.c"), Some("Log in as admin."));
        assert!(text.contains("\n  http://localhost:8080/#token=a.b.c\n"), "{text}");
        assert!(text.contains("Log in as admin."), "{text}");
    }
}
