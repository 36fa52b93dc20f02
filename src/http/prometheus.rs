//! Figures for Prometheus, in OpenMetrics text. They are read when they are asked for; nothing is counted here.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::access::Access;
use super::problem::Problem;
use super::token::Action;
use super::{App, Files, Shared, session};
use crate::controller::{Process, Snapshot};
use crate::crd::{Progress, State as Life};
use crate::files::Usage;
use crate::whep::{Overview, Traffic};

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Number = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProcess {
    process: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFilesystem {
    filesystem: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCause {
    process: String,
    cause: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: String,
}

/// Every state, so that one without processes is 0 and not absent.
const STATES: [Life; 8] = [
    Life::Pending,
    Life::Starting,
    Life::Waiting,
    Life::Running,
    Life::Reconnecting,
    Life::Finished,
    Life::Failed,
    Life::Suspended,
];

/// Figures for Prometheus, in OpenMetrics text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "figures",
    responses((status = 200, description = "The figures", body = String, content_type = "application/openmetrics-text"))
)]
pub async fn metrics(State(app): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    if app.metrics_auth {
        Access::of(&app, "metrics", &headers).await?.require_all(Action::Read)?;
    }
    let overview = session::overview(&app).await;
    let mut registry = Registry::with_prefix("dragonfork");
    program(&app, &mut registry);
    let snapshot = app.snapshot.borrow().clone();
    processes(&snapshot, &mut registry);
    viewers(&overview, &mut registry);
    files(&app.files, &mut registry);
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", error.to_string()))?;
    Ok(([(CONTENT_TYPE, FORMAT)], text).into_response())
}

fn program(app: &App, registry: &mut Registry) {
    let identity = &app.identity;
    let labels = vec![
        ("version", identity.version.clone()),
        ("variant", identity.variant.clone()),
        ("fork", identity.fork.clone()),
    ];
    registry.register("build", "What runs", Info::new(labels));
    let uptime = Number::default();
    let seconds = Timestamp::now().duration_since(identity.created_at).as_secs_f64();
    uptime.set(seconds.max(0.0));
    registry.register_with_unit("uptime", "Since the program started", Unit::Seconds, uptime);
}

fn processes(snapshot: &Snapshot, registry: &mut Registry) {
    let states = Family::<OfState, Gauge>::default();
    for state in STATES {
        let count = snapshot.processes.values().filter(|process| process.status.state == state).count();
        states.get_or_create(&OfState { state: format!("{state:?}") }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("processes", "Processes by state", states);
    let problems = Gauge::<i64>::default();
    problems.set(i64::try_from(snapshot.problems.len()).unwrap_or(i64::MAX));
    registry.register("manifest_problems", "Manifests that are not used", problems);
    let running = Family::<OfProcess, Gauge>::default();
    let ends = Family::<OfCause, Counter>::default();
    let restarts = Family::<OfProcess, Counter>::default();
    let viewers = Family::<OfProcess, Gauge>::default();
    for process in snapshot.processes.values() {
        let of = OfProcess { process: process.key.to_string() };
        running.get_or_create(&of).set(i64::from(process.status.state == Life::Running));
        restarts.get_or_create(&of).inc_by(u64::try_from(process.status.restarts).unwrap_or_default());
        for (cause, count) in &process.ends {
            let of = OfCause { process: process.key.to_string(), cause: format!("{cause:?}") };
            ends.get_or_create(&of).inc_by(*count);
        }
        if let Some(webrtc) = &process.status.webrtc {
            viewers.get_or_create(&of).set(webrtc.viewers.into());
        }
    }
    registry.register("process_running", "Whether FFmpeg makes progress, 0 or 1", running);
    registry.register("process_restarts", "Starts after the first since the manifest was accepted", restarts);
    registry.register("process_ends", "Ends of FFmpeg by cause", ends);
    registry.register("process_viewers", "WebRTC viewers at this moment", viewers);
    progress(snapshot.processes.values().map(|process| &**process), registry);
}

/// Figures of the running FFmpegs. They begin anew with each run, so they are gauges where a run may begin.
fn progress<'p>(processes: impl Iterator<Item = &'p Process>, registry: &mut Registry) {
    let family = Family::<OfProcess, Number>::default;
    let (frames, fps, bitrate, bytes, time, speed, drop, dup) =
        (family(), family(), family(), family(), family(), family(), family(), family());
    for process in processes {
        let Some(figures) = &process.status.progress else { continue };
        let Progress {
            frame,
            fps: rate,
            bitrate: bits,
            size_bytes,
            time_seconds,
            speed: pace,
            drop: dropped,
            dup: doubled,
        } = figures;
        let of = OfProcess { process: process.key.to_string() };
        let set = |family: &Family<OfProcess, Number>, value: f64| {
            family.get_or_create(&of).set(value);
        };
        set(&frames, *frame as f64);
        set(&fps, *rate);
        set(&bytes, *size_bytes as f64);
        set(&time, *time_seconds);
        set(&drop, *dropped as f64);
        set(&dup, *doubled as f64);
        // What FFmpeg does not say is absent.
        bits.iter().for_each(|bits| set(&bitrate, *bits));
        pace.iter().for_each(|pace| set(&speed, *pace));
    }
    registry.register("ffmpeg_frames", "Video frames of this run", frames);
    registry.register("ffmpeg_fps", "Video frames a second", fps);
    registry.register("ffmpeg_bits_per_second", "Over all outputs", bitrate);
    registry.register_with_unit("ffmpeg_written", "By this run", Unit::Bytes, bytes);
    registry.register_with_unit("ffmpeg_media_time", "Of this run", Unit::Seconds, time);
    registry.register("ffmpeg_speed", "Media time over wall-clock time", speed);
    registry.register("ffmpeg_dropped_frames", "Of this run", drop);
    registry.register("ffmpeg_duplicated_frames", "Of this run", dup);
}

fn files(files: &Files, registry: &mut Registry) {
    let family = Family::<OfFilesystem, Gauge>::default;
    let (counts, used, limits) = (family(), family(), family());
    for filesystem in &files.filesystems {
        let Usage { files: count, octets, limit } = filesystem.usage();
        let of = OfFilesystem { filesystem: filesystem.kind().word() };
        let set = |family: &Family<OfFilesystem, Gauge>, value: u64| {
            family.get_or_create(&of).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&counts, count);
        set(&used, octets);
        // What has no cap has no line.
        limit.iter().for_each(|limit| set(&limits, *limit));
    }
    registry.register("filesystem_files", "Files", counts);
    registry.register_with_unit("filesystem_used", "By the files", Unit::Bytes, used);
    registry.register_with_unit("filesystem_limit", "That the files may have", Unit::Bytes, limits);
    if let Some(watch) = &files.sessions {
        let active = watch.sessions.lock().expect("nothing panics while it is held").active(Instant::now()).len();
        let sessions = Gauge::<i64>::default();
        sessions.set(i64::try_from(active).unwrap_or(i64::MAX));
        registry.register("hls_viewers", "Viewers by HLS at this moment", sessions);
    }
}

fn viewers(overview: &Overview, registry: &mut Registry) {
    let Overview { viewings, connected: _, sent, jumps, max_viewers } = overview;
    let gauge = |value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    registry.register("viewers", "WebRTC viewers at this moment", gauge(viewings.len()));
    registry.register("viewers_limit", "WebRTC viewers at most", gauge(*max_viewers));
    let Traffic { packets, octets, resent } = sent;
    let counter = |value: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        counter
    };
    registry.register("gateway_sent_packets", "RTP packets to viewers, resent ones not counted", counter(*packets));
    registry.register_with_unit("gateway_sent", "Payload to viewers", Unit::Bytes, counter(*octets));
    registry.register("gateway_resent_packets", "RTP packets that viewers had lost", counter(*resent));
    let family = Family::<OfReason, Counter>::default();
    for (reason, count) in jumps {
        family.get_or_create(&OfReason { reason: (*reason).to_owned() }).inc_by(*count);
    }
    registry.register("gateway_jumps", "How often viewers went on from the newest keyframe", family);
}
