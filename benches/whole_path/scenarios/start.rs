//! An empty server: time until it is ready, memory when it does nothing.

use std::time::Duration;

use crate::Options;

/// Starts five servers one after another; the memory is read after ten seconds of the last.
pub fn run(_: &Options) {
    let mut starts: Vec<f64> = (0..5).map(|_| crate::start("").start_time.as_secs_f64() * 1e3).collect();
    let server = crate::start("");
    std::thread::sleep(Duration::from_secs(10));
    println!(
        "start {:.0} ms (median of {}), idle RSS {:.1} MiB, idle CPU {:.2} s in 10 s",
        crate::percentile(&mut starts, 0.5),
        starts.len(),
        server.memory_mib("VmRSS"),
        server.cpu().as_secs_f64()
    );
}
