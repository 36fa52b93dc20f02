//! ICE restart by PATCH: every status, and the media that goes on.

use std::time::{Duration, Instant};

use reqwest::Response;

use super::house::{CHROMIUM, House, PATIENCE, Wishes, problem, start_source};
use super::receiver::{Receiver, socket};

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const RESTART: &str =
    "a=ice-ufrag:other\r\na=ice-pwd:0123456789abcdefghijkl\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

/// The value of a fragment's line.
fn line<'a>(fragment: &'a str, key: &str) -> &'a str {
    fragment.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default()
}

/// One session of a house.
struct Session {
    house: House,
    _source: super::source::Source,
    location: String,
    etag: String,
    answer: String,
}

impl Session {
    async fn new(offer: &str) -> Self {
        Self::in_house(Wishes::default(), offer).await
    }

    async fn in_house(wishes: Wishes, offer: &str) -> Self {
        let house = House::new(wishes).await;
        let source = start_source(house.open("cam").await);
        let response = house.offer_until_media("/api/v3/whep/cam", offer).await;
        assert_eq!(response.status(), 201);
        let (location, etag) = (header(&response, "location").to_owned(), header(&response, "etag").to_owned());
        let answer = response.text().await.expect("SDP");
        Self { house, _source: source, location, etag, answer }
    }

    async fn patch(&self, tag: Option<&str>, fragment: &str) -> Response {
        let request = self.house.ask("PATCH", &self.location).header("content-type", FRAGMENT);
        let request = tag.iter().fold(request, |request, tag| request.header("if-match", *tag));
        request.body(fragment.to_owned()).send().await.expect("it is answered")
    }

    async fn is_live(&self) -> bool {
        self.house.ask("HEAD", &self.location).send().await.expect("it is answered").status() == 204
    }
}

#[tokio::test]
async fn whep_050_a_restart_is_answered_with_new_credentials_candidates_and_a_new_entity_tag() {
    let session = Session::new(CHROMIUM).await;
    for (tag, ufrag) in [(session.etag.as_str(), "first"), ("*", "second"), ("\"*\"", "third")] {
        let response = session.patch(Some(tag), &RESTART.replace("other", ufrag)).await;
        assert_eq!((response.status().as_u16(), header(&response, "content-type")), (200, FRAGMENT), "{tag}");
        let etag = header(&response, "etag").to_owned();
        assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"') && etag != session.etag, "{etag}");
        let fragment = response.text().await.expect("text");
        for key in ["a=ice-ufrag:", "a=ice-pwd:"] {
            assert!(!line(&fragment, key).is_empty(), "{key} in {fragment}");
            assert_ne!(line(&fragment, key), line(&session.answer, key), "{key} is new");
        }
        assert_eq!(line(&fragment, "a=candidate:"), line(&session.answer, "a=candidate:"), "one port for all");
        assert!(fragment.ends_with("a=end-of-candidates\r\n"), "{fragment}");

        let trickle = format!("{}a=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n", RESTART.replace("other", ufrag));
        for tag in [None, Some("*"), Some(etag.as_str())] {
            let response = session.patch(tag, &trickle).await;
            assert_eq!(response.status(), 204, "the same credentials again are no restart");
            assert!(!response.headers().contains_key("etag"));
        }
    }
}

#[tokio::test]
async fn whep_047_a_restart_needs_if_match_and_the_newest_entity_tag() {
    let session = Session::new(CHROMIUM).await;
    assert_eq!(problem(session.patch(None, RESTART).await).await, (428, "precondition_required".into()));
    assert_eq!(problem(session.patch(Some("\"x\""), RESTART).await).await, (412, "precondition_failed".into()));
    let response = session.patch(Some(&session.etag), RESTART).await;
    assert_eq!(response.status(), 200);
    let again = RESTART.replace("other", "another");
    let former = session.patch(Some(&session.etag), &again).await;
    assert_eq!(problem(former).await, (412, "precondition_failed".into()), "the tag of the ICE session before");
    assert_eq!(session.patch(Some(header(&response, "etag")), &again).await.status(), 200);
}

#[tokio::test]
async fn whep_052_a_restart_that_is_refused_leaves_the_session_as_it_is() {
    let session = Session::new(CHROMIUM).await;
    for fragment in [
        "a=ice-ufrag:other\r\n",
        "a=ice-ufrag:other\r\na=ice-pwd:short\r\n",
        "a=ice-ufrag:o\r\na=ice-pwd:0123456789abcdefghijkl\r\n",
    ] {
        assert_eq!(problem(session.patch(Some("*"), fragment).await).await, (400, "malformed".into()), "{fragment}");
    }
    assert!(session.is_live().await);
    let trickle = "a=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n";
    assert_eq!(session.patch(Some(&session.etag), trickle).await.status(), 204, "its entity tag is the same");
}

#[tokio::test]
async fn whep_053_the_answer_to_a_restart_has_the_ice_options_of_the_first_answer() {
    for ice_lite in [false, true] {
        let session = Session::in_house(Wishes { ice_lite, ..Wishes::default() }, CHROMIUM).await;
        let fragment = session.patch(Some("*"), RESTART).await.text().await.expect("text");
        for key in ["a=ice-options:", "a=ice-pacing:", "a=group:BUNDLE ", "a=mid:"] {
            assert_eq!(line(&fragment, key), line(&session.answer, key), "{key}");
        }
        for text in [&fragment, &session.answer] {
            assert_eq!(text.lines().any(|line| line == "a=ice-lite"), ice_lite, "{text}");
        }
    }
}

#[tokio::test]
async fn candidates_of_the_ice_session_before_are_left_out_and_restart_nothing() {
    let session = Session::new(CHROMIUM).await;
    let ufrag = line(CHROMIUM, "a=ice-ufrag:").trim();
    let first = session.patch(Some("*"), RESTART).await;
    let late = RESTART.replace("other", ufrag) + "a=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n";
    assert_eq!(session.patch(Some("*"), &late).await.status(), 204);
    let trickle = "a=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n";
    assert_eq!(session.patch(Some(header(&first, "etag")), trickle).await.status(), 204, "its entity tag is the same");
}

#[tokio::test]
async fn a_viewer_of_an_ice_lite_gateway_plays_and_restarts() {
    let mut viewer = Viewer::new().await;
    let wishes = Wishes { ice_lite: true, ..Wishes::default() };
    let session = Session::in_house(wishes, viewer.offer()).await;
    viewer.receiver.handle_answer(&session.answer);
    viewer.play("media", |packets| packets > 50).await;
    viewer.restart(&session).await;
    viewer.play("media after the restart", |packets| packets > 500).await;
}

/// What is no address, or not for UDP, beside what ends the candidates.
const UNUSABLE: &str = "a=candidate:1 1 udp 2122262783 7f8b1d3a-60b4-4a7d-9f5e-1f6a3f6e7d0c.local 49152 typ host\r\n\
                        a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\n\
                        a=candidate:3 2 udp 2122262782 192.0.2.1 49153 typ host\r\na=end-of-candidates\r\n";

#[tokio::test]
async fn whep_054_a_viewer_that_names_no_candidate_of_use_plays() {
    for (at_first, later) in [("", ""), ("", UNUSABLE), (UNUSABLE, UNUSABLE)] {
        let mut viewer = Viewer::new().await;
        let is_candidate = |line: &&str| line.starts_with("a=candidate:") || line.starts_with("a=end-of-candidates");
        let bare: Vec<&str> = viewer.offer().lines().filter(|line| !is_candidate(line)).collect();
        let session = Session::new(&format!("{}\r\n{at_first}", bare.join("\r\n"))).await;
        viewer.receiver.handle_answer(&session.answer);
        if !later.is_empty() {
            assert_eq!(session.patch(Some("*"), later).await.status(), 204);
        }
        viewer.play("media", |packets| packets > 50).await;
    }
}

#[tokio::test]
async fn whep_018_a_viewer_that_vanishes_frees_its_place_when_its_consent_expires() {
    let mut viewer = Viewer::new().await;
    let wishes = Wishes { max_viewers_per_stream: 1, ..Wishes::default() };
    let session = Session::in_house(wishes, viewer.offer()).await;
    viewer.receiver.handle_answer(&session.answer);
    viewer.play("media", |packets| packets > 50).await;
    drop(viewer);
    let vanished = Instant::now();
    let path = "/api/v3/whep/cam";
    assert_eq!(problem(session.house.offer(path, CHROMIUM).await).await, (503, "stream_viewer_limit".into()));
    while session.house.offer(path, CHROMIUM).await.status() != 201 {
        assert!(vanished.elapsed() < Duration::from_secs(30), "RFC 7675 section 5.1");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!session.is_live().await);
}

/// A viewer that knows when its newest packet came.
struct Viewer {
    receiver: Receiver,
    last: Option<Instant>,
}

impl Viewer {
    async fn new() -> Self {
        Self { receiver: Receiver::new().await, last: None }
    }

    fn offer(&self) -> &str {
        self.receiver.watcher.offer()
    }

    async fn restart(&mut self, session: &Session) {
        let fragment = self.receiver.watcher.restart(Instant::now()).expect("it restarts");
        let response = session.patch(Some("*"), &fragment).await;
        assert_eq!(response.status(), 200);
        let answer = response.text().await.expect("text");
        self.receiver.watcher.handle_restart(&answer, Instant::now()).expect("it is read");
    }

    /// Goes on until `done` with so many packets; the longest time without one, since the newest one before.
    async fn play(&mut self, what: &str, done: impl Fn(usize) -> bool) -> Duration {
        let deadline = Instant::now() + PATIENCE;
        let (mut packets, mut longest) = (0, Duration::ZERO);
        while !done(packets) {
            assert!(Instant::now() < deadline, "{what}: not after {packets} packets");
            for _ in self.receiver.step(|_| {}).await {
                let now = Instant::now();
                longest = longest.max(self.last.replace(now).map_or(Duration::ZERO, |last| now - last));
                packets += 1;
            }
        }
        longest
    }
}

#[tokio::test]
async fn a_viewer_that_restarts_at_another_address_is_followed_there() {
    let mut viewer = Viewer::new().await;
    let session = Session::new(viewer.offer()).await;
    viewer.receiver.handle_answer(&session.answer);
    viewer.play("media", |packets| packets > 50).await;
    viewer.restart(&session).await;
    // The engine knows nothing of it: where a NAT gives a new port, only the gateway sees it.
    viewer.receiver.socket = socket().await;
    viewer.play("media at another address", |packets| packets > 100).await;
    assert!(session.is_live().await);
}

#[tokio::test]
async fn media_goes_on_while_ice_restarts() {
    let mut viewer = Viewer::new().await;
    let session = Session::new(viewer.offer()).await;
    viewer.receiver.handle_answer(&session.answer);
    viewer.play("media", |packets| packets > 200).await;
    viewer.restart(&session).await;
    let gap = viewer.play("media", |packets| packets > 1_000).await;
    assert!(gap < Duration::from_secs(1), "nothing came for {gap:?}");
}

#[tokio::test]
async fn a_viewer_whose_address_changes_goes_on() {
    let mut viewer = Viewer::new().await;
    let session = Session::new(viewer.offer()).await;
    viewer.receiver.handle_answer(&session.answer);
    viewer.play("media", |packets| packets > 50).await;
    // As a NAT does that has forgotten the viewer. It says nothing of it.
    viewer.receiver.socket = socket().await;
    let moved = Instant::now();
    viewer.play("media at another address", |packets| packets > 50).await;
    assert!(moved.elapsed() < Duration::from_secs(12), "it took {:?}", moved.elapsed());
    // Longer than a path is given until it counts as broken.
    viewer.play("media for a while", |_| moved.elapsed() > Duration::from_secs(25)).await;
    let seen = viewer.play("media still", |packets| packets > 50).await;
    assert!(seen < Duration::from_secs(1) && session.is_live().await, "nothing came for {seen:?}");
}
