//! What viewers cost: our gateway beside the floor, plain `webrtc` and Janus, in one run (`make bench`).
//!
//! This program starts itself again for each role: the senders, the source that feeds them, and the load client, each in
//! a process of its own, so that the sender's CPU time is the sender's alone. [`rig`] puts a sender, its source and its
//! viewers together, [`rounds`] measures, [`report`] writes. [`parameters`] holds every number that can be chosen.

mod allocations;
#[path = "../../tests/support/child.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod child;
#[path = "../../tests/support/chromium.rs"]
mod chromium;
mod client;
mod control;
mod machine;
#[path = "../../tests/support/manifest.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod manifest;
mod method;
mod parameters;
#[path = "../../tests/support/program.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod program;
#[expect(dead_code, reason = "the benchmark of the operator uses more of it")]
mod report;
mod rig;
mod rounds;
mod senders;
mod source;
mod traffic;

use std::path::Path;

use anyhow::{Context, Result};

use parameters::Parameters;
use report::Report;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() -> Result<()> {
    machine::raise_limits();
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    if let Some(cores) = arguments.next() {
        control::stay_on(&cores)?;
    }
    match role.as_str() {
        "gateway" => senders::gateway::run(),
        "floor" => senders::floor::run(),
        "plain" => senders::plain::run(),
        "source" => source::run(),
        "client" => client::run(),
        // What cargo passes to benchmarks.
        "--bench" => bench(),
        _ => {
            println!("Nothing is measured: `make bench` does that.");
            Ok(())
        }
    }
}

fn bench() -> Result<()> {
    let short = std::env::var_os("BENCH_SHORT").is_some_and(|value| value == "1");
    let parameters = if short { Parameters::short() } else { Parameters::full() };
    let watch = machine::Watch::start()?;
    let mut left_out = Vec::new();
    let rounds = std::env::var("BENCH_ROUNDS").unwrap_or_default();
    let wanted: Vec<&str> = rounds.split(',').filter(|round| !round.is_empty()).collect();
    let figures = rounds::take(&parameters, &wanted, &mut left_out)?;
    let report = Report {
        mode: if parameters.short { "short" } else { "full" }.into(),
        machine: watch.machine()?,
        software: method::software(),
        method: method::method(&parameters),
        left_out,
        figures,
    };
    write(&report, parameters.short || !wanted.is_empty())
}

/// Writes the JSON, and from that JSON the page. A look, and figures of a busy machine, do not touch the documentation.
fn write(report: &Report, look: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/bench");
    let json = folder.join("egress.json");
    report.write(&json)?;
    let written = Report::read(&json)?;
    let busy = written.machine.is_busy();
    let page = if look || busy { folder.join("performance.md") } else { root.join("docs/performance.md") };
    // The operator's part is another benchmark's.
    let before = std::fs::read_to_string(root.join("docs/performance.md")).unwrap_or_default();
    let mut text = written.page();
    if let Some(operator) = report::operator_of(&before) {
        text = report::with_operator(&text, operator);
    }
    std::fs::write(&page, text).with_context(|| format!("write {}", page.display()))?;
    println!("{}", written.table());
    println!("Written: {} and {}", json.display(), page.display());
    if busy {
        let others = written.machine.others + written.machine.stolen;
        println!(
            "Others used {others:.2} of a core meanwhile, so docs/performance.md stays as it is: measure while it is quiet."
        );
    }
    Ok(())
}
