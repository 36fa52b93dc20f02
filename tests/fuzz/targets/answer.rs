//! A stranger's answer to a counter-offer: whatever it is, it is taken or refused.
#![no_main]

mod session;

use std::time::Instant;

use dragonfork::whep::Session;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|answer: &str| {
    let now = Instant::now();
    let offered = Session::offer(&session::SETTINGS, &session::stream(), "nothing is in common", 1, now);
    let (mut session, _) = offered.expect("a stream can be offered");
    let taken = session.handle_answer(None, answer, now).is_ok();
    assert_eq!(taken, !session.accepted().is_empty());
    session.handle_timeout(now);
    while session.poll_transmit().is_some() {}
    while session.poll_event(now).is_some() {}
});
