//! One child: what it writes, how it is signalled, how it ends.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use std::{future, io};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep_until};

use super::spawner::Spawned;
use crate::process::{End, Lines};

/// After the end, something that left the process group may keep the pipes open for this long at most.
const REST: Duration = Duration::from_millis(500);

/// A process group whose leader is a child of this program; killed and reaped where it is dropped.
#[derive(Debug)]
pub struct Process {
    group: Pid,
    handle: OwnedFd,
    is_reaped: bool,
}

impl Process {
    /// The child with this id and handle. Without handle it cannot be watched, and is killed.
    pub fn new(pid: Pid, handle: rustix::io::Result<OwnedFd>) -> io::Result<Self> {
        match handle {
            Ok(handle) => Ok(Self { group: pid, handle, is_reaped: false }),
            Err(error) => {
                let _ = kill_process_group(pid, Signal::KILL);
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
                Err(error.into())
            }
        }
    }

    /// The id of the leader.
    pub fn pid(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal to the whole group.
    pub fn signal(&self, signal: Signal) {
        // Until it is reaped nobody else can have its number.
        if !self.is_reaped
            && let Err(error) = kill_process_group(self.group, signal)
        {
            tracing::debug!(%error, pid = self.pid(), "a signal was refused");
        }
    }

    /// How the leader ended, if it did. What is left of its group is killed before the leader is reaped, while the
    /// group's number is still its own.
    fn reap(&mut self) -> Option<End> {
        let leader = || WaitId::PidFd(self.handle.as_fd());
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        waitid(leader(), look | WaitIdOptions::NOWAIT).ok().flatten()?;
        self.signal(Signal::KILL);
        let status = waitid(leader(), look).ok().flatten()?;
        self.is_reaped = true;
        reap_orphans(self.group);
        Some(End { code: status.exit_status(), signal: status.terminating_signal() })
    }
}

/// Reaps what is left of a group after its leader: the first process of a container becomes the parent of all that have
/// lost theirs. Elsewhere they are another process's children, and nothing is found. As long as one of them is there,
/// nobody else can have the number of the group.
fn reap_orphans(group: Pid) {
    let orphans = move |options| waitid(WaitId::Pgid(Some(group)), WaitIdOptions::EXITED | options);
    while let Ok(reaped) = orphans(WaitIdOptions::NOHANG) {
        if reaped.is_none() {
            // They were killed, and end in a moment.
            let wait = move || while orphans(WaitIdOptions::empty()).is_ok() {};
            let _ = std::thread::Builder::new().name("reaper".into()).spawn(wait);
            return;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_reaped && self.reap().is_none() {
            self.signal(Signal::KILL);
            let leader = self.group;
            let wait = move || waitid(WaitId::Pid(leader), WaitIdOptions::EXITED);
            // Without a thread it stays a zombie until the program ends.
            let _ = std::thread::Builder::new().name("reaper".into()).spawn(wait);
        }
    }
}

/// What was seen of a child.
#[derive(Debug)]
pub enum Seen {
    /// Lines of its log.
    Log(Vec<String>),
    /// Lines of its report.
    Report(Vec<String>),
    /// Lines of its output.
    Output(Vec<String>),
    /// It ended and was reaped, and nothing more comes.
    Ended(End),
}

/// A child that is watched.
#[derive(Debug)]
pub struct Child {
    process: Process,
    ended: AsyncFd<OwnedFd>,
    end: Option<(End, Instant)>,
    log: Pipe,
    report: Pipe,
    output: Pipe,
}

impl Child {
    /// Begins to watch.
    pub fn new(spawned: Spawned) -> io::Result<Self> {
        let Spawned { process, log, report, output } = spawned;
        let handle = process.handle.try_clone()?;
        // SAFETY: an owned descriptor stays the same one and open until it is dropped.
        let ended = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }?;
        let (log, report, output) = (Pipe::new(log)?, Pipe::new(report)?, Pipe::new(output)?);
        Ok(Self { process, ended, end: None, log, report, output })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal to its process group.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The next thing that is seen. Nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> Seen {
        loop {
            let is_drained = !(self.log.is_open || self.report.is_open || self.output.is_open);
            let rest = match self.end {
                Some((end, _)) if is_drained => return Seen::Ended(end),
                Some((_, rest)) => Some(rest),
                None => None,
            };
            tokio::select! {
                lines = self.log.read() => return Seen::Log(lines),
                lines = self.report.read() => return Seen::Report(lines),
                lines = self.output.read() => return Seen::Output(lines),
                ready = self.ended.readable(), if rest.is_none() => {
                    self.end = self.process.reap().map(|end| (end, Instant::now() + REST));
                    if self.end.is_none() && let Ok(mut ready) = ready {
                        ready.clear_ready();
                    }
                }
                () = sleep_until(rest.unwrap_or_else(Instant::now)), if rest.is_some() => {
                    [&mut self.log, &mut self.report, &mut self.output].into_iter().for_each(Pipe::close);
                }
            }
        }
    }
}

/// One of its pipes.
#[derive(Debug)]
struct Pipe {
    receiver: Receiver,
    lines: Lines,
    buffer: Vec<u8>,
    is_open: bool,
}

impl Pipe {
    fn new(end: OwnedFd) -> io::Result<Self> {
        let receiver = Receiver::from_owned_fd(end)?;
        Ok(Self { receiver, lines: Lines::default(), buffer: vec![0; 8 << 10], is_open: true })
    }

    fn close(&mut self) {
        self.is_open = false;
    }

    /// Lines that have come; never returns once it is closed.
    async fn read(&mut self) -> Vec<String> {
        if !self.is_open {
            future::pending::<()>().await;
        }
        let mut lines = Vec::new();
        match self.receiver.read(&mut self.buffer).await {
            Ok(0) | Err(_) => {
                self.lines.finish(|line| lines.push(line.to_owned()));
                self.close();
            }
            Ok(count) => self.lines.handle_bytes(&self.buffer[..count], |line| lines.push(line.to_owned())),
        }
        lines
    }
}
