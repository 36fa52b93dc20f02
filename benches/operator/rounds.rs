//! The rounds, one after the other on one cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::child::{Child, free_port};
use crate::plane::{Plane, With, own};
use crate::report::{Figure, Target, percentile};
use crate::{cluster, keeper, machine, workers};

const GROUP: &str = "The operator";
/// Nothing was written for so long: it is over.
const QUIET: Duration = Duration::from_secs(5);
const EDITS: usize = 200;
const TAKEOVERS: usize = 3;

/// All figures.
pub async fn take((some, many): (usize, usize)) -> Result<Vec<Figure>> {
    let plane = own(With::ApiServer).await.context("a control plane is needed: make cluster")?;
    plane.define().await;
    let client = plane.client().await;
    let port = workers::start().await?;
    cluster::make(&client, 0..some).await?;
    let controller = tokio::spawn(cluster::play_controller(client.clone()));
    let mut figures = Vec::new();

    let begin = Instant::now();
    let operator = start(&plane, "one", port)?;
    cluster::until_ready(&client, some).await?;
    let converged = begin.elapsed().as_secs_f64();
    let limit = Target::AtMost(60.0);
    let what = format!("From the operator's start until {some} new processes are ready");
    figures.push(Figure::new(GROUP, "operator/converge", what, "s", &[converged]).target(limit));

    cluster::until_quiet(&client, QUIET).await?;
    let idle = {
        let before = cluster::writes(&client).await?;
        tokio::time::sleep(Duration::from_secs(60)).await;
        cluster::writes(&client).await? - before
    };
    let what = format!("Writes in a minute with {some} processes, lease renewals apart");
    figures.push(Figure::new(GROUP, "operator/idle_writes", what, "", &[idle as f64]).target(Target::AtMost(0.0)));
    figures.push(memory(&operator, some, 64.0)?);

    let mut edits = Vec::new();
    for edit in 0..EDITS {
        let took = cluster::edit(&client, edit * 7 % some, 1 + edit / some + edit % 50).await?;
        edits.push(u32::try_from(took.as_micros())?);
    }
    let milliseconds: Vec<f64> = edits.iter().map(|micros| f64::from(*micros) / 1000.0).collect();
    let p99 = percentile(&mut edits, 99) / 1000.0;
    let what = format!("From an edit to its ConfigMap, {some} processes idle");
    figures.push(Figure::new(GROUP, "operator/edit", what, "ms", &milliseconds));
    let what = "The same, 99 of 100";
    figures.push(Figure::new(GROUP, "operator/edit_p99", what, "ms", &[p99]).target(Target::AtMost(200.0)));

    cluster::until_quiet(&client, QUIET).await?;
    end(operator).await;
    let before = cluster::writes(&client).await?;
    let begin = Instant::now();
    let operator = start(&plane, "restarted", port)?;
    let quiet = until_reconciled(&operator, some).await? - begin;
    cluster::until_quiet(&client, QUIET).await?;
    let written = cluster::writes(&client).await? - before;
    let what = format!("From a new start until all {some} converged processes were looked at");
    let figure = Figure::new(GROUP, "operator/restart", what, "s", &[quiet.as_secs_f64()]);
    figures.push(figure.target(Target::AtMost(30.0)));
    let what = "Writes of that start, lease renewals apart";
    figures
        .push(Figure::new(GROUP, "operator/restart_writes", what, "", &[written as f64]).target(Target::AtMost(0.0)));

    let (operator, takeovers) = takeovers(&plane, &client, operator, port).await?;
    figures.extend(takeovers);

    cluster::make(&client, some..many).await?;
    cluster::until_ready(&client, many).await?;
    cluster::until_quiet(&client, QUIET).await?;
    figures.push(memory(&operator, many, 256.0)?);
    controller.abort();
    end(operator).await;
    let children = cluster::children(&client).await?;
    anyhow::ensure!(children["Deployment"] == many, "every process has its Deployment: {children:?}");
    Ok(figures)
}

/// A running operator.
struct Operator {
    child: Child,
    http: u16,
}

fn start(plane: &Plane, identity: &str, workers: u16) -> Result<Operator> {
    let folder: PathBuf = keeper::folder().join(identity);
    std::fs::create_dir_all(&folder)?;
    // One key for all of them, as the chart has it.
    let keys: &Path = keeper::folder();
    let http = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dragonfork"));
    command
        .arg("operator")
        .env("KUBECONFIG", plane.kubeconfig())
        .env("CORE_DB_DIR", keys.join("operator"))
        .env("CORE_ADDRESS", format!("127.0.0.1:{http}"))
        .env("CORE_OPERATOR_NAMESPACES", "default")
        .env("CORE_OPERATOR_IMAGE", "example/dragonfork:1")
        .env("CORE_OPERATOR_WORKER_PORT", workers.to_string())
        .env("POD_NAME", identity);
    Ok(Operator { child: Child::start("operator", &mut command, &folder), http })
}

async fn end(operator: Operator) {
    let Operator { mut child, .. } = operator;
    child.signal(Signal::TERM);
    child.end_within(Duration::from_secs(20)).await;
}

fn memory(operator: &Operator, processes: usize, limit: f64) -> Result<Figure> {
    let mebibytes = machine::resident(operator.child.id())? as f64 / f64::from(1 << 20);
    let what = format!("Memory with {processes} processes (RSS)");
    let figure = Figure::new(GROUP, &format!("operator/memory_{processes}"), what, "MiB", &[mebibytes]);
    Ok(figure.target(Target::AtMost(limit)))
}

/// Waits until an operator has looked at so many processes; when that was.
async fn until_reconciled(operator: &Operator, count: usize) -> Result<Instant> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://127.0.0.1:{}/metrics", operator.http);
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let text = match http.get(&url).send().await {
            Ok(answer) => answer.text().await?,
            Err(_) => String::new(),
        };
        let sum = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
        };
        if sum("controller_runtime_reconcile_total{") >= count as f64 && sum("workqueue_depth") == 0.0 {
            return Ok(Instant::now());
        }
        anyhow::ensure!(Instant::now() < deadline, "not every process was looked at: {}", operator.child.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Ends the leader, again and again, by each of both signals.
async fn takeovers(
    plane: &Plane,
    client: &kube::Client,
    mut leader: Operator,
    port: u16,
) -> Result<(Operator, [Figure; 2])> {
    let mut times = [Vec::new(), Vec::new()];
    for take in 0..TAKEOVERS {
        for (index, signal) in [Signal::KILL, Signal::TERM].into_iter().enumerate() {
            let next = start(plane, &format!("next-{take}-{index}"), port)?;
            // It stands by.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let begin = Instant::now();
            leader.child.signal(signal);
            cluster::edit(client, take * 2 + index, 60 + take).await?;
            times[index].push(begin.elapsed().as_secs_f64());
            leader.child.end_within(Duration::from_secs(20)).await;
            leader = next;
        }
    }
    let figure = |name: &str, what: &str, times: &[f64], limit: f64| {
        Figure::new(GROUP, name, what, "s", times).target(Target::AtMost(limit))
    };
    let killed = figure("operator/takeover_killed", "Takeover after the leader was killed (SIGKILL)", &times[0], 20.0);
    let ended =
        figure("operator/takeover_ended", "Takeover after the leader was told to end (SIGTERM)", &times[1], 2.0);
    Ok((leader, [killed, ended]))
}
