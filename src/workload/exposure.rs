//! How viewers reach the media port, and what they are told.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{media_service, metadata, selector, whep_service};
use super::names::{HTTP_PORT, MEDIA_PORT};
use super::{Config, Surroundings};
use crate::crd::{ExposureType, RestreamProcess};

/// What holds for one process.
pub struct Exposure<'p> {
    /// There is something to play.
    pub playable: bool,
    /// How.
    pub kind: ExposureType,
    /// The port that the manifest asks for.
    pub port: Option<u16>,
    /// What the manifest has announced.
    announce: &'p [String],
    load_balancer_class: Option<&'p str>,
    annotations: Vec<(&'p str, &'p str)>,
}

/// What the manifest says, and what the operator is configured to where it says nothing.
pub fn of<'p>(process: &'p RestreamProcess, config: &Config) -> Exposure<'p> {
    let webrtc = process.spec.webrtc.as_ref();
    let exposure = webrtc.and_then(|webrtc| webrtc.exposure.as_ref());
    let annotations = exposure.into_iter().flat_map(|exposure| &exposure.annotations);
    Exposure {
        playable: webrtc.is_some_and(|webrtc| webrtc.enabled),
        kind: exposure.and_then(|exposure| exposure.kind).unwrap_or(config.exposure),
        port: exposure.and_then(|exposure| exposure.port).and_then(|port| port.try_into().ok()),
        announce: exposure.map(|exposure| exposure.announce.as_slice()).unwrap_or_default(),
        load_balancer_class: exposure.and_then(|exposure| exposure.load_balancer_class.as_deref()),
        annotations: annotations.map(|(key, text)| (key.as_str(), text.0.as_str())).collect(),
    }
}

impl Exposure<'_> {
    /// The port of the container. With NodePort it is the one that viewers see, so that none of them is told a wrong one;
    /// `None` while the cluster has not given it.
    pub fn container_port(&self, surroundings: &Surroundings) -> Option<u16> {
        match self.kind {
            ExposureType::NodePort if self.playable => self.port.or(surroundings.node_port),
            ExposureType::HostNetwork => Some(self.port.unwrap_or(MEDIA_PORT)),
            _ => Some(MEDIA_PORT),
        }
    }

    /// Whether viewers have to be told of an address that is none of the Pod's own.
    pub fn needs_address(&self) -> bool {
        match self.kind {
            ExposureType::NodePort | ExposureType::HostPort | ExposureType::LoadBalancer => self.playable,
            ExposureType::HostNetwork | ExposureType::Relay | ExposureType::ClusterOnly => false,
        }
    }

    /// The addresses that viewers are told; empty where none is known yet, and where the Pod's own do.
    pub fn announced(&self, surroundings: &Surroundings) -> Vec<String> {
        let Surroundings { node_port: _, load_balancer, public_address, external, host } = surroundings;
        if !self.announce.is_empty() || !self.needs_address() {
            return self.announce.to_vec();
        }
        if self.kind == ExposureType::LoadBalancer {
            return load_balancer.clone();
        }
        let texts = |addresses: &[IpAddr]| addresses.iter().map(IpAddr::to_string).collect();
        match public_address {
            Some(list) => list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
            None if !external.is_empty() => texts(external),
            None => texts(host),
        }
    }
}

/// The addresses that viewers of a process are told, as far as they are not the Pod's own.
pub fn announced(process: &RestreamProcess, config: &Config, surroundings: &Surroundings) -> Vec<String> {
    of(process, config).announced(surroundings)
}

/// The Service of WHEP, and that of the media port where there is one.
pub fn services(process: &RestreamProcess, exposure: &Exposure<'_>) -> Vec<Service> {
    if !exposure.playable {
        return Vec::new();
    }
    let whep = ServiceSpec {
        ports: Some(vec![ServicePort {
            name: Some("http".into()),
            port: HTTP_PORT.into(),
            target_port: Some(IntOrString::String("http".into())),
            protocol: Some("TCP".into()),
            app_protocol: Some("http".into()),
            ..ServicePort::default()
        }]),
        selector: Some(selector(process)),
        type_: Some("ClusterIP".into()),
        // Players of a Pod that is to end still say goodbye.
        publish_not_ready_addresses: Some(true),
        ..ServiceSpec::default()
    };
    let whep = Service { metadata: metadata(process, whep_service(process)), spec: Some(whep), ..Service::default() };
    let type_ = match exposure.kind {
        ExposureType::NodePort => "NodePort",
        ExposureType::LoadBalancer => "LoadBalancer",
        _ => return vec![whep],
    };
    vec![media(process, exposure, type_), whep]
}

fn media(process: &RestreamProcess, exposure: &Exposure<'_>, type_: &str) -> Service {
    let is_node_port = exposure.kind == ExposureType::NodePort;
    // Ports of one number get one node port, whatever their protocol.
    let port = |name: &str, protocol: &str| ServicePort {
        name: Some(name.into()),
        port: exposure.port.unwrap_or(MEDIA_PORT).into(),
        target_port: Some(IntOrString::String(name.into())),
        protocol: Some(protocol.into()),
        node_port: exposure.port.filter(|_| is_node_port).map(i32::from),
        ..ServicePort::default()
    };
    let mut metadata = metadata(process, media_service(process));
    if !exposure.annotations.is_empty() {
        let annotations = exposure.annotations.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        metadata.annotations = Some(annotations.collect());
    }
    let spec = ServiceSpec {
        ports: Some(vec![port("media-udp", "UDP"), port("media-tcp", "TCP")]),
        selector: Some(selector(process)),
        type_: Some(type_.into()),
        // Only the node that has the Pod takes packets: no hop more, and the viewers' addresses are seen.
        external_traffic_policy: Some("Local".into()),
        publish_not_ready_addresses: Some(true),
        load_balancer_class: exposure.load_balancer_class.filter(|_| !is_node_port).map(str::to_owned),
        ..ServiceSpec::default()
    };
    Service { metadata, spec: Some(spec), ..Service::default() }
}
