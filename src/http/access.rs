//! Who may do what: everything below `/api/v3` needs a token, before anything else is said.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::App;
use super::problem::Problem;
use super::token::{Action, Scope};

/// What the bearer of this request's token may do.
#[derive(Clone, Debug)]
pub struct Access {
    realm: &'static str,
    scope: Arc<Scope>,
}

impl Access {
    /// What the bearer of a request's token may do, where the route is not below `/api/v3`.
    pub(super) async fn of(app: &App, realm: &'static str, headers: &HeaderMap) -> Result<Self, Problem> {
        let scope = match (app.auth(), bearer(headers)) {
            (None, _) => Scope::default(),
            (Some(_), None) => return Err(Problem::unauthorized(realm, None)),
            (Some(auth), Some(token)) => {
                auth.verify(token).await.map_err(|invalid| Problem::unauthorized(realm, Some(invalid.to_string())))?
            }
        };
        Ok(Self { realm, scope: Arc::new(scope) })
    }

    /// Refuses where the action is not allowed on this process.
    pub fn require(&self, process: &str, action: Action) -> Result<(), Problem> {
        if self.scope.covers(process, action) {
            return Ok(());
        }
        Err(self.refuse(&format!("the token does not allow to {} process {process}", action.word())))
    }

    /// Refuses where the action is not allowed on any process.
    pub fn require_some(&self, action: Action) -> Result<(), Problem> {
        if self.scope.allows(action) {
            return Ok(());
        }
        Err(self.refuse(&format!("the token does not allow to {} processes", action.word())))
    }

    /// Refuses where the action is not allowed on every process.
    pub fn require_all(&self, action: Action) -> Result<(), Problem> {
        if self.covers_all(action) {
            return Ok(());
        }
        Err(self.refuse(&format!("the token does not allow to {} every process", action.word())))
    }

    /// Whether the action is allowed on this process.
    pub fn covers(&self, process: &str, action: Action) -> bool {
        self.scope.covers(process, action)
    }

    /// Whether the action is allowed on every process.
    pub fn covers_all(&self, action: Action) -> bool {
        self.scope.covers_all(action)
    }

    fn refuse(&self, detail: &str) -> Problem {
        Problem::forbidden(self.realm, detail)
    }
}

impl<S: Sync> FromRequestParts<S> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a route that is not below `/api/v3` has none.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthorized("api", None))
    }
}

/// Lets through what needs no token, and what has a good one. Preflights never carry one (WHATWG Fetch section 4.8).
pub async fn authorize(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if request.method() == Method::OPTIONS || !below(path, "/api/v3") {
        return next.run(request).await;
    }
    let whep = is_whep(path);
    let realm = if whep { "whep" } else { "api" };
    let scope = match app.auth() {
        None => Scope::default(),
        Some(auth) => {
            let Some(token) = token(request.headers(), request.uri()) else {
                return Problem::unauthorized(realm, None).into_response();
            };
            match auth.verify(&token).await {
                Ok(scope) => scope,
                Err(invalid) => return Problem::unauthorized(realm, Some(invalid.to_string())).into_response(),
            }
        }
    };
    request.extensions_mut().insert(Access { realm, scope: Arc::new(scope) });
    next.run(request).await
}

/// Whether a WHEP request that needs no token may do this all the same: it has a good one, or nobody needs one.
pub async fn may(app: &App, uri: &Uri, headers: &HeaderMap, process: &str, action: Action) -> bool {
    let Some(auth) = app.auth() else { return true };
    match token(headers, uri) {
        Some(token) => auth.verify(&token).await.is_ok_and(|scope| scope.covers(process, action)),
        None => false,
    }
}

fn below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path is one of a WHEP player, which may carry its token in the URL.
fn is_whep(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    matches!(segments[..], ["api", "v3", "whep", _, ..] | ["api", "v3", "process", _, "whep", ..])
}

/// The bearer token of the Authorization header (RFC 6750 section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token of a request; a player of WHEP may carry it in the URL.
fn token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let in_url = || if is_whep(uri.path()) { token_in_url(uri) } else { None };
    bearer(headers).map(str::to_owned).or_else(in_url)
}

fn token_in_url(uri: &Uri) -> Option<String> {
    #[derive(Deserialize)]
    struct Parameters {
        token: Option<String>,
    }
    let Query(parameters) = Query::<Parameters>::try_from_uri(uri).ok()?;
    parameters.token.filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_token_is_told_by_whole_segments() {
        assert!(below("/api/v3", "/api/v3") && below("/api/v3/", "/api/v3") && below("/api/v3/whep/x", "/api/v3"));
        assert!(!below("/api/v30", "/api/v3") && !below("/api", "/api/v3") && !below("/", "/api/v3"));
        assert!(is_whep("/api/v3/whep/cam") && is_whep("/api/v3/process/cam/whep/1"));
        assert!(!is_whep("/api/v3/process/whep") && !is_whep("/api/v3/whep"));
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        let header = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, text.parse().expect("a header"));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(header("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(header("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(header("Basic abc"), None);
        assert_eq!(header("abc"), None);
    }

    #[test]
    fn a_token_in_the_url_is_decoded() {
        let uri = |text: &'static str| token_in_url(&text.parse().expect("a URI"));
        assert_eq!(uri("/api/v3/whep/cam?x=1&token=a%2Eb").as_deref(), Some("a.b"));
        assert_eq!(uri("/api/v3/whep/cam?token="), None);
        assert_eq!(uri("/api/v3/whep/cam"), None);
    }
}
