//! The counter-offer of an offer that has none of the stream's codecs, played to its end (33, 38, 45).

use std::time::{Duration, Instant};

use dragonfork::whep::Watcher;
use reqwest::Response;

use super::program::Program;
use super::{CAM, CANDIDATE, FRAGMENT, Made, SDP, header, words};
use crate::house::{CHROMIUM, PATIENCE, problem, receive_both};
use crate::receiver::{Receiver, socket};

/// An offer of codecs that no stream has.
fn foreign() -> String {
    CHROMIUM.replace("H264/90000", "H999/90000").replace("opus", "x")
}

/// A counter-offer, which is the answer of `Made`.
async fn countered(program: &Program) -> Made {
    let response = program.post(CAM, &foreign()).await;
    assert_eq!((response.status().as_u16(), header(&response, "content-type")), (406, SDP));
    let text = |name: &str| header(&response, name).to_owned();
    let (location, etag) = (text("location"), text("etag"));
    Made { location, etag, answer: response.text().await.expect("SDP") }
}

/// A peer that answers an offer; in DTLS it is the server where it is `passive`.
async fn answering(offer: &str, passive: bool) -> Receiver {
    let socket = socket().await;
    let local = socket.local_addr().expect("bound");
    let watcher = Watcher::answering(local, offer, passive, Instant::now()).expect("a peer that can answer");
    Receiver { watcher, socket }
}

/// PATCHes an answer.
async fn answer(program: &Program, location: &str, tag: Option<&str>, answer: &str) -> Response {
    let request = program.ask("PATCH", location).header("content-type", SDP).body(answer.to_owned());
    let request = if let Some(tag) = tag { request.header("if-match", tag) } else { request };
    request.send().await.expect("it is answered")
}

/// The whole answer with both media descriptions rejected.
fn rejected(answer: &str) -> String {
    answer.replace("m=video 9", "m=video 0").replace("m=audio 9", "m=audio 0")
}

#[tokio::test]
async fn whep_033_038_045_a_counter_offer_is_406_with_what_the_stream_has_and_all_that_a_session_says() {
    let program = Program::shared().await;
    let response = program.post(CAM, &foreign()).await;
    assert_eq!((response.status().as_u16(), header(&response, "content-type")), (406, SDP));
    assert_eq!(header(&response, "cache-control"), "no-store");
    assert_eq!(words(header(&response, "accept-patch")), [SDP, FRAGMENT]);
    assert_eq!(header(&response, "access-control-allow-origin"), "*");
    assert_eq!(response.headers().get_all("link").iter().count(), 2);
    let etag = header(&response, "etag").to_owned();
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let location = header(&response, "location").to_owned();
    assert!(location.starts_with(&format!("{CAM}/")), "{location}");
    let offer = response.text().await.expect("SDP");
    for wanted in ["a=group:BUNDLE 0 1", "i=the stream has H264 and opus, and m=video lacks H264, m=audio lacks opus"] {
        assert!(offer.lines().any(|line| line == wanted), "{wanted} in {offer}");
    }
    let media: Vec<&str> = offer.split("\r\nm=").skip(1).collect();
    assert_eq!(media.len(), 2);
    for (number, part) in media.into_iter().enumerate() {
        let mid = format!("a=mid:{number}");
        for wanted in [&mid, "a=sendonly", "a=setup:actpass", "a=rtcp-mux", "a=rtcp-mux-only", "a=end-of-candidates"] {
            assert!(part.lines().any(|line| line == wanted), "{wanted} in {part}");
        }
        assert!(part.contains("a=candidate:") && part.contains("a=msid:dragonfork "), "{part}");
    }
    assert!(offer.contains("H264/90000") && offer.contains("opus/48000/2"), "{offer}");
    for method in ["GET", "HEAD"] {
        assert_eq!(program.send(method, &location).await.status(), 204, "{method}");
    }
    let options = program.bare("OPTIONS", &location).send().await.expect("it is answered");
    assert_eq!(words(header(&options, "accept-patch")), [SDP, FRAGMENT]);
    assert_eq!(program.send("DELETE", &location).await.status(), 200);
    assert_eq!(program.send("GET", &location).await.status(), 404);
}

#[tokio::test]
async fn whep_045_an_answered_counter_offer_plays_and_a_second_answer_is_409() {
    let program = Program::shared().await;
    for passive in [false, true] {
        let made = countered(&program).await;
        let mut viewer = answering(&made.answer, passive).await;
        let tag = passive.then_some(made.etag.as_str());
        let response = answer(&program, &made.location, tag, viewer.watcher.answer()).await;
        assert_eq!(response.status(), 204);
        assert!(!response.headers().contains_key("etag"), "the ICE session is the same");
        assert!(response.text().await.expect("it is read").is_empty());
        receive_both(&mut viewer).await;
        let again = answer(&program, &made.location, None, viewer.watcher.answer()).await;
        assert!(!again.headers().contains_key("retry-after"));
        assert_eq!(problem(again).await, (409, "already_answered".into()));
        assert_eq!(program.patch(&made.location, Some(&made.etag), CANDIDATE).await.status(), 204);
        receive_both(&mut viewer).await;
        assert_eq!(program.send("DELETE", &made.location).await.status(), 200);
    }
}

#[tokio::test]
async fn whep_045_an_answer_that_cannot_be_used_leaves_the_counter_offer_for_another() {
    let program = Program::shared().await;
    let made = countered(&program).await;
    let mut viewer = answering(&made.answer, false).await;
    let good = viewer.watcher.answer().to_owned();
    let video = good.find("\r\nm=audio").expect("there is sound") + 2;
    for (status, reason, text) in [
        (400, "malformed", String::new()),
        (400, "malformed", "hello".into()),
        (400, "malformed", good.replace("a=ice-pwd:", "a=x:")),
        (400, "malformed", "v=0\0".into()),
        (422, "unprocessable", good.replace("a=setup:active", "a=setup:actpass")),
        (422, "unprocessable", good.replace("a=fingerprint:sha-256", "a=fingerprint:md5")),
        (422, "unprocessable", good[..video].to_owned()),
        (422, "unprocessable", good.replace("a=mid:0", "a=mid:9")),
        (422, "unprocessable", good.replace("a=group:BUNDLE", "a=group:LS")),
        (413, "too_large", "a".repeat(65_537)),
    ] {
        let refused = problem(answer(&program, &made.location, None, &text).await).await;
        assert_eq!(refused, (status, reason.into()), "{text}");
    }
    let wrong = answer(&program, &made.location, Some("\"another\""), &good).await;
    assert_eq!(problem(wrong).await, (412, "precondition_failed".into()));
    let text = program.ask("PATCH", &made.location).header("content-type", "text/plain").body(good.clone());
    let text = text.send().await.expect("it is answered");
    assert_eq!(words(header(&text, "accept-patch")), [SDP, FRAGMENT]);
    assert_eq!(problem(text).await, (415, "unsupported_media_type".into()));
    assert_eq!(answer(&program, &made.location, Some("*"), &good).await.status(), 204);
    receive_both(&mut viewer).await;
}

#[tokio::test]
async fn whep_045_an_answer_needs_no_tag_where_tags_are_strict() {
    let program = Program::with(&[("CORE_WEBRTC_STRICT_ETAG", "true")]).await;
    let made = countered(&program).await;
    let viewer = answering(&made.answer, false).await;
    assert_eq!(problem(program.patch(&made.location, None, CANDIDATE).await).await.0, 428);
    assert_eq!(answer(&program, &made.location, None, viewer.watcher.answer()).await.status(), 204);
}

#[tokio::test]
async fn whep_022_045_a_counter_offer_holds_a_place_until_nothing_of_it_is_taken() {
    let program = Program::with(&[("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "1")]).await;
    let made = countered(&program).await;
    assert_eq!(problem(program.post(CAM, &foreign()).await).await, (503, "stream_viewer_limit".into()));
    let viewer = answering(&made.answer, false).await;
    let nothing = answer(&program, &made.location, None, &rejected(viewer.watcher.answer())).await;
    assert_eq!(problem(nothing).await, (422, "nothing_taken".into()));
    assert_eq!(program.send("GET", &made.location).await.status(), 404);
    let made = countered(&program).await;
    assert_eq!(program.send("DELETE", &made.location).await.status(), 200, "the place was free, and is again");
    assert_eq!(program.post(CAM, CHROMIUM).await.status(), 201);
}

#[tokio::test]
async fn whep_022_045_counter_offers_that_nobody_answers_leave_half_of_the_places_to_others() {
    let program = Program::with(&[("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "4")]).await;
    let first = countered(&program).await;
    let second = countered(&program).await;
    let mut last = countered(&program).await;
    for _ in 0..10 {
        last = countered(&program).await;
    }
    for (made, status) in [(&first, 404), (&second, 404), (&last, 204)] {
        assert_eq!(program.send("GET", &made.location).await.status(), status);
    }
    for status in [201, 201, 503] {
        assert_eq!(program.post(CAM, CHROMIUM).await.status(), status);
    }
}

#[tokio::test]
async fn whep_032_045_a_counter_offer_without_an_answer_is_gone_after_30_seconds_and_its_place_is_free() {
    let program = Program::with(&[("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "1")]).await;
    let begin = Instant::now();
    let made = countered(&program).await;
    while program.send("GET", &made.location).await.status() != 404 {
        assert!(begin.elapsed() < Duration::from_secs(45), "it is there after {:?}", begin.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(begin.elapsed() > Duration::from_secs(29), "it was gone after {:?}", begin.elapsed());
    let viewer = answering(&made.answer, false).await;
    let late = answer(&program, &made.location, None, viewer.watcher.answer()).await;
    assert_eq!(problem(late).await, (404, "unknown_session".into()));
    assert_eq!(program.post(CAM, CHROMIUM).await.status(), 201);
}

#[tokio::test]
async fn whep_045_candidates_that_come_before_the_answer_are_checked_after_it() {
    let program = Program::shared().await;
    let made = countered(&program).await;
    let there = socket().await;
    let port = there.local_addr().expect("bound").port();
    let early = format!("a=candidate:1 1 udp 2113937151 127.0.0.1 {port} typ host\r\n");
    let patched = program.patch(&made.location, Some(&made.etag), &early).await;
    assert_eq!(patched.status(), 204);
    let viewer = answering(&made.answer, false).await;
    let whole = viewer.watcher.answer();
    let without = whole.split_inclusive('\n').filter(|line| !line.starts_with("a=candidate:")).collect::<String>();
    assert_eq!(answer(&program, &made.location, None, &without).await.status(), 204);
    let mut check = [0; 1500];
    let came = tokio::time::timeout(PATIENCE, there.recv_from(&mut check)).await;
    came.expect("a check comes").expect("it is received");
    assert_eq!(check[..2], [0, 1], "a binding request of STUN");
}

#[tokio::test]
async fn whep_045_without_counter_offers_no_common_codec_is_a_plain_problem() {
    let environment = [("CORE_WEBRTC_COUNTER_OFFER", "false"), ("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "1")];
    let program = Program::with(&environment).await;
    let response = program.post(CAM, &foreign()).await;
    assert!(!response.headers().contains_key("location"));
    assert_eq!(problem(response).await, (406, "no_common_codec".into()));
    let options = program.bare("OPTIONS", &format!("{CAM}/x")).send().await.expect("it is answered");
    assert_eq!(header(&options, "accept-patch"), FRAGMENT);
    assert_eq!(program.post(CAM, CHROMIUM).await.status(), 201, "no place was taken");
}
