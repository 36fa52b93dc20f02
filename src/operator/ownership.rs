//! Who owns which fields of an object, as the API server keeps it (`metadata.managedFields`).
//!
//! Whoever changes a field owns it from then on, and who had it before does not. So our fields have the values that we
//! applied exactly where we still own them, whatever the API server has made of their spelling. That needs the metadata
//! alone, and nothing has to be remembered.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};

use crate::workload::MANAGER;

/// What of a Pod template nobody else may add to.
const GUARDED: [&str; 7] =
    ["f:containers", "f:initContainers", "f:volumes", "f:hostNetwork", "f:hostPID", "f:hostIPC", "f:securityContext"];

/// The fields that we have applied, as the API server keeps them; nothing where we own none.
pub fn applied(metadata: &ObjectMeta) -> Value {
    let entries = metadata.managed_fields.iter().flatten();
    let mut ours = entries.filter(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().is_none_or(str::is_empty)
    });
    ours.next().and_then(|entry| entry.fields_v1.clone()).map_or(Value::Null, |fields| fields.0)
}

/// The same for the same fields.
pub fn digest(fields: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    fields.to_string().hash(&mut hasher);
    hasher.finish()
}

/// The first field of an object that was applied and that we do not own any more.
pub fn lost(desired: &Value, applied: &Value) -> Option<String> {
    let empty = Map::new();
    let desired = desired.as_object().unwrap_or(&empty);
    let identity = ["apiVersion", "kind", "metadata", "status"];
    let metadata = desired.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let mut of_metadata = metadata.iter().filter(|(name, _)| !["name", "namespace"].contains(&name.as_str()));
    let mut of_object = desired.iter().filter(|(name, _)| !identity.contains(&name.as_str()));
    let owned = |value: &Value, name: &str| value.get(format!("f:{name}")).cloned();
    let owned_metadata = owned(applied, "metadata").unwrap_or_default();
    of_metadata
        .find_map(|(name, value)| field(name, value, &owned_metadata, "metadata"))
        .or_else(|| of_object.find_map(|(name, value)| field(name, value, applied, "")))
}

fn field(name: &str, value: &Value, owned: &Value, path: &str) -> Option<String> {
    let path = format!("{path}.{name}");
    if is_nothing(value) {
        return None;
    }
    match owned.get(format!("f:{name}")) {
        None => Some(path),
        Some(owned) => within(value, owned, &path),
    }
}

fn within(value: &Value, owned: &Value, path: &str) -> Option<String> {
    // A value without parts of its own, or a list or map that has one owner as a whole.
    if owned.as_object().is_none_or(Map::is_empty) {
        return None;
    }
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| field(name, value, owned, path)),
        Value::Array(items) => items.iter().find_map(|item| match entry(item, owned) {
            None => Some(format!("{path}[{item}]")),
            Some(owned) => within(item, owned, path),
        }),
        _ => None,
    }
}

/// What is owned of an item of a list.
fn entry<'o>(item: &Value, owned: &'o Value) -> Option<&'o Value> {
    let entries = owned.as_object()?.iter();
    let mut fitting = entries.filter(|(key, _)| match key.split_once(':') {
        Some(("v", value)) => serde_json::from_str(value).is_ok_and(|value: Value| value == *item),
        // A part of the key that we leave out has its default.
        Some(("k", keys)) => serde_json::from_str(keys).is_ok_and(|keys: Map<String, Value>| {
            keys.iter().all(|(name, value)| item.get(name).is_none_or(|written| written == value))
        }),
        _ => false,
    });
    fitting.next().map(|(_, owned)| owned)
}

/// What the API server leaves out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// The first thing that somebody else has added to the Pod template of a Deployment.
pub fn foreign(metadata: &ObjectMeta) -> Option<String> {
    const SPEC: [&str; 3] = ["f:spec", "f:template", "f:spec"];
    let below = |fields: &Value| SPEC.iter().try_fold(fields.clone(), |value, name| value.get(name).cloned());
    let ours = below(&applied(metadata)).unwrap_or_default();
    let others = metadata.managed_fields.iter().flatten().filter(|entry| {
        entry.manager.as_deref() != Some(MANAGER) && entry.subresource.as_deref().is_none_or(str::is_empty)
    });
    others
        .filter_map(|entry| below(&entry.fields_v1.as_ref()?.0))
        .find_map(|theirs| GUARDED.iter().find_map(|name| added(theirs.get(name)?, ours.get(name), &name[2..])))
}

/// The first of their fields that is none of ours.
fn added(theirs: &Value, ours: Option<&Value>, path: &str) -> Option<String> {
    let Some(ours) = ours else { return Some(path.to_owned()) };
    // We own all of it.
    if ours.as_object().is_none_or(Map::is_empty) {
        return None;
    }
    let mut parts = theirs.as_object()?.iter().filter(|(name, _)| *name != ".");
    parts.find_map(|(name, theirs)| {
        let word = name.split_once(':').map_or(name.as_str(), |(_, word)| word);
        added(theirs, ours.get(name), &format!("{path}.{word}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn desired() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "cam", "namespace": "n", "labels": {"a": "b", "c": "d"}, "ownerReferences": [{"uid": "1", "name": "cam"}]},
            "spec": {
                "replicas": 1,
                "template": {"spec": {
                    "containers": [{"name": "runner", "image": "i", "ports": [{"containerPort": 9080}, {"containerPort": 80}], "command": ["x"]}],
                    "tolerations": [], "volumes": [{"name": "tmp", "emptyDir": {}}],
                }},
            },
        })
    }

    fn owned() -> Value {
        json!({
            "f:metadata": {"f:labels": {"f:a": {}, "f:c": {}}, "f:ownerReferences": {"k:{\"uid\":\"1\"}": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:template": {"f:spec": {
                    "f:containers": {"k:{\"name\":\"runner\"}": {
                        ".": {}, "f:name": {}, "f:image": {}, "f:command": {},
                        "f:ports": {
                            "k:{\"containerPort\":9080,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
                            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
                        },
                    }},
                    "f:volumes": {"k:{\"name\":\"tmp\"}": {".": {}, "f:name": {}, "f:emptyDir": {}}},
                }},
            },
        })
    }

    fn metadata(entries: Value) -> ObjectMeta {
        serde_json::from_value(json!({"managedFields": entries})).expect("it is metadata")
    }

    #[test]
    fn what_was_applied_and_not_changed_is_all_ours() {
        assert_eq!(lost(&desired(), &owned()), None);
    }

    #[test]
    fn what_somebody_else_has_changed_is_named() {
        let without = |pointer: &str, name: &str| {
            let mut owned = owned();
            owned.pointer_mut(pointer).and_then(Value::as_object_mut).expect("it is there").remove(name);
            lost(&desired(), &owned).expect("something is lost")
        };
        assert_eq!(without("/f:spec", "f:replicas"), ".spec.replicas");
        assert_eq!(without("/f:metadata/f:labels", "f:a"), "metadata.labels.a");
        let container = "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"runner\"}";
        assert_eq!(without(container, "f:image"), ".spec.template.spec.containers.image");
        assert!(
            without(&format!("{container}/f:ports"), "k:{\"containerPort\":9080,\"protocol\":\"TCP\"}")
                .contains("ports")
        );
        assert!(lost(&desired(), &Value::Null).is_some());
    }

    #[test]
    fn only_what_we_applied_counts_as_ours() {
        let entries = json!([
            {"manager": MANAGER, "operation": "Update", "fieldsV1": {"f:spec": {"f:x": {}}}},
            {"manager": MANAGER, "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:y": {}}}},
        ]);
        assert_eq!(applied(&metadata(entries)), json!({"f:spec": {"f:y": {}}}));
        assert_eq!(applied(&ObjectMeta::default()), Value::Null);
    }

    fn with_other(fields: Value) -> Option<String> {
        let theirs = json!({"f:spec": {"f:template": {"f:spec": fields}}});
        foreign(&metadata(json!([
            {"manager": MANAGER, "operation": "Apply", "fieldsV1": owned()},
            {"manager": "kubectl", "operation": "Update", "fieldsV1": theirs},
        ])))
    }

    #[test]
    fn a_container_a_variable_or_a_volume_of_somebody_else_is_found() {
        let container = json!({"f:containers": {"k:{\"name\":\"evil\"}": {".": {}, "f:image": {}}}});
        assert_eq!(with_other(container), Some("containers.{\"name\":\"evil\"}".into()));
        let variable =
            json!({"f:containers": {"k:{\"name\":\"runner\"}": {"f:env": {".": {}, "k:{\"name\":\"X\"}": {}}}}});
        assert_eq!(with_other(variable), Some("containers.{\"name\":\"runner\"}.env".into()));
        assert!(with_other(json!({"f:hostNetwork": {}})).is_some());
    }

    #[test]
    fn what_somebody_else_owns_with_us_or_beside_the_guarded_fields_is_left() {
        assert_eq!(with_other(json!({"f:containers": {"k:{\"name\":\"runner\"}": {"f:image": {}}}})), None);
        assert_eq!(with_other(json!({"f:nodeSelector": {}, "f:tolerations": {}})), None);
        let status = json!([{"manager": "controller", "operation": "Update", "subresource": "status",
            "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:volumes": {}}}}}}]);
        assert_eq!(foreign(&metadata(status)), None);
    }
}
