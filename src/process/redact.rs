//! Takes credentials out of FFmpeg's log.

mod places;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

pub use places::{credentials, stream_key_places};

/// What stands in place of a credential.
const MASK: &str = "***";
/// Shorter credentials are only masked where they stand as a word, for they may be part of harmless ones.
const UNMISTAKABLE: usize = 8;
/// Shorter ones are only masked in the places where credentials stand.
const SHORTEST: usize = 3;
/// RFC 3986 section 2.3: what needs no percent encoding.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Masks credentials: those of one process wherever they occur, and whatever stands in a place of credentials (the
/// user part of a URL, a query value or option of a telling name, an authorization or cookie header).
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, each in every spelling.
    secrets: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

impl Redactor {
    /// Learns the credentials among FFmpeg's arguments, and the stream keys of RTMP addresses among the outputs.
    pub fn new<'a>(arguments: impl IntoIterator<Item = &'a str>, outputs: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Vec::new();
        let mut option = "";
        for argument in arguments {
            if is_credential(option, argument) {
                found.push(argument);
            }
            option = argument;
            found.extend(places::secrets(argument));
        }
        for output in outputs {
            found.extend(places::secrets(output));
            found.extend(places::stream_keys(output));
        }
        Self::default().with(found)
    }

    /// The same, and these texts are credentials too, wherever they stand.
    #[must_use]
    pub fn with<'a>(self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let spellings = secrets.into_iter().flat_map(spellings).filter(|text| text.len() >= SHORTEST);
        let mut secrets: Vec<String> = spellings.chain(self.secrets).collect::<BTreeSet<_>>().into_iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// Arguments without credentials: what follows an option of a telling name is one as a whole.
    pub fn redact_arguments<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut is_value = false;
        let redact = |argument: &str| {
            let is_credential = is_value && !is_stream_number(argument);
            is_value = argument.strip_prefix('-').is_some_and(places::is_telling);
            if is_credential { MASK.to_owned() } else { self.redact(argument) }
        };
        arguments.into_iter().map(redact).collect()
    }

    /// The line without credentials.
    pub fn redact(&self, line: &str) -> String {
        let mut ranges = places::masked(line);
        for secret in &self.secrets {
            ranges.extend(occurrences(line, secret));
        }
        ranges.sort_by_key(|range| range.start);
        let mut redacted = String::with_capacity(line.len());
        let mut end = 0;
        for range in ranges {
            if range.start >= end {
                redacted.push_str(&line[end..range.start]);
                redacted.push_str(MASK);
            }
            end = end.max(range.end);
        }
        redacted.push_str(&line[end..]);
        redacted
    }
}

fn occurrences(line: &str, secret: &str) -> impl Iterator<Item = Range<usize>> {
    let is_word = |at: usize, text: &str| {
        let before = line[..at].chars().next_back();
        let after = line[at + text.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    };
    line.match_indices(secret)
        .filter(move |&(at, text)| text.len() >= UNMISTAKABLE || is_word(at, text))
        .map(|(at, text)| at..at + text.len())
}

/// The text as it stands, percent-decoded, and percent-encoded in the usual ways.
fn spellings(text: &str) -> Vec<String> {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    let mut spellings = vec![text.to_owned(), decoded.clone().into_owned()];
    for plain in [text, &decoded] {
        for set in [NON_ALPHANUMERIC, RESERVED] {
            let encoded = utf8_percent_encode(plain, set).to_string();
            spellings.push(with_lower_hex(&encoded));
            spellings.push(encoded);
        }
    }
    spellings
}

/// The same percent encoding with hex digits in lower case.
fn with_lower_hex(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_at(part.len().min(2));
        text.extend(["%", &hex.to_ascii_lowercase(), rest]);
    }
    text
}

/// Whether the value of an option, which is written with its dash, is a credential as a whole.
pub fn is_credential(option: &str, value: &str) -> bool {
    let is_telling = option.strip_prefix('-').is_some_and(places::is_telling);
    // The value of `-pass` may be the number of a pass of the encoder.
    is_telling && value.len() >= SHORTEST && !is_stream_number(value)
}

/// `-streamid 0:256` numbers the streams of MPEG-TS.
fn is_stream_number(argument: &str) -> bool {
    argument.split_once(':').is_some_and(|(stream, id)| {
        [stream, id].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(line: &str) -> String {
        Redactor::default().redact(line)
    }

    #[test]
    fn the_user_part_of_a_url_is_masked() {
        assert_eq!(
            redact("Input #0, rtsp, from 'rtsp://admin:p@ss@cam.local:554/a@b': rtsp://token@cam/"),
            "Input #0, rtsp, from 'rtsp://***@cam.local:554/a@b': rtsp://***@cam/"
        );
    }

    #[test]
    fn query_values_of_telling_names_are_masked() {
        for name in ["passphrase", "token", "access_token", "streamid", "key", "api-key", "password", "client_secret"]
            .into_iter()
            .chain(["auth", "signature", "X-Amz-Signature", "sig", "Expires-Token", "STREAMID", "jwt"])
        {
            assert_eq!(
                redact(&format!("srt://h:1?mode=caller&{name}=#!::u=a,m=b&latency=9: Input/output error")),
                format!("srt://h:1?mode=caller&{name}=***&latency=9: Input/output error")
            );
        }
    }

    #[test]
    fn headers_with_credentials_are_masked_to_their_end() {
        assert_eq!(
            redact("GET /a HTTP/1.1\\r\\nAuthorization: Basic YTpi\\r\\nHost: h\\r\\ncookie: a=b; c=d\\r\\n"),
            "GET /a HTTP/1.1\\r\\nAuthorization: ***\\r\\nHost: h\\r\\ncookie: ***\\r\\n"
        );
        assert_eq!(redact("X-Api-Key: abc"), "X-Api-Key: ***");
        assert_eq!(redact("sent Bearer eyJhbGciOi.x.y to h"), "sent Bearer *** to h");
    }

    #[test]
    fn harmless_lines_stay_as_they_are() {
        for line in [
            "Stream #0:0[0x101](eng): Video: h264 (High), yuv420p, 1280x720, 25 fps",
            "[libx264 @ 0x55] options: keyint=250 keyint_min=25 rc=crf authors=2",
            "Press [q] to stop, [?] for help",
            "https://example.org/a?list=1&monkeys=2#key",
            "frame=1 fps=2: done = yes",
            "Basic authentication failed",
        ] {
            assert_eq!(redact(line), line);
        }
    }

    #[test]
    fn secrets_of_the_arguments_are_masked_wherever_they_occur() {
        let redactor = Redactor::new(
            ["-passphrase", "correct horse", "-i", "rtsp://admin:hunter22@cam/1", "-headers"]
                .into_iter()
                .chain(["X-Token: tok-12345\r\nA: b\r\nAuthorization: Basic QWxhZGRpbg==\r\n", "-streamid", "0:256"])
                .chain(["-decryption_key", "0123456789abcdef", "srt://h?streamid=publish:cam:pw9&mode=caller"]),
            [],
        );
        for (line, expected) in [
            ("got correct horse!", "got ***!"),
            ("user admin with hunter22 on cam", "user admin with *** on cam"),
            ("xhunter22x", "x***x"),
            ("header tok-12345 and QWxhZGRpbg==", "header *** and ***"),
            ("id=0:256 of key 0123456789abcdef", "id=0:256 of key ***"),
            ("publish:cam:pw9 refused", "*** refused"),
        ] {
            assert_eq!(redactor.redact(line), expected);
        }
    }

    #[test]
    fn arguments_are_shown_without_the_credentials_among_them() {
        let arguments = ["-password", "x", "-streamid", "0:256", "-i", "rtsp://u:hunter22@cam/", "-f", "flv"];
        let output = "rtmp://live.example/app/stream-key";
        let redactor = Redactor::new(arguments, [output]).with(["north wind"]);
        assert_eq!(
            redactor.redact_arguments(arguments.into_iter().chain([output, "title=north wind"])),
            ["-password", "***", "-streamid", "0:256", "-i", "rtsp://***@cam/", "-f", "flv"]
                .into_iter()
                .chain(["rtmp://live.example/app/***", "title=***"])
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn other_spellings_of_a_secret_are_masked_too() {
        let redactor = Redactor::new(["-password", "sün&den-1"], []);
        for spelling in ["sün&den-1", "s%C3%BCn%26den-1", "s%c3%bcn%26den%2d1", "s%C3%BCn%26den%2D1"] {
            assert_eq!(redactor.redact(&format!("at {spelling}.")), "at ***.");
        }
        let redactor = Redactor::new(["http://u:p%40ssw%2fd@h/"], []);
        for spelling in ["p%40ssw%2fd", "p@ssw/d", "p%40ssw%2Fd", "p%2540ssw%252fd"] {
            assert_eq!(redactor.redact(&format!("at {spelling}.")), "at ***.");
        }
    }

    #[test]
    fn stream_keys_of_rtmp_outputs_are_masked() {
        let redactor = Redactor::new(
            [],
            [
                "rtmp://a.example/live2/abcd-efgh",
                "[f=hls]/data/live.m3u8|[f=flv]rtmps://b.example:443/app/live_42_x?bandwidthtest=true|[f=flv]rtmp://c/d/e/",
                "rtmp://f/one-app playpath=k3y!value",
                "rtmps://b.example/live2?backup=1/wxyz-1234",
            ],
        );
        assert_eq!(
            redactor.redact("Output #0, flv, to 'rtmp://a.example/live2/abcd-efgh':"),
            "Output #0, flv, to 'rtmp://a.example/live2/***':"
        );
        assert_eq!(redactor.redact("fname = live_42_x, app = live2, k3y!value"), "fname = ***, app = live2, ***");
        assert_eq!(redactor.redact("app = live2?backup=1, wxyz-1234"), "app = live2?backup=1, ***");
    }

    #[test]
    fn short_secrets_are_masked_as_words_only() {
        let redactor = Redactor::new(["-password", "live", "-token", "a"], []);
        assert_eq!(redactor.redact("a live picture, delivered"), "a *** picture, delivered");
    }

    #[test]
    fn values_with_odd_characters_are_masked_whole() {
        let redactor = Redactor::new(["srt://h?passphrase=pa|ss wo'rd&mode=caller", "rtsp://u:w|x y'z@h/"], []);
        assert_eq!(redactor.redact("pa|ss wo'rd"), "***");
        assert_eq!(redactor.redact("rtsp://u:w|x y'z@h/: refused"), "rtsp://u:***@h/: refused");
    }

    #[test]
    fn texts_that_are_known_to_be_secret_are_masked_wherever_they_stand() {
        let redactor = Redactor::new(["-token", "first-token"], []).with(["hunter2", "north wind", "x", ""]);
        assert_eq!(redactor.redact("hunter2, north wind, first-token, x"), "***, ***, ***, x");
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Redactor::new(["-key", "topsecret"], [])), "Redactor(1 secrets)");
    }
}
