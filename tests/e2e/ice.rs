//! ICE as a real browser does it: a restart under a picture that goes on.

use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::browser::Browser;
use crate::child::{Child, PATIENCE, free_port, is_bound, until};
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

/// coturn, with a secret that it shares with the program under test. Relaying to this machine alone is all it is for.
struct TurnServer {
    port: u16,
    server: Child,
    _directory: TempDir,
}

impl TurnServer {
    async fn start(secret: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("dragonfork-turn-").tempdir().expect("a directory can be made");
        let port = free_port();
        let configuration = format!(
            "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\nallow-loopback-peers\n\
             use-auth-secret\nstatic-auth-secret={secret}\nrealm=tests\nno-tls\nno-dtls\nno-cli\nverbose\n\
             log-file=stdout\nsimple-log\npidfile={here}/pid\nuserdb={here}/db\n",
            here = directory.path().display()
        );
        let file = directory.path().join("turnserver.conf");
        std::fs::write(&file, configuration).expect("it can be written");
        let server = Child::start("turnserver", Command::new("turnserver").arg("-c").arg(&file), directory.path());
        until("coturn listens", || is_bound(port)).await;
        Self { port, server, _directory: directory }
    }

    /// Waits for a line of its log.
    async fn until_said(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.server.log().contains(words) {
            assert!(Instant::now() < deadline, "coturn does not say {words:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A player that lets its media through relays alone, which it learns from the answer. What the answer says of them is
/// what it gives back.
const RELAYED: &str = r#"
    return (async (url, token) => {
    const peer = new RTCPeerConnection({bundlePolicy: 'max-bundle', iceTransportPolicy: 'relay'});
    for (const kind of ['video', 'audio']) peer.addTransceiver(kind, {direction: 'recvonly'});
    const video = document.createElement('video');
    Object.assign(video, {muted: true, autoplay: true});
    document.body.append(video);
    peer.ontrack = event => { video.srcObject = event.streams[0]; };
    const offer = await peer.createOffer();
    const headers = {'content-type': 'application/sdp', authorization: `Bearer ${token}`};
    const answer = await fetch(url, {method: 'POST', headers, body: offer.sdp});
    const link = answer.headers.get('link');
    const [, urls, username, credential] = /<(turn:.*)>; rel="ice-server"; username="(.*)"; credential="(.*?)"/.exec(link);
    peer.setConfiguration({bundlePolicy: 'max-bundle', iceTransportPolicy: 'relay', iceServers: [{urls, username, credential}]});
    await peer.setLocalDescription(offer);
    await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()});
    window.dragonfork = {peer};
    return link;
    })(...arguments);
"#;

/// The kind of the candidate that Chromium uses.
const KIND: &str = r#"
    return (async () => {
    const report = await window.dragonfork.peer.getStats();
    const transport = [...report.values()].find(entry => entry.type === 'transport');
    const pair = report.get(transport.selectedCandidatePairId);
    return report.get(pair.localCandidateId).candidateType;
    })();
"#;

#[tokio::test]
async fn a_viewer_plays_through_a_turn_server_with_credentials_of_the_shared_secret() {
    let _turn = turn::shared().await;
    let turn_server = TurnServer::start("north-wind-of-the-tests").await;
    let server = format!("turn:127.0.0.1:{}?transport=udp", turn_server.port);
    let environment =
        [("CORE_WEBRTC_ICE_SERVERS", server.as_str()), ("CORE_WEBRTC_TURN_SECRET", "north-wind-of-the-tests")];
    let program = Program::start_with(&[], &environment).await;
    program.apply(&manifest("film").input("-re -stream_loop -1", media::long_film().display().to_string()));
    until_playable(&program, "film").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/ping", program.origin())).await;
    let link = browser.run(RELAYED, vec![program.whep("film").into(), program.token().into()]).await;
    let link = link.as_str().expect("there is a link");
    let username = link.split("username=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("it has a name");
    browser.until("frames through the relay", |stats| stats.video.frames_decoded > 60).await;
    assert_eq!(browser.run(KIND, vec![]).await, "relay");
    turn_server.until_said(&format!("user <{username}>")).await;
    let log = program.child.log();
    assert!(!log.contains("north-wind") && !log.contains("credential"), "{log}");
}
