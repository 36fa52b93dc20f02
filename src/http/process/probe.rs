//! A look at the streams of inputs, in datarhei's form.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::change::named;
use super::progress::thousandths;
use super::{Id, known};
use crate::core::{Config, Inputs};
use crate::http::{
    Shared,
    access::Access,
    path::{At, at},
    problem::Problem,
    token::Action,
};
use crate::process::{Probed, Stream};

/// What was seen of inputs.
#[derive(Serialize, ToSchema)]
pub struct Probe {
    streams: Vec<ProbedStream>,
    /// What FFmpeg said, redacted.
    log: Vec<String>,
}

/// One stream; what FFmpeg does not say is empty or 0.
#[derive(Serialize, ToSchema)]
struct ProbedStream {
    /// Address of the input, redacted.
    url: String,
    format: String,
    /// Number of the input.
    index: usize,
    /// Number of the stream within it.
    stream: usize,
    language: String,
    /// `video`, `audio`, `subtitle`, `data` or `attachment`.
    r#type: String,
    codec: String,
    coder: String,
    /// In units of 1000 bits a second.
    bitrate_kbps: f64,
    duration_sec: f64,
    fps: f64,
    pix_fmt: String,
    width: u32,
    height: u32,
    sampling_hz: u32,
    layout: String,
    channels: u32,
}

/// Looks at the inputs of a process, for 20 s at most.
#[utoipa::path(
    get,
    path = "/api/v3/process/{id}/probe",
    tag = "process",
    responses((status = 200, description = "Their streams", body = Probe))
)]
pub async fn of_process(State(app): Shared, access: Access, path: At<Id>) -> Result<Json<Probe>, Problem> {
    let Id { id } = at(path)?;
    access.require(&id, Action::Write)?;
    known(&app, &id)?;
    Ok(Json(app.core()?.probe(Inputs::OfProcess(id)).await?.into()))
}

/// Looks at the inputs of a process that need not be here, for 20 s at most.
#[utoipa::path(
    post,
    path = "/api/v3/process/probe",
    tag = "process",
    request_body = Config,
    responses((status = 200, description = "Their streams", body = Probe))
)]
pub async fn of_body(
    State(app): Shared,
    access: Access,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Probe>, Problem> {
    let json = named(&access, &headers, body).await?;
    Ok(Json(app.core()?.probe(Inputs::OfJson(json)).await?.into()))
}

impl From<Probed> for Probe {
    fn from(probed: Probed) -> Self {
        let Probed { streams, log } = probed;
        Self { streams: streams.into_iter().map(ProbedStream::from).collect(), log }
    }
}

impl From<Stream> for ProbedStream {
    fn from(stream: Stream) -> Self {
        let Stream {
            id: _, // datarhei tells the number alone.
            address,
            index,
            stream,
            format,
            kind,
            codec,
            coder,
            language,
            duration,
            rate,
            declared_bitrate,
            pix_fmt,
            width,
            height,
            sampling_hz,
            layout,
            channels,
            figures: _, // Nothing is written.
        } = stream;
        Self {
            url: address,
            format,
            index,
            stream,
            language,
            r#type: kind,
            codec,
            coder,
            bitrate_kbps: thousandths(declared_bitrate / 1000.0),
            duration_sec: thousandths(duration),
            fps: thousandths(rate),
            pix_fmt,
            width,
            height,
            sampling_hz,
            layout,
            channels,
        }
    }
}
