//! Names and labels of a process's objects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::MANAGER;
use crate::crd::RestreamProcess;

/// Name of the process, of its Deployment, ConfigMap, Ingress and HTTPRoute.
pub fn name(process: &RestreamProcess) -> &str {
    process.metadata.name.as_deref().unwrap_or_default()
}

/// Name of the Service of WHEP.
pub fn whep_service(process: &RestreamProcess) -> String {
    format!("{}-whep", name(process))
}

/// Name of the Service of the media port.
pub fn media_service(process: &RestreamProcess) -> String {
    format!("{}-media", name(process))
}

/// What selects the Pod of a process; it never changes.
pub fn selector(process: &RestreamProcess) -> BTreeMap<String, String> {
    texts([
        ("app.kubernetes.io/name", "dragonfork"),
        ("app.kubernetes.io/component", "worker"),
        ("app.kubernetes.io/instance", name(process)),
    ])
}

/// The labels of every object of a process.
pub fn labels(process: &RestreamProcess) -> BTreeMap<String, String> {
    let mut labels = selector(process);
    labels.extend(texts([("app.kubernetes.io/managed-by", MANAGER), ("app.kubernetes.io/part-of", "dragonfork")]));
    labels
}

/// The metadata of an object of a process.
pub fn metadata(process: &RestreamProcess, name: impl Into<String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: process.metadata.namespace.clone(),
        labels: Some(labels(process)),
        ..ObjectMeta::default()
    }
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
