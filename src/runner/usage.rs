//! What a child uses, as the kernel counts it.

use std::time::{Duration, Instant};

use crate::process::Usage;

/// Looks at one child every now and then.
#[derive(Debug)]
pub struct Sampler {
    pid: u32,
    last: Option<(Instant, Duration)>,
}

impl Sampler {
    /// Between two looks.
    pub const INTERVAL: Duration = Duration::from_secs(1);

    /// For the child with this process id.
    pub fn new(pid: u32) -> Self {
        Self { pid, last: None }
    }

    /// What it uses now; `None` where it is gone.
    pub fn sample(&mut self) -> Option<Usage> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let now = Instant::now();
        let (cpu, memory_bytes) = read(&stat)?;
        let cpu_percent = self.last.replace((now, cpu)).and_then(|(at, before)| {
            let passed = now.duration_since(at).as_secs_f64();
            (passed > 0.0).then(|| cpu.saturating_sub(before).as_secs_f64() / passed * 100.0)
        });
        Some(Usage { cpu_percent, memory_bytes })
    }
}

/// CPU time and resident bytes of a line of `/proc/<pid>/stat` (proc_pid_stat(5)).
fn read(stat: &str) -> Option<(Duration, u64)> {
    // The name of the program may hold anything; the fields behind it count from the third on.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)? + field(15)?;
    // SAFETY: it reads constants of the system.
    let (per_second, page) = unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
    let (per_second, page) = (u32::try_from(per_second).ok()?, u64::try_from(page).ok()?);
    Some((Duration::from_secs(1) * u32::try_from(ticks).ok()? / per_second, field(24)? * page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_no_field() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 93 0 0 0 150 50 0 0 20 0 1 0 12345 2568192 10 184467";
        let (cpu, memory) = read(stat).expect("it is read");
        assert_eq!((cpu, memory % 10), (Duration::from_secs(2), 0));
        assert!(memory >= 10 * 4096);
        assert_eq!(read("7 (a) S 1"), None);
    }
}
