//! What is logged.

use clap::{Args, ValueEnum};

/// What is logged.
#[derive(Debug, Args)]
pub struct Logging {
    /// How much is logged to standard error.
    #[arg(long, env = "CORE_LOG_LEVEL", default_value = "info")]
    pub log_level: LogLevel,
    /// How it is logged.
    #[arg(long, env = "CORE_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Events that `GET /api/v3/log` gives.
    #[arg(long, env = "CORE_LOG_MAX_LINES", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=100_000), value_name = "N")]
    pub log_max_lines: u32,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Silent,
    /// What stops something from working.
    Error,
    /// What a person should look at.
    Warn,
    /// What happens.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// How it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
