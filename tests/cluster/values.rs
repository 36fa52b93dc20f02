//! Manifests on either side of what the schema allows.

use dragonfork::crd::RestreamProcess;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

/// A valid manifest that has every field.
fn base() -> Value {
    json!({
        "apiVersion": "restream.wilddragon.net/v1alpha1",
        "kind": "RestreamProcess",
        "metadata": {"name": "cam", "labels": {"team": "blue"}, "annotations": {"note": "any"}},
        "spec": {
            "processID": "a:b",
            "reference": "studio-a",
            "suspend": false,
            "options": ["-hide_banner"],
            "params": [
                {"name": "KEY", "value": "key"},
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}},
            ],
            "input": [{"id": "in", "address": "a", "options": ["-re"]}],
            "output": [{"id": "out", "address": "b", "options": ["-c"], "cleanup": [
                {"pattern": "memfs:/a", "maxFiles": 3, "maxFileAgeSeconds": 4, "purgeOnDelete": true},
            ]}],
            "reconnect": true,
            "reconnectDelaySeconds": 1,
            "restart": {"factor": 1.5, "maximumSeconds": 60},
            "staleTimeoutSeconds": 2,
            "limits": {"cpuPercent": 250, "memoryMiB": 512, "waitForSeconds": 10},
            "webrtc": {
                "enabled": true,
                "maxViewers": 5,
                "video": {"map": "0:v:0", "codec": "Copy", "options": ["-g"]},
                "audio": {"map": "0:a:0", "codec": "Opus", "options": ["-b:a"]},
                "exposure": {
                    "type": "LoadBalancer",
                    "port": 8189,
                    "announce": ["media.example.com"],
                    "loadBalancerClass": "example.com/udp",
                    "annotations": {"example.com/pool": "public"},
                },
                "http": {
                    "type": "Ingress",
                    "host": "play.example.com",
                    "ingressClassName": "nginx",
                    "tlsSecretName": "play-tls",
                    "gatewayRef": {"name": "gateway", "namespace": "gateways", "sectionName": "https"},
                    "annotations": {"example.com/note": "any"},
                },
                "drainTimeoutSeconds": 60,
            },
            "runner": {
                "image": "registry.example.com/dragonfork:1",
                "resources": {"requests": {"cpu": "500m", "memory": 1024}, "limits": {"cpu": 2, "memory": "1Gi"}},
            },
            "podTemplate": {"spec": {"nodeSelector": {"disk": "ssd"}, "affinity": null}},
        },
    })
}

/// Fields of other fields, which the base has elsewhere in the list.
const ELSEWHERE: [(&str, &str); 2] = [
    ("/spec/params/0/valueFrom/secretKeyRef", "/spec/params/1/valueFrom/secretKeyRef"),
    ("/spec/params/0/valueFrom/configMapKeyRef", "/spec/params/2/valueFrom/configMapKeyRef"),
];

/// Where the base has a field.
fn place(pointer: &str) -> String {
    let (from, to) = match ELSEWHERE.into_iter().find(|(from, _)| pointer.starts_with(from)) {
        Some(pair) => pair,
        None if pointer == "/spec/params/0/valueFrom" => (pointer, "/spec/params/1/valueFrom"),
        None => return pointer.to_owned(),
    };
    pointer.replacen(from, to, 1)
}

/// A valid manifest, and that manifest with one thing about one field changed: every field of the schema, and every
/// value on either side of what its schema allows.
pub fn manifests() -> Vec<(String, Value)> {
    let base = base();
    let definition = serde_json::to_value(RestreamProcess::crd()).expect("it is JSON");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut made = vec![("nothing".to_owned(), base.clone())];
    let mut change = |pointer: &str, what: &str, value: Option<Value>| {
        let mut manifest = base.clone();
        set(&mut manifest, pointer, value);
        made.push((format!("{pointer} {what}"), manifest));
    };
    walk(schema, "/spec", &mut |pointer, schema| {
        let pointer = &place(pointer);
        change(pointer, "is missing", None);
        let sound = base.pointer(pointer).unwrap_or_else(|| panic!("the base has no {pointer}"));
        for (what, value) in values(schema, sound) {
            change(pointer, &what, Some(value));
        }
    });
    for name in
        ["", "a", "-a", "a-", "1a", "a1", "a.b", "a_b", "A", "ä", "a b", "a\n", "a/b", &"a".repeat(52), &"a".repeat(53)]
    {
        change("/metadata/name", &format!("{name:?}"), Some(name.into()));
    }
    for text in ["", "a", "-a", "a-", "A.b_c-9", "ä", "a b", "a\n", &"a".repeat(63), &"a".repeat(64)] {
        change("/metadata/labels/team", &format!("{text:?}"), Some(text.into()));
        change("/metadata/labels", &format!("has the key {text:?}"), Some(json!({text: "x"})));
        change("/metadata/annotations/note", &format!("{text:?}"), Some(text.into()));
        change("/metadata/annotations", &format!("has the key {text:?}"), Some(json!({text: "x"})));
    }
    for key in [
        "a/b",
        "A/b",
        "a.b/C",
        "/a",
        "a/",
        "a/b/c",
        "a..b/c",
        "-a/b",
        &format!("{}/a", "a.".repeat(126) + "a"),
        &format!("{}/a", "a.".repeat(127)),
    ] {
        change("/metadata/labels", &format!("has the key {key:?}"), Some(json!({key: "x"})));
        change("/metadata/annotations", &format!("has the key {key:?}"), Some(json!({key: "x"})));
    }
    for (what, value) in of_every_type() {
        for pointer in
            ["/spec", "/metadata/labels", "/metadata/labels/team", "/metadata/annotations/note", "/metadata/generation"]
        {
            // `label-without-a-value` is an exception.
            if !(value.is_null() && (pointer.ends_with("/team") || pointer.ends_with("/note"))) {
                change(pointer, &what, Some(value.clone()));
            }
        }
    }
    exposures(&mut change);
    change("/metadata/lables", "is unknown", Some(json!({})));
    change("/extra", "is unknown", Some(json!(1)));
    change("/status", "is empty", Some(json!({})));
    change("/status", "has an unknown field", Some(json!({"sate": "Running"})));
    made
}

/// A field of each map whose keys are free.
const FREE: [(&str, &str); 6] = [
    ("/exposure/annotations", "example.com~1pool"),
    ("/http/annotations", "example.com~1note"),
    ("/requests", "cpu"),
    ("/requests", "memory"),
    ("/limits", "cpu"),
    ("/limits", "memory"),
];

/// Every schema below a schema, with the pointer to its value.
fn walk(schema: &Value, pointer: &str, visit: &mut impl FnMut(&str, &Value)) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{pointer}/{name}");
        visit(&pointer, inner);
        walk(inner, &pointer, visit);
        if inner.get("additionalProperties").is_some() && name != "metadata" {
            FREE.iter().filter(|(map, _)| pointer.ends_with(map)).for_each(|(_, key)| {
                visit(&format!("{pointer}/{key}"), &inner["additionalProperties"]);
            });
        }
        if let Some(items) = inner.get("items") {
            let pointer = format!("{pointer}/0");
            visit(&pointer, items);
            walk(items, &pointer, visit);
        }
    }
}

fn of_every_type() -> Vec<(String, Value)> {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(7),
        json!(-1),
        json!(7.0),
        json!(7.5),
        json!(1e3),
        json!(u64::MAX),
        json!("7"),
        json!("true"),
        json!([]),
        json!([null]),
        json!(["a"]),
        json!([7]),
        json!({}),
        json!({"a": "b"}),
    ];
    values.into_iter().map(|value| (format!("is {value}"), value)).collect()
}

/// Values that a schema allows just so, and just so does not.
fn values(schema: &Value, sound: &Value) -> Vec<(String, Value)> {
    let mut values = of_every_type();
    let mut add = |value: Value| values.push((format!("is {:.40}…", value.to_string()), value));
    for bound in ["minimum", "maximum"].iter().filter_map(|bound| schema[bound].as_f64()) {
        let bound = bound as i64;
        [bound - 1, bound, bound + 1].into_iter().for_each(|number| add(number.into()));
    }
    for choice in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        [choice.to_owned(), choice.to_lowercase(), format!("{choice} ")].into_iter().for_each(|text| add(text.into()));
    }
    if schema["type"] == "string" || schema["x-kubernetes-int-or-string"] == true {
        let texts = [
            "30000",
            "0",
            "65536",
            "1.5",
            "1.",
            ".5",
            ".",
            "1Gi",
            "1G",
            "1gi",
            "1 Gi",
            "500m",
            "1e3",
            "1E-3",
            "+1",
            "-1",
            "1e",
            "0x10",
            "1_0",
            "*.a",
            "*",
            "a.*",
            "[::1]",
            "10.0.0.1",
            "A.b",
            "a:b",
            "a@b",
            "a--b",
            "a..b",
            "a.-b",
            "a/",
            "/a",
            "_",
            "Aa_0",
            "$a",
            "\u{feff}a",
            "a\r",
            "",
            " ",
            "a",
            "a b",
            " a",
            "a ",
            "a\n",
            "a\tb",
            "\0",
            "a\0b",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "ä",
            "日本",
            "🐉",
            "-a",
            ".a",
            "..",
            "_a",
            "a.",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a%b",
            "webrtc-",
            "webrtc-x",
            "mem:",
            "mem:/a",
            "memfs:a",
            "disk:\0",
            "diskfs:*",
            "memfs",
            "xmemfs:/a",
            "010",
            "yes",
            "null",
            "~",
            "<<",
        ];
        texts.into_iter().for_each(|text| add(text.into()));
    }
    let length = |bound: &str| schema[bound].as_u64().and_then(|bound| usize::try_from(bound).ok());
    if let Some(longest) = length("maxLength") {
        for length in [longest, longest + 1] {
            ["a", "ä", "🐉"].into_iter().for_each(|letter| add(letter.repeat(length).into()));
        }
    }
    if let Some(most) = length("maxItems") {
        let item = |number: usize| {
            let mut item = sound[0].clone();
            for key in ["id", "name"] {
                if let Some(id) = item.get_mut(key) {
                    *id = format!("ID{number}").into();
                }
            }
            item
        };
        [most, most + 1].into_iter().for_each(|count| add((0..count).map(item).collect()));
        add(json!([sound[0], sound[0]]));
    }
    if let (Some(most), Some(fields)) = (length("maxProperties"), sound.as_object()) {
        let value = fields.values().next().expect("the base has a field there");
        let fields = |count| (0..count).map(|number| (format!("f{number}"), value.clone())).collect::<Map<_, _>>();
        [most, most + 1].into_iter().for_each(|count| add(fields(count).into()));
    }
    if let Value::Object(fields) = sound {
        let mut fields: Map<String, Value> = fields.clone();
        fields.insert("unknown".into(), json!(1));
        add(fields.into());
    }
    values
}

/// Sets what a pointer points to, or removes it.
fn set(manifest: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    let name = name.replace("~1", "/");
    match (manifest.pointer_mut(parent).expect("the base has every field"), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(name, value)),
        (Value::Object(fields), None) => drop(fields.remove(&name)),
        (Value::Array(items), value) => {
            let index: usize = name.parse().expect("items are numbered");
            match value {
                Some(value) => items[index] = value,
                None => drop(items.remove(index)),
            }
        }
        (parent, _) => panic!("{parent} has no fields"),
    }
}

/// Fields of an exposure that depend on each other.
fn exposures(change: &mut impl FnMut(&str, &str, Option<Value>)) {
    for kind in ["NodePort", "HostPort", "HostNetwork", "LoadBalancer", "Relay", "ClusterOnly"] {
        for port in [None, Some(1), Some(8189), Some(29999), Some(30000), Some(32767), Some(32768)] {
            for announce in [None, Some(json!([])), Some(json!(["a"]))] {
                let mut exposure = json!({"type": kind});
                exposure.as_object_mut().expect("it is one").extend(
                    [port.map(|port| ("port".into(), json!(port))), announce.map(|it| ("announce".into(), it))]
                        .into_iter()
                        .flatten(),
                );
                change("/spec/webrtc/exposure", &format!("is {exposure}"), Some(exposure.clone()));
            }
        }
    }
    for pod in [json!({}), json!({"a": [null, {"b": null}], "c": 1.5, "d": 7.0, "e": {"f": {}}}), json!({"": ""})] {
        change("/spec/podTemplate", &format!("is {pod}"), Some(pod.clone()));
    }
}
