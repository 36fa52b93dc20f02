//! The two programs of a worker Pod. The operator sets their variables.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Clients, Ffmpeg, Logging, Media, Storage, Webrtc, listen_address, not_empty};
use crate::workload::{CONFIGURATION_DIR, CONTROL_SOCKET, LEG_PORT};

/// What the two programs of a worker Pod have in common.
#[derive(Debug, Args)]
pub struct Worker {
    /// Id of the process that the Pod is for.
    #[arg(long = "process", env = "CORE_WORKER_PROCESS", value_parser = not_empty, value_name = "ID")]
    pub worker_process: String,
    /// Directory of process.yaml, settings.json and jwks.json, as the operator's ConfigMap is mounted; it is watched.
    #[arg(long = "configuration", env = "CORE_WORKER_CONFIGURATION", default_value = CONFIGURATION_DIR, value_name = "DIR")]
    pub worker_configuration: PathBuf,
    /// The gateway's control socket.
    #[arg(long = "socket", env = "CORE_WORKER_SOCKET", default_value = CONTROL_SOCKET, value_name = "PATH")]
    pub worker_socket: PathBuf,
}

/// Configuration of `dragonfork runner`.
#[derive(Debug, Args)]
pub struct Runner {
    /// What both programs of the Pod are told.
    #[command(flatten)]
    pub worker: Worker,
    /// Seconds for which FFmpeg goes on for its viewers when the program is told to end.
    #[arg(long = "drain-seconds", env = "CORE_WORKER_DRAIN_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=21_600), value_name = "SECONDS")]
    pub worker_drain_seconds: u64,
    /// Address of HTTP, for the operator: `:9080`, `127.0.0.1:9080`, `[::1]:9080` or `name:9080`.
    #[arg(long, env = "CORE_ADDRESS", default_value = ":9080", value_parser = listen_address)]
    pub address: SocketAddr,
    /// FFmpeg, and where it runs.
    #[command(flatten)]
    pub ffmpeg: Ffmpeg,
    /// Where files are kept and how they are served.
    #[command(flatten)]
    pub storage: Storage,
    /// What manifests can refer to, and what FFmpeg may open.
    #[command(flatten)]
    pub media: Media,
    /// What is logged.
    #[command(flatten)]
    pub logging: Logging,
}

/// Configuration of `dragonfork whep`.
#[derive(Debug, Args)]
pub struct Whep {
    /// What both programs of the Pod are told.
    #[command(flatten)]
    pub worker: Worker,
    /// Loopback UDP port of the picture's leg; the sound's is the next one.
    #[arg(long = "leg-port", env = "CORE_WORKER_LEG_PORT", default_value_t = LEG_PORT, value_parser = clap::value_parser!(u16).range(1..=65_534), value_name = "PORT")]
    pub worker_leg_port: u16,
    /// Address of HTTP, for players: `:8080`, `127.0.0.1:8080`, `[::1]:8080` or `name:8080`.
    #[arg(long, env = "CORE_ADDRESS", default_value = ":8080", value_parser = listen_address)]
    pub address: SocketAddr,
    /// The gateway.
    #[command(flatten)]
    pub webrtc: Webrtc,
    /// Its clients.
    #[command(flatten)]
    pub clients: Clients,
    /// What is logged.
    #[command(flatten)]
    pub logging: Logging,
}
