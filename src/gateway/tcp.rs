//! ICE over TCP (RFC 6544): a port of the same number as the UDP port, for viewers whose network lets no UDP through.
//!
//! A connection counts for nothing until its first datagram is a check that names a live session. The thread that owns the
//! sessions reads; it and the media thread of the viewer write, which is the one place where they share a lock.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::whep::Deframer;

/// A connection has to name its session within this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that have not named one, at most: the oldest makes room.
const MOST_NAMELESS: usize = 64;
/// Connections of one session, at most: the oldest makes room.
const MOST_OF_SESSION: usize = 4;
/// A connection that takes nothing for so long is closed.
const STUCK: Duration = Duration::from_secs(10);
/// Octets that wait for a connection beside those in the system: what a viewer is behind because of them stays short.
const QUEUE: usize = 64 << 10;
/// Room in the system for what was sent and not confirmed: two megabits a second over a round trip of half a second.
const SEND_BUFFER: usize = 128 << 10;
const RECEIVE: usize = 16 << 10;
/// Calls to the system for one connection before others have their turn.
const RECEIVE_CALLS: usize = 8;

/// The writing end of a connection, which several threads share.
pub struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    queue: Mutex<Queue>,
}

/// What could not be written yet.
struct Queue {
    octets: Vec<u8>,
    /// Since when nothing of it could be written.
    stuck_since: Option<Instant>,
}

/// The port, and every connection by its number.
pub struct Tcp {
    listener: mio::net::TcpListener,
    connections: BTreeMap<u16, Incoming>,
    /// Tokens of connections begin here.
    first: usize,
    next: u16,
    /// Connections that have more to read.
    unread: Vec<u16>,
    buffer: Box<[u8; RECEIVE]>,
}

/// A connection as the thread sees it that reads it.
struct Incoming {
    connection: Arc<Connection>,
    frames: Deframer,
    since: Instant,
    session: Option<String>,
}

impl Connection {
    /// Where it comes from.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sends datagrams of `segment` octets each, the last of which may be shorter: all of them, or none and
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn send(&self, contents: &[u8], segment: usize) -> io::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.write(&self.stream)?;
        if queue.octets.len() > QUEUE {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for datagram in contents.chunks(segment.max(1)) {
            queue.octets.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
            queue.octets.extend_from_slice(datagram);
        }
        queue.write(&self.stream)
    }

    /// Whether datagrams would be taken now.
    pub fn takes(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).octets.len() <= QUEUE
    }

    /// Writes what waits.
    fn flush(&self) -> io::Result<()> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).write(&self.stream)
    }

    fn is_stuck(&self, now: Instant) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.stuck_since.is_some_and(|since| now.saturating_duration_since(since) > STUCK)
    }
}

impl Queue {
    /// Writes as much as the system takes.
    fn write(&mut self, mut stream: &TcpStream) -> io::Result<()> {
        let mut written = 0;
        let outcome = loop {
            if written == self.octets.len() {
                break Ok(());
            }
            match stream.write(&self.octets[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.octets.drain(..written);
        if self.octets.is_empty() {
            self.stuck_since = None;
        } else if written > 0 || self.stuck_since.is_none() {
            self.stuck_since = Some(Instant::now());
        }
        outcome
    }
}

impl Tcp {
    /// Binds this address, which the UDP port has too. Tokens from `first` on are for connections.
    pub fn bind(address: SocketAddr, first: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        // Connections of a program that has just ended hold the port for a while.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(128)?;
        Ok(Self {
            listener: mio::net::TcpListener::from_std(socket.into()),
            connections: BTreeMap::new(),
            first,
            next: 0,
            unread: Vec::new(),
            buffer: Box::new([0; RECEIVE]),
        })
    }

    /// The listening socket, for registration.
    pub fn source(&mut self) -> &mut mio::net::TcpListener {
        &mut self.listener
    }

    /// Takes every connection that waits.
    pub fn accept(&mut self, registry: &Registry, now: Instant) {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    if let Err(error) = self.admit(stream.into(), peer, registry, now) {
                        tracing::debug!(%error, %peer, "a TCP connection of a viewer cannot be served");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // No descriptor is left, for instance. The port is asked again a moment later.
                    tracing::warn!(%error, "TCP connections of viewers cannot be taken");
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, registry: &Registry, now: Instant) -> io::Result<()> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER)?;
        self.make_room(MOST_NAMELESS, |incoming| incoming.session.is_none(), registry);
        let free = |number: &u16| *number > 0 && !self.connections.contains_key(number);
        let number = (1..=u16::MAX).map(|step| self.next.wrapping_add(step)).find(free);
        let number = number.ok_or(io::ErrorKind::QuotaExceeded)?;
        self.next = number;
        let token = Token(self.first + usize::from(number));
        registry.register(&mut SourceFd(&stream.as_raw_fd()), token, Interest::READABLE | Interest::WRITABLE)?;
        let queue = Mutex::new(Queue { octets: Vec::new(), stuck_since: None });
        let connection = Arc::new(Connection { stream, peer, queue });
        let incoming = Incoming { connection, frames: Deframer::default(), since: now, session: None };
        self.connections.insert(number, incoming);
        Ok(())
    }

    /// Closes the oldest of those connections where there are `most` of them.
    fn make_room(&mut self, most: usize, of: impl Fn(&Incoming) -> bool, registry: &Registry) {
        let such = || self.connections.iter().filter(|(_, incoming)| of(incoming));
        if such().count() >= most
            && let Some((oldest, _)) = such().min_by_key(|(_, incoming)| incoming.since)
        {
            self.close(*oldest, registry);
        }
    }

    /// Takes what the system says of a token; writes what waits where it may be written.
    pub fn handle_event(&mut self, event: &mio::event::Event, registry: &Registry) {
        let Some(number) = event.token().0.checked_sub(self.first).and_then(|number| u16::try_from(number).ok()) else {
            return;
        };
        let Some(incoming) = self.connections.get(&number) else { return };
        if event.is_writable() && incoming.connection.flush().is_err() {
            self.close(number, registry);
        } else if !self.unread.contains(&number) {
            self.unread.push(number);
        }
    }

    /// Whether a connection may have more to read.
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Hands the datagrams that came to `take`, with the number of their connection and the session that it belongs to.
    /// What `take` gives is the session of a connection from then on; `None` closes it.
    pub fn receive(
        &mut self,
        registry: &Registry,
        mut take: impl FnMut(u16, &Arc<Connection>, Option<&str>, &[u8]) -> Option<String>,
    ) {
        for number in std::mem::take(&mut self.unread) {
            let Self { connections, buffer, unread, .. } = self;
            let Some(incoming) = connections.get_mut(&number) else { continue };
            let had_session = incoming.session.is_some();
            match incoming.read(buffer.as_mut_slice(), |connection, session, datagram| {
                take(number, connection, session, datagram)
            }) {
                Reading::Over => self.close(number, registry),
                Reading::More => unread.push(number),
                Reading::Done => {}
            }
            let session = self.connections.get(&number).and_then(|incoming| incoming.session.clone());
            if let (false, Some(session)) = (had_session, session) {
                // One more than there may be: the oldest goes.
                self.make_room(MOST_OF_SESSION + 1, |of| of.session.as_ref() == Some(&session), registry);
            }
        }
    }

    /// The connection of this number, where it belongs to that session.
    pub fn connection(&self, number: u16, session: &str) -> Option<&Arc<Connection>> {
        let incoming = self.connections.get(&number)?;
        (incoming.session.as_deref() == Some(session)).then_some(&incoming.connection)
    }

    /// Closes every connection of a session.
    pub fn close_session(&mut self, session: &str, registry: &Registry) {
        self.close_where(|incoming| incoming.session.as_deref() == Some(session), registry);
    }

    /// Closes what has not named a session in time, and what takes nothing any more.
    pub fn handle_timeout(&mut self, registry: &Registry, now: Instant) {
        let is_late = |incoming: &Incoming| {
            incoming.session.is_none() && now.saturating_duration_since(incoming.since) > PATIENCE
        };
        self.close_where(|incoming| is_late(incoming) || incoming.connection.is_stuck(now), registry);
    }

    fn close_where(&mut self, which: impl Fn(&Incoming) -> bool, registry: &Registry) {
        let numbers: Vec<u16> =
            self.connections.iter().filter(|(_, incoming)| which(incoming)).map(|(number, _)| *number).collect();
        for number in numbers {
            self.close(number, registry);
        }
    }

    fn close(&mut self, number: u16, registry: &Registry) {
        let Some(incoming) = self.connections.remove(&number) else { return };
        let stream = &incoming.connection.stream;
        // The media thread may hold the other end of it a little longer. An end that is gone already cannot be shut.
        let _ = registry.deregister(&mut SourceFd(&stream.as_raw_fd()));
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// What came of reading.
enum Reading {
    /// Nothing is left.
    Done,
    /// More may be there.
    More,
    /// It has ended, or must.
    Over,
}

impl Incoming {
    fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&Arc<Connection>, Option<&str>, &[u8]) -> Option<String>,
    ) -> Reading {
        let Self { connection, frames, session, .. } = self;
        for _ in 0..RECEIVE_CALLS {
            let size = match (&connection.stream).read(buffer) {
                Ok(0) => return Reading::Over,
                Ok(size) => size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Reading::Done,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Reading::Over,
            };
            let mut is_welcome = true;
            let read = frames.handle_octets(&buffer[..size], |datagram| {
                if is_welcome {
                    *session = take(connection, session.as_deref(), datagram);
                    is_welcome = session.is_some();
                }
            });
            if read.is_err() || !is_welcome {
                return Reading::Over;
            }
        }
        Reading::More
    }
}
