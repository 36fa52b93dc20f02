//! The one UDP port of all viewers.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

const BUFFER: usize = 8 << 20;
/// Datagrams that one call takes at most.
const AT_ONCE: usize = 8;
/// Room for one receive offload.
const RECEIVE: usize = 1 << 16;

/// The bound port, to send by from every thread: answers leave from the address that was reached, runs of equal packets
/// leave as one call.
pub struct Port {
    socket: std::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

/// The bound port, to receive by from one thread.
pub struct Receiver {
    port: Arc<Port>,
    socket: mio::net::UdpSocket,
    buffer: Vec<u8>,
}

impl Port {
    /// Binds. An unspecified IPv6 address serves IPv4 too, and falls back to IPv4 alone where there is no IPv6.
    pub fn bind(address: SocketAddr) -> io::Result<(Arc<Self>, Receiver)> {
        let socket = match try_bind(address) {
            Err(error) if is_without_ipv6(&error) && address.ip().is_unspecified() && address.is_ipv6() => {
                try_bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))?
            }
            bound => bound?,
        };
        let socket: std::net::UdpSocket = socket.into();
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        let receiving = mio::net::UdpSocket::from_std(socket.try_clone()?);
        let port = Arc::new(Self { socket, state, local });
        let receiver = Receiver { port: port.clone(), socket: receiving, buffer: vec![0; AT_ONCE * RECEIVE] };
        Ok((port, receiver))
    }

    /// The bound address.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Packets that one call can send.
    pub fn segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends one datagram, or several of `segment` octets each (the last one may be shorter).
    pub fn send(&self, to: SocketAddr, from: Option<IpAddr>, contents: &[u8], segment: usize) -> io::Result<()> {
        let result = self.try_send(to, from, contents, (contents.len() > segment).then_some(segment));
        match result {
            // The device refuses segmentation: the state has turned it off for good, and these packets go one by one.
            Err(error) if contents.len() > segment && error.kind() != io::ErrorKind::WouldBlock => {
                contents.chunks(segment).try_for_each(|datagram| self.try_send(to, from, datagram, None))
            }
            result => result,
        }
    }

    fn try_send(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let destination = match (self.local, to) {
            (SocketAddr::V6(_), SocketAddr::V4(to)) => {
                SocketAddr::V6(SocketAddrV6::new(to.ip().to_ipv6_mapped(), to.port(), 0, 0))
            }
            _ => to,
        };
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: from };
        self.state.try_send((&self.socket).into(), &transmit)
    }
}

impl Receiver {
    /// The socket, for registration.
    pub fn source(&mut self) -> &mut mio::net::UdpSocket {
        &mut self.socket
    }

    /// Hands every waiting datagram to `take`, with its sender and the address that it reached, `limit` calls at most.
    /// Whether more may wait.
    pub fn receive(&mut self, limit: usize, mut take: impl FnMut(SocketAddr, Option<IpAddr>, &[u8])) -> bool {
        for _ in 0..limit {
            let mut metas = [RecvMeta::default(); AT_ONCE];
            let mut slices = self.buffer.chunks_mut(RECEIVE).map(IoSliceMut::new).collect::<Vec<_>>();
            let count = match self.port.state.recv((&self.socket).into(), &mut slices, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    // An unreachable viewer makes the socket report it here; the datagram behind it is still there.
                    tracing::trace!(%error, "receive");
                    continue;
                }
            };
            for (slice, meta) in slices.iter().zip(&metas[..count]) {
                for datagram in slice[..meta.len].chunks(meta.stride.max(1)) {
                    let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
                    take(from, meta.dst_ip.map(|address| address.to_canonical()), datagram);
                }
            }
        }
        true
    }
}

fn try_bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    if rustix::net::sockopt::set_socket_send_buffer_size_force(&socket, BUFFER).is_err() {
        socket.set_send_buffer_size(BUFFER)?;
    }
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
        socket.set_recv_buffer_size(BUFFER)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn exchange(bind: &str, reach: &str) {
        let (port, mut receiver) = Port::bind(bind.parse().expect("an address")).expect("a free port");
        let reach = SocketAddr::new(reach.parse().expect("an address"), port.local_address().port());
        let viewer = std::net::UdpSocket::bind(SocketAddr::new(reach.ip(), 0)).expect("a free port");
        viewer.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        viewer.send_to(b"hello", reach).expect("sent");
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut got = None;
        while got.is_none() && Instant::now() < deadline {
            receiver.receive(1, |from, to, datagram| got = Some((from, to, datagram.to_vec())));
        }
        let (from, to, datagram) = got.expect("the datagram came");
        assert_eq!((from, to, datagram), (viewer.local_addr().expect("bound"), Some(reach.ip()), b"hello".to_vec()));
        port.send(from, to, &[b'a'; 250], 100).expect("sent");
        let mut buffer = [0; 300];
        let sizes: Vec<usize> = (0..3)
            .map(|_| {
                let (size, sender) = viewer.recv_from(&mut buffer).expect("it came");
                assert_eq!(sender, reach, "answers leave from the address that was reached");
                size
            })
            .collect();
        assert_eq!(sizes, [100, 100, 50]);
    }

    #[test]
    fn a_port_of_one_address_answers() {
        exchange("127.0.0.1:0", "127.0.0.1");
    }

    #[test]
    fn an_unspecified_port_answers_from_the_address_that_was_reached() {
        exchange("0.0.0.0:0", "127.0.0.2");
        exchange("[::]:0", "127.0.0.2");
    }
}
