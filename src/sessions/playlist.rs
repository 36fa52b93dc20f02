//! What a playlist names (RFC 8216 section 4).

/// The references of a playlist: lines that are no tags, and `URI` attributes of tags.
pub fn references(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter_map(|line| match line.strip_prefix('#') {
        Some(tag) => tag.split_once("URI=\"")?.1.split('"').next(),
        None => Some(line).filter(|line| !line.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_uris_of_tags_are_references() {
        let text = "#EXTM3U\r\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"10@0\"\r\n#EXTINF:2,\r\n1.m4s\r\n\r\n# a remark\r\n\
                    #EXT-X-MEDIA:TYPE=AUDIO,URI=\"sound.m3u8\"\n2.m4s\n";
        assert_eq!(references(text).collect::<Vec<_>>(), ["init.mp4", "1.m4s", "sound.m3u8", "2.m4s"]);
    }
}
