//! What a playlist names (RFC 8216 section 4).

/// What a playlist names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The reference, relative to the playlist.
    pub uri: &'a str,
    /// It is media that a player loads once. Initialization sections and keys are not: some players load them again with
    /// every look at the playlist.
    pub is_segment: bool,
}

/// The references of a playlist: lines that are no tags, and `URI` attributes of tags.
pub fn references(text: &str) -> impl Iterator<Item = Reference<'_>> {
    text.lines().map(str::trim).filter_map(|line| match line.strip_prefix('#') {
        Some(tag) => {
            let uri = tag.split_once("URI=\"")?.1.split('"').next()?;
            Some(Reference { uri, is_segment: tag.starts_with("EXT-X-PART:") })
        }
        None => Some(Reference { uri: line, is_segment: true }).filter(|_| !line.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_uris_of_tags_are_references() {
        let text = "#EXTM3U\r\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"10@0\"\r\n#EXTINF:2,\r\n1.m4s\r\n\r\n# a remark\r\n\
                    #EXT-X-MEDIA:TYPE=AUDIO,URI=\"sound.m3u8\"\n2.m4s\n#EXT-X-PART:DURATION=0.3,URI=\"3.0.m4s\"\n";
        let found: Vec<_> = references(text).map(|reference| (reference.uri, reference.is_segment)).collect();
        let expected =
            [("init.mp4", false), ("1.m4s", true), ("sound.m3u8", false), ("2.m4s", true), ("3.0.m4s", true)];
        assert_eq!(found, expected);
    }
}
