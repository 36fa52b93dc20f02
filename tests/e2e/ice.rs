//! ICE as a real browser does it: a restart under a picture that goes on.

use std::time::Duration;

use serde::Deserialize;

use crate::browser::Browser;
use crate::manifest::manifest;
use crate::media;
use crate::program::Program;
use crate::proof::until_playable;
use crate::turn;

/// How long a viewer may see no new frame.
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// How often a viewer is watched anew where the machine was busy with something else.
const ATTEMPTS: u32 = 3;

/// A player that can restart ICE by PATCH (RFC 9725 section 4.3.3), and watches when frames come.
const PLAYER: &str = include_str!("ice.js");

/// What the player saw of a restart.
#[derive(Debug, Deserialize)]
struct Restarted {
    status: u16,
    media: String,
    etags: [String; 2],
    /// The user fragment that the gateway's checks had before, and has now.
    ufrags: [String; 2],
    /// The user fragments of the browser's two ICE sessions.
    own: [String; 2],
    /// Milliseconds until the new ICE session had a path.
    took: f64,
    /// The longest time between two frames from a second before the restart to three seconds after it, in milliseconds.
    gap: f64,
    frames: u32,
    /// State of DTLS, and how often it has changed since the first handshake.
    dtls: String,
    handshakes: u32,
}

#[tokio::test]
async fn an_ice_restart_of_chromium_goes_by_without_a_gap_in_the_picture() {
    prove_restart(&[]).await;
}

#[tokio::test]
async fn an_ice_restart_with_an_ice_lite_gateway_goes_by_without_a_gap_in_the_picture() {
    prove_restart(&[("CORE_WEBRTC_ICE_LITE", "true")]).await;
}

async fn prove_restart(environment: &[(&str, &str)]) {
    let _turn = turn::alone().await;
    let program = Program::start_with(&[], environment).await;
    program.apply(&manifest("film").input("-re -stream_loop -1", media::long_film().display().to_string()));
    until_playable(&program, "film").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/ping", program.origin())).await;
    browser.run(PLAYER, vec![program.whep("film").into(), program.token().into()]).await;
    browser.until("the first frames", |stats| stats.video.frames_decoded > 30).await;
    let mut longest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        turn::calm().await;
        let seen = browser.run("return restart(...arguments)", vec![]).await;
        let seen: Restarted = serde_json::from_value(seen.clone()).unwrap_or_else(|error| panic!("{error}: {seen:#}"));
        eprintln!("{seen:?}");
        assert_eq!((seen.status, seen.media.as_str()), (200, "application/trickle-ice-sdpfrag"));
        assert_ne!(seen.etags[0], seen.etags[1]);
        assert_ne!(seen.ufrags[0], seen.ufrags[1]);
        assert_ne!(seen.own[0], seen.own[1]);
        assert!(seen.took < 5_000.0 && seen.frames > 60, "{seen:?}");
        assert_eq!((seen.dtls.as_str(), seen.handshakes), ("connected", 0), "DTLS goes on");
        longest = longest.min(Duration::from_secs_f64(seen.gap / 1_000.0));
        if longest < LONGEST_GAP {
            break;
        }
    }
    assert!(longest < LONGEST_GAP, "no new frame for {longest:?}");
    assert_eq!(program.process("film").await["status"]["webrtc"]["viewers"], 1, "it is the same session");
}
