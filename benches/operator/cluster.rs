//! What the benchmark does in the cluster: processes, Pods, edits, and the API server's counts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::http::Request;
use dragonfork::crd::RestreamProcess;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::workers;

/// Requests at a time.
const AT_ONCE: usize = 16;
/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(900);
const NAMESPACE: &str = "default";

/// Makes the processes with these numbers.
pub async fn make(client: &Client, numbers: std::ops::Range<usize>) -> Result<()> {
    let processes: Api<RestreamProcess> = Api::namespaced(client.clone(), NAMESPACE);
    let create = |number: usize| {
        let processes = processes.clone();
        async move {
            let process = serde_json::from_value(json!({
                "apiVersion": "restream.wilddragon.net/v1alpha1", "kind": "RestreamProcess",
                "metadata": {"name": name(number)},
                "spec": {
                    "input": [{"id": "in", "address": format!("rtsp://10.0.0.5:554/stream{number}"),
                               "options": ["-rtsp_transport", "tcp"]}],
                    "output": [{"id": "out", "address": format!("rtmp://live.example/app/stream{number}"),
                                "options": ["-c", "copy", "-f", "flv"]}],
                    "webrtc": {"enabled": true, "exposure": {"type": "ClusterOnly"}},
                },
            }))?;
            processes.create(&PostParams::default(), &process).await?;
            anyhow::Ok(())
        }
    };
    stream::iter(numbers).map(create).buffer_unordered(AT_ONCE).try_collect().await
}

pub fn name(number: usize) -> String {
    format!("p{number}")
}

/// Makes a Pod for each Deployment that appears, and lets it be ready at once. Never ends by itself.
pub async fn play_controller(client: Client) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let seen = watcher(deployments, watcher::Config::default()).default_backoff().applied_objects();
    let new = seen.try_filter(|deployment| std::future::ready(deployment.metadata.generation == Some(1)));
    new.map_err(anyhow::Error::from)
        .try_for_each_concurrent(AT_ONCE, |deployment| {
            let pods = pods.clone();
            async move {
                let name = deployment.name_any();
                let template = deployment.spec.template;
                let number = name.trim_start_matches('p').parse().context("it is one of ours")?;
                let address = workers::address(number).to_string();
                let labels = template.metadata.and_then(|metadata| metadata.labels);
                let pod = json!({"metadata": {"name": name, "labels": labels}, "spec": template.spec});
                match pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await {
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if status.code == 409 => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
                let status = json!({"status": {
                    "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": "192.0.2.1",
                    "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
                }});
                pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
                Ok(())
            }
        })
        .await
}

/// How many processes are `Ready`.
async fn ready(client: &Client) -> Result<usize> {
    let processes: Api<RestreamProcess> = Api::namespaced(client.clone(), NAMESPACE);
    // From the API server's cache.
    let all = processes.list(&ListParams::default().match_any()).await?;
    let is_ready = |process: &&RestreamProcess| {
        let conditions = process.status.as_ref().map(|status| &status.conditions);
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    Ok(all.items.iter().filter(is_ready).count())
}

/// Waits until so many processes are ready.
pub async fn until_ready(client: &Client, count: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = ready(client).await?;
        if now == count {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("only {now} of {count} processes are ready after {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(if count - now > count / 10 { 1000 } else { 200 })).await;
    }
}

/// Writes that the API server has done until now, without leases.
pub async fn writes(client: &Client) -> Result<u64> {
    let request = Request::get("/metrics").body(Vec::new())?;
    let text = client.request_text(request).await?;
    let counted = text.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && ["POST", "PUT", "PATCH", "DELETE", "APPLY"].iter().any(|verb| line.contains(&format!("verb=\"{verb}\"")))
            && !line.contains("resource=\"leases\"")
            // What is only asked for.
            && !line.contains("accessreviews")
    });
    let values = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum::<f64>() as u64)
}

/// Waits until nothing was written for so long; the time of the last write that was seen, and all writes meanwhile.
pub async fn until_quiet(client: &Client, quiet: Duration) -> Result<(Instant, u64)> {
    let deadline = Instant::now() + PATIENCE;
    let begin = writes(client).await?;
    let (mut last, mut at) = (begin, Instant::now());
    while at.elapsed() < quiet {
        if Instant::now() > deadline {
            bail!("the API server is written to for more than {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = writes(client).await?;
        if now != last {
            (last, at) = (now, Instant::now());
        }
    }
    Ok((at, last - begin))
}

/// Edits a process; how long until its ConfigMap has changed.
pub async fn edit(client: &Client, number: usize, viewers: usize) -> Result<Duration> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let only = format!("metadata.name={}", name(number));
    let list = maps.list_metadata(&ListParams::default().fields(&only)).await?;
    let version = list.metadata.resource_version.context("a list has a version")?;
    let events = maps.watch_metadata(&WatchParams::default().fields(&only), &version).await?;
    let mut events = std::pin::pin!(events);
    let begin = Instant::now();
    patch(client, number, viewers).await?;
    loop {
        let event =
            tokio::time::timeout(PATIENCE, events.try_next()).await.context("the ConfigMap does not change")??;
        if let WatchEvent::Modified(_) = event.context("the watch has ended")? {
            return Ok(begin.elapsed());
        }
    }
}

async fn patch(client: &Client, number: usize, viewers: usize) -> Result<()> {
    let processes: Api<RestreamProcess> = Api::namespaced(client.clone(), NAMESPACE);
    let patch = json!({"spec": {"webrtc": {"maxViewers": viewers}}});
    processes.patch_metadata(&name(number), &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

/// Objects of a kind, by their names.
pub async fn children(client: &Client) -> Result<HashMap<&'static str, usize>> {
    let count = ListParams::default();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let deployments = deployments.list_metadata(&count).await?.items.len();
    Ok([("Deployment", deployments), ("ConfigMap", maps.list_metadata(&count).await?.items.len())].into())
}
