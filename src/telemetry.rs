//! Log output: events to standard error, as text or as JSON lines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, LogLevel};

/// Begins to log. To be called once.
pub fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Silent => "off",
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries speak of what this program says better itself.
    let libraries = if level == "off" { "off" } else { "error" };
    let filter = EnvFilter::new(format!("{libraries},dragonfork={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
