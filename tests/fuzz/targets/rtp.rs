//! Datagrams to an egress leg: what FFmpeg sends, and what anybody on this machine could send there.
#![no_main]

use std::time::{Duration, Instant};

use dragonfork::rtp::{Assembler, Codec, Continuity, IngestClock, Limits, PacketView, Ring, is_rtcp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (choice, datagrams) = input;
    let codec = Codec::ALL[usize::from(choice) % Codec::ALL.len()];
    let mut now = Instant::now();
    let mut ring = Ring::new(Limits { age: Duration::from_secs(1), octets: 1 << 16 });
    let mut assembler = Assembler::new(codec);
    let mut continuity = Continuity::new(codec.clock_rate());
    let mut clock = IngestClock::new(codec.clock_rate());
    for datagram in &datagrams {
        now += Duration::from_millis(7);
        let _ = is_rtcp(datagram);
        let Some(packet) = PacketView::parse(datagram) else { continue };
        let placed = continuity.place(packet.ssrc, packet.sequence_number, packet.timestamp, now);
        let Some(placed) = placed else { continue };
        clock.observe(placed.timestamp, now);
        assembler.handle_packet(placed, &packet, now);
        if let Some(batch) = assembler.take() {
            ring.push(batch, now, drop);
        }
        if let Some(keyframe) = ring.newest_keyframe() {
            assert!(ring.packet(keyframe).is_some(), "a keyframe that nobody can begin with");
        }
        assert!(ring.tail() <= ring.head());
    }
});
