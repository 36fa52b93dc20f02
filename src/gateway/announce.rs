//! Which addresses are put into answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::StartError;

/// The configured addresses and names, or every address of this machine; best first.
pub fn addresses(local: SocketAddr, configured: &[String]) -> Result<Vec<SocketAddr>, StartError> {
    let mut addresses = if configured.is_empty() { own(local)? } else { resolve(configured)? };
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, local.port())).collect())
}

fn resolve(configured: &[String]) -> Result<Vec<IpAddr>, StartError> {
    let mut addresses = Vec::new();
    for name in configured {
        let refuse = |reason: String| StartError::Announce { name: name.clone(), reason };
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            addresses.push(address);
            continue;
        }
        let before = addresses.len();
        let found = (name.as_str(), 0).to_socket_addrs().map_err(|error| refuse(error.to_string()))?;
        addresses.extend(found.map(|address| address.ip()));
        if addresses.len() == before {
            return Err(refuse("the name has no address".into()));
        }
    }
    Ok(addresses)
}

/// Addresses of the interfaces, IPv4 first; loopback last, for viewers on this machine.
fn own(local: SocketAddr) -> std::io::Result<Vec<IpAddr>> {
    if !local.ip().is_unspecified() {
        return Ok(vec![local.ip()]);
    }
    let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .map(|interface| interface.ip())
        .filter(|address| !address.is_loopback() && !is_link_local(*address))
        .filter(|address| address.is_ipv4() || local.is_ipv6())
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.push(Ipv4Addr::LOCALHOST.into());
    Ok(addresses)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Addresses that stand for the port inside the WebRTC engine: one for each IP version. Which of them a viewer really
/// reaches does not matter to the engine; the socket answers from the address that was reached.
pub fn canonical(local: SocketAddr, announced: &[SocketAddr]) -> Vec<SocketAddr> {
    let of = |v4: bool| announced.iter().find(|address| address.is_ipv4() == v4).copied();
    let v4 = of(true).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, local.port())));
    let v6 = of(false).unwrap_or_else(|| SocketAddr::from((Ipv6Addr::LOCALHOST, local.port())));
    match local {
        SocketAddr::V4(_) => vec![v4],
        SocketAddr::V6(address) if address.ip().is_unspecified() => vec![v4, v6],
        SocketAddr::V6(_) => vec![v6],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_bound_address_is_announced_alone() {
        assert_eq!(addresses(socket("127.0.0.1:8189"), &[]).expect("no lookup"), [socket("127.0.0.1:8189")]);
    }

    #[test]
    fn an_unspecified_address_announces_every_interface_and_loopback_last() {
        let addresses = addresses(socket("[::]:8189"), &[]).expect("interfaces are listed");
        assert_eq!(addresses.last(), Some(&socket("127.0.0.1:8189")));
    }

    #[test]
    fn configured_addresses_and_names_are_taken_in_order_and_once() {
        let configured = ["203.0.113.7", "[2001:db8::1]", "203.0.113.7"].map(String::from);
        let announced = addresses(socket("0.0.0.0:8189"), &configured).expect("addresses need no lookup");
        assert_eq!(announced, [socket("203.0.113.7:8189"), socket("[2001:db8::1]:8189")]);
        let announced = addresses(socket("0.0.0.0:8189"), &["localhost".into()]).expect("localhost is known");
        assert!(announced.iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn a_name_that_does_not_resolve_is_named() {
        let error = addresses(socket("0.0.0.0:8189"), &["no such name".into()]).expect_err("it cannot resolve");
        assert!(error.to_string().contains("no such name"), "{error}");
    }

    #[test]
    fn each_ip_version_has_one_canonical_address() {
        let announced = [socket("203.0.113.7:1"), socket("198.51.100.1:1"), socket("[2001:db8::1]:1")];
        assert_eq!(canonical(socket("[::]:1"), &announced), [announced[0], announced[2]]);
        assert_eq!(canonical(socket("0.0.0.0:1"), &announced), [announced[0]]);
    }
}
