//! Datagrams of strangers to the gateway's port and to a session, by UDP and in frames by TCP: STUN, DTLS, SRTP and
//! anything else that begins like them (RFC 7983).
#![no_main]

mod session;

use std::time::Instant;

use dragonfork::whep::{Deframer, alias, requested_ufrag};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    // Whom it is for, as the gateway asks first.
    let _ = requested_ufrag(datagram);
    let now = Instant::now();
    session::with(now, |session| session.handle_datagram(session::VIEWER, datagram, now));
    // The same octets as a connection brings them.
    let from = alias(1, &session::VIEWER);
    session::with(now, |session| {
        let _ = Deframer::default().handle_octets(datagram, |frame| session.handle_datagram(from, frame, now));
    });
});
