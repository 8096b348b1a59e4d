//! Samples taken by remote-write: CPU, memory, disk; what a kill leaves, how long a start takes then until it is ready, and until a
//! query over all samples is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use watchfire_test_support::fleet::METRICS;

use crate::load::Load;
use crate::peer::PROGRAMS;

/// How long a program may tidy up after the last request before its CPU, memory and disk are read.
const SETTLE: Duration = Duration::from_secs(10);

/// Starts of which the median is told: one waits for a disk that others write to, and the next does not.
const STARTS: usize = 5;

/// How much is sent.
pub struct Shape {
    /// Series that live at the same time.
    pub series: usize,
    /// Points in time at which each of them has a sample.
    pub samples: usize,
    /// Samples of a series until a new one takes its place.
    pub lifetime: usize,
}

/// Sends the same to all of them, one after the other.
pub fn run(shape: &Shape) {
    println!("{} series at a time, {} samples, {} of each series", shape.series, shape.samples, shape.lifetime);
    println!(
        "{:>52} {:>8} {:>10} {:>9} {:>10} {:>10} {:>10} {:>10}",
        "", "wall s", "CPU s/M", "RSS MiB", "B/sample", "ready s", "answered s", "kept %"
    );
    let count_all = METRICS.map(|metric| format!("sum(count_over_time({metric}[2h]))")).join(" + ");
    for program in PROGRAMS {
        let Some(mut peer) = program.start() else { continue };
        let load = Arc::new(Load::churning(shape.series, shape.samples, shape.lifetime));
        let (begun, before) = (Instant::now(), peer.cpu());
        load.send(&peer);
        let wall = begun.elapsed();
        // What is lost when it is killed now is lost for good; a copy of the run tells it below.
        std::thread::sleep(SETTLE);
        let million = load.total() as f64 / 1e6;
        let cpu = (peer.cpu() - before).as_secs_f64() / million;
        let (memory, disk) = (peer.memory_mib(), peer.disk_bytes() as f64 / load.total() as f64);
        let (ready, answered) = peer.kill_and_restart_often(STARTS, &count_all, load.total() as f64);
        drop(peer);

        let Some(mut peer) = program.start() else { continue };
        let load = Arc::new(Load::new(shape.series, 8));
        load.send(&peer);
        peer.kill_and_restart();
        let kept = peer.value(&count_all) / load.total() as f64;
        println!(
            "{:>52} {:>8.1} {:>10.3} {:>9.0} {:>10.2} {:>10.2} {:>10.2} {:>10.1}",
            program.name,
            wall.as_secs_f64(),
            cpu,
            memory,
            disk,
            ready.as_secs_f64(),
            answered.as_secs_f64(),
            100.0 * kept
        );
    }
}
