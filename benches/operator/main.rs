//! What the operator costs and how fast it is: a real API server and etcd on the same machine, processes, Pods that the
//! benchmark makes as a Deployment controller would, and workers that it plays.
//!
//! `make bench-operator` writes `target/bench/operator.json`, and from it the operator's part of docs/performance.md.
//! `BENCH_SHORT=1` takes a look with a tenth of the processes.

#[path = "../../tests/support/child.rs"]
#[expect(dead_code, reason = "the end-to-end tests use more of it")]
mod child;
mod cluster;
#[path = "../../tests/cluster/keeper.rs"]
mod keeper;
#[path = "../egress/machine.rs"]
#[expect(dead_code, reason = "the benchmark of the egress uses more of it")]
mod machine;
#[path = "../egress/parameters.rs"]
#[expect(dead_code, reason = "the benchmark of the egress uses more of it")]
mod parameters;
#[path = "../../tests/cluster/plane.rs"]
#[expect(dead_code, reason = "the tests on a cluster use more of it")]
mod plane;
#[path = "../../tests/cluster/programs.rs"]
mod programs;
#[path = "../egress/report.rs"]
#[expect(dead_code, reason = "the benchmark of the egress uses more of it")]
mod report;
mod rounds;
mod workers;

use std::path::Path;

use anyhow::{Context, Result};

use report::Report;

fn main() -> Result<()> {
    // `cargo test` runs benchmarks of this kind as well, to see whether they can be built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let short = std::env::var_os("BENCH_SHORT").is_some_and(|value| value == "1");
    let watch = machine::Watch::start()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let many = if short { (100, 1_000) } else { (1_000, 10_000) };
    let figures = runtime.block_on(rounds::take(many))?;
    drop(runtime);
    let report = Report {
        mode: if short { "short" } else { "full" }.into(),
        machine: watch.machine()?,
        software: vec!["Kubernetes 1.36.2: kube-apiserver and etcd, without controllers".into()],
        method: method(many),
        left_out: Vec::new(),
        figures,
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let json = root.join("target/bench/operator.json");
    report.write(&json)?;
    println!("{}\nWritten: {}", report.table(), json.display());
    if !short {
        let page = root.join("docs/performance.md");
        let text = std::fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
        std::fs::write(&page, report::with_operator(&text, &report.section()))?;
        println!("Written: {}", page.display());
    }
    Ok(())
}

fn method((some, many): (usize, usize)) -> Vec<String> {
    vec![
        format!(
            "The API server with its etcd, the operator and the benchmark share the cores of this machine. {some} processes \
             with WebRTC and the exposure `ClusterOnly` are there before the operator starts; {many} at the end."
        ),
        "No controller runs, so that the API server has no other work: the benchmark makes a Pod for each Deployment, and one \
         HTTP server answers for all workers, each at a loopback address of its own, as a worker whose stream plays."
            .into(),
        "Converged is when every process is `Ready`. Writes are what the API server counts of POST, PUT, PATCH and DELETE \
         without leases."
            .into(),
        "An edit changes `webrtc.maxViewers` of one process and lasts until a watch shows its ConfigMap changed.".into(),
        "A takeover lasts from the signal to the leader until an edit that was made right behind it has reached its \
         ConfigMap."
            .into(),
    ]
}
