//! Errors as HTTP: the one place where a refusal becomes a status, a body and headers.
//!
//! A body is a problem of RFC 9457 that carries datarhei's `code`, `message` and `details` too, and one machine word
//! more, `reason`, which tells apart what has the same status.

use std::any::Any;
use std::time::Duration;

use axum::Json;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::whep::Refusal;

/// Seconds until a player may ask again for a stream that has no media yet.
const RETRY_MEDIA: u64 = 2;
/// Seconds until a player may ask again for a place among the viewers.
const RETRY_VIEWERS: u64 = 10;
/// Seconds until a player that was refused by an instance about to end may find another one.
const RETRY_DRAINED: u64 = 5;

/// A request that is not done, and why.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    reason: &'static str,
    detail: String,
    /// Several reasons, one by one; empty where the detail is the only one.
    details: Vec<String>,
    /// Members beside those of every problem.
    members: Vec<(String, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with this status, machine word and explanation.
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into(), details: Vec::new(), members: Vec::new(), headers: Vec::new() }
    }

    /// The body or the path cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// The request needs a token. `invalid` says what is wrong with the one that came (RFC 6750 section 3).
    pub fn unauthorized(realm: &str, invalid: Option<String>) -> Self {
        let challenge = match &invalid {
            Some(_) => format!("Bearer realm=\"{realm}\", error=\"invalid_token\""),
            None => format!("Bearer realm=\"{realm}\""),
        };
        let (reason, detail) = match invalid {
            Some(why) => ("invalid_token", why),
            None => ("no_token", "a token is needed: Authorization: Bearer …".to_owned()),
        };
        Self::new(StatusCode::UNAUTHORIZED, reason, detail).with_text(WWW_AUTHENTICATE, &challenge)
    }

    /// The token is good, and not for this.
    pub fn forbidden(realm: &str, detail: impl Into<String>) -> Self {
        let challenge = format!("Bearer realm=\"{realm}\", error=\"insufficient_scope\"");
        Self::new(StatusCode::FORBIDDEN, "insufficient_scope", detail).with_text(WWW_AUTHENTICATE, &challenge)
    }

    /// There is no such thing.
    pub fn not_found(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason, detail)
    }

    /// A client address asks too often; after `wait` it may again.
    pub fn too_many(reason: &'static str, what: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        let detail = format!("{what}; try again in {seconds} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, reason, detail).retry_after(seconds)
    }

    /// The body is of a kind that is not taken here.
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same with another machine word and explanation.
    pub fn because(self, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), ..self }
    }

    /// The same with another explanation.
    pub fn explained(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// The same with its reasons one by one.
    pub fn listing(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// The same with further members of its body.
    pub fn also(self, members: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { members: members.into_iter().collect(), ..self }
    }

    /// The same with a header.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same, and the client may ask again after these seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, seconds.into())
    }

    /// The same, and the connection ends, because a part of the request was not read.
    pub fn closing(self) -> Self {
        self.with(CONNECTION, HeaderValue::from_static("close"))
    }

    fn with_text(self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("realms are plain words");
        self.with(name, value)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let (status, reason) = match refusal {
            Refusal::UnknownProcess(_) => (StatusCode::NOT_FOUND, "unknown_process"),
            Refusal::UnknownSession => (StatusCode::NOT_FOUND, "unknown_session"),
            Refusal::NoMediaYet(_) => {
                return Self::new(StatusCode::CONFLICT, "no_media_yet", detail).retry_after(RETRY_MEDIA);
            }
            Refusal::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Refusal::Unprocessable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable"),
            Refusal::NoCommonCodec(_) => (StatusCode::NOT_ACCEPTABLE, "no_common_codec"),
            Refusal::NothingTaken(_) => (StatusCode::UNPROCESSABLE_ENTITY, "nothing_taken"),
            Refusal::AlreadyAnswered => (StatusCode::CONFLICT, "already_answered"),
            Refusal::NoCounterOffer => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Refusal::StreamViewerLimit { .. } => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "stream_viewer_limit", detail)
                    .retry_after(RETRY_VIEWERS);
            }
            Refusal::TotalViewerLimit { .. } => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "total_viewer_limit", detail)
                    .retry_after(RETRY_VIEWERS);
            }
            Refusal::Draining => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail).retry_after(RETRY_DRAINED);
            }
            Refusal::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Refusal::PreconditionRequired => (StatusCode::PRECONDITION_REQUIRED, "precondition_required"),
            Refusal::Timeout => (StatusCode::GATEWAY_TIMEOUT, "gateway_timeout"),
        };
        Self::new(status, reason, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, reason, detail, mut details, members, headers } = self;
        if details.is_empty() {
            details.push(detail.clone());
        }
        let title = status.canonical_reason().unwrap_or("Error");
        let mut body = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "reason": reason,
            "code": status.as_u16(),
            "message": title,
            "details": details,
        });
        for (name, value) in members {
            body[name] = value;
        }
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(headers);
        response
    }
}

/// Nothing is served at a path.
pub fn no_route() -> Problem {
    Problem::not_found("no_route", "nothing is served at this path")
}

/// Answers a method that a served path does not have; the router adds `Allow`.
pub async fn no_method(method: Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} cannot be done here; the Allow header says what can"),
    )
}

/// Answers a request whose handler panicked.
pub fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        "a bug stopped this request; the log of the server says more",
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> Value {
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.expect("it is short");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[tokio::test]
    async fn a_body_is_a_problem_and_datarheis_error_in_one() {
        let response = Problem::malformed("the body is empty").into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let expected = json!({
            "type": "about:blank", "title": "Bad Request", "status": 400, "detail": "the body is empty",
            "reason": "malformed", "code": 400, "message": "Bad Request", "details": ["the body is empty"],
        });
        assert_eq!(body(response).await, expected);
    }

    #[tokio::test]
    async fn every_refusal_has_its_status_and_word() {
        let text = String::new;
        for (refusal, status, reason, retry) in [
            (Refusal::UnknownProcess(text()), 404, "unknown_process", false),
            (Refusal::UnknownSession, 404, "unknown_session", false),
            (Refusal::NoMediaYet(text()), 409, "no_media_yet", true),
            (Refusal::Malformed(text()), 400, "malformed", false),
            (Refusal::Unprocessable(text()), 422, "unprocessable", false),
            (Refusal::NoCommonCodec(text()), 406, "no_common_codec", false),
            (Refusal::NothingTaken(text()), 422, "nothing_taken", false),
            (Refusal::AlreadyAnswered, 409, "already_answered", false),
            (Refusal::NoCounterOffer, 415, "unsupported_media_type", false),
            (Refusal::StreamViewerLimit { process: text(), limit: 8 }, 503, "stream_viewer_limit", true),
            (Refusal::TotalViewerLimit { limit: 256 }, 503, "total_viewer_limit", true),
            (Refusal::Draining, 503, "draining", true),
            (Refusal::PreconditionFailed, 412, "precondition_failed", false),
            (Refusal::PreconditionRequired, 428, "precondition_required", false),
            (Refusal::Timeout, 504, "gateway_timeout", false),
        ] {
            let response = Problem::from(refusal).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), retry, "{reason}");
            assert_eq!(body(response).await["reason"], reason);
        }
    }

    #[test]
    fn a_challenge_says_what_is_wrong_with_the_token() {
        let challenge = |problem: Problem| problem.into_response().headers()[WWW_AUTHENTICATE].clone();
        assert_eq!(challenge(Problem::unauthorized("whep", None)), "Bearer realm=\"whep\"");
        let expired = Problem::unauthorized("whep", Some("the token has expired".into()));
        assert_eq!(challenge(expired), "Bearer realm=\"whep\", error=\"invalid_token\"");
        let narrow = Problem::forbidden("whep", "it is for another process");
        assert_eq!(challenge(narrow), "Bearer realm=\"whep\", error=\"insufficient_scope\"");
    }
}
