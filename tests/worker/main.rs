//! A worker Pod as Kubernetes would run it: both programs with real FFmpeg, each with the environment of its container,
//! seen by real viewers.

#[path = "../support/child.rs"]
#[expect(dead_code, reason = "the tests of the whole program use more of it")]
mod child;
#[path = "../http/issuer.rs"]
#[expect(dead_code, reason = "the tests of tokens use more of it")]
mod issuer;
#[path = "../support/manifest.rs"]
#[expect(dead_code, reason = "the tests of the whole program use more of it")]
mod manifest;
mod pod;
mod viewer;

mod configuration;
mod crashes;
mod drain;
mod plays;
