//! The page: one file that needs nothing else, from no other host.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PAGE: &str = include_str!("page.html");

/// What the page may do: run its own script and style, which are told by their digests, and talk to any WHEP server,
/// since `?url=` may name one.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src *; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(PAGE, "script"),
        source(PAGE, "style"),
    )
});

/// `GET /`
pub async fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE).into_response()
}

/// The digest of the page's one element of this name, as a policy names it (CSP Level 3 section 2.3.1).
fn source(page: &str, element: &str) -> String {
    let (begin, end) = (format!("<{element}>"), format!("</{element}>"));
    let text = page.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map_or("", |(text, _)| text);
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_and_style_are_told_by_their_digests() {
        let page = "<style>a{}</style><script>alert('Hello, world.');</script>";
        // The example of CSP Level 3 section 6.7.3.
        assert_eq!(source(page, "script"), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
    }

    #[test]
    fn the_page_has_one_script_and_one_style_and_asks_no_other_host() {
        for element in ["<script", "<style", "</script>", "</style>"] {
            assert_eq!(PAGE.matches(element).count(), 1, "{element}");
        }
        assert!(PAGE.contains("<script>") && PAGE.contains("<style>"), "no attributes");
        for outside in [" src=\"http", "href=\"http", "@import", "url(http", " style=\"", " onclick=", " onload="] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
    }
}
