//! The listening socket of HTTP, and the signals that end the program.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// All that is left when the program is told to end must be done within this; FFmpeg has 5 s of it.
const SHUTDOWN: Duration = Duration::from_secs(9);
/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;

/// Binds. An unspecified IPv6 address serves IPv4 too, and falls back to IPv4 alone where there is no IPv6.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = match bind(address) {
        Err(error) if is_without_ipv6(&error) && address.is_ipv6() && address.ip().is_unspecified() => {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        bound => bound,
    };
    bound.with_context(|| format!("the HTTP address {address} cannot be bound; choose another one (CORE_ADDRESS)"))
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Connections of the run before, which the system still remembers, do not keep the address.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_without_ipv6(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

/// The signals that end the program.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they end nothing by themselves.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Name of the next signal.
    pub async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Waits until all is done that is left, then gives the outcome; no longer than [`SHUTDOWN`], nor than a second signal.
    pub async fn end_with(
        &mut self,
        shutdown: impl Future<Output = ()>,
        outcome: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown => outcome,
            () = tokio::time::sleep(SHUTDOWN) => Err(anyhow!("not everything ended within {} s", SHUTDOWN.as_secs())),
            signal = self.recv() => Err(anyhow!("ended at once by a second {signal}")),
        }
    }
}
