//! The memory filesystem as a data structure: files, and places for those that are on their way.
//!
//! Files and places together never exceed the cap by more than the file that is just being replaced, which its readers
//! keep until the new one is whole.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;

use super::{Entry, Kind, Name, Refused, Usage};

/// Files in memory.
#[derive(Debug, Default)]
pub struct Memory {
    limit: Option<u64>,
    purge: bool,
    files: BTreeMap<Name, Stored>,
    used: u64,
    reserved: u64,
}

/// One file in memory.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What is in it.
    pub content: Bytes,
    /// When it was written.
    pub modified: SystemTime,
}

impl Stored {
    fn size(&self) -> u64 {
        self.content.len() as u64
    }
}

impl Memory {
    /// Nothing yet. `limit` is in octets; with `purge` the oldest files make room for new ones.
    pub fn new(limit: Option<u64>, purge: bool) -> Self {
        Self { limit, purge, ..Self::default() }
    }

    /// Takes room for octets of a file that is on its way; what it will replace makes room too.
    pub fn reserve(&mut self, name: &Name, octets: u64) -> Result<(), Refused> {
        if let Some(limit) = self.limit {
            let replaced = self.files.get(name).map_or(0, Stored::size);
            let wanted = self.reserved + octets;
            if wanted > limit || (!self.purge && self.used - replaced + wanted > limit) {
                return Err(Refused::Full { kind: Kind::Memory, octets, limit });
            }
            while self.used - replaced + wanted > limit && self.purge_oldest(name) {}
        }
        self.reserved += octets;
        Ok(())
    }

    /// Gives room back that was taken and is not needed.
    pub fn release(&mut self, octets: u64) {
        self.reserved -= octets;
    }

    /// Puts a file in its place, for which room was taken; true where there was none.
    pub fn insert(&mut self, name: Name, content: Bytes, reserved: u64, now: SystemTime) -> bool {
        self.release(reserved);
        self.used += content.len() as u64;
        let before = self.files.insert(name, Stored { content, modified: now });
        self.used -= before.as_ref().map_or(0, Stored::size);
        before.is_none()
    }

    /// A file as it is now.
    pub fn get(&self, name: &Name) -> Option<Stored> {
        self.files.get(name).cloned()
    }

    /// Removes a file; false where there was none.
    pub fn remove(&mut self, name: &Name) -> bool {
        let removed = self.files.remove(name);
        self.used -= removed.as_ref().map_or(0, Stored::size);
        removed.is_some()
    }

    /// Every file, by name.
    pub fn list(&self) -> Vec<Entry> {
        let entry =
            |(name, file): (&Name, &Stored)| Entry { name: name.clone(), size: file.size(), modified: file.modified };
        self.files.iter().map(entry).collect()
    }

    /// How much is in it; files that are on their way do not count.
    pub fn usage(&self) -> Usage {
        Usage { files: self.files.len() as u64, octets: self.used, limit: self.limit }
    }

    /// Removes the oldest file but this one; false where there is none.
    fn purge_oldest(&mut self, but: &Name) -> bool {
        let others = self.files.iter().filter(|(name, _)| *name != but);
        let oldest = others.min_by_key(|(name, file)| (file.modified, *name)).map(|(name, _)| name.clone());
        oldest.is_some_and(|name| self.remove(&name))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    /// Writes a file of so many octets, the whole of it announced.
    fn put(memory: &mut Memory, text: &str, octets: u64, second: u64) -> Result<bool, Refused> {
        memory.reserve(&name(text), octets)?;
        let content = vec![0; octets as usize].into();
        Ok(memory.insert(name(text), content, octets, UNIX_EPOCH + Duration::from_secs(second)))
    }

    fn names(memory: &Memory) -> Vec<String> {
        memory.list().iter().map(|entry| entry.name.as_str().to_owned()).collect()
    }

    #[test]
    fn c162_a_replaced_file_counts_by_the_difference() {
        let mut memory = Memory::new(Some(10), false);
        assert_eq!(put(&mut memory, "/a", 6, 1), Ok(true));
        assert_eq!(put(&mut memory, "/a", 9, 2), Ok(false));
        assert_eq!(memory.usage(), Usage { files: 1, octets: 9, limit: Some(10) });
        assert_eq!(put(&mut memory, "/a", 2, 3), Ok(false));
        assert_eq!(memory.usage().octets, 2);
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_and_the_others_stay() {
        let mut memory = Memory::new(Some(10), false);
        put(&mut memory, "/a", 6, 1).expect("it fits");
        let full = Refused::Full { kind: Kind::Memory, octets: 5, limit: 10 };
        assert_eq!(put(&mut memory, "/b", 5, 2), Err(full));
        assert_eq!(put(&mut memory, "/b", 4, 2), Ok(true));
        assert!(memory.remove(&name("/a")) && !memory.remove(&name("/a")));
        assert_eq!(memory.usage().octets, 4);
    }

    #[test]
    fn with_purge_the_oldest_make_room() {
        let mut memory = Memory::new(Some(10), true);
        for (file, second) in [("/c", 1), ("/b", 2), ("/a", 3)] {
            put(&mut memory, file, 3, second).expect("it fits");
        }
        assert_eq!(put(&mut memory, "/d", 5, 4), Ok(true));
        assert_eq!(names(&memory), ["/a", "/d"]);
        assert!(put(&mut memory, "/e", 11, 5).is_err(), "it is larger than all there is");
        assert_eq!(names(&memory), ["/a", "/d"], "and nothing was removed for it");
    }

    #[test]
    fn c161_room_for_half_of_what_is_there_removes_a_file_that_is_larger() {
        let mut memory = Memory::new(Some(10), true);
        put(&mut memory, "/a", 10, 1).expect("it fits");
        memory.reserve(&name("/b"), 5).expect("it makes room");
        assert_eq!(memory.usage().octets, 0);
    }

    #[test]
    fn what_is_on_its_way_takes_room_until_it_is_there_or_given_up() {
        let mut memory = Memory::new(Some(10), false);
        memory.reserve(&name("/a"), 6).expect("it fits");
        assert!(memory.reserve(&name("/b"), 5).is_err());
        memory.release(6);
        memory.reserve(&name("/b"), 5).expect("it fits");
    }
}
