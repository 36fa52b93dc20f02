//! Files that are put into a directory whole: who reads one sees all of it or none, also after a loss of power.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Whether a file of this name may be there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It must not be there.
    New,
    /// The text takes its place.
    Any,
}

/// Puts a file into a directory, readable by its owner alone; the directory is made where it is missing. A name that
/// leads out of the directory is refused.
pub fn place(directory: &Path, name: &str, text: &[u8], place: Place) -> io::Result<()> {
    let path = contained(directory, name)?;
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Hidden, so that nobody takes it for a manifest.
    let draft = directory.join(format!(".{name}.unfinished"));
    let put = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text)?;
        file.sync_all()?;
        match place {
            Place::New => renameat_with(CWD, &draft, CWD, &path, RenameFlags::NOREPLACE)?,
            Place::Any => fs::rename(&draft, &path)?,
        }
        File::open(directory)?.sync_all()
    };
    put().inspect_err(|_| {
        // It may not be there, and the error that matters is the other one.
        let _ = fs::remove_file(&draft);
    })
}

/// Takes a file out of a directory.
pub fn remove(directory: &Path, name: &str) -> io::Result<()> {
    fs::remove_file(contained(directory, name)?)?;
    File::open(directory)?.sync_all()
}

/// The text of a file in a directory.
pub fn read(directory: &Path, name: &str) -> io::Result<String> {
    fs::read_to_string(contained(directory, name)?)
}

fn contained(directory: &Path, name: &str) -> io::Result<PathBuf> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(directory.join(name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name of a file"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_there_whole_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let within = directory.path().join("made");
        place(&within, "a.yaml", b"one", Place::New).expect("it is new");
        assert_eq!(place(&within, "a.yaml", b"two", Place::New).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&within, "a.yaml").expect("it is there"), "one");
        place(&within, "a.yaml", b"three", Place::Any).expect("it is replaced");
        let mode = fs::metadata(within.join("a.yaml")).expect("it is there").permissions().mode();
        assert_eq!((read(&within, "a.yaml").expect("it is there").as_str(), mode & 0o777), ("three", 0o600));
        assert_eq!(fs::read_dir(&within).expect("it is there").count(), 1, "no draft is left");
        remove(&within, "a.yaml").expect("it was there");
        assert_eq!(remove(&within, "a.yaml").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_name_that_leads_out_of_the_directory_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["../a", "/a", "a/b", "", ".", "..", "a/"] {
            let refused = place(directory.path(), name, b"", Place::Any).map_err(|error| error.kind());
            assert_eq!(refused, Err(io::ErrorKind::InvalidInput), "{name:?}");
        }
    }
}
