//! What every response carries: CORS headers, so that a page from anywhere (another site, or a file on disk) can play
//! and can read why it cannot, and one log line for it.
//!
//! Any origin may ask, since a token and no cookie says who asks; so credentials mode is never allowed.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The one place where these headers are written.
const HEADERS: [(HeaderName, &str); 5] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match"),
    (ACCESS_CONTROL_EXPOSE_HEADERS, "Location, ETag, Link, Retry-After, WWW-Authenticate, Accept-Post, Accept-Patch"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Seconds for which a browser may remember a preflight.
const MAX_AGE: &str = "7200";

/// Puts the headers on the response, answers preflights for routes that have no OPTIONS of their own, and logs. The log
/// line holds neither the query, which may be a token, nor the path, which may name a session.
pub async fn everywhere(request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let method = request.method().clone();
    let preflight = is_preflight(&method, request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let refused = matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    if preflight && refused {
        let allow = response.headers_mut().remove(ALLOW);
        response = StatusCode::OK.into_response();
        response.headers_mut().extend(allow.map(|allow| (ALLOW, allow)));
    }
    if method == Method::OPTIONS {
        response.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    tracing::debug!(%method, route, status = response.status().as_u16(), took = ?begin.elapsed(), "request");
    response
}

/// Whether a browser asks what it may ask (WHATWG Fetch section 3.3.2).
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
