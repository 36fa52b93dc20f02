//! `$(NAME)`, as Kubernetes expands it in the arguments of a container: `$$` is one `$`, so `$$(NAME)` stays `$(NAME)`, and
//! a name that nobody knows stays as it is written.

use std::collections::BTreeMap;

use super::Secret;

/// The text with every known `$(NAME)` replaced. What was put in is not read again.
pub fn expand(text: &str, values: &BTreeMap<String, Secret>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let named = behind.strip_prefix('(').and_then(|named| named.split_once(')'));
        rest = match (behind.chars().next(), named) {
            (Some('$'), _) => {
                expanded.push('$');
                &behind[1..]
            }
            (_, Some((name, rest))) => {
                match values.get(name) {
                    Some(value) => expanded.push_str(value.expose()),
                    None => expanded.extend(["$(", name, ")"]),
                }
                rest
            }
            _ => {
                expanded.push('$');
                behind
            }
        };
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_expanded_as_in_a_container_s_arguments() {
        let values = [("A", "one"), ("B", "$(A)"), ("C", "")].map(|(name, value)| (name.into(), Secret::new(value)));
        let values = BTreeMap::from(values);
        for (text, expanded) in [
            ("$(A)", "one"),
            ("x$(A)y$(A)", "xoneyone"),
            ("$(B)", "$(A)"),
            ("-$(C)-", "--"),
            ("$(UNKNOWN)$(A)", "$(UNKNOWN)one"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$one"),
            ("$$$$(A)", "$$(A)"),
            ("$A $ $(A", "$A $ $(A"),
            ("$$", "$"),
            ("ends with $", "ends with $"),
            ("chunk-$RepresentationID$-$Number%05d$.$ext$", "chunk-$RepresentationID$-$Number%05d$.$ext$"),
            ("£$(A)£", "£one£"),
        ] {
            assert_eq!(expand(text, &values), expanded, "{text}");
        }
    }
}
