//! FFmpeg's arguments, and the recipes of the egress legs.

use super::{EgressPorts, Io, Leg, LegAction, LegChoice, Plan, Secret};
use crate::rtp::{Codec, MediaKind};

/// A keyframe every second, whatever the frame rate is and wherever the timestamps begin.
const KEYFRAME_EVERY_SECOND: &str = "expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+1))";

impl Plan {
    /// FFmpeg's arguments: global options, per input `options -i address`, per output `options address`, and behind
    /// them the egress legs. Without legs the process has no WebRTC outputs.
    pub fn argv(&self, legs: Option<(&LegChoice, EgressPorts)>) -> Vec<Secret> {
        let mut argv = self.options.clone();
        for Io { id: _, address, options, files: _ } in &self.inputs {
            argv.extend(options.iter().cloned());
            argv.extend([Secret::new("-i"), address.clone()]);
        }
        for Io { id: _, address, options, files: _ } in &self.outputs {
            argv.extend(options.iter().cloned());
            argv.push(address.clone());
        }
        if let Some((choice, ports)) = legs {
            argv.extend(self.legs(choice, ports));
        }
        argv
    }

    /// The arguments of the egress legs alone.
    pub fn legs(&self, choice: &LegChoice, ports: EgressPorts) -> Vec<Secret> {
        let Some(egress) = &self.egress else { return Vec::new() };
        let video = self.video_leg(&choice.video, &egress.video_options, ports.video);
        [video, audio_leg(&choice.audio, &egress.audio_options, ports.audio)].concat()
    }

    fn video_leg(&self, leg: &Leg, options: &[Secret], port: u16) -> Vec<Secret> {
        let (LegAction::Copy(map) | LegAction::Transcode(map), Some(codec)) = (&leg.action, leg.codec) else {
            return Vec::new();
        };
        let recipe = match leg.action {
            LegAction::Transcode(_) => transcode(map, options),
            _ => self.copy(map, codec),
        };
        way(map, recipe, options, codec, port)
    }

    /// The picture as it is. FFmpeg's payloads of VP9 and AV1 count as experiments.
    fn copy(&self, map: &str, codec: Codec) -> Vec<String> {
        let further = match codec {
            Codec::H264 => vec!["-bsf:v".into(), self.parameter_sets_in_band(map, "h264_mp4toannexb")],
            Codec::H265 => vec!["-bsf:v".into(), self.parameter_sets_in_band(map, "hevc_mp4toannexb")],
            Codec::Vp9 | Codec::Av1 => words(&["-strict", "experimental"]),
            Codec::Vp8 | Codec::Opus => Vec::new(),
        };
        [words(&["-c:v", "copy"]), further].concat()
    }

    /// The bitstream filters that put the parameter sets before every keyframe. FLV and MP4 hold them out of band in a
    /// form that `to_annex_b` puts in band. RTSP's session description holds them in another form, which it leaves alone.
    fn parameter_sets_in_band(&self, map: &str, to_annex_b: &str) -> String {
        let input = map.split(':').next().and_then(|input| input.parse::<usize>().ok());
        let address = input.and_then(|input| self.inputs.get(input)).map(|input| input.address.expose());
        let described = |address: &str| {
            let address = address.to_ascii_lowercase();
            address.starts_with("rtsp") || address.starts_with("satip") || address.ends_with(".sdp")
        };
        if address.is_some_and(described) {
            format!("{to_annex_b},dump_extra=freq=keyframe")
        } else {
            to_annex_b.into()
        }
    }
}

/// H.264 that every browser decodes, at the least delay. An encoder that the manifest names gets only what every encoder
/// understands; rate options of the manifest replace the chosen ones.
fn transcode(map: &str, options: &[Secret]) -> Vec<String> {
    let given = |names: &[&str]| options.iter().any(|option| names.contains(&option.expose()));
    let mut recipe = Vec::new();
    if !given(&["-c:v", "-codec:v", "-vcodec", "-c", "-codec"]) {
        let x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline"];
        recipe.extend(words(&x264));
        recipe.extend(words(&["-forced-idr", "1", "-sc_threshold", "0"]));
        if !given(&["-b:v", "-b", "-crf", "-qp", "-maxrate", "-maxrate:v"]) {
            recipe.extend(words(&["-crf", "23", "-maxrate", "6000k", "-bufsize", "3000k"]));
        }
    }
    recipe.extend(words(&["-pix_fmt", "yuv420p", "-bf", "0", "-force_key_frames", KEYFRAME_EVERY_SECOND]));
    // The output of a filter graph takes no further filter. Chroma of half size needs even sides.
    if !map.starts_with('[') {
        recipe.extend(words(&["-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2"]));
    }
    recipe
}

fn audio_leg(leg: &Leg, options: &[Secret], port: u16) -> Vec<Secret> {
    let (LegAction::Copy(map) | LegAction::Transcode(map), Some(codec)) = (&leg.action, leg.codec) else {
        return Vec::new();
    };
    let recipe = match leg.action {
        LegAction::Transcode(_) => {
            // Timestamps in whole milliseconds, as FLV has them, become gaps that browsers conceal; resampling mends it.
            let filter = if map.starts_with('[') { &[][..] } else { &["-af", "aresample=async=1"] };
            let opus = ["-c:a", "libopus", "-ar", "48000", "-ac", "2", "-b:a", "96k"];
            [words(filter), words(&opus), words(&["-application", "lowdelay", "-frame_duration", "20"])].concat()
        }
        _ => words(&["-c:a", "copy"]),
    };
    way(map, recipe, options, codec, port)
}

/// One leg: what is mapped, the recipe, the manifest's options, and the way to the gateway. FFmpeg's own sender reports
/// are left out, because those of picture and sound contradict each other.
fn way(map: &str, recipe: Vec<String>, options: &[Secret], codec: Codec, port: u16) -> Vec<Secret> {
    let without = match codec.kind() {
        MediaKind::Video => "-an",
        MediaKind::Audio => "-vn",
    };
    let payload_type = codec.payload_type().to_string();
    let address = format!("udp://127.0.0.1:{port}?pkt_size=1200");
    let way =
        [without, "-payload_type", &payload_type, "-rtpflags", "skip_rtcp+send_bye", "-f", "rtp", address.as_str()];
    let chosen = [words(&["-map", map]), recipe].concat().into_iter().map(Secret::new);
    chosen.chain(options.iter().cloned()).chain(way.map(Secret::new)).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
