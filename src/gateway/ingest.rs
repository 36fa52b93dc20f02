//! One leg, from FFmpeg's datagrams to batches.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};

use super::legs::missing_buffer;
use crate::rtp::{Assembler, Batch, Codec, Continuity, IngestClock, PacketView};

/// Calls to the system before others have their turn.
const CALLS: usize = 16;
/// A batch goes to the viewers with its frame's last packet, or after this.
pub const HOLD: Duration = Duration::from_millis(1);
/// So many frames out of order are B-frames and no accident.
const REORDERED_FRAMES: u32 = 3;
/// Octets of one datagram at most; the system may hand over several of one sender as one.
const DATAGRAM: usize = 1 << 16;

/// Room for what one call takes.
pub struct Inbox(Vec<u8>);

impl Default for Inbox {
    fn default() -> Self {
        Self(vec![0; BATCH_SIZE * DATAGRAM])
    }
}

/// One leg.
pub struct Leg {
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    codec: Codec,
    continuity: Continuity,
    clock: IngestClock,
    assembler: Assembler,
    order: Order,
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

impl Leg {
    /// A leg over a bound socket.
    pub fn new(socket: UdpSocket, codec: Codec) -> io::Result<Self> {
        let missing = missing_buffer(&socket);
        if missing > 0 {
            tracing::warn!(
                missing_octets = missing,
                "the receive buffer of an egress leg is small, large keyframes may be torn; raise the sysctl \
                 net.core.rmem_max to 4194304 or more"
            );
        }
        Ok(Self {
            state: UdpSocketState::new((&socket).into())?,
            socket: mio::net::UdpSocket::from_std(socket),
            codec,
            continuity: Continuity::new(codec.clock_rate()),
            clock: IngestClock::new(codec.clock_rate()),
            assembler: Assembler::new(codec),
            order: Order::default(),
        })
    }

    /// Goes on with another codec, as if nothing had come yet.
    pub fn change(&mut self, codec: Codec) {
        self.codec = codec;
        self.continuity = Continuity::new(codec.clock_rate());
        self.clock = IngestClock::new(codec.clock_rate());
        self.assembler = Assembler::new(codec);
        self.order = Order::default();
    }

    /// The socket, for registration.
    pub fn source(&mut self) -> &mut mio::net::UdpSocket {
        &mut self.socket
    }

    /// Takes what waits in the socket. RTCP, other payload types, other machines and rubbish are left out.
    pub fn take(&mut self, inbox: &mut Inbox, now: Instant) -> Taken {
        let mut taken = Taken::default();
        for _ in 0..CALLS {
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut chunks = inbox.0.chunks_mut(DATAGRAM);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            let Ok(count) = self.state.recv((&self.socket).into(), &mut slices, &mut metas) else { return taken };
            for (slice, meta) in slices.iter().zip(&metas[..count]) {
                if !meta.addr.ip().to_canonical().is_loopback() {
                    continue;
                }
                for datagram in slice[..meta.len].chunks(meta.stride.max(1)) {
                    taken.reordered |= self.handle_datagram(datagram, now);
                }
            }
            // The next datagram wakes the thread again, so an empty socket need not be asked.
            if count < BATCH_SIZE {
                return taken;
            }
        }
        taken.more = true;
        taken
    }

    /// Takes a datagram in; `true` where it shows that frames come out of order.
    fn handle_datagram(&mut self, datagram: &[u8], now: Instant) -> bool {
        let packet = PacketView::parse(datagram).filter(|packet| packet.payload_type == self.codec.payload_type());
        let Some(packet) = packet else { return false };
        let placed = self.continuity.place(packet.ssrc, packet.sequence_number, packet.timestamp, now);
        let Some(placed) = placed else { return false };
        if placed.new_run {
            self.clock.reset();
            self.order = Order::default();
        }
        self.clock.observe(placed.timestamp, now);
        self.assembler.handle_packet(placed, &packet, now);
        self.codec.reorders() && self.order.note(placed.timestamp)
    }

    /// When what came is to go to the viewers.
    pub fn due(&self) -> Option<Instant> {
        let since = self.assembler.held_since()?;
        Some(if self.assembler.is_complete() { since } else { since + HOLD })
    }

    /// What came, where it is to go to the viewers now.
    pub fn poll_batch(&mut self, now: Instant) -> Option<Arc<Batch>> {
        self.due().filter(|due| *due <= now)?;
        self.assembler.take()
    }

    /// What came, and how its timestamps stand to the clock on the wall.
    pub fn assembler(&mut self) -> &mut Assembler {
        &mut self.assembler
    }

    /// The timestamp that a packet without delay has now.
    pub fn timestamp_at(&self, now: Instant) -> Option<u32> {
        self.clock.timestamp_at(now)
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
