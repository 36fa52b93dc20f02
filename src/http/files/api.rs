//! `/api/v3/fs`: what the filesystems hold, for those with a token for every process.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{answer, blocking, name, upload};
use crate::files::{self, Entry, Filesystem, Glob, Kind, Order, Sort};
use crate::http::{App, Shared, access::Access, problem::Problem, token::Action};

/// One filesystem as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Filesystem)]
pub struct Listed {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    mount: &'static str,
}

/// One file as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = File)]
pub struct ListedFile {
    name: String,
    size_bytes: u64,
    last_modified: u64,
}

/// What a list is asked for. Empty is the same as absent.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Wish {
    /// Only files whose name fits this pattern.
    glob: String,
    /// Octets at least.
    size_min: String,
    /// Octets at most.
    size_max: String,
    /// Written at this unix second or later.
    lastmod_start: String,
    /// Written at this unix second or before.
    lastmod_end: String,
    /// `name`, `size` or `lastmod`; empty is `name`.
    sort: String,
    /// `asc` or `desc`; empty is `asc`.
    order: String,
}

/// The filesystems.
#[utoipa::path(
    get,
    path = "/api/v3/fs",
    tag = "files",
    responses((status = 200, description = "Name, type and where it is served", body = [Listed]))
)]
pub async fn names(State(app): Shared, access: Access) -> Result<Json<Vec<Listed>>, Problem> {
    access.require_all(Action::Read)?;
    let listed = |kind: Kind| Listed { name: kind.word(), kind: kind.word(), mount: kind.mount() };
    Ok(Json(app.files.filesystems.iter().map(|files| listed(files.kind())).collect()))
}

/// The files of a filesystem.
#[utoipa::path(
    get,
    path = "/api/v3/fs/{filesystem}",
    tag = "files",
    params(Wish),
    responses((status = 200, description = "The files", body = [ListedFile]))
)]
pub async fn list(
    State(app): Shared,
    access: Access,
    Path(filesystem): Path<String>,
    uri: Uri,
) -> Result<Json<Vec<ListedFile>>, Problem> {
    access.require_all(Action::Read)?;
    let files = find(&app, &filesystem)?;
    let Query(wish) =
        Query::<Wish>::try_from_uri(&uri).map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    let query = wish.read()?;
    let entries = blocking(move || files.list()).await?;
    let listed = |entry: Entry| ListedFile {
        last_modified: entry.modified_seconds(),
        size_bytes: entry.size,
        name: entry.name.as_str().to_owned(),
    };
    Ok(Json(query.select(entries).into_iter().map(listed).collect()))
}

/// A file.
#[utoipa::path(
    get,
    path = "/api/v3/fs/{filesystem}/{*name}",
    tag = "files",
    responses((status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"))
)]
pub async fn file(
    State(app): Shared,
    access: Access,
    Path((filesystem, path)): Path<(String, String)>,
    request: Parts,
) -> Result<Response, Problem> {
    access.require_all(Action::Read)?;
    let (files, name) = (find(&app, &filesystem)?, name(&path)?);
    let opened = {
        let name = name.clone();
        blocking(move || files.open(&name)).await?
    };
    answer::answer(opened, &name, &request.method, &request.headers, None).await
}

/// Puts a file into its place.
#[utoipa::path(
    put,
    path = "/api/v3/fs/{filesystem}/{*name}",
    tag = "files",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "It is new"), (status = 204, description = "It was there"))
)]
pub async fn write(
    State(app): Shared,
    access: Access,
    Path((filesystem, path)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    access.require_all(Action::Write).map_err(Problem::closing)?;
    let (files, name) = (find(&app, &filesystem)?, name(&path)?);
    upload::take(files, name, request).await
}

/// Removes a file.
#[utoipa::path(
    delete,
    path = "/api/v3/fs/{filesystem}/{*name}",
    tag = "files",
    responses((status = 200, description = "It is gone", body = String))
)]
pub async fn remove(
    State(app): Shared,
    access: Access,
    Path((filesystem, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    access.require_all(Action::Write)?;
    let (files, name) = (find(&app, &filesystem)?, name(&path)?);
    blocking(move || files.remove(&name)).await?;
    Ok((StatusCode::OK, Json("OK")).into_response())
}

fn find(app: &App, filesystem: &str) -> Result<Arc<dyn Filesystem>, Problem> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.word() == filesystem);
    let unknown = || Problem::not_found("unknown_filesystem", format!("there is no filesystem {filesystem:?} here"));
    kind.and_then(|kind| app.files.of(kind)).ok_or_else(unknown)
}

impl Wish {
    fn read(&self) -> Result<files::Query, Problem> {
        let Self { glob, size_min, size_max, lastmod_start, lastmod_end, sort, order } = self;
        let glob = match glob.as_str() {
            "" => None,
            text => Some(Glob::parse(text).map_err(|bad| Problem::malformed(format!("glob={text:?}: {bad}")))?),
        };
        let sort = match sort.as_str() {
            "" | "name" => Sort::Name,
            "size" => Sort::Size,
            "lastmod" => Sort::Modified,
            other => return Err(Problem::malformed(format!("sort={other:?} is none of name, size, lastmod"))),
        };
        let order = match order.as_str() {
            "" | "asc" => Order::Ascending,
            "desc" => Order::Descending,
            other => return Err(Problem::malformed(format!("order={other:?} is none of asc, desc"))),
        };
        Ok(files::Query {
            glob,
            size_min: number("size_min", size_min)?,
            size_max: number("size_max", size_max)?,
            modified_from: number("lastmod_start", lastmod_start)?,
            modified_to: number("lastmod_end", lastmod_end)?,
            sort,
            order,
        })
    }
}

fn number(name: &str, text: &str) -> Result<Option<u64>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    u64::from_str(text).map(Some).map_err(|_| Problem::malformed(format!("{name}={text:?} is no whole number")))
}
