//! What a worker Pod is told: the mounted ConfigMap, and what the operator hands over at once.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::crd::read_manifests;
use crate::gateway;
use crate::http::{Auth, Put, Standing, jwks::Jwks};
use crate::plan::process_id;
use crate::source::{self, Hand, Place};
use crate::workload::{Configuration, Settings};

/// The mounted files are looked at this often; the kubelet itself takes up to a minute to bring them.
const INTERVAL: Duration = Duration::from_secs(2);
/// The file of the manifest.
pub const MANIFEST: &str = "process.yaml";
/// Topic of [`Rules`] between the two programs.
pub const RULES: &str = "rules";
/// Topic of [`Shown`](super::shown::Shown).
pub const SHOWN: &str = "shown";

/// Reads what is mounted, all files of one version.
pub fn read(directory: &Path) -> io::Result<Configuration> {
    // The kubelet changes all files at once, by another target of this link.
    let version = directory.join("..data").canonicalize().unwrap_or_else(|_| directory.to_owned());
    let text = |name: &str| {
        std::fs::read_to_string(version.join(name))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", version.join(name).display())))
    };
    Ok(Configuration { process: text(MANIFEST)?, settings: text("settings.json")?, jwks: text("jwks.json")? })
}

/// What holds for both programs of the Pod and can change while they run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    settings: Settings,
    jwks: String,
}

impl Rules {
    /// Reads `settings.json`, and keeps `jwks.json` if it is one.
    pub fn of(configuration: &Configuration) -> Result<Self, String> {
        let settings = serde_json::from_str(&configuration.settings)
            .map_err(|error| format!("settings.json is not what the operator writes: {error}"))?;
        let rules = Self { settings, jwks: configuration.jwks.clone() };
        rules.auth()?;
        Ok(rules)
    }

    /// Whose tokens are taken.
    pub fn auth(&self) -> Result<Option<Auth>, String> {
        let Settings { auth, issuer, audience, .. } = &self.settings;
        if !auth {
            return Ok(None);
        }
        let (issuers, audiences) = ([issuer.clone()], [audience.clone()]);
        let jwks = Jwks::fixed(&self.jwks, &issuers, &audiences, &[Algorithm::EdDSA]);
        Ok(Some(Auth::of_issuer(jwks.map_err(|error| format!("jwks.json: {error}"))?)))
    }

    /// What players are told of ICE servers.
    pub fn ice_servers(&self) -> Vec<String> {
        self.settings.ice_servers.clone()
    }

    /// Viewers of a stream whose manifest says nothing.
    pub fn max_viewers_per_stream(&self) -> u32 {
        self.settings.max_viewers_per_stream
    }
}

/// Everything that is wrong with a configuration for this process.
fn check(configuration: &Configuration, process: &str) -> Result<Rules, Vec<String>> {
    let reading = read_manifests(&configuration.process);
    let mut reasons: Vec<String> = reading.faults.iter().map(|fault| format!("{MANIFEST}: {fault}")).collect();
    match &reading.manifests[..] {
        [document] if process_id(&document.manifest).as_str() != process => {
            let other = process_id(&document.manifest);
            reasons.push(format!("{MANIFEST} is of process {other}, and this Pod is for {process}"));
        }
        [_] => {}
        _ if !reasons.is_empty() => {}
        several => reasons.push(format!("{MANIFEST} has {} manifests, and one is needed", several.len())),
    }
    match Rules::of(configuration) {
        Ok(rules) if reasons.is_empty() => Ok(rules),
        Ok(_) => Err(reasons),
        Err(reason) => {
            reasons.push(reason);
            Err(reasons)
        }
    }
}

/// The generation of the manifest in a text.
fn generation(configuration: &Configuration) -> Option<i64> {
    read_manifests(&configuration.process).manifests.first()?.manifest.metadata.generation
}

/// Which configuration holds: the newest. One that was handed over holds until the mounted one changes after it, and is
/// not of an older generation.
struct Choice {
    holds: Configuration,
    mounted: Configuration,
    is_handed: bool,
}

/// What becomes of what is mounted.
#[derive(Debug, PartialEq, Eq)]
enum Mounted {
    /// It is as it was.
    Same,
    /// It is older than what was handed over.
    Older,
    /// It holds from now on.
    Holds,
}

impl Choice {
    fn new(mounted: Configuration) -> Self {
        Self { holds: mounted.clone(), mounted, is_handed: false }
    }

    fn handle_mounted(&mut self, mounted: Configuration) -> Mounted {
        if self.mounted == mounted {
            return Mounted::Same;
        }
        self.mounted = mounted.clone();
        if self.is_handed && generation(&mounted) < generation(&self.holds) {
            return Mounted::Older;
        }
        self.is_handed = false;
        if self.holds == mounted {
            return Mounted::Same;
        }
        self.holds = mounted;
        Mounted::Holds
    }

    fn handle_put(&mut self, configuration: Configuration) {
        self.holds = configuration;
        self.is_handed = true;
    }
}

/// Keeps a worker to its newest configuration.
pub struct Configured {
    process: String,
    mount: PathBuf,
    /// Where the manifest that holds stands, for the source.
    place: PathBuf,
    choice: Choice,
    complaint: String,
    rules: Rules,
    auth: watch::Sender<Option<Auth>>,
    standing: watch::Sender<Standing>,
}

impl Configured {
    /// With what is mounted, which has to be readable. The manifest is put into its place, a directory that is made anew.
    pub fn begin(process: &str, mount: &Path, place: PathBuf) -> anyhow::Result<Self> {
        let mounted =
            read(mount).context("the configuration of the worker cannot be read (CORE_WORKER_CONFIGURATION)")?;
        let rules = match Rules::of(&mounted) {
            Ok(rules) => rules,
            Err(reason) => bail!("{reason} (CORE_WORKER_CONFIGURATION)"),
        };
        if let Err(reasons) = check(&mounted, process) {
            tracing::warn!(?reasons, "the manifest of the worker is refused");
        }
        match std::fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{} cannot be made anew", place.display()));
            }
            _ => {}
        }
        source::place(&place, MANIFEST, mounted.process.as_bytes(), Place::Any)
            .with_context(|| format!("{} cannot be written", place.display()))?;
        let auth = watch::Sender::new(rules.auth().map_err(anyhow::Error::msg)?);
        let standing = Standing { configuration: mounted.digest(), draining: false };
        Ok(Self {
            process: process.to_owned(),
            mount: mount.to_owned(),
            place,
            choice: Choice::new(mounted),
            complaint: String::new(),
            rules,
            auth,
            standing: watch::Sender::new(standing),
        })
    }

    /// Whose tokens are taken.
    pub fn auth(&self) -> watch::Receiver<Option<Auth>> {
        self.auth.subscribe()
    }

    /// Where the worker stands.
    pub fn standing(&self) -> watch::Sender<Standing> {
        self.standing.clone()
    }

    /// Never ends, unless nobody can hand over anything any more.
    pub async fn run(mut self, hand: Hand, gateway: gateway::Handle, mut puts: mpsc::Receiver<Put>) {
        self.tell_rules(&gateway);
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                put = puts.recv() => {
                    let Some(Put { configuration, reply }) = put else { return };
                    let outcome = self.handle_put(configuration, &hand, &gateway).await;
                    // Who asked may have gone.
                    let _ = reply.send(outcome);
                }
                _ = tick.tick() => self.look(&hand, &gateway).await,
            }
        }
    }

    async fn look(&mut self, hand: &Hand, gateway: &gateway::Handle) {
        match read(&self.mount) {
            Ok(mounted) => {
                self.complaint.clear();
                match self.choice.handle_mounted(mounted) {
                    Mounted::Same => {}
                    Mounted::Older => tracing::info!("the mounted configuration is older than the one that holds"),
                    Mounted::Holds => self.take_mounted(hand, gateway).await,
                }
            }
            Err(error) if error.to_string() != self.complaint => {
                self.complaint = error.to_string();
                tracing::warn!(%error, "the mounted configuration cannot be read; the last one stays");
            }
            Err(_) => {}
        }
    }

    async fn take_mounted(&mut self, hand: &Hand, gateway: &gateway::Handle) {
        match check(&self.choice.holds, &self.process) {
            Ok(_) => tracing::info!("the mounted configuration has changed"),
            Err(reasons) => tracing::warn!(?reasons, "the mounted configuration is not good"),
        }
        if let Err(error) = self.apply(hand, gateway).await {
            tracing::error!(%error, "the manifest cannot be put into its place");
        }
    }

    async fn handle_put(
        &mut self,
        configuration: Configuration,
        hand: &Hand,
        gateway: &gateway::Handle,
    ) -> Result<(), Vec<String>> {
        check(&configuration, &self.process)?;
        tracing::info!("another configuration was handed over");
        self.choice.handle_put(configuration);
        let applied = self.apply(hand, gateway).await;
        applied.map_err(|error| vec![format!("the manifest cannot be put into its place: {error}")])
    }

    /// Lets what holds take effect.
    async fn apply(&mut self, hand: &Hand, gateway: &gateway::Handle) -> io::Result<()> {
        let holds = &self.choice.holds;
        match Rules::of(holds).and_then(|rules| Ok((rules.auth()?, rules))) {
            Ok((auth, rules)) => {
                self.auth.send_replace(auth);
                self.rules = rules;
            }
            Err(error) => tracing::warn!(error, "the settings of the worker stay as they were"),
        }
        source::place(&self.place, MANIFEST, holds.process.as_bytes(), Place::Any)?;
        hand.believe(vec![MANIFEST.to_owned()]).await;
        let digest = holds.digest();
        self.standing.send_modify(|standing| standing.configuration = digest);
        self.tell_rules(gateway);
        Ok(())
    }

    fn tell_rules(&self, gateway: &gateway::Handle) {
        gateway.limit(self.rules.max_viewers_per_stream() as usize);
        gateway.note(RULES, serde_json::to_value(&self.rules).expect("settings are JSON"));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn configuration(generation: i64, note: &str) -> Configuration {
        Configuration {
            process: format!(
                "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: cam, namespace: \
                 studio, generation: {generation}}}\nspec: {{input: [{{id: i, address: {note}}}], output: [{{id: o, \
                 address: x}}]}}\n"
            ),
            settings: r#"{"auth": true, "issuer": "i", "audience": "a", "iceServers": [], "maxViewersPerStream": 3}"#
                .into(),
            jwks: r#"{"keys": []}"#.into(),
        }
    }

    #[test]
    fn what_was_handed_over_holds_until_something_newer_is_mounted() {
        let [first, second, third] = [1, 2, 3].map(|generation| configuration(generation, "x"));
        let mut choice = Choice::new(first.clone());
        choice.handle_put(third.clone());
        assert_eq!(choice.handle_mounted(first), Mounted::Same, "nothing has changed there");
        assert_eq!(choice.handle_mounted(second), Mounted::Older);
        assert_eq!(choice.holds, third);
        assert_eq!(choice.handle_mounted(third.clone()), Mounted::Same, "it holds already");
        let again = configuration(3, "y");
        assert_eq!(choice.handle_mounted(again.clone()), Mounted::Holds, "the generation is not older");
        assert_eq!(choice.holds, again);
        let older = configuration(1, "z");
        assert_eq!(choice.handle_mounted(older), Mounted::Holds, "nothing was handed over since");
    }

    #[test]
    fn a_configuration_is_one_manifest_of_this_process_with_good_settings() {
        let good = configuration(1, "x");
        assert!(check(&good, "studio.cam").is_ok());
        let reasons = |configuration: &Configuration, process: &str| {
            check(configuration, process).expect_err("it is refused").join("\n")
        };
        assert!(reasons(&good, "studio.door").contains("studio.door"));
        let two = Configuration { process: format!("{0}---\n{0}", good.process), ..good.clone() };
        assert!(reasons(&two, "studio.cam").contains("2 manifests"));
        let bad = Configuration { process: "a: b".into(), settings: "{}".into(), jwks: "x".into() };
        let reasons = reasons(&bad, "studio.cam");
        assert!(reasons.contains("process.yaml") && reasons.contains("settings.json"), "{reasons}");
        let keys = Configuration { jwks: "x".into(), ..good };
        assert!(check(&keys, "studio.cam").expect_err("it is refused").join("").contains("jwks.json"));
    }

    #[test]
    fn a_mounted_configmap_is_read_by_the_version_that_its_link_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let put = |version: &str, configuration: &Configuration| {
            std::fs::create_dir(path(version)).expect("it is new");
            for (name, text) in configuration.clone().into_map() {
                std::fs::write(path(version).join(name), text).expect("it can be written");
            }
        };
        put("..1", &configuration(1, "x"));
        symlink("..1", path("..data")).expect("a link");
        for name in [MANIFEST, "settings.json", "jwks.json"] {
            symlink(format!("..data/{name}"), path(name)).expect("a link");
        }
        assert_eq!(read(folder.path()).expect("it is there"), configuration(1, "x"));
        put("..2", &configuration(2, "y"));
        symlink("..2", path("..data_tmp")).expect("a link");
        std::fs::rename(path("..data_tmp"), path("..data")).expect("it can be moved");
        assert_eq!(read(folder.path()).expect("it is there"), configuration(2, "y"));
        std::fs::remove_file(path("..2/jwks.json")).expect("it is there");
        assert!(read(folder.path()).expect_err("a file is missing").to_string().contains("jwks.json"));
    }
}
