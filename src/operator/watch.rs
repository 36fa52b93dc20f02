//! The cluster is watched, and what is news for a process has it reconciled.

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DynamicObject};
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::discovery::ApiResource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Context;
use super::key::Key;
use super::kind::Kind;
use super::known::{Child, NodeAddresses, reduce_pod};
use crate::crd::RestreamProcess;
use crate::workload::MANAGER;

/// Objects of a list that come at a time.
const PAGE: u32 = 200;
/// Where the API server has no HTTPRoutes it is asked again after this.
const ROUTES_INTERVAL: Duration = Duration::from_secs(30);

/// Takes what comes of one kind of object.
trait Shelf<K>: Send {
    /// There is an object like this.
    fn put(&self, cx: &Context, object: K);
    /// It is gone.
    fn remove(&self, cx: &Context, key: &Key);
    /// What is known and was not in a listing that began at `start`.
    fn beside(&self, cx: &Context, listed: &HashSet<Key>, start: Instant) -> Vec<Key>;
}

/// Starts every watch; each says once that it has listed what is there. The number of them.
pub fn start(cx: &Context, tasks: &mut JoinSet<()>, synced: &UnboundedSender<()>) -> usize {
    let mut count = 0;
    let mut spawn = |task: Task| {
        tasks.spawn(task);
        count += 1;
    };
    let namespaces: Vec<Option<Arc<str>>> = match cx.settings.namespaces.as_slice() {
        [] => vec![None],
        some => some.iter().map(|name| Some(name.as_str().into())).collect(),
    };
    for namespace in namespaces {
        let ours =
            || watcher::Config::default().page_size(PAGE).labels(&format!("app.kubernetes.io/managed-by={MANAGER}"));
        let all = watcher::Config::default().page_size(PAGE);
        let shelf = Processes(namespace.clone());
        spawn(follow(
            "processes",
            cx,
            watcher(api::<DeserializeGuard<RestreamProcess>>(cx, &namespace), all),
            shelf,
            synced,
        ));
        let shelf = Pods(namespace.clone());
        spawn(follow("pods", cx, watcher(api::<Pod>(cx, &namespace), ours()), shelf, synced));
        for (kind, resource) in [
            (Kind::Service, ApiResource::erase::<Service>(&())),
            (Kind::Deployment, ApiResource::erase::<Deployment>(&())),
        ] {
            let shelf = Children(kind, namespace.clone());
            spawn(follow(kind.word(), cx, watcher(dynamic(cx, &namespace, &resource), ours()), shelf, synced));
        }
        let shelf = Children(Kind::ConfigMap, namespace.clone());
        let stream = watcher(api::<PartialObjectMeta<ConfigMap>>(cx, &namespace), ours());
        spawn(follow("ConfigMap", cx, stream, shelf, synced));
        let shelf = Children(Kind::Ingress, namespace.clone());
        let stream = watcher(api::<PartialObjectMeta<Ingress>>(cx, &namespace), ours());
        spawn(follow("Ingress", cx, stream, shelf, synced));
        spawn(Box::pin(routes(cx.clone(), namespace, ours(), synced.clone())));
    }
    if cx.settings.nodes {
        let nodes: Api<Node> = Api::all(cx.client.clone());
        spawn(follow("nodes", cx, watcher(nodes, watcher::Config::default().page_size(PAGE)), Nodes, synced));
    }
    count
}

type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn api<K>(cx: &Context, namespace: &Option<Arc<str>>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        None => Api::all(cx.client.clone()),
        Some(namespace) => Api::namespaced(cx.client.clone(), namespace),
    }
}

fn dynamic(cx: &Context, namespace: &Option<Arc<str>>, resource: &ApiResource) -> Api<DynamicObject> {
    match namespace {
        None => Api::all_with(cx.client.clone(), resource),
        Some(namespace) => Api::namespaced_with(cx.client.clone(), namespace, resource),
    }
}

/// Follows one kind of object for ever.
fn follow<K, S>(
    what: &'static str,
    cx: &Context,
    stream: S,
    shelf: impl Shelf<K> + 'static,
    synced: &UnboundedSender<()>,
) -> Task
where
    K: ResourceExt + Clone + Debug + Send + 'static,
    S: futures_util::Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
{
    let (cx, synced) = (cx.clone(), synced.clone());
    Box::pin(async move {
        let mut stream = pin!(stream.default_backoff());
        let (mut listed, mut start, mut is_synced, mut is_lost) = (HashSet::new(), Instant::now(), false, false);
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => (listed, start) = (HashSet::new(), Instant::now()),
                Ok(Event::InitApply(object)) => {
                    listed.insert(Key::of(object.meta()));
                    shelf.put(&cx, object);
                }
                Ok(Event::InitDone) => {
                    for key in shelf.beside(&cx, &std::mem::take(&mut listed), start) {
                        shelf.remove(&cx, &key);
                    }
                    if !std::mem::replace(&mut is_synced, true) {
                        let _ = synced.send(());
                    }
                }
                Ok(Event::Apply(object)) => shelf.put(&cx, object),
                Ok(Event::Delete(object)) => shelf.remove(&cx, &Key::of(object.meta())),
                Err(error) => {
                    // It goes on by itself, and is said once.
                    if !std::mem::replace(&mut is_lost, true) {
                        tracing::warn!(what, %error, "the API server cannot be watched; it is tried again");
                    }
                    continue;
                }
            }
            if std::mem::replace(&mut is_lost, false) {
                tracing::info!(what, "the API server is watched again");
            }
        }
    })
}

/// Follows HTTPRoutes, where and as soon as the API server has them.
async fn routes(cx: Context, namespace: Option<Arc<str>>, config: watcher::Config, synced: UnboundedSender<()>) {
    let resource = Kind::HttpRoute.resource();
    let mut is_first = true;
    loop {
        match has_routes(&cx).await {
            Ok(true) => break,
            Ok(false) if std::mem::replace(&mut is_first, false) => drop(synced.send(())),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "whether there are HTTPRoutes cannot be told"),
        }
        let wait = if is_first { Duration::from_secs(1) } else { ROUTES_INTERVAL };
        tokio::time::sleep(wait).await;
    }
    let done = if is_first { synced } else { tokio::sync::mpsc::unbounded_channel().0 };
    cx.serves_routes.store(true, Ordering::Relaxed);
    cx.index.keys().into_iter().for_each(|key| cx.queue.soon(key));
    let shelf = Children(Kind::HttpRoute, namespace.clone());
    follow("HTTPRoute", &cx, watcher(dynamic(&cx, &namespace, &resource), config), shelf, &done).await;
}

/// Whether the API server has HTTPRoutes.
async fn has_routes(cx: &Context) -> kube::Result<bool> {
    match cx.client.list_api_group_resources("gateway.networking.k8s.io/v1").await {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.kind == "HTTPRoute")),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

struct Processes(Option<Arc<str>>);

impl Shelf<DeserializeGuard<RestreamProcess>> for Processes {
    fn put(&self, cx: &Context, object: DeserializeGuard<RestreamProcess>) {
        let key = Key::of(object.meta());
        match object.0 {
            Ok(mut process) => {
                process.metadata.managed_fields = None;
                if cx.index.put_process(process) {
                    cx.queue.soon(key.clone());
                    cx.polls.soon(key);
                }
            }
            Err(mut object) => {
                object.metadata.managed_fields = None;
                tracing::warn!(
                    namespace = &*key.namespace,
                    name = &*key.name,
                    error = object.error,
                    "a process cannot be read, and is left out"
                );
                cx.index.put_unreadable(object);
                cx.queue.soon(key);
            }
        }
    }

    fn remove(&self, cx: &Context, key: &Key) {
        cx.index.remove_process(key);
    }

    fn beside(&self, cx: &Context, listed: &HashSet<Key>, _: Instant) -> Vec<Key> {
        cx.index.processes_beside(listed, self.0.as_deref())
    }
}

struct Pods(Option<Arc<str>>);

impl Shelf<Pod> for Pods {
    fn put(&self, cx: &Context, mut pod: Pod) {
        reduce_pod(&mut pod);
        if let Some(process) = cx.index.put_pod(pod) {
            cx.queue.soon(process.clone());
            cx.polls.soon(process);
        }
    }

    fn remove(&self, cx: &Context, key: &Key) {
        if let Some(process) = cx.index.remove_pod(key) {
            cx.queue.soon(process.clone());
            cx.polls.soon(process);
        }
    }

    fn beside(&self, cx: &Context, listed: &HashSet<Key>, _: Instant) -> Vec<Key> {
        cx.index.pods_beside(listed, self.0.as_deref())
    }
}

struct Children(Kind, Option<Arc<str>>);

impl Children {
    fn take(&self, cx: &Context, key: Key, child: Child) {
        if let Some(process) = cx.index.put_child(self.0, key, child) {
            cx.queue.soon(process);
        }
    }

    fn lose(&self, cx: &Context, key: &Key) {
        if let Some(process) = cx.index.remove_child(self.0, key) {
            cx.queue.soon(process);
        }
    }
}

impl Shelf<DynamicObject> for Children {
    fn put(&self, cx: &Context, object: DynamicObject) {
        self.take(cx, Key::of(&object.metadata), Child::of(&object.metadata, &object.data));
    }

    fn remove(&self, cx: &Context, key: &Key) {
        self.lose(cx, key);
    }

    fn beside(&self, cx: &Context, listed: &HashSet<Key>, start: Instant) -> Vec<Key> {
        cx.index.children_beside(self.0, listed, self.1.as_deref(), start)
    }
}

impl<K: Clone + Debug + Send> Shelf<PartialObjectMeta<K>> for Children {
    fn put(&self, cx: &Context, object: PartialObjectMeta<K>) {
        self.take(cx, Key::of(&object.metadata), Child::of(&object.metadata, &Value::Null));
    }

    fn remove(&self, cx: &Context, key: &Key) {
        self.lose(cx, key);
    }

    fn beside(&self, cx: &Context, listed: &HashSet<Key>, start: Instant) -> Vec<Key> {
        cx.index.children_beside(self.0, listed, self.1.as_deref(), start)
    }
}

struct Nodes;

impl Shelf<Node> for Nodes {
    fn put(&self, cx: &Context, node: Node) {
        let news = cx.index.put_node(&node.name_any(), Some(NodeAddresses::of(&node)));
        news.into_iter().for_each(|process| cx.queue.soon(process));
    }

    fn remove(&self, cx: &Context, key: &Key) {
        let news = cx.index.put_node(&key.name, None);
        news.into_iter().for_each(|process| cx.queue.soon(process));
    }

    fn beside(&self, cx: &Context, listed: &HashSet<Key>, _: Instant) -> Vec<Key> {
        let names = cx.index.nodes().into_iter().map(|name| Key::new("", &name));
        names.filter(|key| !listed.contains(key)).collect()
    }
}
