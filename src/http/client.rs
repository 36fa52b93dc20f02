//! Which address a request came from: that of the peer, or the one that a trusted proxy names.
//!
//! Of the headers that proxies write only `X-Forwarded-For` is read. A proxy passes on those that it does not write
//! itself, so a second one would let everybody choose an address.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address; `None` where the connection has none.
pub fn address(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(behind(peer.ip(), headers, trusted))
}

/// Goes from the peer towards the client for as long as the one who names the next address is trusted. Each proxy
/// appends whom it saw, so the end of the list is what is known and its beginning is what the client wrote.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut client = peer.to_canonical();
    let lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(client) {
            break;
        }
        let Some(named) = read(hop.trim()) else { break };
        client = named;
    }
    client
}

/// An address, which some proxies write with a port and some in brackets.
fn read(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse::<SocketAddr>().map(|address| address.ip());
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a header"));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        behind(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn a_header_counts_only_from_a_trusted_proxy() {
        assert_eq!(client("192.0.2.1", &["203.0.113.7"], &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["203.0.113.7"], &["10.0.0.0/8"]), "192.0.2.1");
        assert_eq!(client("10.1.2.3", &["203.0.113.7"], &["10.0.0.0/8"]), "203.0.113.7");
        assert_eq!(client("::ffff:10.1.2.3", &["203.0.113.7"], &["10.0.0.0/8"]), "203.0.113.7");
        assert_eq!(client("2001:db8::1", &["[2001:db8:1::7]:443"], &["2001:db8::/64"]), "2001:db8:1::7");
        assert_eq!(client("10.1.2.3", &[], &["10.0.0.0/8"]), "10.1.2.3");
    }

    #[test]
    fn what_the_client_wrote_before_the_proxies_is_not_believed() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 203.0.113.7"], &trusted), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 203.0.113.7, 10.0.0.2"], &trusted), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["198.51.100.1", "203.0.113.7:5000", "10.0.0.2"], &trusted), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &["10.0.0.9, 203.0.113.7"], &trusted), "203.0.113.7");
    }

    #[test]
    fn an_entry_that_is_no_address_ends_the_walk_at_who_wrote_it() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client("10.0.0.1", &["203.0.113.7, unknown"], &trusted), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.7, unknown, 10.0.0.2"], &trusted), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &[""], &trusted), "10.0.0.1");
    }
}
