//! The memory filesystem, shared by all who read and write.

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::files::{Content, Entry, Filesystem, Kind, Memory, Name, Opened, Refused, Upload, Usage};

/// The memory filesystem behind a lock, which is held for moments.
#[derive(Debug)]
pub struct MemoryFiles(Arc<Mutex<Memory>>);

impl MemoryFiles {
    /// Shares a memory filesystem.
    pub fn new(memory: Memory) -> Self {
        Self(Arc::new(Mutex::new(memory)))
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        lock(&self.0)
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().expect("nothing panics while it is held")
}

impl Filesystem for MemoryFiles {
    fn kind(&self) -> Kind {
        Kind::Memory
    }

    fn list(&self) -> Result<Vec<Entry>, Refused> {
        Ok(self.lock().list())
    }

    fn open(&self, name: &Name) -> Result<Opened, Refused> {
        let file = self.lock().get(name).ok_or_else(|| Refused::NotFound(name.clone()))?;
        Ok(Opened { size: file.content.len() as u64, modified: file.modified, content: Content::Whole(file.content) })
    }

    fn upload(&self, name: Name, declared: Option<u64>) -> Result<Box<dyn Upload>, Refused> {
        let mut upload = MemoryUpload { memory: self.0.clone(), name, content: Vec::new(), reserved: 0 };
        upload.reserve(declared.unwrap_or_default())?;
        // The room for it is taken, so a length that was announced may be believed.
        upload.content.reserve_exact(usize::try_from(upload.reserved).unwrap_or_default());
        Ok(Box::new(upload))
    }

    fn remove(&self, name: &Name) -> Result<(), Refused> {
        if self.lock().remove(name) { Ok(()) } else { Err(Refused::NotFound(name.clone())) }
    }

    fn usage(&self) -> Usage {
        self.lock().usage()
    }
}

/// A file on its way into memory.
struct MemoryUpload {
    memory: Arc<Mutex<Memory>>,
    name: Name,
    content: Vec<u8>,
    reserved: u64,
}

impl MemoryUpload {
    fn reserve(&mut self, octets: u64) -> Result<(), Refused> {
        lock(&self.memory).reserve(&self.name, octets)?;
        self.reserved += octets;
        Ok(())
    }
}

impl Upload for MemoryUpload {
    fn write(&mut self, octets: &[u8]) -> Result<(), Refused> {
        let missing = (self.content.len() + octets.len()) as u64;
        let missing = missing.saturating_sub(self.reserved);
        if missing > 0 {
            self.reserve(missing)?;
        }
        self.content.extend_from_slice(octets);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<bool, Refused> {
        let content = std::mem::take(&mut self.content).into_boxed_slice();
        let reserved = std::mem::take(&mut self.reserved);
        Ok(lock(&self.memory).insert(self.name.clone(), content.into(), reserved, SystemTime::now()))
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        lock(&self.memory).release(self.reserved);
    }
}

/// Half of the memory that this program may use, in octets: of the machine's, or of its control group's.
pub fn half_of_all() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(u64::from(info.mem_unit));
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| group_limit(&groups));
    group.map_or(machine, |group| group.min(machine)) / 2
}

/// The least limit of this program's control group and those above it (cgroup v2).
fn group_limit(groups: &str) -> Option<u64> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = std::path::Path::new("/sys/fs/cgroup").join(path);
    let limits = folder.ancestors().take_while(|folder| folder.starts_with("/sys/fs/cgroup"));
    limits.filter_map(|folder| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(limit: u64) -> MemoryFiles {
        MemoryFiles::new(Memory::new(Some(limit), false))
    }

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    fn content(files: &MemoryFiles) -> Option<Vec<u8>> {
        match files.open(&name("/a")).ok()?.content {
            Content::Whole(content) => Some(content.to_vec()),
            Content::Pieces(_) => None,
        }
    }

    #[test]
    fn a_reader_keeps_the_old_file_until_the_new_one_is_whole() {
        let files = files(100);
        let mut first = files.upload(name("/a"), None).expect("there is room");
        first.write(b"old").expect("there is room");
        assert!(content(&files).is_none());
        assert_eq!(first.finish(), Ok(true));
        let mut second = files.upload(name("/a"), None).expect("there is room");
        second.write(b"ne").expect("there is room");
        assert_eq!(content(&files).as_deref(), Some(&b"old"[..]));
        second.write(b"w").expect("there is room");
        assert_eq!(second.finish(), Ok(false));
        assert_eq!(content(&files).as_deref(), Some(&b"new"[..]));
    }

    #[test]
    fn uploads_that_run_share_the_room_and_give_it_back() {
        let files = files(10);
        let mut first = files.upload(name("/a"), None).expect("there is room");
        first.write(&[0; 6]).expect("there is room");
        assert!(files.upload(name("/b"), Some(5)).is_err());
        let mut second = files.upload(name("/b"), Some(3)).expect("there is room");
        second.write(&[0; 3]).expect("it was announced");
        assert!(second.write(&[0; 2]).is_err(), "and this was not");
        drop((first, second));
        assert!(files.upload(name("/c"), Some(10)).is_ok());
        assert_eq!(files.usage().octets, 0);
    }

    #[test]
    fn there_is_memory_to_have_half_of() {
        assert!(half_of_all() > 16 << 20);
    }
}
