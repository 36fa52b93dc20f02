//! What is kept of objects: only what is read again, so that thousands of them fit into little memory.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use tokio::time::Instant;

use super::ownership;
use crate::crd::KIND;

/// Annotation of an object: what it was applied from.
pub const APPLIED_HASH: &str = "restream.wilddragon.net/applied-hash";
/// Annotation of a node: the address that viewers reach it at.
const PUBLIC_ADDRESS: &str = "restream.wilddragon.net/public-address";

/// The process that controls an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name, in the namespace of the object.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// The fields that we have applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// [`ownership::digest`] of them.
    pub digest: u64,
    /// Themselves, as JSON, until they were looked at.
    pub text: Option<Box<str>>,
}

/// An object of a process.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its uid.
    pub uid: String,
    /// Its resource version; of two versions the greater one is newer.
    pub version: u64,
    /// It is about to go.
    pub deleting: bool,
    /// What controls it, where that is a process.
    pub owner: Option<Owner>,
    /// What it was applied from.
    pub hash: Option<String>,
    /// What we own of it.
    pub applied: Applied,
    /// What somebody else has added to its Pod template.
    pub foreign: Option<String>,
    /// The node port of a Service; every port has the same one.
    pub node_port: Option<u16>,
    /// Addresses of the load balancer of a Service.
    pub load_balancer: Vec<String>,
    /// Why the Pods of a Deployment cannot be made.
    pub pods_refused: Option<String>,
    /// When it was last written by us.
    pub written: Option<Instant>,
}

impl Child {
    /// Reduces an object; `body` is everything beside its metadata.
    pub fn of(metadata: &ObjectMeta, body: &Value) -> Self {
        let fields = ownership::applied(metadata);
        let annotations = metadata.annotations.as_ref();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version: version(metadata),
            deleting: metadata.deletion_timestamp.is_some(),
            owner: owner(metadata),
            hash: annotations.and_then(|annotations| annotations.get(APPLIED_HASH).cloned()),
            applied: Applied { digest: ownership::digest(&fields), text: Some(fields.to_string().into()) },
            foreign: ownership::foreign(metadata),
            node_port: node_port(body),
            load_balancer: load_balancer(body),
            pods_refused: pods_refused(body),
            written: None,
        }
    }

    /// Whether there is something to do that was not there before.
    pub fn differs_from(&self, before: &Self) -> bool {
        let same = self.uid == before.uid
            && self.deleting == before.deleting
            && self.owner == before.owner
            && self.hash == before.hash
            && self.applied.digest == before.applied.digest
            && self.foreign == before.foreign
            && self.node_port == before.node_port
            && self.load_balancer == before.load_balancer
            && self.pods_refused == before.pods_refused;
        !same
    }
}

/// The resource version of an object.
pub fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn owner(metadata: &ObjectMeta) -> Option<Owner> {
    let owners = metadata.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true) && owner.kind == KIND);
    controllers.next().map(|owner| Owner { name: owner.name.clone(), uid: owner.uid.clone() })
}

fn node_port(body: &Value) -> Option<u16> {
    let ports = body.pointer("/spec/ports")?.as_array()?;
    ports.iter().find_map(|port| u16::try_from(port.get("nodePort")?.as_u64()?).ok())
}

fn load_balancer(body: &Value) -> Vec<String> {
    let ingress = body.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).into_iter().flatten();
    let address = |entry: &Value| Some(entry.get("ip").or_else(|| entry.get("hostname"))?.as_str()?.to_owned());
    ingress.filter_map(address).collect()
}

fn pods_refused(body: &Value) -> Option<String> {
    let conditions = body.pointer("/status/conditions")?.as_array()?;
    let is_refused = |condition: &&Value| condition["type"] == "ReplicaFailure" && condition["status"] == "True";
    conditions.iter().find(is_refused)?.get("message")?.as_str().map(str::to_owned)
}

/// Addresses of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAddresses {
    /// What its annotation says.
    pub public: Option<String>,
    /// Its ExternalIPs.
    pub external: Vec<IpAddr>,
}

impl NodeAddresses {
    /// Reduces a node.
    pub fn of(node: &Node) -> Self {
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        let external = addresses.filter(|address| address.type_ == "ExternalIP");
        Self {
            public: node.metadata.annotations.as_ref().and_then(|annotations| annotations.get(PUBLIC_ADDRESS).cloned()),
            external: external.filter_map(|address| address.address.parse().ok()).collect(),
        }
    }
}

/// Takes out of a Pod what nobody here reads.
pub fn reduce_pod(pod: &mut Pod) {
    let metadata = &mut pod.metadata;
    (metadata.managed_fields, metadata.annotations, metadata.generate_name) = (None, None, None);
    metadata.finalizers = None;
    let keep = ["app.kubernetes.io/instance"];
    metadata.labels = metadata
        .labels
        .take()
        .map(|labels| labels.into_iter().filter(|(name, _)| keep.contains(&name.as_str())).collect::<BTreeMap<_, _>>());
    let node_name = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(PodSpec { node_name, ..PodSpec::default() });
    for container in pod.status.iter_mut().flat_map(|status| {
        let init = status.init_container_statuses.iter_mut().flatten();
        init.chain(status.container_statuses.iter_mut().flatten())
    }) {
        (container.volume_mounts, container.resources, container.allocated_resources) = (None, None, None);
        (container.container_id, container.image_id) = (None, String::new());
    }
}

/// Addresses of the node that a Pod is on, as the Pod has them.
pub fn host_addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let all = status.host_ips.iter().flatten().map(|host| host.ip.as_str());
    let all: Vec<IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
    match all.is_empty() {
        true => status.host_ip.iter().filter_map(|ip| ip.parse().ok()).collect(),
        false => all,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_service_its_node_port_and_its_load_balancer_are_kept() {
        let body = json!({
            "spec": {"ports": [{"port": 8189}, {"port": 8189, "nodePort": 31000}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"hostname": "lb.example"}]}},
        });
        let child = Child::of(&ObjectMeta::default(), &body);
        assert_eq!(
            (child.node_port, child.load_balancer),
            (Some(31000), vec!["203.0.113.7".into(), "lb.example".into()])
        );
    }

    #[test]
    fn the_owner_is_the_process_that_controls_an_object() {
        let metadata = json!({"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1", "controller": true},
            {"apiVersion": "restream.wilddragon.net/v1alpha1", "kind": KIND, "name": "cam", "uid": "2", "controller": true},
        ]});
        let metadata: ObjectMeta = serde_json::from_value(metadata).expect("it is metadata");
        assert_eq!(owner(&metadata), Some(Owner { name: "cam".into(), uid: "2".into() }));
    }

    #[test]
    fn of_a_pod_its_status_and_its_node_are_kept() {
        let pod = json!({
            "metadata": {"name": "p", "labels": {"app.kubernetes.io/instance": "cam", "x": "y"}, "annotations": {"a": "b"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "runner"}]},
            "status": {"podIP": "10.0.0.1", "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}]},
        });
        let mut pod: Pod = serde_json::from_value(pod).expect("it is a Pod");
        reduce_pod(&mut pod);
        let spec = pod.spec.as_ref().expect("it has one");
        assert_eq!((spec.node_name.as_deref(), spec.containers.len()), (Some("n1"), 0));
        assert_eq!(pod.metadata.labels.as_ref().map(BTreeMap::len), Some(1));
        assert_eq!(host_addresses(&pod).len(), 2);
    }
}
