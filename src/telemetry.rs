//! Log output: events to standard error, as text or as JSON lines, and the last ones for who asks over HTTP.

use std::io::IsTerminal;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::args::{LogFormat, LogLevel};
use crate::core::{Event, Events};

/// How much is logged, which can change.
#[derive(Clone)]
pub struct Verbosity(Handle<EnvFilter, Registry>);

impl Verbosity {
    /// Logs so much from now on.
    pub fn set(&self, level: LogLevel) {
        self.0.reload(filter(level)).expect("the log is there as long as the program");
    }
}

/// Begins to log, and keeps the last events. To be called once.
pub fn start(level: LogLevel, format: LogFormat, events: Events) -> Verbosity {
    let (filter, verbosity) = reload::Layer::new(filter(level));
    let output = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let output = match format {
        LogFormat::Text => output.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => output.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(output).with(Keep(events)).init();
    Verbosity(verbosity)
}

fn filter(level: LogLevel) -> EnvFilter {
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
    EnvFilter::new(format!("{libraries},dragonfork={level}"))
}

/// Keeps the last events.
struct Keep(Events);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut seen = Seen::default();
        event.record(&mut seen);
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let Seen { message, fields } = seen;
        self.0.push(Event { at: Timestamp::now().as_millisecond(), level, message, fields });
    }
}

/// What an event says.
#[derive(Default)]
struct Seen {
    message: String,
    fields: Map<String, Value>,
}

impl Seen {
    fn take(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.take(field, format!("{value:?}").into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            _ => self.take(field, value.into()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_with_their_fields() {
        let events = Events::new(8);
        let subscriber = tracing_subscriber::registry().with(Keep(events.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(process = %"cam", pid = 7, ok = true, why = ?Some(1), "it {}", "ended");
        });
        let [event] = &events.snapshot()[..] else { panic!("{:?}", events.snapshot()) };
        assert_eq!((event.level, event.message.as_str()), ("warn", "it ended"));
        let fields = serde_json::json!({"process": "cam", "pid": 7, "ok": true, "why": "Some(1)"});
        assert_eq!(Value::Object(event.fields.clone()), fields);
    }
}
