//! An SDP offer of a stranger: whatever it is, it is answered or refused.
#![no_main]

mod session;

use std::time::Instant;

use dragonfork::whep::Session;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|offer: &str| {
    if let Ok((session, answer)) = Session::answer(&session::SETTINGS, &session::stream(), offer, 1, Instant::now()) {
        assert!(!session.accepted().is_empty() && answer.starts_with("v=0\r\n"));
    }
});
