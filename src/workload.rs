//! From a process and the operator's configuration to the Kubernetes objects that run it, and from what is seen of them to
//! its status.
//!
//! One process is one Pod: the native sidecar `whep` (WebRTC gateway and WHEP over HTTP) and the container `runner`
//! (controller and FFmpeg), both this binary. What they are told stands in one ConfigMap: the manifest itself, so that a
//! worker Pod is the standalone program over a directory of one manifest.
//!
//! This room never asks the API server anything, and never knows whether an object is there already.

mod exposure;
mod labels;
mod names;
mod pod;
mod proof;
mod route;
mod status;
#[cfg(test)]
mod tests;
mod worker;

use std::net::IpAddr;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::core::DynamicObject;

use crate::crd::{ExposureType, GatewayRef, HttpType, Resources, RestreamProcess};

pub use exposure::announced;
pub use names::{
    CONFIGURATION_DIR, CONTROL_SOCKET, GATEWAY_CONTAINER, HTTP_PORT, LEG_PORT, MANAGER, MEDIA_PORT, PAUSED, RESTART_AT,
    RUNNER_CONTAINER, SECRETS_DIR, STATUS_PORT, TEMPLATE_HASH,
};
pub use proof::{Refusal, refusals};
pub use route::http_route_resource;
pub use status::{Failure, Seen, status};
pub use worker::{Configuration, Report, Settings, sha256};

/// What the operator is configured to, for every process.
#[derive(Clone, Debug)]
pub struct Config {
    /// Image of the worker Pods: this program and FFmpeg.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`; `None` leaves it to Kubernetes.
    pub image_pull_policy: Option<String>,
    /// Secrets that open the registry, in the namespace of each process.
    pub image_pull_secrets: Vec<String>,
    /// Prefixes of images that a manifest may name; empty allows every image.
    pub allowed_images: Vec<String>,
    /// How viewers reach the media port, where a manifest says nothing.
    pub exposure: ExposureType,
    /// Exposures that a manifest may ask for; empty allows every one.
    pub allowed_exposures: Vec<ExposureType>,
    /// How players reach the WHEP endpoint, where a manifest says nothing.
    pub http: HttpType,
    /// Host of an Ingress or HTTPRoute, where a manifest says nothing.
    pub host: Option<String>,
    /// The Ingress controller, where a manifest says nothing.
    pub ingress_class_name: Option<String>,
    /// The Gateway of HTTPRoutes, where a manifest says nothing.
    pub gateway: Option<GatewayRef>,
    /// Of the container that runs FFmpeg, where a manifest says nothing.
    pub resources: Resources,
    /// What all workers are told.
    pub settings: Settings,
    /// The public keys that tokens are verified with, as a JWKS (RFC 7517).
    pub jwks: String,
}

/// What is known of a process's surroundings when its objects are built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Port of every node that leads to the media port, once the Service has one.
    pub node_port: Option<u16>,
    /// Addresses and names of the load balancer, once it has some.
    pub load_balancer: Vec<String>,
    /// The annotation `restream.wilddragon.net/public-address` of the Pod's node.
    pub public_address: Option<String>,
    /// ExternalIPs of the Pod's node.
    pub external: Vec<IpAddr>,
    /// `status.hostIPs` of the Pod.
    pub host: Vec<IpAddr>,
}

/// The Services of a process: of WHEP, and of the media port where there is one. They have to be there before everything
/// else, because the node port is the port of the container.
pub fn services(process: &RestreamProcess, config: &Config) -> Vec<Service> {
    exposure::services(process, &exposure::of(process, config))
}

/// The other objects that run a process.
#[derive(Clone, Debug)]
pub struct Children {
    /// What the worker is told.
    pub config_map: ConfigMap,
    /// The worker; `None` while the node port of its media port is not known.
    pub deployment: Option<Deployment>,
    /// Where players come by an Ingress.
    pub ingress: Option<Ingress>,
    /// Where players come by a Gateway of the Gateway API.
    pub http_route: Option<DynamicObject>,
    /// The content of the ConfigMap.
    pub configuration: Configuration,
}

/// The objects that run a process that nothing is [refused](refusals) of, beside its [Services](services). Owner references are not in them.
pub fn children(process: &RestreamProcess, config: &Config, surroundings: &Surroundings) -> Children {
    let exposure = exposure::of(process, config);
    let configuration = worker::configuration(process, config, &exposure, surroundings);
    Children {
        config_map: ConfigMap {
            metadata: labels::metadata(process, labels::name(process)),
            data: Some(configuration.clone().into_map()),
            ..ConfigMap::default()
        },
        deployment: exposure.container_port(surroundings).map(|port| pod::deployment(process, config, &exposure, port)),
        ingress: route::ingress(process, config),
        http_route: route::http_route(process, config),
        configuration,
    }
}
