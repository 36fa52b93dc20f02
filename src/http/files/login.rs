//! Basic authentication for those who write below `/memfs`, as FFmpeg can do it (RFC 7617).

use std::fmt;
use std::time::Instant;

use aws_lc_rs::digest::{Digest, SHA256, digest};
use axum::body::Body;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, Request, StatusCode};
use headers::HeaderMapExt;
use headers::authorization::{Authorization, Basic};
use subtle::ConstantTimeEq;

use crate::http::{App, client, problem::Problem};

/// One name and password. Debug shows neither.
#[derive(Clone)]
pub struct Login {
    username: Digest,
    password: Digest,
}

/// Why a name and password are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Everybody could write.
    #[error("{0} is empty; set it, or let everybody write with CORE_STORAGE_MEMORY_AUTH_ENABLE=false")]
    Empty(&'static str),
    /// RFC 7617 ends the name at its first colon.
    #[error("CORE_STORAGE_MEMORY_AUTH_USERNAME holds a colon, which no name of basic authentication can")]
    Colon,
}

impl Login {
    /// A name without a colon, and a password.
    pub fn new(username: &str, password: &str) -> Result<Self, LoginError> {
        if username.is_empty() {
            return Err(LoginError::Empty("CORE_STORAGE_MEMORY_AUTH_USERNAME"));
        }
        if password.is_empty() {
            return Err(LoginError::Empty("CORE_STORAGE_MEMORY_AUTH_PASSWORD"));
        }
        if username.contains(':') {
            return Err(LoginError::Colon);
        }
        let of = |text: &str| digest(&SHA256, text.as_bytes());
        Ok(Self { username: of(username), password: of(password) })
    }

    /// Compares in a time that tells nothing of either: digests have one length, and both are always compared.
    fn is(&self, username: &str, password: &str) -> bool {
        let equal =
            |digest: &Digest, other: &str| digest.as_ref().ct_eq(self::digest(&SHA256, other.as_bytes()).as_ref());
        (equal(&self.username, username) & equal(&self.password, password)).into()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// Lets through who may write. A wrong password counts like one at `/api/login`; none at all, which is how FFmpeg asks
/// first, counts nothing. The body is not read before, so that who waits with it need not send it twice.
pub fn authorize(app: &App, request: &Request<Body>) -> Result<(), Problem> {
    let Some(login) = &app.files.memory_login else { return Ok(()) };
    let Some(Authorization(basic)) = request.headers().typed_get::<Authorization<Basic>>() else {
        return Err(refused("no_login", "writing needs a name and password: Authorization: Basic …"));
    };
    let client = client::address(request.extensions(), request.headers(), &app.trusted_proxies);
    let mut throttle = app.logins.lock().expect("nothing panics while it is held");
    let source = throttle
        .take(client, Instant::now())
        .map_err(|wait| Problem::too_many("too_many_logins", "too many wrong passwords from this address", wait))?;
    if login.is(basic.username(), basic.password()) {
        throttle.give_back(source);
        return Ok(());
    }
    drop(throttle);
    tracing::warn!(?client, "writing below /memfs refused");
    Err(refused("wrong_password", "username or password is wrong"))
}

fn refused(reason: &'static str, detail: &str) -> Problem {
    let challenge = HeaderValue::from_static("Basic realm=\"memfs\", charset=\"UTF-8\"");
    Problem::new(StatusCode::UNAUTHORIZED, reason, detail).with(WWW_AUTHENTICATE, challenge).closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_pair_may_write() {
        let login = Login::new("admin", "hunter22").expect("it is complete");
        assert!(login.is("admin", "hunter22"));
        for (username, password) in [("admin", ""), ("", "hunter22"), ("Admin", "hunter22"), ("admin", "hunter222")] {
            assert!(!login.is(username, password), "{username} {password}");
        }
        assert!(!format!("{login:?}").contains("hunter"));
    }

    #[test]
    fn half_a_pair_is_refused() {
        assert_eq!(Login::new("", "x").err(), Some(LoginError::Empty("CORE_STORAGE_MEMORY_AUTH_USERNAME")));
        assert_eq!(Login::new("x", "").err(), Some(LoginError::Empty("CORE_STORAGE_MEMORY_AUTH_PASSWORD")));
        assert_eq!(Login::new("a:b", "x").err(), Some(LoginError::Colon));
    }
}
