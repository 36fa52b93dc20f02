//! What a process may use, and whether it uses more.

use std::time::{Duration, Instant};

use super::Cause;

/// What FFmpeg uses at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time over wall-clock time since the last look, in percent of one core: two busy cores are 200. `None` at the
    /// first look.
    pub cpu_percent: Option<f64>,
    /// Memory that is resident (RSS), in bytes.
    pub memory_bytes: u64,
}

/// What FFmpeg may use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Percent of one core; `None` is without limit.
    pub cpu_percent: Option<f64>,
    /// Resident bytes; `None` is without limit.
    pub memory_bytes: Option<u64>,
    /// It may use more for so long.
    pub wait: Duration,
}

/// Since when more is used than is allowed.
#[derive(Debug, Default)]
pub struct Excess {
    cpu: Option<Instant>,
    memory: Option<Instant>,
}

impl Excess {
    /// Takes what is used now. What is to be said where it was too much for too long.
    pub fn judge(&mut self, now: Instant, limits: &Limits, usage: &Usage) -> Option<(Cause, String)> {
        let wait = limits.wait;
        let lasts = |since: &mut Option<Instant>, is_over: bool| {
            *since = is_over.then(|| since.unwrap_or(now));
            since.is_some_and(|since| now.duration_since(since) >= wait)
        };
        let cpu = limits.cpu_percent.zip(usage.cpu_percent).filter(|(limit, used)| used > limit);
        let memory = limits.memory_bytes.filter(|limit| usage.memory_bytes > *limit);
        let (cpu_lasts, memory_lasts) =
            (lasts(&mut self.cpu, cpu.is_some()), lasts(&mut self.memory, memory.is_some()));
        if let (Some((limit, used)), true) = (cpu, cpu_lasts) {
            let message = format!("it used {used:.0} % of a core, and spec.limits.cpuPercent allows {limit:.0} %");
            return Some((Cause::CpuLimit, message));
        }
        let (Some(limit), true) = (memory, memory_lasts) else { return None };
        let (used, limit) = (usage.memory_bytes >> 20, limit >> 20);
        Some((
            Cause::MemoryLimit,
            format!("it used {used} MiB of memory, and spec.limits.memoryMiB allows {limit} MiB"),
        ))
    }
}
