use super::super::access::{Access, AccessList, Expressions};
use super::super::surroundings::{Memory, Obstacle, Rtmp, Srt};
use super::super::{Plan, outputs, refers};
use super::*;
use crate::crd::RestreamProcess;
use crate::files::Pattern;

fn manifest(spec: &str) -> RestreamProcess {
    let text = format!(
        "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: '314159265359'}}\nspec:\n{spec}"
    );
    serde_yaml::from_str(&text).expect("the test's manifest is good")
}

fn surroundings() -> Surroundings {
    let secret = |text: &str| Some(Secret::new(text));
    Surroundings {
        memory: Some(Memory {
            address: ([0, 0, 0, 0], 8080).into(),
            login: Some(("admin".into(), Secret::new("memory:key"))),
        }),
        rtmp: Some(Rtmp { server: "localhost:1935".into(), app: "/app".into(), token: secret("foobar") }),
        srt: Some(Srt { server: "localhost:6000".into(), passphrase: secret("secret"), token: secret("abcfoobar") }),
        ..Surroundings::new("/core/data")
    }
}

fn proven_in(surroundings: &Surroundings, spec: &str) -> Result<Plan, Obstacle> {
    Plan::new(&manifest(spec), surroundings, &Known::default())
}

fn proven(spec: &str) -> Plan {
    proven_in(&surroundings(), spec).expect("the test's plan is good")
}

fn refused_in(surroundings: &Surroundings, spec: &str) -> String {
    match proven_in(surroundings, spec) {
        Err(Obstacle::Refused(reasons)) => reasons.join("\n"),
        other => panic!("{other:?} in place of a refusal"),
    }
}

/// An input with this address, which gives the resolved one.
fn input(address: &str) -> String {
    let plan = proven(&format!(
        "  reference: refref\n  input: [{{id: 'in_{{processid}}_{{reference}}', address: '{address}'}}]\n  output: [{{id: o, address: '-'}}]\n"
    ));
    plan.inputs[0].address.expose().to_owned()
}

/// An output with this address, which gives the resolved one.
fn output(address: &str) -> String {
    let plan = proven(&format!(
        "  input: [{{id: i, address: x}}]\n  output: [{{id: out, address: '{address}', options: [-f, tee]}}]\n"
    ));
    plan.outputs[0].address.expose().to_owned()
}

#[test]
fn c108_an_id_is_resolved_and_other_texts_know_the_resolved_one() {
    assert_eq!(input("{inputid}.mp4"), "in_314159265359_refref.mp4");
    let refused = refused_in(
        &surroundings(),
        "  input: [{id: '{processid}', address: x}, {id: '314159265359', address: y}]\n  reference: webrtc-video\n  output: [{id: '{reference}', address: '-'}]\n",
    );
    assert!(refused.contains("spec.input[1].id") && refused.contains("is taken"), "{refused}");
    assert!(refused.contains("spec.output[0].id") && refused.contains("reserved"), "{refused}");
}

#[test]
fn c109_the_rtmp_placeholder_has_server_application_and_token() {
    assert_eq!(input("{rtmp,name=pmtr}"), "rtmp://localhost:1935/app/pmtr?token=foobar");
    let mut plain = surroundings();
    plain.rtmp = Some(Rtmp { server: "media:1935".into(), app: "/".into(), token: None });
    let plan = proven_in(&plain, "  input: [{id: i, address: '{rtmp,name=x}'}]\n  output: [{id: o, address: '-'}]\n");
    assert_eq!(plan.expect("it is good").inputs[0].address.expose(), "rtmp://media:1935/x");
    assert_eq!(input("{rtmp}"), "rtmp://localhost:1935/app/{name}?token=foobar", "nothing rejects it");
}

#[test]
fn c110_the_srt_placeholder_says_which_way_it_goes() {
    assert_eq!(
        input("{srt,name=trs}"),
        "srt://localhost:6000?mode=caller&transtype=live&latency=20000&streamid=trs,mode:request,token:abcfoobar&passphrase=secret"
    );
    assert_eq!(
        output("{srt,name=trs,mode=request,latency=40000}"),
        "srt://localhost:6000?mode=caller&transtype=live&latency=40000&streamid=trs,mode:publish,token:abcfoobar&passphrase=secret"
    );
}

#[test]
fn c112_a_parameter_of_a_placeholder_knows_the_ids() {
    assert_eq!(input("{rtmp,name=$inputid}"), "rtmp://localhost:1935/app/in_314159265359_refref?token=foobar");
    assert_eq!(output("{rtmp,name=$processid-$outputid}"), "rtmp://localhost:1935/app/314159265359-out?token=foobar");
    assert_eq!(input("{rtmp,name={processid}.stream}"), "rtmp://localhost:1935/app/314159265359.stream?token=foobar");
}

#[test]
fn c113_options_know_files_and_ids_and_no_servers() {
    let plan = proven(
        "  reference: r\n  input:\n  - {id: in, address: x, options: [-a, '{fs:mem}/$inputid.txt', -b, '{inputid}{processid}{reference}', -c, '{rtmp,name=x}', -d, '{diskfs}']}\n  output: [{id: o, address: '-'}]\n",
    );
    let options: Vec<_> = plan.inputs[0].options.iter().map(Secret::expose).collect();
    assert_eq!(
        options,
        [
            "-a",
            "http://admin:memory%3Akey@127.0.0.1:8080/memfs/$inputid.txt",
            "-b",
            "in314159265359r",
            "-c",
            "{rtmp,name=x}",
            "-d",
            "/core/data"
        ]
    );
}

#[test]
fn c114_global_options_know_files_by_some_names_and_no_ids() {
    let plan = proven(
        "  options: [-a, '{memfs}/x', -b, '{fs:mem}/x', -c, '{diskfs}/x', -d, '{fs:disk}', -e, '{processid}']\n  input: [{id: i, address: x}]\n  output: [{id: o, address: '-'}]\n",
    );
    let options: Vec<_> = plan.options.iter().map(Secret::expose).collect();
    assert_eq!(options[1], "{memfs}/x");
    assert_eq!(options[3], "http://admin:memory%3Akey@127.0.0.1:8080/memfs/x");
    assert_eq!((options[5], options[7], options[9]), ("/core/data/x", "/core/data", "{processid}"));
}

#[test]
fn c115_a_pattern_for_cleanup_knows_names_alone() {
    let plan = proven(
        "  reference: refref\n  input: [{id: i, address: a}]\n  output: [{id: 'out_{processid}', address: '-', cleanup: [{pattern: 'memfs:/{outputid}_{processid}_{reference}_{rtmp,name=$outputid}_{memfs}'}]}]\n",
    );
    let expected = "memfs:/out_314159265359_314159265359_refref_{rtmp,name=$outputid}_{memfs}";
    assert_eq!(plan.cleanup[0].pattern, Pattern::parse(expected).expect("it is a pattern"));
}

#[test]
fn what_the_ui_sends_for_several_ways_out_becomes_the_legs_of_a_tee() {
    let address = "[f=hls:hls_segment_filename={memfs^:}/x_%04d.ts:method=PUT]{memfs}/x.m3u8|[f=flv]{rtmp,name=x.stream}|[f=mpegts]{srt,name=x,mode=publish}";
    assert_eq!(
        output(address),
        r"[f=hls:hls_segment_filename=http\\://admin\\:memory%3Akey@127.0.0.1\\:8080/memfs/x_%04d.ts:method=PUT]http://admin:memory%3Akey@127.0.0.1:8080/memfs/x.m3u8|[f=flv]rtmp://localhost:1935/app/x.stream?token=foobar|[f=mpegts]srt://localhost:6000?mode=caller&transtype=live&latency=20000&streamid=x,mode:publish,token:abcfoobar&passphrase=secret"
    );
    assert_eq!(output("[f=mpegts]a/../b.ts|[f=null]-"), "[f=mpegts]b.ts|[f=null]-");
}

#[test]
fn a_placeholder_that_the_configuration_gives_no_value_says_so() {
    let bare = Surroundings::new("/core/data");
    for (address, sign) in
        [("{memfs}/x", "{diskfs}"), ("{rtmp,name=x}", "CORE_RTMP_ADDRESS"), ("{srt,name=x}", "CORE_SRT_ADDRESS")]
    {
        let refused = refused_in(
            &bare,
            &format!("  input: [{{id: i, address: '{address}'}}]\n  output: [{{id: o, address: '-'}}]\n"),
        );
        assert!(refused.starts_with("spec.input[0].address: ") && refused.contains(sign), "{refused}");
    }
}

fn listed(input: &str, output: &str) -> Surroundings {
    let list = |allow| AccessList { allow: Expressions::parse(allow).expect("they are"), ..AccessList::default() };
    Surroundings { access: Access { inputs: list(input), outputs: list(output) }, ..surroundings() }
}

fn base(input: &str, output: &str) -> String {
    format!(
        "  options: [-loglevel, info]\n  input: [{{id: in, address: '{input}', options: [-f, lavfi, -re]}}]\n  output: [{{id: out, address: '{output}', options: [-codec, copy, -f, 'null']}}]\n"
    )
}

const LAVFI: &str = "testsrc=size=1280x720:rate=25";

#[test]
fn c043_an_input_that_is_not_allowed_is_refused() {
    let refused = refused_in(&listed("^https?://", ""), &base(LAVFI, "-"));
    assert!(
        refused.contains("spec.input[0].address") && refused.contains("CORE_FFMPEG_ACCESS_INPUT_ALLOW"),
        "{refused}"
    );
    assert!(proven_in(&listed("", ""), &base(LAVFI, "-")).is_ok());
    assert!(proven_in(&listed("^testsrc=", ""), &base(LAVFI, "-")).is_ok());
    assert!(proven_in(&listed("^testsrc=", ""), &base("testsrc=size=1x1,movie=/etc/passwd", "-")).is_err());
}

#[test]
fn c044_c045_c046_each_way_out_must_be_allowed() {
    let lists = listed("^https?://", "^https?:// ^rtmp://");
    let spec = |output: &str| {
        format!(
            "  input: [{{id: in, address: 'http://stream.example.com/master.m3u8'}}]\n  output: [{{id: out, address: '{output}'}}]\n"
        )
    };
    for output in [
        "http://stream.example.com/master2.m3u8",
        "[f=flv]http://stream.example.com/master2.m3u8",
        "[f=hls]http://stream.example.com/master2.m3u8|[f=flv]rtmp://stream.example.com/master2.m3u8",
    ] {
        assert!(proven_in(&lists, &spec(output)).is_ok(), "{output}");
    }
    for output in ["x.m3u8", "[f=flv]rtmp://h/a|[f=mpegts]udp://h:1", "[f=hls:hls_segment_filename=x]http://h/a"] {
        let refused = refused_in(&lists, &spec(output));
        assert!(refused.contains("CORE_FFMPEG_ACCESS_OUTPUT_ALLOW"), "{refused}");
    }
}

#[test]
fn a_host_that_cannot_be_read_is_refused() {
    let refused = refused_in(
        &surroundings(),
        "  input: [{id: i, address: 'http://h:port/'}]\n  output: [{id: o, address: 'http://[::1/'}]\n",
    );
    assert!(refused.contains("spec.input[0].address: is no address"), "{refused}");
    assert!(refused.contains("spec.output[0].address: is no address"), "{refused}");
}

#[test]
fn a_device_is_no_path() {
    let spec = |options: &str, address: &str| {
        format!("  input: [{{id: i, address: x}}]\n  output: [{{id: o, address: '{address}', options: [{options}]}}]\n")
    };
    assert_eq!(proven(&spec("-f, alsa", "hw:0,0")).outputs[0].address.expose(), "hw:0,0");
    assert_eq!(proven(&spec("-f, v4l2", "/dev/video1")).outputs[0].address.expose(), "/dev/video1");
    assert!(refused_in(&surroundings(), &spec("-f, oss", "/etc/passwd")).contains("leads out"));
}

fn process(name: &str, spec: &str) -> RestreamProcess {
    let mut manifest = manifest(spec);
    manifest.metadata.name = Some(name.into());
    manifest
}

fn reading(name: &str, address: &str) -> RestreamProcess {
    process(name, &format!("  input: [{{id: in, address: '{address}'}}]\n  output: [{{id: out, address: x.ts}}]\n"))
}

/// What is known where `process` has the output `out` with this address.
fn knowing(address: &str) -> Known {
    let process = process("process", &base(LAVFI, address));
    let outputs = outputs(&process, &surroundings(), &Known::default()).expect("they can be told");
    Known { outputs: BTreeMap::from([(Key::new("process"), outputs)]), ..Known::default() }
}

#[test]
fn c075_c076_a_reference_of_another_form_and_one_to_itself_are_refused() {
    for (address, sign) in [
        ("#process:foobar=out", "is no reference"),
        ("#process", "is no reference"),
        ("#:output=out", "is no reference"),
        ("#process:output=", "is no reference"),
        ("#process2:output=out", "refers to the process itself"),
    ] {
        match Plan::new(&reading("process2", address), &surroundings(), &knowing("-")) {
            Err(Obstacle::Refused(reasons)) => assert!(reasons[0].contains(sign), "{reasons:?}"),
            other => panic!("{address}: {other:?}"),
        }
    }
}

#[test]
fn c077_a_reference_to_what_is_not_there_waits() {
    for (address, what) in [("#process:output=foobar", Referent::Output), ("#process3:output=out", Referent::Process)] {
        match Plan::new(&reading("process2", address), &surroundings(), &knowing("-")) {
            Err(Obstacle::Missing(missing)) => assert_eq!(missing[0].what, what, "{missing:?}"),
            other => panic!("{address}: {other:?}"),
        }
    }
}

#[test]
fn c078_a_reference_resolves_to_the_address_of_the_output() {
    for (address, resolved) in [
        ("-", "-"),
        ("live.m3u8", "/core/data/live.m3u8"),
        ("{rtmp,name=$outputid}", "rtmp://localhost:1935/app/out?token=foobar"),
        ("[f=hls]live.m3u8|[f=flv]rtmp://h/a", "/core/data/live.m3u8"),
    ] {
        let plan = Plan::new(&reading("process2", "#process:output=out"), &surroundings(), &knowing(address));
        assert_eq!(plan.expect("it is there").inputs[0].address.expose(), resolved);
    }
    assert!(refers(&reading("process2", "#process:output=out")));
    assert!(!refers(&reading("process2", "x")));
}

#[test]
fn a_process_whose_id_holds_colons_can_be_referred_to() {
    let mut known = knowing("live.m3u8");
    let outputs = known.outputs.remove(&Key::new("process")).expect("it is there");
    known.outputs.insert(Key::new("restreamer-ui:ingest:1"), outputs);
    let plan = Plan::new(&reading("process2", "#restreamer-ui:ingest:1:output=out"), &surroundings(), &known);
    assert_eq!(plan.expect("it is there").inputs[0].address.expose(), "/core/data/live.m3u8");
}

const PARAMS: &str = "  params:
  - {name: HOST, value: camera.example}
  - {name: PASSWORD, valueFrom: {secretKeyRef: {name: cam, key: password}}}
  - {name: URL, value: 'rtsp://admin:$(PASSWORD)@$(HOST)/$$(PATH)'}
  input: [{id: i, address: $(URL), options: [-x, '$(HOST)$(OTHER)']}]
  output: [{id: o, address: '-'}]
  webrtc: {enabled: true, video: {options: [-z, $(PASSWORD)]}}
";

fn valued(value: Result<Secret, String>) -> Known {
    Known { values: BTreeMap::from([(("cam".into(), "password".into()), value)]), ..Known::default() }
}

#[test]
fn parameters_come_from_values_secrets_and_those_before_them() {
    let plan =
        Plan::new(&manifest(PARAMS), &surroundings(), &valued(Ok(Secret::new("{diskfs}$(HOST)")))).expect("it is good");
    assert_eq!(
        plan.inputs[0].address.expose(),
        "rtsp://admin:{diskfs}$(HOST)@camera.example/$(PATH)",
        "what was put in is not read again"
    );
    assert_eq!(plan.inputs[0].options[1].expose(), "camera.example$(OTHER)");
    let video = &plan.egress.as_ref().expect("it has egress").video_options;
    assert_eq!(video[1].expose(), "{diskfs}$(HOST)");
    assert!(plan.secrets.iter().any(|secret| secret.expose() == "{diskfs}$(HOST)"));
    assert!(plan.secrets.iter().any(|secret| secret.expose() == "abcfoobar"));
    let debug = format!("{plan:?}");
    assert!(!debug.contains("camera") && !debug.contains("$(HOST)") && !debug.contains("foobar"), "{debug}");
}

#[test]
fn a_parameter_of_the_configuration_gives_way_to_one_of_the_manifest() {
    let mut around = surroundings();
    around.parameters =
        [("HOST", "far"), ("OTHER", "other")].map(|(name, value)| (name.into(), Secret::new(value))).into();
    let plan = Plan::new(&manifest(PARAMS), &around, &valued(Ok(Secret::new("x")))).expect("it is good");
    assert_eq!(plan.inputs[0].options[1].expose(), "camera.exampleother");
}

#[test]
fn a_parameter_without_a_value_waits_and_says_for_what() {
    let why = "the file ./secrets/cam/password is not there";
    for (known, sign) in [(valued(Err(why.into())), why), (Known::default(), "was not read yet")] {
        match Plan::new(&manifest(PARAMS), &surroundings(), &known) {
            Err(Obstacle::Missing(missing)) => {
                assert_eq!(missing[0].what, Referent::Value);
                assert!(missing[0].message.contains("spec.params[1] (PASSWORD)"), "{missing:?}");
                assert!(missing[0].message.contains(sign), "{missing:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refers(&manifest(PARAMS)));
}

#[test]
fn a_parameter_is_checked_where_it_ends_up() {
    let spec = "  params: [{name: A, value: '-i'}, {name: B, value: '../x'}]\n  input: [{id: i, address: x, options: ['$(A)', y]}]\n  output: [{id: o, address: '$(B)'}]\n";
    let refused = refused_in(&surroundings(), spec);
    assert!(
        refused.contains("spec.input[0].options[0]: -i") && refused.contains("spec.output[0].address: leads out"),
        "{refused}"
    );
    let blank =
        "  params: [{name: A, value: ' '}]\n  input: [{id: i, address: '$(A)'}]\n  output: [{id: o, address: '-'}]\n";
    assert!(refused_in(&surroundings(), blank).contains("spec.input[0].address: is empty"));
}
