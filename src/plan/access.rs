//! Access lists: which addresses FFmpeg may open.

use regex::Regex;

/// Regular expressions, and whether one of them is found in an address.
#[derive(Clone, Debug, Default)]
pub struct Expressions(Vec<Regex>);

/// Addresses that are allowed and addresses that are blocked. Blocked wins, and where nothing is named as allowed,
/// everything is.
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    /// What may be opened; everything where there is none.
    pub allow: Expressions,
    /// What may not be opened, whatever `allow` says.
    pub block: Expressions,
}

/// The access lists of both sides.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// What FFmpeg may read.
    pub inputs: AccessList,
    /// Where FFmpeg may write.
    pub outputs: AccessList,
}

/// Why an address may not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// An expression blocks it.
    #[error("is blocked")]
    Blocked,
    /// No expression allows it.
    #[error("is not among what is allowed")]
    NotAllowed,
}

impl Expressions {
    /// Reads expressions that are separated by white space. The error names the one that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split_whitespace().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// The expressions as they were written.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Regex::as_str)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, address: &str) -> bool {
        self.0.iter().any(|expression| expression.is_match(address))
    }
}

fn compile(expression: &str) -> Result<Regex, String> {
    Regex::new(expression).map_err(|error| {
        let error = error.to_string();
        let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("{expression:?} is no regular expression: {why}")
    })
}

impl AccessList {
    /// Whether there is anything to compare addresses with.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.block.is_empty()
    }

    /// Whether an address may be opened. An address of several spellings is blocked by any of them and allowed by any.
    pub fn check(&self, spellings: &[&str]) -> Result<(), Denied> {
        if spellings.iter().any(|address| self.block.find(address)) {
            return Err(Denied::Blocked);
        }
        if !self.allow.is_empty() && !spellings.iter().any(|address| self.allow.find(address)) {
            return Err(Denied::NotAllowed);
        }
        Ok(())
    }
}

impl Access {
    /// Whether no list names anything, so that options are not looked at for addresses.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(allow: &str, block: &str) -> AccessList {
        let read = |text| Expressions::parse(text).expect("they are expressions");
        AccessList { allow: read(allow), block: read(block) }
    }

    #[test]
    fn c047_an_address_is_allowed_by_one_expression_and_blocked_by_another() {
        let list = list("^rtmps?://", "^https?://");
        assert_eq!(list.check(&["rtmp://example.com"]), Ok(()));
        assert_eq!(list.check(&["http://example.com"]), Err(Denied::Blocked));
        assert_eq!(list.check(&["srt://example.com"]), Err(Denied::NotAllowed));
    }

    #[test]
    fn c048_without_lists_everything_is_allowed() {
        assert_eq!(list("", "").check(&["foobar"]), Ok(()));
        assert!(list("", "").is_empty());
    }

    #[test]
    fn c049_what_is_no_expression_is_refused_with_its_reason() {
        let error = Expressions::parse("^fine ^(foobar").expect_err("the bracket is open");
        assert_eq!(error, "\"^(foobar\" is no regular expression: unclosed group");
    }

    #[test]
    fn c050_empty_texts_among_the_expressions_are_ignored() {
        let list = list("  ^a    ^b ", " ");
        assert_eq!(list.check(&["b"]), Ok(()));
        assert_eq!(list.check(&["c"]), Err(Denied::NotAllowed));
    }

    #[test]
    fn c051_blocked_wins_over_allowed() {
        assert_eq!(list("^http://", "example").check(&["http://example.com"]), Err(Denied::Blocked));
    }

    #[test]
    fn an_address_is_allowed_or_blocked_by_each_of_its_spellings() {
        let spellings = ["/data/a.mp4", "file:/data/a.mp4"];
        assert_eq!(list("^file:/data/", "").check(&spellings), Ok(()));
        assert_eq!(list("^/data/", "").check(&spellings), Ok(()));
        assert_eq!(list("^/data/", "^file:").check(&spellings), Err(Denied::Blocked));
    }
}
