//! Which inputs wait for somebody to send, and so cannot be looked at beforehand.

use super::{Egress, Io, Plan};

impl Io {
    /// Whether this input waits until somebody connects or sends: RTMP, SRT, RTSP, TCP and HTTP listeners, and UDP and
    /// RTP receivers. To probe one would take the publisher's only connection.
    pub fn listens(&self) -> bool {
        let address = self.address.expose();
        let Some((scheme, _)) = address.split_once("://") else { return false };
        let query = |name: &str| parameter(address, name);
        let option = |names: &[&str]| names.iter().find_map(|name| self.option(name));
        match scheme.to_ascii_lowercase().as_str() {
            // FFmpeg takes a timeout of RTMP for a wish to listen.
            "rtmp" | "rtmps" | "rtmpt" | "rtmpe" => {
                option(&["-listen", "-rtmp_listen"]).is_some_and(is_on)
                    || query("listen").is_some_and(is_on)
                    || self.option("-timeout").is_some()
            }
            "srt" => {
                let mode = option(&["-mode"]).or(query("mode"));
                mode.is_some_and(|mode| matches!(mode, "listener" | "rendezvous" | "1" | "2"))
            }
            "tcp" | "http" | "https" | "unix" | "tls" => option(&["-listen"]).or(query("listen")).is_some_and(is_on),
            "rtsp" | "rtsps" => {
                let flags = option(&["-rtsp_flags"]).or(query("rtsp_flags")).unwrap_or_default();
                flags.split('+').any(|flag| flag == "listen") || address.ends_with("?listen")
            }
            "udp" | "udplite" | "rtp" | "srtp" => true,
            _ => false,
        }
    }

    /// Value of an option, the last one given.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let at = self.options.iter().rposition(|option| option.expose() == name)?;
        self.options.get(at + 1).map(|value| value.expose())
    }
}

impl Plan {
    /// Whether both plans read the same inputs in the same way, so that what is known of one holds for the other.
    pub fn has_same_inputs(&self, other: &Self) -> bool {
        self.inputs == other.inputs && self.options == other.options
    }

    /// Whether FFmpeg would be told the same by both plans, so that it need not start again for the difference.
    pub fn runs_the_same_as(&self, other: &Self) -> bool {
        let legs = |plan: &Self| {
            plan.egress.clone().map(|egress| {
                let Egress { video, audio, video_options, audio_options, max_viewers: _ } = egress;
                (video, audio, video_options, audio_options)
            })
        };
        self.has_same_inputs(other) && self.outputs == other.outputs && legs(self) == legs(other)
    }
}

fn is_on(value: &str) -> bool {
    !matches!(value, "0" | "false" | "no" | "off")
}

/// Value of a query parameter; `1` where it stands without one.
fn parameter<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = address.split_once('?')?;
    query.split('&').find_map(|pair| match pair.split_once('=') {
        Some((key, value)) => (key == name).then_some(value),
        None => (pair == name).then_some("1"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Secret;
    use super::*;

    fn input(address: &str, options: &[&str]) -> Io {
        Io {
            id: "in".into(),
            address: Secret::new(address),
            options: options.iter().map(|option| Secret::new(*option)).collect(),
            files: Vec::new(),
        }
    }

    #[test]
    fn an_input_that_waits_for_its_publisher_listens() {
        for (address, options) in [
            ("rtmp://0.0.0.0:1935/live/cam", &["-f", "flv", "-listen", "1"][..]),
            ("rtmp://0.0.0.0:1935/live/cam", &["-rtmp_listen", "1"]),
            ("rtmp://0.0.0.0:1935/live/cam", &["-timeout", "30"]),
            ("srt://0.0.0.0:6000?mode=listener&latency=20000", &[]),
            ("srt://:6000?latency=20000&mode=listener", &[]),
            ("srt://:6000", &["-mode", "listener"]),
            ("SRT://:6000?mode=rendezvous", &[]),
            ("tcp://0.0.0.0:9000?listen", &[]),
            ("tcp://0.0.0.0:9000?listen=1", &[]),
            ("http://0.0.0.0:9000/x", &["-listen", "1"]),
            ("rtsp://0.0.0.0:8554/x", &["-rtsp_flags", "listen"]),
            ("rtsp://0.0.0.0:8554/x", &["-rtsp_flags", "prefer_tcp+listen"]),
            ("udp://239.0.0.1:5000", &[]),
            ("rtp://0.0.0.0:5000", &[]),
        ] {
            assert!(input(address, options).listens(), "{address} {options:?}");
        }
    }

    #[test]
    fn an_input_that_fetches_does_not_listen() {
        for (address, options) in [
            ("rtmp://server/live/cam", &[][..]),
            ("rtmp://server/live/cam", &["-listen", "0"]),
            ("srt://server:6000", &[]),
            ("srt://server:6000?mode=caller", &[]),
            ("srt://server:6000?streamid=mode=listener", &[]),
            ("tcp://server:9000?listen=0", &[]),
            ("https://server/live.m3u8?listener=3", &[]),
            ("rtsp://camera/stream1", &["-rtsp_transport", "tcp"]),
            ("testsrc2=size=640x360:rate=30", &["-f", "lavfi"]),
            ("/media/film.mp4", &[]),
        ] {
            assert!(!input(address, options).listens(), "{address} {options:?}");
        }
    }
}
