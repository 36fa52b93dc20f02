//! Of several operators one leads: it holds the Lease.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Client, Config};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::figures::Figures;
use super::requests::counted;

/// Name of the Lease.
pub const LEASE: &str = "dragonfork-operator";
/// Seconds for which a Lease holds.
const DURATION: u64 = 15;
/// It is renewed so many seconds before it is over.
const GRACE: u64 = 10;
/// So long after the first renewal that failed the lead is given up: soon the Lease is over, and another one may take it.
const GIVE_UP: Duration = Duration::from_secs(5);
/// A connection for the Lease has this long, and an answer too.
const PATIENCE: Duration = Duration::from_secs(2);
/// A renewal that fails takes less than this, and between two renewals that do not there is more.
const RENEWED: Duration = Duration::from_millis(4500);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// One who wants to lead.
pub struct Election {
    /// Gives up soon.
    client: Client,
    /// Watches, and so has to wait.
    watching: Client,
    namespace: String,
    identity: String,
    figures: Figures,
}

impl Election {
    /// A candidate of this name.
    pub fn new(mut config: Config, namespace: String, identity: String, figures: Figures) -> kube::Result<Self> {
        let watching = counted(config.clone(), &figures)?;
        config.connect_timeout = Some(PATIENCE);
        config.write_timeout = Some(PATIENCE);
        config.read_timeout = Some(PATIENCE);
        config.reset_reader_on_write = true;
        let client = counted(config, &figures)?;
        figures.leads(LEASE, false);
        Ok(Self { client, watching, namespace, identity, figures })
    }

    /// Waits until it leads.
    pub async fn win(&self) -> Term {
        let leases: Api<Lease> = Api::namespaced(self.watching.clone(), &self.namespace);
        let freed = watch_object(leases, LEASE).default_backoff().filter_map(|lease| async move {
            let holder = lease.ok()??.spec?.holder_identity;
            holder.is_none().then_some(())
        });
        let mut freed = pin!(freed);
        let mut is_told = false;
        loop {
            let tried = async {
                let manager = self.manager().await.map_err(|error| error.to_string())?;
                let won = manager.changed().await.map_err(|error| error.to_string())?;
                Ok::<_, String>(won.then_some(manager))
            };
            let outcome = tokio::select! {
                outcome = tried => outcome,
                // Who waits for the end of a Lease sleeps until then, and would miss that it is given up.
                Some(()) = freed.next() => continue,
            };
            match outcome {
                Ok(Some(manager)) => {
                    tracing::info!(identity = self.identity, lease = LEASE, "this operator leads");
                    self.figures.leads(LEASE, true);
                    return Term::begin(manager, self.figures.clone());
                }
                Ok(None) => {}
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(lease = LEASE, namespace = self.namespace, error, "the Lease cannot be had yet");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn manager(&self) -> kube_lease_manager::Result<LeaseManager> {
        LeaseManagerBuilder::new(self.client.clone(), LEASE)
            .with_namespace(&self.namespace)
            .with_identity(&self.identity)
            .with_duration(DURATION)
            .with_grace(GRACE)
            .build()
            .await
    }
}

/// The time for which an operator leads.
pub struct Term {
    lost: watch::Receiver<bool>,
    release: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Term {
    fn begin(manager: LeaseManager, figures: Figures) -> Self {
        let (tell, lost) = watch::channel(false);
        let (release, mut released) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = hold(&manager) => {
                    figures.leads(LEASE, false);
                    tell.send_replace(true);
                }
                _ = &mut released => {
                    if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, manager.release()).await {
                        tracing::warn!(%error, lease = LEASE, "the Lease cannot be given up; it ends by itself");
                    }
                }
            }
        });
        Self { lost, release, task }
    }

    /// Returns when the lead is lost.
    pub async fn lost(&mut self) {
        let _ = self.lost.wait_for(|lost| *lost).await;
    }

    /// Gives up the lead, so that another one has it at once.
    pub async fn release(self) {
        let _ = self.release.send(());
        let _ = self.task.await;
    }
}

/// Renews for as long as it can be.
async fn hold(manager: &LeaseManager) {
    let mut failing: Option<Instant> = None;
    loop {
        let start = Instant::now();
        let changed = manager.changed().await;
        // A renewal that fails has done so by then; what took longer was renewed at least once before.
        if start.elapsed() > RENEWED {
            failing = None;
        }
        match changed {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let since = *failing.get_or_insert_with(Instant::now);
                tracing::warn!(%error, lease = LEASE, "the Lease cannot be renewed");
                if since.elapsed() >= GIVE_UP {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
