//! What the system tells of a process.

use std::time::Duration;

/// CPU time of a process so far, user and system, to the nanosecond.
pub fn cpu(pid: u32) -> Duration {
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls write a whole value of their type to the pointer.
    let known = unsafe {
        libc::clock_getcpuclockid(pid.cast_signed(), &mut clock) == 0 && libc::clock_gettime(clock, &mut time) == 0
    };
    assert!(known, "the process runs");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// A line of /proc/PID/status (`VmRSS`, `VmHWM`), in MiB.
pub fn memory_mib(pid: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
