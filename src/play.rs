//! A player of WHEP without a browser: plays a stream, counts what comes, and says what was in the way where nothing
//! came.
//!
//! Each viewer is a peer of the `webrtc` crate. Between its SRTP and its receiver stands [`wire`], which counts packets
//! and, where it is told to, loses a share of them. Nothing is decoded.
//!
//! This room never knows the server: it speaks to any WHEP endpoint by its URL.

mod failure;
mod http;
mod report;
mod tally;
mod viewer;
mod wire;

use std::net::IpAddr;
use std::time::Duration;

pub use failure::{Failure, Phase};
pub use report::{Flow, Report, Sum, Times, Viewer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is to be played, and how.
#[derive(Clone)]
pub struct Settings {
    /// URL of the WHEP endpoint, `http:` or `https:`.
    pub url: String,
    /// Bearer token.
    pub token: Option<String>,
    /// How long each viewer watches once it is connected.
    pub duration: Duration,
    /// Viewers, all at once.
    pub viewers: u32,
    /// Share of the RTP packets that is lost on purpose, 0 to 1.
    pub loss: f64,
}

/// Plays until each viewer has watched for its time or has failed, or until `stop`. Every session that was opened is
/// deleted.
pub async fn play(settings: &Settings, stop: &CancellationToken) -> Report {
    let viewers = match http::Endpoint::find(settings).await {
        Ok(endpoint) => watch_all(settings, &endpoint, stop).await,
        Err(failure) => (1..=settings.viewers).map(|number| Viewer::failed(number, failure.clone())).collect(),
    };
    Report::new(settings, viewers)
}

async fn watch_all(settings: &Settings, endpoint: &http::Endpoint, stop: &CancellationToken) -> Vec<Viewer> {
    let mut tasks = JoinSet::new();
    for number in 1..=settings.viewers {
        let (settings, endpoint, stop) = (settings.clone(), endpoint.clone(), stop.clone());
        tasks.spawn(async move { viewer::watch(number, &settings, &endpoint, &stop).await });
    }
    let mut viewers = tasks.join_all().await;
    viewers.sort_by_key(|viewer| viewer.number);
    viewers
}

/// The addresses of this machine at which a server that is at `server` may reach a viewer.
fn own_addresses(server: &[IpAddr]) -> Vec<String> {
    let is_here = server.iter().any(IpAddr::is_loopback);
    let addresses: Vec<String> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .iter()
        .filter(|interface| !interface.is_link_local() && (is_here || !interface.is_loopback()))
        .map(|interface| std::net::SocketAddr::new(interface.ip(), 0).to_string())
        .collect();
    if addresses.is_empty() { vec!["0.0.0.0:0".to_owned()] } else { addresses }
}
