//! A file of datarhei Core's -> manifests, what is kept beside them, and what could not be carried.
//!
//! Read are `db.json` of version 4, which keeps processes in a flat form of their own, and what the API shows: one process,
//! a list of them, or a bare configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

use serde_json::{Map, Value, json};

use super::carry::{Carried, carry};
use super::config::{is_nothing, read_config};
use super::credentials::take_out;
use super::kept::Kept;
use crate::crd::RestreamProcess;

/// The version of `db.json` that there is.
const VERSION: u64 = 4;
const MEBIBYTE: u64 = 1 << 20;

/// What a file becomes.
#[derive(Default)]
pub struct Conversion {
    /// Its processes, in their order.
    pub processes: Vec<Outcome>,
    /// What clients wanted to be remembered of no process.
    pub metadata: Map<String, Value>,
    /// What of the file itself could not be carried, each with its path.
    pub left: Vec<String>,
    /// What was not carried because nobody misses it.
    pub notes: BTreeSet<&'static str>,
}

/// What a process becomes.
pub struct Outcome {
    /// Its id, or its place in the file where it has none.
    pub id: String,
    /// The process, or every reason why it is none.
    pub process: Result<Converted, Vec<String>>,
    /// What of it could not be carried, each with its path.
    pub left: Vec<String>,
}

/// A process that was carried.
pub struct Converted {
    /// Its manifest, whose parameters take their values from the Secret of the same name.
    pub manifest: RestreamProcess,
    /// The values of that Secret.
    pub secret: BTreeMap<String, String>,
    /// What a manifest has no place for.
    pub kept: Kept,
}

/// Why a file is none of datarhei Core's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// It has another shape.
    #[error(
        "this is neither db.json nor a process: an object or a list is needed, with input and output, config, or process"
    )]
    Shape,
    /// It is of another version.
    #[error("version: {0} cannot be read, {VERSION} can; start datarhei Core 16 with it once, which brings it there")]
    Version(Value),
}

/// Carries every process of a file. `cores` are those that datarhei Core took for 100 % of the CPU.
pub fn convert(json: Value, cores: NonZero<usize>) -> Result<Conversion, ConvertError> {
    let mut conversion = Conversion::default();
    match json {
        Value::Object(file) if file.contains_key("process") || file.contains_key("version") => {
            conversion.database(file, cores)?;
        }
        Value::Object(process) if is_process(&process) => conversion.process(String::new(), process, cores),
        Value::Array(list) => {
            for (at, process) in list.into_iter().enumerate() {
                match process {
                    Value::Object(process) if is_process(&process) => {
                        conversion.process(format!("[{at}]"), process, cores)
                    }
                    _ => conversion
                        .refuse(format!("[{at}]"), "is no process with its config; ask for filter=config,metadata"),
                }
            }
        }
        _ => return Err(ConvertError::Shape),
    }
    Ok(conversion)
}

fn is_process(object: &Map<String, Value>) -> bool {
    ["config", "input", "output"].iter().any(|name| object.contains_key(*name))
}

impl Conversion {
    fn database(&mut self, mut file: Map<String, Value>, cores: NonZero<usize>) -> Result<(), ConvertError> {
        let version = file.shift_remove("version").unwrap_or_default();
        if version.as_u64() != Some(VERSION) {
            return Err(ConvertError::Version(version));
        }
        let mut metadata = object(file.shift_remove("metadata"));
        let mut of_processes = object(metadata.shift_remove("process"));
        self.metadata = object(metadata.shift_remove("system"));
        self.unknown("metadata.", metadata);
        let processes = object(file.shift_remove("process"));
        self.unknown("", file);
        for (id, process) in processes {
            let Value::Object(mut process) = process else {
                self.refuse(format!("process.{id}"), "is no process");
                continue;
            };
            process.entry("id").or_insert_with(|| json!(id));
            process.insert("metadata".into(), of_processes.shift_remove(&id).unwrap_or_default());
            self.process(format!("process.{id}"), process, cores);
        }
        self.unknown("metadata.process.", of_processes);
        Ok(())
    }

    /// Carries a process with its configuration in it, or its configuration alone.
    fn process(&mut self, place: String, mut wrapper: Map<String, Value>, cores: NonZero<usize>) {
        let mut left = Vec::new();
        let (mut config, created_at, order, metadata) = match wrapper.shift_remove("config") {
            None => (Value::Object(wrapper), None, None, Map::new()),
            Some(mut config) => {
                for name in ["id", "type", "reference"] {
                    let (fields, outside) = (config.as_object_mut(), wrapper.shift_remove(name));
                    if let (Some(fields), Some(outside)) = (fields, outside)
                        && fields.get(name).is_none_or(is_nothing)
                    {
                        fields.insert(name.into(), outside);
                    }
                }
                let state = wrapper.shift_remove("state").unwrap_or_default();
                let order = wrapper.shift_remove("order").or_else(|| state.get("order").cloned());
                let created_at = wrapper.shift_remove("created_at").and_then(|created| created.as_u64());
                let metadata = object(wrapper.shift_remove("metadata"));
                if wrapper.shift_remove("updated_at").is_some() {
                    self.notes.insert("updated_at: the time of the file takes its place");
                }
                if wrapper.shift_remove("report").is_some() || !state.is_null() {
                    self.notes.insert("state, report: they tell what was, not what is wanted");
                }
                let rest = wrapper.iter().filter(|(_, value)| !is_nothing(value));
                left.extend(rest.map(|(name, _)| format!("{name}: is not known here")));
                (config, created_at, order, metadata)
            }
        };
        if config.as_object_mut().is_some_and(|config| config.shift_remove("ffversion").is_some()) {
            self.notes.insert("ffversion: FFmpeg is asked itself");
        }
        nest_limits(&mut config, &mut left);
        let id = config.get("id").and_then(Value::as_str).map(str::to_owned).filter(|id| !id.is_empty());
        let process = match &id {
            None => Err(vec!["id: is needed".into()]),
            Some(id) if self.processes.iter().any(|before| before.id == *id) => {
                Err(vec![format!("id: {id} is in the file twice")])
            }
            Some(_) => carried(config, order.as_ref(), cores, &mut left),
        };
        let process = process.map(|mut converted| {
            converted.kept.created_at = created_at;
            converted.kept.metadata = metadata;
            converted
        });
        self.processes.push(Outcome { id: id.unwrap_or(place), process, left });
    }

    fn refuse(&mut self, id: String, why: &str) {
        self.processes.push(Outcome { id, process: Err(vec![why.into()]), left: Vec::new() });
    }

    fn unknown(&mut self, path: &str, rest: Map<String, Value>) {
        let rest = rest.into_iter().filter(|(_, value)| !is_nothing(value));
        self.left.extend(rest.map(|(name, _)| format!("{path}{name}: nothing here belongs to it")));
    }
}

/// Makes the manifest of a configuration with an id.
fn carried(
    config: Value,
    order: Option<&Value>,
    cores: NonZero<usize>,
    left: &mut Vec<String>,
) -> Result<Converted, Vec<String>> {
    let (mut config, unknown) = read_config(config).map_err(|error| vec![error.to_string()])?;
    left.extend(unknown);
    for (at, input) in config.input.iter_mut().enumerate().filter(|(_, input)| !input.cleanup.is_empty()) {
        input.cleanup.clear();
        left.push(format!("input[{at}].cleanup: cleans nothing, with datarhei Core neither"));
    }
    let id = config.id.clone();
    let Carried { mut manifest, kept, without_effect } = carry(config, None, cores)?;
    left.extend(without_effect);
    match order.and_then(Value::as_str) {
        Some("start") => manifest.spec.suspend = false,
        Some("stop") => manifest.spec.suspend = true,
        Some("") | None => {}
        Some(other) => left.push(format!("order: {other:?} is neither start nor stop; autostart decides")),
    }
    let name = manifest.metadata.name.clone().unwrap_or_default();
    let (secret, stayed) = take_out(&mut manifest.spec, &name);
    left.extend(stayed);
    // With a namespace the id would be another one.
    manifest.spec.process_id = Some(id);
    Ok(Converted { manifest, secret, kept })
}

/// The limits of `db.json`, which are flat and count in bytes, as those of the API.
fn nest_limits(config: &mut Value, left: &mut Vec<String>) {
    let Some(config) = config.as_object_mut() else { return };
    let mut limits = Map::new();
    for (flat, nested) in [("limit_cpu_usage", "cpu_usage"), ("limit_waitfor_seconds", "waitfor_seconds")] {
        limits.extend(config.shift_remove(flat).map(|value| (nested.to_owned(), value)));
    }
    if let Some(bytes) = config.shift_remove("limit_memory_bytes") {
        let mebibytes = bytes.as_u64().map(|bytes| bytes.div_ceil(MEBIBYTE));
        if bytes.as_u64().is_some_and(|bytes| !bytes.is_multiple_of(MEBIBYTE)) {
            left.push(format!("limit_memory_bytes: {bytes} is no whole number of MiB; the next one is taken"));
        }
        limits.insert("memory_mbytes".into(), mebibytes.map_or(bytes, Value::from));
    }
    if !limits.is_empty() {
        config.insert("limits".into(), Value::Object(limits));
    }
}

/// An object; nothing else than one is any.
fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::Limits;

    const CORES: NonZero<usize> = NonZero::new(4).expect("four are some");

    fn converted(json: Value) -> Conversion {
        convert(json, CORES).expect("it is a file of datarhei Core's")
    }

    fn bare(id: &str) -> Value {
        json!({"id": id, "input": [{"id": "i", "address": "testsrc"}], "output": [{"id": "o", "address": "-"}]})
    }

    fn one(json: Value) -> (Converted, Vec<String>, BTreeSet<&'static str>) {
        let mut conversion = converted(json);
        assert_eq!(conversion.processes.len(), 1);
        let Outcome { process, left, .. } = conversion.processes.remove(0);
        (process.unwrap_or_else(|why| panic!("{why:?}")), left, conversion.notes)
    }

    #[test]
    fn f49_a_database_becomes_manifests_with_limits_order_and_metadata() {
        let mut config = bare("restreamer-ui:ingest:1");
        for (name, value) in [
            ("ffversion", json!("^5.1.2")),
            ("limit_cpu_usage", json!(50.0)),
            ("limit_memory_bytes", json!(MEBIBYTE + 1)),
            ("limit_waitfor_seconds", json!(5)),
            ("autostart", json!(true)),
            ("reconnect_delay_seconds", json!(15)),
        ] {
            config[name] = value;
        }
        let file = json!({
            "version": 4,
            "process": {"restreamer-ui:ingest:1": {"id": "restreamer-ui:ingest:1", "reference": "", "config": config,
                "created_at": 1_700_000_000, "updated_at": 1_700_000_001, "order": "stop"}},
            "metadata": {"system": {"restreamer-ui": {"a": 1}}, "process": {
                "restreamer-ui:ingest:1": {"restreamer-ui": {"b": 2}}, "gone": {"x": 1}}},
        });
        let conversion = converted(file.clone());
        assert_eq!(conversion.metadata["restreamer-ui"]["a"], 1);
        assert_eq!(conversion.left, ["metadata.process.gone: nothing here belongs to it"]);
        let (Converted { manifest, kept, .. }, left, notes) = one(file);
        assert!(manifest.spec.suspend, "its order was stop");
        let limits = Limits { cpu_percent: Some(200), memory_mib: Some(2), wait_for_seconds: 5 };
        assert_eq!(manifest.spec.limits, Some(limits));
        assert_eq!(manifest.spec.process_id.as_deref(), Some("restreamer-ui:ingest:1"));
        assert_eq!((kept.created_at, &kept.metadata["restreamer-ui"]["b"]), (Some(1_700_000_000), &json!(2)));
        assert!(left.len() == 1 && left[0].starts_with("limit_memory_bytes: 1048577"), "{left:?}");
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn what_the_api_shows_is_read_in_each_of_its_forms() {
        let shown = json!({"id": "b", "type": "ffmpeg", "reference": "r", "created_at": 5, "config": bare("b"),
            "state": {"order": "stop", "exec": "finished"}, "metadata": {"k": "v"}});
        let conversion = converted(json!([bare("a"), shown]));
        let ids: Vec<&str> = conversion.processes.iter().map(|outcome| outcome.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        let suspended: Vec<bool> = conversion
            .processes
            .iter()
            .map(|outcome| outcome.process.as_ref().is_ok_and(|one| one.manifest.spec.suspend))
            .collect();
        assert_eq!(suspended, [false, true]);
        let (Converted { kept, .. }, left, _) = one(shown);
        assert_eq!((kept.created_at, &kept.metadata["k"], left.len()), (Some(5), &json!("v"), 0));
        assert_eq!(one(bare("a")).0.manifest.spec.process_id.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_not_carried_is_told_by_its_path() {
        let mut config = bare("a");
        config["scheduler"] = json!("* * * * *");
        config["input"][0]["cleanup"] = json!([{"pattern": "memfs:/x"}]);
        let (_, left, _) = one(json!({"id": "a", "config": config, "order": "rest", "owner": "me"}));
        let paths: Vec<&str> = left.iter().filter_map(|what| what.split(": ").next()).collect();
        assert_eq!(paths, ["owner", "scheduler", "input[0].cleanup", "order"]);
    }

    #[test]
    fn what_is_no_process_is_refused_and_hides_no_other() {
        let conversion =
            converted(json!([bare("a"), bare("a"), {"id": "b", "state": {}}, 5, {"input": []}, bare("c")]));
        let outcomes: Vec<(&str, bool)> =
            conversion.processes.iter().map(|outcome| (outcome.id.as_str(), outcome.process.is_ok())).collect();
        assert_eq!(outcomes, [("a", true), ("a", false), ("[2]", false), ("[3]", false), ("[4]", false), ("c", true)]);
    }

    #[test]
    fn another_file_is_refused() {
        let error = |json| convert(json, CORES).err();
        assert_eq!(error(json!({"version": 3, "process": {}})), Some(ConvertError::Version(json!(3))));
        assert_eq!(error(json!({"process": {}})), Some(ConvertError::Version(Value::Null)));
        for json in [json!(1), json!({}), json!("x"), json!({"a": 1})] {
            assert_eq!(error(json), Some(ConvertError::Shape));
        }
    }
}
