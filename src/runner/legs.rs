//! What is known of the inputs, and what the egress legs are made of it.

use std::time::{Duration, Instant};

use crate::plan::{Inventory, LegAction, LegChoice, Plan, Probe};

/// A run whose inputs were open for so long is steady: what it was corrected for may be corrected again.
const STEADY: Duration = Duration::from_secs(10);

/// What is to be done about the legs of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing.
    Keep,
    /// They stay, for another reason than was told.
    Explain(LegChoice),
    /// They are wrong.
    Correct,
}

/// Remembers the streams of one process's inputs over its runs.
#[derive(Debug, Default)]
pub struct Legs {
    inventory: Inventory,
    /// What the legs of this run do.
    running: Option<LegChoice>,
    /// What was corrected for since the last steady run: where FFmpeg sees now this and now that, it must not be
    /// restarted without end.
    corrected: Vec<Inventory>,
    /// Since when all inputs of this run are open.
    open_since: Option<Instant>,
    /// The picture's stream of this run, where its frames came out of order. FFmpeg sends before its report of the streams
    /// is read, so this may be known first.
    reordered: Option<String>,
}

impl Legs {
    /// The probe that has to come before the run.
    pub fn probe(&self, plan: &Plan) -> Option<Probe> {
        plan.probe().filter(|probe| !probe.inputs.iter().all(|input| self.inventory.known.contains(input)))
    }

    /// What the legs of the run that begins do.
    pub fn begin(&mut self, now: Instant, plan: &Plan) -> Option<LegChoice> {
        if self.open_since.take().is_some_and(|since| now.duration_since(since) >= STEADY) {
            self.corrected.clear();
        }
        self.reordered = None;
        self.running = plan.choose(&self.inventory);
        self.running.clone()
    }

    /// The run has no legs.
    pub fn begin_without(&mut self) {
        (self.running, self.open_since) = (None, None);
    }

    /// FFmpeg reports these streams.
    pub fn handle_seen(&mut self, seen: &Inventory) {
        self.inventory.learn(seen);
        if let Some(stream) = &self.reordered {
            self.inventory.note_reordered(stream);
        }
    }

    /// The gateway saw frames of the picture's leg out of order.
    pub fn handle_reordered(&mut self) {
        if let Some(LegAction::Copy(stream)) = self.running.as_ref().map(|legs| &legs.video.action) {
            self.inventory.note_reordered(stream);
            self.reordered = Some(stream.clone());
        }
    }

    /// The inputs are others from now on.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Compares what the legs do with what they should, now that all inputs are open.
    pub fn judge(&mut self, now: Instant, plan: &Plan) -> Verdict {
        self.open_since.get_or_insert(now);
        let (Some(running), Some(right)) = (&mut self.running, plan.choose(&self.inventory)) else {
            return Verdict::Keep;
        };
        let is_right = running.does_the_same_as(&right);
        if is_right && *running == right {
            Verdict::Keep
        } else if is_right {
            *running = right.clone();
            Verdict::Explain(right)
        } else if self.corrected.contains(&self.inventory) {
            Verdict::Keep
        } else {
            self.corrected.push(self.inventory.clone());
            Verdict::Correct
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd;
    use crate::plan::{Egress, Io, Key, Limits, MediaKind, Secret, Stream};

    fn plan() -> Plan {
        let listener = Io {
            id: "in".into(),
            address: Secret::new("srt://:6000?mode=listener"),
            options: Vec::new(),
            files: Vec::new(),
        };
        Plan {
            key: Key::new("cam"),
            reference: None,
            suspended: false,
            options: Vec::new(),
            inputs: vec![listener],
            outputs: Vec::new(),
            reconnect: None,
            stale: None,
            restart: None,
            limits: Limits::default(),
            cleanup: Vec::new(),
            egress: Some(Egress {
                video: crd::Video::default(),
                audio: crd::Audio::default(),
                video_options: Vec::new(),
                audio_options: Vec::new(),
                max_viewers: None,
            }),
            secrets: Vec::new(),
        }
    }

    fn inventory(streams: &[(MediaKind, &str)]) -> Inventory {
        let stream = |(index, (kind, codec)): (usize, &(MediaKind, &str))| Stream {
            index,
            kind: *kind,
            codec: (*codec).into(),
            ..Stream::default()
        };
        Inventory { known: [0].into(), streams: streams.iter().enumerate().map(stream).collect() }
    }

    const CLEAN: [(MediaKind, &str); 2] = [(MediaKind::Video, "h264"), (MediaKind::Audio, "aac")];
    const MUTE: [(MediaKind, &str); 1] = [(MediaKind::Video, "h264")];

    fn see(legs: &mut Legs, now: Instant, streams: &[(MediaKind, &str)]) -> Verdict {
        legs.handle_seen(&inventory(streams));
        legs.judge(now, &plan())
    }

    #[test]
    fn what_was_assumed_and_is_so_is_explained_once() {
        let (mut legs, now) = (Legs::default(), Instant::now());
        let assumed = legs.begin(now, &plan()).expect("it has egress");
        let Verdict::Explain(seen) = see(&mut legs, now, &CLEAN) else { panic!("the reason is another one now") };
        assert!(seen.does_the_same_as(&assumed) && seen != assumed);
        assert_eq!(see(&mut legs, now, &CLEAN), Verdict::Keep);
    }

    #[test]
    fn what_contradicts_is_corrected_and_remembered() {
        let (mut legs, now) = (Legs::default(), Instant::now());
        legs.begin(now, &plan());
        assert_eq!(see(&mut legs, now, &MUTE), Verdict::Correct);
        let right = legs.begin(now, &plan()).expect("it has egress");
        assert_eq!(right.audio.action, LegAction::None);
        assert_eq!(see(&mut legs, now, &MUTE), Verdict::Keep);
    }

    #[test]
    fn b_frames_that_the_gateway_sees_are_corrected_and_remembered() {
        let (mut legs, now) = (Legs::default(), Instant::now());
        legs.begin(now, &plan());
        see(&mut legs, now, &CLEAN);
        legs.handle_reordered();
        assert_eq!(legs.judge(now, &plan()), Verdict::Correct);
        let right = legs.begin(now, &plan()).expect("it has egress");
        assert!(matches!(right.video.action, LegAction::Transcode(_)));
        assert_eq!(see(&mut legs, now, &CLEAN), Verdict::Keep);
        legs.handle_reordered();
        assert_eq!(legs.judge(now, &plan()), Verdict::Keep, "what FFmpeg encodes here is not the input's");
    }

    #[test]
    fn frames_out_of_order_are_remembered_until_ffmpeg_has_told_its_streams() {
        let (mut legs, now) = (Legs::default(), Instant::now());
        legs.begin(now, &plan());
        legs.handle_reordered();
        assert_eq!(see(&mut legs, now, &CLEAN), Verdict::Correct);
        let right = legs.begin(now, &plan()).expect("it has egress");
        assert!(matches!(right.video.action, LegAction::Transcode(_)));
    }

    #[test]
    fn streams_that_come_and_go_do_not_restart_ffmpeg_without_end() {
        let (mut legs, now) = (Legs::default(), Instant::now());
        legs.begin(now, &plan());
        assert_eq!(see(&mut legs, now, &MUTE), Verdict::Correct);
        legs.begin(now, &plan());
        assert_eq!(see(&mut legs, now, &CLEAN), Verdict::Correct);
        legs.begin(now, &plan());
        assert_eq!(see(&mut legs, now, &MUTE), Verdict::Keep, "it was corrected for this before");
        let later = now + STEADY;
        let right = legs.begin(later, &plan()).expect("it has egress");
        assert_eq!(right.audio.action, LegAction::None, "the next run is right all the same");
        assert_eq!(see(&mut legs, later, &CLEAN), Verdict::Correct, "after a steady run it is a change of the source");
    }

    #[test]
    fn only_unknown_inputs_that_do_not_listen_are_probed() {
        let mut plan = plan();
        let mut legs = Legs::default();
        assert_eq!(legs.probe(&plan), None);
        plan.inputs[0].address = Secret::new("film.mp4");
        assert_eq!(legs.probe(&plan).map(|probe| probe.inputs), Some(vec![0]));
        legs.handle_seen(&inventory(&CLEAN));
        assert_eq!(legs.probe(&plan), None);
        legs.forget();
        assert!(legs.probe(&plan).is_some());
    }

    #[test]
    fn a_run_without_legs_has_nothing_to_correct() {
        let (mut legs, now) = (Legs::default(), Instant::now());
        legs.begin_without();
        assert_eq!(see(&mut legs, now, &MUTE), Verdict::Keep);
    }
}
