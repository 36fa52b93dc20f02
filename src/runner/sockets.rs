//! The TCP connections of children, as the kernel counts them (proc_pid_net(5)).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::process::Connection;

/// The kernel walks all connections of the machine for each look, so children share one.
const FRESH: Duration = Duration::from_secs(1);

/// Connections by inode.
type Table = HashMap<u64, Connection>;

/// Looks at connections.
#[derive(Debug, Default)]
pub struct Sockets {
    last: Mutex<Option<(Instant, Arc<Table>)>>,
}

impl Sockets {
    /// Between two looks at the connections of a child.
    pub const INTERVAL: Duration = Duration::from_secs(5);

    /// The connections of the child with this process id.
    pub fn of(&self, pid: u32) -> Vec<Connection> {
        let inode = |entry: std::fs::DirEntry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
        };
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let inodes: Vec<u64> = entries.filter_map(inode).collect();
        if inodes.is_empty() {
            return Vec::new();
        }
        let all = self.all();
        inodes.iter().filter_map(|inode| all.get(inode).copied()).collect()
    }

    /// All connections of the network that this program and its children are in.
    fn all(&self) -> Arc<Table> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, all)) = &*last
            && at.elapsed() < FRESH
        {
            return all.clone();
        }
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
        let tables = [read("tcp"), read("tcp6")];
        let connections = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(connection);
        let all: Arc<Table> = Arc::new(connections.map(|one| (one.inode, one)).collect());
        *last = Some((Instant::now(), all.clone()));
        all
    }
}

/// A line of the table.
fn connection(line: &str) -> Option<Connection> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, _, peer, _, queues, _, _, _, _, inode, ..] = fields[..] else { return None };
    let (unacknowledged, _) = queues.split_once(':')?;
    Some(Connection {
        inode: inode.parse().ok()?,
        peer: address(peer)?,
        unacknowledged: u64::from_str_radix(unacknowledged, 16).ok()?,
    })
}

/// An address is words of 32 bits in the machine's order of octets, its port is a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_the_other_end_does_not_take_is_seen() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).expect("a port");
            let peer = listener.local_addr().expect("it has one");
            let mut stream = TcpStream::connect(peer).expect("it connects");
            let of = || Sockets::default().of(std::process::id()).into_iter().find(|one| one.peer == peer);
            assert_eq!(of().expect("it is there").unacknowledged, 0);
            stream.set_nonblocking(true).expect("it can be");
            while stream.write(&[0; 1 << 16]).is_ok() {}
            assert!(of().expect("it is there").unacknowledged > 0);
        }
    }

    #[test]
    fn other_lines_are_no_connections() {
        assert_eq!(connection("  sl  local_address rem_address   st tx_queue rx_queue"), None);
        assert_eq!(address("0100007F"), None);
        assert_eq!(address("01:1F90"), None);
    }
}
