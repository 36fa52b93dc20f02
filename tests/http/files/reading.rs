use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;

use super::{get, header, put};
use crate::house::{House, Wishes, problem};

async fn house() -> House {
    House::new(Wishes { webrtc: false, ..Wishes::default() }).await
}

/// Puts the same file into both places.
async fn both(house: &House, name: &str, text: &str) -> [String; 2] {
    assert!(put(house, &format!("/memfs/{name}"), text.to_owned()).await < 300);
    fs::write(house.data.path().join(name), text).expect("it can be written");
    [format!("/memfs/{name}"), format!("/{name}")]
}

#[tokio::test]
async fn a_file_says_what_it_is_and_how_long_it_may_be_kept() {
    let house = house().await;
    for (name, media_type, kept) in [
        ("a.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
        ("a.mpd", "application/dash+xml", "no-cache"),
        ("a.ts", "video/mp2t", "public, max-age=10"),
        ("a.m4s", "video/iso.segment", "public, max-age=10"),
        ("a.mp4", "video/mp4", "public, max-age=10"),
        ("a.jpg", "image/jpeg", "no-cache"),
    ] {
        for path in both(&house, name, "text").await {
            let response = get(&house, &path).await;
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(header(&response, "content-type"), media_type, "{path}");
            assert_eq!(header(&response, "cache-control"), kept, "{path}");
            assert_eq!(header(&response, "content-length"), "4");
            assert_eq!(header(&response, "access-control-allow-origin"), "*");
            assert!(header(&response, "access-control-expose-headers").contains("Content-Range"));
            let head = house.bare("HEAD", &path).send().await.expect("it is answered");
            assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "4"));
            assert_eq!(header(&head, "etag"), header(&response, "etag"));
            assert_eq!(response.text().await.expect("text"), "text");
        }
    }
}

#[tokio::test]
async fn a_range_is_a_part_of_the_file() {
    let house = house().await;
    for path in both(&house, "a.ts", "0123456789").await {
        for (range, status, text, content_range) in [
            ("bytes=2-4", 206, "234", "bytes 2-4/10"),
            ("bytes=7-", 206, "789", "bytes 7-9/10"),
            ("bytes=-3", 206, "789", "bytes 7-9/10"),
            ("bytes=8-99", 206, "89", "bytes 8-9/10"),
            ("bytes=0-0,5-6", 200, "0123456789", ""),
            ("lines=1-2", 200, "0123456789", ""),
        ] {
            let response = house.bare("GET", &path).header("range", range).send().await.expect("it is answered");
            assert_eq!(response.status(), status, "{path} {range}");
            assert_eq!(header(&response, "content-range"), content_range, "{path} {range}");
            assert_eq!(header(&response, "accept-ranges"), "bytes");
            assert_eq!(response.text().await.expect("text"), text, "{path} {range}");
        }
        let beyond = house.bare("GET", &path).header("range", "bytes=10-").send().await.expect("it is answered");
        assert_eq!(header(&beyond, "content-range"), "bytes */10");
        assert_eq!(problem(beyond).await, (416, "no_such_range".into()));
    }
}

#[tokio::test]
async fn a_range_of_another_version_is_the_whole_file() {
    let house = house().await;
    for path in both(&house, "a.ts", "0123456789").await {
        let whole = get(&house, &path).await;
        for (validator, status) in
            [(header(&whole, "etag"), 206), (header(&whole, "last-modified"), 206), ("\"other\"", 200)]
        {
            let part = house.bare("GET", &path).header("range", "bytes=1-1").header("if-range", validator);
            assert_eq!(part.send().await.expect("it is answered").status(), status, "{path} {validator}");
        }
    }
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let house = house().await;
    for name in ["a.m3u8", "a.ts"] {
        for path in both(&house, name, "first").await {
            let first = get(&house, &path).await;
            let (etag, modified) = (header(&first, "etag").to_owned(), header(&first, "last-modified").to_owned());
            let ask = |name: &'static str, value: &str| house.bare("GET", &path).header(name, value).send();
            for (name, value, status) in [
                ("if-none-match", etag.as_str(), 304),
                ("if-none-match", "*", 304),
                ("if-none-match", "\"other\"", 200),
                ("if-modified-since", modified.as_str(), 304),
                ("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT", 200),
                ("if-match", "\"other\"", 412),
                ("if-unmodified-since", "Mon, 01 Jan 2024 00:00:00 GMT", 412),
            ] {
                let response = ask(name, value).await.expect("it is answered");
                assert_eq!(response.status(), status, "{path} {name} {value}");
                if status == 304 {
                    assert_eq!(header(&response, "etag"), etag);
                }
            }
            both(&house, name, "other").await;
            assert_eq!(ask("if-none-match", &etag).await.expect("it is answered").status(), 200, "{path} has changed");
        }
    }
}

#[tokio::test]
async fn a_long_text_is_compressed_for_who_takes_it_and_media_never() {
    let house = house().await;
    let text = "#EXTINF:2.0,\ncam_0001.ts\n".repeat(100);
    for name in ["a.m3u8", "a.ts"] {
        for path in both(&house, name, &text).await {
            let request = house.bare("GET", &path).header("accept-encoding", "gzip");
            let response = request.send().await.expect("it is answered");
            let is_packed = header(&response, "content-encoding") == "gzip";
            assert_eq!(is_packed, name == "a.m3u8", "{path}");
            if is_packed {
                assert!(header(&response, "etag").starts_with("W/"), "{path}");
                assert!(header(&response, "vary").contains("accept-encoding"));
                assert_eq!(unpack(&response.bytes().await.expect("octets")), text);
            }
            assert_eq!(get(&house, &path).await.text().await.expect("text"), text);
        }
    }
    let path = &both(&house, "b.m3u8", "#EXTM3U").await[0];
    let short = house.bare("GET", path).header("accept-encoding", "gzip").send().await.expect("it is answered");
    assert_eq!(header(&short, "content-encoding"), "");
}

fn unpack(octets: &[u8]) -> String {
    let mut child = std::process::Command::new("gzip")
        .args(["-d", "-c"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip is on every machine");
    child.stdin.take().expect("it is piped").write_all(octets).expect("it is taken");
    let mut text = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it is text");
    child.wait().expect("it ends");
    text
}

#[tokio::test]
async fn the_page_stays_at_its_place_and_the_directory_is_beside_it() {
    let house = house().await;
    let folder = house.data.path();
    fs::write(folder.join("index.html"), "mine").expect("written");
    fs::create_dir(folder.join("site")).expect("made");
    fs::write(folder.join("site/index.html"), "site").expect("written");
    fs::write(folder.join("a b.txt"), "blank").expect("written");
    assert!(get(&house, "/").await.text().await.expect("text").contains("<title>"), "it is the page of the program");
    assert_eq!(get(&house, "/a%20b.txt").await.text().await.expect("text"), "blank");
    let site = get(&house, "/site/").await;
    assert!(header(&site, "content-security-policy").starts_with("sandbox "), "it is no page of this program");
    assert_eq!(site.text().await.expect("text"), "site");
    for path in ["/site", "/nothing.ts", "/api/nothing", "/memfs", "/memfs/"] {
        assert_eq!(get(&house, path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn hidden_files_and_what_lies_outside_are_not_served() {
    let house = house().await;
    let folder = house.data.path();
    fs::write(folder.join(".env"), "secret").expect("written");
    fs::create_dir(folder.join(".git")).expect("made");
    fs::write(folder.join(".git/config"), "secret").expect("written");
    symlink("/etc/passwd", folder.join("passwd.txt")).expect("linked");
    symlink("/etc", folder.join("etc")).expect("linked");
    for path in [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/passwd.txt",
        "/etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/%00",
        "/%ff",
    ] {
        assert_eq!(get(&house, path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn files_can_be_kept_to_some_sites() {
    let origins = vec!["https://example.com"];
    let house = House::new(Wishes { webrtc: false, origins, ..Wishes::default() }).await;
    for path in both(&house, "a.ts", "film").await {
        for (origin, allowed) in [("https://example.com", "https://example.com"), ("https://other.example", "")] {
            let request = house.bare("GET", &path).header("origin", origin);
            let response = request.send().await.expect("it is answered");
            assert_eq!(header(&response, "access-control-allow-origin"), allowed, "{path} {origin}");
            assert!(header(&response, "vary").contains("origin"));
        }
    }
}
