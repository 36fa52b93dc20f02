//! Placeholders: `{name}`, `{name:sub}`, with an escape `^c` and parameters `,key=value` behind the name.
//!
//! What a placeholder stands for comes in as a value; this file knows the grammar alone. A name that nobody knows stays
//! as it is written, so that braces of other meaning (FFmpeg's `%{localtime}`) are left alone.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex::Regex;

/// A placeholder at the beginning of a text.
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\{([a-z]+(?::[0-9A-Za-z]+)?)(?:\^(.))?(?:,(.*?))?\}").expect("the expression is sound")
});
/// A variable of a template.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{([a-z]+)\}").expect("the expression is sound"));

/// What a placeholder stands for: a text with variables `{name}`, which the placeholder's parameters and, where it gives
/// none, these defaults replace. A variable with neither stays as it is written.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    text: String,
    defaults: Vec<(&'a str, &'a str)>,
    has_variables: bool,
}

impl<'a> Template<'a> {
    /// A text that stands as it is.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), defaults: Vec::new(), has_variables: false }
    }

    /// A text with variables.
    pub fn new(text: impl Into<String>, defaults: &[(&'a str, &'a str)]) -> Self {
        Self { text: text.into(), defaults: defaults.to_vec(), has_variables: true }
    }

    /// `values` replace `$name` in the parameters.
    fn fill(&self, parameters: &str, values: &[(&str, &str)]) -> String {
        if !self.has_variables {
            return self.text.clone();
        }
        let given: Vec<(&str, String)> = parameters
            .split(',')
            .filter_map(|parameter| parameter.split_once('='))
            .map(|(name, value)| (name, substituted(&decoded(value), values)))
            .collect();
        let fill = |variable: &regex::Captures<'_>| {
            let name = &variable[1];
            let given = given.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value.clone());
            let default =
                || self.defaults.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            given.or_else(default).unwrap_or_else(|| variable[0].to_owned())
        };
        VARIABLE.replace_all(&self.text, fill).into_owned()
    }
}

/// The text with every placeholder replaced that `known` knows; `values` are what `$name` stands for in parameters.
pub fn replace<'a>(text: &str, values: &[(&str, &str)], mut known: impl FnMut(&str) -> Option<Template<'a>>) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        replaced.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = PLACEHOLDER.captures(rest).and_then(|found| Some((known(&found[1])?, found)));
        match found {
            Some((template, found)) => {
                let value = template.fill(found.get(3).map_or("", |parameters| parameters.as_str()), values);
                match found.get(2).and_then(|escape| escape.as_str().chars().next()) {
                    Some(character) => replaced.push_str(&escaped(&value, character)),
                    None => replaced.push_str(&value),
                }
                rest = &rest[found[0].len()..];
            }
            // Within an unknown one there may be a known one.
            None => {
                replaced.push('{');
                rest = &rest[1..];
            }
        }
    }
    replaced + rest
}

/// A value as FFmpeg reads it back where it takes two layers of escapes away, as the tee muxer does.
fn escaped(value: &str, character: char) -> String {
    let value = if character == '\\' { value.to_owned() } else { value.replace('\\', r"\\\") };
    value.replace(character, &format!(r"\\{character}"))
}

/// A parameter's value as in a query: `+` is a space, `%3d` is `=`.
fn decoded(value: &str) -> String {
    let value = value.replace('+', " ");
    percent_decode_str(&value).decode_utf8_lossy().into_owned()
}

fn substituted(value: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(value.to_owned(), |value, (name, known)| value.replace(&format!("${name}"), known))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: &str = r";:.,-_$\£!^";

    fn one(text: &str, name: &str, value: &str) -> String {
        replace(text, &[], |asked| (asked == name).then(|| Template::plain(value)))
    }

    fn filled(parameters: &str) -> String {
        let template = || Template::new("Hello {who}! {what}?", &[("who", "someone"), ("what", "something")]);
        replace(&format!("{{foobar{parameters}}}"), &[], |name| (name == "foobar").then(template))
    }

    #[test]
    fn c094_a_placeholder_becomes_its_value() {
        assert_eq!(one("{foobar}", "foobar", V), V);
    }

    #[test]
    fn c095_an_escape_escapes_its_character_and_backslashes() {
        assert_eq!(one("{foobar^:}", "foobar", V), r";\\:.,-_$\\\£!^");
    }

    #[test]
    fn c096_every_occurrence_is_replaced() {
        assert_eq!(one("{foobar^:}barfoo{foobar^:}", "foobar", V), r";\\:.,-_$\\\£!^barfoo;\\:.,-_$\\\£!^");
    }

    #[test]
    fn c098_an_unknown_name_stays_as_it_is_written() {
        for text in ["{barfoo^:}", "{barfoo}", "{", "{}", "{foobar", r"%{localtime\:%H}", "{Foobar}", "{barfoo,a=b}"] {
            assert_eq!(one(text, "foobar", V), text);
        }
        assert_eq!(one("{barfoo,x={foobar}}", "foobar", "1"), "{barfoo,x=1}", "a known one within it is replaced");
    }

    #[test]
    fn c100_a_backslash_can_be_the_character_to_escape() {
        assert_eq!(one(r"{foobar^\}", "foobar", V), r";:.,-_$\\\£!^");
    }

    #[test]
    fn c101_a_known_placeholder_without_a_value_becomes_nothing() {
        assert_eq!(one("a{foobar}b", "foobar", ""), "ab");
    }

    #[test]
    fn c102_parameters_fill_a_template_and_what_is_missing_stays() {
        let template = || Template::new("Hello {who}! {what}?", &[]);
        assert_eq!(replace("{foobar,who=World}", &[], |_| Some(template())), "Hello World! {what}?");
    }

    #[test]
    fn c105_defaults_fill_what_parameters_do_not_give() {
        assert_eq!(filled(""), "Hello someone! something?");
        assert_eq!(filled(",who=World"), "Hello World! something?");
        assert_eq!(filled(",who=World,what="), "Hello World! ?");
    }

    #[test]
    fn c107_names_with_a_part_behind_a_colon_have_values_of_their_own() {
        let known = |name: &str| name.strip_prefix("foo:").map(|part| Template::plain(format!("<{part}>")));
        assert_eq!(replace("{foo:baz}, {foo:bar}, {foo:123}", &[], known), "<baz>, <bar>, <123>");
    }

    #[test]
    fn parameters_are_decoded_like_a_query_and_know_variables() {
        let template = || Template::new("{name}", &[]);
        let replaced = |text: &str| replace(text, &[("inputid", "cam")], |name| (name == "x").then(template));
        assert_eq!(replaced("{x,name=a%3db+c%2c}"), "a=b c,");
        assert_eq!(replaced("{x,name=$inputid.stream,other=1}"), "cam.stream");
        assert_eq!(replaced("$inputid"), "$inputid");
    }
}
