//! Which addresses are put into answers.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use super::{Command, Config, Handle, StartError};

/// Looks addresses up again and again in a thread of its own, because a name server may take its time; ends with this
/// value, and is not waited for.
pub struct Lookups {
    thread: Thread,
    is_over: Arc<AtomicBool>,
}

impl Lookups {
    /// Begins; `None` where every address was configured as one and so never changes.
    pub fn start(
        local: SocketAddr,
        config: &Config,
        announced: &[SocketAddr],
        gateway: Handle,
    ) -> std::io::Result<Option<Self>> {
        let configured = config.announce.clone();
        let never_changes = match configured.is_empty() {
            true => !local.ip().is_unspecified(),
            false => configured.iter().all(|name| literal(name).is_some()),
        };
        if never_changes {
            return Ok(None);
        }
        let look_up = move || addresses(local, &configured);
        let tell = move |found| gateway.send(Command::Announce(found));
        Self::repeat(config.announce_interval, announced.to_vec(), look_up, tell).map(Some)
    }

    fn repeat(
        interval: Duration,
        mut known: Vec<SocketAddr>,
        look_up: impl Fn() -> Result<Vec<SocketAddr>, StartError> + Send + 'static,
        tell: impl Fn(Vec<SocketAddr>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = is_over.clone();
        let thread = std::thread::Builder::new().name("announce".into()).spawn(move || {
            loop {
                std::thread::park_timeout(interval);
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                match look_up() {
                    Ok(found) if !is_same(&found, &known) => {
                        tracing::info!(announced = ?found, "viewers are told of other addresses now");
                        known.clone_from(&found);
                        tell(found);
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "the announced addresses stay as they are"),
                }
            }
        })?;
        Ok(Self { thread: thread.thread().clone(), is_over })
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// Whether both hold the same addresses; name servers give them in another order each time.
fn is_same(some: &[SocketAddr], others: &[SocketAddr]) -> bool {
    some.iter().collect::<HashSet<_>>() == others.iter().collect::<HashSet<_>>()
}

fn literal(name: &str) -> Option<IpAddr> {
    name.trim_matches(['[', ']']).parse().ok()
}

/// The configured addresses and names, or every address of this machine; best first.
pub fn addresses(local: SocketAddr, configured: &[String]) -> Result<Vec<SocketAddr>, StartError> {
    let mut addresses = if configured.is_empty() { own(local)? } else { resolve(configured)? };
    let mut seen = HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, local.port())).collect())
}

fn resolve(configured: &[String]) -> Result<Vec<IpAddr>, StartError> {
    let mut addresses = Vec::new();
    for name in configured {
        let refuse = |reason: String| StartError::Announce { name: name.clone(), reason };
        if let Some(address) = literal(name) {
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
    fn addresses_are_looked_up_again_and_a_change_is_told_once() {
        let answers =
            [Some("203.0.113.7:1"), None, Some("203.0.113.8:1"), Some("203.0.113.8:1"), Some("203.0.113.9:1")];
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let look_up = move || match answers[asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)] {
            Some(answer) => Ok(vec![socket(answer)]),
            None => Err(StartError::Announce { name: "x".into(), reason: "the name server does not answer".into() }),
        };
        let (tell, told) = std::sync::mpsc::channel();
        let known = vec![socket("203.0.113.7:1")];
        let tell = move |found| tell.send(found).expect("the test listens");
        let lookups = Lookups::repeat(Duration::from_millis(1), known, look_up, tell).expect("a thread can be had");
        let patience = Duration::from_secs(20);
        assert_eq!(told.recv_timeout(patience), Ok(vec![socket("203.0.113.8:1")]));
        assert_eq!(told.recv_timeout(patience), Ok(vec![socket("203.0.113.9:1")]));
        drop(lookups);
        let ended = told.recv_timeout(patience);
        assert_eq!(ended, Err(std::sync::mpsc::RecvTimeoutError::Disconnected), "the thread has ended");
    }

    #[test]
    fn another_order_is_no_change() {
        let [one, two] = [socket("203.0.113.7:1"), socket("[2001:db8::1]:1")];
        assert!(is_same(&[one, two], &[two, one]) && !is_same(&[one, two], &[one]) && !is_same(&[], &[one]));
    }

    #[test]
    fn each_ip_version_has_one_canonical_address() {
        let announced = [socket("203.0.113.7:1"), socket("198.51.100.1:1"), socket("[2001:db8::1]:1")];
        assert_eq!(canonical(socket("[::]:1"), &announced), [announced[0], announced[2]]);
        assert_eq!(canonical(socket("0.0.0.0:1"), &announced), [announced[0]]);
    }
}
