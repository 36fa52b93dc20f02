//! How FFmpeg takes texts apart: words with quotes and escapes, lists of `key=value`.

/// The text up to one of `ends`, without its quotes and escapes and the white space around it, and what is left, which
/// begins with the end. A backslash takes the next character as it is, and so do single quotes a whole text.
pub fn word<'a>(text: &'a str, ends: &[char]) -> (String, &'a str) {
    let text = text.trim_start_matches(WHITE);
    let mut found = String::new();
    // What was escaped is kept, white space too.
    let mut kept = 0;
    let mut rest = text;
    while let Some(character) = rest.chars().next().filter(|character| !ends.contains(character)) {
        rest = &rest[character.len_utf8()..];
        match (character, rest.chars().next()) {
            ('\\', Some(escaped)) => {
                found.push(escaped);
                rest = &rest[escaped.len_utf8()..];
                kept = found.len();
            }
            ('\'', _) => match rest.split_once('\'') {
                Some((quoted, behind)) => {
                    found.push_str(quoted);
                    rest = behind;
                    kept = found.len();
                }
                None => {
                    found.push_str(rest);
                    rest = "";
                }
            },
            _ => found.push(character),
        }
    }
    let trimmed = found.trim_end_matches(WHITE).len().max(kept);
    found.truncate(trimmed);
    (found, rest)
}

/// White space to FFmpeg.
pub const WHITE: &[char] = &[' ', '\n', '\t', '\r'];

/// The pairs of a list `key=value:key=value`, up to one of `closes`, and what is left. A value without a key has an
/// empty one.
pub fn pairs<'a>(text: &'a str, closes: &[char]) -> (Vec<(String, String)>, &'a str) {
    let ends: Vec<char> = [':'].iter().chain(closes).copied().collect();
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let (key, behind) = key(rest);
        let (value, behind) = word(behind, &ends);
        if !(key.is_empty() && value.is_empty()) {
            found.push((key.to_owned(), value));
        }
        match behind.strip_prefix(':') {
            Some(next) => rest = next,
            None => return (found, behind),
        }
    }
}

fn key(text: &str) -> (&str, &str) {
    let is_key = |character: char| character.is_ascii_alphanumeric() || "_/.?-".contains(character);
    let begun = text.trim_start_matches(WHITE);
    let behind = begun.trim_start_matches(is_key);
    let key = &begun[..begun.len() - behind.len()];
    match behind.trim_start_matches(WHITE).strip_prefix('=') {
        Some(value) if !key.is_empty() => (key, value),
        _ => ("", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_are_taken_away_as_ffmpeg_does() {
        for (text, expected) in [
            ("a|b", ("a", "|b")),
            (r"a\|b|c", ("a|b", "|c")),
            ("'a|b'c|d", ("a|bc", "|d")),
            ("  a b  |c", ("a b", "|c")),
            (r"a\ |c", ("a ", "|c")),
            ("'a|b", ("a|b", "")),
            (r"a\", (r"a\", "")),
            (r"http\\://h", (r"http\://h", "")),
            ("", ("", "")),
        ] {
            assert_eq!(word(text, &['|']), (expected.0.to_owned(), expected.1), "{text}");
        }
    }

    #[test]
    fn pairs_end_where_the_list_does() {
        let list = r"f=hls:select='v:0,a':x=http\://h/y:plain]rest";
        let (pairs, rest) = pairs(list, &[']']);
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("f", "hls"), ("select", "v:0,a"), ("x", "http://h/y"), ("", "plain")]);
        assert_eq!(rest, "]rest");
    }
}
