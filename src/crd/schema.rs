//! The structural schema of a custom resource, ready for checking.
//!
//! Every keyword that a schema may hold is either understood or refused, so none is skipped in silence.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

/// What a value may be.
#[derive(Debug)]
pub(super) struct Schema {
    /// An explicit null is a value and not the same as an absent field.
    pub(super) nullable: bool,
    pub(super) kind: Kind,
}

/// What a value may be, by its type.
#[derive(Debug)]
pub(super) enum Kind {
    /// An object whose fields nobody checks.
    Open,
    Object(Object),
    List {
        items: Box<Schema>,
        length: Bounds<usize>,
        /// Fields that together tell the items apart; empty where items may be equal.
        keys: Vec<String>,
    },
    Text(Text),
    /// Text, or a whole number that stands for itself.
    TextOrWhole(Text),
    Whole(Bounds<i64>),
    Number(Bounds<f64>),
    Bool,
}

/// An object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) fields: BTreeMap<String, Schema>,
    pub(super) required: Vec<String>,
    /// What fields of other names may be, where there may be any.
    pub(super) rest: Option<Box<Schema>>,
    /// How many fields there may be.
    pub(super) size: Bounds<usize>,
}

/// Text.
#[derive(Debug)]
pub(super) struct Text {
    /// In characters.
    pub(super) length: Bounds<usize>,
    pub(super) pattern: Option<Regex>,
    /// The only texts allowed; empty allows every text.
    pub(super) choices: Vec<String>,
    pub(super) date_time: bool,
}

/// Smallest and largest value, both allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<T> {
    pub(super) min: Option<T>,
    pub(super) max: Option<T>,
}

impl<T: PartialOrd + Copy> Bounds<T> {
    pub(super) fn hold(&self, value: T) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// Why a schema cannot be used for checking.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the schema has {0}, which this program cannot check")]
pub(super) struct SchemaError(String);

/// Keywords that say nothing about whether a value is allowed, or that others look at: rules are CEL's business, and
/// defaults are filled in afterwards.
const SILENT: [&str; 4] = ["title", "description", "default", "x-kubernetes-validations"];

impl Schema {
    /// Reads the JSON form of a schema.
    pub(super) fn read(json: &Value) -> Result<Self, SchemaError> {
        let json = json.as_object().ok_or_else(|| SchemaError(format!("{json} in place of an object")))?;
        let mut words = Words { json, used: vec!["type", "nullable"] };
        let nullable = words.json.get("nullable") == Some(&Value::Bool(true));
        let kind = match words.json.get("type").and_then(Value::as_str) {
            Some("object") => words.object()?,
            Some("array") => words.list()?,
            Some("string") => Kind::Text(words.text()?),
            Some("integer") => Kind::Whole(words.whole()?),
            Some("number") => {
                words.format(&["double", "float"])?;
                Kind::Number(words.bounds("minimum", "maximum", Value::as_f64))
            }
            Some("boolean") => Kind::Bool,
            None if words.word("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) => {
                Kind::TextOrWhole(words.text()?)
            }
            other => return Err(SchemaError(format!("the type {other:?}"))),
        };
        words.finish()?;
        Ok(Self { nullable, kind })
    }
}

/// The keywords of one schema, and which of them were looked at.
struct Words<'j> {
    json: &'j Map<String, Value>,
    used: Vec<&'static str>,
}

impl<'j> Words<'j> {
    fn word(&mut self, name: &'static str) -> Option<&'j Value> {
        self.used.push(name);
        self.json.get(name)
    }

    fn finish(self) -> Result<(), SchemaError> {
        match self.json.keys().find(|key| !self.used.contains(&key.as_str()) && !SILENT.contains(&key.as_str())) {
            Some(key) => Err(SchemaError(format!("the keyword {key}"))),
            None => Ok(()),
        }
    }

    fn object(&mut self) -> Result<Kind, SchemaError> {
        let mut fields = BTreeMap::new();
        for (name, schema) in self.word("properties").and_then(Value::as_object).into_iter().flatten() {
            fields.insert(name.clone(), Schema::read(schema)?);
        }
        let required = self.texts("required");
        let rest = self.word("additionalProperties").map(Schema::read).transpose()?.map(Box::new);
        let size = self.lengths("minProperties", "maxProperties");
        let open = self.word("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        if fields.is_empty() && (rest.is_none() || open) {
            return Ok(Kind::Open);
        }
        Ok(Kind::Object(Object { fields, required, rest, size }))
    }

    fn list(&mut self) -> Result<Kind, SchemaError> {
        let items = self.word("items").ok_or_else(|| SchemaError("a list without items".into()))?;
        let keys = self.texts("x-kubernetes-list-map-keys");
        match self.word("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("map" | "atomic") | None => {}
            Some(other) => return Err(SchemaError(format!("the list type {other}"))),
        }
        Ok(Kind::List { items: Box::new(Schema::read(items)?), length: self.lengths("minItems", "maxItems"), keys })
    }

    fn text(&mut self) -> Result<Text, SchemaError> {
        let pattern = match self.word("pattern").and_then(Value::as_str) {
            Some(pattern) => {
                let compiled = Regex::new(pattern);
                Some(compiled.map_err(|_| SchemaError(format!("the pattern {pattern}")))?)
            }
            None => None,
        };
        let date_time = self.format(&["date-time"])?;
        Ok(Text { length: self.lengths("minLength", "maxLength"), pattern, choices: self.texts("enum"), date_time })
    }

    fn whole(&mut self) -> Result<Bounds<i64>, SchemaError> {
        let narrow = self.json.get("format").and_then(Value::as_str) == Some("int32");
        self.format(&["int32", "int64"])?;
        let type_bounds = if narrow { (i32::MIN.into(), i32::MAX.into()) } else { (i64::MIN, i64::MAX) };
        let asked = self.bounds("minimum", "maximum", |value| value.as_f64().map(|value| value as i64));
        Ok(Bounds {
            min: Some(asked.min.unwrap_or(type_bounds.0).max(type_bounds.0)),
            max: Some(asked.max.unwrap_or(type_bounds.1).min(type_bounds.1)),
        })
    }

    /// Whether there is a format; one that is not among the known ones is refused.
    fn format(&mut self, known: &[&str]) -> Result<bool, SchemaError> {
        match self.word("format").and_then(Value::as_str) {
            Some(format) if known.contains(&format) => Ok(true),
            Some(format) => Err(SchemaError(format!("the format {format}"))),
            None => Ok(false),
        }
    }

    fn lengths(&mut self, min: &'static str, max: &'static str) -> Bounds<usize> {
        self.bounds(min, max, |value| value.as_u64().and_then(|value| usize::try_from(value).ok()))
    }

    fn bounds<T>(&mut self, min: &'static str, max: &'static str, read: fn(&Value) -> Option<T>) -> Bounds<T> {
        Bounds { min: self.word(min).and_then(read), max: self.word(max).and_then(read) }
    }

    fn texts(&mut self, name: &'static str) -> Vec<String> {
        let list = self.word(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_keyword_that_cannot_be_checked_is_refused() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string", "not": {"enum": ["b"]}}}});
        assert_eq!(Schema::read(&schema).unwrap_err(), SchemaError("the keyword not".into()));
        for schema in [
            json!({"type": "string", "format": "ipv4"}),
            json!({"anyOf": [{"type": "string"}]}),
            json!({"type": "array"}),
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
            json!({"type": "string", "pattern": "(?=a)"}),
            json!(true),
        ] {
            assert!(Schema::read(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn an_int32_is_bounded_by_its_type() {
        let schema = Schema::read(&json!({"type": "integer", "format": "int32", "minimum": 1.0})).unwrap();
        let Kind::Whole(bounds) = schema.kind else { panic!("{:?}", schema.kind) };
        assert_eq!((bounds.min, bounds.max), (Some(1), Some(i64::from(i32::MAX))));
    }
}
