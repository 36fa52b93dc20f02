//! What is wrong with a process beyond what the API server refuses.

use super::route::lacks_gateway;
use super::{Config, exposure, pod};
use crate::crd::RestreamProcess;
use crate::plan::{Known, Obstacle, Plan, Surroundings};

/// One thing that keeps a process from being run, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word for the condition `Accepted`.
    pub reason: &'static str,
    /// What is wrong, and what to write.
    pub message: String,
}

/// Everything that is wrong with a process.
pub fn refusals(process: &RestreamProcess, config: &Config) -> Vec<Refusal> {
    let mut refusals: Vec<Refusal> =
        invalid(process).map(|message| Refusal { reason: "InvalidSpec", message }).collect();
    let image = process.spec.runner.as_ref().and_then(|runner| runner.image.as_ref());
    if let Some(image) = image
        && !config.allowed_images.is_empty()
        && !config.allowed_images.iter().any(|prefix| image.starts_with(prefix.as_str()))
    {
        let allowed = config.allowed_images.join(", ");
        let message = format!(
            "spec.runner.image: {image} is not allowed here; the operator allows images that begin with {allowed} \
             (CORE_OPERATOR_ALLOWED_IMAGES)"
        );
        refusals.push(Refusal { reason: "ImageNotAllowed", message });
    }
    if lacks_gateway(process, config) {
        let message = "spec.webrtc.http.type: HttpRoute needs a gatewayRef, or a Gateway in the operator's configuration \
                       (CORE_OPERATOR_GATEWAY)";
        refusals.push(Refusal { reason: "InvalidSpec", message: message.into() });
    }
    let exposure = exposure::of(process, config);
    if exposure.playable && !config.allowed_exposures.is_empty() && !config.allowed_exposures.contains(&exposure.kind) {
        let allowed: Vec<String> = config.allowed_exposures.iter().map(|kind| format!("{kind:?}")).collect();
        let message = format!(
            "spec.webrtc.exposure.type: {:?} is not allowed here; the operator allows {} \
             (CORE_OPERATOR_ALLOWED_EXPOSURES)",
            exposure.kind,
            allowed.join(", ")
        );
        refusals.push(Refusal { reason: "ExposureNotAllowed", message });
    }
    refusals
}

/// What the worker would refuse, and what no Kubernetes object can be made of.
fn invalid(process: &RestreamProcess) -> impl Iterator<Item = String> {
    let proof = Plan::new(process, &Surroundings::new(pod::DISK_DIR), &Known::default());
    let mut found = match proof {
        Err(Obstacle::Refused(reasons)) => reasons,
        // Values come with the Pod; other processes are in other Pods.
        Err(Obstacle::Missing(_)) | Ok(_) => Vec::new(),
    };
    for (index, input) in process.spec.input.iter().enumerate() {
        if input.address.trim_start().starts_with('#') {
            found.push(format!(
                "spec.input[{index}].address: in a cluster every process runs in a Pod of its own, so {} cannot be \
                 followed; write the address that the other process writes to",
                input.address.trim()
            ));
        }
    }
    if let Some(Err(reason)) = pod::overlay(process) {
        found.push(format!("spec.podTemplate {reason}"));
    }
    found.into_iter()
}
