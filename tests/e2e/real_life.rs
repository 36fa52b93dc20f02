//! Sources as people have them: other formats, rates and containers than those of the matrix, and streams that are
//! neither picture nor sound.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::browser::Browser;
use crate::child::free_port;
use crate::manifest::{Manifest, manifest};
use crate::media::{self, Codec, made, picture, sound};
use crate::picture::Reel;
use crate::program::Program;
use crate::proof::{Expected, FILM, prove_playback};
use crate::publisher::Publisher;
use crate::turn;

/// The film's picture and its sound.
fn film() -> Expected {
    Expected { size: (320, 180), frames: Some(24.0), sound: true, action: None, reel: Some(&FILM) }
}

fn copied(expected: Expected) -> Expected {
    Expected { action: Some("Copy"), ..expected }
}

fn transcoded(expected: Expected) -> Expected {
    Expected { action: Some("Transcode"), ..expected }
}

async fn prove(manifest: Manifest, publish: impl FnOnce(&Path) -> Option<Publisher>, expected: Expected) {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let _publisher = publish(program.directory());
    program.apply(&manifest);
    let browser = Browser::start().await;
    println!("{}", prove_playback(&program, &browser, manifest.name(), &expected).await);
}

/// Plays a file over and over.
async fn prove_file(file: PathBuf, expected: Expected) {
    let manifest = manifest("film").input("-re", file.display().to_string());
    prove(manifest, |_| None, expected).await;
}

/// Options of H.264 that is copied.
fn clean() -> String {
    Codec::Baseline.options(2)
}

#[tokio::test]
async fn a_picture_with_odd_sides_is_played() {
    let options = "-c:v mjpeg -q:v 3 -pix_fmt yuvj444p -c:a pcm_s16le";
    let file = made("odd.mkv", &format!("{},scale=321:181", picture()), Some(&sound()), options);
    prove_file(file, transcoded(film())).await;
}

#[tokio::test]
async fn h264_with_ten_bits_and_more_colour_is_played() {
    let options = "-c:v libx264 -preset veryfast -pix_fmt yuv422p10le -bf 0 -g 60 -c:a aac";
    prove_file(made("ten-bits.mp4", &picture(), Some(&sound()), options), transcoded(film())).await;
}

#[tokio::test]
async fn h264_with_eight_bits_and_more_colour_is_played() {
    let options = "-c:v libx264 -preset veryfast -pix_fmt yuv422p -bf 0 -g 60 -c:a aac";
    prove_file(made("colour.mp4", &picture(), Some(&sound()), options), transcoded(film())).await;
}

#[tokio::test]
async fn h264_with_the_full_range_of_cameras_is_played() {
    let options = "-c:v libx264 -preset veryfast -pix_fmt yuvj420p -bf 0 -g 60 -c:a aac -ar 8000 -ac 1";
    let file = made("camera.mp4", &format!("{},scale=out_range=full", picture()), Some(&sound()), options);
    prove_file(file, copied(film())).await;
}

#[tokio::test]
async fn mono_at_another_rate_is_played() {
    let file = made("mono.mp4", &picture(), Some(&sound()), &format!("{} -c:a aac -ar 44100 -ac 1", clean()));
    prove_file(file, copied(film())).await;
}

#[tokio::test]
async fn aac_with_six_channels_is_played() {
    let file = made("six.mp4", &picture(), Some(&sound()), &format!("{} -c:a aac -ac 6", clean()));
    prove_file(file, copied(film())).await;
}

#[tokio::test]
async fn ac3_with_six_channels_in_a_transport_stream_is_played() {
    let file = made("ac3.ts", &picture(), Some(&sound()), &format!("{} -c:a ac3 -ac 6", clean()));
    prove_file(file, copied(film())).await;
}

#[tokio::test]
async fn mp3_in_matroska_is_played() {
    let file = made("mp3.mkv", &picture(), Some(&sound()), &format!("{} -c:a libmp3lame", clean()));
    prove_file(file, copied(film())).await;
}

#[tokio::test]
async fn opus_in_matroska_is_played() {
    let file = made("opus.mkv", &picture(), Some(&sound()), &format!("{} -c:a libopus", clean()));
    prove_file(file, copied(film())).await;
}

#[tokio::test]
async fn mpeg2_with_mp2_and_interlaced_fields_is_played() {
    let picture = format!("{},scale=360:288,fps=50,interlace", picture());
    let options = "-c:v mpeg2video -flags +ildct+ilme -b:v 2M -g 12 -bf 2 -c:a mp2 -ac 2";
    let file = made("pal.ts", &picture, Some(&sound()), options);
    let expected = Expected { size: (360, 288), frames: Some(20.0), ..film() };
    prove_file(file, transcoded(expected)).await;
}

#[tokio::test]
async fn h264_with_interlaced_fields_is_played() {
    let picture = format!("{},scale=360:288,fps=50,interlace", picture());
    let options = "-c:v libx264 -preset veryfast -flags +ildct+ilme -x264-params tff=1 -bf 0 -g 50 -c:a aac";
    let file = made("interlaced.mp4", &picture, Some(&sound()), options);
    prove_file(file, Expected { size: (360, 288), frames: Some(20.0), ..film() }).await;
}

#[tokio::test]
async fn a_variable_frame_rate_is_played() {
    let picture = format!("{},select='not(mod(n,7)*mod(n,3))'", picture());
    let file = made("variable.mp4", &picture, Some(&sound()), &format!("{} -c:a aac -vsync vfr", clean()));
    prove_file(file, copied(Expected { frames: Some(9.0), ..film() })).await;
}

#[tokio::test]
async fn five_frames_a_second_are_played() {
    let options = "-c:v libx264 -preset veryfast -profile:v baseline -g 10 -c:a aac";
    let file = made("slow.mp4", &format!("{},fps=5", picture()), Some(&sound()), options);
    prove_file(file, copied(Expected { frames: Some(4.0), ..film() })).await;
}

#[tokio::test]
async fn subtitles_and_a_timecode_are_left_aside() {
    let subtitles = Path::new(env!("CARGO_TARGET_TMPDIR")).join("subtitles.srt");
    std::fs::write(&subtitles, "1\n00:00:01,000 --> 00:00:39,000\nHello\n").expect("it can be written");
    let mut arguments = media::words("-i");
    arguments.push(subtitles.display().to_string());
    for graph in [picture(), sound()] {
        arguments.extend(media::words("-f lavfi -i"));
        arguments.push(graph);
    }
    let rest = format!("-map 0:s -map 2:a -map 1:v -c:s mov_text {} -c:a aac -timecode 10:00:00:00", clean());
    arguments.extend(media::words(&rest));
    prove_file(media::made_with("subtitles.mp4", &arguments), copied(film())).await;
}

#[tokio::test]
async fn the_cover_of_a_song_is_no_picture() {
    let song = song_with_cover();
    let expected = Expected { frames: None, action: Some("None"), reel: None, ..film() };
    prove_file(song, expected).await;
}

#[tokio::test]
async fn the_cover_of_a_song_does_not_hide_the_picture_of_another_input() {
    let film_made = media::film(Codec::Baseline, 2, false).display().to_string();
    let manifest = manifest("film").input("-re", song_with_cover().display().to_string()).input("-re", film_made);
    prove(manifest, |_| None, copied(film())).await;
}

/// AAC with a picture attached.
fn song_with_cover() -> PathBuf {
    let cover = made("cover.png", "testsrc=size=200x200:rate=1", None, "-frames:v 1 -update 1");
    let mut arguments = media::words("-i");
    arguments.push(cover.display().to_string());
    arguments.extend(media::words("-f lavfi -i"));
    arguments.push(sound());
    arguments.extend(media::words("-map 1:a -map 0:v -c:a aac -c:v png -disposition:v attached_pic"));
    media::made_with("song-with-cover.m4a", &arguments)
}

#[tokio::test]
async fn sound_alone_is_played() {
    let expected = Expected { frames: None, action: Some("None"), reel: None, ..film() };
    prove_file(media::song(), expected).await;
}

#[tokio::test]
async fn vp9_without_sound_is_played() {
    let options = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k -g 60";
    let file = made("vp9.webm", &picture(), None, options);
    prove_file(file, copied(Expected { sound: false, ..film() })).await;
}

#[tokio::test]
async fn vp8_with_vorbis_is_played() {
    let options = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 500k -g 60 -c:a libvorbis";
    prove_file(made("vp8.webm", &picture(), Some(&sound()), options), copied(film())).await;
}

#[tokio::test]
async fn the_first_of_several_sounds_is_played() {
    let mut arguments = Vec::new();
    for graph in [picture(), sound(), "anullsrc=r=48000:cl=stereo".into()] {
        arguments.extend(media::words("-f lavfi -i"));
        arguments.push(graph);
    }
    arguments.extend(media::words(&format!("-map 0 -map 1 -map 2 {} -c:a aac", clean())));
    prove_file(media::made_with("languages.mkv", &arguments), copied(film())).await;
}

#[tokio::test]
async fn a_publisher_who_pushes_by_rtsp_is_played() {
    let port = free_port();
    let address = format!("rtsp://127.0.0.1:{port}/live/cam");
    let film_made = media::film(Codec::Baseline, 2, true);
    let publish = |directory: &Path| Some(Publisher::rtsp(&film_made, port, directory));
    prove(manifest("cam").input("-rtsp_flags listen", address), publish, copied(film())).await;
}

#[tokio::test]
async fn a_transport_stream_over_udp_is_played() {
    let port = free_port();
    let film_made = media::film(Codec::HighWithBFrames, 2, true);
    let publish = |directory: &Path| Some(Publisher::udp(&film_made, port, directory));
    let manifest = manifest("cam").input("-analyzeduration 1000000", format!("udp://127.0.0.1:{port}"));
    prove(manifest, publish, transcoded(film())).await;
}

#[tokio::test]
async fn a_file_that_begins_again_goes_on() {
    let _turn = turn::shared().await;
    let [picture, sound] = [format!("{},trim=end=4", picture()), format!("{},atrim=end=4", sound())];
    let file = made("short.mp4", &picture, Some(&sound), &format!("{} -c:a aac", clean()));
    let program = Program::start().await;
    program.apply(&manifest("round").input("-re -stream_loop -1", file.display().to_string()));
    let browser = Browser::start().await;
    println!("{}", prove_playback(&program, &browser, "round", &film()).await);
    let first = browser.stats().await;
    browser.until("three more rounds", |stats| stats.video.frames_decoded > first.video.frames_decoded + 360).await;
    let sound = browser.stats().await.audio;
    assert!(sound.packets_received > first.audio.packets_received + 400, "{sound:?}");
    assert_eq!(program.process("round").await["status"]["restarts"], 0);
}

#[tokio::test]
async fn a_film_of_a_phone_that_was_held_upright_is_played_upright() {
    static UPRIGHT: LazyLock<Reel> = LazyLock::new(|| {
        let graph = format!("{},transpose=cclock", picture());
        Reel::of_graph(&graph, 30, media::RATE)
    });
    let lying = made("lying.mp4", &picture(), Some(&sound()), &format!("{} -c:a aac", clean()));
    let mut arguments = media::words("-i");
    arguments.push(lying.display().to_string());
    arguments.extend(media::words("-c copy -metadata:s:v rotate=90"));
    let film_made = media::made_with("upright.mp4", &arguments);
    let expected = Expected { size: (180, 320), reel: Some(&UPRIGHT), ..film() };
    prove_file(film_made, transcoded(expected)).await;
}
