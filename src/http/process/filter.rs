//! Which processes a list holds, and which sections of each.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::problem::Problem;

/// The query of a list or of one process. What is empty is not asked for; what is not known is left alone.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct Query {
    /// Comma list of `config`, `state`, `report` and `metadata`; empty is all of them.
    filter: String,
    /// Only processes with this reference.
    reference: String,
    /// Comma list of ids.
    id: String,
    /// Only processes whose id fits this pattern: `*`, `?`, `[a-z]`, `{a,b}`.
    idpattern: String,
    /// Only processes whose reference fits this pattern.
    refpattern: String,
}

/// Sections of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sections {
    pub config: bool,
    pub state: bool,
    pub report: bool,
    pub metadata: bool,
}

/// What a query asks for.
pub struct Wanted {
    reference: Option<String>,
    ids: Vec<String>,
    id_pattern: Option<GlobMatcher>,
    reference_pattern: Option<GlobMatcher>,
    pub sections: Sections,
}

impl Query {
    /// What is asked for; a pattern that cannot be read is refused.
    pub fn wanted(self) -> Result<Wanted, Problem> {
        let Self { filter, reference, id, idpattern, refpattern } = self;
        Ok(Wanted {
            reference: Some(reference).filter(|reference| !reference.is_empty()),
            ids: words(&id).map(str::to_owned).collect(),
            id_pattern: pattern("idpattern", &idpattern)?,
            reference_pattern: pattern("refpattern", &refpattern)?,
            sections: Sections::of(&filter),
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| query)
            .map_err(|rejection| Problem::malformed(rejection.body_text()))
    }
}

impl Sections {
    fn of(filter: &str) -> Self {
        let named: Vec<&str> = words(filter).collect();
        let has = |section: &str| named.is_empty() || named.contains(&section);
        Self { config: has("config"), state: has("state"), report: has("report"), metadata: has("metadata") }
    }
}

impl Wanted {
    /// Whether a process of this id and reference is asked for.
    pub fn covers(&self, id: &str, reference: &str) -> bool {
        let fits = |pattern: &Option<GlobMatcher>, text: &str| pattern.as_ref().is_none_or(|glob| glob.is_match(text));
        (self.ids.is_empty() || self.ids.iter().any(|wanted| wanted == id))
            && self.reference.as_ref().is_none_or(|wanted| wanted == reference)
            && fits(&self.id_pattern, id)
            && fits(&self.reference_pattern, reference)
    }
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn pattern(name: &str, text: &str) -> Result<Option<GlobMatcher>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let glob = Glob::new(text).map_err(|error| Problem::malformed(format!("{name}: {error}")))?;
    Ok(Some(glob.compile_matcher()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: Query) -> Wanted {
        query.wanted().expect("it can be read")
    }

    #[test]
    fn c154_a_list_is_chosen_by_ids_reference_and_patterns() {
        let query = Query::default;
        let all = wanted(query());
        assert!(all.covers("a", "") && all.sections.config && all.sections.metadata);
        let some = wanted(Query { id: "a, b,,".into(), filter: "state,report".into(), ..query() });
        assert!(some.covers("a", "x") && some.covers("b", "") && !some.covers("c", ""));
        assert_eq!(some.sections, Sections { config: false, state: true, report: true, metadata: false });
        let pattern = wanted(Query { idpattern: "restreamer-ui:*:[0-9]*".into(), refpattern: "r?".into(), ..query() });
        assert!(pattern.covers("restreamer-ui:ingest:1/x", "r1") && !pattern.covers("restreamer-ui:ingest:x", "r1"));
        assert!(!pattern.covers("restreamer-ui:ingest:1", "r"));
        assert!(!wanted(Query { reference: "x".into(), ..query() }).covers("a", "y"));
        assert!(Query { idpattern: "[".into(), ..query() }.wanted().is_err());
    }
}
