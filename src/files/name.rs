//! Names of files: contained by how they are made.

use std::fmt;

/// Octets of a name at most.
const MAX: usize = 1024;
/// Octets between two slashes at most, as on every usual filesystem.
const MAX_SEGMENT: usize = 255;

/// Name of a file, such as `/cam/1.ts`: it begins with `/`, and none of its segments leads out or is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Reads a decoded path, with or without the first slash; `None` where it is no name of a file.
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.strip_prefix('/').unwrap_or(text);
        let is_good = |segment: &str| {
            let is_plain = !matches!(segment, "" | "." | "..") && segment.len() <= MAX_SEGMENT;
            is_plain && !segment.contains(|letter: char| letter.is_control() || letter == '\\')
        };
        (path.len() < MAX && path.split('/').all(is_good)).then(|| Self(format!("/{path}")))
    }

    /// The name, with its first slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its first slash, to be put behind a folder.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// The last segment.
    pub fn file(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether a segment begins with a dot.
    pub fn is_hidden(&self) -> bool {
        self.0.contains("/.")
    }

    /// The file that a reference within this one names (RFC 3986 section 5.2); `None` where it leads elsewhere.
    pub fn resolve(&self, reference: &str) -> Option<Self> {
        let path = reference.split(['?', '#']).next().unwrap_or_default();
        if path.is_empty() || path.starts_with("//") || path.split('/').next().is_some_and(|first| first.contains(':'))
        {
            return None;
        }
        let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        if path.starts_with('/') {
            return Self::parse(&path);
        }
        let mut segments: Vec<&str> = self.relative().split('/').collect();
        segments.pop();
        for segment in path.split('/') {
            match segment {
                "." => {}
                ".." => {
                    segments.pop()?;
                }
                segment => segments.push(segment),
            }
        }
        Self::parse(&segments.join("/"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        Name::parse(text).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        assert_eq!(name("cam/1.ts").as_deref(), Some("/cam/1.ts"));
        assert_eq!(name("/cam.m3u8").as_deref(), Some("/cam.m3u8"));
        assert_eq!(name("a..b/...").as_deref(), Some("/a..b/..."));
        for text in ["", "/", "..", "a/../b", "../a", "a//b", "//a", "a/", "./a", "a\0b", "a\nb", "a\\..\\b"] {
            assert_eq!(name(text), None, "{text:?}");
        }
        assert_eq!(name(&"a".repeat(256)), None);
        assert_eq!(name(&"a/".repeat(600)), None);
    }

    #[test]
    fn a_reference_is_resolved_within_the_filesystem() {
        let playlist = Name::parse("/cam/live.m3u8").expect("a name");
        let resolved = |reference: &str| playlist.resolve(reference).map(|name| name.as_str().to_owned());
        assert_eq!(resolved("1.ts").as_deref(), Some("/cam/1.ts"));
        assert_eq!(resolved("./hd/1%202.m4s?x=1").as_deref(), Some("/cam/hd/1 2.m4s"));
        assert_eq!(resolved("../init.mp4").as_deref(), Some("/init.mp4"));
        assert_eq!(resolved("/other/1.ts").as_deref(), Some("/other/1.ts"));
        for reference in ["", "http://host/1.ts", "//host/1.ts", "../../1.ts", "#x"] {
            assert_eq!(resolved(reference), None, "{reference}");
        }
    }

    #[test]
    fn a_dot_at_the_beginning_of_any_segment_hides() {
        let is_hidden = |text: &str| Name::parse(text).expect("a name").is_hidden();
        assert!(is_hidden(".env") && is_hidden("a/.git/config") && !is_hidden("a.b/c.d"));
    }
}
