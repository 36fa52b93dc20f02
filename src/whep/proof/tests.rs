//! Sessions against a [`Watcher`], without sockets.

use super::super::Refusal;
use super::*;

#[test]
fn the_engine_gives_the_keys_that_the_other_side_has() {
    assert_eq!(self_test(Instant::now()), Ok(()));
}

fn offered(ice_lite: bool, now: Instant) -> (Session, String) {
    Session::offer(&settings(ice_lite), &stream(), "nothing is in common", 1, now).expect("it is offered")
}

#[test]
fn a_counter_offer_connects_in_both_roles_of_dtls_and_of_ice() {
    for (passive, ice_lite) in [(false, false), (true, false), (false, true), (true, true)] {
        let now = Instant::now();
        let (mut session, offer) = offered(ice_lite, now);
        let mut watcher = Watcher::answering(address(WATCHER), &offer, passive, now).expect("it answers");
        let setup = if passive { "a=setup:passive" } else { "a=setup:active" };
        assert!(watcher.answer().contains(setup), "{}", watcher.answer());
        session.handle_answer(None, watcher.answer(), now).expect("it is taken");
        assert_eq!(connect(&mut session, &mut watcher, now), Ok(()), "{passive} {ice_lite}");
    }
}

#[test]
fn a_viewer_of_a_counter_offer_whose_address_changes_goes_on() {
    for ice_lite in [false, true] {
        let mut now = Instant::now();
        let (mut session, offer) = offered(ice_lite, now);
        let mut watcher = Watcher::answering(address(WATCHER), &offer, false, now).expect("it answers");
        session.handle_answer(None, watcher.answer(), now).expect("it is taken");
        connect(&mut session, &mut watcher, now).expect("it connects");
        let (elsewhere, mut is_there) = (address("127.0.0.1:3"), false);
        for _ in 0..3_000 {
            now += Duration::from_millis(10);
            session.handle_timeout(now);
            watcher.handle_timeout(now).expect("it goes on");
            while let Some(Transmit { datagram, .. }) = watcher.poll_transmit() {
                session.handle_datagram(elsewhere, &datagram, now);
            }
            while let Some(Transmit { to, datagram }) = session.poll_transmit() {
                if to == elsewhere {
                    let _ = watcher.handle_datagram(address(GATEWAY), &datagram, now);
                }
            }
            while let Some(event) = session.poll_event(now) {
                match event {
                    Event::Moved(to) => is_there = to == elsewhere,
                    Event::Closed(why) => panic!("{why}"),
                    _ => {}
                }
            }
        }
        assert!(is_there, "{ice_lite}");
    }
}

#[test]
fn a_viewer_of_a_counter_offer_may_restart_ice() {
    for ice_lite in [false, true] {
        let now = Instant::now();
        let (mut session, offer) = offered(ice_lite, now);
        let mut watcher = Watcher::answering(address(WATCHER), &offer, false, now).expect("it answers");
        session.handle_answer(None, watcher.answer(), now).expect("it is taken");
        connect(&mut session, &mut watcher, now).expect("it connects");
        let etag = session.etag().to_owned();
        let fragment = watcher.restart(now).expect("it restarts");
        let restart = session.handle_fragment(Some(&etag), &fragment, now).expect("it is taken").expect("a restart");
        assert!(restart.fragment.contains("a=group:BUNDLE 0 1\r\n"), "{}", restart.fragment);
        assert_ne!(restart.etag, etag);
    }
}

#[test]
fn h264_is_offered_as_what_it_is_and_as_what_decoders_take_it_for() {
    let now = Instant::now();
    let profile = Some(crate::rtp::Profile { id: 100, flags: 0, level: 40 });
    let high = Track { codec: Codec::H264, ssrc: 11, retransmission_ssrc: 12, profile };
    let stream = StreamMedia { tracks: vec![high] };
    let offer = || Session::offer(&settings(false), &stream, "nothing is in common", 1, now).expect("it is offered");
    for (known, expected, family) in [("96 97 98 99", 96, "6400"), ("100 101 102 103", 100, "42e0")] {
        let (mut session, offer) = offer();
        let sdp = offer.replace("SAVPF 96 97 98 99 100 101 102 103", &format!("SAVPF {known}"));
        assert_ne!(offer, sdp);
        let mut watcher = Watcher::answering(address(WATCHER), &sdp, false, now).expect("it answers");
        session.handle_answer(None, watcher.answer(), now).expect("it is taken");
        let accepted = &session.accepted()[0];
        assert_eq!(accepted.offered.payload_type, expected);
        assert!(accepted.fmtp.ends_with(&format!("profile-level-id={family}28")), "{}", accepted.fmtp);
        assert_eq!(connect(&mut session, &mut watcher, now), Ok(()));
    }
}

#[test]
fn every_codec_can_be_offered() {
    let now = Instant::now();
    for codec in Codec::ALL {
        let track = Track { codec, ssrc: 11, retransmission_ssrc: 12, profile: None };
        let stream = StreamMedia { tracks: vec![track] };
        let (_, offer) = Session::offer(&settings(false), &stream, "nothing", 1, now).expect("it is offered");
        let map = format!(" {}/{}", codec.name(), codec.clock_rate());
        assert!(offer.contains(&map) && offer.contains("a=sendonly") && !offer.contains("a=mid:1"), "{offer}");
    }
}

#[test]
fn after_an_answer_that_cannot_be_used_a_good_one_is_taken() {
    let now = Instant::now();
    let (mut session, offer) = offered(false, now);
    let watcher = Watcher::answering(address(WATCHER), &offer, false, now).expect("it answers");
    let good = watcher.answer();
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().concat();
    let odd = |at: usize| without(at) + &lines[at].replace(':', ": x");
    let broken = (0..lines.len()).flat_map(|at| [without(at), odd(at), lines[..at].concat()]);
    for text in broken {
        match session.handle_answer(None, &text, now) {
            Ok(()) => {}
            Err(Refusal::Malformed(_) | Refusal::Unprocessable(_) | Refusal::NothingTaken(_)) => {
                let taken = session.handle_answer(None, good, now);
                assert_eq!(taken, Ok(()), "after {text}");
            }
            Err(other) => panic!("{other}: {text}"),
        }
        assert_eq!(session.handle_answer(None, good, now), Err(Refusal::AlreadyAnswered));
        session = offered(false, now).0;
    }
}
