//! What is known of the cluster: processes, their objects and Pods, nodes, and what workers say.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::error_boundary::InvalidObject;
use tokio::time::Instant;

use super::Shown;
use super::key::Key;
use super::kind::Kind;
use super::known::{self, Child, NodeAddresses};
use super::state::State;
use crate::crd::RestreamProcess;
use crate::workload::Surroundings;

/// Objects that are gone are remembered so far back: the answer to a write may come after the news of the end.
const REMEMBERED: usize = 256;

/// A process, or what came in its place.
#[derive(Clone, Debug)]
pub enum Held {
    /// It can be read.
    Process(Arc<RestreamProcess>),
    /// It cannot.
    Unreadable(Arc<InvalidObject>),
}

/// What is known.
#[derive(Default)]
pub struct Index {
    inner: Mutex<Inner>,
    /// Changes of what is [`shown`](Self::shown).
    version: AtomicU64,
}

#[derive(Default)]
struct Inner {
    processes: HashMap<Key, Held>,
    children: HashMap<(Kind, Key), Child>,
    /// Uids of the objects that went last.
    gone: VecDeque<String>,
    /// Names of the objects that a process controls.
    owned: HashMap<Key, BTreeSet<(Kind, Arc<str>)>>,
    pods: HashMap<Key, Arc<Pod>>,
    /// Names of the Pods of a process.
    pods_of: HashMap<Key, BTreeSet<Arc<str>>>,
    nodes: HashMap<String, NodeAddresses>,
    states: HashMap<Key, State>,
}

impl Index {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another number where what is [`shown`](Self::shown) has changed.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// A process.
    pub fn held(&self, key: &Key) -> Option<Held> {
        self.inner().processes.get(key).cloned()
    }

    /// A process as the API server has it; whether there is something to do that was not there before. An older version
    /// than the one that is known changes nothing.
    pub fn put_process(&self, process: RestreamProcess) -> bool {
        let key = Key::of(&process.metadata);
        let mut inner = self.inner();
        let differs = match inner.processes.get(&key) {
            Some(Held::Process(before)) => {
                let is_older = known::version(&process.metadata) < known::version(&before.metadata);
                if is_older && before.metadata.uid == process.metadata.uid {
                    return false;
                }
                let meta =
                    |it: &RestreamProcess| (it.metadata.uid.clone(), it.metadata.generation, it.annotations().clone());
                meta(before) != meta(&process)
                    || before.status != process.status
                    || before.metadata.deletion_timestamp != process.metadata.deletion_timestamp
            }
            _ => true,
        };
        inner.processes.insert(key, Held::Process(Arc::new(process)));
        self.changed();
        differs
    }

    /// A process as it was answered to a write, where it is still there.
    pub fn renew_process(&self, process: RestreamProcess) {
        let key = Key::of(&process.metadata);
        let is_there = match self.held(&key) {
            Some(Held::Process(before)) => before.metadata.uid == process.metadata.uid,
            _ => false,
        };
        if is_there {
            self.put_process(process);
        }
    }

    /// A process that cannot be read.
    pub fn put_unreadable(&self, object: InvalidObject) {
        let key = Key::of(&object.metadata);
        self.inner().processes.insert(key, Held::Unreadable(Arc::new(object)));
    }

    /// A process is gone.
    pub fn remove_process(&self, key: &Key) {
        let mut inner = self.inner();
        inner.processes.remove(key);
        inner.states.remove(key);
        self.changed();
    }

    /// Processes that are there and not in a listing of this namespace (all of them: `None`).
    pub fn processes_beside(&self, listed: &HashSet<Key>, namespace: Option<&str>) -> Vec<Key> {
        let inner = self.inner();
        let is_listed = |key: &&Key| namespace.is_some_and(|it| *it != *key.namespace) || listed.contains(*key);
        inner.processes.keys().filter(|key| !is_listed(key)).cloned().collect()
    }

    /// Every process.
    pub fn keys(&self) -> Vec<Key> {
        self.inner().processes.keys().cloned().collect()
    }

    /// An object of a process.
    pub fn child(&self, kind: Kind, key: &Key) -> Option<Child> {
        self.inner().children.get(&(kind, key.clone())).cloned()
    }

    /// An object as the API server has it; the process that has something to do now.
    pub fn put_child(&self, kind: Kind, key: Key, mut child: Child) -> Option<Key> {
        let mut inner = self.inner();
        if inner.gone.contains(&child.uid) {
            return None;
        }
        let owner = child.owner.as_ref().map(|owner| key.beside(&owner.name));
        let before = inner.children.get(&(kind, key.clone()));
        let mut differs = true;
        if let Some(before) = before.filter(|before| before.uid == child.uid) {
            if child.version < before.version {
                return None;
            }
            differs = child.differs_from(before);
            if child.applied.digest == before.applied.digest && before.applied.text.is_none() {
                child.applied.text = None;
            }
            child.written = child.written.or(before.written);
        }
        let former = before.and_then(|before| before.owner.as_ref()).map(|owner| key.beside(&owner.name));
        if let Some(former) = &former
            && Some(former) != owner.as_ref()
            && let Some(owned) = inner.owned.get_mut(former)
        {
            owned.remove(&(kind, key.name.clone()));
        }
        if let Some(owner) = &owner {
            inner.owned.entry(owner.clone()).or_default().insert((kind, key.name.clone()));
        }
        inner.children.insert((kind, key), child);
        owner.or(former).filter(|_| differs)
    }

    /// The fields of an object were looked at, and are as they should be.
    pub fn verified(&self, kind: Kind, key: &Key, digest: u64) {
        if let Some(child) = self.inner().children.get_mut(&(kind, key.clone()))
            && child.applied.digest == digest
        {
            child.applied.text = None;
        }
    }

    /// An object is gone; the process that it belonged to.
    pub fn remove_child(&self, kind: Kind, key: &Key) -> Option<Key> {
        let mut inner = self.inner();
        let child = inner.children.remove(&(kind, key.clone()))?;
        inner.gone.push_back(child.uid);
        if inner.gone.len() > REMEMBERED {
            inner.gone.pop_front();
        }
        let owner = key.beside(&child.owner?.name);
        if let Some(owned) = inner.owned.get_mut(&owner) {
            owned.remove(&(kind, key.name.clone()));
            if owned.is_empty() {
                inner.owned.remove(&owner);
            }
        }
        Some(owner)
    }

    /// Objects of a kind that are there, not in a listing that began at `start`, and not written since.
    pub fn children_beside(
        &self,
        kind: Kind,
        listed: &HashSet<Key>,
        namespace: Option<&str>,
        start: Instant,
    ) -> Vec<Key> {
        let inner = self.inner();
        let stale = inner.children.iter().filter(|((of, key), child)| {
            *of == kind
                && namespace.is_none_or(|it| *it == *key.namespace)
                && !listed.contains(key)
                && child.written.is_none_or(|written| written < start)
        });
        stale.map(|((_, key), _)| key.clone()).collect()
    }

    /// Objects that a process controls.
    pub fn owned(&self, key: &Key) -> Vec<(Kind, Arc<str>)> {
        self.inner().owned.get(key).into_iter().flatten().cloned().collect()
    }

    /// A Pod as the API server has it; its process, where what is kept of it has changed.
    pub fn put_pod(&self, pod: Pod) -> Option<Key> {
        let key = Key::of(&pod.metadata);
        let process = process_of(&pod, &key)?;
        let mut inner = self.inner();
        let content = |pod: &Pod| (pod.spec.clone(), pod.status.clone(), pod.metadata.deletion_timestamp.clone());
        let differs = inner.pods.get(&key).is_none_or(|before| content(before) != content(&pod));
        inner.pods_of.entry(process.clone()).or_default().insert(key.name.clone());
        inner.pods.insert(key, Arc::new(pod));
        self.changed();
        differs.then_some(process)
    }

    /// A Pod is gone; its process.
    pub fn remove_pod(&self, key: &Key) -> Option<Key> {
        let mut inner = self.inner();
        let pod = inner.pods.remove(key)?;
        self.changed();
        let process = process_of(&pod, key)?;
        if let Some(pods) = inner.pods_of.get_mut(&process) {
            pods.remove(&key.name);
            if pods.is_empty() {
                inner.pods_of.remove(&process);
            }
        }
        Some(process)
    }

    /// Pods that are there and not in a listing.
    pub fn pods_beside(&self, listed: &HashSet<Key>, namespace: Option<&str>) -> Vec<Key> {
        let inner = self.inner();
        let is_listed = |key: &&Key| namespace.is_some_and(|it| *it != *key.namespace) || listed.contains(*key);
        inner.pods.keys().filter(|key| !is_listed(key)).cloned().collect()
    }

    /// The Pod of a process: of several the newest that is to stay.
    pub fn pod(&self, key: &Key) -> Option<Arc<Pod>> {
        self.inner().pod(key)
    }

    /// Where the worker of a process answers, and the uid of its Pod.
    pub fn worker(&self, key: &Key, port: u16) -> Option<(SocketAddr, String)> {
        let pod = self.pod(key)?;
        let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
        let is_over = matches!(pod.status.as_ref()?.phase.as_deref(), Some("Succeeded" | "Failed"));
        (!is_over).then(|| (SocketAddr::new(ip, port), pod.uid().unwrap_or_default()))
    }

    /// A node as the API server has it, or that it is gone; the processes that this is news for.
    pub fn put_node(&self, name: &str, addresses: Option<NodeAddresses>) -> Vec<Key> {
        let mut inner = self.inner();
        let before = match addresses.clone() {
            Some(addresses) => inner.nodes.insert(name.to_owned(), addresses),
            None => inner.nodes.remove(name),
        };
        if before == addresses {
            return Vec::new();
        }
        let is_there = |pod: &&Arc<Pod>| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(name);
        let pods = inner.pods.iter().filter(|(_, pod)| is_there(pod));
        pods.filter_map(|(key, pod)| process_of(pod, key)).collect()
    }

    /// Names of the nodes that are known.
    pub fn nodes(&self) -> Vec<String> {
        self.inner().nodes.keys().cloned().collect()
    }

    /// What is around a process, but for its media Service.
    pub fn surroundings(&self, key: &Key) -> Surroundings {
        let inner = self.inner();
        let Some(pod) = inner.pod(key) else { return Surroundings::default() };
        let node = pod.spec.as_ref().and_then(|spec| inner.nodes.get(spec.node_name.as_deref()?));
        let node = node.cloned().unwrap_or_default();
        Surroundings {
            public_address: node.public,
            external: node.external,
            host: known::host_addresses(&pod),
            ..Surroundings::default()
        }
    }

    /// What is remembered of a process; of one that is gone nothing is, whatever is done here.
    pub fn with_state<T>(&self, key: &Key, with: impl FnOnce(&mut State) -> T) -> T {
        let mut inner = self.inner();
        match inner.processes.contains_key(key) {
            true => with(inner.states.entry(key.clone()).or_default()),
            false => with(&mut State::default()),
        }
    }

    /// Every process that can be read.
    pub fn shown(&self, port: u16) -> Vec<Shown> {
        let processes: Vec<(Key, Arc<RestreamProcess>)> = {
            let inner = self.inner();
            let readable = inner.processes.iter().filter_map(|(key, held)| match held {
                Held::Process(process) => Some((key.clone(), process.clone())),
                Held::Unreadable(_) => None,
            });
            readable.collect()
        };
        let with_worker = processes
            .into_iter()
            .map(|(key, process)| Shown { process, worker: self.worker(&key, port).map(|(address, _)| address) });
        with_worker.collect()
    }
}

impl Inner {
    fn pod(&self, key: &Key) -> Option<Arc<Pod>> {
        let names = self.pods_of.get(key)?.iter();
        let pods = names.filter_map(|name| self.pods.get(&key.beside(name)));
        let rank = |pod: &&Arc<Pod>| {
            let stays = pod.metadata.deletion_timestamp.is_none();
            (stays, pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
        };
        pods.max_by_key(rank).cloned()
    }
}

fn process_of(pod: &Pod, key: &Key) -> Option<Key> {
    Some(key.beside(pod.metadata.labels.as_ref()?.get("app.kubernetes.io/instance")?))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::{Value, json};

    use super::*;

    fn child(uid: &str, version: &str, owner: &str) -> Child {
        let metadata = json!({"uid": uid, "resourceVersion": version, "ownerReferences": [
            {"apiVersion": "x", "kind": "RestreamProcess", "name": owner, "uid": "p", "controller": true}]});
        let metadata: ObjectMeta = serde_json::from_value(metadata).expect("it is metadata");
        Child::of(&metadata, &Value::Null)
    }

    fn key(name: &str) -> Key {
        Key::new("n", name)
    }

    #[test]
    fn an_object_is_news_for_its_process_once_and_never_in_an_older_version() {
        let index = Index::default();
        assert_eq!(index.put_child(Kind::Service, key("s"), child("1", "10", "cam")), Some(key("cam")));
        assert_eq!(index.put_child(Kind::Service, key("s"), child("1", "11", "cam")), None);
        assert_eq!(index.put_child(Kind::Service, key("s"), child("1", "9", "other")), None);
        assert_eq!(index.owned(&key("cam")), [(Kind::Service, "s".into())]);
        assert_eq!(index.put_child(Kind::Service, key("s"), child("1", "12", "other")), Some(key("other")));
        assert!(index.owned(&key("cam")).is_empty());
    }

    #[test]
    fn an_object_that_is_gone_does_not_come_back_by_the_answer_to_a_write() {
        let index = Index::default();
        index.put_child(Kind::ConfigMap, key("cam"), child("1", "10", "cam"));
        assert_eq!(index.remove_child(Kind::ConfigMap, &key("cam")), Some(key("cam")));
        assert_eq!(index.put_child(Kind::ConfigMap, key("cam"), child("1", "11", "cam")), None);
        assert!(index.child(Kind::ConfigMap, &key("cam")).is_none());
        assert_eq!(index.put_child(Kind::ConfigMap, key("cam"), child("2", "12", "cam")), Some(key("cam")));
    }

    #[test]
    fn nothing_is_remembered_of_a_process_that_is_gone() {
        let index = Index::default();
        index.with_state(&key("cam"), |state| state.failures = 7);
        assert_eq!(index.with_state(&key("cam"), |state| state.failures), 0);
    }

    #[test]
    fn of_several_pods_the_newest_that_stays_is_the_one() {
        let index = Index::default();
        for (name, created, deleted) in [
            ("old", "2026-12-01T00:00:00Z", None),
            ("new", "2026-12-01T00:00:01Z", None),
            ("ending", "2026-12-01T00:00:02Z", Some("2026-12-01T00:00:03Z")),
        ] {
            let pod = json!({"metadata": {"name": name, "namespace": "n", "creationTimestamp": created,
                "deletionTimestamp": deleted, "labels": {"app.kubernetes.io/instance": "cam"}}});
            assert!(index.put_pod(serde_json::from_value(pod).expect("it is a Pod")).is_some());
        }
        assert_eq!(index.pod(&key("cam")).map(|pod| pod.name_any()), Some("new".into()));
    }
}
