//! What the machine is, and what its processes have used.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::parameters::QUIET;

/// What the figures were measured on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Cores that this program may use.
    pub cores: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Cores that others used while this ran, as a mean: 1.0 is a whole core.
    pub others: f64,
    /// Cores that the hypervisor gave to somebody else, as a mean.
    pub stolen: f64,
}

impl Machine {
    /// Whether others used so much that the figures are worth little.
    pub fn is_busy(&self) -> bool {
        self.others + self.stolen > QUIET
    }
}

/// Where the whole machine's CPU time stands.
pub struct Watch {
    begin: std::time::Instant,
    busy: Duration,
    stolen: Duration,
    own: Duration,
}

impl Watch {
    /// Begins.
    pub fn start() -> Result<Self> {
        let (busy, stolen) = whole()?;
        Ok(Self { begin: std::time::Instant::now(), busy, stolen, own: own()? })
    }

    /// The machine, and what others did on it since the beginning. Every child must have ended.
    pub fn machine(&self) -> Result<Machine> {
        let (busy, stolen) = whole()?;
        let passed = self.begin.elapsed().as_secs_f64();
        let others = (busy - self.busy).saturating_sub(own()? - self.own);
        let cpu = read("/proc/cpuinfo")?;
        let memory = read("/proc/meminfo")?;
        Ok(Machine {
            cpu: field(&cpu, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            memory_mib: field(&memory, "MemTotal").and_then(kilobytes).unwrap_or(0) / 1024,
            others: others.as_secs_f64() / passed,
            stolen: (stolen - self.stolen).as_secs_f64() / passed,
        })
    }
}

/// CPU time that a process has used, all its threads together, those that have ended too.
pub fn cpu(process: u32) -> Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut clock = 0;
    // SAFETY: both calls write to what they are given, which outlives them.
    let failed = unsafe {
        libc::clock_getcpuclockid(process as libc::pid_t, &raw mut clock) != 0
            || libc::clock_gettime(clock, &raw mut time) != 0
    };
    if failed {
        bail!("process {process} has no clock of its CPU time");
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Octets of memory that a process has resident.
pub fn resident(process: u32) -> Result<u64> {
    let status = read(&format!("/proc/{process}/status"))?;
    let kilobytes = field(&status, "VmRSS").and_then(kilobytes);
    Ok(kilobytes.context("a process has no resident memory")? * 1024)
}

/// Lets this process and its children open as many sockets as the system allows.
pub fn raise_limits() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls use what they are given for as long as they take. Where they fail, the limit stays, and opening
    // a socket too many says so.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Has children whose parent ends become children of this process, so that their CPU time is counted as its own: a browser
/// outlives the driver that started it.
pub fn adopt_orphans() -> Result<()> {
    // SAFETY: the call has no memory to do with.
    let done = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    if done != 0 { Err(std::io::Error::last_os_error()).context("adopt orphans") } else { Ok(()) }
}

/// Takes note of every child that has ended. Nobody else may wait for one meanwhile.
pub fn reap_orphans() {
    // SAFETY: the call may be given no place for the status.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

/// CPU time of this process and of the children that have ended.
fn own() -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for who in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        // SAFETY: the structure is plain data, and the call fills it.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            if libc::getrusage(who, &raw mut usage) != 0 {
                return Err(std::io::Error::last_os_error()).context("getrusage");
            }
            usage
        };
        for time in [usage.ru_utime, usage.ru_stime] {
            sum += Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        }
    }
    Ok(sum)
}

/// Busy and stolen time of all cores since the machine started.
fn whole() -> Result<(Duration, Duration)> {
    let stat = read("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen, ..] = ticks[..] else {
        bail!("/proc/stat says {line:?}");
    };
    // SAFETY: the call has no memory to do with.
    let second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let duration = |ticks: u64| Duration::from_secs_f64(ticks as f64 / second);
    Ok((duration(user + nice + system + interrupts + soft_interrupts), duration(stolen)))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {path}"))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn kilobytes(value: &str) -> Option<u64> {
    value.split_whitespace().next()?.parse().ok()
}
