//! What is in a file, told by its name.

use super::Name;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// For the Content-Type header.
    pub text: &'static str,
    /// It is a playlist or manifest of adaptive streaming, which changes all the time.
    pub is_playlist: bool,
    /// It is worth compressing.
    pub is_text: bool,
    /// A browser may run scripts in it.
    pub is_active: bool,
}

/// What streaming needs, where the registry's answer is missing or another one than players expect.
const STREAMING: [(&str, &str); 16] = [
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("mpd", "application/dash+xml"),
    ("ts", "video/mp2t"),
    ("m2ts", "video/mp2t"),
    ("m4s", "video/iso.segment"),
    ("cmfv", "video/mp4"),
    ("cmfa", "audio/mp4"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("key", "application/octet-stream"),
    ("txt", "text/plain; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
];

/// What the name's ending says; octets of unknown kind where it says nothing.
pub fn media_type(name: &Name) -> MediaType {
    let ending = name.file().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let streaming = STREAMING.iter().find(|(known, _)| *known == ending).map(|(_, text)| *text);
    let registered = || mime_guess::from_ext(&ending).first_raw();
    let text = streaming.or_else(registered).unwrap_or("application/octet-stream");
    let bare = text.split(';').next().unwrap_or_default();
    let is_playlist = matches!(ending.as_str(), "m3u8" | "mpd");
    let is_script = bare.ends_with("javascript") || bare.ends_with("json");
    let is_markup = bare.ends_with("xml") || bare == "text/html";
    MediaType {
        text,
        is_playlist,
        is_text: is_playlist || is_script || is_markup || bare.starts_with("text/"),
        is_active: is_markup && !is_playlist,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> MediaType {
        media_type(&Name::parse(name).expect("a name"))
    }

    #[test]
    fn players_are_told_what_they_expect() {
        for (name, text) in [
            ("/a.m3u8", "application/vnd.apple.mpegurl"),
            ("/a.M3U8", "application/vnd.apple.mpegurl"),
            ("/a.1.ts", "video/mp2t"),
            ("/a.m4s", "video/iso.segment"),
            ("/init.mp4", "video/mp4"),
            ("/a.mpd", "application/dash+xml"),
            ("/a.jpg", "image/jpeg"),
            ("/a.png", "image/png"),
            ("/a.webm", "video/webm"),
            ("/a.json", "application/json"),
            ("/a.html", "text/html; charset=utf-8"),
            ("/a", "application/octet-stream"),
            ("/a.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(of(name).text, text, "{name}");
        }
    }

    #[test]
    fn text_is_told_from_media_and_from_what_runs() {
        assert!(of("/a.m3u8").is_text && of("/a.m3u8").is_playlist && !of("/a.m3u8").is_active);
        assert!(of("/a.mpd").is_playlist && !of("/a.mpd").is_active);
        assert!(of("/a.svg").is_text && of("/a.svg").is_active && of("/a.html").is_active);
        assert!(of("/a.js").is_text && !of("/a.js").is_active);
        assert!(!of("/a.ts").is_text && !of("/a.jpg").is_text && !of("/a").is_text);
    }
}
