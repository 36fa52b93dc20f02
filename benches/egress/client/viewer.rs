//! One viewer: its socket, its peer, and what has come.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rtc::peer_connection::state::RTCPeerConnectionState;

use super::Counted;
use super::inbox::{self, Inbox};
use super::peer::{Peer, Protection};
use crate::parameters::{NACK_INTERVAL, NACK_NUMBERS, REPORT_INTERVAL, VIEWER_BUFFER};
use crate::traffic::{Kind, Tag, clock};

/// A connected peer's timers are looked at no more often than this.
const TIMERS: Duration = Duration::from_millis(100);
/// Receive buffer of a viewer that does not read.
const STALLED_BUFFER: usize = 4096;
/// Protected packets above this size are of the picture.
const LARGEST_SOUND: usize = 600;

/// What a viewer looks at, once it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// That packets come.
    Numbers,
    /// When they come.
    Delay,
    /// Whether they are what was sent.
    Content,
}

/// How a viewer behaves badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// It does not read its socket.
    Unread,
    /// It asks for everything again.
    Nacks,
}

/// One viewer, or a socket that only counts.
pub struct Viewer {
    socket: UdpSocket,
    peer: Option<Peer>,
    connected: bool,
    failed: bool,
    tracks: [Track; 2],
    counted: Counted,
    next_timers: Instant,
    next_report: Instant,
    next_nack: Instant,
    stall: Option<Stall>,
    /// What it looks at.
    pub watching: Watching,
    /// It sends receiver reports.
    pub reports: bool,
}

/// What has come of one track.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    ssrc: u32,
    begun: bool,
    highest: u32,
}

impl Track {
    /// Takes the sequence number of the first of a run of packets; how many were left out before it.
    fn note(&mut self, ssrc: u32, sequence_number: u16, packets: u32) -> u64 {
        if !self.begun {
            *self = Self { ssrc, begun: true, highest: u32::from(sequence_number) };
            return 0;
        }
        let step = sequence_number.wrapping_sub(self.highest as u16) as i16;
        if step <= 0 {
            return 0;
        }
        self.highest = self.highest.wrapping_add(step as u32 + packets - 1);
        step as u64 - 1
    }
}

impl Viewer {
    fn new(socket: UdpSocket, peer: Option<Peer>) -> Self {
        let now = Instant::now();
        Self {
            socket,
            peer,
            connected: false,
            failed: false,
            tracks: [Track::default(); 2],
            counted: Counted::default(),
            next_timers: now,
            next_report: now + REPORT_INTERVAL,
            next_nack: now,
            stall: None,
            watching: Watching::Numbers,
            reports: true,
        }
    }

    /// A viewer that offers.
    pub fn offer(protection: Protection) -> Result<(Self, String)> {
        let (socket, local) = bind(Ipv4Addr::LOCALHOST)?;
        let (peer, sdp) = Peer::offer(local, protection, Instant::now()).map_err(|error| anyhow!("offer: {error}"))?;
        Ok((Self::new(socket, Some(peer)), sdp))
    }

    /// A viewer that answers, from the address of this machine that is offered: a sender need not offer loopback's, and
    /// what goes from one of a machine's own addresses to itself goes over loopback too.
    pub fn answer(offer: String) -> Result<(Self, String)> {
        let (socket, local) = bind(offered_address(&offer).context("nothing of IPv4 is offered")?)?;
        let (peer, sdp) = Peer::answer(local, offer, Instant::now()).map_err(|error| anyhow!("answer: {error}"))?;
        Ok((Self::new(socket, Some(peer)), sdp))
    }

    /// A socket that only counts.
    pub fn sink() -> Result<Self> {
        Ok(Self::new(bind(Ipv4Addr::LOCALHOST)?.0, None))
    }

    /// Its port.
    pub fn port(&self) -> Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Takes the answer to its offer.
    pub fn accept(&mut self, sdp: String) -> Result<()> {
        let peer = self.peer.as_mut().context("a sink takes no answer")?;
        peer.handle_answer(sdp, Instant::now()).map_err(|error| anyhow!("the answer: {error}"))
    }

    /// From now on its packets' delays are looked at.
    pub fn watch_delay(&mut self) -> Result<()> {
        self.watching = Watching::Delay;
        inbox::stamp(&self.socket).context("timestamps of datagrams")
    }

    /// From now on it takes runs unsplit.
    pub fn take_runs(&mut self) -> Result<()> {
        inbox::take_runs(&self.socket).context("receive offload")
    }

    /// Behaves badly, or well again.
    pub fn stall(&mut self, stall: Option<Stall>) -> Result<()> {
        self.stall = stall;
        let unread = stall == Some(Stall::Unread);
        inbox::set_buffer(&self.socket, if unread { STALLED_BUFFER } else { VIEWER_BUFFER }).context("receive buffer")
    }

    /// Adds what has come to a sum.
    pub fn count(&mut self, sum: Counted) -> Counted {
        Counted {
            connected: sum.connected + usize::from(self.connected || self.peer.is_none()),
            failed: sum.failed + usize::from(self.failed),
            packets: sum.packets + self.counted.packets,
            missing: sum.missing + self.counted.missing,
            dropped: sum.dropped + inbox::dropped(&self.socket),
            opened: sum.opened + self.counted.opened,
            torn: sum.torn + self.counted.torn,
        }
    }

    /// Reads what waits in the socket and does what is due.
    pub fn receive(&mut self, inbox: &mut Inbox, now: Instant, delays: &mut Vec<u32>) -> Result<()> {
        if self.stall == Some(Stall::Unread) {
            return Ok(());
        }
        let Self { socket, peer, connected, tracks, counted, watching, .. } = self;
        let opens = *watching != Watching::Numbers;
        let mut fed = false;
        let received = inbox.receive(socket, !*connected || opens, |datagram| {
            let octets = datagram.octets;
            let is_rtp = octets.len() >= 12 && octets[0] >> 6 == 2 && !(192..224).contains(&octets[1]);
            let kind = if datagram.segment > LARGEST_SOUND { Kind::Video } else { Kind::Audio };
            if is_rtp {
                let packets = datagram.length.div_ceil(datagram.segment) as u32;
                counted.packets += u64::from(packets);
                let ssrc = u32::from_be_bytes([octets[8], octets[9], octets[10], octets[11]]);
                let sequence_number = u16::from_be_bytes([octets[2], octets[3]]);
                counted.missing += tracks[kind as usize].note(ssrc, sequence_number, packets);
            }
            let is_dtls_or_stun = octets.first().is_some_and(|first| *first < 128);
            let Some(peer) = peer.as_mut().filter(|_| opens || is_dtls_or_stun || !*connected) else { return };
            peer.handle_datagram(datagram.from, octets, now);
            fed = true;
            while let Some(opened) = peer.poll_opened() {
                counted.opened += 1;
                if *watching == Watching::Content && !Tag::is_whole(kind, &opened.payload) {
                    counted.torn += 1;
                }
                if *watching == Watching::Delay
                    && let Some(tag) = Tag::of(&opened.payload)
                {
                    let at = datagram.at.unwrap_or_else(clock);
                    delays.push((at.saturating_sub(tag.sent) / 1000) as u32);
                }
            }
        });
        received.context("receive")?;
        self.go_on(fed, now);
        Ok(())
    }

    fn go_on(&mut self, fed: bool, now: Instant) {
        let Some(peer) = &mut self.peer else { return };
        let timers = self.next_timers <= now;
        if timers {
            peer.handle_timeout(now);
        }
        if self.connected && self.reports && self.next_report <= now {
            self.next_report = now + REPORT_INTERVAL;
            let tracks = self.tracks.iter().filter(|track| track.begun);
            peer.report(&tracks.map(|track| (track.ssrc, track.highest)).collect::<Vec<_>>(), now);
        } else if self.stall == Some(Stall::Nacks) && self.next_nack <= now {
            self.next_nack = now + NACK_INTERVAL;
            let track = self.tracks[Kind::Video as usize];
            let newest = track.highest as u16;
            let numbers: Vec<u16> = (0..NACK_NUMBERS).rev().map(|back| newest.wrapping_sub(back)).collect();
            peer.ask_again(track.ssrc, &numbers, now);
        } else if !fed && !timers {
            return;
        }
        match peer.state() {
            RTCPeerConnectionState::Connected => self.connected = true,
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => {
                self.connected = false;
                self.failed = true;
            }
            _ => {}
        }
        while let Some((to, datagram)) = peer.poll_transmit() {
            // What is lost here is sent again by whoever needs it.
            let _ = self.socket.send_to(&datagram, to);
        }
        let due = peer.poll_timeout().unwrap_or(now + TIMERS);
        self.next_timers = if self.connected { due.max(now + TIMERS) } else { due };
    }
}

/// The address of the first candidate (RFC 8839 section 5.1).
fn offered_address(offer: &str) -> Option<Ipv4Addr> {
    let candidates = offer.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    candidates.filter_map(|candidate| candidate.split_whitespace().nth(4)?.parse().ok()).next()
}

fn bind(address: Ipv4Addr) -> Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind((address, 0)).context("a viewer's socket")?;
    inbox::set_buffer(&socket, VIEWER_BUFFER).context("receive buffer")?;
    let local = socket.local_addr()?;
    Ok((socket, local))
}
