//! From a manifest to a proven plan, or to every reason against it.

use std::time::Duration;

use super::choice::Specifier;
use super::files::rules;
use super::{Egress, Io, Key, Limits, Plan, Restart, Secret};
use crate::crd::{self, AudioCodec, RestreamProcess, RestreamProcessSpec, VideoCodec, WebRtc};
use crate::files::Rule;

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
    /// Proves what the schema cannot; the error holds every reason, each with its path.
    pub fn new(manifest: &RestreamProcess) -> Result<Self, Vec<String>> {
        let RestreamProcessSpec {
            process_id: _,
            reference,
            suspend,
            options,
            input,
            output,
            reconnect,
            reconnect_delay_seconds,
            restart,
            stale_timeout_seconds,
            limits,
            webrtc,
        } = &manifest.spec;
        let mut refused = Vec::new();
        let plan = Self {
            key: process_id(manifest),
            reference: reference.clone(),
            suspended: *suspend,
            options: secrets("spec.options", options, &mut refused),
            inputs: side("spec.input", input, &mut refused),
            outputs: outputs(output, &mut refused),
            reconnect: reconnect.then(|| seconds(*reconnect_delay_seconds)),
            restart: restart.as_ref().map(backoff),
            stale: (*stale_timeout_seconds > 0).then(|| seconds(*stale_timeout_seconds)),
            limits: limits.as_ref().map(limited).unwrap_or_default(),
            egress: webrtc.as_ref().and_then(|webrtc| egress(webrtc, input.len(), &mut refused)),
            cleanup: cleanup(output, &mut refused),
        };
        if let Some(at) = options.iter().position(|option| option == "-progress") {
            refused.push(format!(
                "spec.options[{at}]: -progress is how this program itself hears of FFmpeg's progress; leave it out"
            ));
        }
        if refused.is_empty() { Ok(plan) } else { Err(refused) }
    }
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

/// FFmpeg's arguments end at a NUL, so none may hold one.
fn secret(path: &str, text: &str, refused: &mut Vec<String>) -> Secret {
    if text.contains('\0') {
        refused.push(format!("{path}: holds a NUL, which no argument of a program can"));
    }
    Secret::new(text)
}

fn secrets(path: &str, texts: &[String], refused: &mut Vec<String>) -> Vec<Secret> {
    texts.iter().enumerate().map(|(at, text)| secret(&format!("{path}[{at}]"), text, refused)).collect()
}

fn outputs(outputs: &[crd::Output], refused: &mut Vec<String>) -> Vec<Io> {
    let io = |output: &crd::Output| {
        let crd::Output { id, address, options, cleanup: _ } = output.clone();
        crd::Io { id, address, options }
    };
    side("spec.output", &outputs.iter().map(io).collect::<Vec<_>>(), refused)
}

fn cleanup(outputs: &[crd::Output], refused: &mut Vec<String>) -> Vec<Rule> {
    let rules = |(at, output): (usize, &crd::Output)| rules(&format!("spec.output[{at}]"), &output.cleanup, refused);
    outputs.iter().enumerate().flat_map(rules).collect()
}

fn side(path: &str, ios: &[crd::Io], refused: &mut Vec<String>) -> Vec<Io> {
    let io = |(at, crd::Io { id, address, options }): (usize, &crd::Io)| Io {
        id: id.clone(),
        address: secret(&format!("{path}[{at}].address"), address, refused),
        options: secrets(&format!("{path}[{at}].options"), options, refused),
    };
    ios.iter().enumerate().map(io).collect()
}

fn egress(webrtc: &WebRtc, inputs: usize, refused: &mut Vec<String>) -> Option<Egress> {
    let WebRtc { enabled, video, audio, max_viewers } = webrtc;
    if !enabled {
        return None;
    }
    if video.codec == VideoCodec::None && audio.codec == AudioCodec::None {
        refused.push(
            "spec.webrtc: video.codec and audio.codec are both None, so there is nothing to play; set enabled: false or \
             one of them to Auto"
                .into(),
        );
    }
    for (side, map, options) in [("video", &video.map, &video.options), ("audio", &audio.map, &audio.options)] {
        secrets(&format!("spec.webrtc.{side}.options"), options, refused);
        let Some(map) = map else { continue };
        if let Err(reason) = Specifier::parse(map, inputs) {
            refused.push(format!("spec.webrtc.{side}.map: {map:?} {reason}"));
        }
    }
    Some(Egress { video: video.clone(), audio: audio.clone(), max_viewers: max_viewers.map(i32::unsigned_abs) })
}
