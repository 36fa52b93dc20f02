//! POST, GET, HEAD and OPTIONS of the endpoint (1 to 9, 20 to 22, 24 to 27, 32 to 40, 42, 68).

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::program::Program;
use super::{CAM, CANDIDATE, FRAGMENT, SDP, header, made, words};
use crate::house::{CHROMIUM, problem};

#[tokio::test]
async fn whep_001_029_030_031_033_an_offer_becomes_a_session() {
    let program = Program::shared().await;
    let response = program.post(CAM, CHROMIUM).await;
    assert_eq!((response.status().as_u16(), header(&response, "content-type")), (201, SDP));
    assert_eq!(header(&response, "cache-control"), "no-store");
    let etag = header(&response, "etag");
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "strong and quoted: {etag}");
    let location = header(&response, "location").to_owned();
    let resource = location.strip_prefix(&format!("{CAM}/")).expect("a path, below the one that was called");
    assert!(resource.len() >= 32 && !resource.contains("cam"), "{resource}");
    let length: usize = header(&response, "content-length").parse().expect("it is set");
    let answer = response.text().await.expect("SDP");
    assert!(answer.len() == length && answer.starts_with("v=0\r\n"), "{answer}");
    assert_ne!(made(&program, CHROMIUM).await.location, location);
}

#[tokio::test]
async fn whep_002_007_008_the_media_type_counts_without_its_case_and_parameters_and_accept_does_not() {
    let program = Program::shared().await;
    let post = || program.ask("POST", CAM).body(CHROMIUM);
    for media in ["application/sdp", "Application/SDP; charset=utf-8", "application/sdp;charset=\"utf-8\""] {
        let request = post().header("content-type", media).header("accept", "text/html").send();
        assert_eq!(request.await.expect("it is answered").status(), 201, "{media}");
    }
    let zipped = post().header("content-type", SDP).header("content-encoding", "gzip").send().await;
    assert_eq!(problem(zipped.expect("it is answered")).await, (415, "unsupported_media_type".into()));
}

#[tokio::test]
async fn whep_003_another_content_type_is_415_and_says_what_is_taken() {
    let program = Program::shared().await;
    for media in [None, Some("application/json"), Some("text/plain")] {
        let request = program.ask("POST", CAM).body(CHROMIUM);
        let request = if let Some(media) = media { request.header("content-type", media) } else { request };
        let response = request.send().await.expect("it is answered");
        assert_eq!(header(&response, "accept-post"), SDP);
        assert_eq!(problem(response).await, (415, "unsupported_media_type".into()), "{media:?}");
    }
}

#[tokio::test]
async fn whep_004_005_007_what_is_no_sdp_is_400() {
    let program = Program::shared().await;
    for body in [&b""[..], b" \r\n", b"hello", b"v=0\r\nnonsense", b"v=0\0", &[0xff; 100]] {
        let request = program.ask("POST", CAM).header("content-type", SDP).body(body.to_vec());
        let response = request.send().await.expect("it is answered");
        assert_eq!(problem(response).await, (400, "malformed".into()), "{body:?}");
    }
    let nothing = program.send("POST", CAM).await;
    assert_eq!(problem(nothing).await, (400, "malformed".into()), "neither body nor type");
}

#[tokio::test]
async fn whep_006_an_offer_above_64_kib_is_413_and_one_without_a_length_is_read() {
    let program = Program::shared().await;
    let large = program.post(CAM, &"a".repeat(65_537)).await;
    assert_eq!(header(&large, "connection"), "close");
    assert_eq!(problem(large).await, (413, "too_large".into()));
    let host = program.origin().trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(host).await.expect("it listens");
    let token = program.token();
    let head = format!(
        "POST {CAM} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: {SDP}\r\n\
         Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it is read");
    for part in CHROMIUM.as_bytes().chunks(1000) {
        stream.write_all(format!("{:x}\r\n", part.len()).as_bytes()).await.expect("it is read");
        stream.write_all(part).await.expect("it is read");
        stream.write_all(b"\r\n").await.expect("it is read");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 201 "), "in chunks: {answer}");
}

#[tokio::test]
async fn whep_009_068_an_offer_that_takes_nothing_or_does_not_multiplex_is_422() {
    let program = Program::shared().await;
    assert_eq!(program.post(CAM, &CHROMIUM.replace("a=recvonly", "a=sendrecv")).await.status(), 201);
    let unprocessable = (422, "unprocessable".to_owned());
    for (from, to) in [
        ("a=recvonly", "a=sendonly"),
        ("a=recvonly", "a=inactive"),
        ("a=rtcp-mux\r\n", ""),
        ("a=group:BUNDLE 0 1\r\n", ""),
    ] {
        let offer = CHROMIUM.replace(from, to);
        assert_ne!(offer, CHROMIUM, "{from}");
        assert_eq!(problem(program.post(CAM, &offer).await).await, unprocessable, "{from} is {to}");
    }
}

#[tokio::test]
async fn whep_020_021_an_unknown_process_is_404_and_one_without_media_409() {
    let program = Program::shared().await;
    let unknown = program.post("/api/v3/whep/nobody", CHROMIUM).await;
    assert_eq!(problem(unknown).await, (404, "unknown_process".into()));
    for path in ["/api/v3/whep/nobody", CAM, "/api/v3/whep/early"] {
        let bare = program.bare("POST", path).body(CHROMIUM).send().await.expect("it is answered");
        assert_eq!(problem(bare).await.0, 401, "who has no token learns no names");
    }
    let early = program.post("/api/v3/whep/early", CHROMIUM).await;
    assert!(header(&early, "retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert_eq!(problem(early).await, (409, "no_media_yet".into()));
}

#[tokio::test]
async fn whep_022_the_two_caps_have_two_words_and_can_be_changed_while_it_runs() {
    const CAPS: [(&str, &str); 2] = [("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "1"), ("CORE_WEBRTC_MAX_VIEWERS", "3")];
    let program = Program::with(&CAPS).await;
    let first = made(&program, CHROMIUM).await;
    let full = program.post(CAM, CHROMIUM).await;
    assert!(header(&full, "retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert_eq!(problem(full).await, (503, "stream_viewer_limit".into()));
    let before = program.process("cam").await;

    program.apply("cam", |spec| spec["webrtc"]["maxViewers"] = 2.into());
    let deadline = Instant::now() + Duration::from_secs(10);
    while program.post(CAM, CHROMIUM).await.status() != 201 {
        assert!(Instant::now() < deadline, "the cap of the manifest holds");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(problem(program.post(CAM, CHROMIUM).await).await, (503, "stream_viewer_limit".into()));
    program.apply("cam", |spec| spec["webrtc"]["maxViewers"] = 100.into());
    let full = loop {
        let response = program.post(CAM, CHROMIUM).await;
        if response.status() == 201 {
            assert!(Instant::now() < deadline + Duration::from_secs(10), "the cap of all holds");
            continue;
        }
        assert!(header(&response, "retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
        match problem(response).await {
            (503, word) if word == "stream_viewer_limit" => tokio::time::sleep(Duration::from_millis(50)).await,
            other => break other,
        }
    };
    assert_eq!(full, (503, "total_viewer_limit".into()));

    let after = program.process("cam").await;
    assert_eq!(after["status"]["restarts"], before["status"]["restarts"], "FFmpeg ran on");
    assert_eq!(program.send("GET", &first.location).await.status(), 204, "and so did its viewers");
    assert_eq!(program.send("DELETE", &first.location).await.status(), 200);
    assert_eq!(program.post(CAM, CHROMIUM).await.status(), 201, "a place is free at once");
}

#[tokio::test]
async fn whep_024_nothing_is_redirected() {
    let program = Program::shared().await;
    let viewer = made(&program, CHROMIUM).await;
    assert!(program.patch(&viewer.location, None, CANDIDATE).await.status().is_success());
    for path in [CAM, "/api/v3/process/cam/whep", "/api/v3/whep/nobody", "/api/v3/whep/cam/", "/api/v3/whep"] {
        for method in ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"] {
            let response = program.send(method, path).await;
            assert!(!response.status().is_redirection(), "{method} {path}: {}", response.status());
        }
    }
    assert!(program.send("DELETE", &viewer.location).await.status().is_success());
}

#[tokio::test]
async fn whep_025_026_027_ice_servers_are_links_and_no_extension_is_named() {
    let program = Program::shared().await;
    let expected = [
        "<stun:stun.example.com:3478>; rel=\"ice-server\"",
        "<turn:turn.example.com?transport=udp>; rel=\"ice-server\"",
    ];
    let asks = || program.bare("OPTIONS", CAM);
    let created = program.post(CAM, CHROMIUM).await;
    for response in [created, asks().send().await.expect("it is answered")] {
        let links: Vec<_> = response.headers().get_all("link").iter().collect();
        assert_eq!(links, expected);
    }
    let preflight = asks().header("origin", "https://example.com").header("access-control-request-method", "POST");
    assert!(!preflight.send().await.expect("it is answered").headers().contains_key("link"));
}

#[tokio::test]
async fn whep_034_035_get_and_head_say_what_it_is_and_hold_nothing() {
    let program = Program::shared().await;
    for method in ["GET", "HEAD"] {
        let response = program.send(method, CAM).await;
        assert_eq!((response.status().as_u16(), header(&response, "content-type")), (200, SDP), "{method}");
        assert_eq!(header(&response, "content-length"), "0", "{method}");
    }
    let viewer = made(&program, CHROMIUM).await;
    for method in ["GET", "HEAD"] {
        let response = program.send(method, &viewer.location).await;
        assert_eq!(response.status(), 204, "{method}");
        assert!(response.text().await.expect("it is read").is_empty());
    }
}

#[tokio::test]
async fn whep_036_037_038_039_options_needs_no_token_and_other_methods_are_405() {
    let program = Program::shared().await;
    let session = format!("{CAM}/unknown");
    for (path, accept, media, allow) in [
        (CAM, "accept-post", SDP, "GET, HEAD, OPTIONS, POST"),
        (session.as_str(), "accept-patch", FRAGMENT, "DELETE, GET, HEAD, OPTIONS, PATCH"),
    ] {
        let response = program.bare("OPTIONS", path).send().await.expect("it is answered");
        assert_eq!((response.status().as_u16(), header(&response, "allow")), (200, allow));
        assert!(words(header(&response, accept)).contains(&media.to_owned()));
        let others: &[&str] = if path == CAM { &["PUT", "PATCH", "DELETE"] } else { &["PUT", "POST"] };
        for method in others {
            let response = program.send(method, path).await;
            assert_eq!(words(header(&response, "allow")).join(", "), allow, "{method} {path}");
            assert_eq!(problem(response).await, (405, "method_not_allowed".into()), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn whep_040_041_042_043_044_066_a_page_from_anywhere_may_ask_and_read_every_answer() {
    let program = Program::shared().await;
    let preflight = program.bare("OPTIONS", CAM).header("origin", "null");
    let preflight = preflight.header("access-control-request-method", "POST").send().await.expect("it is answered");
    assert_eq!(header(&preflight, "access-control-allow-origin"), "*");
    assert_eq!(header(&preflight, "access-control-max-age"), "7200");
    let methods = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    assert_eq!(words(header(&preflight, "access-control-allow-methods")), methods);
    let headers = ["Authorization", "Content-Type", "If-Match", "If-None-Match", "Range"];
    assert_eq!(words(header(&preflight, "access-control-allow-headers")), headers);

    let created = program.post(CAM, CHROMIUM).await;
    assert_eq!(header(&created, "access-control-allow-origin"), "*");
    let exposed = [
        "Accept-Patch",
        "Accept-Post",
        "Content-Length",
        "Content-Location",
        "Content-Range",
        "ETag",
        "Link",
        "Location",
        "Retry-After",
        "WWW-Authenticate",
    ];
    assert_eq!(words(header(&created, "access-control-expose-headers")), exposed);
    assert!(!created.headers().contains_key("access-control-allow-credentials"));

    // `problem` proves headers and body of each of them.
    assert_eq!(problem(program.bare("POST", CAM).send().await.expect("it is answered")).await.0, 401);
    for (method, path, status) in
        [("GET", "/api/v3/whep/nobody", 404), ("PUT", CAM, 405), ("POST", CAM, 400), ("GET", "/nothing/here", 404)]
    {
        assert_eq!(problem(program.send(method, path).await).await.0, status, "{method} {path}");
    }
}
