//! What is worth compressing: texts of some length, playlists among them, and never media.

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Extensions, HeaderMap, StatusCode, Version};

/// Shorter answers fit into a packet as they are.
const LEAST: u64 = 1000;

/// Media types of texts that do not begin with `text/`.
const TEXTS: [&str; 8] = [
    "application/json",
    "application/problem+json",
    "application/javascript",
    "application/xml",
    "application/dash+xml",
    "application/vnd.apple.mpegurl",
    "application/openmetrics-text",
    "image/svg+xml",
];

/// Whether a response with this head is worth compressing.
pub fn is_worth_it(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let length: Option<u64> = text(CONTENT_LENGTH).parse().ok();
    let media_type = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    length.is_none_or(|length| length >= LEAST) && (media_type.starts_with("text/") || TEXTS.contains(&media_type))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn long_texts_are_compressed_and_media_is_not() {
        let is_packed = |media_type: &'static str, length: u64| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            headers.insert(CONTENT_LENGTH, length.into());
            is_worth_it(StatusCode::OK, Version::HTTP_11, &headers, &Extensions::new())
        };
        assert!(is_packed("application/vnd.apple.mpegurl", 1000) && is_packed("text/html; charset=utf-8", 5000));
        assert!(!is_packed("application/vnd.apple.mpegurl", 999));
        for media in ["video/mp2t", "image/jpeg", "application/octet-stream", "application/sdp"] {
            assert!(!is_packed(media, 5000), "{media}");
        }
    }
}
