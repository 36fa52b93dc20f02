//! YAML text -> documents -> values that know their lines.
//!
//! Documents are split and scalars are read as kubectl does it. Aliases, merge keys and tags of the core schema work;
//! what an alias may blow a document up to is bounded, and so is nesting.

use std::collections::HashMap;

use serde_json::Number;
use serde_yaml::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::fault::Finding;
use super::node::{Entry, Node, VALUE_COST, Value};
use super::path::{Path, Step, crop};
use super::scalar::{Scalar, resolve};

/// Levels that values may be nested; a manifest has eight.
pub(super) const MAX_DEPTH: usize = 64;
/// Bytes of text and per value, after aliases; without aliases no file of the largest size comes near it.
const MAX_EXPANDED: usize = 12 << 20;

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document<'t> {
    /// Line of the file where the text begins, from 1.
    pub(super) line: usize,
    pub(super) text: &'t str,
    /// What stands behind the `---` before it, which must be nothing or a comment.
    pub(super) trailer: Option<String>,
}

/// What a document holds.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The root; `None` where the document is empty or could not be read to its end.
    pub(super) root: Option<Node>,
    /// What is wrong with it although it can be read.
    pub(super) findings: Vec<Finding>,
    /// Why it could not be read to its end.
    pub(super) broken: Option<Broken>,
}

/// Why a document could not be read.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

/// Splits a file as kubectl does: every line that begins with `---` ends a document.
pub(super) fn split(text: &str) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut trailer, mut at) = (0, 1, None, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if let Some(rest) = line.strip_prefix("---") {
            documents.push(Document { line: start_line, text: &text[start..at], trailer });
            let rest = rest.trim();
            trailer = (!rest.is_empty() && !rest.starts_with('#')).then(|| rest.to_owned());
            start = at + line.len();
            start_line = number + 2;
        }
        at += line.len();
    }
    documents.push(Document { line: start_line, text: &text[start..], trailer });
    documents
}

/// Reads one document.
pub(super) fn parse(document: &Document<'_>) -> Parsed {
    let mut options = serde_yaml::granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(document.text, options),
        first_line: document.line,
        anchors: HashMap::new(),
        expanded: 0,
        path: Path::default(),
        findings: Vec::new(),
    };
    let (root, broken) = match reader.document() {
        Ok(root) => (root, None),
        Err(broken) => (None, Some(broken)),
    };
    Parsed { root, findings: reader.findings, broken }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    first_line: usize,
    anchors: HashMap<usize, Node>,
    expanded: usize,
    path: Path,
    findings: Vec<Finding>,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Option<Node>, Broken> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let message = "what follows `...` is not read by Kubernetes; begin the next document with `---`";
                    self.find(self.line(&span), message.into());
                    break;
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(root.filter(|node| !matches!(node.value, Value::Null)))
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Broken> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.broken(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Broken> {
        if depth > MAX_DEPTH {
            return Err(self.refuse(&span, format!("values are nested deeper than {MAX_DEPTH} levels")));
        }
        let line = self.line(&span);
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(text.len() + VALUE_COST, &span)?;
                (anchor, self.scalar(&text, style, tag.as_deref(), line))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", line);
                (anchor, Value::List(self.list(&span, depth)?))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", line);
                (anchor, Value::Map(self.map(&span, depth)?))
            }
            Event::Alias(anchor) => return self.alias(anchor, &span, depth),
            _ => return Err(self.refuse(&span, "a value was expected here".into())),
        };
        let node = Node { line, value };
        if anchor > 0 {
            self.spend(node.measure().0, &span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: &Span, depth: usize) -> Result<Vec<Node>, Broken> {
        self.spend(VALUE_COST, start)?;
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            self.path.push(Step::Index(items.len()));
            items.push(self.node(event, span, depth + 1)?);
            self.path.pop();
        }
    }

    fn map(&mut self, start: &Span, depth: usize) -> Result<Vec<Entry>, Broken> {
        self.spend(VALUE_COST, start)?;
        let mut fields = Fields::default();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(fields.entries);
            }
            let line = self.line(&span);
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let (key, written) = self.key(event, span, depth)?;
            self.path.push(Step::Field(key.clone()));
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if merges {
                self.path.pop();
                self.merge(&mut fields, node, line);
                continue;
            }
            if let Some(first) = fields.explicit(&key) {
                self.find(line, format!("the field is given twice, first on line {first}"));
            }
            fields.put(Entry { key, written, line, node }, true);
            self.path.pop();
        }
    }

    /// A field's name; numbers and booleans become text, as in JSON.
    fn key(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<(String, Option<String>), Broken> {
        match self.node(event, span, depth + 1)?.value {
            Value::Text(text) => Ok((text, None)),
            Value::Bool(value, written) => Ok((value.to_string(), Some(written))),
            Value::Number(value, written) => Ok((value.to_string(), Some(written))),
            Value::Null | Value::List(_) | Value::Map(_) => {
                Err(self.refuse(&span, "the name of a field must be text".into()))
            }
        }
    }

    /// `<<`: takes over the fields of one or several objects, where they are not given here.
    fn merge(&mut self, fields: &mut Fields, node: Node, line: usize) {
        let sources = match node.value {
            Value::List(items) => items,
            value => vec![Node { line: node.line, value }],
        };
        for source in sources {
            let Value::Map(entries) = source.value else {
                self.find(line, "`<<` takes an object or a list of objects".into());
                continue;
            };
            for entry in entries {
                if let Some(first) = fields.explicit(&entry.key) {
                    let message = format!(
                        "`<<` gives {} again after line {first}, and Kubernetes would take the value of `<<`; put `<<` \
                         first",
                        crop(&entry.key)
                    );
                    self.find(line, message);
                } else {
                    fields.put(entry, false);
                }
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: &Span, depth: usize) -> Result<Node, Broken> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.refuse(span, "an alias stands within the value that it names".into()));
        };
        let (cost, height) = node.measure();
        let node = node.clone();
        self.spend(cost, span)?;
        if depth + height > MAX_DEPTH {
            return Err(self.refuse(span, format!("values are nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Value {
        let own = || text.to_owned();
        let Some(tag) = tag else {
            return if style == ScalarStyle::Plain { self.plain(text, line) } else { Value::Text(own()) };
        };
        if tag.core_suffix() == Some("str") || tag.original() == "!" {
            return Value::Text(own());
        }
        let value = self.plain(text, line);
        match (tag.core_suffix(), &value) {
            (Some("int"), Value::Number(number, _)) if !number.is_f64() => {}
            (Some("float"), Value::Number(..)) | (Some("bool"), Value::Bool(..)) | (Some("null"), Value::Null) => {}
            (Some(kind @ ("int" | "float" | "bool" | "null")), _) => {
                self.find(line, format!("`{}` is not what its tag `!!{kind}` says", crop(text)));
            }
            _ => self.refuse_tag(tag, line),
        }
        value
    }

    fn plain(&mut self, text: &str, line: usize) -> Value {
        match resolve(text) {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value, text.to_owned()),
            Scalar::Number(value) => Value::Number(value, text.to_owned()),
            Scalar::Text => Value::Text(text.to_owned()),
            Scalar::NotFinite => {
                self.find(line, format!("`{text}` is no number that a manifest can hold"));
                Value::Number(Number::from(0), text.to_owned())
            }
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, kind: &str, line: usize) {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema_tag(kind)
        {
            self.refuse_tag(tag, line);
        }
    }

    fn refuse_tag(&mut self, tag: &Tag, line: usize) {
        self.find(line, format!("the tag `{}` has no meaning in a manifest; leave it out", crop(&tag.original())));
    }

    fn find(&mut self, line: usize, message: String) {
        self.findings.push(Finding::new(line, &self.path, message));
    }

    fn spend(&mut self, cost: usize, span: &Span) -> Result<(), Broken> {
        self.expanded = self.expanded.saturating_add(cost);
        if self.expanded > MAX_EXPANDED {
            return Err(self.refuse(span, "its aliases make the document too large".into()));
        }
        Ok(())
    }

    fn line(&self, span: &Span) -> usize {
        self.first_line + span.start.line().saturating_sub(1)
    }

    fn refuse(&self, span: &Span, message: String) -> Broken {
        Broken { line: self.line(span), column: span.start.col() + 1, message }
    }

    fn broken(&self, error: &ScanError) -> Broken {
        let line = self.first_line + error.marker().line().saturating_sub(1);
        let message = match error.kind() {
            ErrorKind::RecursionLimitExceeded => format!("values are nested deeper than {MAX_DEPTH} levels"),
            _ => format!("this is no YAML: {}", error.info()),
        };
        Broken { line, column: error.marker().col() + 1, message }
    }
}

/// The fields of an object while it is read.
#[derive(Default)]
struct Fields {
    entries: Vec<Entry>,
    /// Where each key stands in `entries`, and whether it was given here and not by `<<`.
    places: HashMap<String, (usize, bool)>,
}

impl Fields {
    /// The line of a field that was given here.
    fn explicit(&self, key: &str) -> Option<usize> {
        self.places.get(key).filter(|(_, explicit)| *explicit).map(|(place, _)| self.entries[*place].line)
    }

    /// Takes a field. One given here replaces any other, as Kubernetes has it, and of merged ones the first stays.
    fn put(&mut self, entry: Entry, explicit: bool) {
        match self.places.get_mut(&entry.key) {
            Some((place, was_explicit)) if explicit => {
                *was_explicit = true;
                self.entries[*place] = entry;
            }
            Some(_) => {}
            None => {
                self.places.insert(entry.key.clone(), (self.entries.len(), explicit));
                self.entries.push(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parsed {
        parse(&split(text)[0])
    }

    fn json(text: &str) -> serde_json::Value {
        let parsed = read(text);
        assert!(parsed.findings.is_empty() && parsed.broken.is_none(), "{parsed:?}");
        parsed.root.expect("a value").to_json()
    }

    fn refusal(text: &str) -> String {
        read(text).broken.expect("a refusal").message
    }

    #[test]
    fn a_value_knows_its_line() {
        let root = read("a:\n  b:\n  - c: 1\n  -\n    c: 2\n").root.unwrap();
        for (path, line) in [("a", 1), ("a.b", 2), ("a.b[0].c", 3), ("a.b[1].c", 5), ("a.b[7]", 2), ("x", 1)] {
            assert_eq!(root.line_of(&Path::parse(path)), line, "{path}");
        }
    }

    #[test]
    fn documents_end_at_dashes_and_keep_their_lines() {
        let documents = split("\u{feff}a: 1\r\n--- # one\r\nb: 2\n---x\n");
        let seen: Vec<_> = documents.iter().map(|d| (d.line, d.text, d.trailer.as_deref())).collect();
        assert_eq!(seen, [(1, "a: 1\r\n", None), (3, "b: 2\n", None), (5, "", Some("x"))]);
    }

    #[test]
    fn a_merged_field_gives_way_to_one_given_here() {
        let text = "base: &base {a: 1, b: 1}\nmore: &more {b: 2, c: 2}\nboth: {<<: [*base, *more], a: 3}";
        assert_eq!(json(text)["both"], serde_json::json!({"a": 3, "b": 1, "c": 2}));
    }

    #[test]
    fn names_of_fields_are_text_as_in_json() {
        assert_eq!(json("{on: 1, 7: 1, 0x10: 1}"), serde_json::json!({"true": 1, "7": 1, "16": 1}));
    }

    #[test]
    fn hostile_text_is_refused_and_not_followed() {
        let deep = "values are nested deeper than 64 levels";
        assert_eq!(refusal(&"[".repeat(500_000)), deep);
        assert_eq!(refusal(&"- ".repeat(400_000)), deep);
        let chain: String = (1..5000).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
        assert_eq!(refusal(&format!("a0: &a0 [x]\n{chain}")), deep);
        let large = "its aliases make the document too large";
        let bomb: String = (1..20).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(9))).collect();
        assert_eq!(refusal(&format!("a0: &a0 [x]\n{bomb}")), large);
        let copies = "*a, ".repeat(10_000);
        assert_eq!(refusal(&format!("a: &a {}\nb: [{copies}]", "x".repeat(100_000))), large);
        assert_eq!(refusal("a: &a [*a]"), "an alias stands within the value that it names");
    }
}
