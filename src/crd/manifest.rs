//! Manifests as text -> manifests that the API server would accept, or every reason why it would not.
//!
//! The verdict is that of a server-side apply with strict field validation: unknown fields, types, missing fields,
//! bounds, patterns and the rules of the CRD, with defaults filled in. Where the verdict differs on purpose,
//! docs/manifests.md says so.

use std::collections::HashSet;

use kube::core::cel::{ErrorKind, ValidationError, ValidationErrors, Validator, apply_defaults};
use serde_json::Value as Json;

use super::check::{check, check_fields};
use super::definition::DEFINITION;
use super::fault::{Fault, Finding};
use super::metadata;
use super::node::{Node, Value};
use super::path::{Path, Step, crop};
use super::schema::{Kind, Schema};
use super::suggest::nearest;
use super::yaml;
use super::{API_VERSION, KIND, RestreamProcess};

/// Bytes that a file of manifests may have.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Faults of one document that are told; more of them help nobody.
const MAX_DOCUMENT_FAULTS: usize = 100;
/// Faults of one file that are told.
const MAX_FAULTS: usize = 1000;

/// What a file of manifests holds.
#[derive(Debug, Default)]
pub struct Reading {
    /// The manifests that are valid, in the order of the file.
    pub manifests: Vec<Document>,
    /// Everything that is wrong, in the order of the file.
    pub faults: Vec<Fault>,
}

/// A valid manifest and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Number of the document within the file, from 1; documents without content are not counted.
    pub number: usize,
    /// Number of the item within the document, from 1, where the document is a list.
    pub item: Option<usize>,
    /// Line of the file where it begins.
    pub line: usize,
    /// The manifest, defaults filled in, without status.
    pub manifest: RestreamProcess,
}

/// Reads every manifest of a file. A document that is wrong never hides another one.
pub fn read_manifests(text: &str) -> Reading {
    let mut reading = Reading::default();
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; manifests have at most {MAX_FILE_BYTES}", text.len());
        reading.faults.push(Fault { document: 1, line: None, column: None, path: String::new(), message });
        return reading;
    }
    let judge = Judge { validator: Validator::new() };
    let mut number = 0;
    for document in yaml::split(text) {
        let parsed = yaml::parse(&document);
        let mut findings = parsed.findings;
        if let Some(trailer) = document.trailer {
            let message = format!("a line of `---` holds nothing else; {:?} stands behind it", crop(&trailer));
            findings.insert(0, Finding::new(document.line - 1, &Path::default(), message));
        }
        if parsed.root.is_none() && parsed.broken.is_none() && findings.is_empty() {
            continue;
        }
        number += 1;
        if let Some(root) = parsed.root {
            judge.document(root, number, &mut findings, &mut reading.manifests);
        }
        reading.add_faults(number, findings);
        if let Some(broken) = parsed.broken {
            let (line, column) = (Some(broken.line), Some(broken.column));
            let (path, message) = (String::new(), broken.message);
            reading.faults.push(Fault { document: number, line, column, path, message });
        }
    }
    reading.shorten();
    reading
}

impl Reading {
    fn shorten(&mut self) {
        let rest = self.faults.split_off(self.faults.len().min(MAX_FAULTS));
        if let Some(first) = rest.first() {
            let message = format!("and {} more of this file", rest.len());
            self.faults.push(Fault { path: String::new(), column: None, message, ..first.clone() });
        }
    }

    fn add_faults(&mut self, document: usize, mut findings: Vec<Finding>) {
        findings.sort_by_key(|finding| finding.line);
        let rest = findings.split_off(findings.len().min(MAX_DOCUMENT_FAULTS));
        self.faults.extend(findings.into_iter().map(|finding| Fault {
            document,
            line: Some(finding.line),
            column: None,
            path: finding.path.to_string(),
            message: finding.message,
        }));
        if let Some(first) = rest.first() {
            let (line, message) = (Some(first.line), format!("and {} more of this document", rest.len()));
            self.faults.push(Fault { document, line, column: None, path: String::new(), message });
        }
    }
}

struct Judge {
    validator: Validator,
}

impl Judge {
    /// Judges a document, which is one manifest or a list of them. What the YAML reader has found counts as well.
    fn document(&self, root: Node, number: usize, findings: &mut Vec<Finding>, manifests: &mut Vec<Document>) {
        let of_reader = std::mem::take(findings);
        let items: HashSet<Option<usize>> = of_reader.iter().map(|finding| item_of(&finding.path)).collect();
        for (item, at, node) in objects(root) {
            let line = node.line;
            let mut own = Vec::new();
            let manifest = self.verdict(node, &mut own);
            let readable =
                if item.is_some() { !items.contains(&item) && !items.contains(&None) } else { items.is_empty() };
            let sound = readable && own.is_empty();
            findings.extend(own.into_iter().map(|finding| Finding { path: finding.path.below(&at), ..finding }));
            if let Some(manifest) = manifest.filter(|_| sound) {
                manifests.push(Document { number, item, line, manifest });
            }
        }
        findings.extend(of_reader);
    }

    fn verdict(&self, mut root: Node, findings: &mut Vec<Finding>) -> Option<RestreamProcess> {
        if !is_ours(&root, findings) {
            return None;
        }
        // The API server drops the status of an object that a person applies; only its fields must be known.
        if let Some(status) = root.take("status") {
            let status = Node { line: status.line, value: Value::Map(vec![status]) };
            check_fields(&DEFINITION.schema, &status, findings);
        }
        check(&DEFINITION.schema, &root, findings);
        metadata::check(&root, findings);
        let mut json = root.to_json();
        drop_nulls(&DEFINITION.schema, &mut json);
        let json = apply_defaults(&DEFINITION.json, &json);
        self.rules(&root, &json, findings);
        if !findings.is_empty() {
            return None;
        }
        match serde_json::from_value(json) {
            Ok(manifest) => Some(manifest),
            Err(error) => {
                findings.push(Finding::new(root.line, &Path::default(), error.to_string()));
                None
            }
        }
    }

    /// The rules of the CRD. They are tried on an object with faults too, to tell everything at once; a rule that then
    /// cannot be evaluated says nothing new.
    fn rules(&self, root: &Node, json: &Json, findings: &mut Vec<Finding>) {
        if findings.iter().any(|finding| finding.oversized) {
            return;
        }
        let verdict = self.validator.validate_compiled(&DEFINITION.rules, json, None);
        let errors = verdict.err().map(ValidationErrors::into_vec).unwrap_or_default();
        let sound = findings.is_empty();
        for error in errors.iter().filter(|error| sound || error.kind == ErrorKind::ValidationFailure) {
            let finding = rule_finding(root, error);
            if !findings.iter().any(|other| other.path == finding.path) {
                findings.push(finding);
            }
        }
    }
}

/// The objects of a document, each with its number and place in a list.
fn objects(mut root: Node) -> Vec<(Option<usize>, Path, Node)> {
    let has_items = matches!(root.get("items").map(|items| &items.node.value), Some(Value::List(_)));
    let is_list = has_items && matches!(scalar(&root, "kind"), Some("List" | "RestreamProcessList"));
    let items = if is_list { root.take("items") } else { None };
    let Some(Value::List(items)) = items.map(|items| items.node.value) else {
        return vec![(None, Path::default(), root)];
    };
    let numbered = items.into_iter().enumerate();
    numbered.map(|(index, item)| (Some(index + 1), Path::default().field("items").index(index), item)).collect()
}

/// Number of the item of a list that a path leads into.
fn item_of(path: &Path) -> Option<usize> {
    match path.steps() {
        [Step::Field(items), Step::Index(index), ..] if items == "items" => Some(index + 1),
        _ => None,
    }
}

fn rule_finding(root: &Node, error: &ValidationError) -> Finding {
    let mut path = Path::parse(&error.field_path);
    if path.steps().is_empty() {
        // A rule at the root can speak of nothing but the name.
        path = path.field("metadata").field("name");
    }
    let own = error.message.strip_prefix(&format!("{path} ")).unwrap_or(&error.message);
    Finding::new(root.line_of(&path), &path, own)
}

/// Whether this document is a RestreamProcess of the version that this program knows.
fn is_ours(root: &Node, findings: &mut Vec<Finding>) -> bool {
    if !matches!(root.value, Value::Map(_)) {
        let message = format!("a manifest is an object that begins with `apiVersion: {API_VERSION}`");
        findings.push(Finding::new(root.line, &Path::default(), message));
        return false;
    }
    let before = findings.len();
    for (field, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if scalar(root, field) != Some(expected) {
            findings.push(type_finding(root, field, expected));
        }
    }
    findings.len() == before
}

/// Says what is wrong with `apiVersion` or `kind`.
fn type_finding(root: &Node, field: &str, expected: &str) -> Finding {
    let path = Path::default().field(field);
    let message = match root.get(field).map(|entry| &entry.node.value) {
        Some(Value::Text(found)) => format!("must be {expected}, not {:?}", crop(found)),
        None | Some(Value::Null) => {
            if let Some(slip) = root.entries().iter().find(|entry| nearest(&entry.key, &[field]).is_some()) {
                let message = format!("unknown field {:?}, did you mean {field:?}?", crop(&slip.key));
                return Finding::new(slip.line, &Path::default().field(&slip.key), message);
            }
            format!("is missing; it must be {expected}")
        }
        Some(_) => format!("must be {expected}"),
    };
    Finding::new(root.line_of(&path), &path, message)
}

fn scalar<'n>(root: &'n Node, field: &str) -> Option<&'n str> {
    match &root.get(field)?.node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// A null is an absent field; within lists it is a value, which the schema refuses, and within an object whose fields
/// nobody checks it is one that stays.
fn drop_nulls(schema: &Schema, json: &mut Json) {
    match (&schema.kind, json) {
        (Kind::Object(object), Json::Object(fields)) => {
            fields.retain(|_, value| !value.is_null());
            for (name, value) in fields {
                if let Some(schema) = object.fields.get(name).or(object.rest.as_deref()) {
                    drop_nulls(schema, value);
                }
            }
        }
        (Kind::List { items, .. }, Json::Array(values)) => {
            values.iter_mut().for_each(|value| drop_nulls(items, value));
        }
        _ => {}
    }
}
