//! How packets get to one viewer.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::socket::Port;
use super::tcp::Connection;

/// Where a viewer is.
#[derive(Clone)]
pub enum Path {
    /// At this address, reached from that one of this machine.
    Udp(SocketAddr, Option<IpAddr>),
    /// At the other end of a connection.
    Tcp(Arc<Connection>),
}

impl Path {
    /// Whether anything would be taken now; that of UDP is found out by sending.
    pub fn takes(&self) -> bool {
        match self {
            Self::Udp(..) => true,
            Self::Tcp(connection) => connection.takes(),
        }
    }

    /// Where the viewer is.
    pub fn peer(&self) -> SocketAddr {
        match self {
            Self::Udp(to, _) => *to,
            Self::Tcp(connection) => connection.peer(),
        }
    }

    /// Sends datagrams of `segment` octets each, the last of which may be shorter. Fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where nothing can be taken now.
    pub fn send(&self, port: &Port, contents: &[u8], segment: usize) -> io::Result<()> {
        match self {
            Self::Udp(to, from) => port.send(*to, *from, contents, segment),
            Self::Tcp(connection) => connection.send(contents, segment),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(to, _) => write!(f, "{to}"),
            Self::Tcp(connection) => write!(f, "{} by TCP", connection.peer()),
        }
    }
}
