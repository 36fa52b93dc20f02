//! Patterns of names, as datarhei's users write them.
//!
//! The crates for globs take `**` for any depth only where it is a whole segment, and datarhei's UI writes `cam**`. So a
//! pattern becomes a regular expression here, which is matched in linear time.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::Name;

/// Octets of memory that the expression may take.
const MAX_EXPRESSION: usize = 1 << 20;

/// A pattern of names. `*` is any run of characters but `/`, `**` any run at all, `?` one character but `/`, `[a-z]` and
/// `[!a-z]` one of a set, `{a,b}` one of several, and `\` takes the next character as it is.
#[derive(Clone)]
pub struct Glob {
    text: String,
    expression: Regex,
}

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    /// A bracket or brace is missing.
    #[error("{0:?} is never closed")]
    Open(char),
    /// A brace closes what was never opened.
    #[error("a '}}' closes nothing; write \\}} for the character itself")]
    Closed,
    /// There is nothing behind the last `\`.
    #[error("nothing follows the last \\")]
    Dangling,
    /// The expression is too large, or a set is none.
    #[error("it cannot be used: a set such as [a-z] is wrong, or it is too long")]
    Expression,
}

impl Glob {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, BadGlob> {
        let expression = RegexBuilder::new(&translate(text)?)
            .dot_matches_new_line(true)
            .size_limit(MAX_EXPRESSION)
            .build()
            .map_err(|_| BadGlob::Expression)?;
        Ok(Self { text: text.to_owned(), expression })
    }

    /// Whether the whole name fits.
    pub fn matches(&self, name: &Name) -> bool {
        self.expression.is_match(name.as_str())
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

fn translate(text: &str) -> Result<String, BadGlob> {
    let mut letters = text.chars().peekable();
    let mut expression = String::from("^");
    let mut braces = 0_usize;
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                while letters.next_if_eq(&'*').is_some() {}
                expression.push_str(".*");
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => set(&mut letters, &mut expression)?,
            '{' => {
                braces += 1;
                expression.push_str("(?:");
            }
            '}' => {
                braces = braces.checked_sub(1).ok_or(BadGlob::Closed)?;
                expression.push(')');
            }
            ',' if braces > 0 => expression.push('|'),
            '\\' => literal(letters.next().ok_or(BadGlob::Dangling)?, &mut expression),
            letter => literal(letter, &mut expression),
        }
    }
    if braces > 0 {
        return Err(BadGlob::Open('{'));
    }
    expression.push('$');
    Ok(expression)
}

fn literal(letter: char, expression: &mut String) {
    expression.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
}

/// What stands between brackets; ranges stay, and everything else stands for itself.
fn set(letters: &mut impl Iterator<Item = char>, expression: &mut String) -> Result<(), BadGlob> {
    let inner: String = {
        let mut inner = String::new();
        loop {
            match letters.next().ok_or(BadGlob::Open('['))? {
                ']' if !inner.is_empty() => break inner,
                letter => inner.push(letter),
            }
        }
    };
    let (negated, inner) = match inner.strip_prefix('!') {
        Some(rest) if !rest.is_empty() => ("^", rest),
        _ => ("", inner.as_str()),
    };
    expression.push('[');
    expression.push_str(negated);
    for letter in inner.chars() {
        match letter {
            '-' => expression.push('-'),
            letter if letter.is_ascii_punctuation() => {
                expression.push('\\');
                expression.push(letter);
            }
            letter => expression.push(letter),
        }
    }
    expression.push(']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).expect("a pattern").matches(&Name::parse(name).expect("a name"))
    }

    #[test]
    fn c163_two_stars_cross_folders() {
        assert!(matches("**/a/b/**", "/s3/a/b/test.m3u8"));
        assert!(matches("**/a/b/**", "/a/b/test.m3u8"));
        assert!(!matches("**/a/b/**", "/a/c/test.m3u8"));
    }

    #[test]
    fn what_datarheis_ui_writes_is_understood() {
        let id = "3f1f6f0e-8f0a-4a58-9d4f-2a6d6f6f0a11";
        let segment = format!("/{id}_output_0_0001.ts");
        assert!(matches(&format!("/{id}**"), &segment) && matches(&format!("/{id}**"), &format!("/{id}/x/y.ts")));
        assert!(matches(&format!("/{id}_output_0_**.ts"), &segment));
        assert!(!matches(&format!("/{id}_output_0_**.ts"), &format!("/{id}_output_0.m3u8")));
    }

    #[test]
    fn each_sign_stands_for_what_it_should() {
        for (pattern, name, expected) in [
            ("/*.ts", "/a.ts", true),
            ("/*.ts", "/a/b.ts", false),
            ("/?.ts", "/a.ts", true),
            ("/?.ts", "/ab.ts", false),
            ("/[a-c]1.ts", "/b1.ts", true),
            ("/[!a-c]1.ts", "/b1.ts", false),
            ("/[!a-c]1.ts", "/x1.ts", true),
            ("/x.{ts,m4s}", "/x.m4s", true),
            ("/x.{ts,m4s}", "/x.mp4", false),
            ("/a,b.ts", "/a,b.ts", true),
            (r"/\*.ts", "/*.ts", true),
            (r"/\*.ts", "/a.ts", false),
            ("/a.ts", "/aXts", false),
            ("/a+(b)|c$.ts", "/a+(b)|c$.ts", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        for (pattern, bad) in [
            ("/[a", BadGlob::Open('[')),
            ("/{a", BadGlob::Open('{')),
            ("/a}", BadGlob::Closed),
            ("/a\\", BadGlob::Dangling),
            ("/[z-a]", BadGlob::Expression),
        ] {
            assert_eq!(Glob::parse(pattern).err(), Some(bad), "{pattern}");
        }
    }
}
