//! Datagrams of strangers to the gateway's port and to a session: STUN, DTLS, SRTP and anything else that begins like them (RFC 7983).
#![no_main]

mod session;

use std::time::Instant;

use dragonfork::whep::requested_ufrag;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    // Whom it is for, as the gateway asks first.
    let _ = requested_ufrag(datagram);
    let now = Instant::now();
    session::with(now, |session| session.handle_datagram(session::VIEWER, datagram, now));
});
