//! What the answer says (10 to 15, 17, 19).

use super::made;
use super::program::Program;
use crate::house::CHROMIUM;

const FIREFOX: &str = include_str!("../../offers/offer_firefox153_h264.sdp");
const AIORTC: &str = include_str!("../../offers/offer_aiortc116.sdp");

/// The session's part of a description and its media descriptions.
fn parts(sdp: &str) -> (&str, Vec<&str>) {
    let mut parts = sdp.split("\r\nm=");
    (parts.next().expect("there is a first"), parts.collect())
}

fn line<'a>(part: &'a str, key: &str) -> &'a str {
    part.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key} in {part}"))
}

/// The `a=mid` of each media description.
fn mids(sdp: &str) -> Vec<&str> {
    parts(sdp).1.into_iter().map(|part| line(part, "a=mid:")).collect()
}

#[tokio::test]
async fn whep_010_011_012_014_019_each_media_description_is_answered_sendonly_in_its_place() {
    let program = Program::shared().await;
    for offer in [CHROMIUM, FIREFOX, AIORTC] {
        let answer = made(&program, offer).await.answer;
        assert_eq!(mids(&answer), mids(offer));
        let (session, media) = parts(&answer);
        assert_eq!(line(session, "a=group:BUNDLE "), mids(offer).join(" "));
        let mut streams = Vec::new();
        for part in media {
            for wanted in ["a=sendonly", "a=rtcp-mux", "a=rtcp-mux-only", "a=setup:passive"] {
                assert!(part.lines().any(|line| line == wanted), "{wanted} in {part}");
            }
            streams.push(line(part, "a=msid:").split(' ').next().expect("an id"));
        }
        assert_eq!(streams.len(), 2);
        assert_eq!(streams[0], streams[1], "one stream id");
    }
}

#[tokio::test]
async fn whep_011_013_a_second_picture_is_rejected_with_port_0_and_left_out_of_the_bundle() {
    let program = Program::shared().await;
    let video = CHROMIUM.find("m=video").expect("there is a picture");
    let audio = CHROMIUM.find("m=audio").expect("there is sound");
    let end = if audio > video { audio } else { CHROMIUM.len() };
    let second =
        CHROMIUM[video..end].replace(&format!("a=mid:{}", line(&CHROMIUM[video..end], "a=mid:")), "a=mid:more");
    let group = line(CHROMIUM, "a=group:BUNDLE ");
    let offer = CHROMIUM.replace(group, &format!("{group} more")) + &second;
    let answer = made(&program, &offer).await.answer;
    assert_eq!(mids(&answer), mids(&offer));
    let (session, media) = parts(&answer);
    assert_eq!(line(session, "a=group:BUNDLE "), group);
    assert!(media[2].starts_with("video 0 "), "{}", media[2]);
    assert!(media[..2].iter().all(|part| part.contains("a=sendonly")), "{answer}");
}

#[tokio::test]
async fn whep_015_017_the_answer_holds_every_candidate_and_the_end_of_them() {
    let program = Program::shared().await;
    let answer = made(&program, CHROMIUM).await.answer;
    let candidates: Vec<_> = answer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    assert!(!candidates.is_empty() && candidates.iter().all(|line| line.contains(" typ host")), "{candidates:?}");
    assert!(answer.lines().any(|line| line == "a=end-of-candidates"));
    assert!(!answer.contains("a=ice-lite"), "ICE is full");
}
