//! Where credentials stand in addresses, options, headers and log lines.

use std::ops::Range;

/// What ends a value in a log line.
const LOOSE: &[char] = &['&', ' ', '\t', '\r', '\n', '\'', '"', '|', ']', '<', '>'];
/// What ends a value in an argument that is nothing but a URL.
const STRICT: &[char] = &['&'];

/// What to mask in a log line.
pub fn masked(line: &str) -> Vec<Range<usize>> {
    let mut ranges = user_parts(line, LOOSE);
    ranges.extend(values(line, LOOSE));
    ranges.extend(headers(line));
    ranges.extend(bearers(line));
    ranges
}

/// The credentials in one of FFmpeg's arguments.
pub fn secrets(argument: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for ends in [LOOSE, STRICT] {
        for range in user_parts(argument, ends) {
            let user = &argument[range];
            found.push(user.split_once(':').map_or(user, |(_, password)| password));
        }
        found.extend(values(argument, ends).into_iter().map(|range| &argument[range]));
    }
    for range in headers(argument) {
        let value = &argument[range];
        found.push(value);
        // `Basic abc` and `a=b; c=d`: the parts that tell.
        found.extend(value.split_once(' ').map(|(_, credentials)| credentials));
        found.extend(value.split(';').filter_map(|cookie| Some(cookie.split_once('=')?.1.trim())));
    }
    found.extend(bearers(argument).into_iter().map(|range| &argument[range]));
    found
}

/// Where credentials stand in one of FFmpeg's arguments, in order and apart from each other. Of a user part with a
/// password it is the password.
pub fn credentials(argument: &str) -> Vec<Range<usize>> {
    // Alone a URL may hold anything but `&` in a value; among others, or in a list of options, it ends earlier.
    let is_alone = !argument.contains(|c: char| c == '|' || c == '[' || c.is_whitespace());
    let ends = if is_alone { STRICT } else { LOOSE };
    let mut ranges: Vec<Range<usize>> = user_parts(argument, ends)
        .into_iter()
        .map(|range| match argument[range.clone()].find(':') {
            Some(colon) => range.start + colon + 1..range.end,
            None => range,
        })
        .collect();
    ranges.extend(values(argument, ends));
    ranges.extend(headers(argument));
    ranges.extend(bearers(argument));
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match apart.last_mut().filter(|last| last.end > range.start) {
            Some(last) => last.end = last.end.max(range.end),
            None => apart.push(range),
        }
    }
    apart
}

/// The last path segment of each RTMP address: the stream key.
pub fn stream_keys(address: &str) -> Vec<&str> {
    stream_key_places(address).into_iter().map(|(_, range)| &address[range]).collect()
}

/// The host of each RTMP address, without port, and where its last path segment stands, the stream key.
pub fn stream_key_places(address: &str) -> Vec<(&str, Range<usize>)> {
    let urls = address.match_indices("://").filter_map(|(at, slashes)| {
        let scheme = address[..at].rsplit(|c: char| !c.is_ascii_alphanumeric()).next()?;
        let is_rtmp = scheme.to_ascii_lowercase().starts_with("rtmp");
        is_rtmp.then_some(at + slashes.len())
    });
    urls.filter_map(|start| {
        let (authority, path) = address[start..].split(['|', ' ', '#']).next()?.split_once('/')?;
        // To FFmpeg the application ends at the first slash, so the key may stand behind a query: `live2?backup=1/key`.
        let is_behind_query = path.split('/').next().is_some_and(|first| first.contains('?')) && path.contains('/');
        let path = if is_behind_query { path } else { path.split('?').next()? };
        let path = path.trim_end_matches('/');
        let key = path.rsplit('/').next().filter(|key| !key.is_empty())?;
        let host = authority.rsplit('@').next()?;
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let end = start + authority.len() + 1 + path.len();
        Some((host, end - key.len()..end))
    })
    .collect()
}

/// Whether the value of an option, query parameter or header of this name is a credential.
pub fn is_telling(name: &str) -> bool {
    const PARTS: [&str; 12] = [
        "passphrase",
        "password",
        "passwd",
        "token",
        "secret",
        "signature",
        "credential",
        "streamid",
        "authorization",
        "cookie",
        "playpath",
        "srtp_",
    ];
    const WORDS: [&str; 10] = ["pass", "pwd", "auth", "sig", "jwt", "hmac", "hdnea", "hdnts", "cid", "conn"];
    // A stream specifier may follow an option's name.
    let name = name.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if name == "auth_type" {
        return false;
    }
    name.ends_with("key")
        || PARTS.iter().any(|part| name.contains(part))
        || name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| WORDS.contains(&word))
}

/// `user:password` between `://` and `@`.
fn user_parts(text: &str, ends: &[char]) -> Vec<Range<usize>> {
    let starts = text.match_indices("://").map(|(at, scheme_end)| at + scheme_end.len());
    let parts = starts.filter_map(|start| {
        let is_end = |c: char| matches!(c, '/' | '?' | '#') || (c != '&' && ends.contains(&c));
        let authority = text[start..].split(is_end).next()?;
        let length = authority.rfind('@')?;
        Some(start..start + length)
    });
    parts.collect()
}

/// `value` of every `name=value` whose name tells of a credential.
fn values(text: &str, ends: &[char]) -> Vec<Range<usize>> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let values = text.match_indices('=').filter_map(|(at, _)| {
        let name = &text[text[..at].trim_end_matches(is_name).len()..at];
        if !is_telling(name) {
            return None;
        }
        let quotes = text[at + 1..].starts_with(['\'', '"']);
        let start = at + 1 + usize::from(quotes);
        let in_brackets = text[..at].rfind('[') > text[..at].rfind([']', '/']);
        let is_end = |c: char| ends.contains(&c) || (in_brackets && c == ':');
        // An address in a log line is followed by a colon.
        let value = text[start..].split(is_end).next()?.trim_end_matches(':');
        (!value.is_empty()).then_some(start..start + value.len())
    });
    values.collect()
}

/// `value` of every `Name: value` that is a header with credentials.
fn headers(text: &str) -> Vec<Range<usize>> {
    const NAMES: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let headers = text.match_indices(':').filter_map(|(at, _)| {
        let before = text[..at].trim_end_matches('\\');
        let name = &before[before.trim_end_matches(is_name).len()..];
        // An escaped line end may stand right before the name.
        let name = if before[..before.len() - name.len()].ends_with('\\') { &name[name.len().min(1)..] } else { name };
        let is_known = NAMES.iter().any(|known| name.eq_ignore_ascii_case(known));
        let is_telling = is_known || (name.contains('-') && is_telling(name));
        if !is_telling {
            return None;
        }
        let rest = &text[at + 1..];
        let start = at + 1 + (rest.len() - rest.trim_start_matches(' ').len());
        let end = ["\r", "\n", "\\r", "\\n", "\\x0"].iter().filter_map(|end| text[start..].find(end)).min();
        let end = end.map_or(text.len(), |length| start + length);
        (end > start).then_some(start..end)
    });
    headers.collect()
}

/// The word after `Bearer`.
fn bearers(text: &str) -> Vec<Range<usize>> {
    const SCHEME: &str = "Bearer ";
    let starts = text.match_indices(SCHEME).map(|(at, _)| at + SCHEME.len());
    let words = starts.filter_map(|start| {
        let word = text[start..].split(LOOSE).next()?;
        (!word.is_empty()).then_some(start..start + word.len())
    });
    words.collect()
}
