//! Cleanup rules: which files go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use super::{BadGlob, Entry, Glob, Name};

/// Which filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// In memory.
    Memory,
    /// The disk directory.
    Disk,
}

impl Kind {
    /// Every filesystem.
    pub const ALL: [Self; 2] = [Self::Disk, Self::Memory];

    /// datarhei's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Memory => "mem",
            Self::Disk => "disk",
        }
    }

    /// Path at which HTTP serves it.
    pub fn mount(self) -> &'static str {
        match self {
            Self::Memory => "/memfs",
            Self::Disk => "/",
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Memory => "the memory filesystem",
            Self::Disk => "the disk directory",
        }
    }

    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Memory => "CORE_STORAGE_MEMORY_MAX_SIZE_MBYTES",
            Self::Disk => "CORE_STORAGE_DISK_MAX_SIZE_MBYTES",
        }
    }
}

/// Files of one filesystem.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// Where they are.
    pub kind: Kind,
    /// What their names are like.
    pub glob: Glob,
}

/// Why a cleanup pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// It does not say where.
    #[error("it has to begin with memfs: (or mem:) or with diskfs: (or disk:)")]
    Nowhere,
    /// It does not say which.
    #[error(transparent)]
    Glob(#[from] BadGlob),
}

impl Pattern {
    /// Reads `memfs:/cam**`. A name without its first slash gets one.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let (prefix, glob) = text.split_once(':').ok_or(BadPattern::Nowhere)?;
        let kind = match prefix {
            "mem" | "memfs" => Kind::Memory,
            "disk" | "diskfs" => Kind::Disk,
            _ => return Err(BadPattern::Nowhere),
        };
        let slash = if glob.starts_with('/') || glob.starts_with("**") { "" } else { "/" };
        Ok(Self { kind, glob: Glob::parse(&format!("{slash}{glob}"))? })
    }

    fn matches(&self, kind: Kind, name: &Name) -> bool {
        self.kind == kind && self.glob.matches(name)
    }
}

/// One cleanup rule of a process.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The files that it is about.
    pub pattern: Pattern,
    /// The newest so many stay.
    pub max_files: Option<usize>,
    /// Older ones go.
    pub max_age: Option<Duration>,
    /// All go when the process is deleted.
    pub purge_on_delete: bool,
}

impl Rule {
    /// Whether this file goes when the process of the rule is deleted.
    pub fn purges(&self, kind: Kind, name: &Name) -> bool {
        self.purge_on_delete && self.pattern.matches(kind, name)
    }

    /// The files of a listing that the rule is about, oldest first.
    fn about<'a>(&self, kind: Kind, entries: impl Iterator<Item = &'a Entry>) -> Vec<&'a Entry> {
        let mut about: Vec<&Entry> = entries.filter(|entry| self.pattern.matches(kind, &entry.name)).collect();
        about.sort_by_key(|entry| (entry.modified, &entry.name));
        about
    }
}

/// The rules of all processes.
#[derive(Debug, Default)]
pub struct Rules(BTreeMap<String, Vec<Rule>>);

impl Rules {
    /// These are the rules of a process from now on; none forgets it.
    pub fn set(&mut self, process: &str, rules: Vec<Rule>) {
        if rules.is_empty() {
            self.0.remove(process);
        } else {
            self.0.insert(process.to_owned(), rules);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Rule> {
        self.0.values().flatten()
    }

    /// Whether a rule is about this filesystem.
    pub fn are_about(&self, kind: Kind) -> bool {
        self.all().any(|rule| rule.pattern.kind == kind)
    }

    /// The files that go: too many of a pattern, or too old.
    pub fn doomed(&self, kind: Kind, entries: &[Entry], now: SystemTime) -> BTreeSet<Name> {
        let mut doomed = BTreeSet::new();
        for rule in self.all() {
            let about = rule.about(kind, entries.iter().filter(|entry| !doomed.contains(&entry.name)));
            let too_many = rule.max_files.map_or(0, |max| about.len().saturating_sub(max));
            let age = |entry: &Entry| now.duration_since(entry.modified).unwrap_or_default();
            let is_old = |entry: &Entry| rule.max_age.is_some_and(|max| age(entry) > max);
            let goes = about.iter().enumerate().filter(|(at, entry)| *at < too_many || is_old(entry));
            doomed.extend(goes.map(|(_, entry)| entry.name.clone()));
        }
        doomed
    }

    /// The files that go so that the rest has `limit` octets at most: of those that some rule is about, the oldest.
    pub fn excess(&self, kind: Kind, entries: &[Entry], limit: u64) -> BTreeSet<Name> {
        let mut octets: u64 = entries.iter().map(|entry| entry.size).sum();
        let is_about = |entry: &&Entry| self.all().any(|rule| rule.pattern.matches(kind, &entry.name));
        let mut about: Vec<&Entry> = entries.iter().filter(is_about).collect();
        about.sort_by_key(|entry| (entry.modified, &entry.name));
        let mut excess = BTreeSet::new();
        for entry in about {
            if octets <= limit {
                break;
            }
            octets -= entry.size;
            excess.insert(entry.name.clone());
        }
        excess
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Files of ten octets, each written a second after the one before, from second 100 on.
    fn files(names: &[&str]) -> Vec<Entry> {
        let entry = |(second, name): (u64, &&str)| Entry {
            name: Name::parse(name).expect("a name"),
            size: 10,
            modified: at(100 + second),
        };
        (0..).zip(names).map(entry).collect()
    }

    fn rule(pattern: &str, max_files: Option<usize>, max_age: Option<u64>) -> Rule {
        let pattern = Pattern::parse(pattern).expect("a pattern");
        Rule { pattern, max_files, max_age: max_age.map(Duration::from_secs), purge_on_delete: false }
    }

    fn rules(rules: Vec<Rule>) -> Rules {
        let mut all = Rules::default();
        all.set("cam", rules);
        all
    }

    fn names(doomed: BTreeSet<Name>) -> Vec<String> {
        doomed.iter().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn c157_beyond_the_number_of_a_rule_the_oldest_goes() {
        let rules = rules(vec![rule("memfs:/*.ts", Some(3), None)]);
        let doomed = |files: &[Entry]| names(rules.doomed(Kind::Memory, files, at(200)));
        assert_eq!(doomed(&files(&["/c.ts", "/b.ts", "/a.ts"])), [] as [&str; 0]);
        assert_eq!(doomed(&files(&["/c.ts", "/b.ts", "/a.ts", "/d.ts"])), ["/c.ts"]);
        assert_eq!(doomed(&files(&["/x.m3u8", "/b.ts", "/a.ts", "/d.ts"])), [] as [&str; 0], "another pattern");
        assert!(rules.doomed(Kind::Disk, &files(&["/1.ts", "/2.ts", "/3.ts", "/4.ts"]), at(200)).is_empty());
    }

    #[test]
    fn c158_what_is_older_than_a_rule_allows_goes() {
        let rules = rules(vec![rule("memfs:/*.ts", None, Some(3))]);
        let files = files(&["/1.ts", "/2.ts", "/3.ts"]);
        assert!(rules.doomed(Kind::Memory, &files, at(103)).is_empty());
        assert_eq!(names(rules.doomed(Kind::Memory, &files, at(104))), ["/1.ts"]);
        assert_eq!(names(rules.doomed(Kind::Memory, &files, at(106))), ["/1.ts", "/2.ts", "/3.ts"]);
        assert!(rules.doomed(Kind::Memory, &files, at(50)).is_empty(), "a clock that went back removes nothing");
    }

    #[test]
    fn c159_without_its_rule_every_file_stays() {
        let mut rules = rules(vec![rule("memfs:/*.ts", Some(3), None)]);
        let files = files(&["/1.ts", "/2.ts", "/3.ts", "/4.ts"]);
        assert_eq!(rules.doomed(Kind::Memory, &files, at(200)).len(), 1);
        rules.set("cam", Vec::new());
        assert!(rules.doomed(Kind::Memory, &files, at(200)).is_empty() && !rules.are_about(Kind::Memory));
    }

    #[test]
    fn several_rules_of_a_process_hold_at_once() {
        let rules = rules(vec![rule("mem:/*.ts", Some(2), None), rule("mem:*.ts", Some(2), Some(98))]);
        let files = files(&["/1.ts", "/2.ts", "/3.ts"]);
        assert_eq!(names(rules.doomed(Kind::Memory, &files, at(200))), ["/1.ts", "/2.ts"]);
    }

    #[test]
    fn over_the_cap_the_oldest_of_what_rules_are_about_go_and_nothing_else() {
        let rules = rules(vec![rule("disk:/cam**", None, None)]);
        let files = files(&["/film.mp4", "/cam1.ts", "/cam2.ts", "/cam3.ts"]);
        let excess = |limit| names(rules.excess(Kind::Disk, &files, limit));
        assert_eq!(excess(40), [] as [&str; 0]);
        assert_eq!(excess(39), ["/cam1.ts"]);
        assert_eq!(excess(20), ["/cam1.ts", "/cam2.ts"]);
        assert_eq!(excess(5), ["/cam1.ts", "/cam2.ts", "/cam3.ts"], "the film stays, whatever the cap is");
    }

    #[test]
    fn a_pattern_says_where_and_which() {
        let kind = |text: &str| Pattern::parse(text).map(|pattern| pattern.kind);
        assert_eq!(kind("memfs:/a"), Ok(Kind::Memory));
        assert_eq!(kind("mem:a"), Ok(Kind::Memory));
        assert_eq!(kind("diskfs:/a"), Ok(Kind::Disk));
        assert_eq!(kind("disk:**"), Ok(Kind::Disk));
        for text in ["/a", "s3:/a", "a", ""] {
            assert_eq!(kind(text), Err(BadPattern::Nowhere), "{text}");
        }
        assert!(matches!(kind("mem:/[a"), Err(BadPattern::Glob(_))));
        let name = Name::parse("/a.ts").expect("a name");
        assert!(Pattern::parse("mem:a.ts").is_ok_and(|pattern| pattern.glob.matches(&name)));
    }

    #[test]
    fn a_deletion_purges_what_a_rule_says_and_nothing_else() {
        let name = Name::parse("/a.ts").expect("a name");
        let mut rule = rule("mem:/a**", None, None);
        assert!(!rule.purges(Kind::Memory, &name));
        rule.purge_on_delete = true;
        assert!(rule.purges(Kind::Memory, &name) && !rule.purges(Kind::Disk, &name));
    }
}
