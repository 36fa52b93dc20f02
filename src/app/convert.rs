//! `dragonfork convert`: what datarhei Core ran, as manifests.

use std::fmt::Write;
use std::io::Read;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;

use super::surroundings::of_environment;
use crate::args::{self, Secrets};
use crate::core::{self, Conversion, Kept, Outcome, Stored};
use crate::crd::{RestreamProcess, read_manifests};
use crate::plan::{self, Known, Obstacle, Plan, Secret, Surroundings};
use crate::source::{self, Place};

/// Exit code where something was not carried.
pub const NOT_WHOLE: u8 = 3;

/// Folders below the one that is written to, named as `standalone` looks for them.
const MANIFESTS: &str = "manifests";
const SECRETS: &str = "secrets";
const REMEMBERED: &str = "config";
/// What the program remembers of processes.
const STORE: &str = "api.json";

/// What came of it.
pub struct Converted {
    /// For standard output: the manifests, or the files that were written.
    pub text: String,
    /// For standard error: what was not carried, and why.
    pub told: String,
    /// Everything was carried.
    pub is_whole: bool,
}

/// A process that was carried, read and written again.
struct Written {
    manifest: RestreamProcess,
    text: String,
    secret: Vec<(String, String)>,
    kept: Kept,
}

/// What is told of the way.
#[derive(Default)]
struct Told {
    text: String,
    is_incomplete: bool,
}

/// Carries the processes of a file. Each is proven with what `standalone` would be configured with, and one that would be
/// refused is told and not written. Nothing is written where a file is there already.
pub fn convert(config: &args::Convert) -> anyhow::Result<Converted> {
    let args::Convert { file, out, secrets, cores } = config;
    let cores = cores.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN);
    let json = serde_json::from_str(&read(file)?).with_context(|| format!("{} is no JSON", file.display()))?;
    let Conversion { processes, metadata, left, notes } =
        core::convert(json, cores).with_context(|| file.display().to_string())?;
    let surroundings = of_environment()?;
    let mut told = Told::default();
    left.iter().for_each(|left| told.left("not carried", left));
    let written = proven(processes, &surroundings, &mut told);
    for note in notes {
        told.note(note);
    }
    let text = match (out, secrets.unwrap_or(if out.is_some() { Secrets::Directory } else { Secrets::Manifest })) {
        (Some(out), Secrets::Directory) => place(&directory(out, written, metadata)?)?,
        (out, _) => {
            told.forget(&metadata, &written);
            let documents = written.iter().map(|process| Ok((file_of(&process.manifest), with_secret(process)?)));
            let documents: Vec<(String, String)> = documents.collect::<anyhow::Result<_>>()?;
            match out {
                Some(out) => {
                    let files = documents.into_iter().map(|(name, text)| (out.clone(), name, text));
                    place(&files.collect::<Vec<_>>())?
                }
                None => documents.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("---\n"),
            }
        }
    };
    Ok(Converted { text, told: told.text, is_whole: !told.is_incomplete })
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// The processes that the program would take, as it would read them.
fn proven(processes: Vec<Outcome>, surroundings: &Surroundings, told: &mut Told) -> Vec<Written> {
    let mut read = Vec::new();
    for Outcome { id, process, left } in processes {
        left.iter().for_each(|left| told.left("not carried", &format!("{id}: {left}")));
        let process = process.and_then(|core::Converted { manifest, secret, kept }| {
            let (manifest, text) = reread(&manifest)?;
            Ok(Written { manifest, text, secret: secret.into_iter().collect(), kept })
        });
        match process {
            Ok(process) => read.push((id, process)),
            Err(why) => told.refused(&id, &why),
        }
    }
    let mut known = Known::default();
    for (_, process) in &read {
        let name = name_of(&process.manifest);
        let values = process.secret.iter();
        known.values.extend(values.map(|(key, value)| ((name.to_owned(), key.clone()), Ok(Secret::new(value)))));
    }
    for (_, process) in &read {
        let outputs = plan::outputs(&process.manifest, surroundings, &known);
        known.outputs.extend(outputs.map(|outputs| (plan::process_id(&process.manifest), outputs)));
    }
    let mut written = Vec::new();
    for (id, process) in read {
        match Plan::new(&process.manifest, surroundings, &known) {
            Ok(_) => written.push(process),
            Err(Obstacle::Refused(why)) => told.refused(&id, &why),
            Err(Obstacle::Missing(missing)) => {
                missing.iter().for_each(|missing| told.left("will wait", &format!("{id}: {}", missing.message)));
                written.push(process);
            }
        }
    }
    written
}

/// A manifest as it is read again, and its text.
fn reread(manifest: &RestreamProcess) -> Result<(RestreamProcess, String), Vec<String>> {
    let text = serde_yaml::to_string(manifest).map_err(|error| vec![error.to_string()])?;
    let mut reading = read_manifests(&text);
    match reading.manifests.pop() {
        Some(document) if reading.faults.is_empty() => Ok((document.manifest, text)),
        _ => Err(reading.faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()),
    }
}

/// A manifest with its Secret before it.
fn with_secret(Written { manifest, text, secret, kept: _ }: &Written) -> anyhow::Result<String> {
    if secret.is_empty() {
        return Ok(text.clone());
    }
    let values: serde_json::Map<_, _> = secret.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name_of(manifest)},
        "type": "Opaque",
        "stringData": values,
    });
    Ok(format!("{}---\n{text}", serde_yaml::to_string(&secret)?))
}

/// Directory, name and text of each file that `standalone` reads: manifests, Secrets, what is remembered.
fn directory(
    out: &Path,
    written: Vec<Written>,
    metadata: serde_json::Map<String, serde_json::Value>,
) -> anyhow::Result<Vec<(PathBuf, String, String)>> {
    let mut files = Vec::new();
    let mut stored = Stored { metadata, ..Stored::default() };
    for Written { manifest, text, secret, kept } in written {
        for (key, value) in secret {
            // The end of the line is no part of a value.
            files.push((out.join(SECRETS).join(name_of(&manifest)), key, format!("{value}\n")));
        }
        files.push((out.join(MANIFESTS), file_of(&manifest), text));
        stored.processes.insert(plan::process_id(&manifest).to_string(), kept);
    }
    files.push((out.join(REMEMBERED), STORE.into(), serde_json::to_string_pretty(&stored)?));
    Ok(files)
}

/// Writes files that must not be there yet, and tells which.
fn place(files: &[(PathBuf, String, String)]) -> anyhow::Result<String> {
    let paths: Vec<PathBuf> = files.iter().map(|(directory, name, _)| directory.join(name)).collect();
    let there: Vec<String> =
        paths.iter().filter(|path| path.symlink_metadata().is_ok()).map(|path| path.display().to_string()).collect();
    if !there.is_empty() {
        bail!("nothing was written, because no file is overwritten: {}", there.join(", "));
    }
    let mut text = String::new();
    for ((directory, name, content), path) in files.iter().zip(&paths) {
        source::place(directory, name, content.as_bytes(), Place::New)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        writeln!(text, "{}", path.display())?;
    }
    Ok(text)
}

fn name_of(manifest: &RestreamProcess) -> &str {
    manifest.metadata.name.as_deref().unwrap_or_default()
}

fn file_of(manifest: &RestreamProcess) -> String {
    format!("{}.yaml", name_of(manifest))
}

impl Told {
    fn left(&mut self, what: &str, why: &str) {
        self.is_incomplete = true;
        self.text.push_str(&format!("{what}: {why}\n"));
    }

    fn refused(&mut self, id: &str, why: &[String]) {
        why.iter().for_each(|why| self.left("refused", &format!("{id}: {why}")));
    }

    fn note(&mut self, why: &str) {
        self.text.push_str(&format!("not needed: {why}\n"));
    }

    /// What stands beside manifests has no place where nothing but manifests is written.
    fn forget(&mut self, metadata: &serde_json::Map<String, serde_json::Value>, written: &[Written]) {
        const WHERE: &str = "has its place in config/api.json, which --out DIR --secrets directory writes";
        for key in metadata.keys() {
            self.left("not carried", &format!("metadata {key}: {WHERE}"));
        }
        for Written { manifest, kept, .. } in written {
            let id = plan::process_id(manifest);
            for key in kept.metadata.keys() {
                self.left("not carried", &format!("{id}: metadata {key}: {WHERE}"));
            }
            if kept.limits.waitfor_seconds > 0 && manifest.spec.limits.is_none() {
                self.note(&format!("{id}: limits.waitfor_seconds: there is no limit to exceed"));
            }
        }
        if !written.is_empty() {
            self.note("created_at, autostart: the manifest says whether a process runs");
        }
    }
}
