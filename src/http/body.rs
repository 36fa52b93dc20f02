//! Reading a request's body: bounded in size and in time.

use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::LengthLimitError;
use serde_json::Value;

use super::problem::Problem;

/// A whole body has to come within this.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the body is of this media type; parameters such as `charset` do not matter (RFC 9110 section 8.3.1).
pub fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// Refuses a body that is compressed.
pub fn is_plain(headers: &HeaderMap) -> Result<(), Problem> {
    for value in headers.get_all(CONTENT_ENCODING) {
        if !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity") {
            let detail = format!("a body with Content-Encoding {value:?} is not taken; send it as it is");
            return Err(Problem::unsupported(detail).with(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
        }
    }
    Ok(())
}

/// Whether there is no body at all.
pub fn is_absent(body: &Body) -> bool {
    body.size_hint().exact() == Some(0)
}

/// Reads a body of JSON with at most `limit` octets.
pub async fn json(headers: &HeaderMap, body: Body, limit: usize) -> Result<Value, Problem> {
    if !is(headers, "application/json") {
        return Err(Problem::unsupported("the body is application/json"));
    }
    let text = text(headers, body, limit).await?;
    serde_json::from_str(&text).map_err(|error| Problem::malformed(format!("the body is no JSON: {error}")))
}

/// Reads a body of UTF-8 text with at most `limit` octets; a compressed one is refused.
pub async fn text(headers: &HeaderMap, body: Body, limit: usize) -> Result<String, Problem> {
    is_plain(headers)?;
    let too_large = || {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body has more than {limit} octets"))
            .closing()
    };
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let bytes = match tokio::time::timeout(TIMEOUT, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_limit(&error) => return Err(too_large()),
        Ok(Err(error)) => return Err(Problem::malformed(format!("the body cannot be read: {error}"))),
        Err(_) => {
            let detail = format!("the body was not here within {} s", TIMEOUT.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow_body", detail).closing());
        }
    };
    String::from_utf8(bytes.into()).map_err(|error| Problem::malformed(format!("the body is no UTF-8 text: {error}")))
}

fn is_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<LengthLimitError>())
}
