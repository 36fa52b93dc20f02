//! What one viewer is sent: from the ring, through the viewer's protection, to the one UDP port.
//!
//! A viewer holds a cursor into each ring and nothing else of the media. A packet costs one header, one copy and one
//! encryption; packets of one size leave together. Nothing here allocates or takes a lock for a packet.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::socket::Port;
use super::stream::{Leg, Stream};
use crate::rtp::{Entry, MediaKind};
use crate::srtp::Protector;
use crate::whep::Accepted;

/// A viewer that is behind gets this many octets a second: fast enough to catch up with any stream at once, slow enough
/// for a home network's queues.
const CATCH_UP_RATE: u64 = 5_000_000;
/// At most this many octets leave in one burst of catching up.
const CATCH_UP_BURST: u64 = 20_000;
/// Packets of one call to the system.
const MAX_SEGMENTS: usize = 44;
/// The same packet is not resent within this time: the first resend is still on its way.
const RESEND_INTERVAL: Duration = Duration::from_millis(20);
/// Resent octets a second, and in one burst, for one viewer.
const RESEND_RATE: f64 = 1_000_000.0;
const RESEND_BURST: f64 = 250_000.0;

/// A connected viewer, as the egress sees it.
pub struct Viewer {
    /// Where media goes.
    pub to: SocketAddr,
    /// Address of this machine that the viewer reached.
    pub from: Option<IpAddr>,
    protector: Protector,
    tracks: Vec<TrackSender>,
    resend_credit: f64,
    resend_at: Instant,
}

/// One track towards one viewer.
struct TrackSender {
    kind: MediaKind,
    ssrc: u32,
    payload_type: u8,
    extension: Vec<u8>,
    /// Next packet of the ring; `None` before the first.
    cursor: Option<u64>,
    /// Added to a ring's sequence number: the packet index of SRTP, which begins below 2^15 for each viewer, so that a
    /// lost first packet does not make the receiver guess the rollover counter wrong.
    shift: u64,
    first_index: u16,
    catching_up: bool,
    credit: u64,
    credit_at: Instant,
    packets: u32,
    octets: u32,
    resent: Vec<(u64, Instant)>,
}

/// What has been sent of one track, for its sender report.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Picture or sound.
    pub kind: MediaKind,
    /// SSRC on the wire.
    pub ssrc: u32,
    /// Packets.
    pub packets: u32,
    /// Payload octets.
    pub octets: u32,
}

/// Room for the packets of one call.
#[derive(Default)]
pub struct Batch {
    octets: Vec<u8>,
    /// Size of each packet but the last.
    segment: usize,
    packets: usize,
}

impl Viewer {
    /// A viewer who has connected. `first_indices` are where its sequence numbers begin, below 2^15.
    pub fn new(
        to: SocketAddr,
        from: Option<IpAddr>,
        protector: Protector,
        accepted: &[Accepted],
        first_indices: impl FnMut() -> u16,
        now: Instant,
    ) -> Self {
        let mut first_indices = first_indices;
        let tracks = accepted
            .iter()
            .map(|accepted| TrackSender {
                kind: accepted.codec.kind(),
                ssrc: accepted.ssrc,
                payload_type: accepted.offered.payload_type,
                extension: extension(accepted),
                cursor: None,
                shift: 0,
                first_index: first_indices() & 0x7fff,
                catching_up: true,
                credit: CATCH_UP_BURST,
                credit_at: now,
                packets: 0,
                octets: 0,
                resent: Vec::new(),
            })
            .collect();
        Self { to, from, protector, tracks, resend_credit: RESEND_BURST, resend_at: now }
    }

    /// Sends what the viewer has not had yet. Whether it is still catching up, and so is to be called again soon.
    pub fn send(&mut self, stream: &Stream, port: &Port, batch: &mut Batch, now: Instant) -> bool {
        let mut behind = false;
        for track in &mut self.tracks {
            let way = Way { to: self.to, from: self.from, protector: &self.protector, port };
            behind |= track.send(stream.leg(track.kind), &way, batch, now);
        }
        behind
    }

    /// Resends lost packets, octet for octet.
    pub fn resend(&mut self, ssrc: u32, lost: &[u16], stream: &Stream, port: &Port, batch: &mut Batch, now: Instant) {
        let passed = now.saturating_duration_since(self.resend_at).as_secs_f64();
        self.resend_credit = (self.resend_credit + passed * RESEND_RATE).min(RESEND_BURST);
        self.resend_at = now;
        let way = Way { to: self.to, from: self.from, protector: &self.protector, port };
        let Some(track) = self.tracks.iter_mut().find(|track| track.ssrc == ssrc) else { return };
        for number in lost {
            if self.resend_credit <= 0.0 {
                return;
            }
            self.resend_credit -= track.resend(*number, stream.leg(track.kind), &way, batch, now) as f64;
        }
        if let Err(error) = way.flush(batch) {
            tracing::trace!(%error, "resend");
        }
    }

    /// What has been sent of each track that has begun.
    pub fn sent(&self) -> impl Iterator<Item = Sent> + '_ {
        self.tracks.iter().filter(|track| track.packets > 0).map(|track| Sent {
            kind: track.kind,
            ssrc: track.ssrc,
            packets: track.packets,
            octets: track.octets,
        })
    }
}

/// How packets get to one viewer.
struct Way<'a> {
    to: SocketAddr,
    from: Option<IpAddr>,
    protector: &'a Protector,
    port: &'a Port,
}

impl Way<'_> {
    fn flush(&self, batch: &mut Batch) -> io::Result<()> {
        if batch.packets == 0 {
            return Ok(());
        }
        let result = self.port.send(self.to, self.from, &batch.octets, batch.segment);
        batch.clear();
        result
    }
}

impl TrackSender {
    /// A picture begins with the newest keyframe, sound begins live.
    fn begin(&mut self, leg: &Leg) -> Option<u64> {
        if let Some(cursor) = self.cursor {
            return Some(cursor);
        }
        let start = match self.kind {
            MediaKind::Video => leg.ring.newest_keyframe()?,
            MediaKind::Audio => leg.ring.head(),
        };
        self.shift = u64::from(self.first_index).wrapping_sub(start);
        self.cursor = Some(start);
        Some(start)
    }

    fn send(&mut self, leg: &Leg, way: &Way<'_>, batch: &mut Batch, now: Instant) -> bool {
        let Some(mut cursor) = self.begin(leg) else { return false };
        if cursor < leg.ring.tail() {
            // The ring went on without this viewer: it goes on from the newest keyframe.
            cursor = leg.ring.newest_keyframe().unwrap_or(leg.ring.head()).max(leg.ring.tail());
            self.catching_up = true;
        }
        let head = leg.ring.head();
        let mut allowed = self.allowance(now);
        let mut sent = cursor;
        while cursor < head && allowed > 0 {
            if let Some(entry) = leg.ring.get(cursor) {
                let size = self.size(entry, way);
                if !batch.takes(size, way.port.segments()) {
                    if !self.flush(way, batch) {
                        self.cursor = Some(sent);
                        return true;
                    }
                    sent = cursor;
                }
                self.append(entry, cursor, way, batch);
                self.packets = self.packets.wrapping_add(1);
                self.octets = self.octets.wrapping_add(entry.payload.len() as u32);
                allowed = allowed.saturating_sub(size as u64);
            }
            cursor += 1;
        }
        if self.flush(way, batch) {
            sent = cursor;
        }
        self.cursor = Some(sent);
        if self.catching_up {
            self.credit = allowed;
            self.catching_up = sent < head;
        }
        sent < head
    }

    /// Sends the batch; `false` where the socket takes no more now.
    fn flush(&self, way: &Way<'_>, batch: &mut Batch) -> bool {
        match way.flush(batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                tracing::trace!(%error, to = %way.to, "send");
                true
            }
            Ok(()) => true,
        }
    }

    /// Octets that may leave now: all of them where the viewer is live.
    fn allowance(&mut self, now: Instant) -> u64 {
        if !self.catching_up {
            return u64::MAX;
        }
        let passed = now.saturating_duration_since(self.credit_at).as_micros() as u64;
        self.credit_at = now;
        self.credit = (self.credit + passed * CATCH_UP_RATE / 1_000_000).min(CATCH_UP_BURST);
        self.credit
    }

    fn size(&self, entry: &Entry, way: &Way<'_>) -> usize {
        12 + self.extension.len() + entry.payload.len() + way.protector.tag_len()
    }

    fn append(&self, entry: &Entry, sequence: u64, way: &Way<'_>, batch: &mut Batch) {
        let index = sequence.wrapping_add(self.shift);
        let mut header = [0; 12 + MAX_EXTENSION];
        header[0] = if self.extension.is_empty() { 0x80 } else { 0x90 };
        header[1] = self.payload_type | if entry.marker { 0x80 } else { 0 };
        header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        header[4..8].copy_from_slice(&entry.timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        let end = 12 + self.extension.len();
        header[12..end].copy_from_slice(&self.extension);
        let before = batch.octets.len();
        way.protector.protect(&header[..end], &entry.payload, self.ssrc, index, &mut batch.octets);
        batch.note(batch.octets.len() - before);
    }

    /// Appends a lost packet to the batch; how many octets it has.
    fn resend(&mut self, number: u16, leg: &Leg, way: &Way<'_>, batch: &mut Batch, now: Instant) -> usize {
        let Some(cursor) = self.cursor else { return 0 };
        // The newest packet index with this number that was sent already.
        let newest = cursor.wrapping_add(self.shift);
        let mut index = (newest & !0xffff) | u64::from(number);
        if index >= newest {
            let Some(before) = index.checked_sub(1 << 16) else { return 0 };
            index = before;
        }
        let sequence = index.wrapping_sub(self.shift);
        let Some(entry) = leg.ring.get(sequence).filter(|_| index >= u64::from(self.first_index)) else { return 0 };
        self.resent.retain(|(_, at)| now.saturating_duration_since(*at) < RESEND_INTERVAL);
        if self.resent.iter().any(|(resent, _)| *resent == index) {
            return 0;
        }
        self.resent.push((index, now));
        let size = self.size(entry, way);
        if !batch.takes(size, way.port.segments()) {
            self.flush(way, batch);
        }
        self.append(entry, sequence, way, batch);
        size
    }
}

impl Batch {
    /// Whether a packet of this size may leave with the others: all of a run have one size, but the last may be shorter.
    fn takes(&self, size: usize, segments: usize) -> bool {
        self.packets == 0
            || (self.packets < segments.min(MAX_SEGMENTS)
                && size <= self.segment
                && self.octets.len() == self.packets * self.segment)
    }

    fn note(&mut self, size: usize) {
        if self.packets == 0 {
            self.segment = size;
        }
        self.packets += 1;
    }

    fn clear(&mut self) {
        self.octets.clear();
        self.packets = 0;
    }
}

const MAX_EXTENSION: usize = 32;

/// The header extension of every packet of a track, one-byte form (RFC 8285 section 4.2): MID, and a playout delay of 0
/// to 0, which keeps the browser's jitter buffer at its shortest. The same on each packet, so that packets of one size
/// stay so and a resent packet is the same packet.
fn extension(accepted: &Accepted) -> Vec<u8> {
    let mut elements = Vec::new();
    if let Some(id) = accepted.mid_extension.filter(|_| (1..=16).contains(&accepted.mid.len())) {
        elements.push(id << 4 | (accepted.mid.len() - 1) as u8);
        elements.extend_from_slice(accepted.mid.as_bytes());
    }
    if let Some(id) = accepted.playout_delay_extension {
        elements.extend_from_slice(&[id << 4 | 2, 0, 0, 0]);
    }
    if elements.is_empty() {
        return elements;
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    let mut extension = vec![0xbe, 0xde];
    extension.extend_from_slice(&((elements.len() / 4) as u16).to_be_bytes());
    extension.append(&mut elements);
    extension
}
