//! What a list of files is asked for.

use std::cmp::Ordering;
use std::time::UNIX_EPOCH;

use super::{Entry, Glob};

/// By what a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By name.
    #[default]
    Name,
    /// By size.
    Size,
    /// By the time of the last change.
    Modified,
}

/// In which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The least first.
    #[default]
    Ascending,
    /// The greatest first.
    Descending,
}

/// What a list of files is asked for; by default everything, by name.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Names.
    pub glob: Option<Glob>,
    /// Octets at least.
    pub size_min: Option<u64>,
    /// Octets at most.
    pub size_max: Option<u64>,
    /// Last changed at this time or later, Unix seconds.
    pub modified_from: Option<u64>,
    /// Last changed at this time or earlier, Unix seconds.
    pub modified_to: Option<u64>,
    /// By what.
    pub sort: Sort,
    /// In which direction.
    pub order: Order,
}

impl Entry {
    /// When it was last written, Unix seconds.
    pub fn modified_seconds(&self) -> u64 {
        self.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

impl Query {
    /// The files that fit, in order.
    pub fn select(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.retain(|entry| self.fits(entry));
        entries.sort_by(|a, b| {
            let first = match self.sort {
                Sort::Name => Ordering::Equal,
                Sort::Size => a.size.cmp(&b.size),
                Sort::Modified => a.modified.cmp(&b.modified),
            };
            let ascending = first.then_with(|| a.name.cmp(&b.name));
            if self.order == Order::Descending { ascending.reverse() } else { ascending }
        });
        entries
    }

    fn fits(&self, entry: &Entry) -> bool {
        let within = |value: u64, least: Option<u64>, most: Option<u64>| {
            least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most)
        };
        self.glob.as_ref().is_none_or(|glob| glob.matches(&entry.name))
            && within(entry.size, self.size_min, self.size_max)
            && within(entry.modified_seconds(), self.modified_from, self.modified_to)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Name;
    use super::*;

    fn names(query: &Query) -> Vec<String> {
        let entry = |(name, size, second): (&str, u64, u64)| Entry {
            name: Name::parse(name).expect("a name"),
            size,
            modified: UNIX_EPOCH + Duration::from_secs(second),
        };
        let entries = [("/b.ts", 1, 30), ("/a.ts", 3, 20), ("/c.m3u8", 2, 10)].map(entry).to_vec();
        query.select(entries).iter().map(|entry| entry.name.as_str().to_owned()).collect()
    }

    #[test]
    fn a_list_is_sorted_and_filtered_as_asked_for() {
        assert_eq!(names(&Query::default()), ["/a.ts", "/b.ts", "/c.m3u8"]);
        let sorted = |sort, order| names(&Query { sort, order, ..Query::default() });
        assert_eq!(sorted(Sort::Size, Order::Ascending), ["/b.ts", "/c.m3u8", "/a.ts"]);
        assert_eq!(sorted(Sort::Modified, Order::Descending), ["/b.ts", "/a.ts", "/c.m3u8"]);
        let glob = Glob::parse("/*.ts").ok();
        assert_eq!(names(&Query { glob, ..Query::default() }), ["/a.ts", "/b.ts"]);
        let of_size = Query { size_min: Some(2), size_max: Some(2), ..Query::default() };
        assert_eq!(names(&of_size), ["/c.m3u8"]);
        let of_time = Query { modified_from: Some(20), modified_to: Some(29), ..Query::default() };
        assert_eq!(names(&of_time), ["/a.ts"]);
    }
}
