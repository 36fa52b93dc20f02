//! Taking a file: piece by piece, into its place once it is whole.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LOCATION, CONTENT_RANGE};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use headers::{ContentLength, HeaderMapExt};
use http_body_util::BodyExt;

use super::blocking;
use crate::files::{Filesystem, Name, Upload};
use crate::http::{body, problem::Problem};

/// Between two pieces of a file. A segment comes as fast as its picture is made, which can be slow.
const PAUSE: Duration = Duration::from_secs(60);
/// Octets that are put together before they are passed on.
const PIECE: usize = 256 * 1024;

/// Takes the body of a request as a file: 201 for a new one, 204 for one that was there.
pub async fn take(files: Arc<dyn Filesystem>, name: Name, request: Request<Body>) -> Result<Response, Problem> {
    let headers = request.headers();
    body::is_plain(headers).map_err(Problem::closing)?;
    if headers.contains_key(CONTENT_RANGE) {
        // RFC 9110 section 14.5: half a file must not take the place of a whole one.
        return Err(Problem::malformed("a file is written as a whole, without Content-Range").closing());
    }
    let location = HeaderValue::from_str(request.uri().path())
        .map_err(|_| Problem::malformed("the path holds what no header can"))?;
    let declared = headers.typed_get::<ContentLength>().map(|length| length.0);
    // FFmpeg closes the connection behind the last octet, without waiting for an answer; then nobody asks for this answer
    // any more, and the file has to take its place all the same.
    let taken = tokio::spawn(receive(files, name, declared, request.into_body())).await;
    let is_new = taken.expect("no file makes this program panic").map_err(Problem::closing)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    Ok((status, [(CONTENT_LOCATION, location)]).into_response())
}

/// Puts a body into its place; true where there was no file.
async fn receive(
    files: Arc<dyn Filesystem>,
    name: Name,
    declared: Option<u64>,
    mut body: Body,
) -> Result<bool, Problem> {
    let mut upload = blocking(move || files.upload(name, declared)).await?;
    let mut piece: Vec<u8> = Vec::new();
    loop {
        let frame = tokio::time::timeout(PAUSE, body.frame()).await.map_err(|_| {
            let detail = format!("nothing of the file came for {} s", PAUSE.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "slow_body", detail)
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| Problem::malformed(format!("the file is not whole: {error}")))?;
        if let Ok(octets) = frame.into_data() {
            piece.extend_from_slice(&octets);
        }
        if piece.len() >= PIECE {
            (upload, piece) = write(upload, piece).await?;
        }
    }
    let (upload, _) = write(upload, piece).await?;
    blocking(move || upload.finish()).await
}

/// Passes a piece on; its room comes back empty.
async fn write(mut upload: Box<dyn Upload>, mut piece: Vec<u8>) -> Result<(Box<dyn Upload>, Vec<u8>), Problem> {
    blocking(move || {
        upload.write(&piece)?;
        piece.clear();
        Ok((upload, piece))
    })
    .await
}
