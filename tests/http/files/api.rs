use std::fs;

use dragonfork::http::token::{Purpose, Scope, Words};
use serde_json::json;

use super::{get, header, put};
use crate::house::{House, Wishes, problem};

async fn house() -> House {
    House::new(Wishes { webrtc: false, ..Wishes::default() }).await
}

#[tokio::test]
async fn the_filesystems_and_their_files_are_listed() {
    let house = house().await;
    let expected = json!([
        { "name": "disk", "type": "disk", "mount": "/" },
        { "name": "mem", "type": "mem", "mount": "/memfs" },
    ]);
    assert_eq!(house.get("/api/v3/fs").await, expected);
    put(&house, "/memfs/b.ts", "bb").await;
    put(&house, "/memfs/a/c.m3u8", "c").await;
    fs::write(house.data.path().join("film.mp4"), "film").expect("written");
    let listed = house.get("/api/v3/fs/mem").await;
    assert_eq!((&listed[0]["name"], &listed[0]["size_bytes"]), (&json!("/a/c.m3u8"), &json!(1)));
    assert_eq!((&listed[1]["name"], &listed[1]["size_bytes"]), (&json!("/b.ts"), &json!(2)));
    assert!(listed[0]["last_modified"].as_u64().is_some_and(|seconds| seconds > 1_700_000_000));
    assert_eq!(house.get("/api/v3/fs/disk").await[0]["name"], "/film.mp4");
    let unknown = house.ask("GET", "/api/v3/fs/s3").send().await.expect("it is answered");
    assert_eq!(problem(unknown).await, (404, "unknown_filesystem".into()));
}

#[tokio::test]
async fn a_list_is_filtered_and_sorted_and_empty_is_absent() {
    let house = house().await;
    for (name, size) in [("b.ts", 1), ("a.ts", 3), ("c.m3u8", 2)] {
        put(&house, &format!("/memfs/{name}"), "x".repeat(size)).await;
    }
    for (query, expected) in [
        ("glob=&size_min=&size_max=&lastmod_start=&lastmod_end=&sort=&order=", vec!["/a.ts", "/b.ts", "/c.m3u8"]),
        ("glob=/*.ts&sort=size&order=desc", vec!["/a.ts", "/b.ts"]),
        ("sort=lastmod&order=asc&unknown=1", vec!["/b.ts", "/a.ts", "/c.m3u8"]),
        ("size_min=2&size_max=2", vec!["/c.m3u8"]),
        ("lastmod_start=4000000000", vec![]),
        ("lastmod_end=1000", vec![]),
    ] {
        let listed = house.get(&format!("/api/v3/fs/mem?{query}")).await;
        let names: Vec<&str> =
            listed.as_array().expect("a list").iter().filter_map(|file| file["name"].as_str()).collect();
        assert_eq!(names, expected, "{query}");
    }
    for query in ["sort=color", "order=up", "size_min=x", "glob=/[a"] {
        let response = house.ask("GET", &format!("/api/v3/fs/mem?{query}")).send().await.expect("it is answered");
        assert_eq!(problem(response).await, (400, "malformed".into()), "{query}");
    }
}

#[tokio::test]
async fn a_file_is_written_read_and_removed_with_a_token() {
    let house = house().await;
    for (name, served) in [("mem", "/memfs/a/b.bin"), ("disk", "/a/b.bin")] {
        let path = format!("/api/v3/fs/{name}/a/b.bin");
        for status in [201, 204] {
            // datarhei's client calls every body JSON.
            let request = house.ask("PUT", &path).header("content-type", "application/json").body("film");
            assert_eq!(request.send().await.expect("it is answered").status(), status, "{path}");
        }
        assert_eq!(get(&house, served).await.text().await.expect("text"), "film");
        let read = house.ask("GET", &path).send().await.expect("it is answered");
        assert_eq!(read.text().await.expect("text"), "film");
        let head = house.ask("HEAD", &path).send().await.expect("it is answered");
        assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "4"));
        let removed = house.ask("DELETE", &path).send().await.expect("it is answered");
        assert_eq!((removed.status().as_u16(), header(&removed, "content-type")), (200, "application/json"));
        assert_eq!(removed.text().await.expect("text"), "\"OK\"");
        for method in ["GET", "DELETE"] {
            let gone = house.ask(method, &path).send().await.expect("it is answered");
            assert_eq!(problem(gone).await, (404, "no_file".into()));
        }
    }
}

#[tokio::test]
async fn a_token_has_to_be_good_for_every_process() {
    let house = house().await;
    let words = |words: &[&str]| Some(Words::Many(words.iter().map(|word| (*word).into()).collect()));
    let mint = |process: &[&str], action: &[&str]| {
        house.mint(Purpose::Access, 60, Scope { process: words(process), action: words(action) })
    };
    put(&house, "/memfs/a.ts", "film").await;
    for (method, path, needs, other) in [
        ("GET", "/api/v3/fs", "read", "write"),
        ("GET", "/api/v3/fs/mem", "read", "write"),
        ("GET", "/api/v3/fs/mem/a.ts", "read", "write"),
        ("PUT", "/api/v3/fs/mem/a.ts", "write", "read"),
        ("DELETE", "/api/v3/fs/mem/a.ts", "write", "read"),
    ] {
        let ask = async |token: Option<String>| {
            let request = house.bare(method, path);
            let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
            request.send().await.expect("it is answered").status().as_u16()
        };
        assert_eq!(ask(None).await, 401, "{method} {path}");
        assert_eq!(ask(Some(mint(&["cam"], &[needs]))).await, 403, "{method} {path}");
        assert_eq!(ask(Some(mint(&["*"], &[other]))).await, 403, "{method} {path}");
        assert!(ask(Some(mint(&["*"], &[needs]))).await < 300, "{method} {path}");
    }
}

#[tokio::test]
async fn a_file_that_does_not_fit_on_the_disk_is_refused() {
    let house = House::new(Wishes { webrtc: false, disk_limit: Some(100), ..Wishes::default() }).await;
    let put = |octets: usize| house.ask("PUT", "/api/v3/fs/disk/a.bin").body("x".repeat(octets)).send();
    assert_eq!(problem(put(101).await.expect("it is answered")).await, (507, "storage_full".into()));
    assert_eq!(put(100).await.expect("it is answered").status(), 201);
}
