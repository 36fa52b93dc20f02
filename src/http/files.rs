//! The files of processes: the memory filesystem at `/memfs`, the disk directory beside the page, and both behind tokens
//! below `/api/v3/fs`.

mod answer;
pub mod api;
mod login;
mod upload;
mod watch;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;

use super::problem::{Problem, no_route};
use super::{App, Shared, client, cors};
use crate::files::{Filesystem, Kind, Name, Refused};
use crate::sessions::Sessions;

pub use login::{Login, LoginError};
pub use watch::count;

/// The files that are served.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What is behind the paths.
    pub filesystems: Vec<Arc<dyn Filesystem>>,
    /// Who may write below `/memfs`; `None` lets everybody.
    pub memory_login: Option<Login>,
    /// Pages of which sites may read files; none means all.
    pub origins: Vec<HeaderValue>,
    /// Who watches by HLS; `None` counts nobody.
    pub sessions: Option<Watch>,
}

/// How those who watch by HLS are counted.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Where they are counted.
    pub sessions: Arc<Mutex<Sessions>>,
    /// Addresses that do not count, such as that of FFmpeg on this machine.
    pub ignored: Vec<IpNet>,
}

impl Files {
    fn of(&self, kind: Kind) -> Option<Arc<dyn Filesystem>> {
        self.filesystems.iter().find(|files| files.kind() == kind).cloned()
    }
}

/// Does what may have to wait for a disk, where waiting holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refused> + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("no file makes this program panic").map_err(Problem::from)
}

/// The name in a path, which is decoded.
fn name(path: &str) -> Result<Name, Problem> {
    Name::parse(path).ok_or_else(|| Problem::not_found("no_file", format!("{path:?} cannot be the name of a file")))
}

type Rest = Result<Path<String>, PathRejection>;

fn rest(path: Rest) -> Result<Name, Problem> {
    name(&path.map_err(|rejection| Problem::malformed(rejection.body_text()))?.0)
}

/// A file of the memory filesystem.
#[utoipa::path(
    get,
    path = "/memfs/{*name}",
    tag = "files",
    responses((status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"))
)]
pub async fn memory(State(app): Shared, path: Rest, request: Parts) -> Result<Response, Problem> {
    let files = app.files.of(Kind::Memory).ok_or_else(no_route)?;
    serve(&app, files, rest(path)?, &request).await
}

/// Puts a file into the memory filesystem.
#[utoipa::path(
    method(put, post),
    path = "/memfs/{*name}",
    tag = "files",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "It is new"), (status = 204, description = "It was there"))
)]
pub async fn write_memory(State(app): Shared, path: Rest, request: Request<Body>) -> Result<Response, Problem> {
    let files = app.files.of(Kind::Memory).ok_or_else(no_route)?;
    login::authorize(&app, &request)?;
    upload::take(files, rest(path)?, request).await
}

/// Removes a file of the memory filesystem.
#[utoipa::path(
    delete,
    path = "/memfs/{*name}",
    tag = "files",
    responses((status = 200, description = "It is gone", body = String, content_type = "text/plain"))
)]
pub async fn remove_memory(State(app): Shared, path: Rest, request: Request<Body>) -> Result<Response, Problem> {
    let files = app.files.of(Kind::Memory).ok_or_else(no_route)?;
    login::authorize(&app, &request)?;
    let name = rest(path)?;
    blocking(move || files.remove(&name)).await?;
    Ok((StatusCode::OK, "Deleted").into_response())
}

/// Every path that nothing else is served at: a file of the disk directory, or nothing.
pub async fn disk(State(app): Shared, request: Parts) -> Response {
    match disk_file(&app, &request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn disk_file(app: &App, request: &Parts) -> Result<Response, Problem> {
    let path = request.uri.path();
    let is_reserved = ["/api", "/memfs"].iter().any(|base| path == *base || path.starts_with(&format!("{base}/")));
    if is_reserved || !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(no_route());
    }
    let files = app.files.of(Kind::Disk).ok_or_else(no_route)?;
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| no_route())?;
    let index = if decoded.ends_with('/') { "index.html" } else { "" };
    let name = Name::parse(&format!("{decoded}{index}")).ok_or_else(no_route)?;
    serve(app, files, name, request).await.map_err(|problem| match problem.status() {
        StatusCode::NOT_FOUND => no_route(),
        _ => problem,
    })
}

/// Answers with a file, and counts who watches.
async fn serve(app: &App, files: Arc<dyn Filesystem>, name: Name, request: &Parts) -> Result<Response, Problem> {
    let kind = files.kind();
    let opened = {
        let name = name.clone();
        blocking(move || files.open(&name)).await?
    };
    let client = client::address(&request.extensions, &request.headers, &app.trusted_proxies);
    let watch = app.files.sessions.as_ref();
    let watched = watch.and_then(|watch| watch::Watched::new(watch, client, kind, &name, request));
    let mut response = answer::answer(opened, &name, &request.method, &request.headers, watched).await?;
    origin(app, request, &mut response);
    Ok(response)
}

/// Says which sites may read the file where not all may.
fn origin(app: &App, request: &Parts, response: &mut Response) {
    if app.files.origins.is_empty() {
        return;
    }
    let asked = request.headers.get(ORIGIN);
    let allowed = asked.filter(|origin| app.files.origins.contains(origin)).cloned();
    response.extensions_mut().insert(cors::Origin(allowed));
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        let (status, reason) = match refused {
            Refused::NotFound(_) => (StatusCode::NOT_FOUND, "no_file"),
            Refused::Full { .. } => {
                return Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", detail).closing();
            }
            Refused::Taken(_) => (StatusCode::CONFLICT, "no_place"),
            Refused::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "storage_failed"),
        };
        Self::new(status, reason, detail)
    }
}
