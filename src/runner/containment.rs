//! Whether outputs stay in the disk directory where symbolic links lead.
//!
//! It is looked right before FFmpeg is started. Nothing keeps somebody who may write into the directory from making a link
//! afterwards.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::plan::{Io, Plan};

/// As many links as Linux follows.
const LINKS: usize = 40;

/// Refuses a plan whose outputs are led out of the directory; the message names the output.
pub fn check(plan: &Plan, directory: &Path) -> Result<(), String> {
    let home = resolve(directory).map_err(|error| format!("{} cannot be followed: {error}", directory.display()))?;
    for Io { id, files, .. } in &plan.outputs {
        for file in files {
            // Paths begin at the directory as it is called, which may itself be a link.
            let inside = file.strip_prefix(directory).map_or_else(|_| file.clone(), |inside| home.join(inside));
            let end =
                resolve(&inside).map_err(|error| format!("the path of output {id} cannot be followed: {error}"))?;
            if !end.starts_with(&home) {
                return Err(format!(
                    "output {id} is led out of the disk directory {} by a symbolic link, to {}; remove the link, or \
                     write to another path",
                    directory.display(),
                    end.display()
                ));
            }
        }
    }
    Ok(())
}

/// The path without symbolic links, however much of it exists: FFmpeg follows a link to nothing as well.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let names = |path: &Path| path.components().map(|name| name.as_os_str().to_owned()).collect::<Vec<OsString>>();
    let mut rest = VecDeque::from(names(path));
    let mut end = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        match Path::new(&name).components().next() {
            Some(Component::RootDir) => end = PathBuf::from("/"),
            Some(Component::ParentDir) => {
                end.pop();
            }
            Some(Component::Normal(name)) => match end.join(name).read_link() {
                Ok(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(io::Error::other("too many symbolic links"));
                    }
                    names(&target).into_iter().rev().for_each(|name| rest.push_front(name));
                }
                // No link, or nothing there.
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                    end.push(name);
                }
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => end.push(name),
                Err(error) => return Err(error),
            },
            Some(Component::CurDir | Component::Prefix(_)) | None => {}
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_their_end_even_where_nothing_is_there() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let root = directory.path().canonicalize().expect("it is there");
        let path = |name: &str| root.join(name);
        fs::create_dir_all(path("data/inner")).expect("it can be made");
        for (target, link) in [
            ("/nowhere/at/all", "data/away"),
            ("inner", "data/near"),
            ("../outside", "data/up"),
            ("away/further", "data/twice"),
            ("loop", "data/loop"),
        ] {
            symlink(target, path(link)).expect("a link can be made");
        }
        for (name, end) in [
            ("data/x.ts", path("data/x.ts")),
            ("data/missing/x.ts", path("data/missing/x.ts")),
            ("data/near/x.ts", path("data/inner/x.ts")),
            ("data/away", PathBuf::from("/nowhere/at/all")),
            ("data/away/x.ts", PathBuf::from("/nowhere/at/all/x.ts")),
            ("data/up/x.ts", path("outside/x.ts")),
            ("data/twice", PathBuf::from("/nowhere/at/all/further")),
        ] {
            assert_eq!(resolve(&path(name)).expect("it can be followed"), end, "{name}");
        }
        assert!(resolve(&path("data/loop/x")).is_err());
    }
}
