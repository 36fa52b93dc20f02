//! What remains of a test binary that ends, in whatever way: nothing.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, OnceLock, mpsc};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use crate::child::Child;

/// A folder of this test binary, which is removed when the binary has ended, even by a signal that it cannot take.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("dragonfork-cluster-").tempdir().expect("it can be made").keep();
        // The pipe ends with this program. Programs that die with it may still write for a moment.
        #[expect(clippy::zombie_processes, reason = "it outlives this program")]
        let mut shell = Command::new("sh")
            .args(["-c", r#"cat; until rm -rf "$1"; do sleep 0.1; done"#, "sh"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        std::mem::forget(shell.stdin.take());
        folder
    })
}

/// Starts a program that the kernel kills when this one is gone. Its output goes to `<name>.log` in the folder.
pub fn start(name: &'static str, mut command: Command, folder: &Path) -> Child {
    type Job = Box<dyn FnOnce() + Send>;
    // The kernel means the thread that has forked, so it is one that lives as long as the program.
    static SPAWNER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::spawn(move || queue.iter().for_each(|job| job()));
        jobs
    });
    let parent = getpid();
    let with_parent = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may be gone since before the kernel was asked.
        if getppid() == Some(parent) { Ok(()) } else { Err(std::io::ErrorKind::NotConnected.into()) }
    };
    // SAFETY: between fork and exec it only makes system calls, and allocates nothing.
    unsafe { command.pre_exec(with_parent) };
    let folder = folder.to_owned();
    let (give, take) = mpsc::channel();
    SPAWNER
        .send(Box::new(move || give.send(Child::start(name, &mut command, &folder)).expect("it is awaited")))
        .expect("the thread takes jobs for ever");
    take.recv().unwrap_or_else(|_| panic!("{name} cannot be started"))
}
