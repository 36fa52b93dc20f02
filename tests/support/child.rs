//! Programs that a test starts: each is ended by its id, and what it printed is shown when the test fails.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long a test waits for anything that should come soon.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running program in a process group of its own, which ends with this value.
pub struct Child {
    child: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts; both of its outputs go to `<name>.log` in the directory.
    pub fn start(name: &str, command: &mut Command, directory: &Path) -> Self {
        use std::os::unix::process::CommandExt;
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log).expect("the directory of the test can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be started: {error}", command.get_program()));
        Self { child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(pid(self.id()), signal);
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits for its end; `None` when it takes longer.
    pub async fn end_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while self.ended().is_none() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.ended()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let mut started = descendants(self.id());
        started.extend(members(self.id()));
        let _ = kill_process_group(pid(self.id()), Signal::KILL);
        for id in &started {
            let _ = kill_process(pid(*id), Signal::KILL);
        }
        let _ = self.child.wait();
        let deadline = Instant::now() + PATIENCE;
        while started.iter().any(|id| is_alive(*id)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(80)..].join("\n");
            eprintln!("--- the last lines of {} ---\n{tail}\n---", self.log.display());
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("process ids are small")).expect("process ids are not 0")
}

/// The line of `/proc/<id>/stat` behind the name: state, parent, process group, …
fn stat(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("this is Linux");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether it runs. One that has ended and waits for its parent to ask for its exit code does not.
pub fn is_alive(id: u32) -> bool {
    stat(id).is_some_and(|stat| !matches!(stat[0].as_str(), "Z" | "X"))
}

/// Process group of a process.
pub fn group(id: u32) -> Option<u32> {
    stat(id)?.get(2)?.parse().ok()
}

fn members(of: u32) -> Vec<u32> {
    processes().into_iter().filter(|id| group(*id) == Some(of)).collect()
}

/// Children of a process, and theirs.
pub fn descendants(of: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        processes().into_iter().filter_map(|id| Some((id, stat(id)?.get(1)?.parse().ok()?))).collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    found.split_off(1)
}

/// Arguments of a running process, its name first.
pub fn arguments(id: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into())
        .collect()
}

/// Environment of a running process, as `NAME=value`.
pub fn environment(id: u32) -> Vec<String> {
    let text = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    text.split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into())
        .collect()
}

/// A port that was free a moment ago for TCP and UDP, and is given out once in this test run. It lies below those that
/// the system gives to clients.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = std::process::id() * 97 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + step % COUNT).expect("ports are small");
        if TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Whether somebody listens on a TCP port or has bound a UDP port. Nobody is connected to: a listening FFmpeg takes one
/// connection only.
pub fn is_bound(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    ["tcp", "tcp6", "udp", "udp6"].iter().any(|protocol| {
        let table = fs::read_to_string(format!("/proc/net/{protocol}")).unwrap_or_default();
        table.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, _, state) = (fields.next(), fields.next(), fields.next());
            local.is_some_and(|local| local.ends_with(&wanted))
                && (protocol.starts_with("udp") || state == Some(LISTEN))
        })
    })
}

/// Waits until a condition holds; says what did not come when it takes too long.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
