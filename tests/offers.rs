//! Offers of real players, in `tests/offers`: each is answered for each kind of stream, and the answer is checked against
//! the offer. What an answer has to be for each of them stands in [`ANSWERS`]; what it must be for all is [`check`].

use std::collections::BTreeSet;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use dragonfork::rtp::{Codec, MediaKind, Profile};
use dragonfork::whep::{Refusal, Session, Settings, StreamMedia, Track};
use rtc::sdp::{MediaDescription, SessionDescription};

/// The streams that are offered for, in the order of the columns.
const STREAMS: [&[Codec]; 6] = [
    &[Codec::H264, Codec::Opus],
    &[Codec::H264],
    &[Codec::Opus],
    &[Codec::Vp8, Codec::Opus],
    &[Codec::H265, Codec::Opus],
    &[Codec::Av1, Codec::Opus],
];

/// What each offer is answered with. A column has one word for each media description: the payload type that is sent,
/// `inactive` where it only carries the transport, `-` where it is rejected. Or the status of a refusal.
#[rustfmt::skip]
const ANSWERS: &[(&str, [&str; 6])] = &[
    // offer                                      H.264 and Opus      H.264                   Opus              VP8 and Opus       H.265 and Opus    AV1 and Opus
    ("aiortc116",                               ["101 96",           "101 -",                "inactive 96",    "97 96",           "inactive 96",    "inactive 96"]),
    ("chromium156_audio",                       ["111",              "406",                  "111",            "111",             "111",            "111"]),
    ("chromium156_audio_first",                 ["111 108",          "inactive 108",         "111 -",          "111 96",          "111 -",          "111 45"]),
    ("chromium156_data_first_max_bundle",       ["inactive 108 111", "inactive 108 -",       "inactive - 111", "inactive 96 111", "inactive - 111", "inactive 45 111"]),
    ("chromium156_data_last",                   ["108 111 -",        "108 - -",              "inactive 111 -", "96 111 -",        "inactive 111 -", "45 111 -"]),
    ("chromium156_data_only",                   ["422",              "422",                  "422",            "422",             "422",            "422"]),
    ("chromium156_gathered",                    ["108 111",          "108 -",                "inactive 111",   "96 111",          "inactive 111",   "45 111"]),
    ("chromium156_inactive_first",              ["inactive 108 111", "inactive 108 -",       "inactive - 111", "inactive 96 111", "inactive - 111", "inactive 45 111"]),
    ("chromium156_many",                        ["111 108 - - - -",  "inactive 108 - - - -", "111 - - - - -",  "111 96 - - - -",  "111 - - - - -",  "111 45 - - - -"]),
    ("chromium156_max_bundle",                  ["111 108",          "inactive 108",         "111 -",          "111 96",          "111 -",          "111 45"]),
    ("chromium156_max_bundle_sendonly_first",   ["inactive 108 111", "inactive 108 -",       "inactive - 111", "inactive 96 111", "inactive - 111", "inactive 45 111"]),
    ("chromium156_max_bundle_two_videos",       ["108 - 111",        "108 - -",              "inactive - 111", "96 - 111",        "inactive - 111", "45 - 111"]),
    ("chromium156_mdns",                        ["108 111",          "108 -",                "inactive 111",   "96 111",          "inactive 111",   "45 111"]),
    ("chromium156_nocands",                     ["108 111",          "108 -",                "inactive 111",   "96 111",          "inactive 111",   "45 111"]),
    ("chromium156_sendonly",                    ["422",              "422",                  "422",            "422",             "422",            "422"]),
    ("chromium156_sendrecv",                    ["108 111",          "108 -",                "inactive 111",   "96 111",          "inactive 111",   "45 111"]),
    ("chromium156_stopped",                     ["- 108 111",        "- 108 -",              "- inactive 111", "- 96 111",        "- inactive 111", "- 45 111"]),
    ("chromium156_two_videos",                  ["108 - 111",        "108 - -",              "inactive - 111", "96 - 111",        "inactive - 111", "45 - 111"]),
    ("chromium156_video",                       ["108",              "108",                  "406",            "96",              "406",            "45"]),
    ("chromium156_vp8",                         ["inactive 111",     "406",                  "inactive 111",   "96 111",          "inactive 111",   "inactive 111"]),
    ("firefox153_h264",                         ["126 109",          "126 -",                "inactive 109",   "120 109",         "inactive 109",   "99 109"]),
    ("firefox153_mdns_h264",                    ["126 109",          "126 -",                "inactive 109",   "120 109",         "inactive 109",   "99 109"]),
    ("gstreamer_1.22.0_max_bundle",             ["96 111",           "96 -",                 "inactive 111",   "inactive 111",    "inactive 111",   "inactive 111"]),
    ("gstreamer_1.22.0_max_bundle_audio_first", ["111 96",           "inactive 96",          "111 -",          "111 97",          "111 99",         "111 -"]),
    ("gstreamer_1.22.0_max_bundle_fmtp",        ["96 111",           "96 -",                 "inactive 111",   "97 111",          "inactive 111",   "inactive 111"]),
    ("gstreamer_1.22.0_no_bundle",              ["422",              "422",                  "422",            "422",             "422",            "422"]),
    ("gstreamer_1.22.0_no_bundle_video",        ["96",               "96",                   "406",            "406",             "406",            "406"]),
    ("gstreamer_1.22.0_vp8",                    ["406",              "406",                  "406",            "97",              "406",            "406"]),
    ("safari26.5_by_hand",                      ["98 111",           "98 -",                 "inactive 111",   "107 111",         "35 111",         "inactive 111"]),
    ("safari26.5_level52_by_hand",              ["98 111",           "98 -",                 "inactive 111",   "107 111",         "35 111",         "inactive 111"]),
    ("safari26.5_sendrecv_data_by_hand",        ["111 98 -",         "inactive 98 -",        "111 - -",        "111 107 -",       "111 35 -",       "111 - -"]),
    ("str0m_0.25.0",                            ["108 111",          "108 -",                "inactive 111",   "96 111",          "102 111",        "45 111"]),
    ("str0m_0.25.0_audio",                      ["111",              "406",                  "111",            "111",             "111",            "111"]),
    ("str0m_0.25.0_sendrecv_data",              ["111 108 -",        "inactive 108 -",       "111 - -",        "111 96 -",        "111 102 -",      "111 45 -"]),
    ("str0m_0.25.0_video",                      ["108",              "108",                  "406",            "96",              "102",            "45"]),
    ("str0m_0.25.0_vp8",                        ["inactive 111",     "406",                  "inactive 111",   "96 111",          "inactive 111",   "inactive 111"]),
    ("webrtc_0.17.1",                           ["125 111",          "125 -",                "inactive 111",   "96 111",          "126 111",        "41 111"]),
    ("webrtc_0.21.1_play",                      ["102 111",          "102 -",                "inactive 111",   "96 111",          "112 111",        "100 111"]),
    ("werift_0.25.2_audio",                     ["96",               "406",                  "96",             "96",              "96",             "96"]),
    ("werift_0.25.2_default",                   ["inactive 96",      "406",                  "inactive 96",    "98 96",           "inactive 96",    "inactive 96"]),
    ("werift_0.25.2_h264",                      ["98 96",            "98 -",                 "inactive 96",    "97 96",           "inactive 96",    "inactive 96"]),
    ("werift_0.25.2_video",                     ["98",               "98",                   "406",            "97",              "406",            "406"]),
];

/// The text of every offer, by the name of its file.
fn offers() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/offers");
    let paths = std::fs::read_dir(folder).expect("there are offers").map(|entry| entry.expect("it can be read").path());
    let paths: BTreeSet<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "sdp")).collect();
    let name =
        |path: &Path| path.file_stem().expect("a name").to_string_lossy().trim_start_matches("offer_").to_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("text"))).collect()
}

/// A stream with the profiles that are most often sent.
fn stream(codecs: &[Codec]) -> StreamMedia {
    let profile = |codec| match codec {
        Codec::H264 => Some(Profile { id: 66, flags: 0xc0, level: 31 }),
        Codec::H265 => Some(Profile { id: 1, flags: 0, level: 93 }),
        Codec::Av1 => Some(Profile { id: 0, flags: 0, level: 5 }),
        Codec::Vp8 | Codec::Vp9 | Codec::Opus => None,
    };
    let track = |(number, codec): (usize, &Codec)| Track {
        codec: *codec,
        ssrc: 10 + number as u32,
        retransmission_ssrc: 20 + number as u32,
        profile: profile(*codec),
    };
    StreamMedia { tracks: codecs.iter().enumerate().map(track).collect() }
}

fn answer(offer: &str, codecs: &[Codec]) -> Result<String, Refusal> {
    let address = SocketAddr::from(([192, 0, 2, 1], 8189));
    let provider = Arc::new(rtc::crypto::providers::AwsLcRsProvider::new());
    let settings =
        Settings { provider, canonical: vec![address], announced: vec![address], ice_lite: false, tcp: false };
    Session::answer(&settings, &stream(codecs), offer, 1, Instant::now()).map(|(_, answer)| answer)
}

fn parsed(text: &str) -> SessionDescription {
    SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes())).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The values of all attributes of a name, empty for one without a value.
fn all<'a>(media: &'a MediaDescription, key: &str) -> Vec<&'a str> {
    let of_name = media.attributes.iter().filter(|attribute| attribute.key == key);
    of_name.map(|attribute| attribute.value.as_deref().unwrap_or_default()).collect()
}

/// The one attribute of a name.
fn one<'a>(media: &'a MediaDescription, key: &str) -> &'a str {
    let [value] = all(media, key)[..] else { panic!("one a={key}, not {:?}", all(media, key)) };
    value
}

/// What the attributes of a name say of a payload type: `a=rtpmap:96 VP8/90000`.
fn of<'a>(media: &'a MediaDescription, key: &str, payload_type: &str) -> Vec<&'a str> {
    let lines = all(media, key).into_iter().filter_map(|line| line.split_once(' '));
    lines.filter(|(format, _)| [payload_type, "*"].contains(format)).map(|(_, rest)| rest).collect()
}

fn parameter<'a>(media: &'a MediaDescription, payload_type: &str, name: &str) -> Option<&'a str> {
    let line = *of(media, "fmtp", payload_type).first()?;
    line.split(';').filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn is(media: &MediaDescription, flag: &str) -> bool {
    media.attributes.iter().any(|attribute| attribute.key == flag)
}

/// The `a=mid`s of the BUNDLE group.
fn bundle(description: &SessionDescription) -> Vec<&str> {
    let groups = description.attributes.iter().filter(|attribute| attribute.key == "group");
    let values = groups.filter_map(|group| group.value.as_deref()?.strip_prefix("BUNDLE "));
    values.flat_map(str::split_whitespace).collect()
}

/// The row of [`ANSWERS`] that an answer would have.
fn row(answer: &Result<String, Refusal>) -> String {
    let word = |media: &MediaDescription| match media.media_name.port.value {
        0 => "-".to_owned(),
        _ if is(media, "sendonly") => media.media_name.formats[0].clone(),
        _ => "inactive".to_owned(),
    };
    match answer {
        Ok(answer) => parsed(answer).media_descriptions.iter().map(word).collect::<Vec<_>>().join(" "),
        Err(Refusal::NoCommonCodec(_)) => "406".into(),
        Err(Refusal::Unprocessable(_)) => "422".into(),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

/// What holds for every answer to every offer.
fn check(offer: &str, answer: &str, codecs: &[Codec]) {
    assert!(answer.split_inclusive('\n').all(|line| line.ends_with("\r\n")), "each line ends with CR LF");
    let (offer, answer) = (parsed(offer), parsed(answer));
    let fingerprint = answer.attribute("fingerprint").expect("a fingerprint");
    let octets = fingerprint.strip_prefix("sha-256 ").expect("SHA-256").split(':');
    assert_eq!(octets.filter(|octet| u8::from_str_radix(octet, 16).is_ok()).count(), 32, "{fingerprint}");
    assert_eq!(answer.media_descriptions.len(), offer.media_descriptions.len());
    let pairs: Vec<_> = offer.media_descriptions.iter().zip(&answer.media_descriptions).collect();
    for (offered, media) in &pairs {
        let (asked, given) = (&offered.media_name, &media.media_name);
        assert_eq!((&given.media, &given.protos), (&asked.media, &asked.protos));
        assert_eq!(all(media, "mid"), all(offered, "mid"));
        assert!(given.formats.iter().all(|format| asked.formats.contains(format)), "{given}");
        if given.port.value == 0 {
            assert!(given.formats.len() == 1 && is(media, "inactive"), "{given}");
            let map = |media| of(media, "rtpmap", &given.formats[0]);
            assert_eq!(map(media), map(offered), "str0m reads no format without its meaning");
            assert!(is(media, "ice-ufrag") && is(media, "ice-pwd") && is(media, "setup"), "GStreamer looks for them");
        } else {
            check_transport(offered, media);
            if given.media != "application" {
                check_codecs(offered, media, codecs);
            }
        }
    }
    let taken: Vec<_> =
        pairs.iter().map(|(_, media)| *media).filter(|media| media.media_name.port.value != 0).collect();
    check_bundle(&offer, &answer, &taken);
    let sent: Vec<_> = taken.into_iter().filter(|media| is(media, "sendonly")).collect();
    let kinds: BTreeSet<_> = sent.iter().map(|media| &media.media_name.media).collect();
    assert!(!sent.is_empty() && kinds.len() == sent.len(), "one picture and one sound at most: {kinds:?}");
    let streams: BTreeSet<_> = sent.iter().map(|media| one(media, "msid").split(' ').next()).collect();
    assert_eq!(streams.len(), 1, "one stream id");
}

/// The BUNDLE group is part of the offer's, in its order, and is just what is taken; the first of it has the candidates.
fn check_bundle(offer: &SessionDescription, answer: &SessionDescription, taken: &[&MediaDescription]) {
    let (offered, bundled) = (bundle(offer), bundle(answer));
    let in_order: Vec<_> = offered.iter().copied().filter(|mid| bundled.contains(mid)).collect();
    assert_eq!(in_order, bundled, "of {offered:?}");
    let mids: BTreeSet<_> = taken.iter().map(|media| one(media, "mid")).collect();
    let first = if offered.is_empty() {
        assert_eq!(mids.len(), 1, "no bundle, one media description");
        *mids.first().expect("one")
    } else {
        assert_eq!(bundled.iter().copied().collect::<BTreeSet<_>>(), mids);
        bundled[0]
    };
    for media in &answer.media_descriptions {
        let has = usize::from(all(media, "mid") == [first]);
        assert_eq!(all(media, "candidate").len(), has, "a=candidate in {:?}", all(media, "mid"));
        assert_eq!(all(media, "end-of-candidates").len(), has);
    }
}

fn check_transport(offered: &MediaDescription, media: &MediaDescription) {
    assert!(offered.media_name.port.value != 0 || is(offered, "bundle-only"), "a rejected one stays so (RFC 3264)");
    let (ufrag, password) = (one(media, "ice-ufrag"), one(media, "ice-pwd"));
    assert!((4..=256).contains(&ufrag.len()) && (22..=256).contains(&password.len()), "RFC 8839: {ufrag} {password}");
    assert_eq!(one(media, "setup"), "passive");
    if media.media_name.media == "application" {
        return assert!(is(media, "sctp-port"));
    }
    assert!(is(media, "rtcp-mux") && is(offered, "rtcp-mux"));
    let directions: Vec<_> =
        ["sendonly", "inactive", "sendrecv", "recvonly"].into_iter().filter(|word| is(media, word)).collect();
    match directions[..] {
        ["sendonly"] => assert!(!is(offered, "sendonly") && !is(offered, "inactive")),
        ["inactive"] => {}
        _ => panic!("{directions:?}"),
    }
    for flag in ["rtcp-rsize", "rtcp-xr", "extmap"] {
        let given = all(media, flag);
        let words = |line: &str| line.replace("/recvonly", "").replace("/sendonly", "");
        let asked: Vec<_> = all(offered, flag).into_iter().map(words).collect();
        assert!(given.iter().all(|line| asked.iter().any(|asked| asked == line)), "a={flag}: {given:?} of {asked:?}");
    }
}

/// Only codecs of the stream are sent, under payload types, profiles and feedback of the offer.
fn check_codecs(offered: &MediaDescription, media: &MediaDescription, codecs: &[Codec]) {
    let [main, others @ ..] = &media.media_name.formats[..] else { panic!("no format") };
    let lower = |lines: Vec<&str>| lines.into_iter().map(str::to_lowercase).collect::<Vec<_>>();
    assert_eq!(lower(of(media, "rtpmap", main)), lower(of(offered, "rtpmap", main)));
    assert!(of(media, "rtcp-fb", main).iter().all(|feedback| of(offered, "rtcp-fb", main).contains(feedback)));
    let map = of(media, "rtpmap", main)[0];
    let codec =
        codecs.iter().find(|codec| map.to_lowercase().starts_with(&format!("{}/", codec.name()).to_lowercase()));
    if is(media, "inactive") {
        assert!(others.is_empty());
        return;
    }
    let codec = codec.unwrap_or_else(|| panic!("the stream has no {map}"));
    let kind = if codec.kind() == MediaKind::Video { "video" } else { "audio" };
    assert_eq!(media.media_name.media, kind);
    let rtx: Vec<_> = others.iter().map(|format| (of(media, "rtpmap", format), of(media, "fmtp", format))).collect();
    let resent = offered.media_name.formats.iter().find(|format| parameter(offered, format, "apt") == Some(main));
    assert_eq!(others.iter().collect::<Vec<_>>(), resent.into_iter().collect::<Vec<_>>(), "a=fmtp apt={main}");
    assert!(rtx.iter().all(|(map, fmtp)| *map == ["rtx/90000"] && *fmtp == [format!("apt={main}")]), "{rtx:?}");
    let family = |media| parameter(media, main, "profile-level-id").map(|id| id[..4].to_lowercase());
    if *codec == Codec::H264 {
        assert_eq!(parameter(media, main, "packetization-mode"), Some("1"));
        assert!(family(offered).is_none_or(|asked| family(media) == Some(asked)), "the offered profile");
    }
    for name in ["profile-id", "profile", "tier-flag", "tx-mode"] {
        let (asked, given) = (parameter(offered, main, name), parameter(media, main, name));
        assert!(asked.is_none() || asked == given, "{name}: {asked:?} {given:?}");
    }
}

#[test]
fn every_offer_is_answered_with_what_the_stream_has_and_the_player_takes() {
    let offers = offers();
    let mut wrong = Vec::new();
    for (name, offer) in &offers {
        let rows = STREAMS.map(|codecs| {
            let answer = answer(offer, codecs);
            if let Ok(answer) = &answer
                && std::panic::catch_unwind(|| check(offer, answer, codecs)).is_err()
            {
                wrong.push(format!("{name} for a stream of {codecs:?} is answered\n{answer}"));
            }
            row(&answer)
        });
        let wanted = ANSWERS.iter().find(|(of, _)| of == name).map(|(_, answers)| answers.map(str::to_owned));
        if wanted.as_ref() != Some(&rows) {
            wrong.push(format!("{name} is answered {rows:?}, not {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(ANSWERS.len(), offers.len(), "a row of no offer");
}
