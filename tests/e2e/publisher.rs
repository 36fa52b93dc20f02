//! Those who send media to the program, and the server that it fetches from: other processes, as in real life.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use crate::child::{Child, free_port, is_bound, until};

/// An FFmpeg that sends a file over and over, at the file's own speed. Where its connection ends it comes again, as OBS
/// and cameras do.
pub struct Publisher {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Pushes by RTMP to a port of this machine.
    pub fn rtmp(media: &Path, port: u16, directory: &Path) -> Self {
        let target = format!("rtmp://127.0.0.1:{port}/live/cam");
        Self::start(port, command(media, "-c copy -f flv", &target), directory)
    }

    /// Pushes by SRT to a port of this machine, as the sample manifest advises.
    pub fn srt(media: &Path, port: u16, directory: &Path) -> Self {
        let options = "-c copy -pes_payload_size 0 -omit_video_pes_length 0 -muxdelay 0 -muxpreload 0 -flush_packets 1 \
                       -f mpegts";
        let target = format!("srt://127.0.0.1:{port}?mode=caller&latency=40000&pkt_size=1316");
        Self::start(port, command(media, options, &target), directory)
    }

    /// Pushes by RTSP over TCP to a port of this machine. FFmpeg would collect quiet sound for 0.7 s; cameras do not.
    pub fn rtsp(media: &Path, port: u16, directory: &Path) -> Self {
        let target = format!("rtsp://127.0.0.1:{port}/live/cam");
        Self::start(port, command(media, "-c copy -max_delay 20000 -rtsp_transport tcp -f rtsp", &target), directory)
    }

    /// Pushes Matroska by TCP to a port of this machine.
    pub fn matroska(media: &Path, port: u16, directory: &Path) -> Self {
        let target = format!("tcp://127.0.0.1:{port}");
        Self::start(port, command(media, "-c copy -flush_packets 1 -f matroska", &target), directory)
    }

    /// Pushes a transport stream by UDP to a port of this machine.
    pub fn udp(media: &Path, port: u16, directory: &Path) -> Self {
        let target = format!("udp://127.0.0.1:{port}?pkt_size=1316");
        Self::start(port, command(media, "-c copy -f mpegts", &target), directory)
    }

    /// Runs the command whenever the port is open.
    fn start(port: u16, arguments: Vec<String>, directory: &Path) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (ended, directory) = (over.clone(), directory.to_owned());
        let thread = std::thread::spawn(move || {
            let mut running: Option<Child> = None;
            while !ended.load(Ordering::Relaxed) {
                if running.as_mut().is_none_or(|child| child.ended().is_some()) && is_bound(port) {
                    let name = format!("publisher-{port}");
                    running = Some(Child::start(&name, Command::new("ffmpeg").args(&arguments), &directory));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn command(media: &Path, options: &str, target: &str) -> Vec<String> {
    let media = media.to_str().expect("paths of the tests are text");
    let mut arguments =
        ["-nostdin", "-hide_banner", "-loglevel", "warning", "-re", "-i", media].map(str::to_owned).to_vec();
    arguments.extend(options.split_whitespace().map(str::to_owned));
    arguments.push(target.to_owned());
    arguments
}

/// What FFmpeg says when it is to put a file into FLV; `None` where it does.
pub fn flv_refuses(media: &Path) -> Option<String> {
    let media = media.to_str().expect("paths of the tests are text");
    let arguments = ["-nostdin", "-hide_banner", "-loglevel", "error", "-i", media, "-c", "copy", "-f", "flv"];
    let output = Command::new("ffmpeg").args(arguments).args(["-y", "/dev/null"]).output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(said)
}

/// nginx with its RTMP module, to fetch from.
pub struct RtmpServer {
    port: u16,
    _server: Child,
    directory: TempDir,
}

impl RtmpServer {
    pub async fn start() -> Self {
        Self::start_at(free_port()).await
    }

    pub async fn start_at(port: u16) -> Self {
        let directory =
            tempfile::Builder::new().prefix("dragonfork-nginx-").tempdir().expect("a directory can be made");
        let here = directory.path().display();
        // Debian keeps modules here; nginx drops to another user when root starts it, and needs no rights for this.
        let configuration = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
             daemon off; worker_processes 1; pid {here}/pid; error_log {here}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).expect("it can be written");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(directory.path()).arg("-e").arg(directory.path().join("error.log"));
        let server = Child::start("nginx", &mut command, directory.path());
        until("nginx listens", || is_bound(port)).await;
        Self { port, _server: server, directory }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the stream of this name is fetched.
    pub fn address(&self, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{stream}", self.port)
    }

    /// Sends a file to it under a name.
    pub fn publish(&self, media: &Path, stream: &str) -> Publisher {
        let arguments = command(media, "-c copy -f flv", &self.address(stream));
        Publisher::start(self.port, arguments, self.directory.path())
    }
}
