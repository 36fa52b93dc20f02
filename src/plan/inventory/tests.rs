use super::*;

fn read(lines: &str) -> Report {
    let mut report = Report::default();
    lines.lines().for_each(|line| report.handle_line(line));
    report
}

/// Streams in short: `0:1 audio aac/LC 48000/2`.
fn streams(report: &Report) -> Vec<String> {
    let describe = |stream: &Stream| {
        let Stream { input, index, kind, codec, profile, attached_picture, sample_rate, channels, .. } = stream;
        let kind = format!("{kind:?}").to_lowercase();
        let sound = if *kind == *"audio" { format!(" {sample_rate}/{channels}") } else { String::new() };
        format!("{input}:{index} {kind} {codec}/{profile}{sound}{}", if *attached_picture { " picture" } else { "" })
    };
    report.inventory().streams.iter().map(describe).collect()
}

fn known(report: &Report) -> Vec<usize> {
    report.inventory().known.iter().copied().collect()
}

/// FFmpeg 5.1, an MP4 whose title looks like streams, and an MPEG-TS.
const FIVE: &str = "\
ffmpeg started on 2026-11-25 at 07:21:36
Report written to \"/dev/fd/5\"
Log level: 32
Command line:
Input #4, x, from 'nothing':
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'b.mp4':
  Metadata:
    major_brand     : isom
    title           : Stream #0:5: Audio: opus
                    : Input #7, x, from 'y':
    Stream #0:9     : Audio: opus, 48000 Hz
    encoder         : Lavf59.27.100
  Duration: 00:00:03.00, start: 0.000000, bitrate: 348 kb/s
  Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(progressive), 320x240 [SAR 1:1 DAR 4:3], 268 kb/s, 25 fps, 25 tbr, 12800 tbn (default)
    Metadata:
      handler_name    : VideoHandler
      vendor_id       : [0][0][0][0]
  Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp, 69 kb/s (default)
    Metadata:
      handler_name    : Stream #0:3: Video: hevc
Input #1, mpegts, from 'h.ts':
  Duration: 00:00:03.02, start: 1.456778, bitrate: 312 kb/s
  Program 1 
    Metadata:
      service_name    : Service01
      service_provider: FFmpeg
  Stream #1:0[0x100]: Video: hevc (Main) (HEVC / 0x43564548), yuv420p(tv), 320x240 [SAR 1:1 DAR 4:3], 25 fps, 25 tbr, 90k tbn
  Stream #1:1[0x101]: Audio: aac (LC) ([15][0][0][0] / 0x000F), 44100 Hz, mono, fltp, 71 kb/s
Output #0, framecrc, to 'pipe:':
  Metadata:
    title           : Stream #0:5: Audio: opus
  Stream #0:0(und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(progressive), 320x240 [SAR 1:1 DAR 4:3], q=2-31
  Stream #0:1: Audio: aac (LC) ([15][0][0][0] / 0x000F), 44100 Hz, mono, fltp, 71 kb/s
Stream mapping:
  Stream #0:0 -> #0:0 (copy)
  Stream #1:1 -> #0:1 (copy)
Input #2, late, from 'z':
  Stream #2:0: Audio: opus
";

const FIVE_STREAMS: [&str; 4] =
    ["0:0 video h264/High", "0:1 audio aac/LC 44100/1", "1:0 video hevc/Main", "1:1 audio aac/LC 44100/1"];

#[test]
fn a_report_of_ffmpeg_5_is_read() {
    let report = read(FIVE);
    assert_eq!(streams(&report), FIVE_STREAMS);
    assert_eq!((known(&report), report.open_inputs()), (vec![0, 1], 2));
    assert_eq!(report.mapping, BTreeMap::from([(0, (0, 0)), (1, (1, 1))]));
}

#[test]
fn prefixes_of_level_and_date_do_not_matter() {
    for prefix in ["[info] ", "2026-11-25 07:21:36.123 [info] ", "07:21:36.123456 [info] "] {
        // The second line of a value has none.
        let is_continued = |line: &str| line.starts_with("         ");
        let with_prefix = |line: &str| if is_continued(line) { line.to_owned() } else { format!("{prefix}{line}") };
        let report = read(&FIVE.lines().map(with_prefix).collect::<Vec<_>>().join("\n"));
        assert_eq!(streams(&report), FIVE_STREAMS, "{prefix:?}");
        assert_eq!(known(&report), [0, 1]);
    }
}

#[test]
fn reports_of_other_versions_are_read() {
    let four = "\
Input #0, flv, from 'rtmp://0.0.0.0/live/cam':
  Metadata:
    encoder         : obs-output module
  Duration: 00:00:00.00, start: 0.080000, bitrate: N/A
    Stream #0:0: Video: h264 (Constrained Baseline), yuv420p(progressive), 1280x720 [SAR 1:1 DAR 16:9], 30 fps, 30 tbr, 1k tbn, 60 tbc
    Metadata:
      handler_name    : VideoHandler
    Stream #0:1(und): Audio: aac (HE-AACv2), 48000 Hz, stereo, fltp, 160 kb/s
Stream mapping:
";
    assert_eq!(streams(&read(four)), ["0:0 video h264/Constrained Baseline", "0:1 audio aac/HE-AACv2 48000/2"]);
    let seven = "\
[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'b.mp4':
[info]   Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(progressive), 320x240, 25 fps (default)
[info]       Metadata:
[info]         handler_name    : VideoHandler
[info]         Stream #0:8     : Video: h264
[info]   Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, 5.1(side), fltp, 69 kb/s (default)
[out#0/null @ 0x1aa07400] [error] Output file does not contain any stream
";
    let mut report = read(seven);
    assert_eq!(streams(&report), ["0:0 video h264/High", "0:1 audio aac/LC 44100/6"]);
    assert!(known(&report).is_empty(), "a component's remark ends nothing");
    report.handle_line("[fatal] Error opening output file -.");
    assert_eq!(known(&report), [0]);
    let nine = "\
Input #0, mpegts, from 'h.ts':
  Stream #0:0[0x100]: Video: hevc (Main 10) (HEVC / 0x43564548), yuv420p10le(tv), 320x240, 25 fps, 25 tbr, 90k tbn, start 1.480000
  Stream #0:1[0x101]: Audio: aac (LC) ([15][0][0][0] / 0x000F), 44100 Hz, mono, fltp, 71 kb/s, start 1.456778
Stream mapping:
";
    assert_eq!(streams(&read(nine)), ["0:0 video hevc/Main 10", "0:1 audio aac/LC 44100/1"]);
}

#[test]
fn an_input_is_open_with_its_heading_and_known_when_ffmpeg_goes_on() {
    let mut report = Report::default();
    let mut after = |line: &str| {
        report.handle_line(line);
        (report.open_inputs(), known(&report))
    };
    assert_eq!(after("Input #0, lavfi, from 'testsrc2':"), (1, vec![]));
    assert_eq!(after("  Stream #0:0: Video: rawvideo (I420 / 0x30323449), yuv420p, 320x240"), (1, vec![]));
    assert_eq!(after("[flv @ 0x55] something odd"), (1, vec![]));
    assert_eq!(after("Input #1, lavfi, from 'sine':"), (2, vec![0]));
    assert_eq!(after("  Stream #1:0: Audio: pcm_s16le, 44100 Hz, mono, s16, 705 kb/s"), (2, vec![0]));
    for end in ["Stream map '0:a:0' matches no streams.", "Unknown encoder 'nosuch'", "nosuch.flv: No such file"] {
        let mut report = read("Input #0, flv, from 'x':\n  Stream #0:0: Video: h264, yuv420p");
        assert!(known(&report).is_empty());
        report.handle_line(end);
        assert_eq!(known(&report), [0], "{end}");
    }
    let mut report = read("Input #0, flv, from 'x':");
    report.handle_end();
    assert_eq!(known(&report), [0]);
}

#[test]
fn an_address_of_several_lines_is_one_heading() {
    let report =
        read("Input #0, lavfi, from 'testsrc2\n[out0];\nStream mapping:\n ':\n  Stream #0:0: Video: wrapped\nX");
    assert_eq!((streams(&report), known(&report)), (vec!["0:0 video wrapped/".to_owned()], vec![0]));
}

#[test]
fn streams_of_every_kind_are_read() {
    let input = |number: usize, stream: &str| {
        let report = read(&format!("Input #{number}, x, from 'movie.mp4':\n  Duration: 00:01:02.28\n    {stream}"));
        streams(&report).join(",")
    };
    let video = "Stream #3:0(eng): Video: h264 (Main) (avc1 / 0x31637661), yuvj420p(pc, bt709), 2560x1440 [SAR 1:1 DAR \
                 16:9], 5894 kb/s, 23.98 fps, 23.98 tbr, 24k tbn (default)";
    assert_eq!(input(3, video), "3:0 video h264/Main");
    assert_eq!(input(3, "Stream #3:1(por): Subtitle: subrip"), "3:1 other subrip/");
    let sound = "Stream #4:1[0x101]: Audio: aac (LC) ([15][0][0][0] / 0x000F), 48000 Hz, stereo, fltp, 162 kb/s";
    assert_eq!(input(4, sound), "4:1 audio aac/LC 48000/2");
    let pcm = "Stream #1:0: Audio: pcm_u8, 44100 Hz, stereo, u8, 705 kb/s";
    assert_eq!(input(1, pcm), "1:0 audio pcm_u8/ 44100/2");
    let raw = "Stream #0:0: Video: rawvideo (RGB[24] / 0x18424752), rgb24, 1280x720, 25 fps";
    assert_eq!(input(0, raw), "0:0 video rawvideo/");
    let cover = "Stream #0:1: Video: mjpeg (Baseline), yuvj420p(pc), 500x500, 90k tbr, 90k tbn (attached pic)";
    assert_eq!(input(0, cover), "0:1 video mjpeg/Baseline picture");
    assert_eq!(input(0, "Stream #0:2[0x102]: Data: bin_data ([6][0][0][0] / 0x0006)"), "0:2 other bin_data/");
    assert_eq!(input(0, "Stream #0:3: Unknown: none"), "0:3 other none/");
    assert_eq!(input(0, "Stream #1:0: Audio: opus, 48000 Hz, mono, fltp"), "", "of another input");
}

fn input(number: usize, stream: &str) -> Detail {
    let report = read(&format!("Input #{number}, a,b, from 'movie.mp4':\n  Duration: 00:01:02.28\n    {stream}"));
    report.details().inputs[0].clone()
}

#[test]
fn c137_a_picture_is_read() {
    let detail = input(
        3,
        "Stream #3:0(eng): Video: h264 (Main) (avc1 / 0x31637661), yuvj420p(pc, bt709), 2560x1440 [SAR 1:1 DAR 16:9], \
         5894 kb/s, 23.98 fps, 23.98 tbr, 24k tbn (default)",
    );
    let expected = Detail {
        number: 3,
        format: "a,b".into(),
        kind: "video".into(),
        codec: "h264".into(),
        coder: "copy".into(),
        language: "eng".into(),
        duration: 62.28,
        bitrate: 5_894_000.0,
        rate: 23.98,
        pix_fmt: "yuvj420p".into(),
        width: 2560,
        height: 1440,
        ..Detail::default()
    };
    assert_eq!(detail, expected);
}

#[test]
fn c138_subtitles_are_read() {
    let detail = input(3, "Stream #3:1(por): Subtitle: subrip");
    assert_eq!((detail.index, detail.kind.as_str(), detail.language.as_str()), (1, "subtitle", "por"));
    assert_eq!(detail.codec, "subrip");
}

#[test]
fn c140_c142_sound_is_read() {
    for (stream, sampling_hz, layout, bitrate) in [
        (
            "Stream #4:1[0x101]: Audio: aac (LC) ([15][0][0][0] / 0x000F), 48000 Hz, stereo, fltp, 162 kb/s",
            48_000,
            "stereo",
            162_000.0,
        ),
        ("Stream #4:0: Audio: pcm_u8, 44100 Hz, 5.1(side), u8, 705 kb/s", 44_100, "5.1(side)", 705_000.0),
        ("Stream #4:0: Audio: pcm_u8, 44100 Hz, stereo, u8, 705 kb/s", 44_100, "stereo", 705_000.0),
    ] {
        let detail = input(4, stream);
        assert_eq!((detail.sampling_hz, detail.layout.as_str(), detail.bitrate), (sampling_hz, layout, bitrate));
        assert_eq!(detail.channels, if layout == "stereo" { 2 } else { 6 });
    }
}

#[test]
fn c143_a_raw_picture_has_no_bitrate() {
    let detail = input(0, "Stream #0:0: Video: rawvideo (RGB[24] / 0x18424752), rgb24, 1280x720 [SAR 1:1 DAR 16:9]");
    assert_eq!((detail.pix_fmt.as_str(), detail.bitrate, detail.width), ("rgb24", 0.0, 1280));
}

#[test]
fn c127_streams_of_inputs_and_outputs_are_told_with_their_coders() {
    let report = read(
        "[info] Input #0, lavfi, from 'testsrc':
[info]   Duration: N/A, start: 0.000000, bitrate: N/A
[info]     Stream #0:0: Video: rawvideo (RGB[24] / 0x18424752), rgb24, 1280x720, 25 fps, 25 tbr, 25 tbn, 25 tbc
[info] Input #1, lavfi, from 'anullsrc':
[info]     Stream #1:0: Audio: pcm_u8, 44100 Hz, stereo, u8, 705 kb/s
[info]     Stream #1:1: Audio: pcm_u8, 44100 Hz, stereo, u8, 705 kb/s
[info] Stream mapping:
[info]   Stream #0:0 -> #0:0 (rawvideo (native) -> h264 (libx264))
[info]   Stream #1:0 -> #0:1 (copy)
[info]   Stream #1:1 (pcm_u8) -> amix
[info]   amix:default -> Stream #1:0 (aac)
[info] Output #0, hls, to '/dev/null':
[info]   Metadata:
[info]     encoder         : Lavf58.76.100
[info]     Stream #0:0: Video: h264, yuv444p(tv, progressive), 1280x720, q=2-31, 25 fps, 90k tbn
[info]     Metadata:
[info]       encoder         : Lavc58.134.100 libx264
[info]     Stream #0:1: Audio: pcm_u8, 44100 Hz, stereo, u8, 705 kb/s
[info] Output #1, adts, to 'x':
[info]     Stream #1:0: Audio: aac (LC), 44100 Hz, stereo, fltp, 128 kb/s",
    );
    let Details { inputs, outputs, .. } = report.details();
    let coders = |details: &[Detail]| details.iter().map(|detail| detail.coder.clone()).collect::<Vec<_>>();
    assert_eq!(coders(inputs), ["rawvideo", "copy", "pcm_u8"]);
    assert_eq!(coders(outputs), ["libx264", "copy", "aac"]);
    assert_eq!((outputs[0].format.as_str(), outputs[0].pix_fmt.as_str(), outputs[0].rate), ("hls", "yuv444p", 25.0));
    assert_eq!((outputs[2].number, outputs[2].format.as_str()), (1, "adts"));
}

#[test]
fn channels_are_counted() {
    for (layout, count) in [("mono", 1), ("stereo", 2), ("2.1", 3), ("quad(side)", 4), ("5.1", 6), ("5.1(side)", 6)]
        .into_iter()
        .chain([("7.1(wide)", 8), ("22.2", 24), ("3 channels", 3), ("1 channels (FL)", 1), ("what", 0), ("", 0)])
    {
        assert_eq!(channels(layout), count, "{layout:?}");
    }
}

#[test]
fn garbage_does_no_harm() {
    for line in ["Input #", "Input #99999999999999999999999, x, from 'y':", "  Stream #", "  Stream #0", "  Stream #0:"]
        .into_iter()
        .chain([
            "  Stream #0:0[",
            "  Stream #0:0: Video",
            "  Stream #0:0: Video: ",
            "  Stream #0:0(: Video: é",
            "[",
            " ",
        ])
    {
        let report = read(&format!("Input #0, x, from 'y':\n{line}\nStream mapping:\n{line}\n  Stream #0:0 -> #"));
        assert!(report.inventory().streams.len() <= 1, "{line:?}");
    }
}

#[test]
fn b_frames_are_seen_in_the_order_of_frames() {
    let order = |lines: &str| {
        let mut order = FrameOrder::default();
        lines.lines().for_each(|line| order.handle_line(line));
        order
    };
    let seen = order(
        "#tb 0: 1/12800\n#media_type 0: video\n0,      -1024,          0,      512,     5066, 0x4adc6dde\n\
         0,       -512,       1536,      512,     2133, 0x944f373a, F=0x0\n1, 0, 0, 1, 1, 0x1\n\
         0,          0,        512,      512,     1099, 0xdfea2bc0, F=0x0\n1, 1, 1, 1, 1, 0x1\n1, 2, 2, 1, 1, 0x1\n",
    );
    assert_eq!((seen.is_reordered(0), seen.is_reordered(1), seen.is_reordered(2)), (Some(true), Some(false), None));
    assert_eq!(order("0, 0, 0, 1, 1, 0x1\n0, 1, 1, 1, 1, 0x1").is_reordered(0), None, "too few to say");
    assert_eq!(order("0, 0, -9223372036854775808, 1, 1, 0x1\nnonsense\n,,,\n").is_reordered(0), None);
    let mut report = read(FIVE);
    report.handle_order(&seen);
    let reordered: Vec<_> = report.inventory().streams.iter().map(|stream| stream.reordered).collect();
    assert_eq!(reordered, [Some(true), None, None, Some(false)]);
}

fn inventory(known: &[usize], streams: &[(usize, usize, MediaKind, &str, Option<bool>)]) -> Inventory {
    let stream = |(input, index, kind, codec, reordered): &(usize, usize, MediaKind, &str, Option<bool>)| Stream {
        input: *input,
        index: *index,
        kind: *kind,
        codec: (*codec).to_owned(),
        reordered: *reordered,
        ..Stream::default()
    };
    Inventory { known: known.iter().copied().collect(), streams: streams.iter().map(stream).collect() }
}

use MediaKind::{Audio, Video};

#[test]
fn what_is_seen_replaces_what_was_known_of_the_same_input() {
    let mut all = inventory(&[0, 1], &[(0, 0, Video, "h264", None), (1, 0, Audio, "aac", None)]);
    all.learn(&inventory(&[0], &[(0, 1, Video, "hevc", None), (0, 0, Audio, "opus", None)]));
    let expected = [(0, 0, Audio, "opus", None), (0, 1, Video, "hevc", None), (1, 0, Audio, "aac", None)];
    assert_eq!(all, inventory(&[0, 1], &expected));
    all.learn(&inventory(&[], &[(1, 0, Audio, "unfinished", None)]));
    assert_eq!(all, inventory(&[0, 1], &expected), "an input that is not known yet says nothing");
}

#[test]
fn the_order_of_frames_is_kept_of_an_equal_stream() {
    let mut all = inventory(&[0], &[(0, 0, Video, "h264", Some(true))]);
    all.learn(&inventory(&[0], &[(0, 1, Video, "h264", None)]));
    assert_eq!(all.streams[0].reordered, Some(true));
    all.learn(&inventory(&[0], &[(0, 1, Video, "hevc", None)]));
    assert_eq!(all.streams[0].reordered, None);
}

#[test]
fn inputs_of_a_probe_get_their_numbers_of_the_plan() {
    let probed = inventory(&[0, 1], &[(0, 0, Video, "h264", None), (1, 0, Audio, "aac", None)]);
    let expected = inventory(&[0, 2], &[(0, 0, Video, "h264", None), (2, 0, Audio, "aac", None)]);
    assert_eq!(probed.renumbered(&[0, 2]), expected);
}

#[test]
fn reordered_frames_are_noted_of_the_stream_that_the_leg_takes() {
    let all =
        [(0, 0, Audio, "aac", None), (0, 1, Video, "a", None), (0, 2, Video, "b", None), (1, 0, Video, "c", None)];
    for (specifier, expected) in [
        ("0:v:0", "a"),
        ("0:V:1", "b"),
        ("0:v", "a"),
        ("0", "ab"),
        ("0:2", "b"),
        ("1:v:0", "c"),
        ("0:p:1:v", "ab"),
        ("[out]", "abc"),
        ("nonsense", "abc"),
        ("0:v:7", ""),
        ("0:0", ""),
    ] {
        let mut inventory = inventory(&[0, 1], &all);
        inventory.note_reordered(specifier);
        let noted = inventory.streams.iter().filter(|stream| stream.reordered == Some(true));
        assert_eq!(noted.map(|stream| stream.codec.as_str()).collect::<String>(), expected, "{specifier}");
    }
}

#[test]
fn a_picture_that_is_to_be_turned_is_noticed() {
    let report = read("\
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'phone.mp4':
  Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(progressive), 1920x1080, 30 fps, 30 tbr (default)
    Metadata:
      comment         : x
                      : displaymatrix: rotation of 90.00 degrees
    Side data:
      displaymatrix: rotation of -90.00 degrees
  Stream #0:1[0x2](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(progressive), 1920x1080, 30 fps, 30 tbr
    Metadata:
                      : displaymatrix: rotation of 90.00 degrees
    Side data:
      displaymatrix: rotation of -0.00 degrees
");
    let turned: Vec<bool> = report.inventory().streams.iter().map(|stream| stream.is_turned).collect();
    assert_eq!(turned, [true, false]);
}
