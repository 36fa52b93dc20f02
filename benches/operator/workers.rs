//! The workers of all processes, played: one HTTP server at every loopback address.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use dragonfork::crd::RestreamProcessStatus;
use dragonfork::workload::{Configuration, Report};
use serde_json::json;
use tokio::net::TcpListener;

/// The digests of what each worker was told, by the address that it is asked at.
type Told = Arc<Mutex<HashMap<String, String>>>;

/// Starts; the port.
pub async fn start() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let port = listener.local_addr()?.port();
    let routes = axum::Router::new().route("/worker", get(report).put(configure)).with_state(Told::default());
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(port)
}

/// The address of the worker with this number.
pub fn address(number: usize) -> Ipv4Addr {
    let [_, _, high, low] = u32::try_from(number).expect("there are not so many").to_be_bytes();
    Ipv4Addr::new(127, 16, high, low)
}

fn host(headers: &HeaderMap) -> String {
    headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned()
}

async fn report(State(told): State<Told>, headers: HeaderMap) -> Json<Report> {
    let configuration = told.lock().expect("nothing panics").get(&host(&headers)).cloned().unwrap_or_default();
    Json(Report { configuration, draining: false, status: playing() })
}

async fn configure(
    State(told): State<Told>,
    ConnectInfo(_): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(configuration): Json<Configuration>,
) -> StatusCode {
    told.lock().expect("nothing panics").insert(host(&headers), configuration.digest());
    StatusCode::NO_CONTENT
}

/// What a worker says whose stream plays.
fn playing() -> RestreamProcessStatus {
    let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({
        "state": "Running", "restarts": 0,
        "webrtc": {"announced": [], "viewers": 0, "video": {"action": "Copy", "map": "0:v:0", "reason": "H.264 without B-frames"}},
        "conditions": [condition("Accepted", "Accepted"), condition("StreamRunning", "Running"),
                       condition("PlaybackReady", "Playing"), condition("Ready", "Running")],
    });
    serde_json::from_value(status).expect("it is a status")
}
