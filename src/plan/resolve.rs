//! The one step from what a manifest says to what FFmpeg is told: placeholders, then parameters, then references to
//! other processes, then the bounds of addresses and options. What was checked is what FFmpeg gets.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{Place, check_host, is_tee, tee_address, tee_legs};
use super::options::{self, Bounds, Item};
use super::placeholders::{Template, replace};
use super::surroundings::{Known, Missing, Referent, Side, Surroundings};
use super::{Io, Key, Secret, files, graph, params};
use crate::crd::{self, KeyRef, Param, RestreamProcessSpec, ValueFrom};
use crate::files::Rule;

/// Resolves the texts of one manifest, and gathers what is wrong and what is missing.
pub struct Resolver<'a> {
    surroundings: &'a Surroundings,
    known: &'a Known,
    key: &'a Key,
    reference: &'a str,
    parameters: BTreeMap<String, Secret>,
    /// What is wrong, each with its path.
    pub refused: Vec<String>,
    /// What is not there.
    pub missing: Vec<Missing>,
}

/// What the names of a process and of one of its inputs or outputs are.
#[derive(Clone, Copy)]
struct Names<'a> {
    process: &'a str,
    reference: &'a str,
    /// `inputid` or `outputid`, and the id.
    io: Option<(&'static str, &'a str)>,
}

/// Where a text stands, which decides what it may hold.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Global,
    Option,
    Address(Side),
}

impl<'a> Resolver<'a> {
    /// Reads the parameters of a manifest.
    pub fn new(spec: &'a RestreamProcessSpec, key: &'a Key, surroundings: &'a Surroundings, known: &'a Known) -> Self {
        let mut resolver = Self {
            surroundings,
            known,
            key,
            reference: spec.reference.as_deref().unwrap_or_default(),
            parameters: surroundings.parameters.clone(),
            refused: Vec::new(),
            missing: Vec::new(),
        };
        for (at, param) in spec.params.iter().enumerate() {
            resolver.parameter(at, param);
        }
        resolver
    }

    /// What must be seen nowhere: values of parameters, and what the configuration puts into addresses.
    pub fn secrets(&self) -> Vec<Secret> {
        self.parameters.values().chain(self.surroundings.secrets()).cloned().collect()
    }

    fn parameter(&mut self, at: usize, Param { name, value, value_from }: &Param) {
        let given = match (value, value_from) {
            (Some(value), _) => Some(Secret::new(params::expand(value, &self.parameters))),
            (None, Some(ValueFrom { secret_key_ref, config_map_key_ref })) => {
                secret_key_ref.as_ref().or(config_map_key_ref.as_ref()).and_then(|key| self.value(at, name, key))
            }
            (None, None) => None,
        };
        if let Some(given) = given {
            self.parameters.insert(name.clone(), given);
        }
    }

    fn value(&mut self, at: usize, parameter: &str, KeyRef { name, key }: &KeyRef) -> Option<Secret> {
        let why = match self.known.values.get(&(name.clone(), key.clone())) {
            Some(Ok(value)) => return Some(value.clone()),
            Some(Err(why)) => why.clone(),
            None => format!("the key {key} of {name} was not read yet"),
        };
        let message = format!("spec.params[{at}] ({parameter}): {why}");
        self.missing.push(Missing { what: Referent::Value, message });
        None
    }

    /// Global options.
    pub fn global_options(&mut self, options: &[String]) -> Vec<Secret> {
        let texts = self.texts("spec.options", options, None, Scope::Global);
        self.checked_options("spec.options", &texts);
        texts.into_iter().map(Secret::new).collect()
    }

    /// Options of a WebRTC leg.
    pub fn leg_options(&mut self, path: &str, options: &[String]) -> Vec<Secret> {
        let texts = self.texts(path, options, None, Scope::Option);
        self.checked_options(path, &texts);
        texts.into_iter().map(Secret::new).collect()
    }

    /// Inputs, or outputs without what is theirs alone.
    pub fn side(&mut self, side: Side, ios: &[crd::Io]) -> Vec<Io> {
        let (root, variable) = match side {
            Side::Input => ("spec.input", "inputid"),
            Side::Output => ("spec.output", "outputid"),
        };
        let mut ids = BTreeSet::new();
        let mut resolved = Vec::new();
        for (at, crd::Io { id, address: written, options }) in ios.iter().enumerate() {
            let path = format!("{root}[{at}]");
            let id = self.names(None).replace(id);
            if !ids.insert(id.clone()) {
                self.refused.push(format!("{path}.id: {id:?} is taken by another one"));
            }
            if side == Side::Output && id.starts_with("webrtc-") {
                self.refused.push(format!("{path}.id: ids that begin with webrtc- are reserved for the WebRTC legs"));
            }
            let io = Some((variable, id.as_str()));
            let options = self.texts(&format!("{path}.options"), options, io, Scope::Option);
            let address = self.text(&format!("{path}.address"), written, io, Scope::Address(side));
            let address = match side {
                Side::Input if written.trim_start().starts_with('#') => {
                    self.referred(&format!("{path}.address"), address.trim())
                }
                Side::Input | Side::Output => Some(address),
            };
            resolved.push(self.io(&path, side, &id, address, options));
        }
        resolved
    }

    /// Outputs.
    pub fn outputs(&mut self, outputs: &[crd::Output]) -> Vec<Io> {
        let io = |output: &crd::Output| {
            let crd::Output { id, address, options, cleanup: _ } = output.clone();
            crd::Io { id, address, options }
        };
        self.side(Side::Output, &outputs.iter().map(io).collect::<Vec<_>>())
    }

    /// Cleanup rules of outputs.
    pub fn cleanup(&mut self, outputs: &[crd::Output]) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (at, crd::Output { id, cleanup, .. }) in outputs.iter().enumerate() {
            let id = self.names(None).replace(id);
            let names = self.names(Some(("outputid", &id)));
            for (number, cleanup) in cleanup.iter().enumerate() {
                match files::rule(cleanup, &names.replace(&cleanup.pattern)) {
                    Ok(rule) => rules.push(rule),
                    Err(why) => self.refused.push(format!("spec.output[{at}].cleanup[{number}].pattern: {why}")),
                }
            }
        }
        rules
    }

    /// Without an address nothing but the options can be looked at.
    fn io(&mut self, path: &str, side: Side, id: &str, address: Option<String>, options: Vec<String>) -> Io {
        let text = address.as_deref().unwrap_or_default().trim();
        let mut io = Io { id: id.to_owned(), address: Secret::new(text), options: Vec::new(), files: Vec::new() };
        let before = self.refused.len();
        let items = self.checked_options(&format!("{path}.options"), &options);
        // Without its options nobody knows what FFmpeg takes an address for.
        if address.is_some() && self.refused.len() == before && !self.lacks_values() {
            let outcome = match side {
                _ if text.is_empty() => Err("is empty once its placeholders and parameters are replaced".into()),
                Side::Input => self.input(&items, &mut io),
                Side::Output => self.output(&items, &mut io),
            };
            if let Err(why) = outcome {
                self.refused.push(format!("{path}.address: {why}"));
            }
        }
        io.options = options.into_iter().map(Secret::new).collect();
        io
    }

    /// Without a parameter's value nobody knows what stands in a text.
    fn lacks_values(&self) -> bool {
        self.missing.iter().any(|missing| missing.what == Referent::Value)
    }

    /// Options as FFmpeg takes them apart, each within its bounds.
    fn checked_options<'t>(&mut self, path: &str, options: &'t [String]) -> Vec<Item<'t>> {
        if self.lacks_values() {
            return Vec::new();
        }
        let items = match options::read(options) {
            Ok(items) => items,
            Err((at, why)) => {
                self.refused.push(format!("{path}[{at}]: {why}"));
                return Vec::new();
            }
        };
        let bounds = self.bounds();
        for item in &items {
            if let Item::Valued(at, name, value) = item
                && let Err(why) = bounds.check(name, value)
            {
                self.refused.push(format!("{path}[{at}]: {why}"));
            }
        }
        items
    }

    fn bounds(&self) -> Bounds<'a> {
        Bounds { disk: &self.surroundings.disk, access: &self.surroundings.access }
    }

    fn input(&self, items: &[Item<'_>], io: &mut Io) -> Result<(), String> {
        let (bounds, address) = (self.bounds(), io.address.expose());
        if options::is_device(items) {
            if !bounds.access.is_empty() && options::value(items, "f") == Some("lavfi") {
                graph::check(address)?;
            }
            return bounds.check_device(address);
        }
        check_host(address)?;
        let told = bounds.check_source(address)?;
        io.address = Secret::new(told);
        Ok(())
    }

    fn output(&self, items: &[Item<'_>], io: &mut Io) -> Result<(), String> {
        let (bounds, address) = (self.bounds(), io.address.expose().to_owned());
        if options::is_device(items) && !address.contains('/') {
            return bounds.check_sink(&address);
        }
        if !options::is_of_tee(items, &address) {
            let place = bounds.place(&address)?;
            io.files.extend(place.file.clone().filter(|_| place.is_local_file()));
            io.address = Secret::new(place.address);
            return Ok(());
        }
        let legs = tee_legs(&address);
        let mut told = Vec::new();
        for (at, leg) in legs.iter().enumerate() {
            let of_leg = |why| format!("leg {} {why}", at + 1);
            bounds.check_leg(&leg.options).map_err(of_leg)?;
            let place = bounds.place(&leg.address).map_err(of_leg)?;
            io.files.extend(place.file.clone().filter(|_| place.is_local_file()));
            told.push(place.address);
        }
        // An address that nothing is changed in stays as it is written.
        if !legs.iter().zip(&told).all(|(leg, told)| leg.address == *told) {
            let legs = legs.iter().zip(&told).map(|(leg, told)| (leg.brackets.as_str(), told.as_str()));
            io.address = Secret::new(tee_address(legs));
        }
        Ok(())
    }

    /// The address that `#<process>:output=<id>` stands for; nothing where it is wrong or missing.
    fn referred(&mut self, path: &str, reference: &str) -> Option<String> {
        let parts = reference.strip_prefix('#').and_then(|reference| reference.rsplit_once(":output="));
        let Some((process, id)) = parts.filter(|(process, id)| !process.is_empty() && !id.is_empty()) else {
            self.refused.push(format!("{path}: is no reference; write #<process id>:output=<output id>"));
            return None;
        };
        let process = Key::new(process);
        if process == *self.key {
            self.refused.push(format!("{path}: refers to the process itself"));
            return None;
        }
        let (what, why) = match self.known.outputs.get(&process) {
            Some(outputs) => match outputs.get(id) {
                Some(address) => return Some(address.expose().to_owned()),
                None => (Referent::Output, format!("the process {process} has no output {id}")),
            },
            None => (Referent::Process, format!("there is no process {process} with outputs")),
        };
        self.missing.push(Missing { what, message: format!("{path}: {why}") });
        None
    }

    /// What another process reads that refers to this output: the path of a file, of a tee the first leg.
    pub fn readable(&self, output: &Io) -> Secret {
        let address = output.address.expose();
        let leg = if is_tee(address) { tee_legs(address).swap_remove(0).address } else { address.to_owned() };
        let file = Place::of_output(&leg, &self.surroundings.disk).ok().and_then(|place| place.file);
        Secret::new(file.filter(|file| output.files.contains(file)).map_or(leg, |file| file.display().to_string()))
    }

    fn names<'n>(&self, io: Option<(&'static str, &'n str)>) -> Names<'n>
    where
        'a: 'n,
    {
        Names { process: self.key.as_str(), reference: self.reference, io }
    }

    fn texts(&mut self, path: &str, texts: &[String], io: Option<(&'static str, &str)>, scope: Scope) -> Vec<String> {
        texts.iter().enumerate().map(|(at, text)| self.text(&format!("{path}[{at}]"), text, io, scope)).collect()
    }

    fn text(&mut self, path: &str, text: &str, io: Option<(&'static str, &str)>, scope: Scope) -> String {
        let names = self.names(io);
        let named = if scope == Scope::Global { text.to_owned() } else { names.replace(text) };
        let (mut faults, surroundings) = (Vec::new(), self.surroundings);
        let placed = replace(&named, &names.variables(), |name| {
            let template = match scope {
                // What datarhei Core knows as {memfs} it does not know there.
                Scope::Global if name == "memfs" => None,
                Scope::Global | Scope::Option => surroundings.files(name),
                Scope::Address(side) => surroundings.files(name).or_else(|| surroundings.servers(name, side)),
            };
            template?.map_err(|why| faults.push(format!("{path}: {why}"))).ok()
        });
        self.refused.extend(faults);
        let expanded = params::expand(&placed, &self.parameters);
        if expanded.contains('\0') {
            self.refused.push(format!("{path}: holds a NUL, which no argument of a program can"));
        }
        expanded
    }
}

impl Names<'_> {
    fn variables(&self) -> Vec<(&'static str, &str)> {
        [("processid", self.process), ("reference", self.reference)].into_iter().chain(self.io).collect()
    }

    /// The text with every placeholder of a name replaced.
    fn replace(&self, text: &str) -> String {
        let variables = self.variables();
        replace(text, &variables, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| Template::plain(*value))
        })
    }
}

#[cfg(test)]
mod tests;
