//! The samples of `manifests/`: every one of them is loaded, started and played.

use std::collections::BTreeSet;
use std::path::Path;

use crate::browser::Browser;
use crate::child::free_port;
use crate::media::{self, Codec};
use crate::program::Program;
use crate::proof::{condition, until_playable};
use crate::publisher::{Publisher, RtmpServer};
use crate::turn;

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

/// A sample as it stands.
pub fn text(file: &str) -> String {
    std::fs::read_to_string(directory().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A sample with another port, so that two test runs do not meet at one.
fn with_port(file: &str, port: &str, other: u16) -> String {
    let text = text(file);
    let wanted = format!(":{port}");
    assert!(text.contains(&wanted), "{file} has no {wanted}");
    text.replace(&wanted, &format!(":{other}"))
}

#[tokio::test]
async fn every_sample_runs_as_it_is() {
    let _turn = turn::alone().await;
    let server = RtmpServer::start().await;
    let (rtmp, srt) = (free_port(), free_port());
    let files = [
        ("test-picture.yaml", text("test-picture.yaml")),
        ("two-inputs.yaml", text("two-inputs.yaml")),
        ("webrtc-and-hls.yaml", text("webrtc-and-hls.yaml")),
        ("push-and-hls.yaml", with_port("push-and-hls.yaml", "1936", server.port())),
        ("rtmp-ingest.yaml", with_port("rtmp-ingest.yaml", "1935", rtmp)),
        ("srt-ingest.yaml", with_port("srt-ingest.yaml", "6000", srt)),
    ];
    let here: BTreeSet<String> = std::fs::read_dir(directory())
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    assert_eq!(here, files.iter().map(|(file, _)| (*file).to_owned()).collect(), "each sample has its test here");

    let files: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let program = Program::start_with(&files, &[]).await;
    for id in ["test-picture", "two-inputs", "push-and-hls", "webrtc-and-hls"] {
        program.until_state(id, "Running").await;
    }
    for id in ["rtmp-ingest", "srt-ingest"] {
        let process = program.until_state(id, "Waiting").await;
        assert_eq!(condition(&process, "Accepted"), "True", "{process:#}");
    }
    assert!(program.problems().await.is_empty(), "{:?}", program.problems().await);

    let film = media::film(Codec::HighWithBFrames, 2, true);
    let _rtmp = Publisher::rtmp(&film, rtmp, program.directory());
    let _srt = Publisher::srt(&film, srt, program.directory());
    let browser = Browser::start().await;
    for id in ["test-picture", "two-inputs", "push-and-hls", "webrtc-and-hls", "rtmp-ingest", "srt-ingest"] {
        until_playable(&program, id).await;
        browser.watch(&program, id).await;
        let heard = |energy: f64| energy > 0.0;
        browser
            .until("picture and sound", |stats| {
                stats.video.frames_decoded > 60 && heard(stats.audio.total_audio_energy)
            })
            .await;
    }
    let played = media::streams_of(&server.address("program"));
    assert_eq!(played, ["aac", "h264"], "the RTMP server has it");
    let playlist = program.data().join("push-and-hls.m3u8");
    assert_eq!(media::streams(&playlist), ["aac", "h264"], "the playlist has it");
    for name in ["push-and-hls", "webrtc-and-hls"] {
        let url = format!("{}/{name}.m3u8", program.origin());
        let streams = tokio::task::spawn_blocking(move || media::streams_of(&url)).await.expect("it ends");
        assert_eq!(streams, ["aac", "h264"], "{name} plays by HLS");
    }
}

#[tokio::test]
async fn hls_and_playback_go_on_where_the_rtmp_server_is_missing_and_the_push_begins_when_it_comes() {
    let _turn = turn::shared().await;
    let port = free_port();
    let sample = with_port("push-and-hls.yaml", "1936", port);
    let program = Program::start_with(&[("push-and-hls.yaml", &sample)], &[]).await;
    until_playable(&program, "push-and-hls").await;
    let playlist = program.data().join("push-and-hls.m3u8");
    crate::child::until("the playlist", || playlist.exists()).await;
    let server = RtmpServer::start_at(port).await;
    let address = server.address("program");
    let streams = tokio::task::spawn_blocking(move || {
        (0..20).map(|_| media::streams_of(&address)).find(|streams| !streams.is_empty()).unwrap_or_default()
    });
    assert_eq!(streams.await.expect("it does not panic"), ["aac", "h264"]);
    assert_eq!(program.process("push-and-hls").await["status"]["restarts"], 0);
}
