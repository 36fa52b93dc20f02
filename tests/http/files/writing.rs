use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{get, header, put, writer};
use crate::house::{House, PATIENCE, Wishes, problem};

async fn house() -> House {
    House::new(Wishes { webrtc: false, memory: (4 << 20, false), ..Wishes::default() }).await
}

/// A PUT whose body comes in chunks as FFmpeg sends it; the head is sent.
async fn chunked(house: &House, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(house.address).await.expect("it listens");
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
         Authorization: Basic d3JpdGVyOmh1bnRlcjIz\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it is taken");
    stream
}

async fn chunk(stream: &mut TcpStream, text: &str) {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    stream.write_all(chunk.as_bytes()).await.expect("it is taken");
}

async fn status(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("in time").expect("it answers");
    String::from_utf8_lossy(&answer[..read]).split_whitespace().nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_file_is_made_replaced_and_removed() {
    let house = house().await;
    for (method, status) in [("PUT", 201), ("PUT", 204), ("POST", 204)] {
        let response = writer(&house, method, "/memfs/a/b.ts").body("film").send().await.expect("it is answered");
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "content-location"), "/memfs/a/b.ts");
    }
    assert_eq!(get(&house, "/memfs/a/b.ts").await.text().await.expect("text"), "film");
    let deleted = writer(&house, "DELETE", "/memfs/a/b.ts").send().await.expect("it is answered");
    assert_eq!(deleted.status(), 200);
    let again = writer(&house, "DELETE", "/memfs/a/b.ts").send().await.expect("it is answered");
    assert_eq!(problem(again).await, (404, "no_file".into()));
    assert_eq!(problem(get(&house, "/memfs/a/b.ts").await).await, (404, "no_file".into()));
}

#[tokio::test]
async fn only_who_has_the_password_may_write() {
    let house = house().await;
    for method in ["PUT", "POST", "DELETE"] {
        let bare = house.bare(method, "/memfs/a.ts").body("film").send().await.expect("it is answered");
        assert!(header(&bare, "www-authenticate").starts_with("Basic realm="));
        assert_eq!(problem(bare).await, (401, "no_login".into()));
        let wrong = house.bare(method, "/memfs/a.ts").basic_auth("writer", Some("x")).body("film");
        assert_eq!(problem(wrong.send().await.expect("it is answered")).await, (401, "wrong_password".into()));
        let token = house.ask(method, "/memfs/a.ts").body("film").send().await.expect("it is answered");
        assert_eq!(problem(token).await, (401, "no_login".into()), "a token is for the API");
    }
    assert_eq!(get(&house, "/memfs/a.ts").await.status(), 404);
}

#[tokio::test]
async fn wrong_passwords_are_limited() {
    let house = house().await;
    let mut statuses = Vec::new();
    for _ in 0..11 {
        let wrong = house.bare("PUT", "/memfs/a.ts").basic_auth("writer", Some("x"));
        statuses.push(wrong.send().await.expect("it is answered").status().as_u16());
    }
    assert_eq!((statuses[0], statuses[10]), (401, 429), "{statuses:?}");
}

#[tokio::test]
async fn a_file_is_there_when_its_body_has_ended_and_the_old_one_until_then() {
    let house = house().await;
    let mut stream = chunked(&house, "/memfs/a.ts").await;
    chunk(&mut stream, "first").await;
    assert_eq!(get(&house, "/memfs/a.ts").await.status(), 404);
    stream.write_all(b"0\r\n\r\n").await.expect("it is taken");
    assert_eq!(status(&mut stream).await, "201");
    let mut stream = chunked(&house, "/memfs/a.ts").await;
    chunk(&mut stream, "sec").await;
    assert_eq!(get(&house, "/memfs/a.ts").await.text().await.expect("text"), "first");
    chunk(&mut stream, "ond").await;
    stream.write_all(b"0\r\n\r\n").await.expect("it is taken");
    assert_eq!(status(&mut stream).await, "204");
    assert_eq!(get(&house, "/memfs/a.ts").await.text().await.expect("text"), "second");
}

#[tokio::test]
async fn a_writer_that_closes_behind_the_last_octet_has_written() {
    let house = house().await;
    let large = "x".repeat(600_000);
    for number in 0..20 {
        let path = format!("/memfs/{}.ts", number % 2);
        put(&house, &path, "old").await;
        let mut stream = chunked(&house, &path).await;
        chunk(&mut stream, &large).await;
        stream.write_all(b"0\r\n\r\n").await.expect("it is taken");
        drop(stream);
        let deadline = Instant::now() + PATIENCE;
        while get(&house, &path).await.text().await.expect("text").len() != large.len() {
            assert!(Instant::now() < deadline, "file {number} is lost");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writer(&house, "DELETE", &path).send().await.expect("it is answered");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing_behind_and_gives_its_room_back() {
    let house = House::new(Wishes { webrtc: false, memory: (100, false), ..Wishes::default() }).await;
    let mut stream = chunked(&house, "/memfs/a.ts").await;
    chunk(&mut stream, &"x".repeat(80)).await;
    drop(stream);
    let deadline = Instant::now() + PATIENCE;
    while put(&house, "/memfs/b.ts", "y".repeat(100)).await != 201 {
        assert!(Instant::now() < deadline, "the room is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(get(&house, "/memfs/a.ts").await.status(), 404);
}

#[tokio::test]
async fn a_full_filesystem_refuses_before_it_reads_and_while_it_reads() {
    let house = House::new(Wishes { webrtc: false, memory: (100, false), ..Wishes::default() }).await;
    assert_eq!(put(&house, "/memfs/a.ts", "x".repeat(60)).await, 201);
    let response = writer(&house, "PUT", "/memfs/b.ts").body("x".repeat(41)).send().await.expect("it is answered");
    assert_eq!(problem(response).await, (507, "storage_full".into()));
    let mut stream = chunked(&house, "/memfs/b.ts").await;
    chunk(&mut stream, &"x".repeat(41)).await;
    stream.write_all(b"0\r\n\r\n").await.expect("it is taken");
    assert_eq!(status(&mut stream).await, "507");
    assert_eq!(put(&house, "/memfs/a.ts", "x".repeat(100)).await, 204, "what is replaced makes room");
}

#[tokio::test]
async fn with_purge_the_oldest_files_make_room() {
    let house = House::new(Wishes { webrtc: false, memory: (100, true), ..Wishes::default() }).await;
    for name in ["c", "b", "a"] {
        assert_eq!(put(&house, &format!("/memfs/{name}.ts"), "x".repeat(40)).await, 201);
    }
    let mut statuses = Vec::new();
    for name in ["c", "b", "a"] {
        statuses.push(get(&house, &format!("/memfs/{name}.ts")).await.status().as_u16());
    }
    assert_eq!(statuses, [404, 200, 200]);
    assert_eq!(put(&house, "/memfs/d.ts", "x".repeat(101)).await, 507);
}

#[tokio::test]
async fn what_is_no_name_or_no_whole_file_is_refused() {
    let house = house().await;
    for path in ["/memfs/a%2F..%2F..%2Fb", "/memfs/a//b", "/memfs/%00", "/memfs/a/", "/memfs/a%5Cb"] {
        let response = writer(&house, "PUT", path).body("x").send().await.expect("it is answered");
        assert_eq!(response.status(), 404, "{path}");
    }
    let part = writer(&house, "PUT", "/memfs/a").header("content-range", "bytes 0-0/9").body("x");
    assert_eq!(part.send().await.expect("it is answered").status(), 400);
    let packed = writer(&house, "PUT", "/memfs/a").header("content-encoding", "gzip").body("x");
    assert_eq!(packed.send().await.expect("it is answered").status(), 415);
}

#[tokio::test]
async fn the_disk_directory_is_read_only_without_a_token() {
    let house = house().await;
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let response = writer(&house, method, "/a.ts").body("x").send().await.expect("it is answered");
        assert_eq!(problem(response).await, (404, "no_route".into()), "{method}");
    }
}
