//! Values that know their lines.

use serde_json::Number;

use super::path::{Path, Step};

/// What one value counts besides its text, in what a document may grow to.
pub(super) const VALUE_COST: usize = 16;

/// A value and the line of the file where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A value. Where a scalar was written without quotes and is no text, the text as written is kept.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool, String),
    Number(Number, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A field of an object.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The key as it stands in the file, where YAML reads it as something else than text.
    pub(super) written: Option<String>,
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Node {
    /// The fields of an object.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The field of an object.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Takes a field out of an object.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter().position(|entry| entry.key == key).map(|place| entries.remove(place))
    }

    /// Line of what a path leads to, or of the last thing on the way that exists.
    pub(super) fn line_of(&self, path: &Path) -> usize {
        let (mut node, mut line) = (self, self.line);
        for step in path.steps() {
            let next = match (step, &node.value) {
                (Step::Field(name), _) => node.get(name).map(|entry| (&entry.node, entry.line)),
                (Step::Index(index), Value::List(items)) => items.get(*index).map(|item| (item, item.line)),
                _ => None,
            };
            let Some(next) = next else { break };
            (node, line) = next;
        }
        line
    }

    /// The value as JSON.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value, _) => (*value).into(),
            Value::Number(value, _) => value.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
        }
    }

    /// What it costs to copy, in bytes of text and per value, and the levels of values within it.
    pub(super) fn measure(&self) -> (usize, usize) {
        match &self.value {
            Value::Null => (VALUE_COST, 0),
            Value::Bool(_, text) | Value::Number(_, text) | Value::Text(text) => (text.len() + VALUE_COST, 0),
            Value::List(items) => items.iter().map(Self::measure).fold((VALUE_COST, 1), add),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| {
                    let (cost, height) = entry.node.measure();
                    (cost + entry.key.len() + VALUE_COST, height)
                })
                .fold((VALUE_COST, 1), add),
        }
    }
}

fn add(sum: (usize, usize), inner: (usize, usize)) -> (usize, usize) {
    (sum.0 + inner.0, sum.1.max(inner.1 + 1))
}
