//! What all figures are taken with: counted memory, CPU time, numbers by chance, label sets, an engine.

#[path = "../counting/mod.rs"]
mod counting;

use std::path::Path;

use watchfire_engine::{Engine, EngineConfig, MetricType, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};

pub use counting::live_bytes;

/// When everything begins, milliseconds.
pub const NOW: i64 = 1_700_000_000_000;
pub const GAUGE: SeriesKind = SeriesKind::Samples(MetricType::Gauge);

/// CPU seconds of this process so far.
pub fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Memory that the process has, bytes.
pub fn rss_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Runs the work and gives CPU seconds, smallest of some runs.
pub fn timed(runs: usize, mut work: impl FnMut()) -> f64 {
    (0..runs)
        .map(|_| {
            let start = cpu_seconds();
            work();
            cpu_seconds() - start
        })
        .fold(f64::MAX, f64::min)
}

/// Numbers by chance, the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Durations in milliseconds, as requests take them.
pub fn latency_values(count: usize, random: &mut Random) -> Vec<f64> {
    (0..count).map(|_| ((3.0 + random.normal()).exp() * 1000.0).round() / 1000.0).collect()
}

/// One of many label sets of ten labels.
pub fn label_set(metric: u64, number: u64) -> LabelSet {
    LabelSet::from_pairs([
        ("__name__".to_owned(), format!("http_requests_total_{metric}")),
        ("instance".to_owned(), format!("10.0.{}.{}:9100", number / 250 % 250, number % 250)),
        ("job".to_owned(), format!("job-{}", number % 20)),
        ("pod".to_owned(), format!("checkout-7c9f8b6d5-{number:08x}")),
        ("namespace".to_owned(), format!("team-{}", number % 40)),
        ("cluster".to_owned(), "eu-west-1".to_owned()),
        ("method".to_owned(), ["GET", "POST", "PUT"][(number % 3) as usize].to_owned()),
        ("status".to_owned(), ["200", "404", "500", "503"][(number % 4) as usize].to_owned()),
        ("zone".to_owned(), format!("zone-{}", number % 3)),
        ("version".to_owned(), format!("1.{}.0", number % 10)),
    ])
    .expect("valid labels")
}

/// An engine that never runs out of memory.
pub fn open(dir: &Path) -> Engine {
    let config = EngineConfig { max_series: 4_000_000, memory_limit_bytes: 8 << 30, ..EngineConfig::new(dir) };
    Engine::open(config, Timestamp::from_millis(NOW)).expect("opens").0
}
