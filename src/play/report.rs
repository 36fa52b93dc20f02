//! What is told: figures of each viewer and of all, as JSON or for people.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::tally::Tally;
use super::wire::Tallies;
use super::{Failure, Settings};

/// What all viewers saw.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The URL without its query, which may hold a token.
    pub url: String,
    /// Share of the packets that was to be lost on purpose, 0 to 1.
    pub loss: f64,
    /// Each viewer.
    pub viewers: Vec<Viewer>,
    /// All of them.
    pub sum: Sum,
    /// The first failure, where one viewer or more failed.
    pub failure: Option<Failure>,
}

/// What one viewer saw.
#[derive(Debug, Serialize)]
pub struct Viewer {
    /// Its number, from 1.
    pub number: u32,
    /// How long each step took.
    pub times: Times,
    /// How long it watched once it was connected.
    pub watched_seconds: f64,
    /// Picture and sound together.
    pub all: Flow,
    /// The picture.
    pub video: Flow,
    /// The sound.
    pub audio: Flow,
    /// HTTP status of the DELETE at the end; `None` where there was no session or no answer.
    pub deleted: Option<u16>,
    /// What failed.
    pub failure: Option<Failure>,
}

/// Milliseconds since the offer was sent; `None` where it did not come to that.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    /// The 201 and its body were there.
    pub answered_ms: Option<f64>,
    /// ICE was connected.
    pub ice_connected_ms: Option<f64>,
    /// DTLS was connected.
    pub dtls_connected_ms: Option<f64>,
    /// The first RTP packet.
    pub first_packet_ms: Option<f64>,
    /// The first packet of the first keyframe.
    pub first_keyframe_ms: Option<f64>,
}

/// Figures of media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Flow {
    /// Packets that the receiver got, each counted once.
    pub packets: u64,
    /// Octets of their payloads.
    pub octets: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that were lost on purpose; retransmissions among them.
    pub dropped: u64,
    /// Packets that never came, half a second after a later one had come.
    pub lost: u64,
    /// Packets that were asked for again; one that is asked for twice counts twice.
    pub retransmissions_asked: u64,
    /// Packets that came because they were asked for.
    pub retransmissions_received: u64,
    /// Keyframes.
    pub keyframes: u64,
    /// Payload bits a second.
    pub bitrate: f64,
}

/// All viewers.
#[derive(Debug, Serialize)]
pub struct Sum {
    /// How many there were.
    pub viewers: usize,
    /// How many of them failed.
    pub failed: usize,
    /// The slowest of each step.
    pub slowest: Times,
    /// What came to all of them together.
    #[serde(flatten)]
    pub flow: Flow,
}

impl Report {
    pub(super) fn new(settings: &Settings, viewers: Vec<Viewer>) -> Self {
        let url = settings.url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let failure = viewers.iter().find_map(|viewer| viewer.failure.clone());
        Self { url, loss: settings.loss, sum: Sum::of(&viewers), viewers, failure }
    }
}

impl Viewer {
    pub(super) fn failed(number: u32, failure: Failure) -> Self {
        let (times, none) = (Times::default(), Flow::default());
        let failure = Some(failure);
        Self { number, times, watched_seconds: 0.0, all: none, video: none, audio: none, deleted: None, failure }
    }

    pub(super) fn new(
        number: u32,
        times: Times,
        watched: Duration,
        tallies: &Tallies,
        end: Instant,
        deleted: Option<u16>,
        failure: Option<Failure>,
    ) -> Self {
        let (video, audio) = (Flow::of(&tallies.video, end), Flow::of(&tallies.audio, end));
        let (all, watched_seconds) = (video.and(audio), watched.as_secs_f64());
        Self { number, times, watched_seconds, all, video, audio, deleted, failure }
    }
}

impl Times {
    pub(super) fn new(
        answered: Option<Duration>,
        ice_connected: Option<Duration>,
        dtls_connected: Option<Duration>,
        first_packet: Option<Duration>,
        first_keyframe: Option<Duration>,
    ) -> Self {
        let ms = |time: Option<Duration>| time.map(|time| (time.as_secs_f64() * 10_000.0).round() / 10.0);
        Self {
            answered_ms: ms(answered),
            ice_connected_ms: ms(ice_connected),
            dtls_connected_ms: ms(dtls_connected),
            first_packet_ms: ms(first_packet),
            first_keyframe_ms: ms(first_keyframe),
        }
    }

    fn slower(self, other: Self) -> Self {
        let slower = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        Self {
            answered_ms: slower(self.answered_ms, other.answered_ms),
            ice_connected_ms: slower(self.ice_connected_ms, other.ice_connected_ms),
            dtls_connected_ms: slower(self.dtls_connected_ms, other.dtls_connected_ms),
            first_packet_ms: slower(self.first_packet_ms, other.first_packet_ms),
            first_keyframe_ms: slower(self.first_keyframe_ms, other.first_keyframe_ms),
        }
    }
}

impl Flow {
    fn of(tally: &Tally, end: Instant) -> Self {
        Self {
            packets: tally.packets,
            octets: tally.octets,
            duplicates: tally.duplicates,
            dropped: tally.dropped,
            lost: tally.lost(end),
            retransmissions_asked: tally.asked,
            retransmissions_received: tally.resent,
            keyframes: tally.keyframes,
            bitrate: tally.bitrate().round(),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            octets: self.octets + other.octets,
            duplicates: self.duplicates + other.duplicates,
            dropped: self.dropped + other.dropped,
            lost: self.lost + other.lost,
            retransmissions_asked: self.retransmissions_asked + other.retransmissions_asked,
            retransmissions_received: self.retransmissions_received + other.retransmissions_received,
            keyframes: self.keyframes + other.keyframes,
            bitrate: self.bitrate + other.bitrate,
        }
    }
}

impl Sum {
    fn of(viewers: &[Viewer]) -> Self {
        Self {
            viewers: viewers.len(),
            failed: viewers.iter().filter(|viewer| viewer.failure.is_some()).count(),
            slowest: viewers.iter().map(|viewer| viewer.times).fold(Times::default(), Times::slower),
            flow: viewers.iter().map(|viewer| viewer.all).fold(Flow::default(), Flow::and),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for viewer in &self.viewers {
            writeln!(f, "viewer {}: {}", viewer.number, viewer.times)?;
            for (name, flow) in [("picture", viewer.video), ("sound", viewer.audio)] {
                if flow != Flow::default() {
                    writeln!(f, "  {name}: {flow}")?;
                }
            }
            if let Some(failure) = &viewer.failure {
                writeln!(f, "  failed: {failure}")?;
            }
        }
        let Sum { viewers, failed, slowest, flow } = &self.sum;
        writeln!(f, "all {viewers}, {failed} failed; at the slowest: {slowest}")?;
        writeln!(f, "  {flow}")
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let steps = [
            ("answered", self.answered_ms),
            ("ICE", self.ice_connected_ms),
            ("DTLS", self.dtls_connected_ms),
            ("first packet", self.first_packet_ms),
            ("first keyframe", self.first_keyframe_ms),
        ];
        let steps = steps.iter().filter_map(|(step, ms)| ms.map(|ms| format!("{step} {ms:.0} ms")));
        let text = steps.collect::<Vec<_>>().join(", ");
        f.write_str(if text.is_empty() { "not answered" } else { &text })
    }
}

impl Display for Flow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { packets, octets, duplicates, dropped, lost, retransmissions_asked, .. } = self;
        let (received, keyframes, bitrate) = (self.retransmissions_received, self.keyframes, self.bitrate / 1000.0);
        write!(
            f,
            "{packets} packets, {octets} octets, {bitrate:.0} kbit/s, {keyframes} keyframes; {lost} lost, {duplicates} \
             twice, {dropped} dropped on purpose, {retransmissions_asked} asked again, {received} resent"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::Phase;

    fn settings() -> Settings {
        Settings {
            url: "http://192.0.2.1/api/v3/whep/lobby?token=secret".into(),
            token: None,
            duration: Duration::from_secs(1),
            viewers: 2,
            loss: 0.0,
        }
    }

    #[test]
    fn no_report_holds_the_query_of_the_url() {
        let report = Report::new(&settings(), vec![Viewer::failed(1, Failure::new(Phase::Ice, "no path"))]);
        let json = serde_json::to_string(&report).expect("it can be written");
        assert!(json.contains("whep/lobby\"") && !json.contains("secret"), "{json}");
        assert!(!report.to_string().contains("secret"));
    }

    #[test]
    fn the_sum_counts_failures_and_holds_the_slowest_times() {
        let quick = Viewer { times: Times { answered_ms: Some(2.0), ..Times::default() }, ..viewer(1) };
        let slow = Viewer { times: Times { answered_ms: Some(5.0), ..Times::default() }, ..viewer(2) };
        let failed = Viewer::failed(3, Failure::new(Phase::Media, "nothing came"));
        let report = Report::new(&settings(), vec![quick, slow, failed]);
        assert_eq!((report.sum.viewers, report.sum.failed, report.sum.flow.packets), (3, 1, 14));
        assert_eq!(report.sum.slowest.answered_ms, Some(5.0));
        assert_eq!(report.failure.map(|failure| failure.phase), Some(Phase::Media));
    }

    fn viewer(number: u32) -> Viewer {
        let all = Flow { packets: 7, ..Flow::default() };
        let failure = Failure::new(Phase::Media, "");
        Viewer { all, failure: None, ..Viewer::failed(number, failure) }
    }
}
