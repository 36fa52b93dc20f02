//! One stream: its two legs, from FFmpeg's datagrams into the rings.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::legs::{Legs, missing_buffer};
use crate::plan::{AUDIO_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE};
use crate::rtp::{Codec, Continuity, IngestClock, Limits, MediaKind, PacketView, Ring};
use crate::whep::{StreamMedia, Track};

/// Datagrams taken from a leg before others have their turn.
const TAKE: usize = 512;
/// A leg that sent nothing for this long has no media.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// A batch is given to the viewers with its frame's last packet, or after this.
pub const HOLD: Duration = Duration::from_millis(1);
/// So many frames out of order are B-frames and no accident.
const REORDERED_FRAMES: u32 = 3;

/// A stream with its legs open.
pub struct Stream {
    /// The picture.
    pub video: Leg,
    /// The sound.
    pub audio: Leg,
    /// Cap of its own, from the manifest.
    pub max_viewers: Option<usize>,
    /// Legs that FFmpeg sends; unknown before it was started.
    pub expected: Option<(bool, bool)>,
    /// Sessions of its viewers.
    pub viewers: Vec<String>,
    /// A viewer is catching up.
    pub behind: bool,
    /// What was last told of it: picture and sound come.
    pub told: (bool, bool),
}

/// One leg of a stream.
pub struct Leg {
    /// Bound to loopback.
    pub socket: mio::net::UdpSocket,
    /// The last seconds.
    pub ring: Ring,
    /// Wall-clock time of the timestamps.
    pub clock: IngestClock,
    /// What it carries.
    pub codec: Codec,
    /// SSRC towards viewers.
    pub ssrc: u32,
    payload_type: u8,
    continuity: Continuity,
    order: Order,
    /// When the first packet came that viewers have not been given yet.
    pub held_since: Option<Instant>,
    /// A frame is complete, so viewers are given it at once.
    pub complete: bool,
}

/// Watches the order of a leg's frames.
#[derive(Default)]
struct Order {
    newest: Option<u32>,
    behind: u32,
    told: bool,
}

/// What came of reading a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Frames come out of order; told once a run.
    pub reordered: bool,
    /// More may wait in the socket.
    pub more: bool,
}

impl Stream {
    /// A stream over bound legs.
    pub fn new(legs: Legs, max_viewers: Option<usize>, ssrc: [u32; 2]) -> Self {
        for socket in [&legs.video, &legs.audio] {
            let missing = missing_buffer(socket);
            if missing > 0 {
                tracing::warn!(
                    missing_octets = missing,
                    "the receive buffer of an egress leg is small, large keyframes may be torn; raise the sysctl \
                     net.core.rmem_max to 4194304 or more"
                );
            }
        }
        Self {
            video: Leg::new(legs.video, Codec::H264, VIDEO_PAYLOAD_TYPE, ssrc[0]),
            audio: Leg::new(legs.audio, Codec::Opus, AUDIO_PAYLOAD_TYPE, ssrc[1]),
            max_viewers,
            expected: None,
            viewers: Vec::new(),
            behind: false,
            told: (false, false),
        }
    }

    /// The leg of a kind.
    pub fn leg(&self, kind: MediaKind) -> &Leg {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        }
    }

    /// The leg of a kind.
    pub fn leg_mut(&mut self, kind: MediaKind) -> &mut Leg {
        match kind {
            MediaKind::Video => &mut self.video,
            MediaKind::Audio => &mut self.audio,
        }
    }

    /// Picture and sound come at this moment.
    pub fn live(&self, now: Instant) -> (bool, bool) {
        (self.video.is_live(now), self.audio.is_live(now))
    }

    /// What viewers are offered; `None` as long as an expected leg has not sent anything.
    pub fn media(&self, now: Instant) -> Option<StreamMedia> {
        let (video, audio) = self.expected?;
        let mut media = StreamMedia::default();
        for (leg, expected) in [(&self.video, video), (&self.audio, audio)] {
            if expected && !leg.is_live(now) {
                return None;
            }
            if expected {
                media.tracks.push(Track { codec: leg.codec, ssrc: leg.ssrc, profile: leg.ring.profile() });
            }
        }
        (!media.tracks.is_empty()).then_some(media)
    }
}

impl Leg {
    fn new(socket: UdpSocket, codec: Codec, payload_type: u8, ssrc: u32) -> Self {
        Self {
            socket: mio::net::UdpSocket::from_std(socket),
            ring: Ring::new(codec, Limits::default()),
            clock: IngestClock::new(codec.clock_rate()),
            codec,
            ssrc,
            payload_type,
            continuity: Continuity::new(codec.clock_rate()),
            order: Order::default(),
            held_since: None,
            complete: false,
        }
    }

    fn is_live(&self, now: Instant) -> bool {
        self.ring.newest_at().is_some_and(|at| now.saturating_duration_since(at) < SILENT_AFTER)
    }

    /// Reads what waits in the socket into the ring. RTCP, other payload types and rubbish are left out.
    pub fn take(&mut self, buffer: &mut [u8], now: Instant) -> Taken {
        let mut taken = Taken::default();
        for _ in 0..TAKE {
            let Ok((size, from)) = self.socket.recv_from(buffer) else { return taken };
            if !from.ip().is_loopback() {
                continue;
            }
            let Some(packet) = PacketView::parse(&buffer[..size]).filter(|p| p.payload_type == self.payload_type)
            else {
                continue;
            };
            taken.reordered |= self.handle_packet(&packet, now);
        }
        taken.more = true;
        taken
    }

    /// Puts a packet into the ring; `true` where it shows that frames come out of order.
    fn handle_packet(&mut self, packet: &PacketView<'_>, now: Instant) -> bool {
        let placed = self.continuity.place(packet.ssrc, packet.sequence_number, packet.timestamp, now);
        let Some(placed) = placed else { return false };
        if placed.new_run {
            self.ring.begin_run();
            self.clock.reset();
            self.order = Order::default();
        }
        self.clock.observe(placed.timestamp, now);
        self.ring.push(placed, packet, now);
        self.held_since.get_or_insert(now);
        self.complete |= packet.marker;
        self.codec.kind() == MediaKind::Video && self.order.note(placed.timestamp)
    }

    /// Whether viewers are to be given what came.
    pub fn is_due(&self, now: Instant) -> bool {
        self.held_since.is_some_and(|since| self.complete || now.saturating_duration_since(since) >= HOLD)
    }

    /// Viewers were given what came.
    pub fn given(&mut self) {
        self.held_since = None;
        self.complete = false;
    }
}

impl Order {
    /// Takes the timestamp of a packet; `true` once, when enough frames came after one that is shown later.
    fn note(&mut self, timestamp: u32) -> bool {
        let newest = *self.newest.get_or_insert(timestamp);
        let step = timestamp.wrapping_sub(newest) as i32;
        if step > 0 {
            self.newest = Some(timestamp);
        } else if (-180_000..0).contains(&step) {
            self.behind += 1;
        }
        let tell = self.behind >= REORDERED_FRAMES && !self.told;
        self.told |= tell;
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_order_are_no_b_frames() {
        let mut order = Order::default();
        assert!((0..200_u32).all(|frame| !order.note(frame * 3000)));
    }

    #[test]
    fn frames_out_of_order_are_told_once() {
        let mut order = Order::default();
        let told = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8].into_iter().filter(|frame| order.note(frame * 3000)).count();
        assert_eq!(told, 1);
    }
}
