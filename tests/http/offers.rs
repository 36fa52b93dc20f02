//! Answers to offers of odd shapes, taken by a real browser.

use super::browser::Browser;
use super::house::{House, Wishes, start_source};

/// An offer of Chromium's, and the directions that come of it, one for each `addTransceiver` in their order.
struct Shape {
    name: &'static str,
    connection: &'static str,
    steps: &'static str,
    directions: &'static str,
}

const SHAPES: [Shape; 9] = [
    Shape { name: "sound first", connection: "", steps: "add('audio'); add('video')", directions: "recvonly recvonly" },
    Shape {
        name: "two pictures, bundled from the start",
        connection: "bundlePolicy: 'max-bundle'",
        steps: "add('video'); add('video'); add('audio')",
        directions: "recvonly stopped recvonly",
    },
    Shape {
        name: "a stopped picture before another one",
        connection: "",
        steps: "const gone = add('video'); add('video'); add('audio'); await peer.setLocalDescription(); gone.stop()",
        directions: "stopped recvonly recvonly",
    },
    Shape {
        name: "an inactive picture first, bundled from the start",
        connection: "bundlePolicy: 'max-bundle'",
        steps: "add('video', 'inactive'); add('video'); add('audio')",
        directions: "inactive recvonly recvonly",
    },
    Shape {
        name: "a microphone first, bundled from the start",
        connection: "bundlePolicy: 'max-bundle'",
        steps: "add('audio', 'sendonly'); add('video'); add('audio')",
        directions: "inactive recvonly recvonly",
    },
    Shape {
        name: "a picture of another codec first, bundled from the start",
        connection: "bundlePolicy: 'max-bundle'",
        steps: "add('video').setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs\
                .filter(codec => codec.mimeType === 'video/VP8')); add('audio')",
        directions: "inactive recvonly",
    },
    Shape {
        name: "a data channel behind the media",
        connection: "",
        steps: "add('video'); add('audio'); peer.createDataChannel('x')",
        directions: "recvonly recvonly",
    },
    Shape {
        name: "a data channel before the media, bundled from the start",
        connection: "bundlePolicy: 'max-bundle'",
        steps: "peer.createDataChannel('x'); await peer.setLocalDescription(); add('video'); add('audio')",
        directions: "recvonly recvonly",
    },
    Shape {
        name: "both ways, many of each",
        connection: "",
        steps: "for (let i = 0; i < 3; i++) { add('audio', 'sendrecv'); add('video', 'sendrecv') }",
        directions: "recvonly recvonly stopped stopped stopped stopped",
    },
];

#[tokio::test]
async fn the_browser_takes_the_answer_to_its_offer_of_any_shape_and_plays() {
    let house = House::new(Wishes { max_viewers_per_stream: 32, max_viewers: 32, ..Wishes::default() }).await;
    let _source = start_source(house.open("cam").await);
    let browser = Browser::start(&[]).await;
    browser.open(&house.url("/ping")).await;
    for Shape { name, connection, steps, directions } in SHAPES {
        let seen = browser.value(&script(&house.token(), connection, steps)).await;
        assert_eq!(seen, directions, "{name}");
    }
}

/// Offers until the stream has media, takes the answer, and tells the directions when something has come of each track
/// that is received.
fn script(token: &str, connection: &str, steps: &str) -> String {
    format!(
        "(async () => {{
            const pause = () => new Promise(done => setTimeout(done, 50));
            const peer = new RTCPeerConnection({{{connection}}});
            const add = (kind, direction = 'recvonly') => peer.addTransceiver(kind, {{direction}});
            {steps};
            const added = peer.getTransceivers();
            await peer.setLocalDescription();
            let response;
            do {{
                await pause();
                const headers = {{authorization: 'Bearer {token}', 'content-type': 'application/sdp'}};
                const body = peer.localDescription.sdp;
                response = await fetch('/api/v3/whep/cam', {{method: 'POST', headers, body}});
            }} while (response.status === 409);
            const answer = await response.text();
            if (response.status !== 201) return answer;
            await peer.setRemoteDescription({{type: 'answer', sdp: answer}}).catch(error => {{
                throw new Error(`${{error}}: ${{peer.localDescription.sdp}} ${{answer}}`);
            }});
            const receiving = added.filter(one => one.currentDirection === 'recvonly').length;
            let coming = 0;
            for (let tries = 0; coming < receiving; tries++) {{
                if (tries > 400) return `${{coming}} of ${{receiving}} tracks, ${{peer.connectionState}}: ${{answer}}`;
                await pause();
                const stats = [...(await peer.getStats()).values()];
                coming = stats.filter(one => one.type === 'inbound-rtp' && one.packetsReceived > 10).length;
            }}
            const directions = added.map(one => one.currentDirection ?? 'stopped').join(' ');
            peer.close();
            return directions;
        }})()"
    )
}
