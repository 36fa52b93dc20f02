//! Many datagrams out of a socket with one call, and only as much of each as is wanted.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams of one call.
const BATCH: usize = 64;
/// The most of a datagram that is wanted.
const WHOLE: usize = 2048;
/// Enough for any STUN message and for the header of RTP.
const HEAD: usize = 256;
/// Room for a timestamp's control message.
const CONTROL: usize = 64;

/// Room for the datagrams of one call.
pub struct Inbox {
    octets: Box<[[u8; WHOLE]; BATCH]>,
    senders: [libc::sockaddr_in; BATCH],
    control: Box<[[u64; CONTROL / 8]; BATCH]>,
}

/// One datagram.
pub struct Datagram<'a> {
    /// Its octets, or the first ones of them.
    pub octets: &'a [u8],
    /// How many it had.
    pub length: usize,
    /// Octets of each packet of a run but the last; all of it where it is one datagram.
    pub segment: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// When the kernel took it, in nanoseconds since the epoch, where the socket was told to say so.
    pub at: Option<u64>,
}

impl Inbox {
    /// An empty inbox.
    pub fn new() -> Self {
        // SAFETY: a socket address is plain data, for which all zeros is a value.
        let senders = unsafe { std::mem::zeroed() };
        Self { octets: Box::new([[0; WHOLE]; BATCH]), senders, control: Box::new([[0; CONTROL / 8]; BATCH]) }
    }

    /// Hands every waiting datagram to `take`: all of it, or its head.
    pub fn receive(&mut self, socket: &UdpSocket, whole: bool, mut take: impl FnMut(Datagram<'_>)) -> io::Result<()> {
        loop {
            let count = self.call(socket, whole, &mut take)?;
            if count < BATCH {
                return Ok(());
            }
        }
    }

    fn call(&mut self, socket: &UdpSocket, whole: bool, take: &mut impl FnMut(Datagram<'_>)) -> io::Result<usize> {
        let room = if whole { WHOLE } else { HEAD };
        let mut slices: [libc::iovec; BATCH] =
            std::array::from_fn(|at| libc::iovec { iov_base: self.octets[at].as_mut_ptr().cast(), iov_len: room });
        // SAFETY: a message header is plain data, for which all zeros is a value.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (at, message) in messages.iter_mut().enumerate() {
            message.msg_hdr.msg_name = (&raw mut self.senders[at]).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            message.msg_hdr.msg_iov = &raw mut slices[at];
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = self.control[at].as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = CONTROL;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: every header points to room of the length it names, which outlives the call.
        let count = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), BATCH as u32, flags, std::ptr::null_mut())
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        for (at, message) in messages[..count].iter().enumerate() {
            let length = message.msg_len as usize;
            let sender = &self.senders[at];
            let octets = &self.octets[at][..length.min(room)];
            let address = Ipv4Addr::from(u32::from_be(sender.sin_addr.s_addr));
            let (at, segment) = told(&message.msg_hdr);
            take(Datagram {
                octets,
                length,
                from: SocketAddr::from((address, u16::from_be(sender.sin_port))),
                segment: segment.unwrap_or(length).max(1),
                at,
            });
        }
        Ok(count)
    }
}

/// What the kernel says about a datagram: when it came, and the size of a run's packets.
fn told(header: &libc::msghdr) -> (Option<u64>, Option<usize>) {
    let (mut at, mut segment) = (None, None);
    // SAFETY: the kernel has written the control messages whose length it left in the header, and each holds what its
    // type says.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let content = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = content.cast::<libc::timespec>().read_unaligned();
                    at = Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    segment = usize::try_from(content.cast::<libc::c_int>().read_unaligned()).ok();
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (at, segment)
}

/// Tells a socket to take runs unsplit.
pub fn take_runs(socket: &UdpSocket) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Tells a socket to say when datagrams came.
pub fn stamp(socket: &UdpSocket) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Sets the receive buffer, beyond the system's limit where that is allowed.
pub fn set_buffer(socket: &UdpSocket, octets: usize) -> io::Result<()> {
    let octets = octets as libc::c_int;
    let set = |option| set(socket, libc::SOL_SOCKET, option, octets);
    set(libc::SO_RCVBUFFORCE).or_else(|_| set(libc::SO_RCVBUF))
}

fn set(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the value is there for as long as the call takes, and has the length that is named.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size_of::<libc::c_int>() as u32)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Datagrams that the kernel threw away because the socket's buffer was full.
pub fn dropped(socket: &UdpSocket) -> u64 {
    const DROPS: usize = 8;
    let mut values = [0_u32; 9];
    let mut length = size_of_val(&values) as u32;
    // SAFETY: the kernel writes no more than the length that it is told.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done == 0 { u64::from(values[DROPS]) } else { 0 }
}
