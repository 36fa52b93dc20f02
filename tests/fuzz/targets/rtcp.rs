//! RTCP of a viewer, once it was opened.
#![no_main]

use dragonfork::whep::{Event, read_feedback};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packets: &[u8]| {
    let mut packets = packets;
    let Ok(packets) = rtc::rtcp::packet::unmarshal(&mut packets) else { return };
    for packet in packets {
        if let Some(Event::Lost { sequence_numbers, .. }) = read_feedback(packet.as_ref()) {
            assert!(sequence_numbers.len() <= 17 << 14, "more packets than one datagram can name");
        }
    }
});
