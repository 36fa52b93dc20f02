//! One look at the directory, and one reading of a file.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::crd::MAX_FILE_BYTES;

/// What tells a directory from another one at the same path: device and inode.
pub(super) type Identity = (u64, u64);

/// What is seen of a file from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A file; another stamp means that it may have another content.
    File(Stamp),
    /// Something that cannot be read, and why.
    Unreadable(String),
}

/// What changes with a file's content: which file it is (after symbolic links), its size, its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The manifest files of a directory, by name.
pub(super) fn look(directory: &Path) -> io::Result<(Identity, BTreeMap<String, Look>)> {
    let identity = identity(directory)?;
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_manifest(&name.to_string_lossy()) {
            continue;
        }
        let Some(text) = name.to_str() else {
            let why = "its name is no UTF-8; rename it".to_owned();
            files.insert(name.to_string_lossy().into_owned(), Look::Unreadable(why));
            continue;
        };
        let look = match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_dir() => continue,
            Ok(metadata) if metadata.is_file() => Look::File(Stamp::of(&metadata)),
            Ok(_) => Look::Unreadable("is no regular file; replace it by one".into()),
            // The file has gone since the directory was listed, unless it is a link to nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(entry.path()) {
                Ok(_) => Look::Unreadable("is a symbolic link to nothing; correct or remove it".into()),
                Err(_) => continue,
            },
            Err(error) => Look::Unreadable(refused(&error)),
        };
        files.insert(text.to_owned(), look);
    }
    Ok((identity, files))
}

/// What tells this directory from another one at the same path.
pub(super) fn identity(directory: &Path) -> io::Result<Identity> {
    fs::metadata(directory).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The text of a file, or what to tell a person; `None` if it has gone since it was looked at.
pub(super) fn read(directory: &Path, name: &str, look: &Look) -> Option<Result<String, String>> {
    if let Look::Unreadable(why) = look {
        return Some(Err(why.clone()));
    }
    match read_bytes(&directory.join(name)) {
        Ok(bytes) if bytes.len() > MAX_FILE_BYTES => Some(Err(format!(
            "has more than {MAX_FILE_BYTES} bytes, the most that a file of manifests may have; split it"
        ))),
        Ok(bytes) => Some(String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            format!("line {line}: is no UTF-8 text; save it as UTF-8")
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(refused(&error))),
    }
}

/// The text of every manifest file of a directory, by name, or why it cannot be read.
pub fn read_all(directory: &Path) -> io::Result<BTreeMap<String, Result<String, String>>> {
    let (_, looks) = look(directory)?;
    let texts = looks.into_iter().filter_map(|(name, look)| {
        let text = read(directory, &name, &look)?;
        Some((name, text))
    });
    Ok(texts.collect())
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn refused(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; let the user that this program runs as read it (chmod, chown)",
        _ => "",
    };
    format!("cannot be read: {error}{hint}")
}

/// Whether a file of this name is one of manifests.
pub(super) fn is_manifest(name: &str) -> bool {
    let has_extension = name.ends_with(".yaml") || name.ends_with(".yml");
    has_extension && !name.starts_with(['.', '#'])
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
impl Look {
    /// A file whose content is told apart by a number.
    pub(super) fn numbered(number: u64) -> Self {
        Self::File(Stamp { device: 1, inode: number, size: 1, modified: (0, 0), changed: (0, 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_for_a_person_are_manifests() {
        for name in ["cam.yaml", "cam.yml", "a b.yaml", "cam.v2.yaml"] {
            assert!(is_manifest(name), "{name}");
        }
        for name in [
            ".cam.yaml",
            ".cam.yaml.swp",
            "cam.yaml~",
            "#cam.yaml#",
            ".#cam.yaml",
            "4913",
            "cam.json",
            "cam.yaml.bak",
            "..data",
            "README.md",
            "yaml",
            "sedAbCdEf",
        ] {
            assert!(!is_manifest(name), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("latin.yaml"), b"a: b\nname: caf\xe9\n").unwrap();
        fs::write(path("huge.yaml"), vec![b'#'; MAX_FILE_BYTES + 1]).unwrap();
        std::os::unix::fs::symlink("nowhere", path("link.yaml")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(path("socket.yaml")).unwrap();
        fs::create_dir(path("folder.yaml")).unwrap();
        let (_, looks) = look(directory.path()).unwrap();
        drop(socket);
        let texts: Vec<_> = looks.iter().map(|(name, look)| read(directory.path(), name, look).unwrap()).collect();
        assert_eq!(looks.keys().collect::<Vec<_>>(), ["huge.yaml", "latin.yaml", "link.yaml", "socket.yaml"]);
        let expected = [
            "has more than 1048576 bytes, the most that a file of manifests may have; split it",
            "line 2: is no UTF-8 text; save it as UTF-8",
            "is a symbolic link to nothing; correct or remove it",
            "is no regular file; replace it by one",
        ];
        assert_eq!(texts, expected.map(|error| Err(error.to_owned())));
    }

    #[test]
    fn a_forbidden_file_says_who_must_be_allowed() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        assert_eq!(
            refused(&error),
            "cannot be read: Permission denied (os error 13); let the user that this program runs as read it (chmod, chown)"
        );
    }

    #[test]
    fn a_file_that_has_gone_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path(), "gone.yaml", &Look::numbered(1)), None);
    }
}
