//! A test picture and a tone by FFmpeg, sent to the legs of a stream.

use std::process::{Child, Command, Stdio};

use dragonfork::plan::EgressPorts;

/// A test source with the two legs, ended with the test.
pub struct Source(Child);

impl Source {
    /// Starts with these options for the encoder. The sound's leg has FFmpeg's own reports among its packets.
    pub fn start(ports: EgressPorts, encoder: &str) -> Self {
        let video = format!("udp://127.0.0.1:{}?pkt_size=1200", ports.video);
        let audio = format!("udp://127.0.0.1:{}?pkt_size=1200", ports.audio);
        let arguments = format!(
            "-nostdin -loglevel error -re -f lavfi -i testsrc2=size=640x360:rate=30 -re -f lavfi -i sine=frequency=440 \
             -map 0:v -c:v libx264 -preset ultrafast -pix_fmt yuv420p {encoder} -sc_threshold 0 -an -payload_type 102 \
             -rtpflags skip_rtcp+send_bye -f rtp {video} \
             -map 1:a -c:a libopus -ar 48000 -ac 2 -vn -payload_type 111 -f rtp {audio}"
        );
        let child = Command::new("ffmpeg")
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("ffmpeg is installed");
        Self(child)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.0.kill().expect("it is our child");
        self.0.wait().expect("it is our child");
    }
}
