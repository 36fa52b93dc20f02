//! Connections that misbehave.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::house::{House, Wishes, playing};

async fn connect(house: &House) -> TcpStream {
    TcpStream::connect(house.address).await.expect("it listens")
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset says the same as an end.
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await.expect("it is closed");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    let mut stream = connect(&house).await;
    let head = format!(
        "POST /api/v3/whep/cam HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/sdp\r\n\
         Content-Length: 1000\r\n\r\nv=0",
        house.token()
    );
    stream.write_all(head.as_bytes()).await.expect("it is taken");
    let (mut reader, mut writer) = stream.split();
    let trickle = async {
        while writer.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        std::future::pending::<()>().await;
    };
    let begin = Instant::now();
    let mut answer = Vec::new();
    tokio::select! {
        () = trickle => {}
        read = tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut answer)) => {
            let _ = read.expect("it is closed");
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("slow_body"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_head_that_never_ends_and_an_idle_connection_are_closed() {
    let house = House::new(Wishes::default()).await;
    let (mut slow, mut idle, mut silent) = (connect(&house).await, connect(&house).await, connect(&house).await);
    slow.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.expect("it is taken");
    idle.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is taken");
    let begin = Instant::now();
    let (slow, idle, silent) = tokio::join!(rest(&mut slow), rest(&mut idle), rest(&mut silent));
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    assert!(idle.contains("pong") && silent.is_empty(), "{idle} {silent}");
    assert!(!slow.contains("pong"), "{slow}");
}

#[tokio::test]
async fn a_huge_body_is_refused_without_being_read() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    let body = vec![b'a'; 20_000_000];
    let declared = house.ask("POST", "/api/v3/whep/cam").header("content-type", "application/sdp").body(body.clone());
    let declared = declared.send().await.expect("the answer comes");
    assert_eq!(declared.status(), 413);
    assert_eq!(declared.headers()["connection"], "close");

    let mut stream = connect(&house).await;
    let head = format!(
        "POST /api/v3/whep/cam HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/sdp\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        house.token()
    );
    stream.write_all(head.as_bytes()).await.expect("it is taken");
    stream.write_all(format!("{:x}\r\n", 70_000).as_bytes()).await.expect("it is taken");
    stream.write_all(&body[..70_000]).await.expect("it is taken");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let house = House::new(Wishes::default()).await;
    let mut stream = connect(&house).await;
    let head = format!("GET /ping HTTP/1.1\r\nHost: x\r\nX-Large: {}", "a".repeat(100_000));
    // The server may close before it took everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(!answer.contains("pong"), "{answer}");
}

#[tokio::test]
async fn an_end_is_an_end_even_with_open_connections() {
    let mut house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    let mut idle = connect(&house).await;
    idle.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is taken");
    let mut buffer = [0; 4096];
    assert!(idle.read(&mut buffer).await.expect("an answer") > 0);
    let mut stuck = connect(&house).await;
    stuck
        .write_all(
            b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
        )
        .await
        .expect("it is taken");
    let silent = connect(&house).await;
    house.shutdown.cancel();
    let begin = Instant::now();
    let serving = house.serving.take().expect("it serves");
    tokio::time::timeout(Duration::from_secs(10), serving).await.expect("it ends").expect("it does not panic");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(TcpStream::connect(house.address).await.is_err(), "nothing listens any more");
    drop((idle, stuck, silent));
}
