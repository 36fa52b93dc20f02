//! Manifests of tests, written as values. JSON is YAML.

use serde_json::{Value, json};

/// A manifest without inputs that plays in a browser.
pub fn manifest(name: &str) -> Manifest {
    Manifest(json!({
        "apiVersion": "restream.wilddragon.net/v1alpha1",
        "kind": "RestreamProcess",
        "metadata": {"name": name},
        "spec": {"input": [], "output": [], "reconnectDelaySeconds": 1, "webrtc": {"enabled": true}},
    }))
}

/// A manifest that grows.
#[derive(Clone)]
pub struct Manifest(Value);

impl Manifest {
    pub fn input(self, options: &str, address: impl Into<String>) -> Self {
        self.io("input", options, address.into())
    }

    pub fn output(self, options: &str, address: impl Into<String>) -> Self {
        self.io("output", options, address.into())
    }

    fn io(mut self, side: &str, options: &str, address: String) -> Self {
        let list = self.0["spec"][side].as_array_mut().expect("it is a list");
        let options: Vec<&str> = options.split_whitespace().collect();
        list.push(json!({"id": format!("{side}-{}", list.len()), "options": options, "address": address}));
        self
    }

    /// Sets a field of the last output.
    pub fn with_output(mut self, field: &str, value: Value) -> Self {
        let outputs = self.0["spec"]["output"].as_array_mut().expect("it is a list");
        outputs.last_mut().expect("there is one")[field] = value;
        self
    }

    /// Sets a field of the spec.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    pub fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().expect("it has a name")
    }

    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.0).expect("a value can be written")
    }
}
