//! FFmpeg's arguments, and the recipes of the egress legs.

use super::{AUDIO_PAYLOAD_TYPE, EgressPorts, Io, LegAction, LegChoice, Plan, Secret, VIDEO_PAYLOAD_TYPE};

/// A keyframe every second, whatever the frame rate is and wherever the timestamps begin.
const KEYFRAME_EVERY_SECOND: &str = "expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+1))";

impl Plan {
    /// FFmpeg's arguments: global options, per input `options -i address`, per output `options address`, and behind
    /// them the egress legs. Without legs the process has no WebRTC outputs.
    pub fn argv(&self, legs: Option<(&LegChoice, EgressPorts)>) -> Vec<Secret> {
        let mut argv = self.options.clone();
        for Io { id: _, address, options } in &self.inputs {
            argv.extend(options.iter().cloned());
            argv.extend([Secret::new("-i"), address.clone()]);
        }
        for Io { id: _, address, options } in &self.outputs {
            argv.extend(options.iter().cloned());
            argv.push(address.clone());
        }
        if let (Some(egress), Some((choice, ports))) = (&self.egress, legs) {
            argv.extend(self.video_leg(&choice.video.action, &egress.video.options, ports.video));
            argv.extend(audio_leg(&choice.audio.action, &egress.audio.options, ports.audio));
        }
        argv
    }

    fn video_leg(&self, action: &LegAction, options: &[String], port: u16) -> Vec<Secret> {
        let recipe = match action {
            LegAction::None => return Vec::new(),
            LegAction::Copy(map) => words(&["-c:v", "copy", "-bsf:v", self.parameter_sets_in_band(map)]),
            LegAction::Transcode(map) => transcode(map, options),
        };
        leg(action, recipe, options, "-an", VIDEO_PAYLOAD_TYPE, port)
    }

    /// The bitstream filter that puts SPS and PPS before every keyframe. FLV and MP4 hold them out of band in a form that
    /// `h264_mp4toannexb` puts in band. RTSP's session description holds them in another form, which it leaves alone.
    fn parameter_sets_in_band(&self, map: &str) -> &'static str {
        let input = map.split(':').next().and_then(|input| input.parse::<usize>().ok());
        let address = input.and_then(|input| self.inputs.get(input)).map(|input| input.address.expose());
        let described = |address: &str| {
            let address = address.to_ascii_lowercase();
            address.starts_with("rtsp") || address.starts_with("satip") || address.ends_with(".sdp")
        };
        if address.is_some_and(described) { "h264_mp4toannexb,dump_extra=freq=keyframe" } else { "h264_mp4toannexb" }
    }
}

/// H.264 that every browser decodes, at the least delay. An encoder that the manifest names gets only what every encoder
/// understands; rate options of the manifest replace the chosen ones.
fn transcode(map: &str, options: &[String]) -> Vec<String> {
    let given = |names: &[&str]| options.iter().any(|option| names.contains(&option.as_str()));
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

fn audio_leg(action: &LegAction, options: &[String], port: u16) -> Vec<Secret> {
    let recipe = match action {
        LegAction::None => return Vec::new(),
        LegAction::Copy(_) => words(&["-c:a", "copy"]),
        LegAction::Transcode(map) => {
            // Timestamps in whole milliseconds, as FLV has them, become gaps that browsers conceal; resampling mends it.
            let filter = if map.starts_with('[') { &[][..] } else { &["-af", "aresample=async=1"] };
            let opus = ["-c:a", "libopus", "-ar", "48000", "-ac", "2", "-b:a", "96k"];
            [words(filter), words(&opus), words(&["-application", "lowdelay", "-frame_duration", "20"])].concat()
        }
    };
    leg(action, recipe, options, "-vn", AUDIO_PAYLOAD_TYPE, port)
}

/// One leg: what is mapped, the recipe, the manifest's options, and the way to the gateway. FFmpeg's own sender reports
/// are left out, because those of picture and sound contradict each other.
fn leg(
    action: &LegAction,
    recipe: Vec<String>,
    options: &[String],
    without: &str,
    payload_type: u8,
    port: u16,
) -> Vec<Secret> {
    let map = action.map().unwrap_or_default();
    let payload_type = payload_type.to_string();
    let address = format!("udp://127.0.0.1:{port}?pkt_size=1200");
    let way =
        [without, "-payload_type", &payload_type, "-rtpflags", "skip_rtcp+send_bye", "-f", "rtp", address.as_str()];
    [words(&["-map", map]), recipe, options.to_vec(), words(&way)].concat().into_iter().map(Secret::new).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
