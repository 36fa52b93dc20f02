//! WHEP over HTTP: the endpoint of a process and the sessions of its viewers.
//!
//! The order of refusals: token, its scope, the process, the body, the viewers, the codecs, the time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, LINK, LOCATION};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::access::{self, Access};
use super::cors::is_preflight;
use super::path::{At, at};
use super::problem::Problem;
use super::token::Action;
use super::{App, Shared, body, client, process};
use crate::controller::Process;
use crate::plan::{Key, path_segment};
use crate::whep::{Answer, Client, Opening, Refusal, Restart};

/// Octets of an offer or an answer at most; browsers send about 6 KiB.
const MAX_OFFER: usize = 64 * 1024;
/// Octets of a trickle fragment at most.
const MAX_FRAGMENT: usize = 8 * 1024;
/// The gateway answers within this, or the player is told 504.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(5);

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// What a counter-offer takes.
const EITHER: &str = "application/trickle-ice-sdpfrag, application/sdp";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// The endpoint in a path.
#[derive(Deserialize)]
pub struct Endpoint {
    id: String,
}

/// The session in a path.
#[derive(Deserialize)]
pub struct Session {
    id: String,
    resource: String,
}

/// `POST` of an offer.
#[utoipa::path(
    post,
    path = "/api/v3/whep/{id}",
    tag = "whep",
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, description = "The answer", body = String, content_type = "application/sdp"))
)]
pub async fn offer(
    State(app): Shared,
    access: Access,
    OriginalUri(uri): OriginalUri,
    path: At<Endpoint>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Endpoint { id } = at(path)?;
    access.require(&id, Action::Play)?;
    let (client, process) = playable(&app, &id)?;
    let offer = read_offer(&headers, body).await?;
    limit(&app, &extensions, &headers)?;
    let answer = in_time(client.offer(&id, offer, app.counter_offer)).await.map_err(|refusal| match refusal {
        // It is in the snapshot, so its legs are about to be opened.
        Refusal::UnknownProcess(_) | Refusal::NoMediaYet(_) => no_media(&process),
        other => other.into(),
    })?;
    Ok(opened(&app, &uri, &id, answer))
}

/// Refuses where this client address has offered too often.
fn limit(app: &App, extensions: &Extensions, headers: &HeaderMap) -> Result<(), Problem> {
    let client = client::address(extensions, headers, &app.trusted_proxies);
    let taken = app.offers.lock().expect("nothing panics while it is held").take(client, Instant::now());
    taken.map_err(|wait| Problem::too_many("too_many_offers", "too many offers from this address", wait))?;
    Ok(())
}

async fn read_offer(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    if !body::is(headers, SDP) {
        if headers.get(CONTENT_TYPE).is_none() && body::is_absent(&body) {
            return Err(Problem::malformed("the body is empty; POST an SDP offer"));
        }
        return Err(Problem::unsupported(format!("an offer is {SDP}")).with(ACCEPT_POST, HeaderValue::from_static(SDP)));
    }
    let offer = body::text(headers, body, MAX_OFFER).await?;
    if offer.trim().is_empty() {
        return Err(Problem::malformed("the body is empty; POST an SDP offer"));
    }
    Ok(offer)
}

/// A session: 201 with the answer, or 406 with a counter-offer.
fn opened(app: &App, uri: &Uri, process: &str, answer: Answer) -> Response {
    let Answer { session, opening, sdp, etag } = answer;
    let (status, accept_patch) = match opening {
        Opening::Offer => (StatusCode::CREATED, FRAGMENT),
        Opening::CounterOffer => (StatusCode::NOT_ACCEPTABLE, EITHER),
    };
    let mut response = (status, sdp).into_response();
    let headers = response.headers_mut();
    let location = format!("{}/{}", called_path(uri, process), path_segment(&session));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(LOCATION, HeaderValue::from_str(&location).expect("percent-encoded"));
    headers.insert(ETAG, HeaderValue::from_str(&etag).expect("an ICE user fragment is plain ASCII"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(accept_patch));
    headers.extend(app.ice_servers.links(SystemTime::now()).into_iter().map(|link| (LINK, link)));
    response
}

/// The endpoint's path as it was called, by its own name or by its alias.
fn called_path(uri: &Uri, process: &str) -> String {
    if uri.path().starts_with("/api/v3/process/") {
        return format!("/api/v3/process/{}/whep", path_segment(process));
    }
    Key::new(process).whep_path()
}

/// `PATCH` of a trickle fragment, of one that restarts ICE, or of the answer to a counter-offer.
#[utoipa::path(
    patch,
    path = "/api/v3/whep/{id}/{resource}",
    tag = "whep",
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses((status = 200, description = "ICE begins anew", body = String, content_type = "application/trickle-ice-sdpfrag"), (status = 204, description = "The candidates are taken"))
)]
pub async fn patch(
    State(app): Shared,
    access: Access,
    path: At<Session>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Session { id, resource } = at(path)?;
    access.require(&id, Action::Play)?;
    let (client, opening) = live(&app, &id, &resource).await?;
    let if_match = if_match(&headers);
    if opening == Opening::CounterOffer && body::is(&headers, SDP) {
        // The draft's answer has no If-Match: there is no ICE session yet that it could miss.
        let answer = body::text(&headers, body, MAX_OFFER).await?;
        in_time(client.answer(&id, &resource, if_match, answer)).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if app.strict_etag && if_match.is_none() {
        return Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition_required",
            "If-Match is needed here",
        ));
    }
    if !body::is(&headers, FRAGMENT) {
        let (accepted, what) = match opening {
            Opening::Offer => (FRAGMENT, format!("a fragment is {FRAGMENT}")),
            Opening::CounterOffer => (EITHER, format!("a fragment is {FRAGMENT}, an answer {SDP}")),
        };
        return Err(Problem::unsupported(what).with(ACCEPT_PATCH, HeaderValue::from_static(accepted)));
    }
    let fragment = body::text(&headers, body, MAX_FRAGMENT).await?;
    let restart = in_time(client.patch(&id, &resource, if_match, fragment)).await?;
    Ok(restart.map_or_else(|| StatusCode::NO_CONTENT.into_response(), restarted))
}

fn restarted(Restart { fragment, etag }: Restart) -> Response {
    let mut response = fragment.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
    headers.insert(ETAG, HeaderValue::from_str(&etag).expect("an ICE user fragment is plain ASCII"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// All If-Match headers as one list (RFC 9110 section 5.3).
fn if_match(headers: &HeaderMap) -> Option<String> {
    let tags: Vec<_> = headers.get_all(IF_MATCH).iter().map(|tag| String::from_utf8_lossy(tag.as_bytes())).collect();
    if tags.is_empty() { None } else { Some(tags.join(",")) }
}

/// `DELETE` of a session; If-Match does not matter here, and neither does whether there is one.
#[utoipa::path(
    delete,
    path = "/api/v3/whep/{id}/{resource}",
    tag = "whep",
    responses((status = 200, description = "The session has ended"), (status = 204, description = "There is no such session"))
)]
pub async fn delete(State(app): Shared, access: Access, path: At<Session>) -> Result<StatusCode, Problem> {
    let Session { id, resource } = at(path)?;
    access.require(&id, Action::Play)?;
    let Some(client) = &app.whep else { return Ok(StatusCode::NO_CONTENT) };
    let ended = in_time(client.delete(&id, &resource)).await?;
    Ok(if ended { StatusCode::OK } else { StatusCode::NO_CONTENT })
}

/// `GET` and `HEAD` of the endpoint: players find out by it what it is.
#[utoipa::path(
    get,
    path = "/api/v3/whep/{id}",
    tag = "whep",
    responses((status = 200, description = "What may be done here"))
)]
pub async fn endpoint(State(app): Shared, access: Access, path: At<Endpoint>) -> Result<Response, Problem> {
    let Endpoint { id } = at(path)?;
    access.require(&id, Action::Play)?;
    playable(&app, &id)?;
    Ok([(CONTENT_TYPE, SDP), (ACCEPT_POST, SDP)].into_response())
}

/// `GET` and `HEAD` of a session.
#[utoipa::path(
    get,
    path = "/api/v3/whep/{id}/{resource}",
    tag = "whep",
    responses((status = 200, description = "It is live"))
)]
pub async fn session(State(app): Shared, access: Access, path: At<Session>) -> Result<StatusCode, Problem> {
    let Session { id, resource } = at(path)?;
    access.require(&id, Action::Play)?;
    live(&app, &id, &resource).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `OPTIONS` of the endpoint. A player that asks itself, and no browser for it, learns the ICE servers; those that need
/// credentials only where it may watch.
#[utoipa::path(
    options,
    path = "/api/v3/whep/{id}",
    tag = "whep",
    responses((status = 200, description = "What may be done here"))
)]
pub async fn endpoint_options(
    State(app): Shared,
    OriginalUri(uri): OriginalUri,
    path: At<Endpoint>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let mut response = [(ALLOW, "GET, HEAD, OPTIONS, POST"), (ACCEPT_POST, SDP)].into_response();
    if !is_preflight(&method, &headers) {
        let may_watch = match path {
            Ok(Path(at)) => access::may(&app, &uri, &headers, &at.id, Action::Play).await,
            Err(_) => false,
        };
        let servers = &app.ice_servers;
        let links = if may_watch { servers.links(SystemTime::now()) } else { servers.open_links() };
        response.headers_mut().extend(links.into_iter().map(|link| (LINK, link)));
    }
    response
}

/// `OPTIONS` of a session: what one can take, because without a token nobody learns which there are.
#[utoipa::path(
    options,
    path = "/api/v3/whep/{id}/{resource}",
    tag = "whep",
    responses((status = 200, description = "What may be done here"))
)]
pub async fn session_options(State(app): Shared) -> Response {
    let accepted = if app.counter_offer { EITHER } else { FRAGMENT };
    [(ALLOW, "DELETE, GET, HEAD, OPTIONS, PATCH"), (ACCEPT_PATCH, accepted)].into_response()
}

/// The gateway and the process, where the process may be played.
fn playable<'a>(app: &'a App, id: &str) -> Result<(&'a Client, Arc<Process>), Problem> {
    let off = || Problem::not_found("webrtc_disabled", "WebRTC is turned off here (CORE_WEBRTC_ENABLE=false)");
    let client = app.whep.as_ref().ok_or_else(off)?;
    let process = process::known(app, id)?;
    let spec = &process.manifest.spec;
    if !spec.webrtc.as_ref().is_some_and(|webrtc| webrtc.enabled) {
        let detail = format!("process {id} has no WebRTC; its manifest needs webrtc.enabled");
        return Err(Problem::not_found("no_webrtc", detail));
    }
    if spec.suspend {
        return Err(Problem::not_found("suspended", format!("process {id} is suspended by its manifest")));
    }
    Ok((client, process))
}

/// The gateway and how the session began, where it is live.
async fn live<'a>(app: &'a App, id: &str, resource: &str) -> Result<(&'a Client, Opening), Problem> {
    let (client, _) = playable(app, id)?;
    let opening = in_time(client.find(id, resource)).await?.ok_or(Refusal::UnknownSession)?;
    Ok((client, opening))
}

/// The process sends nothing yet, and its conditions may say why.
fn no_media(process: &Process) -> Problem {
    let refusal = Refusal::NoMediaYet(process.key.to_string());
    let why = ["Accepted", "Ready", "PlaybackReady"].iter().find_map(|kind| {
        process.status.conditions.iter().find(|condition| condition.type_ == *kind && condition.status != "True")
    });
    let detail = match why {
        Some(condition) => format!("{refusal}: {}", condition.message),
        None => refusal.to_string(),
    };
    Problem::from(refusal).explained(detail)
}

async fn in_time<T>(reply: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(GATEWAY_TIMEOUT, reply).await.unwrap_or(Err(Refusal::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_on_the_path_that_was_called() {
        let called = |path: &'static str| called_path(&path.parse().expect("a URI"), "a:b");
        assert_eq!(called("/api/v3/whep/a%3Ab?token=x"), "/api/v3/whep/a:b");
        assert_eq!(called("/api/v3/process/a:b/whep"), "/api/v3/process/a:b/whep");
    }
}
