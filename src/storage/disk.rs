//! The disk directory. FFmpeg writes into it by itself; files are opened without ever leaving it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::files::{Content, Entry, Filesystem, Kind, Name, Opened, Refused, Upload, Usage};

/// How names of files begin that are on their way; they are hidden.
const UNFINISHED: &str = ".unfinished-";
/// Folders within folders at most.
const MAX_DEPTH: usize = 32;

/// The disk directory.
#[derive(Debug)]
pub struct DiskFiles {
    directory: PathBuf,
    descriptor: OwnedFd,
    limit: Option<u64>,
    usage: Arc<Mutex<Usage>>,
    uploads: AtomicU64,
}

impl DiskFiles {
    /// The directory, and how much is in it. What uploads of a run before left behind is removed.
    pub fn open(directory: PathBuf, limit: Option<u64>) -> io::Result<Self> {
        let directory = directory.canonicalize()?;
        let descriptor = File::open(&directory)?.into();
        for entry in fs::read_dir(&directory)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let usage = Arc::new(Mutex::new(Usage { limit, ..Usage::default() }));
        Ok(Self { directory, descriptor, limit, usage, uploads: AtomicU64::new(0) })
    }

    /// Octets that it may have.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    fn count(&self, entries: &[Entry]) {
        let octets = entries.iter().map(|entry| entry.size).sum();
        *self.usage.lock().expect("nothing panics while it is held") =
            Usage { files: entries.len() as u64, octets, limit: self.limit };
    }

    /// The file itself. No link, no `..` and no mount of the system's leads out of the directory.
    fn find(&self, name: &Name) -> Result<File, Refused> {
        // A pipe would keep whoever opens it waiting.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.descriptor, name.relative(), flags, Mode::empty(), within) {
            Ok(descriptor) => Ok(descriptor.into()),
            // Kernels before 5.6, and sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => self.find_by_path(name),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::ACCESS | Errno::NAMETOOLONG) => {
                Err(Refused::NotFound(name.clone()))
            }
            Err(error) => Err(failed(name, &error.into())),
        }
    }

    fn find_by_path(&self, name: &Name) -> Result<File, Refused> {
        let not_found = |_| Refused::NotFound(name.clone());
        let path = self.directory.join(name.relative()).canonicalize().map_err(not_found)?;
        if !path.starts_with(&self.directory) || !path.is_file() {
            return Err(Refused::NotFound(name.clone()));
        }
        File::open(path).map_err(not_found)
    }

    /// The folder of a file within the directory, made where it is missing.
    fn folder(&self, name: &Name) -> Result<PathBuf, Refused> {
        let path = self.directory.join(name.relative());
        let folder = path.parent().unwrap_or(&self.directory);
        let made = fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        let made = made.map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Refused::Taken(name.clone()),
            _ => failed(name, &error),
        })?;
        if made.starts_with(&self.directory) { Ok(made) } else { Err(Refused::NotFound(name.clone())) }
    }
}

fn failed(name: &Name, error: &io::Error) -> Refused {
    Refused::Failed(format!("{name} on the disk: {error}"))
}

impl Filesystem for DiskFiles {
    fn kind(&self) -> Kind {
        Kind::Disk
    }

    fn list(&self) -> Result<Vec<Entry>, Refused> {
        let mut entries = Vec::new();
        walk(&self.directory, "", 0, &mut entries)
            .map_err(|error| Refused::Failed(format!("the disk directory cannot be listed: {error}")))?;
        self.count(&entries);
        Ok(entries)
    }

    fn open(&self, name: &Name) -> Result<Opened, Refused> {
        if name.is_hidden() {
            return Err(Refused::NotFound(name.clone()));
        }
        let file = self.find(name)?;
        let metadata = file.metadata().map_err(|error| failed(name, &error))?;
        if !metadata.is_file() {
            return Err(Refused::NotFound(name.clone()));
        }
        Ok(Opened {
            size: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            content: Content::Pieces(Box::new(file)),
        })
    }

    fn upload(&self, name: Name, declared: Option<u64>) -> Result<Box<dyn Upload>, Refused> {
        if name.is_hidden() {
            return Err(Refused::Taken(name));
        }
        let used = self.usage().octets;
        let room = self.limit.map(|limit| (limit, limit.saturating_sub(used)));
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.directory.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
        let place = self.folder(&name)?.join(name.file());
        let file = File::create_new(&unfinished).map_err(|error| failed(&name, &error))?;
        let usage = self.usage.clone();
        let upload = DiskUpload { name, file, unfinished, place, room, written: 0, usage };
        upload.fits(declared.unwrap_or_default())?;
        Ok(Box::new(upload))
    }

    fn remove(&self, name: &Name) -> Result<(), Refused> {
        // A link that leads out is not followed, nor is one of its folders.
        let file = self.find(name)?;
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if name.is_hidden() || !is_file {
            return Err(Refused::NotFound(name.clone()));
        }
        fs::remove_file(self.directory.join(name.relative())).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Refused::NotFound(name.clone()),
            _ => failed(name, &error),
        })
    }

    fn usage(&self) -> Usage {
        *self.usage.lock().expect("nothing panics while it is held")
    }
}

/// Files within a folder and those below it. Hidden ones and links are left out; what vanishes meanwhile is not there.
fn walk(folder: &Path, base: &str, depth: usize, entries: &mut Vec<Entry>) -> io::Result<()> {
    for found in fs::read_dir(folder)? {
        let found = found?;
        let file_name = found.file_name();
        // What is no text has no URL.
        let Some(text) = file_name.to_str().filter(|text| !text.starts_with('.')) else { continue };
        let path = format!("{base}/{text}");
        let Ok(metadata) = found.metadata() else { continue };
        if metadata.is_dir() && depth < MAX_DEPTH {
            match walk(&found.path(), &path, depth + 1, entries) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        } else if metadata.is_file()
            && let Some(name) = Name::parse(&path)
        {
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push(Entry { name, size: metadata.len(), modified });
        }
    }
    Ok(())
}

/// A file on its way to the disk.
struct DiskUpload {
    name: Name,
    file: File,
    unfinished: PathBuf,
    place: PathBuf,
    /// The cap, and what was left of it.
    room: Option<(u64, u64)>,
    written: u64,
    /// What is known of the directory until it is looked at again.
    usage: Arc<Mutex<Usage>>,
}

impl DiskUpload {
    fn fits(&self, octets: u64) -> Result<(), Refused> {
        match self.room {
            Some((limit, left)) if octets > left => Err(Refused::Full { kind: Kind::Disk, octets, limit }),
            _ => Ok(()),
        }
    }
}

impl Upload for DiskUpload {
    fn write(&mut self, octets: &[u8]) -> Result<(), Refused> {
        self.fits(self.written + octets.len() as u64)?;
        self.file.write_all(octets).map_err(|error| failed(&self.name, &error))?;
        self.written += octets.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<bool, Refused> {
        let is_new = !self.place.exists();
        fs::rename(&self.unfinished, &self.place).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Refused::Taken(self.name.clone()),
            _ => failed(&self.name, &error),
        })?;
        let mut usage = self.usage.lock().expect("nothing panics while it is held");
        usage.octets += self.written;
        usage.files += u64::from(is_new);
        Ok(is_new)
    }
}

impl Drop for DiskUpload {
    fn drop(&mut self) {
        // Where it was finished there is none.
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Bench {
        files: DiskFiles,
        folder: tempfile::TempDir,
    }

    fn bench(limit: Option<u64>) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("data")).expect("it is new");
        let files = DiskFiles::open(folder.path().join("data"), limit).expect("it is there");
        Bench { files, folder }
    }

    impl Bench {
        fn write(&self, path: &str, text: &str) {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }

        fn read(&self, name: &str) -> Option<String> {
            match self.files.open(&Name::parse(name)?).ok()?.content {
                Content::Pieces(mut file) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text).expect("it is text");
                    Some(text)
                }
                Content::Whole(_) => None,
            }
        }

        fn put(&self, name: &str, text: &str) -> Result<bool, Refused> {
            let mut upload = self.files.upload(Name::parse(name).expect("a name"), None)?;
            upload.write(text.as_bytes())?;
            upload.finish()
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> =
                self.files.list().expect("it can be listed").iter().map(|entry| entry.name.to_string()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn hidden_files_and_what_lies_outside_are_not_there() {
        let bench = bench(None);
        bench.write("data/cam/1.ts", "film");
        bench.write("data/.env", "secret");
        bench.write("data/.git/config", "secret");
        bench.write("outside.txt", "secret");
        let data = bench.folder.path().join("data");
        symlink("../outside.txt", data.join("out.txt")).expect("linked");
        symlink("/etc", data.join("etc")).expect("linked");
        symlink("cam/1.ts", data.join("newest.ts")).expect("linked");
        assert_eq!(bench.read("/cam/1.ts").as_deref(), Some("film"));
        assert_eq!(bench.read("/newest.ts").as_deref(), Some("film"), "a link within leads where it should");
        for name in ["/.env", "/.git/config", "/out.txt", "/etc/passwd", "/cam", "/cam/2.ts", "/cam/1.ts/x"] {
            assert_eq!(bench.read(name), None, "{name}");
        }
        assert_eq!(bench.names(), ["/cam/1.ts"]);
    }

    #[test]
    fn the_way_for_old_kernels_leads_to_the_same_files() {
        let bench = bench(None);
        bench.write("data/1.ts", "film");
        bench.write("outside.txt", "secret");
        symlink("../outside.txt", bench.folder.path().join("data/out.txt")).expect("linked");
        let is_found = |name: &str| bench.files.find_by_path(&Name::parse(name).expect("a name")).is_ok();
        assert!(is_found("/1.ts") && !is_found("/out.txt") && !is_found("/2.ts"));
    }

    #[test]
    fn a_pipe_is_no_file_and_holds_nobody_up() {
        let bench = bench(None);
        let made = rustix::fs::mknodat(
            &bench.files.descriptor,
            "pipe",
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        );
        made.expect("it is made");
        assert_eq!(bench.read("/pipe"), None);
        assert_eq!(bench.names(), [] as [&str; 0]);
    }

    #[test]
    fn a_file_is_there_once_it_is_whole_and_its_folder_with_it() {
        let bench = bench(None);
        let mut upload = bench.files.upload(Name::parse("/a/b/c.ts").expect("a name"), None).expect("there is room");
        upload.write(b"film").expect("it is written");
        assert_eq!(bench.names(), [] as [&str; 0]);
        assert_eq!(upload.finish(), Ok(true));
        assert_eq!(bench.put("/a/b/c.ts", "other"), Ok(false));
        assert_eq!(bench.read("/a/b/c.ts").as_deref(), Some("other"));
        assert!(matches!(bench.put("/a/b", "x"), Err(Refused::Taken(_))), "a folder is there");
        assert!(matches!(bench.put("/a/b/c.ts/d", "x"), Err(Refused::Taken(_))), "a file is there");
        drop(bench.files.upload(Name::parse("/x").expect("a name"), None));
        let left = fs::read_dir(bench.folder.path().join("data")).expect("it is there").count();
        assert_eq!(left, 1, "only the folder a");
    }

    #[test]
    fn no_upload_exceeds_the_cap() {
        let bench = bench(Some(10));
        bench.write("data/1.ts", "123456");
        assert_eq!(bench.names(), ["/1.ts"]);
        assert_eq!(bench.files.usage(), Usage { files: 1, octets: 6, limit: Some(10) });
        let full = Refused::Full { kind: Kind::Disk, octets: 5, limit: 10 };
        assert_eq!(bench.put("/2.ts", "12345"), Err(full));
        assert_eq!(bench.put("/2.ts", "1234"), Ok(true));
        assert!(bench.put("/3.ts", "1").is_err(), "what was written counts at once");
    }

    #[test]
    fn nothing_outside_is_written_or_removed() {
        let bench = bench(None);
        bench.write("outside/1.ts", "film");
        symlink("../outside", bench.folder.path().join("data/out")).expect("linked");
        assert!(matches!(bench.put("/out/2.ts", "x"), Err(Refused::NotFound(_))));
        let name = Name::parse("/out/1.ts").expect("a name");
        assert!(matches!(bench.files.remove(&name), Err(Refused::NotFound(_))));
        assert!(bench.folder.path().join("outside/1.ts").exists());
        assert!(!bench.folder.path().join("outside/2.ts").exists());
    }
}
