//! What a viewer sees over a network that loses and delays.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::browser::{Browser, Stats, Video};
use crate::lossy::{LossyNetwork, RELAY};
use crate::manifest::manifest;
use crate::media::{self, Codec};
use crate::program::Program;
use crate::turn;

/// How long freezes are counted.
const WATCHED: Duration = Duration::from_secs(20);

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

/// Seconds that the picture stood still, of each second that was watched.
fn still(seen: &Video, watched: Duration) -> f64 {
    seen.total_freezes_duration / watched.as_secs_f64()
}

#[tokio::test]
async fn retransmission_spares_a_viewer_nearly_every_freeze() {
    let _turn = turn::alone().await;
    turn::calm().await;
    let watching = Watching::start(true).await;
    let seen = watching.after(WATCHED).await.video;
    let lost = watching.network.lost();
    drop(watching);
    let without = Watching::start(false).await.after(WATCHED).await.video;
    println!(
        "2 % loss, up to 30 ms jitter, {} s: {} freezes ({:.1} s) with {lost} packets lost; without retransmission {} \
         freezes ({:.1} s)",
        WATCHED.as_secs(),
        seen.freeze_count,
        seen.total_freezes_duration,
        without.freeze_count,
        without.total_freezes_duration,
    );
    assert!(lost > 20, "nothing was lost");
    let (with, without) = (still(&seen, WATCHED), still(&without, WATCHED));
    assert!(without > 0.1, "the network does not hurt enough to prove anything: {without}");
    assert!(with < without / 5.0, "{with} of the time with retransmission, {without} without: {seen:#?}");
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
