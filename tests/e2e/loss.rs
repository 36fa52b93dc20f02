//! What a viewer sees over a network that loses and delays.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::browser::{Browser, Stats, Video};
use crate::child::PATIENCE;
use crate::lossy::{LossyNetwork, RELAY};
use crate::manifest::manifest;
use crate::media::{self, Codec};
use crate::program::Program;
use crate::turn;

/// How long freezes are counted, with retransmission and without.
const WATCHED: Duration = Duration::from_secs(60);
const WATCHED_WITHOUT: Duration = Duration::from_secs(20);
/// Viewers that are tried at most.
const VIEWERS: usize = 3;

/// The newest round trip of the picture that the browser has measured, in seconds.
const ROUND_TRIP: &str = "return window.dragonfork.peer.getStats().then(stats => [...stats.values()]
    .find(entry => entry.type === 'remote-outbound-rtp' && entry.kind === 'video')?.roundTripTime ?? null)";

/// A player without the page's own; `withNack` says whether it may ask for lost packets.
const PLAYER: &str = r#"
    return (async (url, token, withNack) => {
    const peer = new RTCPeerConnection();
    peer.addTransceiver('video', {direction: 'recvonly'});
    peer.addTransceiver('audio', {direction: 'recvonly'});
    const video = document.createElement('video');
    Object.assign(video, {muted: true, autoplay: true});
    document.body.append(video);
    peer.ontrack = event => { video.srcObject = event.streams[0]; };
    await peer.setLocalDescription();
    const headers = {'content-type': 'application/sdp', authorization: `Bearer ${token}`};
    const answer = await fetch(url, {method: 'POST', headers, body: peer.localDescription.sdp});
    const lost = line => /^a=rtcp-fb:\d+ nack$/.test(line) || /^a=(rtpmap:\d+ rtx|fmtp:\d+ apt=|ssrc-group:)/.test(line);
    const lines = (await answer.text()).split('\r\n').filter(line => withNack || !lost(line));
    await peer.setRemoteDescription({type: 'answer', sdp: lines.join('\r\n')});
    window.dragonfork = {peer};
    })(...arguments);
"#;

struct Watching {
    program: Program,
    network: LossyNetwork,
    browser: Browser,
}

impl Watching {
    async fn start(with_nack: bool) -> Self {
        let network = LossyNetwork::start();
        let gateway = network.gateway();
        let environment = [("CORE_WEBRTC_ADDRESS", gateway.as_str()), ("CORE_WEBRTC_ANNOUNCE", RELAY)];
        let program = Program::start_with(&[], &environment).await;
        let film = media::film(Codec::Baseline, 2, true).display().to_string();
        program.apply(&manifest("film").input("-re -stream_loop -1", film).with(
            "webrtc",
            // A copy of a film that repeats would not go on in time; what is watched is the way, not the source.
            json!({"enabled": true, "video": {"codec": "H264"}}),
        ));
        program.until_state("film", "Running").await;
        let browser = Browser::start().await;
        browser.open(&format!("{}/ping", program.origin())).await;
        crate::proof::until_playable(&program, "film").await;
        browser.run(PLAYER, vec![program.whep("film").into(), program.token().into(), with_nack.into()]).await;
        browser.until("the first frames", |stats| stats.video.frames_decoded > 30).await;
        Self { program, network, browser }
    }

    /// What the browser says after a while.
    async fn after(&self, time: Duration) -> Stats {
        tokio::time::sleep(time).await;
        self.browser.stats().await
    }
}

/// How often a viewer's picture stood still, and for how long.
fn freezes(seen: &Video, watched: Duration) -> String {
    format!("{} freezes ({:.1} s) in {} s", seen.freeze_count, seen.total_freezes_duration, watched.as_secs())
}

#[tokio::test]
async fn retransmission_spares_a_viewer_every_freeze() {
    let _turn = turn::alone().await;
    let without = Watching::start(false).await.after(WATCHED_WITHOUT).await.video;
    let without = (freezes(&without, WATCHED_WITHOUT), without.total_freezes_duration);
    assert!(without.1 > 2.0, "the network does not hurt enough to prove anything: {}", without.0);
    let mut seen = Video::default();
    // What a busy machine does to a browser is no fault of the program: another viewer has another chance.
    for _ in 0..VIEWERS {
        turn::calm().await;
        let watching = Watching::start(true).await;
        seen = watching.after(WATCHED).await.video;
        let lost = watching.network.lost();
        println!(
            "2 % loss, up to 30 ms jitter: {} with {lost} packets lost; without retransmission {}",
            freezes(&seen, WATCHED),
            without.0
        );
        assert!(lost > 60, "nothing was lost");
        if seen.freeze_count == 0 {
            return;
        }
    }
    panic!("each of {VIEWERS} viewers saw a freeze: {seen:#?}");
}

#[tokio::test]
async fn chromium_measures_the_round_trip_by_the_reports_that_it_gets() {
    let _turn = turn::shared().await;
    let watching = Watching::start(true).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = watching.browser.run(ROUND_TRIP, Vec::new()).await;
        match seen.as_f64() {
            // Up to 30 ms each way, and what the browser takes.
            Some(seconds) if (0.001..0.5).contains(&seconds) => return,
            _ => assert!(Instant::now() < deadline, "it is {seen}"),
        }
    }
}

#[tokio::test]
async fn a_viewer_whose_network_was_gone_goes_on_from_the_newest_keyframe() {
    let _turn = turn::alone().await;
    let watching = Watching::start(true).await;
    watching.network.set_dead(true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    watching.network.set_dead(false);
    let (begin, before) = (Instant::now(), watching.browser.stats().await.video);
    let seen =
        watching.browser.until("pictures again", |stats| stats.video.frames_decoded > before.frames_decoded + 30);
    let seen = seen.await.video;
    println!("pictures again {:?} after the network came back: {} PLI", begin.elapsed(), seen.pli_count);
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}: {seen:#?}", begin.elapsed());
    assert_eq!(watching.program.processes().await[0]["status"]["webrtc"]["viewers"], 1, "it is the same session");
}
