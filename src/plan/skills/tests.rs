use super::*;
use crate::plan::{Secret, tests};

const CODECS: &str = "\
Codecs:
 D..... = Decoding supported
 .E.... = Encoding supported
 -------
 D.VI.S 012v                 Uncompressed 4:2:2 10-bit
 DEV.LS h264                 H.264 / AVC / MPEG-4 AVC / MPEG-4 part 10 (encoders: libx264 libx264rgb h264_videotoolbox )
 DEV.L. vp8                  On2 VP8 (decoders: vp8 libvpx ) (encoders: libvpx )
 DEAIL. aac                  AAC (Advanced Audio Coding) (decoders: aac aac_fixed )
 DES... subrip               SubRip subtitle
 ..D... bin_data             binary data
";

const FORMATS: &str = "\
File formats:
 D. = Demuxing supported
 .E = Muxing supported
 --
 D  3dostr          3DO STR
  E 3g2             3GP2 (3GPP2 file format)
 DE flv             FLV (Flash Video)
 D  mov,mp4,m4a     QuickTime / MOV
 D  rtsp            RTSP input
 DE mpegts          MPEG-TS (MPEG-2 Transport Stream)
";

fn skills() -> Skills {
    let mut skills = Skills::default();
    skills.read_codecs(CODECS);
    skills.read_formats(FORMATS);
    skills.read_devices(
        "Devices:\n D. = Demuxing supported\n --\n DE alsa            ALSA audio output\n \
         D  lavfi           Libavfilter\n",
    );
    skills.read_protocols("Supported file protocols:\nInput:\n  http\n  rtmp\nOutput:\n  file\n  rtmp\n  rtmps\n");
    skills
}

#[test]
fn c172_the_version_of_a_release_is_read() {
    let read = |text: &str| read_version(&format!("ffmpeg version {text} Copyright (c) 2000-2020")).version;
    for (text, version) in [
        ("4.3.1", "4.3.1"),
        ("4.4", "4.4.0"),
        ("4.4.1-datarhei", "4.4.1"),
        ("5.1.9-0+deb12u1", "5.1.9"),
        ("7.0", "7.0.0"),
    ] {
        assert_eq!(read(text), version);
    }
    let build = read_version(
        "ffmpeg version 4.4 Copyright (c) x\nbuilt with gcc 10 (Debian)\nconfiguration: --a --b\n\
         libavutil      57. 28.100 / 57. 28.101\nlibavcodec     59. 37.100 / 59. 37.100\n",
    );
    assert_eq!((build.compiler.as_str(), build.configuration.as_str()), ("gcc 10 (Debian)", "--a --b"));
    let first = Library { name: "libavutil".into(), compiled: "57.28.100".into(), linked: "57.28.101".into() };
    assert_eq!((build.libraries.len(), &build.libraries[0]), (2, &first));
}

#[test]
fn c173_other_builds_are_taken_as_they_are() {
    let read = |text: &str| read_version(&format!("ffmpeg version {text} Copyright")).version;
    assert_eq!(
        [read("N-109468-gd39b34123d"), read("n6.1"), read("git-2024-01-01")],
        ["N-109468-gd39b34123d", "6.1.0", "git-2024-01-01"]
    );
    assert_eq!(read_version("something else"), Build::default());
}

#[test]
fn c174_codecs_have_their_encoders_and_decoders() {
    let skills = skills();
    let [raw, h264, vp8] = &skills.video[..] else { panic!("{:?}", skills.video) };
    assert_eq!((raw.encoders.len(), raw.decoders.as_slice()), (0, ["012v".to_owned()].as_slice()));
    assert_eq!((h264.id.as_str(), h264.name.as_str()), ("h264", "H.264 / AVC / MPEG-4 AVC / MPEG-4 part 10"));
    assert_eq!(
        (h264.encoders.join(" "), h264.decoders.join(" ")),
        ("libx264 libx264rgb h264_videotoolbox".into(), "h264".into())
    );
    assert_eq!((vp8.encoders.join(" "), vp8.decoders.join(" ")), ("libvpx".into(), "vp8 libvpx".into()));
    assert_eq!((skills.audio.len(), skills.subtitle.len()), (1, 1));
}

#[test]
fn c175_formats_are_read_and_written() {
    let skills = skills();
    let ids = |named: &[Named]| named.iter().map(|named| named.id.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(ids(&skills.demuxers), "3dostr flv mov,mp4,m4a rtsp mpegts");
    assert_eq!(ids(&skills.muxers), "3g2 flv mpegts");
    assert_eq!(skills.muxers[0].name, "3GP2 (3GPP2 file format)");
    assert_eq!((skills.sources.len(), skills.sinks.len()), (2, 1));
    let mut new = Skills::default();
    new.read_formats(
        "Formats:\n D.. = Demuxing supported\n ..d = Is a device\n ---\n D   3dostr  3DO STR\n\x20 E  3g2  3GP2\n \
         DEd alsa  ALSA\n",
    );
    assert_eq!((ids(&new.demuxers).as_str(), ids(&new.muxers).as_str()), ("3dostr alsa", "3g2 alsa"));
}

#[test]
fn c176_protocols_are_read_and_written() {
    let skills = skills();
    assert_eq!(skills.input_protocols, ["http", "rtmp"]);
    assert_eq!(skills.output_protocols, ["file", "rtmp", "rtmps"]);
}

#[test]
fn c177_hardware_acceleration_is_read() {
    let named = |name: &str| Named { id: name.into(), name: name.into() };
    assert_eq!(
        read_hwaccels("Hardware acceleration methods:\nvideotoolbox\nvaapi\n\n"),
        ["videotoolbox", "vaapi"].map(named)
    );
    let filters = read_filters(
        "Filters:\n  T.. = Timeline support\n  | = Source or sink filter\n \
         ... abench            A->A       Benchmark part of a filtergraph.\n TSC overlay VV->V Overlay a video.\n",
    );
    assert_eq!(filters.iter().map(|filter| filter.id.as_str()).collect::<Vec<_>>(), ["abench", "overlay"]);
    assert_eq!(filters[0].name, "Benchmark part of a filtergraph.");
}

#[test]
fn c178_devices_are_found() {
    let cards = read_cards(
        " 0 [ALSA           ]: bcm2835_alsa - bcm2835 ALSA\n                      bcm2835 ALSA\n \
         1 [U0x46d0x825    ]: USB-Audio - USB Device 0x46d:0x825\n                      USB Device at usb-1.3\n",
    );
    let pcm = "00-00: bcm2835 ALSA : bcm2835 ALSA : playback 7\n01-00: USB Audio : USB Audio : capture 1\n";
    let device = |id: &str, name: &str, extra: &str, media: &str| Device {
        id: id.into(),
        name: name.into(),
        extra: extra.into(),
        media: media.into(),
    };
    assert_eq!(read_sound(pcm, &cards, "capture"), [device("hw:1,0", "USB Audio", "USB Device 0x46d:0x825", "audio")]);
    assert_eq!(read_sound(pcm, &cards, "playback")[0].id, "hw:0,0");
    let videos = read_videos([("video10", "Codec\n", ""), ("video0", "Webcam C170\n", "usb-1.3")]);
    assert_eq!(videos[0], device("/dev/video0", "Webcam C170", "usb-1.3", "video"));
    assert_eq!(read_framebuffers("0 BCM2708 FB\n"), [device("/dev/fb0", "BCM2708 FB", "", "video")]);
}

fn lacks(input: &str, output: &str) -> Vec<String> {
    let plan = tests::plan(&format!("  input: [{{id: in, {input}}}]\n  output: [{{id: out, {output}}}]"));
    skills().lacks(&plan, &[]).iter().map(Lack::to_string).collect()
}

#[test]
fn what_ffmpeg_has_not_is_named_with_what_is_near() {
    assert_eq!(
        lacks("address: rtmp://h/a", "options: ['-c:v', h264_nvenc, '-c:a', copy, -f, flv], address: rtmp://h/b"),
        ["this FFmpeg has no encoder \"h264_nvenc\", which output \"out\" asks for; it has \
             libx264, libx264rgb, h264_videotoolbox, h264"]
    );
    assert_eq!(
        lacks("options: ['-vcodec', hevc_cuvid], address: rtmp://h/a", "address: x.flv"),
        ["this FFmpeg has no decoder \"hevc_cuvid\", which input \"in\" asks for"]
    );
    assert_eq!(
        lacks("address: srt://h:1", "options: [-f, mpegt], address: x.ts"),
        [
            "this FFmpeg has no protocol \"srt\", which input \"in\" asks for",
            "this FFmpeg has no format \"mpegt\", which output \"out\" asks for; it has mpegts"
        ]
    );
    let legs = ["-map", "0:v", "-c:v", "libx265"].map(Secret::new);
    let plan = tests::plan("  input: [{id: in, address: 'rtmp://h/a'}]\n  output: [{id: out, address: x.flv}]");
    assert_eq!(skills().lacks(&plan, &legs)[0].place, "spec.webrtc");
}

#[test]
fn what_ffmpeg_has_is_not_missing() {
    for (input, output) in [
        ("address: rtsp://h/a", "options: ['-c', copy, -f, flv], address: 'rtmps://h/b'"),
        ("address: 'rtsps://h/a'", "options: ['-c:v:0', h264, '-acodec', aac], address: x.flv"),
        ("options: [-f, lavfi], address: 'testsrc=size=1x1'", "options: [-f, alsa], address: 'hw:0,0'"),
        ("options: [-f, mp4], address: film.mp4", "options: ['-c:s', subrip], address: 'file:x.flv'"),
    ] {
        let found = lacks(input, output);
        assert!(found.is_empty(), "{found:?}");
    }
    let plan = tests::plan(
        "  input: [{id: in, options: ['-c:v', nosuch, -f, no], address: 'no://h'}]\n  output: [{id: out, address: x}]",
    );
    assert!(Skills::default().lacks(&plan, &[]).is_empty(), "nobody knows what it has");
}
