//! The manifest directory with real files: what is told of new, changed, removed and half-written ones.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without makes it fail")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dragonfork::controller::{Change, Problem};
use dragonfork::source::{Watch, WatchError, watch};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than a removal needs to be believed.
const LONG_GONE: Duration = Duration::from_millis(800);

/// A watched directory and what was told of it last.
struct Desk {
    _root: TempDir,
    directory: PathBuf,
    watch: Watch,
    changes: UnboundedReceiver<Change>,
    manifests: Vec<String>,
    problems: Vec<Problem>,
    /// How often everything was told.
    told: usize,
}

fn manifest(name: &str) -> String {
    reference(name, "none")
}

fn reference(name: &str, reference: &str) -> String {
    format!(
        "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata:\n  name: {name}\nspec:\n  \
         reference: {reference}\n  input:\n  - id: in\n    address: testsrc2\n  webrtc:\n    enabled: true\n"
    )
}

impl Desk {
    async fn with(files: &[(&str, &str)]) -> Self {
        Self::prepared(|directory| {
            for (name, text) in files {
                fs::write(directory.join(name), text).unwrap();
            }
        })
        .await
    }

    async fn prepared(prepare: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("manifests");
        fs::create_dir(&directory).unwrap();
        prepare(&directory);
        let (sender, changes) = unbounded_channel();
        let watch = watch(directory.clone(), "/nowhere".into(), sender).unwrap();
        let (manifests, problems) = (Vec::new(), Vec::new());
        let mut desk = Self { _root: root, directory, watch, changes, manifests, problems, told: 0 };
        desk.take().await;
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Waits for the next telling.
    async fn take(&mut self) {
        match self.changes.recv().await.expect("the watch has ended") {
            Change::Reset(all) => {
                let line = |(origin, manifest): &(dragonfork::controller::Origin, _)| {
                    let manifest: &std::sync::Arc<dragonfork::crd::RestreamProcess> = manifest;
                    let reference = manifest.spec.reference.as_deref().unwrap();
                    format!("{}: {} {reference}", origin.0, manifest.metadata.name.as_deref().unwrap())
                };
                self.manifests = all.iter().map(line).collect();
            }
            other => panic!("{other:?} in place of a reset"),
        }
        match self.changes.recv().await.expect("the watch has ended") {
            Change::Problems(all) => self.problems = all,
            other => panic!("{other:?} in place of the problems"),
        }
        self.told += 1;
    }

    /// Waits until exactly these manifests and as many problems are told.
    async fn expect(&mut self, manifests: &[&str], problems: usize) {
        let until = Instant::now() + PATIENCE;
        while self.manifests != manifests || self.problems.len() != problems {
            if tokio::time::timeout_at(until, self.take()).await.is_err() {
                panic!("told at last: {:?} {:?}, expected {manifests:?}", self.manifests, self.problems);
            }
        }
    }

    /// For so long nothing may be told, other than what is the same for these manifests.
    async fn stays(&mut self, time: Duration, manifests: &[&str]) {
        let until = Instant::now() + time;
        assert_eq!(self.manifests, manifests);
        while tokio::time::timeout_at(until, self.take()).await.is_ok() {
            assert_eq!(self.manifests, manifests);
        }
    }
}

#[tokio::test]
async fn what_stands_there_is_told_before_the_watch_begins() {
    let desk = Desk::with(&[
        ("b.yaml", &manifest("b")),
        ("a.yml", &format!("{}---\n{}", manifest("a"), manifest("c"))),
        ("bad.yaml", "kind: Secret\n"),
    ])
    .await;
    assert_eq!(desk.manifests, ["a.yml document 1: a none", "a.yml document 2: c none", "b.yaml: b none"]);
    assert_eq!(desk.problems.len(), 1);
    assert_eq!(desk.problems[0].origin, "bad.yaml");
    assert_eq!(desk.problems[0].errors[1], "line 1: kind: must be RestreamProcess, not \"Secret\"");
    assert_eq!(desk.told, 1);
}

#[tokio::test]
async fn files_come_change_and_go() {
    let mut desk = Desk::with(&[]).await;
    desk.write("a.yaml", &manifest("a"));
    desk.expect(&["a.yaml: a none"], 0).await;
    desk.write("b.yaml", &manifest("b"));
    desk.expect(&["a.yaml: a none", "b.yaml: b none"], 0).await;
    desk.write("b.yaml", &reference("b", "studio"));
    desk.expect(&["a.yaml: a none", "b.yaml: b studio"], 0).await;
    fs::remove_file(desk.path("a.yaml")).unwrap();
    desk.expect(&["b.yaml: b studio"], 0).await;
}

#[tokio::test]
async fn nothing_is_told_of_what_is_no_manifest() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    for name in [".b.yaml", ".a.yaml.swp", "a.yaml~", "#a.yaml#", "4913", "notes.txt", "a.yaml.bak"] {
        desk.write(name, &manifest("b"));
    }
    fs::create_dir(desk.path("folder.yaml")).unwrap();
    fs::create_dir(desk.path("folder")).unwrap();
    desk.write("folder/c.yaml", &manifest("c"));
    // A file that is one proves that the others have been looked at.
    desk.write("z.yaml", &manifest("z"));
    desk.expect(&["a.yaml: a none", "z.yaml: z none"], 0).await;
    assert_eq!(desk.told, 2);
}

#[tokio::test]
async fn a_file_that_is_only_touched_tells_nothing() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    desk.write("a.yaml", &manifest("a"));
    desk.write("a.yaml", &format!("# a comment\n{}", manifest("a")));
    desk.stays(LONG_GONE, &["a.yaml: a none"]).await;
    assert_eq!(desk.told, 1);
}

#[tokio::test]
async fn an_atomic_rename_changes_the_process_and_never_stops_it() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    for round in 0..4 {
        desk.write(".a.yaml.new", &reference("a", &format!("round{round}")));
        fs::rename(desk.path(".a.yaml.new"), desk.path("a.yaml")).unwrap();
        let expected = format!("a.yaml: a round{round}");
        let told = desk.told;
        desk.expect(&[&expected], 0).await;
        assert_eq!(desk.told, told + 1, "something else was told in between");
    }
}

#[tokio::test]
async fn an_editor_that_moves_the_old_file_away_first_never_stops_the_process() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    fs::rename(desk.path("a.yaml"), desk.path("a.yaml~")).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    desk.write("a.yaml", &reference("a", "saved"));
    let told = desk.told;
    desk.expect(&["a.yaml: a saved"], 0).await;
    assert_eq!(desk.told, told + 1, "something else was told in between");
}

#[tokio::test]
async fn a_partial_write_never_stops_the_process() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    let text = reference("a", "written");
    let (begin, end) = text.split_at(text.find("  input").unwrap());
    let mut file = fs::File::create(desk.path("a.yaml")).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    file.write_all(begin.as_bytes()).unwrap();
    // Half of the file stands there for longer than a file must be still: it has faults, and what was stays.
    desk.expect(&["a.yaml: a none"], 1).await;
    assert_eq!(desk.problems[0].origin, "a.yaml");
    file.write_all(end.as_bytes()).unwrap();
    desk.expect(&["a.yaml: a written"], 0).await;
}

#[tokio::test]
async fn a_broken_file_keeps_its_process_until_it_is_corrected() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a")), ("b.yaml", &manifest("b"))]).await;
    desk.write("a.yaml", &manifest("a").replace("input", "inputs"));
    desk.expect(&["a.yaml: a none", "b.yaml: b none"], 1).await;
    assert_eq!(
        desk.problems[0].errors,
        [
            "line 5: spec.input: is missing; it must be a list of objects",
            "line 7: spec.inputs: unknown field \"inputs\", did you mean \"input\"?"
        ]
    );
    desk.stays(LONG_GONE, &["a.yaml: a none", "b.yaml: b none"]).await;
    desk.write("a.yaml", &reference("a", "corrected"));
    desk.expect(&["a.yaml: a corrected", "b.yaml: b none"], 0).await;
}

#[tokio::test]
async fn a_broken_file_that_is_removed_stops_its_process() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    desk.write("a.yaml", "[");
    desk.expect(&["a.yaml: a none"], 1).await;
    fs::remove_file(desk.path("a.yaml")).unwrap();
    desk.expect(&[], 0).await;
}

#[tokio::test]
async fn an_emptied_file_stops_its_process_when_it_stays_so() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    let emptied = Instant::now();
    desk.write("a.yaml", "");
    desk.expect(&[], 0).await;
    assert!(emptied.elapsed() >= Duration::from_secs(2), "believed after {:?}", emptied.elapsed());
}

#[tokio::test]
async fn a_config_map_is_swapped_whole() {
    let mut desk = Desk::prepared(|directory| {
        for (version, text) in [("..1", manifest("a")), ("..2", reference("a", "swapped"))] {
            fs::create_dir(directory.join(version)).unwrap();
            fs::write(directory.join(version).join("a.yaml"), text).unwrap();
        }
        fs::write(directory.join("..2/b.yaml"), manifest("b")).unwrap();
        symlink("..1", directory.join("..data")).unwrap();
        symlink("..data/a.yaml", directory.join("a.yaml")).unwrap();
    })
    .await;
    assert_eq!(desk.manifests, ["a.yaml: a none"]);
    symlink("..2", desk.path("..data_tmp")).unwrap();
    fs::rename(desk.path("..data_tmp"), desk.path("..data")).unwrap();
    symlink("..data/b.yaml", desk.path("b.yaml")).unwrap();
    fs::remove_dir_all(desk.path("..1")).unwrap();
    desk.expect(&["a.yaml: a swapped", "b.yaml: b none"], 0).await;
    fs::remove_file(desk.path("b.yaml")).unwrap();
    desk.expect(&["a.yaml: a swapped"], 0).await;
}

#[tokio::test]
async fn a_change_that_the_system_does_not_tell_is_found_by_looking() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    fs::write(&target, manifest("a")).unwrap();
    let mut desk = Desk::prepared(|directory| symlink(&target, directory.join("a.yaml")).unwrap()).await;
    // The system tells of changes in the directory, not of those behind its links.
    fs::write(&target, reference("a", "elsewhere")).unwrap();
    desk.expect(&["a.yaml: a elsewhere"], 0).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_problem_and_stops_nothing() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    fs::remove_file(desk.path("a.yaml")).unwrap();
    symlink("nowhere", desk.path("a.yaml")).unwrap();
    desk.expect(&["a.yaml: a none"], 1).await;
    assert_eq!(desk.problems[0].errors, ["is a symbolic link to nothing; correct or remove it"]);
    desk.stays(LONG_GONE, &["a.yaml: a none"]).await;
}

#[tokio::test]
async fn a_directory_that_vanishes_stops_nothing_and_is_taken_up_when_it_is_back() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    let away = desk.directory.with_file_name("away");
    fs::rename(&desk.directory, &away).unwrap();
    desk.expect(&["a.yaml: a none"], 1).await;
    assert_eq!(desk.problems[0].origin, desk.directory.display().to_string());
    desk.stays(LONG_GONE, &["a.yaml: a none"]).await;
    fs::write(away.join("b.yaml"), manifest("b")).unwrap();
    fs::rename(&away, &desk.directory).unwrap();
    desk.expect(&["a.yaml: a none", "b.yaml: b none"], 0).await;
    desk.write("c.yaml", &manifest("c"));
    desk.expect(&["a.yaml: a none", "b.yaml: b none", "c.yaml: c none"], 0).await;
}

#[tokio::test]
async fn a_directory_that_is_made_anew_is_watched_again() {
    let mut desk = Desk::with(&[("a.yaml", &manifest("a"))]).await;
    fs::remove_dir_all(&desk.directory).unwrap();
    fs::create_dir(&desk.directory).unwrap();
    desk.write("a.yaml", &reference("a", "anew"));
    desk.expect(&["a.yaml: a anew"], 0).await;
    desk.write("b.yaml", &manifest("b"));
    desk.expect(&["a.yaml: a anew", "b.yaml: b none"], 0).await;
}

#[tokio::test]
async fn hundreds_of_files_are_told_together() {
    let mut desk = Desk::prepared(|directory| {
        for number in 0..300 {
            fs::write(directory.join(format!("{number:03}.yaml")), manifest(&format!("p{number}"))).unwrap();
        }
    })
    .await;
    assert_eq!((desk.manifests.len(), desk.told), (300, 1));
    desk.write("150.yaml", &reference("p150", "changed"));
    desk.take().await;
    assert_eq!((desk.manifests.len(), desk.manifests[150].as_str()), (300, "150.yaml: p150 changed"));
}

#[tokio::test]
async fn a_watch_ends_when_it_is_told_to_and_says_so() {
    let desk = Desk::with(&[]).await;
    assert!(timeout(Duration::from_millis(100), desk.watch.ended()).await.is_err());
    let Desk { watch, mut changes, .. } = desk;
    timeout(PATIENCE, watch.shutdown()).await.unwrap();
    assert!(changes.recv().await.is_none());
}

#[tokio::test]
async fn a_watch_that_nobody_listens_to_ends() {
    let Desk { watch, changes, directory, _root, .. } = Desk::with(&[]).await;
    drop(changes);
    fs::write(directory.join("a.yaml"), manifest("a")).unwrap();
    timeout(PATIENCE, watch.ended()).await.unwrap();
}

#[test]
fn a_directory_that_cannot_be_watched_says_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let (sender, _changes) = unbounded_channel();
    let missing = root.path().join("missing");
    let Err(error @ WatchError::Missing(_)) = watch(missing.clone(), "/nowhere".into(), sender.clone()) else {
        panic!("it was watched")
    };
    assert_eq!(
        error.to_string(),
        format!(
            "the manifest directory {} does not exist; create it, or name another one (--manifests, CORE_MANIFESTS_DIR)",
            missing.display()
        )
    );
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(watch(file, "/nowhere".into(), sender), Err(WatchError::NoDirectory(_))));
}
