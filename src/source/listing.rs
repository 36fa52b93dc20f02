//! What is believed of the directory, from what was seen and how long it lasted.
//!
//! Law:
//! 1. A file is read once its look has been the same for [`SETTLE`]; at the very first look at once.
//! 2. What a reading declares counts at once.
//! 3. What a reading without faults does not declare any more is kept for [`GONE`], and for [`EMPTIED`] where the file
//!    has no text at all, which is how some editors begin to save.
//! 4. What a file has declared is kept as long as it has faults or cannot be read.
//! 5. A file that has gone, and its faults with it, is believed gone after [`GONE`].
//! 6. While the directory cannot be listed, nothing changes.
//! 7. A file that somebody vouches for is read, or believed gone, at once.
//! 8. What is only kept gives way to the same object (namespace and name) that is declared in another place.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::controller::{Origin, Problem};
use crate::crd::{Document, Reading, RestreamProcess, read_manifests};

use super::directory::Look;

/// A file must have been still for this long before it is read.
pub(super) const SETTLE: Duration = Duration::from_millis(150);
/// What is gone must have been gone for this long.
pub(super) const GONE: Duration = Duration::from_millis(500);
/// A file must have been empty for this long before what it declared is gone.
pub(super) const EMPTIED: Duration = Duration::from_secs(2);

/// Every manifest and where it stands: files by name, documents in order.
pub(super) type Manifests = Vec<(Origin, Arc<RestreamProcess>)>;

/// What is believed of the directory.
#[derive(Default)]
pub(super) struct Listing {
    files: BTreeMap<String, File>,
    /// The directory cannot be listed.
    fault: Option<Problem>,
    /// It was looked at before.
    begun: bool,
}

/// What is believed of a file.
struct File {
    /// What was seen last; `None` where the file was not there.
    seen: Option<Look>,
    /// Since when this is seen.
    since: Instant,
    /// What was seen when it was read.
    read: Option<Look>,
    /// What it declares or has declared.
    held: Vec<Held>,
    /// What is wrong with it.
    faults: Vec<String>,
    /// How long something must be missing from it to be believed gone.
    patience: Duration,
}

/// A manifest that a file declares or has declared.
struct Held {
    origin: Origin,
    manifest: Arc<RestreamProcess>,
    /// Since when readings without faults do not declare it.
    leaving: Option<Instant>,
    /// The last reading declares it.
    declared: bool,
}

/// What tells one object from another, in a cluster too.
type Object<'m> = (Option<&'m str>, Option<&'m str>);

impl Listing {
    /// Takes in what stands in the directory.
    pub(super) fn handle_look(&mut self, mut looks: BTreeMap<String, Look>, now: Instant) {
        self.fault = None;
        for (name, file) in &mut self.files {
            let look = looks.remove(name);
            if file.seen != look {
                file.seen = look;
                file.since = now;
            }
        }
        // Before the first look nothing was believed, so that nothing is lost by believing what it shows.
        let since = if self.begun { now } else { now.checked_sub(SETTLE).unwrap_or(now) };
        self.begun = true;
        for (name, look) in looks {
            let (held, faults) = (Vec::new(), Vec::new());
            self.files.insert(name, File { seen: Some(look), since, read: None, held, faults, patience: GONE });
        }
        self.forget(now);
    }

    /// Takes in that a file is as it shall be, so that there is nothing to wait for.
    pub(super) fn believe(&mut self, name: &str, now: Instant) {
        if let Some(file) = self.files.get_mut(name) {
            file.since = now.checked_sub(SETTLE.max(GONE)).unwrap_or(file.since);
        }
        self.forget(now);
    }

    /// Takes in that the directory cannot be listed.
    pub(super) fn handle_fault(&mut self, fault: Problem) {
        self.fault = Some(fault);
    }

    /// Files to read now.
    pub(super) fn poll_read(&self, now: Instant) -> Vec<(String, Look)> {
        let settled = self.files.iter().filter(|(_, file)| file.is_unread() && now >= file.since + SETTLE);
        settled.filter_map(|(name, file)| Some((name.clone(), file.seen.clone()?))).collect()
    }

    /// Takes in the text of a file, or why it cannot be read.
    pub(super) fn handle_read(&mut self, name: &str, look: Look, text: Result<String, String>, now: Instant) {
        let Some(file) = self.files.get_mut(name) else { return };
        file.read = Some(look);
        file.patience = if text.as_ref().is_ok_and(|text| text.trim().is_empty()) { EMPTIED } else { GONE };
        match text {
            Ok(text) => {
                let reading = read_manifests(&text);
                file.faults = reading.faults.iter().map(ToString::to_string).collect();
                file.take(name, reading, now);
            }
            Err(why) => {
                file.faults = vec![why];
                file.take(name, Reading::default(), now);
            }
        }
        self.forget(now);
    }

    /// When time alone changes something, or a file is to be read.
    pub(super) fn poll_deadline(&self) -> Option<Instant> {
        self.files.values().filter_map(File::deadline).min()
    }

    /// Every manifest that is believed to be wanted.
    pub(super) fn manifests(&self) -> Manifests {
        let declared = || self.held().filter(|(declared, _)| *declared).map(|(_, held)| held);
        let objects: HashSet<Object<'_>> = declared().map(|held| object(&held.manifest)).collect();
        let mut origins: HashSet<Origin> = declared().map(|held| held.origin.clone()).collect();
        let mut manifests = Vec::new();
        for (declared, held) in self.held() {
            if !declared && objects.contains(&object(&held.manifest)) {
                continue;
            }
            let mut origin = held.origin.clone();
            // Where it stood another document may stand now.
            while !declared && !origins.insert(origin.clone()) {
                origin.0.push_str(" (as it was)");
            }
            manifests.push((origin, held.manifest.clone()));
        }
        manifests
    }

    /// Everything that is wrong.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let faulty = self.files.iter().filter(|(_, file)| !file.faults.is_empty());
        let problems = faulty.map(|(name, file)| Problem { origin: name.clone(), errors: file.faults.clone() });
        self.fault.iter().cloned().chain(problems).collect()
    }

    /// Everything held, and whether it is declared and not only kept.
    fn held(&self) -> impl Iterator<Item = (bool, &Held)> {
        let files = self.files.values();
        files.flat_map(|file| file.held.iter().map(|held| (held.declared && file.seen.is_some(), held)))
    }

    /// Forgets what has been gone for long enough.
    fn forget(&mut self, now: Instant) {
        self.files.retain(|_, file| file.seen.is_some() || now < file.since + GONE);
        for file in self.files.values_mut() {
            let patience = file.patience;
            file.held.retain(|held| held.leaving.is_none_or(|since| now < since + patience));
        }
    }
}

impl File {
    fn is_unread(&self) -> bool {
        self.seen.is_some() && self.seen != self.read
    }

    fn deadline(&self) -> Option<Instant> {
        if self.seen.is_none() {
            return Some(self.since + GONE);
        }
        let read = self.is_unread().then(|| self.since + SETTLE);
        let leave = self.held.iter().filter_map(|held| Some(held.leaving? + self.patience)).min();
        read.into_iter().chain(leave).min()
    }

    /// Takes in a reading, after its faults.
    fn take(&mut self, name: &str, reading: Reading, now: Instant) {
        let several = reading.faults.iter().any(|fault| fault.document > 1)
            || reading.manifests.iter().any(|document| document.number > 1);
        let mut held: Vec<Held> = Vec::new();
        for Document { number, item, manifest, .. } in reading.manifests {
            let origin = match item {
                Some(item) => format!("{name} document {number} item {item}"),
                None if several => format!("{name} document {number}"),
                None => name.to_owned(),
            };
            held.push(Held { origin: Origin(origin), manifest: Arc::new(manifest), leaving: None, declared: true });
        }
        let declared: HashSet<Object<'_>> = held.iter().map(|held| object(&held.manifest)).collect();
        let mut former = std::mem::take(&mut self.held);
        former.retain(|former| !declared.contains(&object(&former.manifest)));
        for former in &mut former {
            former.declared = false;
            former.leaving = self.faults.is_empty().then(|| former.leaving.unwrap_or(now));
        }
        drop(declared);
        held.append(&mut former);
        self.held = held;
    }
}

fn object(manifest: &RestreamProcess) -> Object<'_> {
    (manifest.metadata.namespace.as_deref(), manifest.metadata.name.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory in virtual time: what stands in it, and the listing that looks at it.
    struct Desk {
        listing: Listing,
        files: BTreeMap<String, (u64, String)>,
        writes: u64,
        now: Instant,
    }

    fn manifest(name: &str) -> String {
        format!(
            "---\napiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: {name}}}\n\
             spec: {{input: [{{id: in, address: a}}], webrtc: {{enabled: true}}}}\n"
        )
    }

    impl Desk {
        /// A directory with these files, looked at for the first time.
        fn with(files: &[(&str, String)]) -> Self {
            let (listing, now) = (Listing::default(), Instant::now());
            let mut desk = Self { listing, files: BTreeMap::new(), writes: 0, now };
            for (name, text) in files {
                desk.write(name, text);
            }
            desk.look();
            desk
        }

        fn write(&mut self, name: &str, text: &str) {
            self.writes += 1;
            self.files.insert(name.into(), (self.writes, text.into()));
        }

        fn remove(&mut self, name: &str) {
            self.files.remove(name);
        }

        fn look(&mut self) {
            let looks = self.files.iter().map(|(name, (number, _))| (name.clone(), Look::numbered(*number))).collect();
            self.listing.handle_look(looks, self.now);
            for (name, look) in self.listing.poll_read(self.now) {
                let text = self.files[&name].1.clone();
                self.listing.handle_read(&name, look, Ok(text), self.now);
            }
        }

        /// Looks now and whenever the listing asks for it, for so long.
        fn pass(&mut self, time: Duration) {
            let end = self.now + time;
            self.look();
            while let Some(due) = self.listing.poll_deadline().filter(|due| *due <= end) {
                self.now = due.max(self.now);
                self.look();
            }
            self.now = end;
            self.look();
        }

        fn origins(&self) -> Vec<String> {
            self.listing.manifests().into_iter().map(|(origin, _)| origin.0).collect()
        }

        fn names(&self) -> Vec<String> {
            self.listing.manifests().into_iter().map(|(_, manifest)| manifest.metadata.name.clone().unwrap()).collect()
        }

        fn problems(&self) -> Vec<String> {
            self.listing
                .problems()
                .into_iter()
                .map(|problem| format!("{}: {}", problem.origin, problem.errors[0]))
                .collect()
        }
    }

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_look_is_believed_at_once() {
        let desk = Desk::with(&[("b.yml", manifest("b")), ("a.yaml", manifest("a") + &manifest("c"))]);
        assert_eq!(desk.names(), ["a", "c", "b"]);
        assert_eq!(desk.origins(), ["a.yaml document 1", "a.yaml document 2", "b.yml"]);
        assert_eq!(desk.listing.poll_deadline(), None);
    }

    #[test]
    fn a_new_file_counts_once_it_has_been_still() {
        let mut desk = Desk::with(&[]);
        desk.write("a.yaml", &manifest("a"));
        desk.pass(SETTLE - MOMENT);
        desk.write("a.yaml", &manifest("b"));
        desk.pass(SETTLE - MOMENT);
        assert!(desk.names().is_empty());
        desk.pass(MOMENT);
        assert_eq!(desk.names(), ["b"]);
    }

    #[test]
    fn a_file_that_somebody_vouches_for_is_believed_at_once() {
        let mut desk = Desk::with(&[]);
        desk.write("a.yaml", &manifest("a"));
        desk.look();
        desk.listing.believe("a.yaml", desk.now);
        desk.look();
        assert_eq!(desk.names(), ["a"]);
        desk.remove("a.yaml");
        desk.look();
        assert_eq!(desk.names(), ["a"]);
        desk.listing.believe("a.yaml", desk.now);
        assert!(desk.names().is_empty());
    }

    #[test]
    fn a_removed_file_is_believed_after_it_stayed_away() {
        let mut desk = Desk::with(&[("a.yaml", manifest("a"))]);
        desk.remove("a.yaml");
        desk.pass(GONE - MOMENT);
        assert_eq!(desk.names(), ["a"]);
        desk.pass(MOMENT);
        assert!(desk.names().is_empty());
    }

    #[test]
    fn a_file_that_is_replaced_was_never_gone() {
        let mut desk = Desk::with(&[("a.yaml", manifest("a"))]);
        for _ in 0..5 {
            desk.remove("a.yaml");
            desk.pass(GONE - MOMENT);
            desk.write("a.yaml", &manifest("a"));
            desk.pass(SETTLE);
            assert_eq!(desk.origins(), ["a.yaml"]);
        }
    }

    #[test]
    fn a_file_that_is_emptied_first_keeps_what_it_declared() {
        let mut desk = Desk::with(&[("a.yaml", manifest("a"))]);
        desk.write("a.yaml", "");
        desk.pass(SETTLE + EMPTIED - MOMENT);
        assert_eq!((desk.names(), desk.problems()), (vec!["a".into()], vec![]));
        desk.write("a.yaml", &manifest("b"));
        desk.pass(SETTLE);
        assert_eq!(desk.names(), ["b"], "a has been missing for long enough by now");
    }

    #[test]
    fn a_file_that_stays_empty_is_believed() {
        let mut desk = Desk::with(&[("a.yaml", manifest("a"))]);
        desk.write("a.yaml", "\n");
        desk.pass(SETTLE + EMPTIED);
        assert!(desk.names().is_empty());
    }

    #[test]
    fn a_document_that_is_taken_out_leaves_after_a_moment() {
        let mut desk = Desk::with(&[("a.yaml", manifest("a") + &manifest("b"))]);
        desk.write("a.yaml", &manifest("b"));
        desk.pass(SETTLE + GONE - MOMENT);
        assert_eq!(desk.names(), ["b", "a"]);
        desk.pass(MOMENT);
        assert_eq!((desk.names(), desk.origins()), (vec!["b".into()], vec!["a.yaml".into()]));
    }

    #[test]
    fn a_file_with_faults_keeps_what_it_declared_and_takes_what_is_valid() {
        let mut desk = Desk::with(&[("a.yaml", manifest("a") + &manifest("b"))]);
        desk.write("a.yaml", &(manifest("c") + "---\nspec: [\n"));
        desk.pass(SETTLE + EMPTIED);
        assert_eq!(desk.names(), ["c", "a", "b"]);
        assert_eq!(desk.origins(), ["a.yaml document 1", "a.yaml document 1 (as it was)", "a.yaml document 2"]);
        assert_eq!(desk.problems(), ["a.yaml: document 2, line 7, column 7: this is no YAML: unclosed bracket '['"]);
        desk.write("a.yaml", &manifest("c"));
        desk.pass(SETTLE + GONE);
        assert_eq!((desk.names(), desk.problems()), (vec!["c".into()], vec![]));
    }

    #[test]
    fn a_bad_file_hides_no_other() {
        let desk = Desk::with(&[("a.yaml", "a: b: c\n".into()), ("b.yaml", manifest("b"))]);
        assert_eq!((desk.names(), desk.problems().len()), (vec!["b".into()], 1));
    }

    #[test]
    fn the_faults_of_a_removed_file_go_with_it() {
        let mut desk = Desk::with(&[("a.yaml", "[".into())]);
        desk.remove("a.yaml");
        desk.pass(GONE);
        assert!(desk.problems().is_empty());
    }

    #[test]
    fn an_object_that_moves_to_another_file_is_there_once() {
        let mut desk = Desk::with(&[("b.yaml", manifest("a"))]);
        desk.remove("b.yaml");
        desk.write("a.yaml", &manifest("a"));
        desk.pass(SETTLE - MOMENT);
        assert_eq!(desk.origins(), ["b.yaml"]);
        desk.pass(MOMENT);
        assert_eq!(desk.origins(), ["a.yaml"]);
    }

    #[test]
    fn two_files_with_the_same_object_are_both_told() {
        let desk = Desk::with(&[("a.yaml", manifest("a")), ("b.yaml", manifest("a"))]);
        assert_eq!(desk.origins(), ["a.yaml", "b.yaml"]);
    }

    #[test]
    fn nothing_changes_while_the_directory_cannot_be_listed() {
        let mut desk = Desk::with(&[("a.yaml", manifest("a"))]);
        desk.listing.handle_fault(Problem { origin: "manifests".into(), errors: vec!["is not there".into()] });
        assert_eq!((desk.names(), desk.problems()), (vec!["a".into()], vec!["manifests: is not there".into()]));
        desk.pass(MOMENT);
        assert!(desk.problems().is_empty());
    }

    #[test]
    fn an_unreadable_file_keeps_what_it_declared() {
        let mut desk = Desk::with(&[("a.yaml", manifest("a"))]);
        desk.listing.handle_read("a.yaml", Look::numbered(1), Err("cannot be read".into()), desk.now);
        assert_eq!((desk.names(), desk.problems()), (vec!["a".into()], vec!["a.yaml: cannot be read".into()]));
    }
}
