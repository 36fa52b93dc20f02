use super::super::access::{AccessList, Expressions};
use super::*;

fn options(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn fault(words: &[&str]) -> Option<(usize, &'static str)> {
    read(&options(words)).err()
}

fn access(input: &str, output: &str) -> Access {
    let list = |allow| AccessList { allow: Expressions::parse(allow).expect("they are"), ..AccessList::default() };
    Access { inputs: list(input), outputs: list(output) }
}

fn checked(access: &Access, name: &str, value: &str) -> Result<(), String> {
    Bounds { disk: Path::new("/core/data"), access }.check(name, value)
}

#[test]
fn options_are_taken_apart_as_ffmpeg_does() {
    let words =
        options(&["-re", "-f", "lavfi", "-noautorotate", "-b:v", "1M", "-unknown", "-1", "-metadata:s:v:0", "-i"]);
    let items = read(&words).expect("they are options");
    assert_eq!(
        items,
        [
            Item::Bare(0, "re"),
            Item::Valued(1, "f", "lavfi"),
            Item::Bare(3, "noautorotate"),
            Item::Valued(4, "b", "1M"),
            Item::Valued(6, "unknown", "-1"),
            Item::Valued(8, "metadata", "-i"),
        ]
    );
    assert_eq!(value(&items, "f"), Some("lavfi"));
    assert!(is_device(&items));
}

#[test]
fn x21_no_option_hides_another_input_or_output() {
    for (words, at) in [
        (&["-i", "/etc/passwd"][..], 0),
        (&["-c", "copy", "/etc/cron.d/x"], 2),
        (&["-re", "/tmp/x"], 1),
        (&["-an", "-vn", "x", "-c", "copy"], 2),
        (&["-nostats", "x"], 1),
        (&["-noautorotate", "x"], 1),
        (&["-autorotate", "/etc/x"], 0),
        (&["-autoscale", "0", "x"], 2),
        (&["-"], 0),
        (&[""], 0),
        (&["--", "x"], 0),
        (&["-c:v", "copy", "-i", "x"], 2),
        (&["-y", "-f"], 1),
        (&["-metadata"], 0),
    ] {
        assert_eq!(fault(words).map(|(at, _)| at), Some(at), "{words:?}");
    }
}

#[test]
fn what_is_written_stays_in_the_disk_directory_even_without_lists() {
    let open = Access::default();
    for (name, value) in [
        ("hls_segment_filename", "/etc/x-%d.ts"),
        ("hls_segment_filename", "../x.ts"),
        ("segment_list", "/tmp/list"),
        ("passlogfile", "/tmp/log"),
        ("sdp_file", "file:/tmp/x.sdp"),
        ("vstats_file", "../x"),
        ("master_pl_name", "/etc/x"),
        ("progress", "x"),
    ] {
        assert!(checked(&open, name, value).is_err(), "{name} {value}");
    }
    for (name, value) in [
        ("hls_segment_filename", "cam-%d.ts"),
        ("hls_segment_filename", "/core/data/cam/%s.ts"),
        ("hls_segment_filename", "http://localhost/memfs/x_%04d.ts"),
        ("vstats_file", "/dev/null"),
        ("filter_complex_script", "/opt/graph"),
        ("protocol_whitelist", "file,crypto"),
        ("vf", "movie=/opt/logo.png[l];[in][l]overlay"),
        ("attach", "/opt/font.ttf"),
        ("x264-params", "stats=/opt/x"),
    ] {
        assert_eq!(checked(&open, name, value), Ok(()), "{name} {value}");
    }
}

#[test]
fn x21_with_lists_no_option_opens_what_they_cannot_be_asked_about() {
    let access = access("^rtsp://", "^rtmp://");
    for (name, value) in [
        ("filter_complex_script", "graph.txt"),
        ("filter_script", "graph.txt"),
        ("/filter_complex", "graph.txt"),
        ("protocol_whitelist", "file,http"),
        ("safe", "0"),
        ("f", "concat"),
        ("dump_attachment", ""),
        ("attach", "secret.txt"),
        ("hls_key_info_file", "key.info"),
        ("vf", "movie=secret.mp4"),
        ("filter_complex", "amovie=secret.mp3"),
        ("x264-params", "pass=1:stats=/etc/x"),
        ("x265-params", "csv=../x"),
        ("http_proxy", "http://10.0.0.1"),
        ("anything", "/etc/passwd"),
        ("anything", "file:/etc/passwd"),
        ("anything", "http://10.0.0.1/"),
        ("hls_segment_filename", "cam-%d.ts"),
        ("passlogfile", "log"),
    ] {
        let error = checked(&access, name, value).expect_err(name);
        assert!(!error.contains("/etc") && !error.contains("secret"), "it may hold a secret: {error}");
    }
    for (name, value) in [
        ("r", "30000/1001"),
        ("metadata", "title=http://host:8080/oembed.json"),
        ("user_agent", "Mozilla/5.0 (X11)"),
        ("force_key_frames", "expr:gte(t, n_forced * 1 / 2)"),
        ("init_hw_device", "vaapi=va:/dev/dri/renderD128"),
        ("vf", "scale=iw/2:-2,drawtext=text='a/b'"),
        ("content_type", "video/mp2t"),
        ("time_base", "1/90000"),
        ("f", "mpegts"),
        ("rtmp_playpath", "/live/key"),
    ] {
        assert_eq!(checked(&access, name, value), Ok(()), "{name} {value}");
    }
}

#[test]
fn a_leg_of_a_tee_has_the_bounds_of_an_output() {
    let open = Access::default();
    let bounds = Bounds { disk: Path::new("/core/data"), access: &open };
    let leg = |name: &str, value: &str| bounds.check_leg(&[(name.into(), value.into())]);
    assert!(leg("hls_segment_filename", "/etc/x").is_err());
    assert!(leg("f", "tee").is_err());
    assert_eq!(leg("bsfs/v", "dump_extra"), Ok(()));
    assert_eq!(leg("hls_segment_filename", "http://localhost/memfs/%d.ts"), Ok(()));
}

#[test]
fn sources_are_known_by_their_paths_and_hide_behind_no_protocol() {
    let access = access("^file:/core/data/public/ ^/core/data/open/", "");
    let source = |address: &str| Bounds { disk: Path::new("/core/data"), access: &access }.check_source(address);
    assert_eq!(source("public/a.mp4"), Ok("/core/data/public/a.mp4".into()), "FFmpeg is told what was checked");
    assert_eq!(source("/core/data/open/a.mp4"), Ok("/core/data/open/a.mp4".into()));
    for address in ["/core/data/public/../secret", "file:/etc/passwd", "concat:/core/data/public/a", "cache:public/a"] {
        assert!(source(address).is_err(), "{address}");
    }
    let open = Access::default();
    let source = |address: &str| Bounds { disk: Path::new("/core/data"), access: &open }.check_source(address);
    assert_eq!(source("../film.mp4"), Ok("../film.mp4".into()), "without lists it stays as it is");
}
