//! What one viewer is sent: from the rings, through the viewer's protection, to the one UDP port or to its connection.
//!
//! A viewer holds a cursor into each ring and nothing else of the media. A packet costs one header, one copy and one
//! encryption; packets of one size leave together. Nothing here allocates or takes a lock for a packet that leaves by UDP.
//!
//! # Why one number never protects two packets
//!
//! A track's packet index only grows. Each [`Span`] ties a run of indices to a run of the ring's sequence numbers, and a
//! new one begins where the last one ended, also where the viewer goes back to an older keyframe. What is resent without
//! a retransmission stream is the packet of its span, octet for octet; a retransmission stream has an SSRC and a counter
//! of its own.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::path::Path;
use super::run::Run;
use super::shared::Sent;
use super::socket::Port;
use crate::rtp::{MediaKind, Packet, Ring, Rings};
use crate::srtp::Protector;
use crate::whep::{Accepted, Retransmission};

/// What is behind leaves at this many octets a second at least: fast enough to catch up with any usual stream at once,
/// slow enough for a home network's queues.
const LEAST_RATE: u64 = 5_000_000;
/// And at this many times the stream's own rate at least.
const TIMES_STREAM: u64 = 4;
/// So many octets leave in one burst: an ordinary frame. A larger one leaves over some milliseconds.
const LEAST_BURST: u64 = 24_000;
/// A burst is at least what the stream brings in this part of a second.
const BURST_PART: u64 = 16;
/// A viewer that was behind for so long does not catch up any more.
const PATIENCE: Duration = Duration::from_secs(3);
/// A picture of which nothing came for so long stands still: who asks for a keyframe has seen all that there is.
const STILL: Duration = Duration::from_secs(2);
/// A viewer goes back to a keyframe at most this often.
const JUMP_INTERVAL: Duration = Duration::from_secs(1);
/// The same packet is not resent within this time: the first resend is still on its way.
const RESEND_INTERVAL: Duration = Duration::from_millis(20);
/// A resent packet is sent once more after this, so that losing it too does not cost another round trip, which is what a
/// picture stands still for.
const RESEND_AGAIN: Duration = Duration::from_millis(10);
/// Resent octets a second, and in one burst, for one viewer.
const RESEND_RATE: f64 = 1_000_000.0;
const RESEND_BURST: f64 = 250_000.0;
/// Spans that are remembered for resending.
const SPANS: usize = 4;
const MAX_EXTENSION: usize = 32;

/// Why a viewer goes on from the newest keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JumpReason {
    /// It said that it cannot decode (PLI or FIR).
    KeyframeWanted,
    /// Its reports show heavy loss.
    Loss,
    /// It is behind and does not catch up.
    Behind,
}

impl JumpReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::KeyframeWanted, Self::Loss, Self::Behind];

    /// The reason as one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::KeyframeWanted => "keyframe_wanted",
            Self::Loss => "loss",
            Self::Behind => "behind",
        }
    }
}

/// A connected viewer.
pub struct Viewer {
    /// Number of the viewer within the gateway.
    pub id: u64,
    /// Where media goes.
    pub path: Path,
    /// It has not been sent everything that is there.
    pub behind: bool,
    protector: Protector,
    tracks: Vec<Track>,
    resend_credit: f64,
    resend_at: Instant,
}

/// One track towards one viewer.
struct Track {
    kind: MediaKind,
    ssrc: u32,
    /// Header and extension as every packet has them, without marker, sequence number and timestamp.
    template: [u8; 12 + MAX_EXTENSION],
    header: usize,
    /// Next packet of the ring; `None` before the first.
    cursor: Option<u64>,
    spans: VecDeque<Span>,
    /// Where packet indices begin: below 2^15, so that a lost first packet does not make the receiver guess the rollover
    /// counter wrong (RFC 3711 section 3.3.1).
    first_index: u64,
    last_timestamp: u32,
    last_at: Instant,
    behind_since: Option<Instant>,
    jumped_at: Instant,
    credit: u64,
    credit_at: Instant,
    sent: Arc<Sent>,
    /// Numbers that were resent a moment ago.
    resent: Vec<(u16, Instant)>,
    /// Numbers that are to be resent once more, and when they were resent.
    again: VecDeque<(u16, Instant)>,
    retransmission: Option<Resender>,
}

/// Packet indices that follow the ring's sequence numbers one by one.
#[derive(Clone, Copy)]
struct Span {
    /// SRTP packet index of the first packet.
    index: u64,
    /// Its sequence number in the ring.
    sequence: u64,
    /// Added to the ring's timestamps.
    timestamp_shift: u32,
}

/// The retransmission stream of a track (RFC 4588).
struct Resender {
    ssrc: u32,
    payload_type: u8,
    next_index: u64,
    payload: Vec<u8>,
}

/// How packets get to one viewer.
pub struct Way<'a> {
    /// The one UDP port.
    pub port: &'a Port,
    /// Room for packets of one call.
    pub run: &'a mut Run,
    /// Now.
    pub now: Instant,
}

impl Viewer {
    /// A viewer who has connected. `random` gives where its sequence numbers begin.
    pub fn new(
        id: u64,
        path: Path,
        protector: Protector,
        accepted: &[(Accepted, Arc<Sent>)],
        mut random: impl FnMut() -> u16,
        now: Instant,
    ) -> Self {
        let mut first_index = || u64::from(random() & 0x7fff);
        let tracks =
            accepted.iter().map(|(accepted, sent)| Track::new(accepted, sent.clone(), &mut first_index, now)).collect();
        Self { id, path, behind: true, protector, tracks, resend_credit: RESEND_BURST, resend_at: now }
    }

    /// Sends what the viewer has not had yet, as far as it may leave now. Why it went on from the newest keyframe,
    /// where it did.
    pub fn send(&mut self, rings: &Rings, way: &mut Way<'_>) -> Option<JumpReason> {
        let mut jumped = None;
        self.behind = false;
        for track in &mut self.tracks {
            let ring = rings.of(track.kind);
            if track.has_lost_touch(ring, way.now) && track.jump(ring, way.now) {
                jumped = Some(JumpReason::Behind);
            }
            while let Some((number, at)) = track.again.front().copied()
                && way.now.saturating_duration_since(at) >= RESEND_AGAIN
            {
                track.again.pop_front();
                track.resend(number, ring, &self.path, &self.protector, way);
            }
            flush(way, &self.path);
            self.behind |= track.send(ring, &self.path, &self.protector, way);
        }
        jumped
    }

    /// Resends lost packets.
    pub fn resend(&mut self, ssrc: u32, lost: &[u16], rings: &Rings, way: &mut Way<'_>) {
        let passed = way.now.saturating_duration_since(self.resend_at).as_secs_f64();
        self.resend_credit = (self.resend_credit + passed * RESEND_RATE).min(RESEND_BURST);
        self.resend_at = way.now;
        let Some(track) = self.tracks.iter_mut().find(|track| track.ssrc == ssrc) else { return };
        let ring = rings.of(track.kind);
        track.resent.retain(|(_, at)| way.now.saturating_duration_since(*at) < RESEND_INTERVAL);
        for number in lost {
            if self.resend_credit <= 0.0 {
                break;
            }
            if track.resent.iter().any(|(resent, _)| resent == number) {
                continue;
            }
            let size = track.resend(*number, ring, &self.path, &self.protector, way);
            if size > 0 {
                track.resent.push((*number, way.now));
                track.again.push_back((*number, way.now));
            }
            self.resend_credit -= size as f64;
        }
        if let Err(error) = way.run.flush(way.port, &self.path) {
            tracing::trace!(%error, "resend");
        }
    }

    /// Goes on from the newest keyframe under continued numbers; `false` where that happened a moment ago, there is none,
    /// or nothing comes any more.
    pub fn jump(&mut self, rings: &Rings, now: Instant) -> bool {
        let video = rings.of(MediaKind::Video);
        if video.newest_at().is_none_or(|at| now.saturating_duration_since(at) > STILL) {
            return false;
        }
        let track = self.tracks.iter_mut().find(|track| track.kind == MediaKind::Video);
        let jumped = track.is_some_and(|track| {
            now.saturating_duration_since(track.jumped_at) >= JUMP_INTERVAL && track.jump(video, now)
        });
        self.behind |= jumped;
        jumped
    }
}

impl Track {
    fn new(accepted: &Accepted, sent: Arc<Sent>, first_index: &mut impl FnMut() -> u64, now: Instant) -> Self {
        let extension = extension(accepted);
        let header = 12 + extension.len();
        let mut template = [0; 12 + MAX_EXTENSION];
        template[0] = if extension.is_empty() { 0x80 } else { 0x90 };
        template[1] = accepted.offered.payload_type;
        template[8..12].copy_from_slice(&accepted.ssrc.to_be_bytes());
        template[12..header].copy_from_slice(&extension);
        let resender = |Retransmission { payload_type, ssrc }: &Retransmission| Resender {
            ssrc: *ssrc,
            payload_type: *payload_type,
            next_index: first_index(),
            payload: Vec::new(),
        };
        Self {
            retransmission: accepted.retransmission.as_ref().map(resender),
            kind: accepted.codec.kind(),
            ssrc: accepted.ssrc,
            template,
            header,
            cursor: None,
            spans: VecDeque::with_capacity(SPANS + 1),
            first_index: first_index(),
            last_timestamp: 0,
            last_at: now,
            behind_since: None,
            jumped_at: now,
            credit: LEAST_BURST,
            credit_at: now,
            sent,
            resent: Vec::new(),
            again: VecDeque::new(),
        }
    }

    /// Where the next packet is to come from. A picture begins with the newest keyframe, sound begins live.
    fn position(&mut self, ring: &Ring, now: Instant) -> Option<(u64, Span)> {
        if let (Some(cursor), Some(span)) = (self.cursor, self.spans.back()) {
            return Some((cursor, *span));
        }
        let start = match self.kind {
            MediaKind::Video => ring.newest_keyframe()?,
            MediaKind::Audio if ring.is_empty() => return None,
            MediaKind::Audio => ring.head(),
        };
        let span = Span { index: self.first_index, sequence: start, timestamp_shift: 0 };
        self.spans.push_back(span);
        self.cursor = Some(start);
        self.jumped_at = now;
        Some((start, span))
    }

    /// Whether the ring went on without this viewer, or it was behind for too long.
    fn has_lost_touch(&self, ring: &Ring, now: Instant) -> bool {
        let late = self.behind_since.is_some_and(|since| now.saturating_duration_since(since) > PATIENCE);
        late || self.cursor.is_some_and(|cursor| cursor < ring.tail())
    }

    /// Goes on from the newest keyframe, sound from what is live, under numbers that go on.
    fn jump(&mut self, ring: &Ring, now: Instant) -> bool {
        let (Some(cursor), Some(span)) = (self.cursor, self.spans.back().copied()) else { return false };
        let target = match self.kind {
            MediaKind::Video => ring.newest_keyframe(),
            MediaKind::Audio => Some(ring.head()),
        };
        let Some(target) = target else { return false };
        let mut timestamp_shift = span.timestamp_shift;
        if target < cursor
            && let Some(keyframe) = ring.packet(target)
        {
            // Time goes on, although what is shown was shown before.
            let passed = ticks(now.saturating_duration_since(self.last_at)).max(1);
            timestamp_shift = self.last_timestamp.wrapping_add(passed).wrapping_sub(keyframe.timestamp);
        }
        let index = span.index + (cursor - span.sequence);
        self.spans.push_back(Span { index, sequence: target, timestamp_shift });
        if self.spans.len() > SPANS {
            self.spans.pop_front();
        }
        self.sent.timestamp_shift.store(timestamp_shift, Ordering::Relaxed);
        (self.cursor, self.jumped_at, self.behind_since) = (Some(target), now, None);
        true
    }

    /// Sends on; whether something is left.
    fn send(&mut self, ring: &Ring, path: &Path, protector: &Protector, way: &mut Way<'_>) -> bool {
        let Some((start, span)) = self.position(ring, way.now) else { return false };
        if start >= ring.head() {
            self.behind_since = None;
            return false;
        }
        // What cannot leave is not worth its encryption.
        let mut allowed = if path.takes() { self.allowance(ring, way.now) } else { 0 };
        let mut cursor = start;
        let mut pending = Pending::default();
        let mut blocked = false;
        for packet in ring.packets_from(start) {
            if allowed == 0 {
                break;
            }
            let size = self.header + packet.payload.len() + protector.tag_len();
            if !way.run.takes(size, way.port.segments()) {
                if !flush(way, path) {
                    blocked = true;
                    break;
                }
                self.note_sent(std::mem::take(&mut pending), cursor);
            }
            let timestamp = packet.timestamp.wrapping_add(span.timestamp_shift);
            let index = span.index + (packet.sequence - span.sequence);
            let header = self.header_of(packet.marker, index, timestamp);
            way.run.append(size, |out| {
                protector.protect(&header[..self.header], packet.payload, self.ssrc, index, out);
            });
            pending.note(&packet, timestamp);
            allowed = allowed.saturating_sub(size as u64);
            cursor = packet.sequence + 1;
        }
        if !blocked && flush(way, path) {
            self.note_sent(pending, cursor);
            self.credit = allowed;
        }
        way.run.clear();
        let left = self.cursor.is_some_and(|cursor| cursor < ring.head());
        self.behind_since = if left { self.behind_since.or(Some(way.now)) } else { None };
        self.last_at = way.now;
        left
    }

    /// The packets up to `cursor` have left.
    fn note_sent(&mut self, pending: Pending, cursor: u64) {
        self.cursor = Some(cursor);
        if pending.packets > 0 {
            self.last_timestamp = pending.timestamp;
            self.sent.packets.fetch_add(pending.packets.into(), Ordering::Relaxed);
            self.sent.octets.fetch_add(pending.octets.into(), Ordering::Relaxed);
        }
    }

    /// Octets that may leave now.
    fn allowance(&mut self, ring: &Ring, now: Instant) -> u64 {
        let stream = ring.rate();
        let rate = LEAST_RATE.max(stream * TIMES_STREAM);
        let burst = LEAST_BURST.max(stream / BURST_PART);
        let passed = now.saturating_duration_since(self.credit_at).as_micros() as u64;
        self.credit_at = now;
        self.credit = (self.credit + passed.min(1_000_000) * rate / 1_000_000).min(burst);
        self.credit
    }

    fn header_of(&self, marker: bool, index: u64, timestamp: u32) -> [u8; 12 + MAX_EXTENSION] {
        let mut header = self.template;
        header[1] |= u8::from(marker) << 7;
        header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header
    }

    /// The index and the span of a sequence number that was sent; the newest where several have it.
    fn find(&self, number: u16) -> Option<(u64, Span)> {
        let (cursor, newest) = (self.cursor?, self.spans.back()?);
        let next = newest.index + (cursor - newest.sequence);
        let mut index = (next & !0xffff) | u64::from(number);
        if index >= next {
            index = index.checked_sub(1 << 16)?;
        }
        let span = self.spans.iter().rev().find(|span| span.index <= index)?;
        Some((index, *span))
    }

    /// Appends a lost packet to the run; how many octets it has.
    fn resend(&mut self, number: u16, ring: &Ring, path: &Path, protector: &Protector, way: &mut Way<'_>) -> usize {
        let Some((index, span)) = self.find(number) else { return 0 };
        let Some(packet) = ring.packet(span.sequence + (index - span.index)) else { return 0 };
        let timestamp = packet.timestamp.wrapping_add(span.timestamp_shift);
        let mut header = self.header_of(packet.marker, index, timestamp);
        let (ssrc, index, payload) = match &mut self.retransmission {
            None => (self.ssrc, index, packet.payload),
            Some(resender) => {
                // The payload begins with the number of the lost packet (RFC 4588 section 4).
                resender.payload.clear();
                resender.payload.extend_from_slice(&number.to_be_bytes());
                resender.payload.extend_from_slice(packet.payload);
                let index = resender.next_index;
                resender.next_index += 1;
                header[1] = resender.payload_type | (header[1] & 0x80);
                header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
                header[8..12].copy_from_slice(&resender.ssrc.to_be_bytes());
                (resender.ssrc, index, resender.payload.as_slice())
            }
        };
        let size = self.header + payload.len() + protector.tag_len();
        if !way.run.takes(size, way.port.segments()) {
            flush(way, path);
        }
        way.run.append(size, |out| protector.protect(&header[..self.header], payload, ssrc, index, out));
        self.sent.resent.fetch_add(1, Ordering::Relaxed);
        size
    }
}

/// What is in the run and has not left yet.
#[derive(Clone, Copy, Default)]
struct Pending {
    packets: u32,
    octets: u32,
    timestamp: u32,
}

impl Pending {
    fn note(&mut self, packet: &Packet<'_>, timestamp: u32) {
        self.packets += 1;
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        self.timestamp = timestamp;
    }
}

/// Sends the run; `false` where the socket takes no more now.
fn flush(way: &mut Way<'_>, path: &Path) -> bool {
    match way.run.flush(way.port, path) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) => {
            tracing::trace!(%error, "send");
            true
        }
        Ok(()) => true,
    }
}

fn ticks(duration: Duration) -> u32 {
    (duration.as_millis() * 90) as u32
}

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

#[cfg(test)]
mod tests;
