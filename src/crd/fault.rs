//! What is wrong with a manifest, and where.

use std::fmt;

use super::path::Path;

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Number of the document within the file, from 1; documents without content are not counted.
    pub document: usize,
    /// Line within the file, from 1; `None` where the fault is the whole file's.
    pub line: Option<usize>,
    /// Column within the line, from 1, where the text is no YAML.
    pub column: Option<usize>,
    /// The field, such as `spec.input[0].address`; empty where the fault is the document's.
    pub path: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            if self.document > 1 {
                write!(f, "document {}, ", self.document)?;
            }
            write!(f, "line {line}")?;
            if let Some(column) = self.column {
                write!(f, ", column {column}")?;
            }
            f.write_str(": ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// One thing that is wrong within a document, before the document has its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) line: usize,
    pub(super) path: Path,
    pub(super) message: String,
    /// A list is longer than it may be, so that the rules of the schema, which walk lists, are not tried.
    pub(super) oversized: bool,
}

impl Finding {
    pub(super) fn new(line: usize, path: &Path, message: impl Into<String>) -> Self {
        Self { line, path: path.clone(), message: message.into(), oversized: false }
    }
}
