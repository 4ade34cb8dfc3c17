//! What a process has used, as the kernel counts it.

use anyhow::{Context as _, Result};

/// The kernel's unit of processor time for user space, fixed by its ABI.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time and memory.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time together.
    pub cpu_seconds: f64,
    /// The most memory that it has had resident, in MiB.
    pub peak_mib: f64,
}

impl Usage {
    /// Of a process that runs.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Self::parse(&stat, &status).with_context(|| format!("/proc/{pid} is not understood"))
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The name, in brackets, may hold anything. After it come the state and 10 fields, then both times.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: f64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(Self { cpu_seconds: ticks / TICKS_PER_SECOND, peak_mib: kib / 1024.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1 2 3";
        let usage = Usage::parse(stat, "Name:\tx\nVmHWM:\t   2048 kB\n").unwrap();
        assert!((usage.cpu_seconds - 3.0).abs() < 1e-9 && (usage.peak_mib - 2.0).abs() < 1e-9);
        assert!(Usage::of(std::process::id()).unwrap().peak_mib > 1.0);
    }
}
