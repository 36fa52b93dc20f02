use super::*;

const DISK: &str = "/core/data";

/// What access lists see of an address, leg by leg, and whether a leg is a file of the disk directory.
fn seen(address: &str) -> Result<(String, bool), String> {
    let disk = Path::new(DISK);
    if !is_tee(address) {
        return Place::of_output(address, disk).map(|place| (place.listed.clone(), place.is_local_file()));
    }
    let mut texts = Vec::new();
    let mut is_file = false;
    for leg in tee_legs(address) {
        let place = Place::of_output(&leg.address, disk)?;
        is_file |= place.is_local_file();
        texts.push(format!("{}{}", leg.brackets, place.listed));
    }
    Ok((texts.join("|"), is_file))
}

fn told(address: &str) -> Result<String, String> {
    Place::of_output(address, Path::new(DISK)).map(|place| place.address)
}

#[test]
fn c052_c054_devices_are_allowed() {
    assert_eq!(seen("/dev/null"), Ok(("file:/dev/null".into(), false)));
    assert_eq!(seen("/dev/fb0"), Ok(("file:/dev/fb0".into(), false)));
    assert!(seen("/dev").is_err());
}

#[test]
fn c053_c055_a_path_out_of_the_disk_directory_is_refused() {
    for path in ["/dev/../etc/passwd", "/etc/passwd", "../x", "a/../../x", "file:/etc/passwd", "file:///etc/passwd"] {
        let error = seen(path).expect_err(path);
        assert!(error.contains("leads out of the disk directory /core/data"), "{error}");
        assert!(!error.contains(path), "it may hold a secret: {error}");
    }
}

#[test]
fn c057_a_path_is_taken_without_its_dots() {
    assert_eq!(seen("/core/data/./etc/passwd"), Ok(("file:/core/data/etc/passwd".into(), true)));
    assert_eq!(told("/core/data/./etc/passwd"), Ok("/core/data/etc/passwd".into()));
    assert_eq!(told("a/../b//c.ts"), Ok("b/c.ts".into()), "FFmpeg is told what was checked");
}

#[test]
fn c058_a_path_may_have_its_scheme() {
    assert_eq!(seen("file:/core/data/foobar"), Ok(("file:/core/data/foobar".into(), true)));
    assert_eq!(told("file:foobar"), Ok("/core/data/foobar".into()));
}

#[test]
fn c059_a_url_stays_as_it_is() {
    assert_eq!(seen("http://example.com"), Ok(("http://example.com".into(), false)));
}

#[test]
fn c060_a_dash_is_standard_output() {
    assert_eq!(seen("-"), Ok(("pipe:".into(), false)));
    assert_eq!(told("-"), Ok("-".into()));
}

#[test]
fn c061_c063_c064_c065_each_leg_of_a_tee_is_a_place_of_its_own() {
    for (address, expected, is_file) in [
        ("/core/data/foobar|http://example.com", "file:/core/data/foobar|http://example.com", true),
        ("[f=mpegts]udp://10.0.1.255:1234/", "[f=mpegts]udp://10.0.1.255:1234/", false),
        ("[f=null]-|[f=null]-", "[f=null]pipe:|[f=null]pipe:", false),
        (
            "[onfail=ignore]/core/data/archive-20121107.mkv|[f=mpegts]udp://10.0.1.255:1234/",
            "[onfail=ignore]file:/core/data/archive-20121107.mkv|[f=mpegts]udp://10.0.1.255:1234/",
            true,
        ),
    ] {
        assert_eq!(seen(address), Ok((expected.into(), is_file)), "{address}");
    }
}

#[test]
fn c066_the_directory_is_compared_by_its_components() {
    assert!(seen("/core/database/x").is_err());
    assert!(seen("/core/data").is_err());
}

#[test]
fn c068_c069_c070_c073_c074_only_the_host_of_a_url_must_be_readable() {
    assert_eq!(scheme("http://localhost/foobar_%v"), Some(("http", "localhost")));
    assert_eq!(scheme("foobar"), None);
    let (found, authority) = scheme("foo:bar://localhost/x?foo=bar#foobar").expect("it has a scheme");
    assert_eq!((found, host_and_port(authority)), ("foo:bar", Ok(("localhost", None))));
    assert_eq!(scheme("//localhost/foobar"), None);
    assert_eq!(host_and_port("localhost:8080"), Ok(("localhost", Some("8080"))));
    for good in ["", ":6000", "[::1]:1935", "user:p@ss@host:1", "@239.0.0.1:5000"] {
        assert!(host_and_port(good).is_ok(), "{good}");
    }
    for bad in ["[::1", "host:port", "ho st", "[::1]1935", "a[b]:1", "h\"o"] {
        assert!(host_and_port(bad).is_err(), "{bad}");
    }
}

#[test]
fn ffmpeg_s_protocols_are_told_from_paths() {
    for url in ["udp:10.0.0.1:9", "RTMP://h/a", "foo:bar://h", "srt://:6000", "pipe:1", "unix:/run/x", "tls+x://h"] {
        assert_eq!(Kind::of(url), Kind::Url, "{url}");
    }
    for (path, of) in
        [("a:b.ts", "a:b.ts"), ("FILE:/x", "/x"), ("file://x", "//x"), ("[x]://y", "[x]://y"), (":x", ":x")]
    {
        assert_eq!(Kind::of(path), Kind::Path(of), "{path}");
    }
    for wrapped in
        ["crypto:/etc/x", "crypto+file:///x", "tee://x", "subfile,,start,0,end,0,,:/etc/x", "MD5:x", "cache:x"]
    {
        assert!(matches!(Kind::of(wrapped), Kind::Wrapped(_)), "{wrapped}");
        assert!(seen(wrapped).is_err());
    }
}

#[test]
fn a_path_that_ffmpeg_would_take_for_something_else_is_told_as_an_absolute_one() {
    assert_eq!(told("cam:1.ts"), Ok("/core/data/cam:1.ts".into()));
    assert_eq!(told("-y"), Ok("/core/data/-y".into()));
    assert_eq!(told(" live.m3u8 "), Ok("live.m3u8".into()));
}

#[test]
fn quotes_and_escapes_hide_no_leg_of_a_tee() {
    let addresses = |address: &str| tee_legs(address).into_iter().map(|leg| leg.address).collect::<Vec<_>>();
    assert_eq!(addresses("a'|'b|c"), ["a|b", "c"]);
    assert_eq!(addresses(r"x/.\./.\./y"), ["x/../../y"]);
    let leg = &tee_legs(r"[f=hls:hls_segment_filename=http\\://h/%d.ts]x.m3u8")[0];
    assert_eq!(leg.options[1], ("hls_segment_filename".into(), "http://h/%d.ts".into()));
    assert_eq!(tee_legs("[]x")[0].address, "x");
}

#[test]
fn a_tee_is_written_as_it_is_read() {
    let legs = tee_legs(r"[f=hls:x=a\\:b]one'|'x|[f=null]two ");
    let written = tee_address(legs.iter().map(|leg| (leg.brackets.as_str(), leg.address.as_str())));
    assert_eq!(tee_legs(&written), legs);
}
