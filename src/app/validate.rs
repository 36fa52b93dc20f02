//! `dragonfork validate`: what the API server says of manifests, and what this program makes of them, without either.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::surroundings::of_environment;
use crate::args;
use crate::crd::{self, Fault, Reading, read_manifests};
use crate::plan::{self, Known, Obstacle, Plan, Surroundings};
use crate::source;

/// What came of it.
pub struct Validated {
    /// For standard output.
    pub text: String,
    /// Nothing is refused.
    pub is_accepted: bool,
}

/// All files together.
#[derive(Serialize)]
struct Report {
    /// Nothing is refused.
    accepted: bool,
    /// Manifests that would run, or wait for what is missing.
    manifests: usize,
    files: Vec<File>,
}

/// One file and what is said of it.
#[derive(Serialize)]
struct File {
    file: String,
    manifests: usize,
    findings: Vec<Finding>,
}

/// One thing that is said of a file.
#[derive(Serialize)]
struct Finding {
    verdict: Verdict,
    #[serde(flatten)]
    place: Place,
}

/// Who says it, and whether it stops anything.
#[derive(Clone, Copy, PartialEq, Serialize)]
enum Verdict {
    /// Nobody can read the file.
    Unreadable,
    /// The API server refuses it, and so does this program.
    Refused,
    /// The API server takes it, and then its condition `Accepted` is `False`.
    NotAccepted,
    /// It waits for something that is not among these files.
    Waits,
}

/// Where it stands and what it is.
#[derive(Serialize)]
struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    message: String,
    #[serde(skip)]
    text: String,
}

/// Judges files, those of directories, and standard input.
pub fn validate(config: &args::Validate) -> anyhow::Result<Validated> {
    let args::Validate { files, json } = config;
    let surroundings = of_environment()?;
    let mut texts = Vec::new();
    for file in files {
        gather(file, &mut texts);
    }
    let report = judge(texts, &surroundings);
    let text = if *json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text() };
    Ok(Validated { text, is_accepted: report.accepted })
}

/// Name and text of a file, or of each file of a directory; or why there is none.
fn gather(file: &Path, texts: &mut Vec<(String, Result<String, String>)>) {
    let name = file.display().to_string();
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text).context("standard input cannot be read");
        texts.push(("standard input".into(), read.map(|_| text).map_err(|error| format!("{error:#}"))));
    } else if file.is_dir() {
        match source::read_all(file) {
            Ok(files) if files.is_empty() => {
                texts.push((name, Err("no file of this directory ends with .yaml or .yml".into())));
            }
            Ok(files) => {
                texts.extend(files.into_iter().map(|(name, text)| (file.join(name).display().to_string(), text)));
            }
            Err(error) => texts.push((name, Err(format!("cannot be listed: {error}")))),
        }
    } else {
        texts.push((name, std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))));
    }
}

fn judge(texts: Vec<(String, Result<String, String>)>, surroundings: &Surroundings) -> Report {
    let read = |(file, text): (String, Result<String, String>)| (file, text.map(|text| read_manifests(&text)));
    let readings: Vec<(String, Result<Reading, String>)> = texts.into_iter().map(read).collect();
    let known = known(readings.iter().filter_map(|(_, reading)| reading.as_ref().ok()), surroundings);
    let files: Vec<File> = readings
        .into_iter()
        .map(|(file, reading)| match reading {
            Ok(reading) => judge_file(file, reading, surroundings, &known),
            Err(why) => File { file, manifests: 0, findings: vec![Finding::unreadable(why)] },
        })
        .collect();
    let accepted = files.iter().flat_map(|file| &file.findings).all(|finding| finding.verdict == Verdict::Waits);
    Report { accepted, manifests: files.iter().map(|file| file.manifests).sum(), files }
}

/// What manifests can refer to among themselves.
fn known<'r>(readings: impl Iterator<Item = &'r Reading>, surroundings: &Surroundings) -> Known {
    let mut known = Known::default();
    for document in readings.flat_map(|reading| &reading.manifests) {
        let outputs = plan::outputs(&document.manifest, surroundings, &Known::default());
        known.outputs.extend(outputs.map(|outputs| (plan::process_id(&document.manifest), outputs)));
    }
    known
}

fn judge_file(file: String, reading: Reading, surroundings: &Surroundings, known: &Known) -> File {
    let mut findings: Vec<Finding> =
        reading.faults.into_iter().map(|fault| Finding::new(Verdict::Refused, fault)).collect();
    let mut manifests = 0;
    for document in reading.manifests {
        let (verdict, why) = match Plan::new(&document.manifest, surroundings, known) {
            Ok(_) => (Verdict::Waits, Vec::new()),
            Err(Obstacle::Refused(why)) => (Verdict::NotAccepted, why),
            Err(Obstacle::Missing(missing)) => {
                (Verdict::Waits, missing.into_iter().map(|missing| missing.message).collect())
            }
        };
        manifests += usize::from(verdict == Verdict::Waits);
        findings.extend(why.into_iter().map(|message| Finding::new(verdict, at(&document, message))));
    }
    findings.sort_by_key(|finding| (finding.place.document, finding.place.line));
    File { file, manifests, findings }
}

/// What is said of a manifest as a whole; it names its field itself.
fn at(document: &crd::Document, message: String) -> Fault {
    Fault { document: document.number, line: Some(document.line), column: None, path: String::new(), message }
}

impl Finding {
    fn new(verdict: Verdict, fault: Fault) -> Self {
        let text = fault.to_string();
        let Fault { document, line, column, path, message } = fault;
        Self { verdict, place: Place { document: Some(document), line, column, field: path, message, text } }
    }

    fn unreadable(why: String) -> Self {
        let (document, line, column, field) = (None, None, None, String::new());
        let place = Place { document, line, column, field, text: why.clone(), message: why };
        Self { verdict: Verdict::Unreadable, place }
    }
}

impl Report {
    /// A line for each finding, and one that counts.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut counts = [0; 4];
        for file in &self.files {
            for Finding { verdict, place } in &file.findings {
                counts[*verdict as usize] += 1;
                let what = match verdict {
                    Verdict::Unreadable | Verdict::Refused => "",
                    Verdict::NotAccepted => "Accepted=False: ",
                    Verdict::Waits => "note: ",
                };
                let _ = writeln!(text, "{}: {what}{}", file.file, place.text);
            }
        }
        let [unreadable, refused, not_accepted, waits] = counts;
        let _ = write!(text, "{} in order", plural(self.manifests, "manifest"));
        for (count, what) in [
            (unreadable, "unreadable"),
            (refused, "refused by the API server"),
            (not_accepted, "refused when it is to run (Accepted=False)"),
        ] {
            if count > 0 {
                let _ = write!(text, ", {} {what}", plural(count, "finding"));
            }
        }
        if waits > 0 {
            let _ = write!(text, ", {}", plural(waits, "note"));
        }
        text.push('\n');
        text
    }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
