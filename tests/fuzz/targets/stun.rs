//! Datagrams of strangers to a session: STUN, DTLS, SRTP and anything else that begins like them (RFC 7983).
#![no_main]

mod session;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let now = Instant::now();
    session::with(now, |session| session.handle_datagram(session::VIEWER, datagram, now));
});
