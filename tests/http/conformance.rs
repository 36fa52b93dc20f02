//! The numbered conformance list of `docs/whep.md`, over HTTP against the real program with real FFmpeg.
//!
//! The name of a test holds the numbers that it proves: `whep_046_054_…` proves 46 and 54. `tests/documentation.rs`
//! checks that each number of the list has a test or stands among the deviations.

mod access;
mod answers;
mod counter;
mod endpoint;
mod program;
mod sessions;

use reqwest::Response;

use program::Program;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// Where the process that plays is.
const CAM: &str = "/api/v3/whep/cam";
/// A candidate that nobody answers on.
const CANDIDATE: &str = "a=candidate:1 1 udp 1 192.0.2.1 9000 typ host\r\n";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

/// The values of a list header, sorted.
fn words(list: &str) -> Vec<String> {
    let mut words: Vec<_> = list.split(',').map(|word| word.trim().to_owned()).collect();
    words.sort();
    words
}

/// A session that a program has just made, with its path, entity tag and answer.
struct Made {
    location: String,
    etag: String,
    answer: String,
}

async fn made(program: &Program, offer: &str) -> Made {
    let response = program.post(CAM, offer).await;
    assert_eq!(response.status(), 201);
    let text = |name: &str| header(&response, name).to_owned();
    let (location, etag) = (text("location"), text("etag"));
    Made { location, etag, answer: response.text().await.expect("SDP") }
}
