//! The CustomResourceDefinition: as text for `kubectl apply`, and as what manifests are checked against.

use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResourceExt;
use kube::core::cel::{CompiledSchema, compile_schema};
use schemars::Schema as JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use serde_json::{Value, json};

use super::RestreamProcess;
use super::schema::Schema;

/// The CustomResourceDefinition as YAML, as `dragonfork crd` prints it and `crds/restreamprocesses.yaml` holds it.
pub fn crd_yaml() -> String {
    serde_yaml::to_string(&RestreamProcess::crd()).expect("a definition has only texts, numbers, lists and objects")
}

/// What a manifest is checked against.
pub(super) struct Definition {
    /// The whole object in JSON form, for defaults.
    pub(super) json: Value,
    /// The whole object, for fields and values.
    pub(super) schema: Schema,
    /// The rules (CEL) of the whole object.
    pub(super) rules: CompiledSchema,
}

/// The one definition.
pub(super) static DEFINITION: LazyLock<Definition> = LazyLock::new(|| {
    let json = object_schema();
    let schema = Schema::read(&json).expect("the schema of this program holds what this program can check");
    let rules = compile_schema(&json);
    Definition { json, schema, rules }
});

/// The schema of the whole object: the CRD's, and what every Kubernetes object has besides.
fn object_schema() -> Value {
    let crd = RestreamProcess::crd();
    let validation = crd.spec.versions.into_iter().next().and_then(|version| version.schema);
    let mut schema = serde_json::to_value(validation.and_then(|validation| validation.open_api_v3_schema))
        .expect("a schema is JSON");
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let metadata = settings.into_generator().into_root_schema_for::<ObjectMeta>();
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema["properties"]["metadata"] = metadata.into();
    schema
}

/// Makes an explicit null the same as an absent field: it is dropped on reading, so that no rule meets one.
pub(super) fn null_is_absent(schema: &mut JsonSchema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&"null".into()));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            let own = schema.ensure_object();
            for (name, value) in only {
                own.entry(name).or_insert(value);
            }
        }
    }
    transform_subschemas(&mut null_is_absent, schema);
}
