//! A value against its schema: unknown fields, types, missing fields, bounds, patterns, choices, equal list items.
//!
//! Null counts as an absent field, as the API server has it for every field that is not nullable.

use std::collections::HashMap;

use super::fault::Finding;
use super::node::{Entry, Node, Value};
use super::path::{Path, Step, crop};
use super::scalar::octal_or_decimal;
use super::schema::{Bounds, Kind, Object, Schema, Text};
use super::suggest::{nearest, place_of};
use super::words::words;

/// Checks a whole object and adds what is wrong.
pub(super) fn check(schema: &Schema, root: &Node, findings: &mut Vec<Finding>) {
    Check { findings, path: Path::default(), root: schema, fields_only: false }.value(schema, root, root.line);
}

/// Checks only that every field is known; values may be what they are.
pub(super) fn check_fields(schema: &Schema, root: &Node, findings: &mut Vec<Finding>) {
    Check { findings, path: Path::default(), root: schema, fields_only: true }.value(schema, root, root.line);
}

struct Check<'a> {
    findings: &'a mut Vec<Finding>,
    path: Path,
    root: &'a Schema,
    fields_only: bool,
}

impl Check<'_> {
    /// `line` is where the field's name stands, or the item begins.
    fn value(&mut self, schema: &Schema, node: &Node, line: usize) {
        match (&schema.kind, &node.value) {
            (_, Value::Null) if schema.nullable => {}
            (Kind::Open, Value::Map(_)) => {}
            (Kind::Object(object), Value::Map(entries)) => self.object(object, entries, line),
            (Kind::List { items, length, keys }, Value::List(nodes)) => {
                self.list(items, *length, nodes, line);
                if !self.fields_only && !keys.is_empty() {
                    self.distinct(keys, nodes);
                }
            }
            (_, Value::Map(fields)) if self.fields_only && !fields.is_empty() => {
                self.find(line, "has no fields; an object stands here".into());
            }
            _ if self.fields_only => {}
            (Kind::Text(text) | Kind::TextOrWhole(text), Value::Text(value)) => self.text(text, value, line),
            (Kind::TextOrWhole(_), Value::Number(value, written)) => {
                self.number(&schema.kind, value.as_i64().is_some(), written, line);
            }
            (Kind::Whole(bounds), Value::Number(value, written)) => {
                let holds = value.as_i64().is_some_and(|value| bounds.hold(value));
                self.number(&schema.kind, holds, written, line);
            }
            (Kind::Number(bounds), Value::Number(value, written)) => {
                let holds = value.as_f64().is_some_and(|value| bounds.hold(value));
                self.number(&schema.kind, holds, written, line);
            }
            (Kind::Bool, Value::Bool(..)) => {}
            (kind, value) => self.find(line, format!("must be {}, {}", wanted(kind), mismatch(kind, value))),
        }
    }

    fn object(&mut self, object: &Object, entries: &[Entry], line: usize) {
        for entry in entries {
            self.path.push(Step::Field(entry.key.clone()));
            match object.fields.get(&entry.key).or(object.rest.as_deref()) {
                Some(schema) if is_absent(schema, &entry.node) => {}
                Some(schema) => self.value(schema, &entry.node, entry.line),
                None => {
                    let message = unknown(self.root, object, entry);
                    self.find(entry.line, message);
                }
            }
            self.path.pop();
        }
        if !self.fields_only {
            self.missing(object, entries, line);
            let size = entries.iter().filter(|entry| !matches!(entry.node.value, Value::Null)).count();
            if !object.size.hold(size) {
                self.find(line, format!("must have {} fields, not {size}", count(&object.size)));
            }
        }
    }

    fn missing(&mut self, object: &Object, entries: &[Entry], line: usize) {
        for name in &object.required {
            let entry = entries.iter().find(|entry| entry.key == *name);
            let schema = object.fields.get(name);
            if entry.is_none_or(|entry| schema.is_some_and(|schema| is_absent(schema, &entry.node))) {
                self.path.push(Step::Field(name.clone()));
                let wanted = schema.map_or_else(String::new, |schema| format!("; it must be {}", wanted(&schema.kind)));
                self.find(entry.map_or(line, |entry| entry.line), format!("is missing{wanted}"));
                self.path.pop();
            }
        }
    }

    fn list(&mut self, items: &Schema, length: Bounds<usize>, nodes: &[Node], line: usize) {
        if !self.fields_only && !length.hold(nodes.len()) {
            let message = format!("must have {} items, not {}", count(&length), nodes.len());
            let oversized = length.max.is_some_and(|max| nodes.len() > max);
            self.findings.push(Finding { oversized, ..Finding::new(line, &self.path, message) });
        }
        for (index, node) in nodes.iter().enumerate().take(length.max.unwrap_or(usize::MAX)) {
            self.path.push(Step::Index(index));
            self.value(items, node, node.line);
            self.path.pop();
        }
    }

    /// Items of a list that are told apart by some of their fields.
    fn distinct(&mut self, keys: &[String], nodes: &[Node]) {
        let mut seen = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            let values: Vec<String> =
                keys.iter().filter_map(|key| node.get(key).map(|entry| entry.node.to_json().to_string())).collect();
            if values.len() < keys.len() {
                continue;
            }
            if let Some(first) = seen.get(&values) {
                let message = format!("{} is taken by {}[{first}]", crop(&values.join(", ")), self.path);
                self.path.push(Step::Index(index));
                self.path.push(Step::Field(keys[0].clone()));
                let line = node.get(&keys[0]).map_or(node.line, |entry| entry.line);
                self.find(line, message);
                self.path.pop();
                self.path.pop();
            } else {
                seen.insert(values, index);
            }
        }
    }

    fn number(&mut self, kind: &Kind, holds: bool, written: &str, line: usize) {
        if let Some((octal, decimal)) = octal_or_decimal(written) {
            let message = format!("{written} is {octal} to Kubernetes and {decimal} to YAML 1.2; write one of these");
            self.find(line, message);
        } else if !holds {
            let written = crop(written);
            let hint =
                if matches!(kind, Kind::TextOrWhole(_)) { format!("; write \"{written}\"") } else { String::new() };
            self.find(line, format!("must be {}, not {written}{hint}", wanted(kind)));
        }
    }

    fn text(&mut self, text: &Text, value: &str, line: usize) {
        if !text.choices.is_empty() {
            if !text.choices.iter().any(|choice| choice == value) {
                let hint = nearest(value, &text.choices).map_or_else(String::new, |it| format!("; did you mean {it}?"));
                self.find(line, format!("must be one of {}, not {:?}{hint}", text.choices.join(", "), crop(value)));
            }
            return;
        }
        let length = value.chars().count();
        let fits = text.length.hold(length);
        let unlike = text.pattern.as_ref().filter(|pattern| !pattern.is_match(value));
        // The schema alone refuses; the rest finds the words.
        if (!fits || unlike.is_some()) && value.trim().is_empty() && text.length.min.is_some_and(|min| min > 0) {
            self.find(line, "must not be empty".into());
        } else if unlike.is_some() && value.contains('\0') {
            self.find(line, "must not hold the character U+0000".into());
        } else if !fits {
            self.find(line, format!("must have {} characters, not {length}", count(&text.length)));
        } else if let Some(pattern) = unlike {
            let message = match words(pattern.as_str()) {
                Some(words) => format!("must be {words}, not {:?}", crop(value)),
                None => format!("{:?} does not match {}", crop(value), pattern.as_str()),
            };
            self.find(line, message);
        }
        if text.date_time && value.parse::<jiff::Timestamp>().is_err() {
            self.find(line, format!("must be a time such as 2026-11-25T08:00:00Z, not {:?}", crop(value)));
        }
    }

    fn find(&mut self, line: usize, message: String) {
        self.findings.push(Finding::new(line, &self.path, message));
    }
}

fn is_absent(schema: &Schema, node: &Node) -> bool {
    matches!(node.value, Value::Null) && !schema.nullable
}

fn unknown(root: &Schema, object: &Object, entry: &Entry) -> String {
    let read_as = match &entry.written {
        Some(written) => format!(" (written as {written})"),
        None => String::new(),
    };
    let name = crop(&entry.key);
    if let Some(near) = nearest(&entry.key, object.fields.keys()) {
        return format!("unknown field {name:?}{read_as}, did you mean {near:?}?");
    }
    if let Some(place) = place_of(root, &entry.key) {
        return format!("unknown field {name:?}{read_as}, did you mean {place}?");
    }
    let known: Vec<&str> = object.fields.keys().map(String::as_str).collect();
    format!("unknown field {name:?}{read_as}; known are {}", known.join(", "))
}

/// The bounds of a value in words.
fn span<T: std::fmt::Display>(bounds: &Bounds<T>) -> String {
    match (&bounds.min, &bounds.max) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" of at least {min}"),
        (None, Some(max)) => format!(" of at most {max}"),
        (None, None) => String::new(),
    }
}

/// The bounds of a number of things in words.
fn count(bounds: &Bounds<usize>) -> String {
    match (bounds.min.filter(|min| *min > 0), bounds.max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any number of".into(),
    }
}

fn wanted(kind: &Kind) -> String {
    match kind {
        Kind::Open | Kind::Object(_) => "an object".into(),
        Kind::List { items, .. } => match items.kind {
            Kind::Text(_) => "a list of texts".into(),
            Kind::Open | Kind::Object(_) => "a list of objects".into(),
            _ => "a list".into(),
        },
        Kind::Text(text) if text.choices.is_empty() => "text".into(),
        Kind::Text(text) => format!("one of {}", text.choices.join(", ")),
        Kind::TextOrWhole(_) => "text or a whole number".into(),
        Kind::Whole(bounds) => format!("a whole number{}", span(bounds)),
        Kind::Number(bounds) => format!("a number{}", span(bounds)),
        Kind::Bool => "true or false".into(),
    }
}

/// What it is instead, and how a person comes to mean it.
fn mismatch(kind: &Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Text(_), Value::Bool(_, written)) => {
            format!("but {written} without quotes is a boolean; write \"{written}\"")
        }
        (Kind::Text(_), Value::Number(_, written)) => {
            format!("but {0} without quotes is a number; write \"{0}\"", crop(written))
        }
        (Kind::Text(_), Value::Map(_)) => "not an object; text with \": \" in it needs quotes".into(),
        (_, Value::Null) => "not null".into(),
        (_, Value::Bool(_, written)) => format!("not the boolean {written}"),
        (_, Value::Number(_, written)) => format!("not the number {}", crop(written)),
        // An address or an option may hold a password, and messages go to logs.
        (_, Value::Text(text)) if text.contains("://") || text.starts_with('-') => "not text".into(),
        (_, Value::Text(text)) => format!("not the text {:?}", crop(text)),
        (_, Value::List(_)) => "not a list".into(),
        (_, Value::Map(_)) => "not an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::yaml::{parse, split};
    use super::*;

    /// What is wrong with a text by a schema.
    fn found(schema: &serde_json::Value, text: &str) -> Vec<String> {
        let schema = Schema::read(schema).expect("it can be checked");
        let root = parse(&split(text)[0]).root.expect("a value");
        let mut findings = Vec::new();
        check(&schema, &root, &mut findings);
        findings.into_iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect()
    }

    #[test]
    fn text_or_a_whole_number_is_bounded_where_it_is_text() {
        let amount = json!({"x-kubernetes-int-or-string": true, "maxLength": 3, "pattern": "^[0-9]+[km]?$"});
        let schema = json!({"type": "object", "properties": {"a": amount}});
        for sound in ["a: 1", "a: 12345", "a: -1", "a: 0x1F", "a: 12k", "a: \"12\"", "a: null"] {
            assert_eq!(found(&schema, sound), [""; 0], "{sound}");
        }
        for (bad, why) in [
            ("a: 12kk", "a: must have at most 3 characters, not 4"),
            ("a: 12K", "a: \"12K\" does not match ^[0-9]+[km]?$"),
            ("a: 010", "a: 010 is 8 to Kubernetes and 10 to YAML 1.2; write one of these"),
            ("a: 1.5", "a: must be text or a whole number, not 1.5; write \"1.5\""),
            ("a: true", "a: must be text or a whole number, not the boolean true"),
            ("a: [1]", "a: must be text or a whole number, not a list"),
        ] {
            assert_eq!(found(&schema, bad), [why], "{bad}");
        }
    }

    #[test]
    fn fields_of_free_names_are_checked_and_counted() {
        let schema = json!({
            "type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1, "maxProperties": 2,
        });
        assert_eq!(found(&schema, "{a: x, b: v, c: null}"), [""; 0]);
        assert_eq!(found(&schema, "{a: 7}"), ["a: must be text, but 7 without quotes is a number; write \"7\""]);
        assert_eq!(found(&schema, "{a: x, b: v, c: z}"), [": must have 1 to 2 fields, not 3"]);
        assert_eq!(found(&schema, "{}"), [": must have 1 to 2 fields, not 0"]);
    }

    #[test]
    fn an_object_whose_fields_nobody_checks_may_hold_anything() {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        assert_eq!(found(&schema, "{a: [null, {b: 1.5}], \"\": true}"), [""; 0]);
        assert_eq!(found(&schema, "[a]"), [": must be an object, not a list"]);
        assert_eq!(found(&schema, "7"), [": must be an object, not the number 7"]);
    }
}
