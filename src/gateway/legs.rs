//! The two loopback ports of a stream: V for the picture, V+1 for the sound, bound before FFmpeg starts.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt;
use serde::{Deserialize, Serialize};

/// Receive buffer of a leg: a large keyframe comes as one burst, and Linux's default holds 92 datagrams.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Tries to find a free pair.
const TRIES: usize = 10;
/// Between two tries to have a fixed pair, which the media thread may not have let go of yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the legs of a stream cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum OpenError {
    /// No free pair of ports was found.
    #[error("no free pair of UDP ports for the egress legs was found in {TRIES} tries: {0}")]
    NoPorts(String),
    /// The fixed pair cannot be had.
    #[error("the UDP ports {0} and {next} of the egress legs cannot be bound: {1}", next = .0.saturating_add(1))]
    Taken(u16, String),
    /// The fixed pair has a stream.
    #[error("the UDP ports of the egress legs are those of process {0}, and there is no other pair")]
    Occupied(String),
    /// The gateway is another program, and does not answer.
    #[error("the WebRTC gateway does not answer at its control socket")]
    Away,
    /// The gateway has ended.
    #[error("the WebRTC gateway has ended")]
    Ended,
}

/// The bound sockets of a stream, picture first.
pub struct Legs {
    /// Port V.
    pub video: UdpSocket,
    /// Port V+1.
    pub audio: UdpSocket,
}

impl Legs {
    /// Binds an even port and the next one.
    pub fn bind() -> Result<Self, OpenError> {
        let mut last = None;
        for _ in 0..TRIES {
            match try_pair() {
                Ok(Some(legs)) => return Ok(legs),
                Ok(None) => {}
                Err(error) => last = Some(error),
            }
        }
        Err(OpenError::NoPorts(last.map_or_else(|| "every neighbour was taken".into(), |error| error.to_string())))
    }

    /// Binds this port and the next one.
    pub fn bind_at(port: u16) -> Result<Self, OpenError> {
        let next = port.checked_add(1).ok_or_else(|| OpenError::Taken(port, "there is no next port".into()))?;
        let pair = || Ok(Self { video: bind(port)?, audio: bind(next)? });
        let mut bound = pair();
        for _ in 1..TRIES {
            if bound.is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
            bound = pair();
        }
        bound.map_err(|error: std::io::Error| OpenError::Taken(port, error.to_string()))
    }
}

/// Takes a port that the system gives, and the neighbour that makes an even pair of it.
fn try_pair() -> std::io::Result<Option<Legs>> {
    let one = bind(0)?;
    let port = one.local_addr()?.port();
    if port % 2 == 0 {
        let Some(next) = port.checked_add(1) else { return Ok(None) };
        return Ok(Some(Legs { video: one, audio: bind(next)? }));
    }
    Ok(Some(Legs { video: bind(port - 1)?, audio: one }))
}

fn bind(port: u16) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.set_nonblocking(true)?;
    if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
    }
    Ok(socket)
}

/// Octets that a leg's receive buffer lacks; Linux reports twice what it was given.
pub fn missing_buffer(socket: &UdpSocket) -> usize {
    let got = sockopt::socket_recv_buffer_size(socket).unwrap_or(0) / 2;
    RECEIVE_BUFFER.saturating_sub(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_adjacent_and_even() {
        for _ in 0..20 {
            let legs = Legs::bind().expect("there are free ports");
            let (video, audio) = (legs.video.local_addr().expect("bound"), legs.audio.local_addr().expect("bound"));
            assert_eq!(video.port() % 2, 0);
            assert_eq!(audio.port(), video.port() + 1);
            assert!(video.ip().is_loopback() && audio.ip().is_loopback());
        }
    }

    #[test]
    fn a_fixed_pair_is_had_once_and_again_when_it_is_let_go_of() {
        let port = Legs::bind().expect("there are free ports").video.local_addr().expect("bound").port();
        let legs = Legs::bind_at(port).expect("it was free a moment ago");
        assert_eq!(legs.audio.local_addr().expect("bound").port(), port + 1);
        assert!(matches!(Legs::bind_at(port), Err(OpenError::Taken(taken, _)) if taken == port));
        drop(legs);
        assert!(Legs::bind_at(port).is_ok());
    }

    #[test]
    fn a_taken_neighbour_is_another_try() {
        let taken = Legs::bind().expect("there are free ports");
        assert!(bind(taken.audio.local_addr().expect("bound").port()).is_err(), "it is taken");
        assert!(Legs::bind().is_ok());
    }
}
