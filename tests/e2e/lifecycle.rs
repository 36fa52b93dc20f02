//! Viewers that come and go as they like, while processes stop and start under them: in the end nothing is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use crate::child::until;
use crate::endings::kill;
use crate::manifest::{Manifest, manifest};
use crate::media;
use crate::peer::Peer;
use crate::program::Program;
use crate::proof::until_playable;
use crate::turn;

const CLIENTS: u64 = 20;
const STEPS: usize = 50;
const STREAMS: [&str; 3] = ["one", "two", "three"];
/// Sessions whose viewer is gone are over after this: consent expires after 15 s, a handshake is given up after 30 s.
const EXPIRY: Duration = Duration::from_secs(60);

fn film(name: &str) -> Manifest {
    manifest(name)
        .input("-re", media::long_film().display().to_string())
        .output(&format!("-c copy -metadata title={name} -f null"), "-")
}

/// What a client did, by name.
type Done = BTreeMap<&'static str, usize>;

/// One client's steps.
async fn client(number: u64, program: Arc<Program>) -> Done {
    let mut random = StdRng::seed_from_u64(number);
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
    let mut done = Done::new();
    let mut peer: Option<Peer> = None;
    for _ in 0..STEPS {
        let stream = STREAMS[random.random_range(0..STREAMS.len())];
        let step = match (peer.take(), random.random_range(0..20)) {
            (_, 0) if number == 0 => {
                program.apply(&film(stream).with("suspend", true.into()));
                tokio::time::sleep(Duration::from_millis(300)).await;
                program.apply(&film(stream));
                "stop and start"
            }
            (_, 0) if number == 1 => {
                program.ffmpegs(&format!("title={stream}")).into_iter().for_each(kill);
                "kill FFmpeg"
            }
            (None, _) => match Peer::offer(&http, &program, stream).await {
                Ok(offered) => {
                    peer = Some(offered);
                    "offer"
                }
                Err(status) => {
                    assert!(matches!(status.as_u16(), 404 | 409 | 503), "POST: {status}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    "offer refused"
                }
            },
            (Some(mut playing), 9..12) => match playing.restart(&http, &program).await {
                true => {
                    peer = Some(playing);
                    "ICE restart"
                }
                false => "ICE restart too late",
            },
            (Some(mut playing), 1..9) => {
                let packets = playing.play(Duration::from_millis(300)).await;
                peer = Some(playing);
                if packets > 0 { "play" } else { "wait" }
            }
            (Some(playing), 12..17) => match playing.leave(&http, &program).await {
                true => "DELETE",
                false => "DELETE too late",
            },
            (Some(_), _) => "vanish",
        };
        *done.entry(step).or_default() += 1;
    }
    done
}

/// Open files and threads of a process.
fn held(id: u32) -> (usize, usize) {
    let count = |what: &str| std::fs::read_dir(format!("/proc/{id}/{what}")).map_or(0, Iterator::count);
    (count("fd"), count("task"))
}

async fn viewers(program: &Program) -> u64 {
    let processes = program.processes().await;
    processes.iter().filter_map(|process| process["status"]["webrtc"]["viewers"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_random_steps_of_twenty_viewers_leave_nothing_behind() {
    let _turn = turn::shared().await;
    let program = Arc::new(Program::start_with(&[], &[("CORE_WEBRTC_MAX_VIEWERS_PER_STREAM", "64")]).await);
    for stream in STREAMS {
        program.apply(&film(stream));
        until_playable(&program, stream).await;
    }
    // Whatever is made once and kept is there now.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
    let mut first = Peer::offer(&http, &program, "one").await.expect("it is answered");
    assert!(first.play(Duration::from_secs(2)).await > 0);
    first.leave(&http, &program).await;
    let (files, threads) = held(program.child.id());

    let clients: JoinSet<Done> = (0..CLIENTS).map(|number| client(number, program.clone())).collect();
    let mut done = Done::new();
    for steps in clients.join_all().await {
        steps.into_iter().for_each(|(step, times)| *done.entry(step).or_default() += times);
    }
    eprintln!("{done:?}");
    for step in ["offer", "play", "ICE restart", "DELETE", "vanish", "stop and start", "kill FFmpeg"] {
        assert!(done.contains_key(step), "no {step} in {done:?}");
    }
    for stream in STREAMS {
        program
            .until_within(EXPIRY, stream, "has no viewer", |process| process["status"]["webrtc"]["viewers"] == 0)
            .await;
        until_playable(&program, stream).await;
    }
    let mut five = Vec::new();
    for stream in ["one", "one", "two", "two", "three"] {
        let mut peer = Peer::offer(&http, &program, stream).await.expect("every slot is free again");
        assert!(peer.play(Duration::from_secs(2)).await > 0, "{stream} plays");
        five.push(peer);
    }
    assert_eq!(viewers(&program).await, 5, "the counter is exact");
    for peer in five {
        assert!(peer.leave(&http, &program).await, "the session is live");
    }
    until("no file and no thread is left", || {
        let (files_now, threads_now) = held(program.child.id());
        files_now <= files && threads_now <= threads
    })
    .await;
    for stream in STREAMS {
        program.until(stream, "has no viewer", |process| process["status"]["webrtc"]["viewers"] == 0).await;
    }
}
