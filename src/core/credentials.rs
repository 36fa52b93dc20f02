//! Credentials of a process -> parameters of its manifest and values beside it.
//!
//! What stays in the manifest is read with `$(NAME)` in it, so a `$` of datarhei Core's, which knows no parameters, is
//! escaped where it would be read as one.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::crd::{KeyRef, Param, RestreamProcessSpec, ValueFrom};
use crate::process;

/// Characters of a parameter's name at most, before its number.
const MAX_NAME: usize = 48;

/// Moves every credential out of a manifest that has no parameters yet. Its values come back by their key in the Secret of
/// this name; beside them comes what had to stay.
pub fn take_out(spec: &mut RestreamProcessSpec, secret: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let mut vault = Vault::default();
    vault.options("options", &mut spec.options);
    for (at, input) in spec.input.iter_mut().enumerate() {
        vault.options(&format!("input[{at}].options"), &mut input.options);
        let found = places(&input.address);
        vault.text(&format!("input[{at}].address"), &mut input.address, found);
    }
    for (at, output) in spec.output.iter_mut().enumerate() {
        let names_key = output.options.iter().any(|option| option == "-rtmp_playpath");
        vault.options(&format!("output[{at}].options"), &mut output.options);
        let mut found = places(&output.address);
        if !names_key {
            found.extend(stream_keys(&output.address));
        }
        vault.text(&format!("output[{at}].address"), &mut output.address, found);
    }
    if let Some(webrtc) = &mut spec.webrtc {
        vault.options("webrtc.video.options", &mut webrtc.video.options);
        vault.options("webrtc.audio.options", &mut webrtc.audio.options);
    }
    let Vault { names, left } = vault;
    let mut values = BTreeMap::new();
    for (value, name) in names {
        let key = name.to_ascii_lowercase().replace('_', "-");
        let reference = KeyRef { name: secret.to_owned(), key: key.clone() };
        let value_from = Some(ValueFrom { secret_key_ref: Some(reference), config_map_key_ref: None });
        spec.params.push(Param { name, value: None, value_from });
        values.insert(key, value);
    }
    spec.params.sort_by(|one, other| one.name.cmp(&other.name));
    (values, left)
}

/// A credential within a text, and what its parameter is called.
struct Place {
    range: Range<usize>,
    name: String,
}

/// What was taken out so far.
#[derive(Default)]
struct Vault {
    /// Names of parameters by their value.
    names: BTreeMap<String, String>,
    /// What had to stay.
    left: Vec<String>,
}

impl Vault {
    fn options(&mut self, path: &str, options: &mut [String]) {
        let mut before = String::new();
        for (at, option) in options.iter_mut().enumerate() {
            let written = option.clone();
            let found = match process::is_credential(&before, option) {
                true => vec![Place { range: 0..option.len(), name: capital(before.trim_start_matches('-')) }],
                false => places(option),
            };
            self.text(&format!("{path}[{at}]"), option, found);
            before = written;
        }
    }

    fn text(&mut self, path: &str, text: &mut String, mut found: Vec<Place>) {
        found.sort_by_key(|place| place.range.start);
        let placeholders = placeholders(text);
        let mut kept = String::new();
        let mut end = 0;
        for Place { range, name } in found.into_iter().filter(|place| !place.range.is_empty()) {
            if range.start < end {
                continue;
            }
            let overlaps = |other: &Range<usize>| other.start < range.end && range.start < other.end;
            if placeholders.iter().any(overlaps) {
                // Within a value no placeholder would be replaced.
                self.left.push(format!("{path}: {name} holds a placeholder, so it stays in the manifest"));
                continue;
            }
            kept.push_str(&escaped(&text[end..range.start], true));
            kept.push_str(&format!("$({})", self.name(&text[range.clone()], &name)));
            end = range.end;
        }
        kept.push_str(&escaped(&text[end..], false));
        *text = kept;
    }

    /// The name of the parameter with this value; the same for the same value.
    fn name(&mut self, value: &str, name: &str) -> String {
        if let Some(known) = self.names.get(value) {
            return known.clone();
        }
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let is_free = |name: &String| !self.names.values().any(|taken| taken == name);
        let free =
            std::iter::once(name.to_owned()).chain(numbered).find(is_free).expect("there are more numbers than names");
        self.names.insert(value.to_owned(), free.clone());
        free
    }
}

fn places(text: &str) -> Vec<Place> {
    let found = process::credentials(text).into_iter();
    found.map(|range| Place { name: called(&text[..range.start]), range }).collect()
}

/// The keys of streams that go to other machines.
fn stream_keys(address: &str) -> impl Iterator<Item = Place> {
    let is_here = |host: &str| host == "localhost" || host.starts_with("127.") || host == "[::1]";
    let found = process::stream_key_places(address).into_iter().filter(move |(host, _)| !is_here(host));
    found.map(|(_, range)| Place { range, name: "STREAM_KEY".into() })
}

/// What a credential is called, from the text before it.
fn called(before: &str) -> String {
    if before.ends_with("Bearer ") {
        return "TOKEN".into();
    }
    let authority = before.rsplit_once("://").map(|(_, behind)| behind);
    if authority.is_some_and(|behind| !behind.contains(['/', '?', '#', ' '])) {
        return "PASSWORD".into();
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let named = before.trim_end_matches(['\'', '"', ' ', '=', ':', '\\']);
    capital(&named[named.trim_end_matches(is_name).len()..])
}

/// A word as the name of a parameter.
fn capital(word: &str) -> String {
    // A stream specifier may follow an option's name.
    let word = word.split(':').next().unwrap_or_default().to_ascii_uppercase();
    let name = word.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let name = name.trim_matches(|c: char| c == '_' || c.is_ascii_digit());
    let name: String = name.chars().take(MAX_NAME).collect();
    if name.is_empty() { "SECRET".into() } else { name }
}

/// Where placeholders such as `{rtmp,name=cam}` stand.
fn placeholders(text: &str) -> Vec<Range<usize>> {
    let begins = text.match_indices('{').filter(|(at, _)| text[at + 1..].starts_with(|c: char| c.is_ascii_lowercase()));
    begins.filter_map(|(at, _)| Some(at..at + text[at..].find('}')? + 1)).collect()
}

/// The text with each `$` doubled that would be read as one of `$$` or `$(`, here or before what comes next.
fn escaped(text: &str, before_parameter: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let behind = rest[at..].trim_start_matches('$');
        let run = rest.len() - at - behind.len();
        let is_read = run > 1 || behind.starts_with('(') || (behind.is_empty() && before_parameter);
        escaped.push_str(&rest[..at]);
        escaped.push_str(&"$".repeat(if is_read { 2 * run } else { run }));
        rest = behind;
    }
    escaped + rest
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::{Known, Plan, Secret, Surroundings};

    /// The process as it is written now, and its values.
    fn taken(json: Value) -> (RestreamProcessSpec, BTreeMap<String, String>, Vec<String>) {
        let mut spec: RestreamProcessSpec = serde_json::from_value(json).expect("it is one");
        let (values, left) = take_out(&mut spec, "cam");
        (spec, values, left)
    }

    fn address(side: &str, address: &str) -> (String, Vec<(String, String)>) {
        let (input, output) = match side {
            "input" => (address, "rtmp://localhost/live/x"),
            _ => ("testsrc", address),
        };
        let (spec, values, left) = taken(json!({
            "input": [{"id": "i", "address": input}], "output": [{"id": "o", "address": output}],
        }));
        assert_eq!(left, [] as [String; 0]);
        let written = if side == "input" { spec.input[0].address.clone() } else { spec.output[0].address.clone() };
        (written, values.into_iter().collect())
    }

    #[test]
    fn credentials_leave_an_address_and_everything_else_stays() {
        for (side, before, after, value) in [
            (
                "input",
                "rtsp://admin:p%40ss@cam:554/1?a=b",
                "rtsp://admin:$(PASSWORD)@cam:554/1?a=b",
                Some(("password", "p%40ss")),
            ),
            ("input", "rtsp://token@cam/1", "rtsp://$(PASSWORD)@cam/1", Some(("password", "token"))),
            (
                "input",
                "https://h/a.m3u8?x=1&token=abc&y=2",
                "https://h/a.m3u8?x=1&token=$(TOKEN)&y=2",
                Some(("token", "abc")),
            ),
            (
                "output",
                "srt://h:9?streamid=#!::m=publish,r=x",
                "srt://h:9?streamid=$(STREAMID)",
                Some(("streamid", "#!::m=publish,r=x")),
            ),
            (
                "output",
                "rtmps://a.rtmp.youtube.com/live2/ab-cd",
                "rtmps://a.rtmp.youtube.com/live2/$(STREAM_KEY)",
                Some(("stream-key", "ab-cd")),
            ),
            (
                "output",
                "rtmp://live.example/app/live_1?bandwidthtest=true",
                "rtmp://live.example/app/$(STREAM_KEY)?bandwidthtest=true",
                Some(("stream-key", "live_1")),
            ),
            ("output", "rtmp://localhost:1935/live/cam", "rtmp://localhost:1935/live/cam", None),
            ("output", "{rtmp,name=cam.stream}", "{rtmp,name=cam.stream}", None),
            (
                "output",
                "https://a.upload.youtube.com/http_upload_hls?cid=k1&copy=0",
                "https://a.upload.youtube.com/http_upload_hls?cid=$(CID)&copy=0",
                Some(("cid", "k1")),
            ),
        ] {
            let (written, values) = address(side, before);
            assert_eq!(written, after, "{before}");
            let value: Vec<_> = value.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
            assert_eq!(values, value, "{before}");
        }
    }

    #[test]
    fn options_that_are_credentials_or_hold_some_lose_them() {
        let (spec, values, _) = taken(json!({
            "input": [{"id": "i", "address": "http://h/x", "options": ["-headers", "X-A: b\r\nAuthorization: Basic QQ==\r\n"]}],
            "output": [{"id": "o", "address": "rtmp://live.example/app", "options":
                ["-c", "copy", "-pass", "1", "-streamid", "0:256", "-f", "flv", "-rtmp_playpath", "key-1", "-rtmp_tcurl", "x"]}],
        }));
        assert_eq!(spec.input[0].options[1], "X-A: b\r\nAuthorization: $(AUTHORIZATION)\r\n");
        assert_eq!(spec.output[0].options[9], "$(RTMP_PLAYPATH)");
        assert_eq!(spec.output[0].address, "rtmp://live.example/app");
        let keys: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(keys, [("authorization", "Basic QQ=="), ("rtmp-playpath", "key-1")]);
    }

    #[test]
    fn one_value_has_one_parameter_and_different_ones_have_different_names() {
        let (spec, values, _) = taken(json!({
            "input": [{"id": "a", "address": "rtsp://u:one@h/1"}, {"id": "b", "address": "rtsp://u:two@h/1"}],
            "output": [{"id": "o", "address": "http://u:one@h/2"}],
        }));
        assert_eq!(spec.input[0].address, "rtsp://u:$(PASSWORD)@h/1");
        assert_eq!(spec.input[1].address, "rtsp://u:$(PASSWORD_2)@h/1");
        assert_eq!(spec.output[0].address, "http://u:$(PASSWORD)@h/2");
        assert_eq!((spec.params.len(), values.len()), (2, 2));
    }

    #[test]
    fn a_credential_with_a_placeholder_in_it_stays_and_is_told() {
        let (spec, values, left) = taken(json!({
            "input": [{"id": "i", "address": "srt://h:1?streamid={processid}"}], "output": [],
        }));
        assert_eq!((spec.input[0].address.as_str(), values.len()), ("srt://h:1?streamid={processid}", 0));
        assert!(left.len() == 1 && left[0].starts_with("input[0].address: STREAMID"), "{left:?}");
    }

    #[test]
    fn ffmpeg_is_told_what_it_was_told_before_whatever_dollars_there_are() {
        for text in [
            "a$b",
            "a$$b",
            "$$$",
            "$(PASSWORD)",
            "$$(X)",
            "rtsp://u$:p$w$@h/$",
            "rtsp://u:$(X)@h/",
            "http://h/$?token=$$&x=$",
        ] {
            let (spec, values, _) = taken(json!({
                "options": ["-metadata", text], "input": [{"id": "i", "address": text, "options": ["-title", text]}],
                "output": [{"id": "o", "address": "-", "options": ["-f", "null"]}],
            }));
            let manifest = crate::crd::RestreamProcess::new("cam", spec);
            let values = values.into_iter().map(|(key, value)| (("cam".to_owned(), key), Ok(Secret::new(value))));
            let known = Known { values: values.collect(), ..Known::default() };
            let plan = Plan::new(&manifest, &Surroundings::new("/data"), &known)
                .unwrap_or_else(|why| panic!("{text}: {why:?}"));
            assert_eq!(plan.inputs[0].address.expose(), text);
            assert_eq!((plan.options[1].expose(), plan.inputs[0].options[1].expose()), (text, text));
        }
    }
}
