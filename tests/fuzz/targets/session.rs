//! A session that targets talk to.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use dragonfork::rtp::Codec;
use dragonfork::whep::{Session, Settings, StreamMedia, Track, Watcher};

/// Where the viewer is.
pub const VIEWER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);
/// A session begins anew after it was used so often, so that what is found can be found again.
const USES: u32 = 200;

/// What every session here is answered with.
pub static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let address = SocketAddr::new(VIEWER.ip(), 8189);
    let provider = Arc::new(rtc::crypto::providers::AwsLcRsProvider::new());
    Settings { provider, canonical: vec![address], announced: vec![address], ice_lite: false, tcp: true }
});

/// A stream with picture and sound.
pub fn stream() -> StreamMedia {
    let track = |codec, ssrc| Track { codec, ssrc, retransmission_ssrc: ssrc + 2, profile: None };
    StreamMedia { tracks: vec![track(Codec::H264, 1), track(Codec::Opus, 2)] }
}

thread_local! {
    static SESSION: RefCell<Option<(u32, Session)>> = const { RefCell::new(None) };
}

/// Uses the session of this thread, and takes what it wants to send or tell.
#[allow(dead_code, reason = "not every target needs it")]
pub fn with(now: Instant, handle: impl FnOnce(&mut Session)) {
    SESSION.with_borrow_mut(|kept| {
        let (uses, session) = kept.get_or_insert_with(|| {
            let watcher = Watcher::new(VIEWER, now).expect("a peer");
            (0, Session::answer(&SETTINGS, &stream(), watcher.offer(), 1, now).expect("an answer").0)
        });
        handle(session);
        session.handle_timeout(now);
        while session.poll_transmit().is_some() {}
        while session.poll_event(now).is_some() {}
        *uses += 1;
        if *uses > USES {
            *kept = None;
        }
    });
}
