//! Where something stands within a manifest: `spec.input[0].address`.

use std::fmt;

/// The way from the root of a document to a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A field of an object.
    Field(String),
    /// An item of a list, from 0.
    Index(usize),
}

impl Path {
    /// Reads what [`Path`] writes; what is no index within brackets is a field.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (field, brackets) = part.split_once('[').unwrap_or((part, ""));
            if !field.is_empty() {
                steps.push(Step::Field(field.to_owned()));
            }
            for inner in brackets.split(['[', ']']).filter(|inner| !inner.is_empty()) {
                steps.push(inner.parse().map_or_else(|_| Step::Field(inner.to_owned()), Step::Index));
            }
        }
        Self(steps)
    }

    /// The steps from the root on.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// A field of what stands there.
    pub(super) fn field(mut self, name: &str) -> Self {
        self.push(Step::Field(name.to_owned()));
        self
    }

    /// An item of what stands there.
    pub(super) fn index(mut self, index: usize) -> Self {
        self.push(Step::Index(index));
        self
    }

    /// Goes on to a field or an item.
    pub(super) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    /// Goes back.
    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    /// The same way, seen from a root further up.
    pub(super) fn below(&self, root: &Self) -> Self {
        Self(root.0.iter().chain(&self.0).cloned().collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Field(name) if is_word(name) && number == 0 => f.write_str(name)?,
                Step::Field(name) if is_word(name) => write!(f, ".{name}")?,
                Step::Field(name) => write!(f, "[{}]", crop(name))?,
            }
        }
        Ok(())
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// The text, shortened to what fits into a message, without line breaks and control characters.
pub(super) fn crop(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut cropped: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        cropped.push('…');
    }
    cropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_what_it_writes() {
        let path = Path::default().field("spec").field("input").index(0).field("address");
        assert_eq!(path.to_string(), "spec.input[0].address");
        assert_eq!(Path::parse("spec.input[0].address"), path);
    }

    #[test]
    fn a_name_that_is_no_word_stands_in_brackets() {
        let path = Path::default().field("metadata").field("labels").field("example.com/team");
        assert_eq!(path.to_string(), "metadata.labels[example.com/team]");
    }
}
