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

/// The last path segment of each RTMP address: the stream key.
pub fn stream_keys(address: &str) -> Vec<&str> {
    let urls = address.split(['|', ' ']).filter_map(|part| {
        let (before, rest) = part.split_once("://")?;
        let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next()?;
        scheme.to_ascii_lowercase().starts_with("rtmp").then_some(rest)
    });
    urls.filter_map(|rest| {
        let (_, path) = rest.split(['?', '#']).next()?.split_once('/')?;
        path.trim_end_matches('/').rsplit('/').next().filter(|key| !key.is_empty())
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
