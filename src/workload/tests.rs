use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::crd::read_manifests;

fn config() -> Config {
    Config {
        image: "example/dragonfork:1".into(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        allowed_images: Vec::new(),
        exposure: ExposureType::NodePort,
        allowed_exposures: Vec::new(),
        http: HttpType::ServiceOnly,
        host: None,
        ingress_class_name: None,
        gateway: None,
        resources: Resources::default(),
        settings: Settings {
            auth: true,
            issuer: "dragonfork".into(),
            audience: "dragonfork".into(),
            ice_servers: vec!["stun:stun.example".into()],
            max_viewers_per_stream: 8,
        },
        jwks: r#"{"keys":[]}"#.into(),
    }
}

/// A process `cam` in the namespace `studio`.
fn process(spec: &str) -> RestreamProcess {
    let text = format!(
        "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\n\
         metadata: {{name: cam, namespace: studio, generation: 3}}\nspec:\n  \
         input: [{{id: in, address: \"rtsp://cam.example:554/a\"}}]\n{spec}"
    );
    let mut reading = read_manifests(&text);
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
    RestreamProcess::clone(&reading.manifests.remove(0).manifest)
}

fn objects(spec: &str, surroundings: &Surroundings) -> Value {
    let (process, config) = (process(spec), config());
    let services = services(&process, &config);
    let Children { config_map, deployment, ingress, http_route, configuration: _ } =
        children(&process, &config, surroundings);
    json!({"services": services, "configMap": config_map, "deployment": deployment, "ingress": ingress,
           "httpRoute": http_route})
}

fn with_node_port(port: u16) -> Surroundings {
    Surroundings {
        node_port: Some(port),
        host: vec!["192.0.2.7".parse().expect("an address")],
        ..Surroundings::default()
    }
}

const PLAYED: &str = "  webrtc: {enabled: true}\n";

#[test]
fn the_container_has_the_port_that_the_cluster_gave_to_the_node() {
    assert_eq!(objects(PLAYED, &Surroundings::default())["deployment"], Value::Null, "the node port is not known yet");
    let objects = objects(PLAYED, &with_node_port(31_000));
    let gateway = &objects["deployment"]["spec"]["template"]["spec"]["initContainers"][0];
    assert_eq!(gateway["ports"][1]["containerPort"], 31_000);
    assert!(
        gateway["env"]
            .as_array()
            .is_some_and(|env| { env.contains(&json!({"name": "CORE_WEBRTC_ADDRESS", "value": ":31000"})) })
    );
    let media = &objects["services"][0]["spec"];
    assert_eq!((&media["type"], &media["externalTrafficPolicy"]), (&json!("NodePort"), &json!("Local")));
    assert_eq!(
        media["ports"][0]["port"], media["ports"][1]["port"],
        "one number gives one node port for both protocols"
    );
}

#[test]
fn a_process_without_webrtc_has_neither_services_nor_a_sidecar() {
    let objects = objects("  output: [{id: out, address: \"rtmp://live.example/a\"}]\n", &Surroundings::default());
    assert_eq!(objects["services"], json!([]));
    let pod = &objects["deployment"]["spec"]["template"]["spec"];
    assert_eq!(pod["initContainers"], Value::Null);
    assert_eq!(pod["containers"][0]["command"], json!(["dragonfork", "runner"]));
}

#[test]
fn a_pod_is_what_pod_security_calls_restricted() {
    let objects = objects(PLAYED, &with_node_port(31_000));
    let pod = &objects["deployment"]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    for container in [&pod["initContainers"][0], &pod["containers"][0]] {
        let context = &container["securityContext"];
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    }
}

#[test]
fn only_what_the_pod_is_made_of_changes_its_template() {
    let template = |spec: &str| objects(spec, &with_node_port(31_000))["deployment"]["spec"]["template"].clone();
    let first = template(PLAYED);
    for same in [
        "  webrtc: {enabled: true, maxViewers: 3}\n",
        "  webrtc: {enabled: true, exposure: {announce: [\"192.0.2.1\"]}}\n",
        "  webrtc: {enabled: true, http: {type: Ingress, host: live.example}}\n",
        "  webrtc: {enabled: true}\n  output: [{id: out, address: \"rtmp://live.example/a\"}]\n",
        "  webrtc: {enabled: true}\n  suspend: true\n",
    ] {
        assert_eq!(template(same), first, "{same}");
    }
    for other in [
        "  webrtc: {enabled: true, exposure: {port: 31001}}\n",
        "  webrtc: {enabled: true, drainTimeoutSeconds: 60}\n",
        "  webrtc: {enabled: true}\n  runner: {image: example/other}\n",
        "  webrtc: {enabled: true}\n  podTemplate: {spec: {nodeSelector: {disk: ssd}}}\n",
    ] {
        assert_ne!(template(other), first, "{other}");
    }
}

#[test]
fn the_manifests_template_is_laid_over_the_pods() {
    let spec = "  webrtc: {enabled: true}\n  podTemplate:\n    metadata: {labels: {team: a}}\n    spec:\n      \
                nodeSelector: {disk: ssd}\n      containers:\n      - {name: runner, env: [{name: TZ, value: UTC}]}\n      \
                - {name: extra, image: example/extra}\n";
    let template = objects(spec, &with_node_port(31_000))["deployment"]["spec"]["template"].clone();
    assert_eq!(template["metadata"]["labels"]["team"], "a");
    assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/instance"], "cam");
    let containers = template["spec"]["containers"].as_array().expect("a list");
    assert_eq!(containers.len(), 2);
    let environment = containers[0]["env"].as_array().expect("a list");
    assert!(environment.contains(&json!({"name": "TZ", "value": "UTC"})));
    assert!(environment.iter().any(|variable| variable["name"] == "CORE_WORKER_SOCKET"));
}

#[test]
fn a_template_with_a_field_that_no_pod_has_is_refused_by_name() {
    let refused = |overlay: &str| {
        let process = process(&format!("  webrtc: {{enabled: true}}\n  podTemplate: {overlay}\n"));
        refusals(&process, &config()).into_iter().map(|refusal| refusal.message).collect::<Vec<_>>()
    };
    assert_eq!(refused("{spec: {nodeSelectors: {a: b}}}"), ["spec.podTemplate has no field spec.nodeSelectors"]);
    assert_eq!(
        refused("{spec: {containers: [{name: runner, imag: x}]}}"),
        ["spec.podTemplate has no field spec.containers[0].imag"]
    );
    assert!(refused("{spec: {containers: 3}}")[0].starts_with("spec.podTemplate is no template of Pods: "));
    assert!(refused("{spec: {tolerations: []}}").is_empty());
}

#[test]
fn an_ingress_and_a_route_have_the_path_of_the_endpoint_unchanged() {
    let objects = objects(
        "  webrtc: {enabled: true, http: {type: Ingress, host: live.example, tlsSecretName: live-tls}}\n",
        &with_node_port(31_000),
    );
    let spec = &objects["ingress"]["spec"];
    assert_eq!(spec["rules"][0]["host"], "live.example");
    let path = &spec["rules"][0]["http"]["paths"][0];
    assert_eq!((&path["path"], &path["pathType"]), (&json!("/api/v3/whep/studio.cam"), &json!("Prefix")));
    assert_eq!(path["backend"]["service"]["name"], "cam-whep");
    assert_eq!(spec["tls"], json!([{"secretName": "live-tls", "hosts": ["live.example"]}]));
    let objects = self::objects(
        "  webrtc: {enabled: true, http: {type: HttpRoute, gatewayRef: {name: edge, namespace: infra}}}\n",
        &with_node_port(31_000),
    );
    assert_eq!(objects["ingress"], Value::Null);
    let route = &objects["httpRoute"];
    assert_eq!((&route["apiVersion"], &route["kind"]), (&json!("gateway.networking.k8s.io/v1"), &json!("HTTPRoute")));
    assert_eq!(route["spec"]["rules"][0]["matches"][0]["path"]["value"], "/api/v3/whep/studio.cam");
    assert_eq!(route["spec"]["parentRefs"][0]["namespace"], "infra");
}

#[test]
fn a_worker_reads_the_manifest_that_it_is_told() {
    let process = process(
        "  webrtc: {enabled: true, maxViewers: 3}\n  podTemplate: {spec: {nodeSelector: {a: b}}}\n  \
         params: [{name: KEY, valueFrom: {secretKeyRef: {name: keys, key: key}}}]\n",
    );
    let told = children(&process, &config(), &with_node_port(31_000)).configuration;
    let reading = read_manifests(&told.process);
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
    let read = &reading.manifests[0].manifest;
    assert_eq!(read.metadata.generation, Some(3));
    let exposure = read.spec.webrtc.as_ref().and_then(|webrtc| webrtc.exposure.as_ref()).expect("it is told");
    assert_eq!(
        (exposure.kind, exposure.announce.as_slice()),
        (Some(ExposureType::NodePort), &["192.0.2.7".to_owned()][..])
    );
    assert_eq!(read.spec.pod_template, None);
    let pod = children(&process, &config(), &with_node_port(31_000)).deployment.expect("the port is known");
    let pod = serde_json::to_value(pod).expect("JSON")["spec"]["template"]["spec"].clone();
    let source = &pod["volumes"].as_array().and_then(|volumes| volumes.last()).expect("there are some")["projected"];
    assert_eq!(source["sources"][0]["secret"]["items"], json!([{"key": "key", "path": "keys/key"}]));
}

#[test]
fn addresses_are_taken_in_the_order_of_who_knows_best() {
    let told = |spec: &str, surroundings: &Surroundings| announced(&process(spec), &config(), surroundings);
    let mut surroundings = with_node_port(31_000);
    assert_eq!(told(PLAYED, &surroundings), ["192.0.2.7"]);
    surroundings.external = vec!["198.51.100.1".parse().expect("an address")];
    assert_eq!(told(PLAYED, &surroundings), ["198.51.100.1"]);
    surroundings.public_address = Some("live.example, 203.0.113.1".into());
    assert_eq!(told(PLAYED, &surroundings), ["live.example", "203.0.113.1"]);
    assert_eq!(told("  webrtc: {enabled: true, exposure: {announce: [a.example]}}\n", &surroundings), ["a.example"]);
    let balanced = "  webrtc: {enabled: true, exposure: {type: LoadBalancer}}\n";
    assert!(told(balanced, &surroundings).is_empty(), "a node's address does not lead to a load balancer");
    surroundings.load_balancer = vec!["203.0.113.9".into()];
    assert_eq!(told(balanced, &surroundings), ["203.0.113.9"]);
    for own in ["HostNetwork", "Relay", "ClusterOnly"] {
        assert!(told(&format!("  webrtc: {{enabled: true, exposure: {{type: {own}}}}}\n"), &surroundings).is_empty());
    }
}

#[test]
fn what_the_operator_does_not_allow_is_refused_with_what_it_allows() {
    let mut config = config();
    config.allowed_images = vec!["example/".into()];
    config.allowed_exposures = vec![ExposureType::NodePort];
    let process = process(
        "  webrtc: {enabled: true, exposure: {type: HostNetwork}, http: {type: HttpRoute}}\n  runner: {image: other/x}\n",
    );
    let reasons: Vec<&str> = refusals(&process, &config).iter().map(|refusal| refusal.reason).collect();
    assert_eq!(reasons, ["ImageNotAllowed", "InvalidSpec", "ExposureNotAllowed"]);
    assert!(refusals(&self::process(PLAYED), &config).is_empty());
}

fn seen<'a>(surroundings: &'a Surroundings, pod: Option<&'a Pod>, report: Option<&'a Report>) -> Seen<'a> {
    Seen { refused: &[], reconciled: Ok(()), paused: false, pod, surroundings, report }
}

fn shown(process: &RestreamProcess, seen: &Seen<'_>) -> Vec<(String, String, String)> {
    let status = status(process, &config(), seen, "2026-12-01T00:00:00Z".parse().expect("a time"));
    let conditions = status.conditions.into_iter();
    conditions.map(|condition| (condition.type_, condition.status, condition.reason)).collect()
}

fn is(shown: &[(String, String, String)], kind: &str, reason: &str) -> bool {
    shown.iter().any(|(its_kind, _, its_reason)| its_kind == kind && its_reason == reason)
}

fn pod(status: Value) -> Pod {
    let spec = json!({"nodeName": "n1", "containers": []});
    serde_json::from_value(json!({"metadata": {"name": "cam-1"}, "spec": spec, "status": status})).expect("it is a Pod")
}

#[test]
fn a_pod_that_does_not_start_says_why() {
    let surroundings = with_node_port(31_000);
    let process = process(PLAYED);
    let waiting = |reason: &str, message: &str| {
        let state = json!({"waiting": {"reason": reason, "message": message}});
        let container =
            json!({"name": "runner", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        pod(json!({"containerStatuses": [container]}))
    };
    for (pod, reason) in [
        (waiting("ErrImagePull", "not found"), "ImagePullFailed"),
        (waiting("CreateContainerConfigError", "secret \"x\" not found"), "SecretNotFound"),
        (waiting("CrashLoopBackOff", "back-off"), "WorkerFailed"),
        (waiting("ContainerCreating", ""), "Starting"),
        (
            pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}]})),
            "Unschedulable",
        ),
        (pod(json!({"conditions": [{"type": "Ready", "status": "True"}]})), "WorkerUnreachable"),
    ] {
        let shown = shown(&process, &seen(&surroundings, Some(&pod), None));
        assert!(is(&shown, "StreamRunning", reason), "{reason}: {shown:?}");
        assert!(is(&shown, "Ready", reason), "{reason}: {shown:?}");
    }
    assert!(is(&shown(&process, &seen(&surroundings, None, None)), "StreamRunning", "Pending"));
}

#[test]
fn a_process_is_ready_when_everything_is() {
    let surroundings = with_node_port(31_000);
    let process = process(PLAYED);
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-12-01T00:00:00Z"});
    let report = |playback: (&str, &str)| {
        let conditions = json!([
            condition("Accepted", "True", "Accepted"),
            condition("StreamRunning", "True", "Running"),
            condition("PlaybackReady", playback.0, playback.1),
        ]);
        let status = serde_json::from_value(json!({"state": "Running", "restarts": 2, "conditions": conditions}));
        Report { configuration: String::new(), draining: false, status: status.expect("it is a status") }
    };
    let playing = report(("True", "Playing"));
    assert!(is(&shown(&process, &seen(&surroundings, None, Some(&playing))), "Ready", "AllReady"));
    let waiting = report(("False", "WaitingForMedia"));
    assert!(is(&shown(&process, &seen(&surroundings, None, Some(&waiting))), "Ready", "WaitingForMedia"));
    let without = Surroundings { node_port: Some(31_000), ..Surroundings::default() };
    assert!(is(&shown(&process, &seen(&without, None, Some(&playing))), "PlaybackReady", "WaitingForAddress"));
}

#[test]
fn a_transition_keeps_its_time_while_the_status_is_the_same() {
    let surroundings = with_node_port(31_000);
    let mut process = process(PLAYED);
    let at = |time: &str| time.parse().expect("a time");
    let first = status(&process, &config(), &seen(&surroundings, None, None), at("2026-12-01T00:00:00Z"));
    process.status = Some(first.clone());
    assert_eq!(status(&process, &config(), &seen(&surroundings, None, None), at("2026-12-01T01:00:00Z")), first);
}

#[test]
fn what_is_paused_suspended_or_refused_says_so_first() {
    let surroundings = with_node_port(31_000);
    let paused = Seen { paused: true, ..seen(&surroundings, None, None) };
    assert!(is(&shown(&process(PLAYED), &paused), "Ready", "Paused"));
    let suspended = process("  suspend: true\n  webrtc: {enabled: true}\n");
    assert!(is(&shown(&suspended, &seen(&surroundings, None, None)), "Ready", "Suspended"));
    let refused = [Refusal { reason: "ImageNotAllowed", message: "no".into() }];
    let refused = Seen { refused: &refused, ..seen(&surroundings, None, None) };
    assert!(is(&shown(&process(PLAYED), &refused), "Ready", "ImageNotAllowed"));
}

#[test]
fn a_status_speaks_of_the_generation_that_the_worker_runs() {
    let surroundings = with_node_port(31_000);
    let report = |generation: i64| {
        let status = serde_json::from_value(json!({"state": "Running", "observedGeneration": generation}));
        Report { configuration: String::new(), draining: false, status: status.expect("it is a status") }
    };
    let of = |process: &RestreamProcess, seen: &Seen<'_>| {
        status(process, &config(), seen, jiff::Timestamp::UNIX_EPOCH).observed_generation
    };
    let played = process(PLAYED);
    assert_eq!(of(&played, &seen(&surroundings, None, Some(&report(2)))), Some(2));
    assert_eq!(of(&played, &seen(&surroundings, None, Some(&report(3)))), Some(3));
    assert_eq!(of(&played, &seen(&surroundings, None, None)), Some(3));
    let suspended = process("  suspend: true\n  webrtc: {enabled: true}\n");
    assert_eq!(of(&suspended, &seen(&surroundings, None, Some(&report(2)))), Some(3));
}
