//! Pictures in every codec of the table: what FFmpeg's RTP muxer really sends of them, and what players get.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use dragonfork::crd::RestreamProcess;
use dragonfork::plan::{EgressPorts, Inventory, LegAction, MediaKind, Plan, Stream};
use dragonfork::rtp::{Access, Assembler, Codec, Continuity, PacketView, is_rtcp};
use serde_json::json;

use crate::aiortc;
use crate::browser::Browser;
use crate::child::{PATIENCE, free_port};
use crate::manifest::{Manifest, manifest};
use crate::media::{self, made, picture, sound};
use crate::program::Program;
use crate::proof::{Expected, FILM, prove_playback, until_playable};
use crate::publisher::Publisher;
use crate::{tools, turn};

const VP8: &str = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 500k";
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k";
const HEVC: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p";
const AV1: &str = "-c:v libsvtav1 -preset 12";

/// What FFmpeg sent of a file.
#[derive(Debug, Default)]
struct Sent {
    /// Payloads of each frame as they came, in the order of decoding.
    frames: Vec<Vec<Vec<u8>>>,
    /// The same as they leave to viewers.
    left: Vec<Vec<Vec<u8>>>,
    /// Numbers of the frames that viewers can begin with.
    keyframes: Vec<usize>,
}

/// Takes what comes until FFmpeg says goodbye, as the gateway does.
fn take(socket: &UdpSocket, codec: Codec) -> Sent {
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let (mut continuity, mut assembler) = (Continuity::new(codec.clock_rate()), Assembler::new(codec));
    let (mut sent, mut begins, mut last) = (Sent::default(), Vec::new(), None);
    let mut datagram = [0; 2048];
    loop {
        let size = socket.recv(&mut datagram).expect("FFmpeg sends");
        if is_rtcp(&datagram[..size]) {
            return sent;
        }
        let packet = PacketView::parse(&datagram[..size]).expect("it is RTP");
        assert_eq!(packet.payload_type, codec.payload_type());
        let placed = continuity.place(packet.ssrc, packet.sequence_number, packet.timestamp, Instant::now());
        let placed = placed.expect("nothing is late on loopback");
        if last.replace(packet.timestamp) != Some(packet.timestamp) {
            begins.push(placed.sequence);
            sent.frames.push(Vec::new());
            sent.left.push(Vec::new());
        }
        sent.frames.last_mut().expect("one has begun").push(packet.payload.to_vec());
        assembler.handle_packet(placed, &packet, Instant::now());
        assert_eq!(assembler.is_complete(), packet.marker, "a frame is complete with its marker");
        let batch = assembler.take().expect("a packet came");
        if let Some(begin) = batch.keyframe() {
            sent.keyframes.push(begins.iter().position(|frame| *frame == begin).expect("a frame begins there"));
        }
        let packets = batch.packets_from(0).map(|packet| packet.payload.to_vec());
        sent.left.last_mut().expect("one has begun").extend(packets);
    }
}

/// Sends a file with the arguments of its own plan.
fn sent(codec: Codec, name: &str, file: &Path) -> Sent {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let video = socket.local_addr().expect("bound").port();
    let webrtc = json!({"enabled": true, "video": {"codec": "Copy"}, "audio": {"codec": "None"}});
    let manifest = manifest("film").input("-re", file.display().to_string()).with("webrtc", webrtc);
    let manifest: RestreamProcess = serde_yaml::from_str(&manifest.text()).expect("it is a manifest");
    let plan = Plan::new(&manifest).expect("it is accepted");
    let stream = Stream { kind: MediaKind::Video, codec: name.into(), ..Stream::default() };
    let choice = plan.choose(&Inventory { known: [0].into(), streams: vec![stream] }).expect("it has egress");
    assert_eq!((&choice.video.action, choice.video.codec), (&LegAction::Copy("0:v:0".into()), Some(codec)));
    let argv = plan.argv(Some((&choice, EgressPorts { video, audio: video + 1 })));
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error"]).args(argv.iter().map(|argument| argument.expose()));
    sent_by(command, &socket, codec)
}

fn sent_by(mut command: Command, socket: &UdpSocket, codec: Codec) -> Sent {
    let mut child = command.stdout(Stdio::null()).spawn().expect("it can be started");
    let sent = take(socket, codec);
    assert!(child.wait().expect("it is our child").success(), "{command:?}");
    sent
}

/// Numbers of the keyframes of a file, as ffprobe says.
fn keyframes_of(file: &Path) -> Vec<usize> {
    let arguments = media::words("-v error -select_streams v:0 -show_entries packet=flags -of csv=p=0");
    let output = Command::new("ffprobe").args(arguments).arg(file).output().expect("FFmpeg is installed");
    let said = String::from_utf8(output.stdout).expect("it is text");
    // What accompanies a packet, as in MPEG-TS, has a line without flags.
    let packets = said.lines().filter(|line| line.starts_with(['K', '_']));
    packets.enumerate().filter(|(_, flags)| flags.starts_with('K')).map(|(frame, _)| frame).collect()
}

/// Two seconds with keyframes at odd moments, so that nothing is right by accident.
fn short(name: &str, options: &str) -> PathBuf {
    made(name, &format!("{},trim=end=2.5", picture()), None, &format!("{options} -force_key_frames 0,0.5,1.3 -g 60"))
}

/// Proves that the keyframes are where ffprobe sees them, and that each begins with what a decoder needs first.
fn assert_keyframes(codec: Codec, sent: &Sent, file: &Path) {
    let keyframes = keyframes_of(file);
    assert!(keyframes.first() == Some(&0) && keyframes.len() > 2, "the file is as it should be: {keyframes:?}");
    assert_eq!(sent.keyframes, keyframes, "{codec:?} of {}", file.display());
    assert_eq!(sent.frames.len(), 75, "no frame is missing");
    if codec != Codec::Vp8 {
        for keyframe in &sent.keyframes {
            let profile = Access::of(codec, &sent.frames[*keyframe][0]).profile.expect("it is told at once");
            assert_eq!(profile.id, u8::from(codec == Codec::H265), "Main, or profile 0");
        }
    }
}

#[tokio::test]
async fn keyframes_of_vp8_are_found_and_the_ids_of_pictures_are_left_out() {
    let file = short("muxed-vp8.webm", VP8);
    let sent = sent(Codec::Vp8, "vp8", &file);
    assert_keyframes(Codec::Vp8, &sent, &file);
    for (came, left) in sent.frames.iter().flatten().zip(sent.left.iter().flatten()) {
        assert!(came[0] & 0x80 != 0 && left[0] == came[0] & 0x7f && came.ends_with(&left[1..]), "{came:?} {left:?}");
    }
}

#[tokio::test]
async fn keyframes_of_vp9_are_found_and_other_frames_leave_as_predicted() {
    let file = short("muxed-vp9.webm", VP9);
    let sent = sent(Codec::Vp9, "vp9", &file);
    assert_keyframes(Codec::Vp9, &sent, &file);
    for (number, frame) in sent.left.iter().enumerate() {
        let is_keyframe = sent.keyframes.contains(&number);
        assert!(frame.iter().all(|payload| (payload[0] & 0x40 == 0) == is_keyframe), "frame {number}");
    }
}

#[tokio::test]
async fn keyframes_of_h265_are_found_with_their_parameter_sets_before_them() {
    for (name, options) in [
        ("muxed-hevc.mp4", format!("{HEVC} -tag:v hvc1")),
        ("muxed-hevc.mkv", format!("{HEVC} -bf 0")),
        ("muxed-hevc.ts", HEVC.to_owned()),
    ] {
        let file = short(name, &options);
        assert_keyframes(Codec::H265, &sent(Codec::H265, "hevc", &file), &file);
    }
}

#[tokio::test]
async fn keyframes_of_av1_are_found_in_what_a_newer_ffmpeg_sends() {
    for (name, options) in [
        ("muxed-av1.mp4", AV1.to_owned()),
        ("muxed-av1.mkv", "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 500k".into()),
    ] {
        // SVT-AV1 takes no wish for a keyframe.
        let file = made(name, &format!("{},trim=end=2.5", picture()), None, &format!("{options} -g 26"));
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("bound").port().to_string();
        let mut command = Command::new(tools::python());
        let payload_type = Codec::Av1.payload_type().to_string();
        command.arg(tools::here("av1_sender.py")).arg(&file).args([port, payload_type]);
        assert_keyframes(Codec::Av1, &sent_by(command, &socket, Codec::Av1), &file);
    }
}

fn film(action: &'static str) -> Expected {
    Expected { size: (320, 180), frames: Some(24.0), sound: true, action: Some(action), reel: Some(&FILM) }
}

/// A film in WebM with its sound in Opus.
fn webm(name: &str, options: &str) -> PathBuf {
    made(name, &picture(), Some(&sound()), &format!("{options} -g 60 -c:a libopus"))
}

/// Watches for ten seconds. What a busy machine does to a browser is no fault of the program: there are three chances.
async fn without_a_freeze(browser: &Browser) {
    for _ in 0..3 {
        turn::calm().await;
        let before = browser.stats().await.video;
        let wanted = before.frames_decoded + 300;
        let after = browser.until("ten seconds", |stats| stats.video.frames_decoded > wanted).await.video;
        println!("{after:?}");
        // One is asked for every two seconds.
        let keyframes = after.key_frames_decoded - before.key_frames_decoded;
        assert!((4..=8).contains(&keyframes), "{keyframes} keyframes in ten seconds");
        if after.freeze_count == before.freeze_count {
            return;
        }
    }
    panic!("the picture froze each time");
}

#[tokio::test]
async fn chromium_plays_vp8_and_vp9_as_they_are_without_a_freeze() {
    let _turn = turn::alone().await;
    let program = Program::start().await;
    let browser = Browser::start().await;
    for (id, mime, options) in [("vp8", "video/VP8", VP8), ("vp9", "video/VP9", VP9)] {
        let file = webm(&format!("{id}-opus.webm"), options);
        program.apply(&manifest(id).input("-re", file.display().to_string()));
        println!("{}", prove_playback(&program, &browser, id, &film("Copy")).await);
        assert_eq!(browser.stats().await.video.codec, mime);
        without_a_freeze(&browser).await;
        browser.until_text("#codec", |text| text.contains(&mime[6..])).await;
        program.remove(id);
    }
}

#[tokio::test]
async fn aiortc_receives_vp8() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let file = webm("vp8-opus.webm", VP8);
    program.apply(&manifest("film").input("-re", file.display().to_string()));
    until_playable(&program, "film").await;
    let received = aiortc::watch(&program, "film", 90, 100).await;
    assert_eq!((received.post, received.video_frames, received.audio_frames), (201, 90, 100), "{received:?}");
    assert_eq!((received.width, received.height), (320, 180));
}

fn hevc() -> PathBuf {
    media::film(media::Codec::Hevc, 2, true)
}

fn copied(manifest: Manifest) -> Manifest {
    manifest.with("webrtc", json!({"enabled": true, "video": {"codec": "Copy"}}))
}

#[tokio::test]
async fn h265_is_transcoded_unless_the_manifest_wants_it_passed_on() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let browser = Browser::start().await;
    program.apply(&manifest("auto").input("-re", hevc().display().to_string()));
    println!("{}", prove_playback(&program, &browser, "auto", &film("Transcode")).await);
    let reason = program.process("auto").await["status"]["webrtc"]["video"]["reason"].to_string();
    assert!(reason.contains("few browsers decode H.265") && reason.contains("codec: Copy"), "{reason}");

    // This browser has no H.265: it gets the sound.
    program.apply(&copied(manifest("copied").input("-re", hevc().display().to_string())));
    until_playable(&program, "copied").await;
    browser.open(&program.player("copied")).await;
    let stats = browser.until("sound", |stats| stats.audio.packets_received > 50).await;
    assert_eq!(stats.video.packets_received, 0, "{stats:?}");
}

#[tokio::test]
async fn who_has_no_h265_is_refused_where_there_is_nothing_else() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let film = media::film(media::Codec::Hevc, 2, false);
    program.apply(&copied(manifest("mute").input("-re", film.display().to_string())));
    until_playable(&program, "mute").await;
    let offer = |offer: String| {
        let (program, token) = (&program, program.token().to_owned());
        async move { program.post("/api/v3/whep/mute", Some(&token), "application/sdp", offer).await }
    };
    let chromium = include_str!("../offers/offer_chromium156_mdns.sdp");
    let (status, why) = offer(chromium.to_owned()).await;
    assert!(status == 406 && why.contains("m=video lacks H265"), "{status} {why}");
    let (status, answer) = offer(chromium.replace("VP8/90000", "H265/90000")).await;
    assert!(status == 201 && answer.contains("a=rtpmap:96 H265/90000"), "{status} {answer}");
}

#[tokio::test]
async fn what_webrtc_cannot_carry_is_not_passed_on_and_the_status_says_why() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let film = made("mpeg2.ts", &picture(), None, "-c:v mpeg2video -b:v 1M");
    program.apply(&copied(manifest("old").input("-re", film.display().to_string())));
    let told = |process: &serde_json::Value| process["status"].to_string().contains("WebRTC cannot carry mpeg2video");
    program.until("old", "says why", told).await;
    let offer = include_str!("../offers/offer_chromium156_mdns.sdp");
    let (status, _) = program.post("/api/v3/whep/old", Some(program.token()), "application/sdp", offer).await;
    assert_eq!(status, 409, "there is nothing to play");
}

#[tokio::test]
async fn a_publisher_who_comes_with_another_codec_is_played_to_viewers_who_come_again() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    let port = free_port();
    let address = format!("tcp://127.0.0.1:{port}?listen=1");
    program.apply(&manifest("cam").input("-f matroska", address));
    let browser = Browser::start().await;
    let vp8 = webm("vp8-opus.webm", VP8);
    let h264 = media::film(media::Codec::Baseline, 2, true);
    for (file, mime) in [(&vp8, "video/VP8"), (&h264, "video/H264")] {
        let publisher = Publisher::matroska(file, port, program.directory());
        println!("{}", prove_playback(&program, &browser, "cam", &film("Copy")).await);
        assert_eq!(browser.stats().await.video.codec, mime);
        drop(publisher);
        program.until_state("cam", "Waiting").await;
    }
    // Nobody touches the page: it hears that its session has ended, and asks again.
    let publisher = Publisher::matroska(&vp8, port, program.directory());
    browser.until("VP8", |stats| stats.video.codec == "video/VP8" && stats.video.frames_decoded > 30).await;
    drop(publisher);
    program.until_state("cam", "Waiting").await;
    let _publisher = Publisher::matroska(&hevc(), port, program.directory());
    println!("{}", prove_playback(&program, &browser, "cam", &film("Transcode")).await);
}
