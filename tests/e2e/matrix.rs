//! The preflight matrix: every kind of source with every codec and every kind of sound is really played.

use std::sync::Arc;

use serde_json::Value;

use crate::browser::Browser;
use crate::child::{free_port, until};
use crate::manifest::{Manifest, manifest};
use crate::media::{self, AAC, Codec};
use crate::program::Program;
use crate::proof::{Expected, FILM, prove_playback};
use crate::publisher::{Publisher, RtmpServer, flv_refuses};
use crate::turn;

/// Sources that FFmpeg reads in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// FFmpeg makes it; the codec is that of the user's own output beside the browser.
    Generator,
    File,
    RtmpListener,
    SrtListener,
    RtmpPull,
}

/// Where the sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sound {
    Aac,
    None,
    SecondInput,
}

impl Sound {
    const ALL: [Self; 3] = [Self::Aac, Self::None, Self::SecondInput];
}

/// One cell. Its line says what was seen.
async fn cell(
    program: &Program,
    browser: &Browser,
    server: Option<&RtmpServer>,
    cell: (Source, Codec, Sound),
) -> String {
    let (source, codec, sound) = cell;
    let film = media::film(codec, 2, sound == Sound::Aac);
    if codec == Codec::Hevc && matches!(source, Source::RtmpListener | Source::RtmpPull) {
        let refusal = flv_refuses(&film).expect("FFmpeg 5.1 has no HEVC in FLV; where it has, play this cell");
        return format!("cannot be sent: {}", refusal.lines().next().unwrap_or_default());
    }
    let name = format!("{source:?}-{codec:?}-{sound:?}").to_lowercase();
    let port = free_port();
    let mut manifest = manifest(&name).with("staleTimeoutSeconds", 10.into());
    manifest = match source {
        Source::Generator => test_source(manifest, &name, codec, sound),
        Source::File => manifest.input("-re", film.display().to_string()),
        Source::RtmpListener => {
            let address = format!("rtmp://127.0.0.1:{port}/live/cam");
            manifest.input("-f flv -listen 1 -analyzeduration 500000", address)
        }
        Source::SrtListener => {
            let address = format!("srt://127.0.0.1:{port}?mode=listener&latency=40000");
            manifest.input("-f mpegts -analyzeduration 500000", address)
        }
        Source::RtmpPull => manifest.input("", server.expect("there is one").address(&name)),
    };
    if sound == Sound::SecondInput {
        manifest = match source {
            Source::File => manifest.input("-re", media::song().display().to_string()),
            _ => manifest.input("-re -f lavfi", media::sound()),
        };
    }
    let _publisher = match source {
        Source::Generator | Source::File => None,
        Source::RtmpListener => Some(Publisher::rtmp(&film, port, program.directory())),
        Source::SrtListener => Some(Publisher::srt(&film, port, program.directory())),
        Source::RtmpPull => server.map(|server| server.publish(&film, &name)),
    };
    program.apply(&manifest);
    let copies = codec == Codec::Baseline && source != Source::Generator;
    let expected = Expected {
        size: (320, 180),
        frames: Some(0.8 * f64::from(media::RATE)),
        sound: sound != Sound::None,
        action: Some(if copies { "Copy" } else { "Transcode" }),
        reel: Some(&FILM),
    };
    let seen = prove_playback(program, browser, &name, &expected).await;
    program.remove(&name);
    program.until(&name, "is gone", Value::is_null).await;
    until("FFmpeg ends", || program.ffmpegs(&name).is_empty()).await;
    if source == Source::Generator {
        let file = program.data().join(format!("{name}.ts"));
        let streams = media::streams(&file);
        let sound = (sound != Sound::None).then_some("aac");
        let expected: Vec<&str> = sound.into_iter().chain([codec.name()]).collect();
        assert_eq!(streams, expected, "the user's own output");
    }
    seen
}

/// FFmpeg makes picture and sound, and beside the browser a file gets them in the codec of this cell.
fn test_source(manifest: Manifest, name: &str, codec: Codec, sound: Sound) -> Manifest {
    let (picture, beep) = (media::picture(), media::sound());
    let (manifest, map) = match sound {
        Sound::Aac => (manifest.input("-re -f lavfi", format!("{picture}[out0];{beep}[out1]")), "-map 0:a"),
        Sound::None => (manifest.input("-re -f lavfi", picture), ""),
        Sound::SecondInput => (manifest.input("-re -f lavfi", picture), "-map 1:a"),
    };
    let audio = if sound == Sound::None { "" } else { AAC };
    manifest.output(&format!("-map 0:v {map} {} {audio} -f mpegts", codec.options(2)), format!("{name}.ts"))
}

/// All cells of a source. One that fails does not keep the others from being played.
async fn row(source: Source) {
    let _turn = turn::shared().await;
    let program = Arc::new(Program::start().await);
    let browser = Arc::new(Browser::start().await);
    let server = Arc::new(if source == Source::RtmpPull { Some(RtmpServer::start().await) } else { None });
    let (mut table, mut failed) = (String::new(), Vec::new());
    for codec in Codec::ALL {
        for sound in Sound::ALL {
            let (program, browser, server) = (program.clone(), browser.clone(), server.clone());
            let play = async move { cell(&program, &browser, server.as_ref().as_ref(), (source, codec, sound)).await };
            let name = format!("{source:?} x {codec:?} x {sound:?}");
            let seen = tokio::spawn(play).await.unwrap_or_else(|_| {
                failed.push(name.clone());
                "FAILED, see above".into()
            });
            table += &format!("{name:44} {seen}\n");
        }
    }
    println!("{table}");
    assert!(failed.is_empty(), "these cells were not played: {failed:#?}\n{table}");
}

#[tokio::test]
async fn every_codec_and_sound_is_played_beside_a_test_source() {
    row(Source::Generator).await;
}

#[tokio::test]
async fn every_codec_and_sound_is_played_from_a_file() {
    row(Source::File).await;
}

#[tokio::test]
async fn every_codec_and_sound_is_played_from_an_rtmp_publisher() {
    row(Source::RtmpListener).await;
}

#[tokio::test]
async fn every_codec_and_sound_is_played_from_an_srt_publisher() {
    row(Source::SrtListener).await;
}

#[tokio::test]
async fn every_codec_and_sound_is_played_from_an_rtmp_server() {
    row(Source::RtmpPull).await;
}
