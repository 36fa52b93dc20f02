//! Servers that take nothing of what FFmpeg writes.

use dragonfork::plan::Plan;
use dragonfork::process::Stalled;
use dragonfork::runner::Event;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::bench::{Bench, PATIENCE, io, plan};

/// The muxer that lets FFmpeg go on and drops what is not taken.
const FIFO: &str = "-f fifo -fifo_format nut -drop_pkts_on_overflow 1";

async fn stalled(bench: &mut Bench) -> Vec<Stalled> {
    bench
        .wait(|event| match event {
            Event::Stalled(stalled) => Some(stalled.clone()),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_told_while_ffmpeg_goes_on_until_it_takes_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let peer = listener.local_addr().expect("it has one");
    let mut bench = Bench::new();
    let far = io("far", &format!("-map 0:v {FIFO} -c:v rawvideo tcp://{peer}"));
    let inputs = vec![io("in", "-re -f lavfi testsrc=size=640x480:rate=25")];
    let run = bench.start(Plan { inputs, outputs: vec![io("near", "-f null -"), far], ..plan() });
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("FFmpeg connects");
    assert_eq!(stalled(&mut bench).await, [Stalled { peer, outputs: vec!["far".into()] }]);
    bench.progress().await;
    let reader = tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
    assert_eq!(stalled(&mut bench).await, []);
    run.stop().await;
    assert!(reader.await.expect("it ends with FFmpeg").is_ok_and(|octets| octets > 0));
}
