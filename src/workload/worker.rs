//! What operator and worker Pod tell each other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::exposure::Exposure;
use super::{Config, Surroundings};
use crate::crd::{API_VERSION, KIND, RestreamProcess, RestreamProcessStatus};

/// What a worker is told: the keys of its ConfigMap. The operator hands them over at once, too (`PUT /worker`), so that
/// nobody waits for the kubelet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The manifest, as YAML: spec and defaults of the operator, `metadata` with name, namespace and generation.
    #[serde(rename = "process.yaml")]
    pub process: String,
    /// [`Settings`] as JSON.
    #[serde(rename = "settings.json")]
    pub settings: String,
    /// The public keys of tokens, as a JWKS.
    #[serde(rename = "jwks.json")]
    pub jwks: String,
}

impl Configuration {
    /// The same for the same texts, and another one for others: SHA-256 in hex.
    pub fn digest(&self) -> String {
        let Self { process, settings, jwks } = self;
        sha256(&serde_json::to_vec(&[process, settings, jwks]).expect("texts are JSON"))
    }

    /// As the ConfigMap has it.
    pub fn into_map(self) -> BTreeMap<String, String> {
        let Self { process, settings, jwks } = self;
        [("process.yaml", process), ("settings.json", settings), ("jwks.json", jwks)]
            .map(|(key, text)| (key.to_owned(), text))
            .into()
    }
}

/// SHA-256, in hex.
pub fn sha256(octets: &[u8]) -> String {
    digest(&SHA256, octets).as_ref().iter().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    })
}

/// What all workers are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// A token is needed.
    pub auth: bool,
    /// Who makes tokens (`iss`).
    pub issuer: String,
    /// For whom they are (`aud`).
    pub audience: String,
    /// `stun:` and `turn:` URLs that players are told in `Link` headers.
    pub ice_servers: Vec<String>,
    /// Viewers of a stream whose manifest says nothing.
    pub max_viewers_per_stream: u32,
}

/// What a worker tells of itself: `GET /worker`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`Configuration::digest`] of what it runs.
    pub configuration: String,
    /// It is to end, and takes no new viewers.
    pub draining: bool,
    /// What is seen of the process, as standalone shows it.
    pub status: RestreamProcessStatus,
}

/// What the worker of a process is told: its manifest as it is, but for what only the cluster looks at, and with what the
/// operator has found out.
pub fn configuration(
    process: &RestreamProcess,
    config: &Config,
    exposure: &Exposure<'_>,
    surroundings: &Surroundings,
) -> Configuration {
    let mut spec = process.spec.clone();
    (spec.runner, spec.pod_template) = (None, None);
    if let Some(webrtc) = &mut spec.webrtc {
        webrtc.http = None;
        let written = webrtc.exposure.get_or_insert_default();
        written.kind = Some(exposure.kind);
        written.announce = exposure.announced(surroundings);
        (written.load_balancer_class, written.annotations) = (None, BTreeMap::new());
    }
    let metadata = &process.metadata;
    let manifest = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": metadata.name, "namespace": metadata.namespace, "generation": metadata.generation},
        "spec": spec,
    });
    Configuration {
        process: serde_yaml::to_string(&manifest).expect("a manifest has only texts, numbers, lists and objects"),
        settings: serde_json::to_string(&config.settings).expect("settings are JSON"),
        jwks: config.jwks.clone(),
    }
}
