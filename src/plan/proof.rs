//! From a manifest to a proven plan, or to every reason against it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::choice::Specifier;
use super::resolve::Resolver;
use super::surroundings::{Known, Obstacle, Side, Surroundings};
use super::{Egress, Key, Limits, Plan, Restart, Secret};
use crate::crd::{self, AudioCodec, RestreamProcess, RestreamProcessSpec, VideoCodec, WebRtc};

/// Id of a manifest's process: `spec.processID`, else `<namespace>.<name>`, else `<name>`.
pub fn process_id(manifest: &RestreamProcess) -> Key {
    let name = manifest.metadata.name.as_deref().unwrap_or_default();
    Key::new(match (&manifest.spec.process_id, &manifest.metadata.namespace) {
        (Some(id), _) => id.clone(),
        (None, Some(namespace)) => format!("{namespace}.{name}"),
        (None, None) => name.to_owned(),
    })
}

impl Plan {
    /// Resolves a manifest, and proves what the schema cannot.
    pub fn new(manifest: &RestreamProcess, surroundings: &Surroundings, known: &Known) -> Result<Self, Obstacle> {
        let key = process_id(manifest);
        let mut resolver = Resolver::new(&manifest.spec, &key, surroundings, known);
        let RestreamProcessSpec {
            process_id: _,
            reference,
            suspend,
            options,
            params: _,
            input,
            output,
            reconnect,
            reconnect_delay_seconds,
            restart,
            stale_timeout_seconds,
            limits,
            webrtc,
            // Of a cluster.
            runner: _,
            pod_template: _,
        } = &manifest.spec;
        let plan = Self {
            key: key.clone(),
            reference: reference.clone(),
            suspended: *suspend,
            options: resolver.global_options(options),
            inputs: resolver.side(Side::Input, input),
            outputs: resolver.outputs(output),
            reconnect: reconnect.then(|| seconds(*reconnect_delay_seconds)),
            restart: restart.as_ref().map(backoff),
            stale: (*stale_timeout_seconds > 0).then(|| seconds(*stale_timeout_seconds)),
            limits: limits.as_ref().map(limited).unwrap_or_default(),
            egress: webrtc.as_ref().and_then(|webrtc| egress(webrtc, input.len(), &mut resolver)),
            cleanup: resolver.cleanup(output),
            secrets: resolver.secrets(),
        };
        let Resolver { refused, missing, .. } = resolver;
        if !refused.is_empty() {
            Err(Obstacle::Refused(refused))
        } else if !missing.is_empty() {
            Err(Obstacle::Missing(missing))
        } else {
            Ok(plan)
        }
    }
}

/// Addresses of a manifest's outputs, for the processes that refer to them; `None` where they cannot be told. They do not
/// depend on what the manifest itself refers to, so that two that refer to each other find each other.
pub fn outputs(
    manifest: &RestreamProcess,
    surroundings: &Surroundings,
    known: &Known,
) -> Option<BTreeMap<String, Secret>> {
    let key = process_id(manifest);
    let mut resolver = Resolver::new(&manifest.spec, &key, surroundings, known);
    let outputs = resolver.outputs(&manifest.spec.output);
    let is_whole = resolver.refused.is_empty() && resolver.missing.is_empty();
    is_whole.then(|| outputs.iter().map(|output| (output.id.clone(), resolver.readable(output))).collect())
}

/// Whether a manifest refers to another process, or to a Secret or ConfigMap.
pub fn refers(manifest: &RestreamProcess) -> bool {
    let RestreamProcessSpec { params, input, .. } = &manifest.spec;
    params.iter().any(|param| param.value_from.is_some())
        || input.iter().any(|input| input.address.trim_start().starts_with('#'))
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

fn backoff(restart: &crd::Restart) -> Restart {
    let crd::Restart { factor, maximum_seconds } = restart;
    Restart { factor: *factor, maximum: seconds(*maximum_seconds) }
}

fn limited(limits: &crd::Limits) -> Limits {
    let crd::Limits { cpu_percent, memory_mib, wait_for_seconds } = limits;
    Limits {
        cpu_percent: cpu_percent.and_then(|percent| percent.try_into().ok()),
        memory_bytes: memory_mib.map(|mebibytes| mebibytes.unsigned_abs() << 20),
        wait: seconds(*wait_for_seconds),
    }
}

fn egress(webrtc: &WebRtc, inputs: usize, resolver: &mut Resolver<'_>) -> Option<Egress> {
    // How a cluster exposes it is no business of what runs.
    let WebRtc { enabled, video, audio, max_viewers, exposure: _, http: _, drain_timeout_seconds: _ } = webrtc;
    if !enabled {
        return None;
    }
    if video.codec == VideoCodec::None && audio.codec == AudioCodec::None {
        resolver.refused.push(
            "spec.webrtc: video.codec and audio.codec are both None, so there is nothing to play; set enabled: false or \
             one of them to Auto"
                .into(),
        );
    }
    for (side, map) in [("video", &video.map), ("audio", &audio.map)] {
        let Some(map) = map else { continue };
        if let Err(reason) = Specifier::parse(map, inputs) {
            resolver.refused.push(format!("spec.webrtc.{side}.map: {map:?} {reason}"));
        }
    }
    let crd::Video { map, codec, options } = video;
    let video_options = resolver.leg_options("spec.webrtc.video.options", options);
    let video = crd::Video { map: map.clone(), codec: *codec, options: Vec::new() };
    let crd::Audio { map, codec, options } = audio;
    let audio_options = resolver.leg_options("spec.webrtc.audio.options", options);
    let audio = crd::Audio { map: map.clone(), codec: *codec, options: Vec::new() };
    Some(Egress { video, audio, video_options, audio_options, max_viewers: max_viewers.map(i32::unsigned_abs) })
}
