//! The HTTP interface of a cluster: processes as they are known here, and what is asked of one goes to its worker.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use jiff::Timestamp;
use tokio::sync::watch;

use super::super::credentials;
use super::super::house::{cores, identity};
use super::super::keys::Keys;
use crate::args;
use crate::controller::{Process, Snapshot};
use crate::core::Events;
use crate::crd::RestreamProcess;
use crate::http::{self, WorkerAddresses};
use crate::operator::{Operator, Shown};
use crate::plan::{Key, process_id};
use crate::workload::HTTP_PORT;

/// What is shown is renewed at most this often.
const INTERVAL: Duration = Duration::from_millis(500);

type Addresses = Arc<BTreeMap<Key, WorkerAddresses>>;

/// Keeps what is shown up to date.
pub struct Shower {
    operator: Operator,
    snapshot: watch::Sender<Arc<Snapshot>>,
    workers: watch::Sender<Addresses>,
    /// What is shown, and what it was made from.
    made: HashMap<Key, (Arc<RestreamProcess>, Arc<Process>)>,
}

/// The interface, and what keeps it up to date.
pub fn api(
    config: &args::Operator,
    keys: &Keys,
    operator: Operator,
    events: Events,
) -> anyhow::Result<(Router, Shower)> {
    let (snapshot, shown) = watch::channel(Arc::default());
    let (workers, addresses) = watch::channel(Arc::default());
    let (auth, id) = auth(config, keys)?;
    let interface = http::router(http::Config {
        // Those of the operator itself are served.
        metrics: false,
        ice_servers: watch::channel(config.webrtc_ice_servers.clone()).1,
        workers: Some(addresses),
        ..http::Config::showing(identity(&id), watch::channel(auth).1, shown, events, cores())
    });
    Ok((interface, Shower { operator, snapshot, workers, made: HashMap::new() }))
}

/// Who may log in; the tokens are signed with the operator's key, so that workers take them too.
fn auth(config: &args::Operator, keys: &Keys) -> anyhow::Result<(Option<http::Auth>, String)> {
    let password = match &config.api_auth_password_file {
        None => config.api_auth_password.clone(),
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text =
                text.with_context(|| format!("{} cannot be read (CORE_API_AUTH_PASSWORD_FILE)", path.display()))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    };
    let credentials = credentials::load(&args::Credentials {
        db_dir: config.db_dir.clone(),
        api_auth_username: config.api_auth_username.clone(),
        api_auth_password: password,
        api_auth_jwt_secret: None,
    })?;
    if !config.api_auth_enable {
        return Ok((None, credentials.id));
    }
    if let Some(path) = &credentials.password_file {
        tracing::info!(username = credentials.username, path, "who may log in; the password stands in this file");
    }
    let auth = http::Auth::signing(&credentials.username, &credentials.password, keys.signer())?;
    Ok((Some(auth), credentials.id))
}

impl Shower {
    /// Never ends.
    pub async fn run(mut self) {
        let mut shown = None;
        loop {
            let version = self.operator.version();
            if shown != Some(version) {
                shown = Some(version);
                self.show();
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn show(&mut self) {
        let now = Timestamp::now();
        let mut made = HashMap::with_capacity(self.made.len());
        let mut workers = BTreeMap::new();
        for Shown { process, worker } in self.operator.processes() {
            let key = process_id(&process);
            if let Some(status) = worker {
                let whep = (status.ip(), HTTP_PORT).into();
                workers.insert(key.clone(), WorkerAddresses { status, whep });
            }
            let before = self.made.remove(&key).filter(|(object, _)| Arc::ptr_eq(object, &process));
            let shown = before.map_or_else(|| Arc::new(Process::elsewhere(&process, now)), |(_, shown)| shown);
            made.insert(key, (process, shown));
        }
        let processes = made.iter().map(|(key, (_, shown))| (key.clone(), shown.clone())).collect();
        self.made = made;
        self.snapshot.send_replace(Arc::new(Snapshot { processes, ..Snapshot::default() }));
        self.workers.send_replace(Arc::new(workers));
    }
}
