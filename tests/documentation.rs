//! The documents say what is there: variables, flags and commands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Arg, CommandFactory};
use dragonfork::args::{Command, PARAMETER};
use dragonfork::crd::read_manifests;
use dragonfork::plan::{Known, Plan, Surroundings};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Paths of all documents.
fn documents() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let names = std::fs::read_dir(folder).expect("there are documents").map(|entry| entry.expect("it can be read"));
    let below = names.map(|entry| format!("docs/{}", entry.file_name().to_string_lossy()));
    below.filter(|path| path.ends_with(".md")).chain(["README.md".into(), "CHANGELOG.md".into()]).collect()
}

/// Every flag of every mode.
fn arguments() -> Vec<Arg> {
    let command = Command::command();
    let arguments = command.get_subcommands().flat_map(|mode| mode.get_arguments());
    arguments.filter(|argument| !argument.is_positional()).cloned().collect()
}

fn variable(argument: &Arg) -> Option<String> {
    argument.get_env().map(|name| name.to_string_lossy().into_owned())
}

/// Words of a text that begin with `CORE_`.
fn variables(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_')
        .filter(|word| word.len() > "CORE_".len() && word.starts_with("CORE_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_flag_has_a_row_with_its_variable_and_default() {
    let document = read("docs/configuration.md");
    let rows: Vec<Vec<&str>> =
        document.lines().map(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    for argument in arguments() {
        let flag = format!("`--{}`", argument.get_long().expect("every argument is a flag"));
        // Two modes may have flags of one name.
        let of_flag: Vec<_> = rows.iter().filter(|row| row.iter().take(2).any(|cell| *cell == flag)).collect();
        assert!(!of_flag.is_empty(), "docs/configuration.md has no row for {flag}");
        let variable = variable(&argument).map(|variable| format!("`{variable}`"));
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<String> = defaults.map(|value| format!("`{}`", value.to_string_lossy())).collect();
        let is_right = |row: &&&Vec<&str>| {
            variable.as_ref().is_none_or(|variable| row[0] == variable)
                && defaults.iter().all(|value| row.contains(&value.as_str()))
        };
        assert!(
            of_flag.iter().any(|row| is_right(&row)),
            "{flag}: its variable is {variable:?}, its default {defaults:?}"
        );
    }
}

#[test]
fn no_document_names_a_variable_that_is_not_there() {
    let mut known: BTreeSet<String> = arguments().iter().filter_map(variable).collect();
    known.insert(PARAMETER.into());
    for document in documents() {
        let unknown: Vec<String> = variables(&read(&document)).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{document} names {unknown:?}");
    }
}

/// Points of the conformance list of WHEP.
const CONFORMANCE_POINTS: usize = 68;

/// The numbers in the names of tests: `whep_046_054_…` has two.
fn numbers(code: &str) -> BTreeSet<usize> {
    let names = code.split("async fn whep_").skip(1);
    names.flat_map(|name| name.split('_').map_while(|word| word.parse().ok())).collect()
}

#[test]
fn every_point_of_the_conformance_list_is_tested_or_has_its_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http");
    let files = |folder: PathBuf| std::fs::read_dir(folder).expect("there are tests");
    let files = files(folder.clone()).chain(files(folder.join("conformance")));
    let files = files.map(|file| file.expect("it can be read").path()).filter(|path| path.is_file());
    let code: String = files.map(|path| std::fs::read_to_string(path).expect("it is text")).collect();
    let tested = numbers(&code);
    let document = read("docs/whep.md");
    let (_, list) = document.split_once("\n## Conformance\n").expect("docs/whep.md has the list");
    let list = list.split("\n## ").next().expect("there is a first");
    let deviations: BTreeSet<usize> =
        list.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()?.trim().parse().ok()).collect();
    let wanted: BTreeSet<usize> = (1..=CONFORMANCE_POINTS).collect();
    let both: Vec<_> = tested.intersection(&deviations).collect();
    assert!(both.is_empty(), "{both:?} are tested, and docs/whep.md says that they are not so");
    let known: BTreeSet<usize> = tested.union(&deviations).copied().collect();
    assert_eq!(known, wanted, "the points that are tested or stand in docs/whep.md");
}

#[test]
fn the_numbers_of_a_test_are_those_before_its_sentence() {
    assert_eq!(numbers("async fn whep_046_054_candidates_of_8_viewers() {}"), BTreeSet::from([46, 54]));
}

/// Texts of all tests and of what they test, without those of the corpus of the fuzzer.
fn sources() -> String {
    fn gather(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("there are sources").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                gather(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("it can be read"));
            }
        }
    }
    let mut text = String::new();
    ["src", "tests"].iter().for_each(|folder| gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut text));
    text
}

/// Names of the functions of a text.
fn functions(text: &str) -> BTreeSet<&str> {
    text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next()).collect()
}

/// The rows of datarhei Core that the name of a test begins with: `c003_c004_…`, `c034_to_c039_…`.
fn rows_of(name: &str) -> Vec<u32> {
    let (mut rows, mut is_range) = (Vec::<u32>::new(), false);
    for word in name.split('_') {
        let digits = word.strip_prefix('c').filter(|digits| digits.len() == 3);
        match digits.and_then(|digits| digits.parse::<u32>().ok()) {
            Some(row) if is_range => rows.extend(rows.last().map_or(row, |last: &u32| *last + 1)..=row),
            Some(row) => rows.push(row),
            None if word == "to" && !rows.is_empty() => {}
            None => break,
        }
        is_range = word == "to";
    }
    rows
}

/// What `docs/conformance.md` says of a row.
const VERDICTS: [&str; 5] = ["keep", "keep+", "change", "add", "mend"];

#[test]
fn every_row_of_the_conformance_table_names_tests_that_are_there_and_every_such_test_has_its_row() {
    let (document, sources) = (read("docs/conformance.md"), sources());
    let functions = functions(&sources);
    let mut known = BTreeSet::new();
    for row in document.lines().filter(|line| ["| C", "| F", "| X"].iter().any(|start| line.starts_with(start))) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [rows, what, verdict, tests] = cells[..] else { panic!("four cells, not {cells:?}") };
        assert!(!what.is_empty() && !tests.is_empty(), "{row}");
        let verdict = verdict.split([';', ':']).next();
        assert!(verdict.is_some_and(|verdict| VERDICTS.contains(&verdict)), "{row}");
        for name in tests.split('`').skip(1).step_by(2) {
            let is_file = name.contains('/') && Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists();
            assert!(functions.contains(name) || is_file, "{rows}: there is no {name}");
        }
        known.extend(rows.split(", ").filter_map(|row| row.strip_prefix('C')?.parse::<u32>().ok()));
    }
    for name in functions {
        let missing: Vec<u32> = rows_of(name).into_iter().filter(|row| !known.contains(row)).collect();
        assert!(missing.is_empty(), "{name}: docs/conformance.md has no row {missing:?}");
    }
}

#[test]
fn the_rows_of_a_test_are_those_that_its_name_begins_with() {
    assert_eq!(rows_of("c003_c004_what_was_started"), [3, 4]);
    assert_eq!(rows_of("c034_to_c037_and_so_on_c040"), [34, 35, 36, 37]);
    assert!(rows_of("create_c001").is_empty());
}

#[test]
fn the_readme_leads_to_the_whole_configuration() {
    assert!(read("README.md").contains("(docs/configuration.md)"));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in documents() {
        let text = read(&document);
        let targets = text.split("](").skip(1).filter_map(|after| after.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            let folder = root.join(&document);
            let path = folder.parent().expect("a document stands in a folder").join(target);
            assert!(path.exists(), "{document} leads to {target}, which is not there");
        }
    }
}

#[test]
fn the_first_manifest_of_the_readme_is_accepted() {
    let readme = read("README.md");
    let (_, after) = readme.split_once("```yaml\n").expect("there is one");
    let (text, _) = after.split_once("```").expect("it ends");
    let reading = read_manifests(text);
    assert!(reading.faults.is_empty(), "{:?}", reading.faults);
    let [document] = &reading.manifests[..] else { panic!("it is one manifest") };
    assert!(Plan::new(&document.manifest, &Surroundings::new("/data"), &Known::default()).is_ok());
}

#[test]
fn the_commands_of_the_readme_are_what_the_makefile_has_and_the_checks_run() {
    let (readme, makefile, checks) = (read("README.md"), read("Makefile"), read(".ci/run"));
    for target in ["run", "test"] {
        assert!(readme.contains(&format!("make {target}")), "README.md names make {target}");
        assert!(makefile.contains(&format!("\n{target}:\n")), "the Makefile has {target}");
    }
    for command in ["make lint", "make test"] {
        assert!(checks.lines().any(|line| line.starts_with(command)), ".ci/run calls {command}");
    }
}
