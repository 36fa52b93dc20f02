//! How players reach the WHEP endpoint: an Ingress, an HTTPRoute, or the Service alone. The path is the same everywhere,
//! and no controller's annotations are needed.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::Ingress;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::Config;
use super::labels::{metadata, name, whep_service};
use super::names::HTTP_PORT;
use crate::crd::{GatewayRef, Http, HttpType, RestreamProcess};
use crate::plan::process_id;

/// What holds for one process.
struct Route<'p> {
    kind: HttpType,
    host: Option<&'p str>,
    ingress_class_name: Option<&'p str>,
    tls_secret_name: Option<&'p str>,
    gateway: Option<&'p GatewayRef>,
    annotations: Option<BTreeMap<String, String>>,
}

/// `None` without WebRTC.
fn of<'p>(process: &'p RestreamProcess, config: &'p Config) -> Option<Route<'p>> {
    let webrtc = process.spec.webrtc.as_ref().filter(|webrtc| webrtc.enabled)?;
    let http = webrtc.http.as_ref();
    let text = |of: fn(&Http) -> &Option<String>| http.and_then(|http| of(http).as_deref());
    let annotations =
        http.map(|http| http.annotations.iter().map(|(key, text)| (key.clone(), text.0.clone())).collect());
    Some(Route {
        kind: http.and_then(|http| http.kind).unwrap_or(config.http),
        host: text(|http| &http.host).or(config.host.as_deref()),
        ingress_class_name: text(|http| &http.ingress_class_name).or(config.ingress_class_name.as_deref()),
        tls_secret_name: text(|http| &http.tls_secret_name),
        gateway: http.and_then(|http| http.gateway_ref.as_ref()).or(config.gateway.as_ref()),
        annotations: annotations.filter(|annotations: &BTreeMap<_, _>| !annotations.is_empty()),
    })
}

/// The Gateway API's HTTPRoute.
pub fn http_route_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"),
        "httproutes",
    )
}

/// Whether an HTTPRoute is asked for and no Gateway is named.
pub fn lacks_gateway(process: &RestreamProcess, config: &Config) -> bool {
    of(process, config).is_some_and(|route| route.kind == HttpType::HttpRoute && route.gateway.is_none())
}

/// The Ingress, where players come by one.
pub fn ingress(process: &RestreamProcess, config: &Config) -> Option<Ingress> {
    let route = of(process, config).filter(|route| route.kind == HttpType::Ingress)?;
    let backend = json!({"service": {"name": whep_service(process), "port": {"number": HTTP_PORT}}});
    let paths = json!([{"path": process_id(process).whep_path(), "pathType": "Prefix", "backend": backend}]);
    let mut rule = json!({"http": {"paths": paths}});
    let mut spec = json!({});
    if let Some(host) = route.host {
        rule["host"] = host.into();
    }
    if let Some(class) = route.ingress_class_name {
        spec["ingressClassName"] = class.into();
    }
    if let Some(secret) = route.tls_secret_name {
        spec["tls"] = json!([{"secretName": secret}]);
        if let Some(host) = route.host {
            spec["tls"][0]["hosts"] = json!([host]);
        }
    }
    spec["rules"] = json!([rule]);
    let mut metadata = metadata(process, name(process));
    metadata.annotations = route.annotations;
    Some(Ingress {
        metadata,
        spec: Some(serde_json::from_value(spec).expect("it is the spec of an Ingress")),
        ..Ingress::default()
    })
}

/// The HTTPRoute, where players come by one and a Gateway is named.
pub fn http_route(process: &RestreamProcess, config: &Config) -> Option<DynamicObject> {
    let route = of(process, config).filter(|route| route.kind == HttpType::HttpRoute)?;
    let GatewayRef { name: gateway, namespace, section_name } = route.gateway?;
    let mut parent = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway});
    let mut set = |key: &str, text: &Option<String>| {
        if let Some(text) = text {
            parent[key] = Value::from(text.as_str());
        }
    };
    set("namespace", namespace);
    set("sectionName", section_name);
    let path = json!({"type": "PathPrefix", "value": process_id(process).whep_path()});
    let backend = json!({"name": whep_service(process), "port": HTTP_PORT});
    let mut spec = json!({
        "parentRefs": [parent],
        "rules": [{"matches": [{"path": path}], "backendRefs": [backend]}],
    });
    if let Some(host) = route.host {
        spec["hostnames"] = json!([host]);
    }
    let mut object = DynamicObject::new(name(process), &http_route_resource()).data(json!({"spec": spec}));
    object.metadata = metadata(process, name(process));
    object.metadata.annotations = route.annotations;
    Some(object)
}

/// Where players find the process: a URL where the host is known, that of the Service else.
pub fn whep_url(process: &RestreamProcess, config: &Config) -> Option<String> {
    let route = of(process, config)?;
    let path = process_id(process).whep_path();
    let namespace = process.metadata.namespace.as_deref().unwrap_or_default();
    Some(match (route.kind, route.host) {
        (HttpType::ServiceOnly, _) => format!("http://{}.{namespace}.svc:{HTTP_PORT}{path}", whep_service(process)),
        (_, None) => path,
        (HttpType::Ingress, Some(host)) if route.tls_secret_name.is_none() => format!("http://{host}{path}"),
        // Of a Gateway nobody here knows whether it speaks TLS; where it is watched from, it must.
        (HttpType::Ingress | HttpType::HttpRoute, Some(host)) => format!("https://{host}{path}"),
    })
}
