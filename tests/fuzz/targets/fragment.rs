//! A PATCH of a stranger who knows the session's URL.
#![no_main]

mod session;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (Option<&str>, &str)| {
    let (if_match, fragment) = request;
    let now = Instant::now();
    session::with(now, |session| {
        // Refused or taken: both are well.
        let _ = session.handle_fragment(if_match, fragment, now);
    });
});
