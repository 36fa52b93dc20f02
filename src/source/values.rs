//! Values of Secrets and ConfigMaps: one file each, `<name>/<key>` below a directory, as Kubernetes mounts them.
//!
//! Law:
//! 1. What a manifest asks for is read when it asks, and told at once.
//! 2. Another value is told once it has been the same for [`SETTLE`], so that a file that is being written is not.
//! 3. A value that is gone is told after [`GONE`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::crd::{KeyRef, RestreamProcess, ValueFrom};
use crate::plan::{Secret, Values};

use super::listing::{GONE, SETTLE};

/// The most that a value may have.
const MAX_BYTES: u64 = 64 << 10;

/// Name and key.
type Reference = (String, String);
/// A value, or why there is none.
type Reading = Result<Secret, String>;

/// The values that manifests ask for.
pub(super) struct ValueFiles {
    directory: PathBuf,
    files: BTreeMap<Reference, ValueFile>,
}

struct ValueFile {
    seen: Reading,
    since: Instant,
    told: Reading,
}

impl ValueFiles {
    /// Below this directory.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, files: BTreeMap::new() }
    }

    /// Where they are, while anything is asked for.
    pub(super) fn watched(&self) -> Option<&Path> {
        (!self.files.is_empty()).then_some(self.directory.as_path())
    }

    /// Reads what these manifests ask for.
    pub(super) fn read<'m>(&mut self, manifests: impl Iterator<Item = &'m RestreamProcess>, now: Instant) {
        let asked: BTreeSet<Reference> = manifests.flat_map(references).collect();
        let readings = asked.into_iter().map(|(name, key)| {
            let reading = read(&self.directory.join(&name).join(&key));
            ((name, key), reading)
        });
        let readings = readings.collect();
        self.handle_readings(readings, now);
    }

    fn handle_readings(&mut self, readings: BTreeMap<Reference, Reading>, now: Instant) {
        self.files.retain(|reference, _| readings.contains_key(reference));
        for (reference, seen) in readings {
            let new = || ValueFile { seen: seen.clone(), since: now, told: seen.clone() };
            let file = self.files.entry(reference).or_insert_with(new);
            if file.seen != seen {
                (file.seen, file.since) = (seen, now);
            }
            if file.is_due(now) {
                file.told = file.seen.clone();
            }
        }
    }

    /// When time alone changes something.
    pub(super) fn poll_deadline(&self) -> Option<Instant> {
        self.files.values().filter(|file| file.seen != file.told).map(|file| file.since + file.patience()).min()
    }

    /// What is believed.
    pub(super) fn values(&self) -> Values {
        self.files.iter().map(|(reference, file)| (reference.clone(), file.told.clone())).collect()
    }
}

impl ValueFile {
    fn patience(&self) -> Duration {
        if self.seen.is_err() { GONE } else { SETTLE }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.seen != self.told && now >= self.since + self.patience()
    }
}

/// The Secrets and ConfigMaps that a manifest asks for.
fn references(manifest: &RestreamProcess) -> Vec<Reference> {
    let given = manifest.spec.params.iter().filter_map(|param| param.value_from.as_ref());
    let keys = given.flat_map(|ValueFrom { secret_key_ref, config_map_key_ref }| {
        secret_key_ref.iter().chain(config_map_key_ref.iter())
    });
    keys.map(|KeyRef { name, key }| (name.clone(), key.clone())).collect()
}

/// The text of a file without the end of its last line.
fn read(path: &Path) -> Reading {
    let shown = path.display();
    let bytes = read_bytes(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("the file {shown} is not there; write the value into it (CORE_SECRETS_DIR)"),
        io::ErrorKind::PermissionDenied => {
            format!("the file {shown} cannot be read; let the user that this program runs as read it")
        }
        _ => format!("the file {shown} cannot be read: {error}"),
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("the file {shown} has more than {MAX_BYTES} bytes, the most that a value may have"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("the file {shown} is no UTF-8 text"))?;
    if text.contains('\0') {
        return Err(format!("the file {shown} holds a NUL, which no argument of a program can"));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(value.strip_suffix('\r').unwrap_or(value)))
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reading: Reading) -> BTreeMap<Reference, Reading> {
        BTreeMap::from([(("cam".into(), "password".into()), reading)])
    }

    fn told(files: &ValueFiles) -> Option<Reading> {
        files.values().into_values().next()
    }

    #[test]
    fn another_value_is_told_once_it_is_still_and_a_missing_one_after_longer() {
        let mut files = ValueFiles::new("/nowhere".into());
        let start = Instant::now();
        let value = |text: &str| Ok(Secret::new(text));
        assert_eq!(files.watched(), None);
        files.handle_readings(of(value("one")), start);
        assert_eq!(told(&files), Some(value("one")), "the first is told at once");
        files.handle_readings(of(value("")), start);
        files.handle_readings(of(value("two")), start + SETTLE / 2);
        assert_eq!(told(&files), Some(value("one")), "it is being written");
        assert_eq!(files.poll_deadline(), Some(start + SETTLE / 2 + SETTLE));
        files.handle_readings(of(value("two")), start + SETTLE * 2);
        assert_eq!(told(&files), Some(value("two")));
        let gone = start + Duration::from_secs(1);
        files.handle_readings(of(Err("gone".into())), gone);
        files.handle_readings(of(Err("gone".into())), gone + SETTLE);
        assert_eq!(told(&files), Some(value("two")));
        files.handle_readings(of(Err("gone".into())), gone + GONE);
        assert_eq!(told(&files), Some(Err("gone".into())));
        files.handle_readings(BTreeMap::new(), gone + GONE);
        assert_eq!(told(&files), None, "nobody asks for it any more");
    }

    #[test]
    fn a_file_is_read_without_the_end_of_its_line_or_says_what_is_wrong_with_it() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("value");
        for (bytes, value) in [
            (&b"hunter2\n"[..], "hunter2"),
            (b"hunter2\r\n", "hunter2"),
            (b"two\nlines\n\n", "two\nlines\n"),
            (b" ", " "),
            (b"", ""),
        ] {
            std::fs::write(&path, bytes).expect("it can be written");
            assert_eq!(read(&path), Ok(Secret::new(value)));
        }
        for bytes in [&b"caf\xe9"[..], b"a\0b", &[b'x'; MAX_BYTES as usize + 1]] {
            std::fs::write(&path, bytes).expect("it can be written");
            let why = read(&path).expect_err("it is no value");
            assert!(why.contains(&path.display().to_string()), "{why}");
        }
        let missing = directory.path().join("missing");
        let why = read(&missing).expect_err("it is not there");
        assert!(why.contains(&missing.display().to_string()) && why.contains("CORE_SECRETS_DIR"), "{why}");
    }
}
