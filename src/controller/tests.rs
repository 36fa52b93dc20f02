mod live;
mod references;

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::crd::State;
use crate::plan::{Leg, LegAction, LegChoice, Surroundings};
use crate::process::{self, Cause, Exit};

fn manifest(name: &str, address: &str, more: &str) -> Arc<RestreamProcess> {
    let text = format!(
        "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: {name}}}\nspec:\n  \
         input: [{{id: i, address: {address}}}]\n  output: [{{id: o, address: x}}]\n  webrtc: {{enabled: true{more}}}\n"
    );
    Arc::new(serde_yaml::from_str(&text).expect("the test's manifest is good"))
}

fn origin(text: &str) -> Origin {
    Origin(text.into())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn controller() -> Controller {
    let playback = Playback { enabled: true, announced: vec!["192.0.2.1:8189".into()], ..Playback::default() };
    Controller::new(playback, Surroundings::new("/data"))
}

fn reset(controller: &mut Controller, listing: &[(&str, &Arc<RestreamProcess>)]) -> Vec<String> {
    let listing = listing.iter().map(|(at, manifest)| (origin(at), Arc::clone(manifest))).collect();
    controller.handle_change(Change::Reset(listing), at(100));
    steps(controller)
}

fn steps(controller: &mut Controller) -> Vec<String> {
    std::iter::from_fn(|| controller.poll_step())
        .map(|step| match step {
            Step::Start(plan) => format!("start {}", plan.key),
            Step::Replace(plan) => format!("replace {}", plan.key),
            Step::Configure(plan) => format!("configure {}", plan.key),
            Step::Begin(key) => format!("begin {key}"),
            Step::Restart(key) => format!("restart {key}"),
            Step::Stop(key) => format!("stop {key}"),
            Step::Tidy(key, rules) => format!("tidy {key} by {} rules", rules.len()),
            Step::Purge(key, rules) => format!("purge {key} by {} rules", rules.len()),
        })
        .collect()
}

fn see(controller: &mut Controller, key: &str, seen: Seen, second: i64) {
    controller.handle_observation(Observation { key: Key::new(key), seen }, at(second));
}

fn shown(controller: &Controller, key: &str) -> Arc<Process> {
    controller.snapshot().processes[&Key::new(key)].clone()
}

fn condition(controller: &Controller, key: &str, kind: &str) -> (String, String, String) {
    let shown = shown(controller, key);
    let found = shown.status.conditions.iter().find(|condition| condition.type_ == kind).expect("it is there");
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

fn ended(cause: Cause, code: i32, message: &str, restart_in: Option<u64>) -> Seen {
    let exit = Exit { code: Some(code), signal: None, cause, message: message.into(), at: 123 };
    Seen::Run(process::Event::Ended { exit, restart_in: restart_in.map(Duration::from_secs) })
}

#[test]
fn a_new_manifest_starts_a_changed_one_replaces_and_a_removed_one_stops_its_process_alone() {
    let mut controller = controller();
    let (a, b) = (manifest("a", "one", ""), manifest("b", "one", ""));
    assert_eq!(reset(&mut controller, &[("a.yaml", &a), ("b.yaml", &b)]), ["start a", "start b"]);
    assert!(reset(&mut controller, &[("a.yaml", &a), ("b.yaml", &b)]).is_empty(), "nothing has changed");
    let changed = manifest("b", "two", "");
    assert_eq!(reset(&mut controller, &[("a.yaml", &a), ("b.yaml", &changed)]), ["replace b"]);
    assert_eq!(reset(&mut controller, &[("b.yaml", &changed)]), ["stop a"]);
    assert!(!controller.snapshot().processes.contains_key(&Key::new("a")));
}

#[test]
fn a_file_that_is_renamed_restarts_nothing() {
    let mut controller = controller();
    let a = manifest("a", "one", "");
    reset(&mut controller, &[("a.yaml", &a)]);
    assert!(reset(&mut controller, &[("z.yaml", &a)]).is_empty());
    assert_eq!(shown(&controller, "a").origin, origin("z.yaml"));
}

#[test]
fn c042_a_change_keeps_the_time_of_creation() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    let changed = Change::Apply(origin("a.yaml"), manifest("a", "two", ""));
    controller.handle_change(changed, at(200));
    let process = shown(&controller, "a");
    assert_eq!((process.created_at, process.updated_at), (100, 200));
}

#[test]
fn what_surrounds_ffmpeg_changes_without_a_restart() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    let capped = manifest("a", "one", ", maxViewers: 3");
    assert_eq!(reset(&mut controller, &[("a.yaml", &capped)]), ["configure a"]);
}

#[test]
fn apply_and_delete_of_a_cluster_do_what_a_relist_does() {
    let mut controller = controller();
    controller.handle_change(Change::Apply(origin("x/a"), manifest("a", "one", "")), at(1));
    controller.handle_change(Change::Apply(origin("x/a"), manifest("a", "two", "")), at(1));
    controller.handle_change(Change::Delete(origin("x/a")), at(1));
    assert_eq!(steps(&mut controller), ["start a", "replace a", "stop a"]);
}

#[test]
fn of_two_documents_with_one_id_the_first_is_kept_and_both_are_named() {
    let mut controller = controller();
    let (first, second) = (manifest("cam", "one", ""), manifest("cam", "two", ""));
    assert_eq!(reset(&mut controller, &[("b.yaml", &first)]), ["start cam"]);
    assert!(
        reset(&mut controller, &[("a.yaml", &second), ("b.yaml", &first)]).is_empty(),
        "the one that was there stays"
    );
    let problems = controller.snapshot().problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].origin, "a.yaml");
    assert!(
        problems[0].errors[0].contains("a.yaml") && problems[0].errors[0].contains("b.yaml is kept"),
        "{problems:?}"
    );
    assert_eq!(reset(&mut controller, &[("a.yaml", &second)]), ["replace cam"], "the other one takes its place");
    assert!(controller.snapshot().problems.is_empty());
}

#[test]
fn a_refused_manifest_says_why_and_the_last_good_version_goes_on() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    let bad = manifest("a", "one", ", video: {map: \"9:v:0\"}");
    assert!(reset(&mut controller, &[("a.yaml", &bad)]).is_empty());
    let (status, reason, message) = condition(&controller, "a", "Accepted");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Refused"));
    assert!(message.contains("input 9") && message.contains("goes on"), "{message}");
    assert!(reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]).is_empty(), "as before");
    assert_eq!(condition(&controller, "a", "Accepted").0, "True");
    let mut fresh = self::controller();
    assert!(reset(&mut fresh, &[("a.yaml", &bad)]).is_empty());
    assert_eq!(shown(&fresh, "a").status.state, State::Pending);
    assert_eq!(condition(&fresh, "a", "Ready").1, "Refused");
}

#[test]
fn suspend_stops_and_resume_starts() {
    let mut controller = controller();
    let a = manifest("a", "one", "");
    reset(&mut controller, &[("a.yaml", &a)]);
    let mut suspended = (*a).clone();
    suspended.spec.suspend = true;
    assert_eq!(reset(&mut controller, &[("a.yaml", &Arc::new(suspended))]), ["stop a"]);
    see(&mut controller, "a", ended(Cause::Stopped, 255, "", None), 101);
    assert_eq!(shown(&controller, "a").status.state, State::Suspended);
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "NotRunning");
    assert_eq!(reset(&mut controller, &[("a.yaml", &a)]), ["start a"]);
}

#[test]
fn starts_that_fail_before_ffmpeg_runs_are_counted_too() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    for (seen, restarts) in [
        (Seen::Run(process::Event::Probing), 0),
        (ended(Cause::Failed, 1, "No such file or directory", Some(1)), 0),
        (Seen::Run(process::Event::Probing), 1),
        (ended(Cause::Failed, 1, "No such file or directory", Some(1)), 1),
        (ended(Cause::SpawnFailed, 1, "ffmpeg is not there", Some(1)), 2),
        (Seen::Run(process::Event::Probing), 3),
        (Seen::Run(process::Event::Started(7)), 3),
    ] {
        see(&mut controller, "a", seen, 101);
        assert_eq!(shown(&controller, "a").status.restarts, restarts);
    }
}

#[test]
fn the_state_follows_what_was_seen() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    let run = |event| Seen::Run(event);
    for (seen, state) in [
        (run(process::Event::Probing), State::Starting),
        (run(process::Event::Started(7)), State::Starting),
        (run(process::Event::Waiting), State::Waiting),
        (run(process::Event::Progress(process::Progress::default())), State::Running),
        (ended(Cause::Failed, 1, "Connection refused", Some(15)), State::Reconnecting),
        (run(process::Event::Started(8)), State::Starting),
        (ended(Cause::Corrected, 255, "", Some(0)), State::Starting),
        (ended(Cause::Finished, 0, "", None), State::Finished),
        (ended(Cause::Failed, 1, "no", None), State::Failed),
    ] {
        see(&mut controller, "a", seen, 101);
        assert_eq!(shown(&controller, "a").status.state, state);
    }
    let status = shown(&controller, "a").status.clone();
    assert_eq!(status.restarts, 1);
    let exit = status.last_exit.expect("it ended");
    assert_eq!((exit.code, exit.reason.as_str(), exit.at.as_str()), (Some(1), "Failed", "1970-01-01T00:02:03Z"));
}

#[test]
fn a_failed_run_says_how_it_ended_and_when_it_starts_again() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    see(&mut controller, "a", ended(Cause::Failed, 1, "Connection refused", Some(15)), 101);
    let (status, reason, message) = condition(&controller, "a", "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Reconnecting"));
    assert_eq!(message, "FFmpeg failed with exit code 1: Connection refused; it starts again after 15 s");
}

fn legs(video: LegAction, audio: LegAction) -> Seen {
    let leg = |action| Leg { action, codec: None, reason: "because".into() };
    Seen::Legs(LegChoice { video: leg(video), audio: leg(audio) })
}

#[test]
fn playback_is_ready_when_every_leg_brings_media() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "NotRunning");
    see(&mut controller, "a", legs(LegAction::Copy("0:v:0".into()), LegAction::Transcode("0:a:0".into())), 101);
    see(&mut controller, "a", Seen::Media { video: true, audio: false }, 101);
    assert!(condition(&controller, "a", "PlaybackReady").2.contains("no sound"));
    see(&mut controller, "a", Seen::Media { video: true, audio: true }, 102);
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "Playing");
    let webrtc = shown(&controller, "a").status.webrtc.clone().expect("it has egress");
    assert_eq!(webrtc.whep_url.as_deref(), Some("/api/v3/whep/a"));
    assert_eq!(webrtc.video.expect("chosen").action, "Copy");
    see(&mut controller, "a", legs(LegAction::None, LegAction::None), 103);
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "NoMedia");
    see(&mut controller, "a", Seen::EgressFailed("no ports".into()), 104);
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "PortAllocationFailed");
}

#[test]
fn other_addresses_of_the_gateway_are_shown_at_once() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    let announced =
        |controller: &Controller| shown(controller, "a").status.webrtc.clone().expect("it has egress").announced;
    assert_eq!(announced(&controller), ["192.0.2.1:8189"]);
    controller.handle_announced(vec!["192.0.2.2:8189".into()], at(101));
    assert_eq!(announced(&controller), ["192.0.2.2:8189"]);
}

#[test]
fn a_gateway_that_is_turned_off_is_the_reason() {
    let mut controller = Controller::new(Playback::default(), Surroundings::new("/data"));
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "Disabled");
    assert_eq!(shown(&controller, "a").status.webrtc.as_ref().and_then(|webrtc| webrtc.whep_url.clone()), None);
}

#[test]
fn a_gateway_of_the_pod_that_does_not_answer_is_the_reason_until_it_does() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    controller.handle_playback_reachable(false, at(101));
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "GatewayNotReady");
    controller.handle_playback_reachable(true, at(102));
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "NotRunning");
}

#[test]
fn an_exposure_that_the_cluster_is_to_make_waits_for_its_address() {
    let playback = Playback { enabled: true, exposed: true, ..Playback::default() };
    let mut controller = Controller::new(playback, Surroundings::new("/data"));
    let mut reason = |exposure: &str| {
        reset(&mut controller, &[("a.yaml", &manifest("a", "one", &format!(", exposure: {exposure}")))]);
        condition(&controller, "a", "PlaybackReady").1
    };
    for kind in ["NodePort", "HostPort", "LoadBalancer"] {
        assert_eq!(reason(&format!("{{type: {kind}, announce: []}}")), "WaitingForAddress", "{kind}");
        assert_eq!(reason(&format!("{{type: {kind}, announce: [192.0.2.7]}}")), "NotRunning", "{kind}");
    }
    for kind in ["HostNetwork", "Relay", "ClusterOnly"] {
        assert_eq!(reason(&format!("{{type: {kind}}}")), "NotRunning", "{kind}");
    }
    let mut standalone = self::controller();
    reset(&mut standalone, &[("a.yaml", &manifest("a", "one", ", exposure: {type: NodePort}"))]);
    assert_eq!(condition(&standalone, "a", "PlaybackReady").1, "NotRunning", "it announces its own addresses");
}

#[test]
fn the_end_of_the_gateway_is_told_and_stops_no_process() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    controller.handle_playback_ended(at(200));
    assert!(controller.poll_step().is_none());
    assert_eq!(condition(&controller, "a", "PlaybackReady").1, "GatewayEnded");
    assert_eq!(shown(&controller, "a").status.webrtc.as_ref().and_then(|webrtc| webrtc.whep_url.as_ref()), None);
}

#[test]
fn a_transition_time_changes_with_the_status_alone() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    see(&mut controller, "a", Seen::Run(process::Event::Waiting), 150);
    let time = |controller: &Controller| shown(controller, "a").status.conditions[1].last_transition_time.0;
    assert_eq!(time(&controller), at(100), "it was False before");
    see(&mut controller, "a", Seen::Run(process::Event::Progress(process::Progress::default())), 160);
    assert_eq!(time(&controller), at(160));
    assert_eq!(shown(&controller, "a").state_since, 160);
}

#[test]
fn an_id_that_is_no_plain_text_is_encoded_in_its_path() {
    let mut controller = controller();
    let mut odd = (*manifest("a", "one", "")).clone();
    odd.spec.process_id = Some("restreamer-ui:ingest:ä".into());
    reset(&mut controller, &[("a.yaml", &Arc::new(odd))]);
    let webrtc = shown(&controller, "restreamer-ui:ingest:ä").status.webrtc.clone().expect("it has egress");
    assert_eq!(webrtc.whep_url.as_deref(), Some("/api/v3/whep/restreamer-ui:ingest:%C3%A4"));
}

#[test]
fn what_cannot_be_read_is_shown_and_stops_nothing() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &manifest("a", "one", ""))]);
    let problem = Problem { origin: "b.yaml".into(), errors: vec!["line 3: no".into()] };
    controller.handle_change(Change::Problems(vec![problem.clone()]), at(101));
    assert!(steps(&mut controller).is_empty());
    assert_eq!(controller.snapshot().problems, [problem]);
}

/// A process that writes files, with one cleanup rule.
fn recorder(name: &str, address: &str, purge: bool, suspend: bool) -> Arc<RestreamProcess> {
    let text = format!(
        "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: {name}}}\nspec:\n  \
         suspend: {suspend}\n  input: [{{id: i, address: in}}]\n  output:\n  - {{id: o, address: \"{address}\", \
         cleanup: [{{pattern: \"memfs:/{name}**\", maxFiles: 3, purgeOnDelete: {purge}}}]}}\n"
    );
    Arc::new(serde_yaml::from_str(&text).expect("the test's manifest is good"))
}

#[test]
fn cleanup_rules_hold_from_the_manifest_to_its_end_whether_it_runs_or_not() {
    let mut controller = controller();
    let steps = reset(&mut controller, &[("a.yaml", &recorder("a", "http://host/a", false, false))]);
    assert_eq!(steps, ["start a", "tidy a by 1 rules"]);
    let suspended = recorder("a", "http://host/a", false, true);
    assert_eq!(reset(&mut controller, &[("a.yaml", &suspended)]), ["stop a"]);
    assert_eq!(reset(&mut controller, &[("a.yaml", &suspended)]), [] as [&str; 0]);
    assert_eq!(reset(&mut controller, &[]), ["tidy a by 0 rules"]);
}

#[test]
fn only_a_deletion_purges() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &recorder("a", "http://host/a", true, false))]);
    let changed = reset(&mut controller, &[("a.yaml", &recorder("a", "http://host/b", true, false))]);
    assert_eq!(changed, ["replace a"]);
    let suspended = reset(&mut controller, &[("a.yaml", &recorder("a", "http://host/b", true, true))]);
    assert_eq!(suspended, ["stop a"]);
    let resumed = reset(&mut controller, &[("a.yaml", &recorder("a", "http://host/b", true, false))]);
    assert_eq!(resumed, ["start a"]);
    assert_eq!(reset(&mut controller, &[]), ["stop a", "tidy a by 0 rules", "purge a by 1 rules"]);
}

#[test]
fn another_rule_starts_nothing_again() {
    let mut controller = controller();
    reset(&mut controller, &[("a.yaml", &recorder("a", "http://host/a", false, false))]);
    let changed = reset(&mut controller, &[("a.yaml", &recorder("a", "http://host/a", true, false))]);
    assert_eq!(changed, ["configure a", "tidy a by 1 rules"]);
}

#[test]
fn while_the_disk_is_full_those_who_write_there_wait_and_nobody_else() {
    let mut controller = controller();
    let (file, memory) = (recorder("file", "film.mp4", false, false), recorder("mem", "http://host/x", false, false));
    reset(&mut controller, &[("a.yaml", &file), ("b.yaml", &memory)]);
    controller.handle_disk_full(Some("/data".into()), at(101));
    assert_eq!(steps(&mut controller), ["stop file"]);
    let (status, reason, message) = condition(&controller, "file", "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "DiskFull"));
    assert!(message.contains("CORE_STORAGE_DISK_MAX_SIZE_MBYTES"), "{message}");
    assert_eq!(shown(&controller, "file").status.state, State::Suspended);
    let other = recorder("other", "/data/other.mp4", false, false);
    let added = reset(&mut controller, &[("a.yaml", &file), ("b.yaml", &memory), ("c.yaml", &other)]);
    assert_eq!(added, ["tidy other by 1 rules"], "it is not even started");
    controller.handle_disk_full(None, at(102));
    assert_eq!(steps(&mut controller), ["start file", "start other"]);
    assert_eq!(condition(&controller, "other", "Ready").1, "Starting");
}
