use super::*;
use crate::crd::RestreamProcess;
use crate::rtp::Codec;

fn manifest(spec: &str) -> RestreamProcess {
    let text = format!(
        "apiVersion: restream.wilddragon.net/v1alpha1\nkind: RestreamProcess\nmetadata: {{name: cam}}\nspec:\n{spec}"
    );
    serde_yaml::from_str(&text).expect("the test's manifest is good")
}

fn proven(manifest: &RestreamProcess) -> Result<Plan, Obstacle> {
    Plan::new(manifest, &Surroundings::new("/core/data"), &Known::default())
}

pub(super) fn plan(spec: &str) -> Plan {
    proven(&manifest(spec)).expect("the test's plan is good")
}

fn texts(argv: &[Secret]) -> Vec<&str> {
    argv.iter().map(Secret::expose).collect()
}

fn argv(plan: &Plan, inventory: &Inventory) -> String {
    let choice = plan.choose(inventory);
    let legs = choice.as_ref().map(|choice| (choice, EgressPorts { video: 5004, audio: 5005 }));
    texts(&plan.argv(legs)).join(" ")
}

fn video(input: usize, codec: &str, profile: &str) -> Stream {
    Stream { input, kind: MediaKind::Video, codec: codec.into(), profile: profile.into(), ..Stream::default() }
}

fn audio(input: usize, index: usize, codec: &str, channels: u32) -> Stream {
    Stream { input, index, kind: MediaKind::Audio, codec: codec.into(), channels, ..Stream::default() }
}

fn inventory(streams: impl IntoIterator<Item = Stream>, inputs: usize) -> Inventory {
    Inventory { known: (0..inputs).collect(), streams: streams.into_iter().collect() }
}

const TWO_INPUTS: &str = "  options: [-global, global]
  input:
  - {id: a, address: inputAddress, options: [-input, inputoption]}
  - {id: b, address: \"second in;put $(x)\"}
  output:
  - {id: a, address: outputAddress, options: [-output, outputoption]}
";

#[test]
fn c001_options_and_addresses_keep_their_order_and_their_words() {
    let plan = plan(TWO_INPUTS);
    assert_eq!(
        texts(&plan.argv(None)),
        [
            "-global",
            "global",
            "-input",
            "inputoption",
            "-i",
            "inputAddress",
            "-i",
            "second in;put $(x)",
            "-output",
            "outputoption",
            "outputAddress"
        ]
    );
}

#[test]
fn df001_a_disabled_webrtc_block_leaves_the_arguments_as_they_are() {
    let disabled = plan(&format!("{TWO_INPUTS}  webrtc: {{enabled: false, video: {{codec: H264}}, maxViewers: 3}}\n"));
    let without = plan(TWO_INPUTS);
    assert_eq!(disabled, without);
    assert_eq!(argv(&disabled, &Inventory::default()), argv(&without, &Inventory::default()));
}

fn live(input: &str) -> Plan {
    plan(&format!(
        "  input:\n{input}  output: [{{id: o, address: out.ts, options: [-c, copy]}}]\n  webrtc: {{enabled: true}}\n"
    ))
}

const RTMP: &str = "  - {id: i, address: \"rtmp://0.0.0.0:1935/live/cam\", options: [-listen, \"1\"]}\n";
const FILE: &str = "  - {id: f, address: film.mp4, options: [-re]}\n";

#[test]
fn the_legs_follow_the_outputs_of_the_user_each_with_one_map() {
    let plan = live(FILE);
    let argv = argv(&plan, &inventory([video(0, "h264", "High"), audio(0, 1, "aac", 2)], 1));
    assert_eq!(
        argv,
        "-re -i film.mp4 -c copy out.ts \
         -map 0:v:0 -c:v copy -bsf:v h264_mp4toannexb -an -payload_type 102 -rtpflags skip_rtcp+send_bye -f rtp \
         udp://127.0.0.1:5004?pkt_size=1200 \
         -map 0:a:0 -af aresample=async=1 -c:a libopus -ar 48000 -ac 2 -b:a 96k -application lowdelay \
         -frame_duration 20 -vn -payload_type 111 -rtpflags skip_rtcp+send_bye -f rtp \
         udp://127.0.0.1:5005?pkt_size=1200"
    );
    assert_eq!(argv.matches("-map").count(), 2);
}

fn choice(plan: &Plan, streams: impl IntoIterator<Item = Stream>) -> LegChoice {
    plan.choose(&inventory(streams, plan.inputs.len())).expect("it has egress")
}

fn copy(map: &str) -> LegAction {
    LegAction::Copy(map.into())
}

fn transcode(map: &str) -> LegAction {
    LegAction::Transcode(map.into())
}

#[test]
fn a_picture_that_is_to_be_turned_is_transcoded() {
    let plan = live(FILE);
    let lying = Stream { is_turned: true, ..video(0, "h264", "High") };
    assert_eq!(choice(&plan, [lying]).video.action, transcode("0:v:0"));
}

#[test]
fn the_picture_of_a_repeated_input_is_transcoded() {
    for (options, action) in [
        ("[-re, -stream_loop, '-1']", transcode("0:v:0")),
        ("[-stream_loop, '3', -re]", transcode("0:v:0")),
        ("[-re, -stream_loop, '0']", copy("0:v:0")),
    ] {
        let plan = plan(&format!(
            "  input:\n  - {{id: in, address: film.mp4, options: {options}}}\n  webrtc: {{enabled: true}}\n"
        ));
        let video = choice(&plan, [video(0, "h264", "High")]).video;
        assert_eq!(video.action, action, "{options}");
        assert_eq!(video.reason.contains("-stream_loop"), action == transcode("0:v:0"), "{}", video.reason);
    }
}

#[test]
fn a_picture_is_copied_only_where_webrtc_can_play_it() {
    let plan = live(FILE);
    let picture = |stream: Stream| choice(&plan, [stream]).video;
    assert_eq!(picture(video(0, "h264", "Constrained Baseline")).action, copy("0:v:0"));
    assert_eq!(picture(video(0, "h264", "High")).action, copy("0:v:0"));
    assert_eq!(picture(video(0, "vp8", "")).action, copy("0:v:0"));
    assert_eq!(picture(video(0, "vp9", "Profile 0")).action, copy("0:v:0"));
    let reordered = Stream { reordered: Some(true), ..video(0, "h264", "High") };
    for (stream, reason) in [
        (reordered, "B-frames"),
        (video(0, "hevc", "Main"), "few browsers decode H.265 (Main); webrtc.video.codec: Copy passes it on"),
        (video(0, "av1", "Main"), "FFmpeg 8"),
        (video(0, "vp9", "Profile 2"), "sample format"),
        (video(0, "rawvideo", ""), "rawvideo is no codec of WebRTC"),
        (video(0, "h264", "High 4:2:2"), "sample format"),
        (video(0, "h264", "High 10 Intra"), "sample format"),
    ] {
        let leg = picture(stream);
        assert_eq!((leg.action, leg.codec), (transcode("0:v:0"), Some(Codec::H264)));
        assert!(leg.reason.contains(reason), "{}", leg.reason);
    }
}

#[test]
fn copy_passes_on_every_codec_that_webrtc_carries_and_no_other() {
    let plan =
        plan(&format!("  input:\n{FILE}  webrtc: {{enabled: true, video: {{codec: Copy}}, audio: {{codec: Copy}}}}\n"));
    for (name, codec, recipe) in [
        ("h264", Codec::H264, "-c:v copy -bsf:v h264_mp4toannexb -an -payload_type 102"),
        ("hevc", Codec::H265, "-c:v copy -bsf:v hevc_mp4toannexb -an -payload_type 103"),
        ("vp8", Codec::Vp8, "-c:v copy -an -payload_type 96"),
        ("vp9", Codec::Vp9, "-c:v copy -strict experimental -an -payload_type 98"),
        ("av1", Codec::Av1, "-c:v copy -strict experimental -an -payload_type 100"),
    ] {
        let streams = || [Stream { reordered: Some(true), ..video(0, name, "") }, audio(0, 1, "opus", 2)];
        let chosen = choice(&plan, streams());
        assert_eq!((chosen.video.action, chosen.video.codec), (copy("0:v:0"), Some(codec)));
        assert_eq!((chosen.audio.action, chosen.audio.codec), (copy("0:a:0"), Some(Codec::Opus)));
        let argv = argv(&plan, &inventory(streams(), 1));
        assert!(argv.contains(recipe), "{argv}");
    }
    let chosen = choice(&plan, [video(0, "mpeg2video", "Main"), audio(0, 1, "aac", 2)]);
    for (leg, reason) in [(chosen.video, "cannot carry mpeg2video (Main)"), (chosen.audio, "cannot carry AAC")] {
        assert_eq!((leg.action, leg.codec), (LegAction::None, None));
        assert!(leg.reason.contains(reason) && leg.reason.contains("codec: Copy"), "{}", leg.reason);
    }
}

#[test]
fn what_a_publisher_sends_is_another_choice_where_its_codec_is_another() {
    let plan = live(RTMP);
    let assumed = plan.choose(&Inventory::default()).expect("it has egress");
    let vp8 = choice(&plan, [video(0, "vp8", ""), audio(0, 1, "opus", 2)]);
    let h264 = choice(&plan, [video(0, "h264", "Main"), audio(0, 1, "aac", 2)]);
    assert_eq!(assumed.video.codec, Some(Codec::H264));
    assert!(h264.does_the_same_as(&assumed) && !vp8.does_the_same_as(&h264));
}

#[test]
fn sound_is_copied_only_where_it_is_opus_in_mono_or_stereo() {
    let plan = live(FILE);
    let sound = |stream: Stream| choice(&plan, [stream]).audio.action;
    assert_eq!(sound(audio(0, 1, "opus", 2)), copy("0:a:0"));
    assert_eq!(sound(audio(0, 1, "opus", 1)), copy("0:a:0"));
    assert_eq!(sound(audio(0, 1, "opus", 6)), transcode("0:a:0"));
    assert_eq!(sound(audio(0, 1, "aac", 2)), transcode("0:a:0"));
}

#[test]
fn an_input_without_sound_gets_no_audio_leg() {
    let plan = live(FILE);
    let chosen = choice(&plan, [video(0, "h264", "Main")]);
    assert_eq!(chosen.audio.action, LegAction::None);
    assert!(chosen.audio.reason.contains("no input has"), "{}", chosen.audio.reason);
    assert!(!argv(&plan, &inventory([video(0, "h264", "Main")], 1)).contains("opus"));
}

#[test]
fn picture_and_sound_may_come_from_different_inputs() {
    let plan = live(&format!("{FILE}  - {{id: s, address: music.ogg}}\n"));
    let chosen = choice(&plan, [video(0, "h264", "Main"), audio(1, 0, "vorbis", 2)]);
    assert_eq!((chosen.video.action, chosen.audio.action), (copy("0:v:0"), transcode("1:a:0")));
}

#[test]
fn a_cover_picture_is_no_video() {
    let plan = live(FILE);
    let cover = Stream { attached_picture: true, ..video(0, "mjpeg", "") };
    let chosen = choice(&plan, [cover.clone(), audio(0, 1, "mp3", 2)]);
    assert_eq!(chosen.video.action, LegAction::None);
    let film = Stream { index: 2, ..video(0, "h264", "Main") };
    assert_eq!(choice(&plan, [cover, audio(0, 1, "mp3", 2), film]).video.action, copy("0:v:1"));
}

#[test]
fn a_listening_input_is_taken_to_have_picture_and_sound_until_it_is_known() {
    let plan = live(RTMP);
    let assumed = plan.choose(&Inventory::default()).expect("it has egress");
    assert_eq!((&assumed.video.action, &assumed.audio.action), (&copy("0:v:0"), &transcode("0:a:0")));
    let known = choice(&plan, [video(0, "h264", "High"), audio(0, 1, "aac", 2)]);
    assert!(known.does_the_same_as(&assumed));
    assert_ne!(known.video.reason, assumed.video.reason);
    assert!(!choice(&plan, [video(0, "h264", "High")]).does_the_same_as(&assumed));
}

fn mapped(webrtc: &str) -> Plan {
    plan(&format!("  input:\n{FILE}{RTMP2}  webrtc: {{enabled: true, {webrtc}}}\n"))
}

const RTMP2: &str = "  - {id: j, address: \"srt://:6000?mode=listener\"}\n";

#[test]
fn the_manifests_map_and_codec_hold() {
    let streams = [video(0, "h264", "Main"), audio(0, 1, "aac", 2), audio(0, 2, "opus", 2)];
    let known = inventory(streams, 1);
    let chosen = |webrtc: &str| mapped(webrtc).choose(&known).expect("it has egress");
    assert_eq!(chosen("audio: {map: \"0:a:1\"}").audio.action, copy("0:a:1"));
    assert_eq!(chosen("audio: {map: \"0:2\"}").audio.action, copy("0:2"));
    assert_eq!(chosen("audio: {map: \"0:a:1\", codec: Opus}").audio.action, transcode("0:a:1"));
    assert_eq!(chosen("video: {codec: H264}").video.action, transcode("0:v:0"));
    assert_eq!(chosen("video: {codec: None}").video.action, LegAction::None);
    assert_eq!(chosen("video: {map: \"[mixed]\"}").video.action, transcode("[mixed]"));
    assert_eq!(chosen("video: {map: \"1:v:0\"}").video.action, copy("1:v:0"), "nobody knows input 1 yet");
    let absent = chosen("audio: {map: \"0:a:7?\"}").audio;
    assert_eq!(absent.action, LegAction::None);
    assert!(absent.reason.contains("0:a:7"), "{}", absent.reason);
}

#[test]
fn rate_and_encoder_of_the_manifest_replace_the_chosen_ones() {
    let legs =
        |options: &str| argv(&mapped(&format!("video: {{codec: H264, options: [{options}]}}")), &Inventory::default());
    assert!(legs("").contains("-crf 23 -maxrate 6000k"));
    let rate = legs("\"-b:v\", 2M");
    assert!(rate.contains("libx264") && !rate.contains("-crf") && rate.contains("-b:v 2M"), "{rate}");
    let encoder = legs("\"-c:v\", h264_nvenc");
    assert!(!encoder.contains("zerolatency") && encoder.contains("-bf 0 -force_key_frames"), "{encoder}");
}

#[test]
fn parameter_sets_of_a_session_description_are_put_in_band() {
    let rtsp = live("  - {id: i, address: \"rtsp://user:secret@camera/stream1\"}\n");
    let streams = || [video(0, "h264", "Main")];
    assert!(argv(&rtsp, &inventory(streams(), 1)).contains("h264_mp4toannexb,dump_extra=freq=keyframe"));
    let copied =
        plan("  input: [{id: i, address: \"rtsp://camera/1\"}]\n  webrtc: {enabled: true, video: {codec: Copy}}\n");
    let hevc = argv(&copied, &inventory([video(0, "hevc", "Main")], 1));
    assert!(hevc.contains("hevc_mp4toannexb,dump_extra=freq=keyframe"), "{hevc}");
    assert!(!argv(&live(FILE), &inventory(streams(), 1)).contains("dump_extra"));
}

#[test]
fn the_probe_leaves_out_what_listens_and_what_holds_it_up() {
    let plan = live(&format!("{RTMP}{FILE}"));
    let probe = plan.probe().expect("there is something to find out");
    assert_eq!(probe.inputs, [1]);
    assert_eq!(
        texts(&probe.argv).join(" "),
        "-i film.mp4 -map 0:v:0? -c copy -an -sn -dn -t 2 -frames:v 50 -f framecrc pipe:1"
    );
    let with_graph = self::plan(
        "  options: [-v, info, -filter_complex, \"[0:v]null[x]\"]\n  input: [{id: i, address: x, options: [-readrate, \
         \"1\", -ss, \"5\"]}]\n  webrtc: {enabled: true}\n",
    );
    let probe = texts(&with_graph.probe().expect("there is something to find out").argv).join(" ");
    assert!(probe.starts_with("-v info -ss 5 -i x"), "{probe}");
}

#[test]
fn there_is_no_probe_where_nothing_is_to_be_found_out() {
    assert_eq!(live(RTMP).probe(), None);
    assert_eq!(plan(TWO_INPUTS).probe(), None);
    let settled = "video: {map: \"0:v:0\", codec: H264}, audio: {codec: None}";
    assert_eq!(mapped(settled).probe(), None);
    assert!(mapped("video: {map: \"0:v:0\", codec: H264}").probe().is_some());
    let copied = "video: {map: \"0:v:0\", codec: Copy}, audio: {codec: None}";
    assert!(mapped(copied).probe().is_some(), "the leg has to know what it carries");
}

fn refused(spec: &str) -> Vec<String> {
    match proven(&manifest(spec)).expect_err("it is to be refused") {
        Obstacle::Refused(reasons) => reasons,
        Obstacle::Missing(missing) => panic!("it waits for {missing:?}"),
    }
}

#[test]
fn every_reason_against_a_manifest_is_given_at_once() {
    let reasons = refused(
        "  input: [{id: i, address: \"a\\0b\"}]\n  output: [{id: o, address: o, options: [-x, \"x\\0\"]}]\n  webrtc: \
         {enabled: true, video: {map: \"3:v:0\"}, audio: {map: sound}}\n",
    );
    let paths: Vec<_> = reasons.iter().map(|reason| reason.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(
        paths,
        ["spec.input[0].address", "spec.output[0].options[1]", "spec.webrtc.video.map", "spec.webrtc.audio.map"],
        "{reasons:?}"
    );
    assert!(
        refused(
            "  input: [{id: i, address: a}]\n  webrtc: {enabled: true, video: {codec: None}, audio: {codec: None}}\n"
        )[0]
        .contains("nothing to play")
    );
}

#[test]
fn a_progress_report_of_the_manifests_own_is_refused() {
    let reasons =
        refused("  options: [-y, -progress, p.txt]\n  input: [{id: i, address: a}]\n  output: [{id: o, address: o}]\n");
    assert!(reasons[0].starts_with("spec.options[1]: -progress"), "{reasons:?}");
}

#[test]
fn the_id_is_the_manifests_own_or_its_name_with_the_namespace() {
    let mut manifest = manifest("  input: [{id: i, address: a}]\n  output: [{id: o, address: o}]\n");
    assert_eq!(process_id(&manifest).as_str(), "cam");
    manifest.metadata.namespace = Some("studio".into());
    assert_eq!(process_id(&manifest).as_str(), "studio.cam");
    manifest.spec.process_id = Some("restreamer-ui:ingest:3f1f".into());
    assert_eq!(process_id(&manifest).as_str(), "restreamer-ui:ingest:3f1f");
}

#[test]
fn a_plans_debug_shows_no_address_and_no_option() {
    let plan = live("  - {id: i, address: \"rtsp://user:hunter2@camera/x\", options: [-headers, hunter3]}\n");
    let debug = format!("{plan:?}");
    assert!(!debug.contains("hunter") && !debug.contains("film"), "{debug}");
}

#[test]
fn an_id_is_encoded_where_a_path_needs_it_and_nowhere_else() {
    assert_eq!(Key::new("studio.cam-1").whep_path(), "/api/v3/whep/studio.cam-1");
    assert_eq!(Key::new("restreamer-ui:ingest:1f2e").whep_path(), "/api/v3/whep/restreamer-ui:ingest:1f2e");
    assert_eq!(Key::new("süß\"<x>").whep_path(), "/api/v3/whep/s%C3%BC%C3%9F%22%3Cx%3E");
}
