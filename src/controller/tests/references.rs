use super::*;
use crate::plan::Secret;

fn reader(name: &str, reference: &str, more: &str) -> Arc<RestreamProcess> {
    manifest(name, &format!("'{reference}'"), more)
}

fn started(controller: &mut Controller) -> Vec<(String, String)> {
    let step = |step| match step {
        Step::Start(plan) | Step::Replace(plan) => (plan.key.to_string(), plan.inputs[0].address.expose().to_owned()),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| controller.poll_step()).map(step).collect()
}

fn writing(name: &str, address: &str) -> Arc<RestreamProcess> {
    let mut written = (*manifest(name, "one", "")).clone();
    written.spec.output[0].address = address.into();
    Arc::new(written)
}

#[test]
fn a_reference_is_resolved_live() {
    let mut controller = controller();
    let reader = reader("b", "#a:output=o", "");
    assert!(reset(&mut controller, &[("b.yaml", &reader)]).is_empty(), "it waits");
    let waiting = condition(&controller, "b", "ReferencesResolved");
    assert_eq!((waiting.0.as_str(), waiting.1.as_str()), ("False", "ProcessNotFound"));
    assert!(waiting.2.contains("spec.input[0].address: there is no process a"), "{waiting:?}");
    assert_eq!(condition(&controller, "b", "Accepted").0, "True");
    assert_eq!(condition(&controller, "b", "Ready").1, "WaitingForReferences");
    assert_eq!(shown(&controller, "b").status.state, State::Pending);

    let listing = |address: &str| vec![(origin("a.yaml"), writing("a", address)), (origin("b.yaml"), reader.clone())];
    controller.handle_change(Change::Reset(listing("one.ts")), at(101));
    let (a, b) = (("a".to_owned(), "one".to_owned()), ("b".to_owned(), "/data/one.ts".to_owned()));
    assert_eq!(started(&mut controller), [a, b], "it starts when the other appears");
    assert_eq!(condition(&controller, "b", "ReferencesResolved").1, "Resolved");

    controller.handle_change(Change::Reset(listing("two.ts")), at(102));
    assert_eq!(started(&mut controller)[1], ("b".into(), "/data/two.ts".into()), "it follows the address");

    let (status, reason, message) = {
        assert_eq!(reset(&mut controller, &[("b.yaml", &reader)]), ["stop a"], "it goes on without the other");
        condition(&controller, "b", "ReferencesResolved")
    };
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ProcessNotFound"));
    assert!(message.contains("goes on"), "{message}");
}

#[test]
fn an_output_that_is_not_there_is_waited_for() {
    let mut controller = controller();
    let (a, b) = (writing("a", "one.ts"), reader("b", "#a:output=hls", ""));
    assert_eq!(reset(&mut controller, &[("a.yaml", &a), ("b.yaml", &b)]), ["start a"]);
    assert_eq!(condition(&controller, "b", "ReferencesResolved").1, "OutputNotFound");
    let mut grown = (*a).clone();
    grown.spec.output[0].id = "hls".into();
    let grown = Arc::new(grown);
    assert_eq!(reset(&mut controller, &[("a.yaml", &grown), ("b.yaml", &b)]), ["replace a", "start b"]);
}

#[test]
fn processes_that_refer_to_each_other_find_each_other() {
    let mut controller = controller();
    let (a, b) = (reader("a", "#b:output=o", ""), reader("b", "#a:output=o", ""));
    assert!(reset(&mut controller, &[("a.yaml", &a)]).is_empty());
    assert_eq!(reset(&mut controller, &[("a.yaml", &a), ("b.yaml", &b)]), ["start a", "start b"]);
    let own = reader("c", "#c:output=o", "");
    assert_eq!(reset(&mut controller, &[("c.yaml", &own)]), ["stop a", "stop b"]);
    assert!(condition(&controller, "c", "Accepted").2.contains("refers to the process itself"));
}

#[test]
fn a_process_that_waits_can_be_suspended() {
    let mut controller = controller();
    let mut suspended = (*reader("b", "#a:output=o", "")).clone();
    suspended.spec.suspend = true;
    assert!(reset(&mut controller, &[("b.yaml", &Arc::new(suspended))]).is_empty());
    assert_eq!(shown(&controller, "b").status.state, State::Suspended);
}

#[test]
fn another_value_of_a_parameter_starts_its_process_again_and_no_other() {
    let mut controller = controller();
    let mut secret = (*manifest("a", "one", "")).clone();
    secret.spec.params = vec![crate::crd::Param {
        name: "KEY".into(),
        value: None,
        value_from: Some(crate::crd::ValueFrom {
            secret_key_ref: Some(crate::crd::KeyRef { name: "cam".into(), key: "key".into() }),
            config_map_key_ref: None,
        }),
    }];
    secret.spec.input[0].address = "rtsp://camera/$(KEY)".into();
    let values = |value: Result<&str, &str>| {
        let value = value.map(Secret::new).map_err(str::to_owned);
        Change::Values([(("cam".to_owned(), "key".to_owned()), value)].into())
    };
    controller.handle_change(values(Err("./secrets/cam/key is not there")), at(100));
    let (secret, other) = (Arc::new(secret), manifest("b", "one", ""));
    assert_eq!(reset(&mut controller, &[("a.yaml", &secret), ("b.yaml", &other)]), ["start b"]);
    let (status, reason, message) = condition(&controller, "a", "ReferencesResolved");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ValueNotFound"));
    assert!(message.contains("./secrets/cam/key is not there"), "{message}");
    controller.handle_change(values(Ok("first")), at(101));
    assert_eq!(started(&mut controller), [("a".to_owned(), "rtsp://camera/first".to_owned())]);
    controller.handle_change(values(Ok("first")), at(101));
    assert!(steps(&mut controller).is_empty());
    controller.handle_change(values(Ok("second")), at(102));
    assert_eq!(started(&mut controller), [("a".to_owned(), "rtsp://camera/second".to_owned())]);
    controller.handle_change(values(Err("gone")), at(103));
    assert!(steps(&mut controller).is_empty(), "what runs goes on");
    let shown = format!("{:?}", shown(&controller, "a").status);
    assert!(shown.contains("gone") && !shown.contains("second"), "{shown}");
}
