//! What a process costs this program beside FFmpeg itself, without WebRTC: the whole program over many manifests.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::progress;
use crate::machine::{adopt_orphans, cpu, reap_orphans, resident};
use crate::manifest::{Manifest, manifest};
use crate::parameters::{PROCESSES, Parameters, SETTLE, SOAK_SETTLE, SOAK_STEP, SUSPENDED, targets};
use crate::program::Program;
use crate::report::{Figure, Target};

const GROUP: &str = "Processes without WebRTC";

/// The time until many manifests are shown, and the memory and CPU time of running processes.
pub fn processes(parameters: &Parameters) -> Result<Vec<Figure>> {
    let read = on_runtime(read_many())?;
    let [memory, time] = on_runtime(run_many(parameters.window))?;
    Ok(vec![
        Figure::new(
            GROUP,
            "processes/read",
            format!("From the start until {SUSPENDED} manifests are shown"),
            "ms",
            &[read],
        )
        .target(Target::AtMost(targets::READ)),
        Figure::new(GROUP, "processes/memory", format!("Memory a process, with {PROCESSES} of them"), "kB", &[memory])
            .target(Target::AtMost(targets::PROCESS_MEMORY)),
        Figure::new(GROUP, "processes/cpu", format!("CPU a process, with {PROCESSES} of them"), "% of a core", &[time])
            .target(Target::AtMost(targets::PROCESS_CPU)),
    ])
}

/// The memory of running processes over a long time; an error where it grows.
pub fn soak(parameters: &Parameters) -> Result<Vec<Figure>> {
    let (first, growth) = on_runtime(endure(parameters.soak))?;
    let limit = targets::GROWTH;
    ensure!(growth <= limit, "memory grew by {growth:.1} % from {:.1} MB on; {limit} % is the limit", first / 1e6);
    let minutes = parameters.soak.as_secs() / 60;
    let settled = SOAK_SETTLE.as_secs() / 60;
    let what = format!("Growth of memory from minute {settled} to minute {minutes}, {PROCESSES} processes");
    let figure = Figure::new(GROUP, "processes/growth", what, "%", &[growth]);
    Ok(vec![figure.note(format!("from {:.1} MB", first / 1e6)).target(Target::AtMost(limit))])
}

fn on_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    adopt_orphans()?;
    let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
    reap_orphans();
    outcome
}

/// A small picture that goes nowhere.
fn picture(number: usize) -> Manifest {
    manifest(&format!("process-{number}"))
        .input("-re -f lavfi", "color=size=64x64:rate=5")
        .output("-c:v mpeg4 -f null", "-")
        .with("webrtc", json!({"enabled": false}))
}

/// Milliseconds.
async fn read_many() -> Result<f64> {
    let manifests: Vec<Manifest> = (0..SUSPENDED).map(|number| picture(number).with("suspend", json!(true))).collect();
    let texts: Vec<(String, String)> =
        manifests.iter().map(|manifest| (format!("{}.yaml", manifest.name()), manifest.text())).collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let begin = Instant::now();
    let program = Program::start_with(&files, &[]).await;
    while program.processes().await.len() < SUSPENDED {
        ensure!(begin.elapsed() < SETTLE, "{SUSPENDED} manifests are not shown after {} s", SETTLE.as_secs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let passed = begin.elapsed().as_secs_f64() * 1000.0;
    progress(&format!("{SUSPENDED} manifests: {passed:.0} ms"));
    Ok(passed)
}

/// A program with its processes running, and the octets that it had resident without them.
async fn running() -> Result<(Program, u64)> {
    let program = Program::start().await;
    tokio::time::sleep(SETTLE).await;
    let without = resident(program.child.id())?;
    (0..PROCESSES).for_each(|number| program.apply(&picture(number)));
    for number in 0..PROCESSES {
        let id = format!("process-{number}");
        program.until_within(4 * SETTLE, &id, "runs", |process| process["status"]["state"] == "Running").await;
    }
    tokio::time::sleep(SETTLE).await;
    Ok((program, without))
}

/// kB and percent of a core, for each process.
async fn run_many(window: Duration) -> Result<[f64; 2]> {
    let (program, without) = running().await.context("start the processes")?;
    let id = program.child.id();
    let memory = resident(id)?.saturating_sub(without) as f64 / 1000.0 / PROCESSES as f64;
    let (begin, before) = (Instant::now(), cpu(id)?);
    tokio::time::sleep(window).await;
    let used = (cpu(id)? - before).as_secs_f64() / begin.elapsed().as_secs_f64();
    let time = used * 100.0 / PROCESSES as f64;
    progress(&format!("{PROCESSES} processes: {memory:.0} kB and {time:.3} % of a core each"));
    Ok([memory, time])
}

/// Octets when it has settled, and percent of growth from then on.
async fn endure(length: Duration) -> Result<(f64, f64)> {
    let (program, _) = running().await.context("start the processes")?;
    let children = program.ffmpegs("color=");
    let begin = Instant::now();
    let mut samples: Vec<(Duration, f64)> = Vec::new();
    while begin.elapsed() < length {
        tokio::time::sleep(SOAK_STEP).await;
        let octets = resident(program.child.id())? as f64;
        progress(&format!("minute {:.1}: {:.1} MB", begin.elapsed().as_secs_f64() / 60.0, octets / 1e6));
        samples.push((begin.elapsed(), octets));
    }
    let settled = samples.iter().find(|(at, _)| *at >= SOAK_SETTLE).context("it is too short to settle")?.1;
    let last = samples.last().context("there is a sample")?.1;
    // The token of the program's link holds for ten minutes, so it is not asked.
    ensure!(program.ffmpegs("color=") == children, "an FFmpeg was started again");
    Ok((settled, (last - settled) * 100.0 / settled))
}
