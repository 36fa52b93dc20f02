//! Username and password become tokens, and a refresh token another access token.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest::{Digest, SHA256, digest};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::access::bearer;
use super::jwks::Jwks;
use super::problem::Problem;
use super::token::{ACCESS_LIFETIME, Grant, Invalid, Purpose, REFRESH_LIFETIME, Scope, ShortSecret, Signer};
use super::{App, Shared, body, client};

/// Octets of a login at most.
const MAX_LOGIN: usize = 8 * 1024;

/// Whose tokens are taken: those of a login, those of another issuer, or both. Debug shows neither password nor secret.
#[derive(Clone)]
pub struct Auth {
    account: Option<Arc<Account>>,
    jwks: Option<Jwks>,
}

/// Who may log in, and with what its tokens are signed.
struct Account {
    username: String,
    password: Digest,
    signer: Signer,
}

/// Why credentials are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Nobody could log in, or everybody.
    #[error("{0} is empty; set it, or turn authentication off with CORE_API_AUTH_ENABLE=false")]
    Empty(&'static str),
    /// The secret can be guessed.
    #[error(transparent)]
    Secret(#[from] ShortSecret),
}

impl Auth {
    /// One user, and the secret of the tokens.
    pub fn new(username: &str, password: &str, secret: &str) -> Result<Self, AuthError> {
        Self::signing(username, password, Signer::new(secret)?)
    }

    /// One user, and what signs the tokens.
    pub fn signing(username: &str, password: &str, signer: Signer) -> Result<Self, AuthError> {
        if username.is_empty() {
            return Err(AuthError::Empty("CORE_API_AUTH_USERNAME"));
        }
        if password.is_empty() {
            return Err(AuthError::Empty("CORE_API_AUTH_PASSWORD"));
        }
        let password = digest(&SHA256, password.as_bytes());
        Ok(Self { account: Some(Arc::new(Account { username: username.to_owned(), password, signer })), jwks: None })
    }

    /// Nobody may log in; the tokens of this issuer are taken.
    pub fn of_issuer(jwks: Jwks) -> Self {
        Self { account: None, jwks: Some(jwks) }
    }

    /// The same, and tokens of another issuer are taken too.
    pub fn with_jwks(self, jwks: Jwks) -> Self {
        Self { jwks: Some(jwks), ..self }
    }

    /// What an access token allows, whoever made it.
    pub async fn verify(&self, token: &str) -> Result<Scope, Invalid> {
        match (&self.jwks, &self.account) {
            (Some(jwks), account) if account.is_none() || jwks.is_for(token) => jwks.verify(token).await,
            (_, Some(account)) => account.signer.verify(token, Purpose::Access).map(|claims| claims.scope),
            (_, None) => Err(Invalid::Foreign("no issuer of tokens is known here")),
        }
    }

    /// What signs and verifies the tokens of the login, where there is one.
    pub fn signer(&self) -> Option<&Signer> {
        self.account.as_ref().map(|account| &account.signer)
    }
}

impl Account {
    /// Compares in a time that tells nothing of either: digests have one length, and both are always compared.
    fn is(&self, username: &str, password: &str) -> bool {
        let equal =
            |digest: &Digest, other: &str| digest.as_ref().ct_eq(self::digest(&SHA256, other.as_bytes()).as_ref());
        let known = digest(&SHA256, self.username.as_bytes());
        (equal(&known, username) & equal(&self.password, password)).into()
    }

    fn mint(&self, subject: &str, purpose: Purpose, lifetime: Duration, scope: Scope) -> String {
        self.signer.mint(&Grant { subject, purpose, lifetime, scope }, SystemTime::now())
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let username = self.account.as_ref().map(|account| &account.username);
        f.debug_struct("Auth").field("username", &username).finish_non_exhaustive()
    }
}

#[derive(Deserialize, ToSchema)]
struct Login {
    username: String,
    password: String,
}

/// What a login gives.
#[derive(Serialize, ToSchema)]
pub struct Tokens {
    access_token: String,
    refresh_token: String,
}

/// What a refresh gives.
#[derive(Serialize, ToSchema)]
pub struct Refreshed {
    access_token: String,
}

/// Gives tokens for a name and a password.
#[utoipa::path(
    post,
    path = "/api/login",
    tag = "login",
    request_body = Login,
    responses((status = 200, description = "The tokens", body = Tokens))
)]
pub async fn login(
    State(app): Shared,
    extensions: Extensions,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Tokens>, Problem> {
    let account = account(&app)?;
    if !body::is(&headers, "application/json") {
        return Err(Problem::unsupported("a login is application/json: {\"username\": …, \"password\": …}"));
    }
    let text = body::text(&headers, body, MAX_LOGIN).await?;
    let Login { username, password } = serde_json::from_str(&text)
        // The error's position tells enough; its text could repeat what was typed.
        .map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            Problem::malformed(format!("the login is not {{\"username\": …, \"password\": …}}: {place}"))
        })?;
    let client = client::address(&extensions, &headers, &app.trusted_proxies);
    let source = throttle(&app)
        .take(client, Instant::now())
        .map_err(|wait| Problem::too_many("too_many_logins", "too many wrong passwords from this address", wait))?;
    if !account.is(&username, &password) {
        tracing::warn!(?client, "login refused");
        return Err(Problem::unauthorized("api", None).because("wrong_password", "username or password is wrong"));
    }
    throttle(&app).give_back(source);
    Ok(Json(Tokens {
        access_token: account.mint(&username, Purpose::Access, ACCESS_LIFETIME, account.signer.everything()),
        refresh_token: account.mint(&username, Purpose::Refresh, REFRESH_LIFETIME, account.signer.everything()),
    }))
}

/// The new token is limited as the old one was.
#[utoipa::path(
    get,
    path = "/api/login/refresh",
    tag = "login",
    responses((status = 200, description = "Another access token", body = Refreshed))
)]
pub async fn refresh(State(app): Shared, headers: HeaderMap) -> Result<Json<Refreshed>, Problem> {
    let account = account(&app)?;
    let token = bearer(&headers).ok_or_else(|| Problem::unauthorized("api", None))?;
    let claims = account
        .signer
        .verify(token, Purpose::Refresh)
        .map_err(|invalid| Problem::unauthorized("api", Some(invalid.to_string())))?;
    Ok(Json(Refreshed { access_token: account.mint(&claims.sub, Purpose::Access, ACCESS_LIFETIME, claims.scope) }))
}

fn account(app: &App) -> Result<Arc<Account>, Problem> {
    let off = || Problem::not_found("auth_disabled", "authentication is turned off here; no token is needed");
    let none = || Problem::not_found("login_disabled", "nobody can log in here; tokens come from another issuer");
    app.auth().ok_or_else(off)?.account.ok_or_else(none)
}

fn throttle(app: &Arc<App>) -> std::sync::MutexGuard<'_, super::throttle::Throttle> {
    app.logins.lock().expect("nothing panics while it is held")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of some length";

    #[test]
    fn only_the_whole_pair_is_right() {
        let auth = Auth::new("admin", "hunter22", SECRET).expect("it is complete");
        let auth = auth.account.expect("it has one");
        assert!(auth.is("admin", "hunter22"));
        for (username, password) in [("admin", ""), ("", "hunter22"), ("Admin", "hunter22"), ("admin", "hunter222")] {
            assert!(!auth.is(username, password), "{username} {password}");
        }
    }

    #[test]
    fn empty_credentials_are_refused() {
        let refused = |username, password, secret| Auth::new(username, password, secret).err();
        assert_eq!(refused("", "x", SECRET), Some(AuthError::Empty("CORE_API_AUTH_USERNAME")));
        assert_eq!(refused("x", "", SECRET), Some(AuthError::Empty("CORE_API_AUTH_PASSWORD")));
        assert!(matches!(refused("x", "x", "short"), Some(AuthError::Secret(_))));
    }

    #[test]
    fn a_password_is_never_shown() {
        let auth = Auth::new("admin", "hunter22", SECRET).expect("it is complete");
        assert!(!format!("{auth:?}").contains("hunter22") && !format!("{auth:?}").contains(SECRET));
    }
}
