//! What a person may have meant by a name that nobody knows.

use super::schema::{Kind, Schema};

/// The known name that is most like this one, if one is.
pub(super) fn nearest<'n, S: AsRef<str> + 'n>(name: &str, known: impl IntoIterator<Item = &'n S>) -> Option<&'n str> {
    /// Below this the likeness is chance.
    const ALIKE: f64 = 0.84;
    let name = plain(name);
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &plain(candidate.as_ref())), candidate.as_ref()))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Where in a spec a field of this name belongs, unless there are many such places.
pub(super) fn place_of(root: &Schema, name: &str) -> Option<String> {
    const FEW: usize = 2;
    let Kind::Object(object) = &root.kind else { return None };
    let mut places = Vec::new();
    gather(object.fields.get("spec")?, &plain(name), "spec", &mut places);
    (1..=FEW).contains(&places.len()).then(|| places.join(" or "))
}

fn gather(schema: &Schema, name: &str, at: &str, places: &mut Vec<String>) {
    match &schema.kind {
        Kind::Object(object) => {
            for (field, inner) in &object.fields {
                let inner_at = format!("{at}.{field}");
                gather(inner, name, &inner_at, places);
                if plain(field) == name {
                    places.push(inner_at);
                }
            }
        }
        Kind::List { items, .. } => gather(items, name, &format!("{at}[]"), places),
        _ => {}
    }
}

/// Without case and separators, so that `max_viewers` is `maxViewers`.
fn plain(name: &str) -> String {
    // A name longer than any known one is like none of them, and comparing it would be slow.
    name.chars().take(64).filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let known = ["input", "output", "options", "reconnect", "reconnectDelaySeconds", "maxViewers", "suspend"];
        for (slip, meant) in [
            ("outputs", "output"),
            ("Input", "input"),
            ("max_viewers", "maxViewers"),
            ("option", "options"),
            ("reconect", "reconnect"),
            ("reconnectDelay", "reconnectDelaySeconds"),
            ("supsend", "suspend"),
        ] {
            assert_eq!(nearest(slip, &known), Some(meant), "{slip}");
        }
    }

    #[test]
    fn a_name_like_none_finds_none() {
        for name in ["params", "cleanup", "x", "", "limits", "podTemplate"] {
            assert_eq!(nearest(name, &["input", "output", "options", "webrtc"]), None, "{name}");
        }
    }
}
