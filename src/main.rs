//! Parse, telemetry, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use dragonfork::app;
use dragonfork::args::{Command, Logging, Mode};
use dragonfork::core::Events;
use dragonfork::crd;
use dragonfork::telemetry::{self, Verbosity};

fn main() -> ExitCode {
    let outcome = match Command::parse().mode {
        Mode::Standalone(config) => {
            let (events, verbosity) = log(&config.logging);
            run(app::standalone(*config, events, verbosity))
        }
        Mode::Runner(config) => {
            let (events, _) = log(&config.logging);
            run(app::runner(*config, events))
        }
        Mode::Whep(config) => {
            let (events, _) = log(&config.logging);
            run(app::whep(*config, events))
        }
        Mode::Play(config) => {
            run(app::play(config)).and_then(|app::Played { text, verdict }| print(&text).and(verdict))
        }
        Mode::Operator(config) => {
            let (events, _) = log(&config.logging);
            run(app::operator(*config, events))
        }
        Mode::Convert(config) => match app::convert(&config) {
            Ok(app::Converted { text, told, is_whole }) => {
                eprint!("{told}");
                match print(&text) {
                    Ok(()) if !is_whole => return ExitCode::from(app::NOT_WHOLE),
                    printed => printed,
                }
            }
            Err(error) => Err(error),
        },
        Mode::Validate(config) => match app::validate(&config) {
            Ok(app::Validated { text, is_accepted }) => match print(&text) {
                Ok(()) if !is_accepted => return ExitCode::FAILURE,
                printed => printed,
            },
            Err(error) => Err(error),
        },
        Mode::Crd => print(&crd::crd_yaml()),
        Mode::Token(config) => app::token(&config).and_then(|token| print(&format!("{token}\n"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dragonfork: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a mode until it ends.
fn run<T>(mode: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|tokio| tokio.block_on(mode))
}

/// Begins to log; the last events, and the way to how much is logged.
fn log(logging: &Logging) -> (Events, Verbosity) {
    let Logging { log_level, log_format, log_max_lines } = *logging;
    let events = Events::new(log_max_lines as usize);
    let verbosity = telemetry::start(log_level, log_format, events.clone());
    (events, verbosity)
}

/// A reader that has seen enough is no error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
