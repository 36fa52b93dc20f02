//! What FFmpeg can do, in datarhei's form.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::access::Access;
use super::problem::Problem;
use super::token::Action;
use crate::plan::skills;

/// Seconds until a client may ask again; FFmpeg answers at once.
const RETRY: u64 = 1;

/// What FFmpeg can do.
#[derive(Serialize, ToSchema)]
pub struct Skills {
    ffmpeg: Build,
    filter: Vec<Named>,
    hwaccels: Vec<Named>,
    codecs: Codecs,
    devices: Sides<Device>,
    formats: Sides<Named>,
    protocols: Protocols,
}

/// The program itself.
#[derive(Serialize, ToSchema)]
struct Build {
    /// Such as `5.1.9`; of a build that is no release the text itself.
    version: String,
    compiler: String,
    configuration: String,
    libraries: Vec<Library>,
}

/// One library, with the version that FFmpeg was compiled with and the one that is there.
#[derive(Serialize, ToSchema)]
struct Library {
    name: String,
    compiled: String,
    linked: String,
}

/// Something by FFmpeg's name for it, and what it is.
#[derive(Serialize, ToSchema)]
struct Named {
    id: String,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct Codecs {
    audio: Vec<Codec>,
    video: Vec<Codec>,
    subtitle: Vec<Codec>,
}

/// A codec and what codes it.
#[derive(Serialize, ToSchema)]
struct Codec {
    id: String,
    name: String,
    encoders: Vec<String>,
    decoders: Vec<String>,
}

/// What is read, and what is written.
#[derive(Serialize, ToSchema)]
struct Sides<T: ToSchema> {
    demuxers: Vec<T>,
    muxers: Vec<T>,
}

/// A kind of device and those that are there.
#[derive(Serialize, ToSchema)]
struct Device {
    id: String,
    name: String,
    devices: Vec<FoundDevice>,
}

#[derive(Serialize, ToSchema)]
struct FoundDevice {
    /// What FFmpeg opens.
    id: String,
    name: String,
    /// Where it is.
    extra: String,
    /// `video` or `audio`.
    media: String,
}

/// What is read, and what is written.
#[derive(Serialize, ToSchema)]
struct Protocols {
    input: Vec<Named>,
    output: Vec<Named>,
}

/// What FFmpeg said when it was asked last.
#[utoipa::path(
    get,
    path = "/api/v3/skills",
    tag = "skills",
    responses((status = 200, description = "What FFmpeg can do", body = Skills))
)]
pub async fn show(State(app): Shared, access: Access) -> Result<Json<Skills>, Problem> {
    access.require_some(Action::Read)?;
    let known = app.snapshot.borrow().skills.clone();
    let known = known.ok_or_else(|| {
        let why = "FFmpeg has not said yet what it can do, or cannot be asked; the log says why";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_ffmpeg", why).retry_after(RETRY)
    })?;
    Ok(Json(Skills::of(&known)))
}

/// Asks FFmpeg, which may be another one by now.
#[utoipa::path(
    get,
    path = "/api/v3/skills/reload",
    tag = "skills",
    responses((status = 200, description = "What FFmpeg can do", body = Skills))
)]
pub async fn reload(State(app): Shared, access: Access) -> Result<Json<Skills>, Problem> {
    access.require_all(Action::Write)?;
    Ok(Json(Skills::of(&*app.core()?.load_skills().await?)))
}

impl Skills {
    fn of(skills: &skills::Skills) -> Self {
        let skills::Skills {
            build,
            filters,
            hwaccels,
            video,
            audio,
            subtitle,
            demuxers,
            muxers,
            sources,
            sinks,
            input_protocols,
            output_protocols,
        } = skills.clone();
        let skills::Build { version, compiler, configuration, libraries } = build;
        Self {
            ffmpeg: Build { version, compiler, configuration, libraries: all(libraries) },
            filter: all(filters),
            hwaccels: all(hwaccels),
            codecs: Codecs { audio: all(audio), video: all(video), subtitle: all(subtitle) },
            devices: Sides { demuxers: all(sources), muxers: all(sinks) },
            formats: Sides { demuxers: all(demuxers), muxers: all(muxers) },
            protocols: Protocols { input: all(input_protocols), output: all(output_protocols) },
        }
    }
}

fn all<S, T: From<S>>(list: Vec<S>) -> Vec<T> {
    list.into_iter().map(T::from).collect()
}

impl From<skills::Library> for Library {
    fn from(library: skills::Library) -> Self {
        let skills::Library { name, compiled, linked } = library;
        Self { name, compiled, linked }
    }
}

impl From<skills::Named> for Named {
    fn from(named: skills::Named) -> Self {
        let skills::Named { id, name } = named;
        Self { id, name }
    }
}

impl From<String> for Named {
    fn from(id: String) -> Self {
        Self { name: id.clone(), id }
    }
}

impl From<skills::Codec> for Codec {
    fn from(codec: skills::Codec) -> Self {
        let skills::Codec { id, name, encoders, decoders } = codec;
        Self { id, name, encoders, decoders }
    }
}

impl From<skills::DeviceKind> for Device {
    fn from(kind: skills::DeviceKind) -> Self {
        let skills::DeviceKind { id, name, devices } = kind;
        Self { id, name, devices: all(devices) }
    }
}

impl From<skills::Device> for FoundDevice {
    fn from(device: skills::Device) -> Self {
        let skills::Device { id, name, extra, media } = device;
        Self { id, name, extra, media }
    }
}
