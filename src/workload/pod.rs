//! The worker: a Deployment of one Pod with the sidecar `whep` and the container `runner`.

use k8s_openapi::DeepMerge;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PodTemplateSpec, ResourceRequirements};
use serde_json::{Value, json};

use super::Config;
use super::exposure::Exposure;
use super::labels::{labels, metadata, name, selector};
use super::names::{
    CONFIGURATION_DIR, CONTROL_SOCKET, GATEWAY_CONTAINER, HTTP_PORT, LEG_PORT, RESTART_AT, RUNNER_CONTAINER,
    SECRETS_DIR, STATUS_PORT,
};
use crate::crd::{Amount, ExposureType, Resources, RestreamProcess};
use crate::plan::process_id;

/// Seconds of the Pod's grace period beyond the time for its viewers: FFmpeg, gateway and goodbyes have them.
const GRACE: i64 = 30;
/// The user in the image (`nobody` of Debian).
const USER: i64 = 65534;
/// Folder of the control socket.
const SOCKET_DIR: &str = "/run/dragonfork";
/// The disk directory of FFmpeg.
pub const DISK_DIR: &str = "/data";

/// The Deployment. `port` is that of the media in the container.
pub fn deployment(process: &RestreamProcess, config: &Config, exposure: &Exposure<'_>, port: u16) -> Deployment {
    let template = template(process, config, exposure, port);
    let spec = json!({
        "replicas": i32::from(!process.spec.suspend),
        "selector": {"matchLabels": selector(process)},
        // Never two FFmpegs that push to the same place.
        "strategy": {"type": "Recreate"},
        "revisionHistoryLimit": 2,
        "template": template,
    });
    Deployment {
        metadata: metadata(process, name(process)),
        spec: serde_json::from_value(spec).expect("it is the spec of a Deployment"),
        ..Deployment::default()
    }
}

/// The Pod's template, with the manifest's own laid over it.
fn template(process: &RestreamProcess, config: &Config, exposure: &Exposure<'_>, port: u16) -> PodTemplateSpec {
    let own = own_template(process, config, exposure, port);
    let mut template: PodTemplateSpec = serde_json::from_value(own).expect("it is a template of Pods");
    if let Some(Ok(overlay)) = overlay(process) {
        template.merge_from(overlay);
    }
    template
}

/// The manifest's part of the template; the error says what in it is none.
pub fn overlay(process: &RestreamProcess) -> Option<Result<PodTemplateSpec, String>> {
    let written = Value::Object(process.spec.pod_template.clone()?);
    Some(serde_json::from_value(written.clone()).map_err(|error| format!("is no template of Pods: {error}")).and_then(
        |template: PodTemplateSpec| {
            let read = serde_json::to_value(&template).expect("a template is JSON");
            match lost(&written, &read, String::new()) {
                Some(path) => Err(format!("has no field {path}")),
                None => Ok(template),
            }
        },
    ))
}

/// The path of something that was written and not read.
fn lost(written: &Value, read: &Value, path: String) -> Option<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => written.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match read.get(key) {
                Some(read) => lost(value, read, path),
                None if value.is_null() || is_empty(value) => None,
                None => Some(path),
            }
        }),
        (Value::Array(written), Value::Array(read)) => written
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(index, (written, read))| lost(written, read, format!("{path}[{index}]"))),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn own_template(process: &RestreamProcess, config: &Config, exposure: &Exposure<'_>, port: u16) -> Value {
    let drain = process.spec.webrtc.as_ref().filter(|webrtc| webrtc.enabled).map(|webrtc| webrtc.drain_timeout_seconds);
    let restart_at = process.metadata.annotations.as_ref().and_then(|annotations| annotations.get(RESTART_AT));
    let mut metadata = json!({"labels": labels(process)});
    metadata["annotations"] = json!({"kubectl.kubernetes.io/default-container": RUNNER_CONTAINER});
    if let Some(at) = restart_at {
        metadata["annotations"][RESTART_AT] = at.as_str().into();
    }
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": drain.unwrap_or_default() + GRACE,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [runner(process, config, drain)],
        "volumes": volumes(process),
    });
    if exposure.playable {
        spec["initContainers"] = json!([gateway(process, config, exposure, port)]);
    }
    if exposure.playable && exposure.kind == ExposureType::HostNetwork {
        spec["hostNetwork"] = true.into();
        spec["dnsPolicy"] = "ClusterFirstWithHostNet".into();
    }
    if !config.image_pull_secrets.is_empty() {
        let secrets = config.image_pull_secrets.iter().map(|name| json!({"name": name}));
        spec["imagePullSecrets"] = secrets.collect();
    }
    json!({"metadata": metadata, "spec": spec})
}

fn runner(process: &RestreamProcess, config: &Config, drain: Option<i64>) -> Value {
    let mut environment = shared_environment(process);
    environment.extend([
        ("CORE_ADDRESS", format!(":{STATUS_PORT}")),
        ("CORE_SECRETS_DIR", SECRETS_DIR.into()),
        ("CORE_STORAGE_DISK_DIR", DISK_DIR.into()),
        ("CORE_WORKER_DRAIN_SECONDS", drain.unwrap_or_default().to_string()),
    ]);
    let mut container = container(process, config, RUNNER_CONTAINER, environment);
    container["ports"] = json!([{"name": "status", "containerPort": STATUS_PORT, "protocol": "TCP"}]);
    container["readinessProbe"] = json!({"httpGet": {"path": "/ping", "port": "status"}, "periodSeconds": 5});
    let mounts = container["volumeMounts"].as_array_mut().expect("it was just made");
    mounts.extend([json!({"name": "disk", "mountPath": DISK_DIR}), json!({"name": "temporary", "mountPath": "/tmp"})]);
    if has_values(process) {
        mounts.push(json!({"name": "values", "mountPath": SECRETS_DIR, "readOnly": true}));
    }
    let resources = process.spec.runner.as_ref().and_then(|runner| runner.resources.as_ref());
    let resources = requirements(resources.unwrap_or(&config.resources));
    if resources != ResourceRequirements::default() {
        container["resources"] = json!(resources);
    }
    container
}

fn gateway(process: &RestreamProcess, config: &Config, exposure: &Exposure<'_>, port: u16) -> Value {
    let mut environment = shared_environment(process);
    environment.extend([
        ("CORE_ADDRESS", format!(":{HTTP_PORT}")),
        ("CORE_WORKER_LEG_PORT", LEG_PORT.to_string()),
        ("CORE_WEBRTC_ADDRESS", format!(":{port}")),
    ]);
    let mut container = container(process, config, GATEWAY_CONTAINER, environment);
    // Started before FFmpeg, and ended after it.
    container["restartPolicy"] = "Always".into();
    let mut ports = json!([
        {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
        {"name": "media-udp", "containerPort": port, "protocol": "UDP"},
        {"name": "media-tcp", "containerPort": port, "protocol": "TCP"},
    ]);
    if exposure.kind == ExposureType::HostPort {
        // The definition demands a port with this type.
        for index in [1, 2] {
            ports[index]["hostPort"] = exposure.port.unwrap_or(port).into();
        }
    }
    container["ports"] = ports;
    // Its legs, its media port and its control socket are bound before HTTP answers, so FFmpeg never sends to nobody.
    let ping = json!({"path": "/ping", "port": "http"});
    container["startupProbe"] = json!({"httpGet": ping, "periodSeconds": 1, "failureThreshold": 60});
    container["readinessProbe"] = json!({"httpGet": ping, "periodSeconds": 5});
    container
}

fn container(process: &RestreamProcess, config: &Config, mode: &str, environment: Vec<(&str, String)>) -> Value {
    let image = process.spec.runner.as_ref().and_then(|runner| runner.image.as_deref()).unwrap_or(&config.image);
    let environment: Vec<Value> =
        environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut container = json!({
        "name": mode,
        "image": image,
        "command": ["dragonfork", mode],
        "env": environment,
        "volumeMounts": [
            {"name": "process", "mountPath": CONFIGURATION_DIR, "readOnly": true},
            {"name": "control", "mountPath": SOCKET_DIR},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        // The last words of a program that failed are in the status of the Pod.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if let Some(policy) = &config.image_pull_policy {
        container["imagePullPolicy"] = policy.as_str().into();
    }
    container
}

fn shared_environment(process: &RestreamProcess) -> Vec<(&'static str, String)> {
    vec![
        ("CORE_WORKER_PROCESS", process_id(process).as_str().to_owned()),
        ("CORE_WORKER_CONFIGURATION", CONFIGURATION_DIR.into()),
        ("CORE_WORKER_SOCKET", CONTROL_SOCKET.into()),
        ("CORE_LOG_FORMAT", "json".into()),
    ]
}

fn volumes(process: &RestreamProcess) -> Value {
    let mut volumes = vec![
        json!({"name": "process", "configMap": {"name": name(process)}}),
        json!({"name": "control", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
        json!({"name": "disk", "emptyDir": {}}),
        json!({"name": "temporary", "emptyDir": {}}),
    ];
    if has_values(process) {
        volumes.push(json!({"name": "values", "projected": {"sources": values(process)}}));
    }
    volumes.into()
}

fn has_values(process: &RestreamProcess) -> bool {
    process.spec.params.iter().any(|param| param.value_from.is_some())
}

/// The keys of Secrets and ConfigMaps that parameters name, each as the file `<name>/<key>`. One that is missing keeps no
/// Pod from starting: the runner says which it is, and goes on when it is there.
fn values(process: &RestreamProcess) -> Vec<Value> {
    let refs = process.spec.params.iter().filter_map(|param| param.value_from.as_ref());
    refs.filter_map(|from| match (&from.secret_key_ref, &from.config_map_key_ref) {
        (Some(key), _) => Some(("secret", key)),
        (None, Some(key)) => Some(("configMap", key)),
        (None, None) => None,
    })
    .map(|(kind, key)| {
        let path = format!("{}/{}", key.name, key.key);
        json!({kind: {"name": key.name, "optional": true, "items": [{"key": key.key, "path": path}]}})
    })
    .collect()
}

fn requirements(resources: &Resources) -> ResourceRequirements {
    let Resources { requests, limits } = resources;
    let quantities = |amounts: &std::collections::BTreeMap<String, Amount>| {
        let texts = amounts.iter().map(|(name, amount)| {
            let text = match amount {
                Amount::Whole(number) => number.to_string(),
                Amount::Text(text) => text.clone(),
            };
            (name.clone(), k8s_openapi::apimachinery::pkg::api::resource::Quantity(text))
        });
        Some(texts.collect()).filter(|quantities: &std::collections::BTreeMap<_, _>| !quantities.is_empty())
    };
    ResourceRequirements {
        requests: quantities(requests),
        limits: quantities(limits),
        ..ResourceRequirements::default()
    }
}
