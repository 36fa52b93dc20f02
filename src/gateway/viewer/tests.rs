use std::net::{SocketAddr, UdpSocket};

use super::*;
use crate::rtp::{Batch, Codec, Limits};
use crate::srtp::Profile;
use crate::whep::{Session, Settings, StreamMedia, Track as OfferedTrack, Watcher};

const SSRC: u32 = 11;
const RESENT: u32 = 12;

/// One viewer at a real socket, and the ring of its picture.
struct Desk {
    port: Arc<Port>,
    socket: UdpSocket,
    viewer: Viewer,
    rings: Rings,
    sent: Arc<Sent>,
    run: Run,
    now: Instant,
}

/// What came at the viewer's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Datagram {
    ssrc: u32,
    number: u16,
    timestamp: u32,
    octets: Vec<u8>,
}

fn accepted(retransmission: bool, now: Instant) -> Accepted {
    let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let settings = Settings {
        provider: Arc::new(rtc::crypto::providers::AwsLcRsProvider::new()),
        canonical: vec![address],
        announced: vec![address],
        ice_lite: false,
        tcp: false,
    };
    let track = OfferedTrack { codec: Codec::H264, ssrc: SSRC, retransmission_ssrc: RESENT, profile: None };
    let mut offer = Watcher::new(address, now).unwrap().offer().to_owned();
    if !retransmission {
        offer = offer.replace("rtx/90000", "none/90000");
    }
    let (session, _) = Session::answer(&settings, &StreamMedia { tracks: vec![track] }, &offer, 1, now).unwrap();
    session.accepted()[0].clone()
}

impl Desk {
    fn new(retransmission: bool) -> Self {
        let now = Instant::now();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let (port, _) = Port::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let sent = Arc::new(Sent::default());
        let protector = Protector::new(Profile::Gcm128, &[7; 16], &[9; 14]).unwrap();
        let path = Path::Udp(socket.local_addr().unwrap(), None);
        let viewer = Viewer::new(1, path, protector, &[(accepted(retransmission, now), sent.clone())], || 0x7ff0, now);
        let rings = Rings::new(Limits { age: Duration::from_secs(8), octets: 1 << 20 });
        Self { port, socket, viewer, rings, sent, run: Run::default(), now }
    }

    /// A frame of so many packets comes in.
    fn frame(&mut self, packets: u64, keyframe: bool) {
        let mut batch = Batch::renew(None, self.now);
        let start = self.rings.of(MediaKind::Video).head();
        let changing = Arc::get_mut(&mut batch).unwrap();
        for sequence in start..start + packets {
            let payload = [sequence.to_be_bytes().as_slice(), &[5; 992]].concat();
            let marker = sequence + 1 == start + packets;
            changing.push(Packet { sequence, timestamp: start as u32 * 100, marker, payload: &payload });
        }
        if keyframe {
            changing.note_keyframe(start);
        }
        self.rings.of_mut(MediaKind::Video).push(batch, self.now, drop);
    }

    fn send(&mut self) -> Option<JumpReason> {
        let mut way = Way { port: &self.port, run: &mut self.run, now: self.now };
        self.viewer.send(&self.rings, &mut way)
    }

    fn resend(&mut self, lost: &[u16]) {
        let mut way = Way { port: &self.port, run: &mut self.run, now: self.now };
        self.viewer.resend(SSRC, lost, &self.rings, &mut way);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn received(&self) -> Vec<Datagram> {
        let mut buffer = [0; 2048];
        std::iter::from_fn(|| {
            let size = self.socket.recv(&mut buffer).ok()?;
            let word = |at: usize| u32::from_be_bytes(buffer[at..at + 4].try_into().unwrap());
            let number = u16::from_be_bytes([buffer[2], buffer[3]]);
            Some(Datagram { ssrc: word(8), number, timestamp: word(4), octets: buffer[..size].to_vec() })
        })
        .collect()
    }
}

/// What another implementation opens of a datagram, header left out.
fn opener() -> impl FnMut(&Datagram) -> Vec<u8> {
    let provider = rtc::crypto::providers::AwsLcRsProvider::new();
    let profile = rtc::srtp::protection_profile::ProtectionProfile::AeadAes128Gcm;
    let crypto = rtc::crypto::RTCCryptoProvider::crypto(&provider);
    let mut context = rtc::srtp::context::Context::new(&[7; 16], &[9; 12], profile, None, None, crypto).unwrap();
    move |datagram| {
        let opened = context.decrypt_rtp(&datagram.octets).unwrap();
        crate::rtp::PacketView::parse(&opened).unwrap().payload.to_vec()
    }
}

fn sequence(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}

#[test]
fn a_viewer_begins_at_the_newest_keyframe_and_large_frames_leave_over_time() {
    let mut desk = Desk::new(false);
    desk.frame(3, true);
    desk.frame(100, true);
    desk.send();
    let first = desk.received();
    assert!((10..40).contains(&first.len()), "a burst of {}", first.len());
    assert!(desk.viewer.behind);
    let mut all = first;
    for _ in 0..40 {
        desk.pass(2);
        desk.send();
        all.extend(desk.received());
    }
    assert!(!desk.viewer.behind);
    let mut open = opener();
    let sequences: Vec<u64> = all.iter().map(|datagram| sequence(&open(datagram))).collect();
    assert_eq!(sequences, (3..103).collect::<Vec<_>>());
    assert_eq!(desk.sent.packets.load(Ordering::Relaxed), 100);
}

#[test]
fn numbers_and_time_go_on_where_a_viewer_goes_back_to_a_keyframe() {
    let mut desk = Desk::new(false);
    desk.frame(3, true);
    desk.frame(3, false);
    desk.send();
    let before = desk.received();
    assert!(!desk.viewer.jump(&desk.rings, desk.now), "it began a moment ago");
    desk.pass(1500);
    assert!(desk.viewer.jump(&desk.rings, desk.now) && desk.viewer.behind);
    desk.send();
    desk.frame(2, false);
    desk.send();
    let after = desk.received();
    let all: Vec<_> = before.iter().chain(&after).collect();
    assert!(all.windows(2).all(|pair| pair[1].number == pair[0].number.wrapping_add(1)), "no gap");
    assert!(all.windows(2).all(|pair| pair[1].timestamp >= pair[0].timestamp), "time never goes back");
    let mut open = opener();
    let sequences: Vec<u64> = all.into_iter().map(|datagram| sequence(&open(datagram))).collect();
    assert_eq!(sequences, [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7]);
    let shift = desk.sent.timestamp_shift.load(Ordering::Relaxed);
    assert_eq!(after.last().map(|datagram| datagram.timestamp), Some(600_u32.wrapping_add(shift)), "reports know it");
}

#[test]
fn a_viewer_is_not_shown_old_pictures_again_when_none_come_any_more() {
    let mut desk = Desk::new(false);
    desk.frame(3, true);
    desk.send();
    desk.pass(2500);
    assert!(!desk.viewer.jump(&desk.rings, desk.now));
    desk.frame(1, false);
    assert!(desk.viewer.jump(&desk.rings, desk.now), "there is something new to be seen");
}

#[test]
fn a_viewer_whose_packets_are_gone_goes_on_from_the_newest_keyframe() {
    let mut desk = Desk::new(false);
    desk.frame(3, true);
    desk.send();
    for _ in 0..100 {
        desk.frame(20, true);
    }
    desk.received();
    assert_eq!(desk.send(), Some(JumpReason::Behind));
    let mut open = opener();
    assert_eq!(sequence(&open(&desk.received()[0])), 3 + 99 * 20);
}

#[test]
fn a_lost_packet_is_resent_octet_for_octet_and_not_twice_at_once() {
    let mut desk = Desk::new(false);
    desk.frame(5, true);
    desk.send();
    let sent = desk.received();
    let lost = sent[2].number;
    desk.resend(&[lost, lost]);
    assert_eq!(desk.received(), [sent[2].clone()]);
    desk.resend(&[lost]);
    assert!(desk.received().is_empty(), "the first resend is on its way");
    desk.pass(10);
    desk.send();
    assert_eq!(desk.received(), [sent[2].clone()], "once more, in case that the first resend is lost too");
    desk.pass(30);
    desk.send();
    assert!(desk.received().is_empty());
    desk.resend(&[lost, sent[4].number.wrapping_add(1), sent[0].number.wrapping_sub(1)]);
    assert_eq!(desk.received(), [sent[2].clone()], "nothing is resent that was never sent");
}

#[test]
fn a_lost_packet_is_resent_on_a_stream_of_its_own_where_one_was_offered() {
    let mut desk = Desk::new(true);
    desk.frame(5, true);
    desk.send();
    let sent = desk.received();
    desk.resend(&[sent[1].number, sent[3].number]);
    let resent = desk.received();
    assert_eq!(resent.iter().map(|datagram| datagram.ssrc).collect::<Vec<_>>(), [RESENT, RESENT]);
    assert_eq!(resent[1].number, resent[0].number.wrapping_add(1));
    assert_ne!(resent[0].octets[1] & 0x7f, sent[0].octets[1] & 0x7f, "its payload type is its own");
    let mut open = opener();
    let payload = open(&resent[0]);
    assert_eq!((&payload[..2], sequence(&payload[2..])), (&sent[1].number.to_be_bytes()[..], 1));
}

#[test]
fn one_number_never_protects_two_packets_over_rollovers_resends_and_jumps() {
    for retransmission in [false, true] {
        let mut desk = Desk::new(retransmission);
        let mut seen = std::collections::HashMap::new();
        let mut newest: std::collections::HashMap<u32, u64> = std::collections::HashMap::new();
        for step in 0..9_000_u64 {
            desk.frame(10, step % 50 == 0);
            desk.pass(33);
            if step % 70 == 69 {
                desk.viewer.jump(&desk.rings, desk.now);
            }
            desk.send();
            let received = desk.received();
            if let Some(last) = received.last().filter(|_| step % 7 == 0) {
                desk.resend(&[last.number, last.number.wrapping_sub(3), last.number.wrapping_sub(700)]);
            }
            for datagram in received.into_iter().chain(desk.received()) {
                // The index nearest to the newest one of this SSRC (RFC 3711 section 3.3.1).
                let newest = newest.entry(datagram.ssrc).or_insert(u64::from(datagram.number));
                let step = i64::from(datagram.number.wrapping_sub(*newest as u16) as i16);
                let index = newest.checked_add_signed(step).unwrap();
                *newest = (*newest).max(index);
                let before = seen.entry((datagram.ssrc, index)).or_insert_with(|| datagram.octets.clone());
                assert_eq!(*before, datagram.octets, "{} {index}", datagram.ssrc);
            }
            seen.retain(|(ssrc, index), _| newest[ssrc] - *index < 5_000);
        }
        assert!(newest[&SSRC] > 2 * 65_536, "the number rolled over twice: {}", newest[&SSRC]);
    }
}
