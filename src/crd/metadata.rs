//! What the API server demands of `metadata` beyond its schema: namespace, labels, annotations.
//!
//! The name is proven by the rule of the CRD, which allows less than the API server does.

use std::sync::LazyLock;

use regex::Regex;

use super::fault::Finding;
use super::node::{Entry, Node, Value};
use super::path::{Path, crop};

/// Bytes of all annotations together.
const MAX_ANNOTATIONS: usize = 256 << 10;

static DNS_LABEL: LazyLock<Regex> = LazyLock::new(|| regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"));
static DNS_SUBDOMAIN: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"));
static LABEL: LazyLock<Regex> = LazyLock::new(|| regex("^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is well-formed")
}

/// Checks the metadata of a document whose root is an object; its types are checked by its schema.
pub(super) fn check(root: &Node, findings: &mut Vec<Finding>) {
    let at = Path::default().field("metadata");
    let metadata = root.get("metadata");
    let field = |name: &str| metadata.and_then(|metadata| metadata.node.get(name));
    let name = field("name").map(|name| &name.node.value);
    if matches!(name, None | Some(Value::Null)) && metadata.is_none_or(|metadata| is_object(&metadata.node)) {
        let hint = if field("generateName").is_some() { "; generateName names nothing in a file" } else { "" };
        let line = metadata.map_or(root.line, |metadata| metadata.line);
        findings.push(Finding::new(line, &at.clone().field("name"), format!("is missing{hint}")));
    }
    if let Some((entry, namespace)) = field("namespace").and_then(text)
        && !namespace.is_empty()
        && !DNS_LABEL.is_match(namespace)
    {
        let message = "must be lower-case letters, digits and -, at most 63, with a letter or digit at both ends";
        findings.push(Finding::new(entry.line, &at.clone().field("namespace"), message));
    }
    labels(field("labels"), &at.clone().field("labels"), findings);
    annotations(field("annotations"), &at.field("annotations"), findings);
}

fn labels(labels: Option<&Entry>, at: &Path, findings: &mut Vec<Finding>) {
    for entry in labels.into_iter().flat_map(|labels| labels.node.entries()) {
        let at = at.clone().field(&entry.key);
        key(&entry.key, entry.line, &at, findings);
        not_null(entry, &at, findings);
        if let Some((_, value)) = text(entry)
            && !value.is_empty()
            && !LABEL.is_match(value)
        {
            let message = format!(
                "{:?} must be letters, digits, -, _ and ., at most 63, with a letter or digit at both ends",
                crop(value)
            );
            findings.push(Finding::new(entry.line, &at, message));
        }
    }
}

fn annotations(annotations: Option<&Entry>, at: &Path, findings: &mut Vec<Finding>) {
    let mut size = 0;
    for entry in annotations.into_iter().flat_map(|annotations| annotations.node.entries()) {
        let own = at.clone().field(&entry.key);
        key(&entry.key.to_lowercase(), entry.line, &own, findings);
        not_null(entry, &own, findings);
        size += entry.key.len() + text(entry).map_or(0, |(_, value)| value.len());
    }
    if let Some(annotations) = annotations.filter(|_| size > MAX_ANNOTATIONS) {
        let message = format!("must have at most {MAX_ANNOTATIONS} bytes together, not {size}");
        findings.push(Finding::new(annotations.line, at, message));
    }
}

/// Kubernetes makes an empty text of a null here; whoever left the value out hardly means one.
fn not_null(entry: &Entry, at: &Path, findings: &mut Vec<Finding>) {
    if matches!(entry.node.value, Value::Null) {
        findings.push(Finding::new(entry.line, at, "must be text, not null"));
    }
}

/// A key is `name` or `prefix/name`.
fn key(key: &str, line: usize, at: &Path, findings: &mut Vec<Finding>) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_fits = prefix.is_none_or(|prefix| prefix.len() <= 253 && DNS_SUBDOMAIN.is_match(prefix));
    if !prefix_fits || !LABEL.is_match(name) {
        let message = "the key must be letters, digits, -, _ and ., at most 63, with a letter or digit at both ends; \
                       before it a lower-case DNS name and / may stand";
        findings.push(Finding::new(line, at, message));
    }
}

fn text(entry: &Entry) -> Option<(&Entry, &str)> {
    match &entry.node.value {
        Value::Text(text) => Some((entry, text)),
        _ => None,
    }
}

fn is_object(node: &Node) -> bool {
    matches!(node.value, Value::Map(_) | Value::Null)
}
