//! The way from a client's process to a manifest, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

use aws_lc_rs::digest::{SHA256, digest};

use super::config::{Config, Io, Limits};
use super::kept::{Cleanup, Kept};
use crate::crd::{self, RestreamProcess, RestreamProcessSpec};

/// Annotation of the manifests that clients made, and may change.
pub const MANAGED_BY: &str = "restream.wilddragon.net/managed-by";
/// Its value.
pub const MANAGER: &str = "api";

/// Characters of a manifest's name at most.
const MAX_NAME: usize = 52;

/// A client's process, in the two places where it is kept.
pub struct Carried {
    /// What FFmpeg is to do.
    pub manifest: RestreamProcess,
    /// What a manifest has no place for.
    pub kept: Kept,
    /// What has no effect, and why.
    pub without_effect: Vec<String>,
}

/// A process that is there already.
#[derive(Clone, Copy)]
pub struct Before<'b> {
    /// Its manifest.
    pub manifest: &'b RestreamProcess,
    /// What is kept beside it.
    pub kept: &'b Kept,
}

/// Makes a manifest of a process with an id. Of the one that it takes the place of stay: whether it is to run, what clients
/// do not speak of, and its metadata. `cores` are those that clients take for 100 % of the CPU. Numbers that no manifest
/// can hold are refused, each by its path.
pub fn carry(config: Config, before: Option<Before<'_>>, cores: NonZero<usize>) -> Result<Carried, Vec<String>> {
    let Config {
        id,
        kind: _, // There is one.
        reference,
        input,
        output,
        options,
        reconnect,
        reconnect_delay_seconds,
        autostart,
        stale_timeout_seconds,
        limits,
        webrtc,
    } = config;
    let mut refused = Vec::new();
    let mut without_effect = Vec::new();
    let (input, input_cleanup) = inputs(input, &mut without_effect);
    let output = outputs(output, &mut refused);
    let reconnect_delay_seconds = whole("reconnect_delay_seconds", reconnect_delay_seconds, &mut refused);
    let stale_timeout_seconds = whole("stale_timeout_seconds", stale_timeout_seconds, &mut refused);
    if !limits.cpu_usage.is_finite() || limits.cpu_usage < 0.0 {
        refused.push("limits.cpu_usage: must be 0 or more".into());
    }
    let limited = limits_of(&limits, cores, &mut refused);
    if !refused.is_empty() {
        return Err(refused);
    }
    let name = name_of(&id);
    let spec = RestreamProcessSpec {
        process_id: (name != id).then_some(id),
        reference: Some(reference).filter(|reference| !reference.is_empty()),
        suspend: before.map_or(!autostart, |before| before.manifest.spec.suspend),
        options,
        params: before.map(|before| before.manifest.spec.params.clone()).unwrap_or_default(),
        input,
        output,
        reconnect,
        reconnect_delay_seconds,
        restart: before.and_then(|before| before.manifest.spec.restart.clone()),
        stale_timeout_seconds,
        limits: limited,
        webrtc,
        runner: before.and_then(|before| before.manifest.spec.runner.clone()),
        pod_template: before.and_then(|before| before.manifest.spec.pod_template.clone()),
    };
    let mut manifest = RestreamProcess::new(&name, spec);
    if let Some(before) = before {
        manifest.metadata.labels.clone_from(&before.manifest.metadata.labels);
        manifest.metadata.annotations.clone_from(&before.manifest.metadata.annotations);
    }
    manifest.metadata.annotations.get_or_insert_default().insert(MANAGED_BY.into(), MANAGER.into());
    let kept = Kept {
        autostart: Some(autostart),
        created_at: before.and_then(|before| before.kept.created_at),
        limits,
        input_cleanup,
        metadata: before.map(|before| before.kept.metadata.clone()).unwrap_or_default(),
    };
    Ok(Carried { manifest, kept, without_effect })
}

/// The process that a manifest and what is kept beside it are. `cores` are those that clients take for 100 % of the CPU.
pub fn config_of(id: &str, manifest: &RestreamProcess, kept: &Kept, cores: NonZero<usize>) -> Config {
    let RestreamProcessSpec {
        process_id: _, // It is the id.
        reference,
        suspend,
        options,
        params: _, // Clients know no parameters.
        input,
        output,
        reconnect,
        reconnect_delay_seconds,
        restart: _, // Nor delays that grow.
        stale_timeout_seconds,
        limits: limited,
        webrtc,
        runner: _, // Nor what a cluster runs it with.
        pod_template: _,
    } = &manifest.spec;
    let Kept { autostart, created_at: _, limits, input_cleanup, metadata: _ } = kept;
    Config {
        id: id.to_owned(),
        kind: "ffmpeg".into(),
        reference: reference.clone().unwrap_or_default(),
        input: input.iter().map(|input| shown_input(input, input_cleanup)).collect(),
        output: output.iter().map(shown_output).collect(),
        options: options.clone(),
        reconnect: *reconnect,
        reconnect_delay_seconds: u64::try_from(*reconnect_delay_seconds).unwrap_or_default(),
        autostart: autostart.unwrap_or(!suspend),
        stale_timeout_seconds: u64::try_from(*stale_timeout_seconds).unwrap_or_default(),
        limits: match limits_of(limits, cores, &mut Vec::new()) == *limited {
            true => *limits,
            false => limited.as_ref().map(|limited| shown_limits(limited, cores)).unwrap_or_default(),
        },
        webrtc: webrtc.clone(),
    }
}

/// Whether clients may change this manifest.
pub fn is_managed(manifest: &RestreamProcess) -> bool {
    let annotations = manifest.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(MANAGED_BY)).is_some_and(|manager| manager == MANAGER)
}

fn whole<N: TryFrom<u64> + Default>(path: &str, number: u64, refused: &mut Vec<String>) -> N {
    N::try_from(number).unwrap_or_else(|_| {
        refused.push(format!("{path}: {number} is too large"));
        N::default()
    })
}

/// The limits of the manifest, which counts in percent of one core; a part of a percent counts as a whole one.
fn limits_of(limits: &Limits, cores: NonZero<usize>, refused: &mut Vec<String>) -> Option<crd::Limits> {
    let Limits { cpu_usage, memory_mbytes, waitfor_seconds } = limits;
    let limited = crd::Limits {
        cpu_percent: (*cpu_usage > 0.0).then_some((cpu_usage * cores.get() as f64).ceil() as i64),
        memory_mib: (*memory_mbytes > 0).then(|| whole("limits.memory_mbytes", *memory_mbytes, refused)),
        wait_for_seconds: whole("limits.waitfor_seconds", *waitfor_seconds, refused),
    };
    (limited.cpu_percent.is_some() || limited.memory_mib.is_some()).then_some(limited)
}

fn shown_limits(limited: &crd::Limits, cores: NonZero<usize>) -> Limits {
    let crd::Limits { cpu_percent, memory_mib, wait_for_seconds } = limited;
    Limits {
        cpu_usage: cpu_percent.map(|percent| percent as f64 / cores.get() as f64).unwrap_or_default(),
        memory_mbytes: memory_mib.map(i64::unsigned_abs).unwrap_or_default(),
        waitfor_seconds: wait_for_seconds.unsigned_abs(),
    }
}

/// The inputs of the manifest, and the rules for files by their id, which mean nothing there.
fn inputs(mut list: Vec<Io>, without_effect: &mut Vec<String>) -> (Vec<crd::Io>, BTreeMap<String, Vec<Cleanup>>) {
    name_all("input", &mut list);
    let mut rules = BTreeMap::new();
    let mut inputs = Vec::new();
    for (index, Io { id, address, options, cleanup }) in list.into_iter().enumerate() {
        if !cleanup.is_empty() {
            without_effect.push(format!("input[{index}].cleanup: is kept and cleans nothing"));
            rules.insert(id.clone(), cleanup);
        }
        inputs.push(crd::Io { id, address, options });
    }
    (inputs, rules)
}

/// The outputs of the manifest.
fn outputs(mut list: Vec<Io>, refused: &mut Vec<String>) -> Vec<crd::Output> {
    name_all("output", &mut list);
    let numbered = list.into_iter().enumerate();
    let output = |(index, Io { id, address, options, cleanup })| {
        let rules = cleanup.into_iter().enumerate();
        let cleanup = rules.map(|(rule, of)| cleanup_of(&format!("output[{index}].cleanup[{rule}]"), of, refused));
        crd::Output { id, address, options, cleanup: cleanup.collect() }
    };
    numbered.map(output).collect()
}

fn cleanup_of(path: &str, rule: Cleanup, refused: &mut Vec<String>) -> crd::Cleanup {
    let Cleanup { pattern, max_files, max_file_age_seconds, purge_on_delete } = rule;
    crd::Cleanup {
        pattern,
        max_files: whole(&format!("{path}.max_files"), max_files, refused),
        max_file_age_seconds: whole(&format!("{path}.max_file_age_seconds"), max_file_age_seconds, refused),
        purge_on_delete,
    }
}

/// Gives an id to each of a side that has none.
fn name_all(side: &str, list: &mut [Io]) {
    let mut taken: BTreeSet<String> = list.iter().map(|io| io.id.clone()).collect();
    for (index, io) in list.iter_mut().enumerate().filter(|(_, io)| io.id.is_empty()) {
        io.id = free(side, index, &taken);
        taken.insert(io.id.clone());
    }
}

/// An id that no other one of the side has, the same every time: `input_0` for the first.
fn free(side: &str, index: usize, taken: &BTreeSet<String>) -> String {
    let ids = (index..).map(|number| format!("{side}_{number}"));
    ids.into_iter().find(|id| !taken.contains(id)).expect("there are more numbers than ids")
}

fn shown_input(input: &crd::Io, rules: &BTreeMap<String, Vec<Cleanup>>) -> Io {
    let crd::Io { id, address, options } = input;
    Io {
        id: id.clone(),
        address: address.clone(),
        options: options.clone(),
        cleanup: rules.get(id).cloned().unwrap_or_default(),
    }
}

fn shown_output(output: &crd::Output) -> Io {
    let crd::Output { id, address, options, cleanup } = output;
    Io {
        id: id.clone(),
        address: address.clone(),
        options: options.clone(),
        cleanup: cleanup.iter().map(shown_cleanup).collect(),
    }
}

fn shown_cleanup(rule: &crd::Cleanup) -> Cleanup {
    let crd::Cleanup { pattern, max_files, max_file_age_seconds, purge_on_delete } = rule;
    Cleanup {
        pattern: pattern.clone(),
        max_files: u64::try_from(*max_files).unwrap_or_default(),
        max_file_age_seconds: u64::try_from(*max_file_age_seconds).unwrap_or_default(),
        purge_on_delete: *purge_on_delete,
    }
}

/// The name of a manifest: the id itself where it can be one, else what can be read of it and a digest of it.
fn name_of(id: &str) -> String {
    let is_letter = |letter: char| letter.is_ascii_lowercase();
    let is_end = |letter: char| is_letter(letter) || letter.is_ascii_digit();
    let fits = id.len() <= MAX_NAME
        && id.starts_with(is_letter)
        && id.ends_with(is_end)
        && id.chars().all(|letter| is_end(letter) || letter == '-');
    if fits {
        return id.to_owned();
    }
    let digest = digest(&SHA256, id.as_bytes());
    let suffix: String = digest.as_ref().iter().take(4).map(|octet| format!("{octet:02x}")).collect();
    let lower = id.to_lowercase();
    let words: Vec<&str> = lower.split(|letter| !is_end(letter)).filter(|word| !word.is_empty()).collect();
    let mut slug = words.join("-");
    if !slug.starts_with(is_letter) {
        slug.insert_str(0, if slug.is_empty() { "process" } else { "p-" });
    }
    slug.truncate(MAX_NAME - suffix.len() - 1);
    format!("{}-{suffix}", slug.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::core::read_config;
    use crate::crd::{Audio, AudioCodec, Video, VideoCodec, WebRtc, read_manifests};

    const CORES: NonZero<usize> = NonZero::new(4).expect("four are some");

    fn carried(json: Value) -> Carried {
        let (config, _) = read_config(json).expect("it is a process");
        carry(config, None, CORES).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    #[test]
    fn a_process_of_restreamers_page_is_carried_whole() {
        let json = json!({
            "type": "ffmpeg", "id": "restreamer-ui:ingest:3f1f6f0e", "reference": "3f1f6f0e",
            "input": [{"id": "input_0", "address": "rtsp://user:pass@cam.local:554/stream1", "options": ["-fflags", "+genpts"]}],
            "output": [{"id": "output_0", "address": "{memfs}/x.m3u8", "options": ["-codec:v", "copy"],
                "cleanup": [{"pattern": "memfs:/x**", "max_files": 12, "max_file_age_seconds": 24, "purge_on_delete": true}]}],
            "options": ["-loglevel", "level+info", "-err_detect", "ignore_err", "-y"],
            "autostart": false, "reconnect": true, "reconnect_delay_seconds": 15, "stale_timeout_seconds": 30,
            "limits": {"cpu_usage": 50.0, "memory_mbytes": 100, "waitfor_seconds": 5}, "webrtc": {"enabled": true},
        });
        let Carried { manifest, kept, without_effect } = carried(json.clone());
        assert_eq!(manifest.metadata.name.as_deref(), Some("restreamer-ui-ingest-3f1f6f0e-1e3a9c28"));
        assert_eq!(manifest.spec.process_id.as_deref(), Some("restreamer-ui:ingest:3f1f6f0e"));
        assert!(manifest.spec.suspend && is_managed(&manifest));
        assert_eq!(without_effect, Vec::<String>::new());
        let limits = crd::Limits { cpu_percent: Some(200), memory_mib: Some(100), wait_for_seconds: 5 };
        assert_eq!(manifest.spec.limits, Some(limits));
        let rule = &manifest.spec.output[0].cleanup[0];
        assert_eq!((rule.pattern.as_str(), rule.max_files, rule.max_file_age_seconds), ("memfs:/x**", 12, 24));
        let back =
            serde_json::to_value(config_of("restreamer-ui:ingest:3f1f6f0e", &manifest, &kept, CORES)).expect("JSON");
        for (field, value) in json.as_object().expect("an object") {
            if field != "webrtc" && field != "input" {
                assert_eq!(&back[field], value, "{field}");
            }
        }
        assert_eq!(
            (&back["webrtc"]["enabled"], &back["input"][0]["address"]),
            (&json!(true), &json["input"][0]["address"])
        );
    }

    #[test]
    fn ids_that_are_missing_are_made_beside_those_that_are_there() {
        let Carried { manifest, .. } = carried(json!({
            "id": "a", "input": [{"address": "x"}, {"id": "input_2", "address": "y"}, {"address": "z"}],
        }));
        let ids: Vec<_> = manifest.spec.input.iter().map(|io| io.id.as_str()).collect();
        assert_eq!(ids, ["input_0", "input_2", "input_3"]);
    }

    #[test]
    fn a_name_is_the_id_or_what_can_be_read_of_it() {
        assert_eq!(name_of("lobby-2"), "lobby-2");
        for (id, begins) in
            [("Lobby", "lobby-"), ("a:b", "a-b-"), ("9", "p-9-"), ("::", "process-"), ("é", "process-"), ("a-", "a-")]
        {
            let name = name_of(id);
            assert!(name.starts_with(begins) && name != id && name.len() <= MAX_NAME, "{id}: {name}");
        }
        assert_ne!(name_of("a:b"), name_of("a.b"));
        assert_eq!(name_of(&"x".repeat(80)).len(), MAX_NAME);
    }

    #[test]
    fn an_update_keeps_whether_it_runs_its_labels_and_its_metadata() {
        let mut first = carried(json!({"id": "a", "input": [{"address": "x"}], "autostart": false}));
        first.manifest.metadata.labels = Some([("team".to_owned(), "a".to_owned())].into());
        first.kept.metadata.insert("k".into(), json!(1));
        first.kept.created_at = Some(7);
        let (config, _) =
            read_config(json!({"id": "b", "input": [{"address": "y"}], "autostart": true})).expect("read");
        let before = Before { manifest: &first.manifest, kept: &first.kept };
        let second = carry(config, Some(before), CORES).unwrap_or_else(|refused| panic!("{refused:?}"));
        assert!(second.manifest.spec.suspend, "datarhei's autostart speaks of the first start alone");
        assert_eq!(second.kept.autostart, Some(true));
        assert_eq!(second.manifest.metadata.labels, first.manifest.metadata.labels);
        assert_eq!((second.kept.created_at, &second.kept.metadata["k"]), (Some(7), &json!(1)));
    }

    #[test]
    fn a_number_that_no_manifest_holds_is_refused() {
        let (config, _) = read_config(json!({
            "id": "a", "stale_timeout_seconds": u64::MAX,
            "output": [{"address": "-", "cleanup": [{"pattern": "memfs:/x", "max_files": 3_000_000_000_u64}]}],
        }))
        .expect("read");
        let refused = carry(config, None, CORES).err().expect("it is refused");
        let expected = [
            "output[0].cleanup[0].max_files: 3000000000 is too large",
            "stale_timeout_seconds: 18446744073709551615 is too large",
        ];
        assert_eq!(refused, expected);
    }

    fn word() -> impl Strategy<Value = String> {
        "[A-Za-z0-9][A-Za-z0-9_.-]{0,12}"
    }

    /// What nobody would write, and YAML could read as something else.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{1,24}",
            "[-:#'\"{}\\[\\]>|*&!%@`, \n\t]{0,6}x",
            Just("no".into()),
            Just("0x1F".into()),
            Just("1e3".into())
        ]
    }

    fn rule() -> impl Strategy<Value = Cleanup> {
        ("(mem|memfs|disk|diskfs)", text(), 0..=1_000_000_u64, 0..=315_360_000_u64, any::<bool>()).prop_map(
            |(filesystem, name, max_files, max_file_age_seconds, purge_on_delete)| Cleanup {
                pattern: format!("{filesystem}:{name}"),
                max_files,
                max_file_age_seconds,
                purge_on_delete,
            },
        )
    }

    fn side_of(side: &'static str) -> impl Strategy<Value = Vec<Io>> {
        let io = (word(), text(), prop::collection::vec(text(), 0..4), prop::collection::vec(rule(), 0..3));
        prop::collection::vec(io, 1..4).prop_map(move |list| {
            let named = list.into_iter().enumerate();
            named
                .map(|(index, (id, address, options, cleanup))| Io {
                    id: format!("{id}{side}{index}"),
                    address,
                    options,
                    cleanup,
                })
                .collect()
        })
    }

    fn webrtc() -> impl Strategy<Value = Option<WebRtc>> {
        let options = || prop::collection::vec(text(), 0..3);
        let map = || prop::option::of("[0-9]:[av]:[0-9]");
        let leg = (any::<bool>(), map(), options(), map(), options(), prop::option::of(1..10_000));
        prop::option::of(leg.prop_map(|(enabled, video, video_options, audio, audio_options, max_viewers)| WebRtc {
            enabled,
            video: Video { map: video, codec: VideoCodec::Copy, options: video_options },
            audio: Audio { map: audio, codec: AudioCodec::Opus, options: audio_options },
            max_viewers,
            ..WebRtc::default()
        }))
    }

    fn config() -> impl Strategy<Value = Config> {
        let numbers = (0..=86_400_u64, 0..=86_400_u64, 0_u32..10_000, 0..=16_777_216_u64, 0..=86_400_u64);
        let flags = (any::<bool>(), any::<bool>());
        let texts = ("[A-Za-z][A-Za-z0-9:._-]{0,40}", "[a-z ]{0,20}", prop::collection::vec(text(), 0..4));
        (texts, side_of("i"), side_of("o"), numbers, flags, webrtc()).prop_map(
            |((id, reference, options), input, output, numbers, (reconnect, autostart), webrtc)| {
                let (delay, stale, cpu, memory_mbytes, waitfor_seconds) = numbers;
                Config {
                    id,
                    kind: "ffmpeg".into(),
                    reference,
                    input,
                    output,
                    options,
                    reconnect,
                    reconnect_delay_seconds: delay,
                    autostart,
                    stale_timeout_seconds: stale,
                    limits: Limits { cpu_usage: f64::from(cpu) / 100.0, memory_mbytes, waitfor_seconds },
                    webrtc,
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_field_is_lost_on_the_way_through_json_a_manifest_and_back(config in config()) {
            let json = serde_json::to_value(&config).expect("JSON");
            let (read, unknown) = read_config(json.clone()).expect("it is a process");
            prop_assert_eq!(unknown, Vec::<String>::new());
            let Carried { manifest, kept, .. } = carry(read, None, CORES).expect("it is carried");
            let text = serde_yaml::to_string(&manifest).expect("YAML");
            let reading = read_manifests(&text);
            prop_assert_eq!(&reading.faults, &[], "{}", text);
            prop_assert_eq!(&reading.manifests[0].manifest, &manifest);
            let kept: Kept = serde_json::from_value(serde_json::to_value(&kept).expect("JSON")).expect("it is read");
            let back = config_of(&config.id, &reading.manifests[0].manifest, &kept, CORES);
            prop_assert_eq!(serde_json::to_value(&back).expect("JSON"), json);
        }
    }
}
