//! A file as an answer: conditional requests and ranges (RFC 9110 sections 13 and 14), what is in it, how long it may be
//! kept.

use std::io::{Read, SeekFrom};
use std::ops::Bound;

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use headers::{
    ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified, Range,
};

use super::blocking;
use super::watch::Watched;
use crate::files::{Content, MediaType, Name, Opened, Pieces, Refused, media_type};
use crate::http::problem::Problem;

/// Octets that are read from a disk at once.
const PIECE: u64 = 256 * 1024;
/// A playlist that is longer is no playlist of anything that plays.
const MAX_PLAYLIST: u64 = 4 << 20;
/// A segment keeps what is in it, until its name is used again: FFmpeg may count from 0 again after a restart.
const KEEP_MEDIA: HeaderValue = HeaderValue::from_static("public, max-age=10");
/// Everything else may have changed the next moment; asking again costs little.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// Pages from a directory that processes write into may run scripts, and are strangers to this server's own page: they
/// can read neither its token nor anything else of this origin that needs one.
const STRANGER: HeaderValue =
    HeaderValue::from_static("sandbox allow-scripts allow-forms allow-popups allow-presentation");

/// Answers a request for a file, and has it counted where it is watched.
pub async fn answer(
    opened: Opened,
    name: &Name,
    method: &Method,
    headers: &HeaderMap,
    watched: Option<Watched<'_>>,
) -> Result<Response, Problem> {
    let media = media_type(name);
    // What may be compressed has several forms, and a weak validator holds for all of them (RFC 9110 section 8.8.3).
    let etag = format!("{}\"{}\"", if media.is_text { "W/" } else { "" }, opened.version());
    let etag: ETag = etag.parse().expect("a version is hexadecimal");
    let modified = LastModified::from(opened.modified);
    let mut response = match condition(headers, &etag, &opened) {
        Some(StatusCode::PRECONDITION_FAILED) => {
            return Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                format!("{name} is another version"),
            ));
        }
        Some(status) => status.into_response(),
        None => {
            let range = match method {
                &Method::GET => range(headers, &etag, &modified, opened.size).map_err(|NoSuchRange| {
                    let of = HeaderValue::from_str(&format!("bytes */{}", opened.size)).expect("it is a number");
                    let detail = format!("{name} has {} octets, and none of the range", opened.size);
                    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "no_such_range", detail).with(CONTENT_RANGE, of)
                })?,
                _ => None,
            };
            send(opened, name, range, watched).await?
        }
    };
    describe(response.headers_mut(), media, etag, modified);
    Ok(response)
}

fn describe(headers: &mut HeaderMap, media: MediaType, etag: ETag, modified: LastModified) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.text));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let is_media = media.text.starts_with("video/") || media.text.starts_with("audio/");
    headers.insert(CACHE_CONTROL, if is_media { KEEP_MEDIA } else { ASK_AGAIN });
    headers.typed_insert(etag);
    headers.typed_insert(modified);
    if media.is_text {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if media.is_active {
        headers.insert(CONTENT_SECURITY_POLICY, STRANGER);
    }
}

/// What the preconditions say, in the order of RFC 9110 section 13.2.2; `None` where the file is to be sent.
fn condition(headers: &HeaderMap, etag: &ETag, opened: &Opened) -> Option<StatusCode> {
    let passes = match (headers.typed_get::<IfMatch>(), headers.typed_get::<IfUnmodifiedSince>()) {
        (Some(wanted), _) => wanted.precondition_passes(etag),
        (None, Some(since)) => since.precondition_passes(opened.modified),
        (None, None) => true,
    };
    if !passes {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    let is_known = match (headers.typed_get::<IfNoneMatch>(), headers.typed_get::<IfModifiedSince>()) {
        (Some(known), _) => !known.precondition_passes(etag),
        (None, Some(since)) => !since.is_modified(opened.modified),
        (None, None) => false,
    };
    is_known.then_some(StatusCode::NOT_MODIFIED)
}

struct NoSuchRange;

/// The first octet and the number of octets that are asked for; `None` for all of it. Several ranges at once are
/// answered with the whole file, as section 14.2 allows.
fn range(
    headers: &HeaderMap,
    etag: &ETag,
    modified: &LastModified,
    size: u64,
) -> Result<Option<(u64, u64)>, NoSuchRange> {
    let Some(range) = headers.typed_get::<Range>() else { return Ok(None) };
    let is_other = |known: IfRange| known.is_modified(Some(etag), Some(modified));
    if headers.typed_get::<IfRange>().is_some_and(is_other) {
        return Ok(None);
    }
    let ranges: Vec<_> = range.satisfiable_ranges(size).collect();
    match ranges[..] {
        [] => Err(NoSuchRange),
        [(begin, end)] => {
            let begin = match begin {
                Bound::Included(begin) => begin,
                Bound::Excluded(before) => before + 1,
                Bound::Unbounded => 0,
            };
            let end = match end {
                Bound::Included(last) => last.saturating_add(1).min(size),
                Bound::Excluded(end) => end.min(size),
                Bound::Unbounded => size,
            };
            if begin < end { Ok(Some((begin, end - begin))) } else { Err(NoSuchRange) }
        }
        _ => Ok(None),
    }
}

async fn send(
    opened: Opened,
    name: &Name,
    range: Option<(u64, u64)>,
    watched: Option<Watched<'_>>,
) -> Result<Response, Problem> {
    let Opened { size, modified: _, mut content } = opened;
    let (begin, length) = range.unwrap_or((0, size));
    let is_hls = name.file().to_ascii_lowercase().ends_with(".m3u8");
    let counted = match watched {
        Some(watched) if is_hls && size <= MAX_PLAYLIST => {
            let whole = whole(content, size).await?;
            let counted = watched.playlist(&String::from_utf8_lossy(&whole));
            content = Content::Whole(whole);
            counted
        }
        Some(watched) if !is_hls => watched.load(begin),
        _ => None,
    };
    let body = match content {
        // It may have become shorter while it was read.
        Content::Whole(whole) => {
            let end = usize::try_from(begin + length).unwrap_or(usize::MAX).min(whole.len());
            Body::from(whole.slice(usize::try_from(begin).unwrap_or(usize::MAX).min(end)..end))
        }
        Content::Pieces(pieces) => stream(pieces, begin, length),
    };
    let mut response = Response::new(body);
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {begin}-{}/{size}", begin + length - 1);
        response.headers_mut().insert(CONTENT_RANGE, HeaderValue::from_str(&range).expect("they are numbers"));
    }
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    if let Some(counted) = counted {
        response.extensions_mut().insert(counted);
    }
    Ok(response)
}

async fn whole(content: Content, size: u64) -> Result<Bytes, Problem> {
    match content {
        Content::Whole(whole) => Ok(whole),
        Content::Pieces(mut pieces) => {
            blocking(move || {
                let mut whole = Vec::new();
                let read = pieces.by_ref().take(size).read_to_end(&mut whole);
                read.map(|_| whole.into()).map_err(|error| Refused::Failed(format!("it cannot be read: {error}")))
            })
            .await
        }
    }
}

/// The octets of a file, read as fast as the client takes them.
fn stream(pieces: Box<dyn Pieces>, begin: u64, length: u64) -> Body {
    let state = (pieces, begin, length);
    Body::from_stream(futures_util::stream::try_unfold(state, |(mut pieces, at, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; usize::try_from(left.min(PIECE)).expect("a piece is small")];
            pieces.seek(SeekFrom::Start(at))?;
            pieces.read_exact(&mut piece)?;
            std::io::Result::Ok((Bytes::from(piece), pieces))
        });
        let (piece, pieces) = read.await.expect("no file makes this program panic")?;
        let read = piece.len() as u64;
        std::io::Result::Ok(Some((piece, (pieces, at + read, left - read))))
    }))
}
