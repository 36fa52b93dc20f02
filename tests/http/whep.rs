//! WHEP: every status, in its order.

use dragonfork::crd::RestreamProcessStatus;
use dragonfork::http::token::{Purpose, Scope, Words};
use dragonfork::whep::Client;
use reqwest::Response;
use serde_json::json;

use super::house::{CHROMIUM, House, Wishes, playing, problem, process, receive, start_source};
use super::receiver::Receiver;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const EITHER: &str = "application/trickle-ice-sdpfrag, application/sdp";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

async fn refused(house: &House, method: &str, path: &str) -> (u16, String) {
    problem(house.ask(method, path).send().await.expect("it is answered")).await
}

#[tokio::test]
async fn a_player_watches_trickles_and_leaves() {
    let house = House::new(Wishes::default()).await;
    let _source = start_source(house.open("cam").await);
    let mut viewer = Receiver::new().await;
    let response = house.offer_until_media("/api/v3/whep/cam", viewer.watcher.offer()).await;
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "content-type"), SDP);
    assert_eq!(header(&response, "cache-control"), "no-store");
    assert_eq!(header(&response, "accept-patch"), FRAGMENT);
    assert_eq!(header(&response, "access-control-allow-origin"), "*");
    let links: Vec<_> = response.headers().get_all("link").iter().collect();
    assert_eq!(links[0], "<stun:stun.example.com:3478>; rel=\"ice-server\"");
    assert_eq!(links[1], "<turn:turn.example.com?transport=udp>; rel=\"ice-server\"");
    let etag = header(&response, "etag").to_owned();
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let location = header(&response, "location").to_owned();
    let resource = location.strip_prefix("/api/v3/whep/cam/").expect("it is on the path that was called").to_owned();
    assert!(resource.len() >= 32, "it cannot be guessed");
    let answer = response.text().await.expect("SDP");
    receive(&mut viewer, &answer).await;

    let candidate = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n";
    for tag in [None, Some(etag.as_str()), Some("*"), Some("\"*\"")] {
        let mut request = house.ask("PATCH", &location).header("content-type", FRAGMENT).body(candidate);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        let response = request.send().await.expect("it is answered");
        assert_eq!(response.status(), 204, "{tag:?}");
        assert!(!response.headers().contains_key("etag"));
    }
    for method in ["GET", "HEAD"] {
        assert_eq!(house.ask(method, &location).send().await.expect("it is answered").status(), 204);
    }
    let alias = format!("/api/v3/process/cam/whep/{resource}");
    assert_eq!(house.ask("HEAD", &alias).send().await.expect("it is answered").status(), 204, "by its other name");

    let leave = || async { house.ask("DELETE", &location).header("if-match", "\"x\"").send().await.expect("answered") };
    assert_eq!(leave().await.status(), 200);
    assert_eq!(leave().await.status(), 204, "it is gone already");
    assert_eq!(refused(&house, "GET", &location).await, (404, "unknown_session".into()));
}

#[tokio::test]
async fn the_alias_gives_a_location_on_itself_and_ids_are_decoded() {
    let house = House::new(Wishes::default()).await;
    let _source = start_source(house.open("restreamer-ui:ingest:a.b").await);
    for (called, expected) in [
        ("/api/v3/process/restreamer-ui:ingest:a.b/whep", "/api/v3/process/restreamer-ui:ingest:a.b/whep/"),
        ("/api/v3/process/restreamer-ui%3Aingest%3aa%2Eb/whep", "/api/v3/process/restreamer-ui:ingest:a.b/whep/"),
        ("/api/v3/whep/restreamer-ui%3Aingest%3Aa.b?x=y", "/api/v3/whep/restreamer-ui:ingest:a.b/"),
    ] {
        let response = house.offer_until_media(called, CHROMIUM).await;
        assert_eq!(response.status(), 201, "{called}");
        let location = header(&response, "location");
        assert!(location.starts_with(expected), "{location}");
        assert_eq!(house.ask("DELETE", location).send().await.expect("it is answered").status(), 200);
    }
}

#[tokio::test]
async fn a_patch_is_refused_for_what_is_wrong_with_it() {
    let house = House::new(Wishes::default()).await;
    let _source = start_source(house.open("cam").await);
    let response = house.offer_until_media("/api/v3/whep/cam", CHROMIUM).await;
    let location = header(&response, "location").to_owned();
    let patch = |media: &'static str, tag: Option<&'static str>, body: String| {
        let request = house.ask("PATCH", &location).header("content-type", media).body(body);
        let request = if let Some(tag) = tag { request.header("if-match", tag) } else { request };
        async move { problem(request.send().await.expect("it is answered")).await }
    };
    let candidate = "a=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n";
    let restart = "a=ice-ufrag:another\r\na=ice-pwd:a password of another session\r\n";
    assert_eq!(patch(FRAGMENT, None, "hello".into()).await, (400, "malformed".into()));
    assert_eq!(patch(FRAGMENT, Some("\"x\""), candidate.into()).await, (412, "precondition_failed".into()));
    assert_eq!(patch(FRAGMENT, None, restart.into()).await, (428, "precondition_required".into()));
    assert_eq!(patch(FRAGMENT, Some("*"), restart.into()).await, (400, "malformed".into()), "a space in the password");
    assert_eq!(patch("application/json", None, candidate.into()).await, (415, "unsupported_media_type".into()));
    assert_eq!(patch(SDP, None, candidate.into()).await, (415, "unsupported_media_type".into()));
    assert_eq!(patch(FRAGMENT, None, candidate.repeat(200)).await, (413, "too_large".into()));

    let wrong = house.ask("PATCH", &location).header("content-type", "text/plain").send().await.expect("answered");
    assert_eq!(header(&wrong, "accept-patch"), FRAGMENT);
    let unknown = house.ask("PATCH", "/api/v3/whep/cam/nobody").header("content-type", "text/plain");
    let unknown = problem(unknown.send().await.expect("it is answered")).await;
    assert_eq!(unknown, (404, "unknown_session".into()), "before the body is looked at");
    assert_eq!(house.ask("DELETE", &location).send().await.expect("it is answered").status(), 200, "it went on");
}

#[tokio::test]
async fn a_strict_house_wants_if_match() {
    let house = House::new(Wishes { strict_etag: true, ..Wishes::default() }).await;
    let _source = start_source(house.open("cam").await);
    let response = house.offer_until_media("/api/v3/whep/cam", CHROMIUM).await;
    let (location, etag) = (header(&response, "location"), header(&response, "etag"));
    let patch = || house.ask("PATCH", location).header("content-type", FRAGMENT).body("a=end-of-candidates\r\n");
    let without = problem(patch().send().await.expect("it is answered")).await;
    assert_eq!(without, (428, "precondition_required".into()));
    assert_eq!(patch().header("if-match", etag).send().await.expect("it is answered").status(), 204);
}

#[tokio::test]
async fn an_offer_is_refused_for_what_is_wrong_with_it() {
    let house = House::new(Wishes { counter_offer: false, ..Wishes::default() }).await;
    let _source = start_source(house.open("cam").await);
    house.offer_until_media("/api/v3/whep/cam", CHROMIUM).await;
    let post = |media: Option<&'static str>, body: Vec<u8>| {
        let request = house.ask("POST", "/api/v3/whep/cam").body(body);
        let request = if let Some(media) = media { request.header("content-type", media) } else { request };
        async move { problem(request.send().await.expect("it is answered")).await }
    };
    let malformed = (400, "malformed".to_owned());
    let unsupported = (415, "unsupported_media_type".to_owned());
    assert_eq!(post(Some(SDP), Vec::new()).await, malformed);
    assert_eq!(post(None, Vec::new()).await, malformed, "nothing at all");
    assert_eq!(post(Some(SDP), b" \r\n".to_vec()).await, malformed);
    assert_eq!(post(Some(SDP), b"hello".to_vec()).await, malformed);
    assert_eq!(post(Some(SDP), b"v=0\0".to_vec()).await, malformed);
    assert_eq!(post(Some(SDP), vec![0xff; 100]).await, malformed);
    assert_eq!(post(None, CHROMIUM.into()).await, unsupported);
    assert_eq!(post(Some("application/json"), CHROMIUM.into()).await, unsupported);
    assert_eq!(post(Some(SDP), vec![b'a'; 65_537]).await, (413, "too_large".into()));
    assert_eq!(post(Some("text/plain"), vec![b'a'; 65_537]).await, unsupported, "415 before 413");
    let sends = CHROMIUM.replace("a=recvonly", "a=sendonly");
    assert_eq!(post(Some(SDP), sends.into()).await, (422, "unprocessable".into()));
    let foreign = CHROMIUM.replace("H264/90000", "H999/90000").replace("opus", "x");
    assert_eq!(post(Some(SDP), foreign.into()).await, (406, "no_common_codec".into()));

    let zipped = house.ask("POST", "/api/v3/whep/cam").header("content-type", SDP).header("content-encoding", "gzip");
    let zipped = zipped.body(CHROMIUM).send().await.expect("it is answered");
    assert_eq!(header(&zipped, "accept-encoding"), "identity");
    assert_eq!(problem(zipped).await, unsupported);
    let wrong = house.ask("POST", "/api/v3/whep/cam").body("x").send().await.expect("it is answered");
    assert_eq!(header(&wrong, "accept-post"), SDP);
    let odd = house.ask("POST", "/api/v3/whep/cam").header("content-type", "Application/SDP; charset=utf-8");
    let odd = odd.header("content-encoding", "identity").header("accept", "text/html").body(CHROMIUM);
    assert_eq!(odd.send().await.expect("it is answered").status(), 201);
}

#[tokio::test]
async fn what_cannot_be_played_is_not_there_and_what_will_be_is_in_conflict() {
    let house = House::new(Wishes::default()).await;
    house.show(process("plain", &json!({ "output": [{ "id": "o", "address": "-" }] }), Default::default()));
    house.show(process("off", &json!({ "webrtc": { "enabled": true }, "suspend": true }), Default::default()));
    let mut early = playing("early");
    let condition = json!({
        "type": "Ready", "status": "False", "reason": "WaitingForPublisher", "message": "nobody publishes yet",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    early.status = RestreamProcessStatus {
        conditions: vec![serde_json::from_value(condition).expect("a condition")],
        ..early.status
    };
    house.show(early);
    for (id, reason) in [("nobody", "unknown_process"), ("plain", "no_webrtc"), ("off", "suspended")] {
        let path = format!("/api/v3/whep/{id}");
        assert_eq!(problem(house.offer(&path, CHROMIUM).await).await, (404, reason.into()));
        assert_eq!(refused(&house, "GET", &path).await, (404, reason.into()));
        assert_eq!(refused(&house, "POST", &path).await, (404, reason.into()), "before the body is looked at");
        let session = format!("{path}/x");
        assert_eq!(refused(&house, "PATCH", &session).await.0, 404);
        assert_eq!(house.ask("DELETE", &session).send().await.expect("it is answered").status(), 204);
    }
    let early = house.offer("/api/v3/whep/early", CHROMIUM).await;
    assert_eq!(header(&early, "retry-after"), "2");
    let text = house.offer("/api/v3/whep/early", CHROMIUM).await.text().await.expect("JSON");
    assert!(text.contains("nobody publishes yet"), "{text}");
    assert_eq!(problem(early).await, (409, "no_media_yet".into()), "the gateway does not know it yet");
    house.open("early").await;
    let early = house.offer("/api/v3/whep/early", CHROMIUM).await;
    assert_eq!(problem(early).await, (409, "no_media_yet".into()), "the gateway knows it and has no media");
    assert_eq!(house.ask("HEAD", "/api/v3/whep/early").send().await.expect("it is answered").status(), 200);

    let without = House::new(Wishes { webrtc: false, ..Wishes::default() }).await;
    without.show(playing("cam"));
    let refused = problem(without.offer("/api/v3/whep/cam", CHROMIUM).await).await;
    assert_eq!(refused, (404, "webrtc_disabled".into()));
    assert_eq!(without.get("/api/v3/process/cam").await["whep"], json!(null));
    assert_eq!(without.ask("DELETE", "/api/v3/whep/cam/x").send().await.expect("it is answered").status(), 204);
}

#[tokio::test]
async fn the_two_caps_have_two_words() {
    let house = House::new(Wishes { max_viewers_per_stream: 1, max_viewers: 2, ..Wishes::default() }).await;
    let mut sources = Vec::new();
    for id in ["a", "b", "c"] {
        sources.push(start_source(house.open(id).await));
    }
    assert_eq!(house.offer_until_media("/api/v3/whep/a", CHROMIUM).await.status(), 201);
    let full = house.offer("/api/v3/whep/a", CHROMIUM).await;
    assert_eq!(header(&full, "retry-after"), "10");
    assert_eq!(problem(full).await, (503, "stream_viewer_limit".into()));
    assert_eq!(house.offer_until_media("/api/v3/whep/b", CHROMIUM).await.status(), 201);
    let full = house.offer_until_media("/api/v3/whep/c", CHROMIUM).await;
    assert!(!header(&full, "retry-after").is_empty());
    assert_eq!(problem(full).await, (503, "total_viewer_limit".into()));
    let malformed = problem(house.offer("/api/v3/whep/c", "v=0").await).await;
    assert_eq!(malformed.0, 400, "what is wrong with the offer comes before what waiting cures");
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_504() {
    let (client, requests) = Client::new();
    let house = House::around(Some(client), Wishes::default()).await;
    house.show(playing("cam"));
    let late = problem(house.offer("/api/v3/whep/cam", CHROMIUM).await).await;
    assert_eq!(late, (504, "gateway_timeout".into()));
    drop(requests);
    let gone = problem(house.offer("/api/v3/whep/cam", CHROMIUM).await).await;
    assert_eq!(gone, (504, "gateway_timeout".into()));
}

#[tokio::test]
async fn whoever_asks_what_an_endpoint_is_gets_an_answer() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    for method in ["GET", "HEAD"] {
        let response = house.ask(method, "/api/v3/whep/cam").send().await.expect("it is answered");
        assert_eq!((response.status().as_u16(), header(&response, "content-type")), (200, SDP));
        assert_eq!(header(&response, "content-length"), "0");
    }
    for (path, accept, media, allow) in [
        ("/api/v3/whep/cam", "accept-post", SDP, "GET, HEAD, OPTIONS, POST"),
        ("/api/v3/process/cam/whep", "accept-post", SDP, "GET, HEAD, OPTIONS, POST"),
        ("/api/v3/whep/cam/1", "accept-patch", EITHER, "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/api/v3/process/cam/whep/1", "accept-patch", EITHER, "DELETE, GET, HEAD, OPTIONS, PATCH"),
    ] {
        let response = house.bare("OPTIONS", path).send().await.expect("it is answered");
        assert_eq!((response.status().as_u16(), header(&response, accept)), (200, media), "without a token");
        assert_eq!(header(&response, "allow"), allow);
        let put = house.ask("PUT", path).send().await.expect("it is answered");
        let mut allowed: Vec<_> = header(&put, "allow").split(',').map(|word| word.trim().to_owned()).collect();
        allowed.sort();
        assert_eq!(allowed.join(", "), allow);
        assert_eq!(problem(put).await, (405, "method_not_allowed".into()));
    }
    let asks = house.bare("OPTIONS", "/api/v3/whep/cam").send().await.expect("it is answered");
    assert_eq!(asks.headers().get_all("link").iter().count(), 2, "a player learns the ICE servers");
    let preflight = house.bare("OPTIONS", "/api/v3/whep/cam").header("access-control-request-method", "POST");
    let preflight = preflight.header("origin", "null").send().await.expect("it is answered");
    assert_eq!(preflight.headers().get_all("link").iter().count(), 0, "a browser's preflight does not");
    assert_eq!(header(&preflight, "access-control-max-age"), "7200");
    for word in ["POST", "PATCH", "DELETE", "OPTIONS", "GET", "HEAD"] {
        assert!(header(&preflight, "access-control-allow-methods").contains(word), "{word}");
    }
    for word in ["Authorization", "Content-Type", "If-Match"] {
        assert!(header(&preflight, "access-control-allow-headers").contains(word), "{word}");
    }
}

#[tokio::test]
async fn a_playback_token_plays_its_process_and_nothing_else() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("studio.cam"));
    house.show(playing("door"));
    let scope = Scope { process: Some(Words::One("studio.*".into())), action: Some(Words::One("play".into())) };
    let token = house.mint(Purpose::Access, 60, scope);
    let with = |method: &str, path: &str| house.bare(method, path).bearer_auth(&token).send();
    assert_eq!(with("HEAD", "/api/v3/whep/studio.cam").await.expect("it is answered").status(), 200);
    let session = with("DELETE", "/api/v3/whep/studio.cam/x").await.expect("it is answered");
    assert_eq!(session.status(), 204);
    for (method, path) in [
        ("POST", "/api/v3/whep/door"),
        ("POST", "/api/v3/whep/nobody"),
        ("PATCH", "/api/v3/whep/door/x"),
        ("DELETE", "/api/v3/process/door/whep/x"),
        ("GET", "/api/v3/process"),
        ("GET", "/api/v3/process/studio.cam"),
        ("GET", "/api/v3/problem"),
    ] {
        let response = with(method, path).await.expect("it is answered");
        assert!(header(&response, "www-authenticate").contains("error=\"insufficient_scope\""));
        assert_eq!(problem(response).await, (403, "insufficient_scope".into()), "{method} {path}");
    }
}
