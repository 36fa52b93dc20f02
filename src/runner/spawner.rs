//! The one thread that forks.
//!
//! FFmpeg asks the kernel to be killed when its parent is gone, and for the kernel the parent is the thread that forked.
//! So this thread lives as long as anybody may have a child.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use rustix::fs::{Access, access};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, set_parent_process_death_signal};
use tokio::sync::oneshot;

use super::child::Process;
use super::{Settings, StartError};
use crate::plan::Secret;

/// What FFmpeg is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run: its progress report is [`Spawned::output`], what it writes to standard output is dropped.
    Run,
    /// To look at the inputs: what it writes to standard output is [`Spawned::output`].
    Probe,
}

/// A child that was started, and what it writes to.
#[derive(Debug)]
pub struct Spawned {
    /// The child.
    pub process: Process,
    /// Its log: standard error, as verbose as the manifest says.
    pub log: OwnedFd,
    /// Its report: the log at level `info`, whatever the manifest says.
    pub report: OwnedFd,
    /// The progress report of a run, the standard output of a probe.
    pub output: OwnedFd,
}

/// Why FFmpeg cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("FFmpeg was not found as {0:?}; install it, or name it with CORE_FFMPEG_BINARY")]
    NotFound(PathBuf),
    /// The program may not be executed.
    #[error("FFmpeg may not be executed as {0:?}; make the file executable, or name another with CORE_FFMPEG_BINARY")]
    NotExecutable(PathBuf),
    /// There is no working directory.
    #[error("FFmpeg's working directory {directory:?} cannot be used: {source}")]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system refuses something else.
    #[error("FFmpeg cannot be started as {program:?}: {source}; CORE_FFMPEG_BINARY names another one")]
    Io {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread is gone.
    #[error("FFmpeg cannot be started, the program ends")]
    Closed,
}

/// The way to the thread.
#[derive(Debug)]
pub struct Spawner {
    orders: mpsc::Sender<Order>,
    directory: PathBuf,
}

#[derive(Debug)]
struct Order {
    purpose: Purpose,
    arguments: Vec<Secret>,
    reply: oneshot::Sender<Result<Spawned, SpawnError>>,
}

impl Spawner {
    /// Starts the thread.
    pub fn new(settings: Settings) -> Result<Self, StartError> {
        pidfd_open(getpid(), PidfdFlags::empty()).map_err(|error| StartError::Watch(error.into()))?;
        let (orders, inbox) = mpsc::channel::<Order>();
        let directory = settings.directory.clone();
        let work = move || {
            for order in inbox {
                // Where nobody waits for it any more, the child is killed with the answer that is dropped.
                let _ = order.reply.send(spawn(&settings, order.purpose, &order.arguments));
            }
        };
        std::thread::Builder::new().name("spawner".into()).spawn(work).map_err(StartError::Thread)?;
        Ok(Self { orders, directory })
    }

    /// Where FFmpeg runs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts FFmpeg with these arguments.
    pub async fn spawn(&self, purpose: Purpose, arguments: Vec<Secret>) -> Result<Spawned, SpawnError> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order { purpose, arguments, reply }).map_err(|_| SpawnError::Closed)?;
        answer.await.unwrap_or(Err(SpawnError::Closed))
    }
}

fn spawn(settings: &Settings, purpose: Purpose, arguments: &[Secret]) -> Result<Spawned, SpawnError> {
    let directory = &settings.directory;
    access(directory, Access::EXEC_OK)
        .map_err(|error| SpawnError::Directory { directory: directory.clone(), source: error.into() })?;
    let program = locate(settings).ok_or_else(|| SpawnError::NotFound(settings.ffmpeg.clone()))?;
    start(settings, &program, purpose, arguments).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => SpawnError::NotExecutable(program),
        _ => SpawnError::Io { program, source },
    })
}

fn start(settings: &Settings, program: &Path, purpose: Purpose, arguments: &[Secret]) -> io::Result<Spawned> {
    let (report, report_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (output, output_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut inherited = vec![report_end.as_raw_fd()];
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(settings.environment.iter().map(|(name, value)| (name, value)))
        // FFmpeg writes a second log there, whose level the manifest's options do not change.
        .env("FFREPORT", format!("file=/dev/fd/{}:level=32", report_end.as_raw_fd()))
        .current_dir(&settings.directory)
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .args(["-hide_banner", "-nostdin"]);
    let output_end = match purpose {
        Purpose::Run => {
            let number = output_end.as_raw_fd();
            inherited.push(number);
            // Not to standard output, where FFmpeg prints the SDP of its RTP outputs.
            command.stdout(Stdio::null()).args(["-nostats", "-progress", &format!("pipe:{number}")]);
            Some(output_end)
        }
        Purpose::Probe => {
            command.stdout(output_end);
            None
        }
    };
    command.args(arguments.iter().map(Secret::expose));
    let parent = getpid();
    // SAFETY: between fork and exec it only makes system calls, and allocates nothing.
    unsafe { command.pre_exec(move || prepare(parent, &inherited)) };
    let mut child = command.spawn()?;
    drop((report_end, output_end));
    let pid = Pid::from_child(&child);
    let process = Process::new(pid, pidfd_open(pid, PidfdFlags::empty()));
    let log = child.stderr.take().expect("standard error is piped").into();
    Ok(Spawned { process: process?, log, report, output })
}

/// Makes the forked child what FFmpeg shall be.
fn prepare(parent: Pid, inherited: &[RawFd]) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may be gone since before the kernel was asked.
    if getppid() != Some(parent) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    close_on_exec();
    for number in inherited {
        // SAFETY: the parent keeps it open until the child is started.
        let inherited = unsafe { BorrowedFd::borrow_raw(*number) };
        rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::empty())?;
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: it sets the default action; a program that was started in the background ignores the interrupt.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    Ok(())
}

/// Nothing but the standard streams reaches FFmpeg.
fn close_on_exec() {
    // SAFETY: it marks descriptors and touches no memory.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done != 0 {
        // Linux before 5.11.
        for number in 3..1024 {
            // SAFETY: a number that is no descriptor is refused.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// The program as an absolute path: a name is looked for in `PATH`, FFmpeg's own or else this program's.
fn locate(settings: &Settings) -> Option<PathBuf> {
    let name = &settings.ffmpeg;
    if name.components().count() > 1 {
        return std::path::absolute(name).ok().filter(|path| path.exists());
    }
    let of_ffmpeg = settings.environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    let path = of_ffmpeg.or_else(|| std::env::var_os("PATH")).unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let files = std::env::split_paths(&path).map(|directory| directory.join(name)).filter(|path| path.is_file());
    let mut candidates = files.collect::<Vec<_>>();
    // One that may not be executed is only taken to be complained about.
    candidates.sort_by_key(|path| access(path, Access::EXEC_OK).is_err());
    candidates.into_iter().next()
}
