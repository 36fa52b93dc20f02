//! The patterns of the schema in words.

/// What a person has to write where a text does not match, by pattern.
const WORDS: [(&str, &str); 11] = [
    (
        r"^([A-Za-z0-9]|\{processid\}|\{reference\})([A-Za-z0-9_.-]|\{processid\}|\{reference\})*$",
        "letters, digits, _, . and -, with a letter or digit at the beginning; {processid} and {reference} may stand in it",
    ),
    (r"^[A-Z][A-Z0-9_]*$", "capital letters, digits and _, with a letter at the beginning"),
    (r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "lower-case letters, digits, - and ., with a letter or digit at both ends"),
    (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "lower-case letters, digits and -, with a letter or digit at both ends"),
    (r"^(\.?[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$", "letters, digits, -, _ and ., not beginning with .."),
    (
        r"^(mem|memfs|disk|diskfs):[^\x00]+$",
        "memfs:, mem:, diskfs: or disk: and a pattern of names, such as memfs:/cam_*.ts",
    ),
    (r"^[A-Za-z0-9.:-]+$", "an address or a name: letters, digits, ., : and -"),
    (r"^[a-z0-9./-]+$", "lower-case letters, digits, ., / and -"),
    (
        r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "a host such as play.example.com: lower-case letters, digits, - and ., with a letter or digit at both ends; *. \
         may stand before it",
    ),
    (r"^[^\x00-\x20]+$", "the name of an image, without white space"),
    (
        r"^[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
        "a quantity such as 2, 500m or 1.5Gi",
    ),
];

/// A pattern in words, where it has any.
pub(super) fn words(pattern: &str) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| *known == pattern).map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::definition::DEFINITION;
    use super::*;

    /// Every pattern within a schema.
    fn patterns<'s>(schema: &'s Value, found: &mut Vec<&'s str>) {
        found.extend(schema["pattern"].as_str());
        for inner in schema.as_object().into_iter().flat_map(|words| words.values()).filter(|inner| inner.is_object()) {
            patterns(inner, found);
        }
    }

    #[test]
    fn every_pattern_has_words_but_those_against_blanks_and_nulls() {
        let mut found = Vec::new();
        patterns(&DEFINITION.json["properties"]["spec"], &mut found);
        for pattern in &found {
            let is_told_otherwise = pattern.starts_with(r"^[^\x00]*");
            assert!(is_told_otherwise || words(pattern).is_some(), "{pattern} has no words");
        }
        for (pattern, _) in WORDS {
            assert!(found.contains(&pattern), "{pattern} is in no schema");
        }
    }
}
