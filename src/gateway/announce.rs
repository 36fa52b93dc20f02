//! Which addresses are put into answers.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::handle::Here;
use super::{Command, StartError};

/// What viewers are to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Addresses and names, each with or without a port; none at all tells viewers of nothing. `None` is every address of
    /// this machine.
    pub names: Option<Vec<String>>,
    /// Port of those that have none; `None` is the gateway's.
    pub port: Option<u16>,
}

impl Announcement {
    /// What a list in the configuration says, where an empty one is every address of this machine.
    pub fn of(names: &[String]) -> Self {
        Self { names: (!names.is_empty()).then(|| names.to_vec()), port: None }
    }

    /// Whether looking again always finds the same.
    fn never_changes(&self, local: SocketAddr) -> bool {
        match &self.names {
            None => !local.ip().is_unspecified(),
            Some(names) => names.iter().all(|name| Endpoint::of(name).is_literal()),
        }
    }
}

/// Looks addresses up again and again in a thread of its own, because a name server may take its time; ends with this
/// value and the ways to it, and is not waited for.
pub struct Lookups {
    wishes: mpsc::Sender<Announcement>,
}

impl Lookups {
    /// Begins with what is announced already.
    pub fn start(
        local: SocketAddr,
        interval: Duration,
        announcement: Announcement,
        announced: &[SocketAddr],
        gateway: Here,
    ) -> std::io::Result<Self> {
        let look_up = move |announcement: &Announcement| addresses(local, announcement);
        let interval = move |announcement: &Announcement| (!announcement.never_changes(local)).then_some(interval);
        let tell = move |found| gateway.send(Command::Announce(found));
        Self::repeat(interval, announcement, announced.to_vec(), look_up, tell)
    }

    /// Takes other things to announce.
    pub fn wishes(&self) -> mpsc::Sender<Announcement> {
        self.wishes.clone()
    }

    fn repeat(
        interval: impl Fn(&Announcement) -> Option<Duration> + Send + 'static,
        mut announcement: Announcement,
        mut known: Vec<SocketAddr>,
        look_up: impl Fn(&Announcement) -> Result<Vec<SocketAddr>, StartError> + Send + 'static,
        tell: impl Fn(Vec<SocketAddr>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (wishes, wished) = mpsc::channel();
        std::thread::Builder::new().name("announce".into()).spawn(move || {
            loop {
                let wish = match interval(&announcement) {
                    Some(interval) => wished.recv_timeout(interval),
                    None => wished.recv().map_err(RecvTimeoutError::from),
                };
                match wish {
                    Ok(wish) => announcement = wish,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                match look_up(&announcement) {
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
        Ok(Self { wishes })
    }
}

/// Whether both hold the same addresses; name servers give them in another order each time.
fn is_same(some: &[SocketAddr], others: &[SocketAddr]) -> bool {
    some.iter().collect::<HashSet<_>>() == others.iter().collect::<HashSet<_>>()
}

/// One thing to announce: an address or a name, and its port where it has one.
struct Endpoint<'n> {
    host: &'n str,
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl<'n> Endpoint<'n> {
    fn of(name: &'n str) -> Self {
        let literal = |host: &str| host.trim_matches(['[', ']']).parse().ok();
        // An IPv6 address has colons of its own.
        if let Some(address) = literal(name) {
            return Self { host: name, address: Some(address), port: None };
        }
        match name.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some((host, port)) => Self { host, address: literal(host), port: Some(port) },
            None => Self { host: name, address: None, port: None },
        }
    }

    fn is_literal(&self) -> bool {
        self.address.is_some()
    }
}

/// The addresses and names of an announcement, or every address of this machine; best first.
pub fn addresses(local: SocketAddr, announcement: &Announcement) -> Result<Vec<SocketAddr>, StartError> {
    let port = announcement.port.unwrap_or(local.port());
    let mut addresses = match &announcement.names {
        None => own(local)?.into_iter().map(|address| SocketAddr::new(address, port)).collect(),
        Some(names) => resolve(names, port)?,
    };
    let mut seen = HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    Ok(addresses)
}

fn resolve(names: &[String], default: u16) -> Result<Vec<SocketAddr>, StartError> {
    let mut addresses = Vec::new();
    for name in names {
        let refuse = |reason: String| StartError::Announce { name: name.clone(), reason };
        let Endpoint { host, address, port } = Endpoint::of(name);
        let port = port.unwrap_or(default);
        if let Some(address) = address {
            addresses.push(SocketAddr::new(address, port));
            continue;
        }
        let before = addresses.len();
        addresses.extend((host, port).to_socket_addrs().map_err(|error| refuse(error.to_string()))?);
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
    use std::sync::atomic::Ordering;

    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_bound_address_is_announced_alone() {
        assert_eq!(
            addresses(socket("127.0.0.1:8189"), &Announcement::of(&[])).expect("no lookup"),
            [socket("127.0.0.1:8189")]
        );
    }

    #[test]
    fn an_unspecified_address_announces_every_interface_and_loopback_last() {
        let addresses = addresses(socket("[::]:8189"), &Announcement::of(&[])).expect("interfaces are listed");
        assert_eq!(addresses.last(), Some(&socket("127.0.0.1:8189")));
    }

    #[test]
    fn configured_addresses_and_names_are_taken_in_order_and_once() {
        let configured = ["203.0.113.7", "[2001:db8::1]", "203.0.113.7"].map(String::from);
        let announced =
            addresses(socket("0.0.0.0:8189"), &Announcement::of(&configured)).expect("addresses need no lookup");
        assert_eq!(announced, [socket("203.0.113.7:8189"), socket("[2001:db8::1]:8189")]);
        let announced =
            addresses(socket("0.0.0.0:8189"), &Announcement::of(&["localhost".into()])).expect("localhost is known");
        assert!(announced.iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn a_name_that_does_not_resolve_is_named() {
        let error = addresses(socket("0.0.0.0:8189"), &Announcement::of(&["no such name".into()]))
            .expect_err("it cannot resolve");
        assert!(error.to_string().contains("no such name"), "{error}");
    }

    #[test]
    fn addresses_are_looked_up_again_and_a_change_is_told_once() {
        let answers =
            [Some("203.0.113.7:1"), None, Some("203.0.113.8:1"), Some("203.0.113.8:1"), Some("203.0.113.9:1")];
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let look_up = move |_: &Announcement| match answers
            [asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)]
        {
            Some(answer) => Ok(vec![socket(answer)]),
            None => Err(StartError::Announce { name: "x".into(), reason: "the name server does not answer".into() }),
        };
        let (tell, told) = mpsc::channel();
        let known = vec![socket("203.0.113.7:1")];
        let tell = move |found| tell.send(found).expect("the test listens");
        let interval = |_: &Announcement| Some(Duration::from_millis(1));
        let lookups = Lookups::repeat(interval, Announcement::of(&[]), known, look_up, tell);
        let lookups = lookups.expect("a thread can be had");
        let patience = Duration::from_secs(20);
        assert_eq!(told.recv_timeout(patience), Ok(vec![socket("203.0.113.8:1")]));
        assert_eq!(told.recv_timeout(patience), Ok(vec![socket("203.0.113.9:1")]));
        drop(lookups);
        let ended = told.recv_timeout(patience);
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected), "the thread has ended");
    }

    #[test]
    fn an_announcement_may_have_ports_of_its_own_and_may_be_empty() {
        let names = ["203.0.113.7:30000", "[2001:db8::1]:30001", "2001:db8::2", "localhost:7"].map(String::from);
        let announcement = Announcement { names: Some(names.into()), port: Some(31000) };
        let announced = addresses(socket("0.0.0.0:8189"), &announcement).expect("localhost is known");
        let expected = ["203.0.113.7:30000", "[2001:db8::1]:30001", "[2001:db8::2]:31000"].map(socket);
        assert_eq!(announced[..3], expected);
        assert!(announced[3..].iter().all(|address| address.ip().is_loopback() && address.port() == 7));
        let nothing = Announcement { names: Some(Vec::new()), port: None };
        assert!(addresses(socket("0.0.0.0:8189"), &nothing).expect("no lookup").is_empty());
    }

    #[test]
    fn what_is_wished_is_looked_up_at_once() {
        let (tell, told) = mpsc::channel();
        let tell = move |found| tell.send(found).expect("the test listens");
        let look_up = |announcement: &Announcement| addresses(socket("0.0.0.0:1"), announcement);
        let lookups = Lookups::repeat(|_| None, Announcement::of(&[]), Vec::new(), look_up, tell);
        let lookups = lookups.expect("a thread can be had");
        lookups.wishes().send(Announcement::of(&["203.0.113.7".into()])).expect("it takes wishes");
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(vec![socket("203.0.113.7:1")]));
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
