//! How long an engine with a day of a thousand distributions takes to open:
//! `cargo run --release -p watchfire-engine --example restart [FOLDER]`.
//!
//! Without a folder (of a stopped engine; it is copied) a day is made: 10 M observations of 1,200 series, poured in as
//! late ones, with a counter beside them. It dies just before its last snapshot is whole: what the log has grown by since
//! the one before is all of its limit, which is the most that a start may find.

use std::path::{Path, PathBuf};
use std::time::Instant;

use watchfire_engine::{Derived, Engine, EngineConfig, Increment, Observation, SourcePosition, TimeRange};
use watchfire_model::{LabelSet, MatchOp, Matcher, Timestamp};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NOW: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;
const OBSERVATIONS: u64 = 10_000_000;
const SERIES: u64 = 1200;
const PER_BATCH: u64 = 3000;
const TICK_MS: i64 = 625;

fn main() {
    let place = tempfile::tempdir().expect("a folder");
    let dir = place.path().join("engine");
    std::fs::create_dir(&dir).expect("the folder can be written");
    match std::env::args().nth(1) {
        Some(folder) => copy(&PathBuf::from(folder), &dir),
        None => {
            make_a_day(&dir);
            remove_last_snapshot(&dir);
        }
    }
    for file in std::fs::read_dir(&dir).expect("reads").flatten() {
        println!("{:>12} {}", file.metadata().map_or(0, |of| of.len()), file.file_name().display());
    }
    for _ in 0..3 {
        open_and_read(&dir);
    }
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).expect("the folder can be read").flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).expect("copies");
    }
}

fn make_a_day(dir: &Path) {
    let start = Timestamp::from_millis(NOW - DAY_MS);
    let engine = Engine::open(EngineConfig::new(dir), Timestamp::from_millis(NOW)).expect("opens").0;
    let series: Vec<(LabelSet, LabelSet)> = (0..SERIES)
        .map(|number| {
            let of = |metric: &str| {
                let pairs = [("__name__", metric), ("endpoint", &*format!("/v1/things/{number}")), ("service", "api")];
                LabelSet::from_pairs(pairs).expect("valid")
            };
            (of("latency_ms"), of("requests_total"))
        })
        .collect();
    let (mut random, mut now) = (7u64, Timestamp::from_millis(NOW));
    for first_offset in (0..OBSERVATIONS).step_by(PER_BATCH as usize) {
        let next_offset = (first_offset + PER_BATCH).min(OBSERVATIONS);
        let source = SourcePosition { queue: "logs".into(), epoch: 1, partition: 0, first_offset, next_offset };
        let mut derived = Derived::new(source);
        for number in first_offset..next_offset {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (latency, requests) = &series[(random >> 33) as usize % series.len()];
            let at = start.plus_millis((number * DAY_MS as u64 / OBSERVATIONS) as i64);
            let value = ((random >> 40) % 10_000) as f64 / 10.0;
            derived.observations.push(Observation { labels: latency.clone(), at, value, late: true });
            if number % 4 == 0 {
                derived.increments.push(Increment { labels: requests.clone(), at, count: 1.0, late: true });
            }
        }
        engine.apply(&derived).expect("applies");
        if (first_offset / PER_BATCH).is_multiple_of(20) {
            // Fast enough that each shard is swept some times, as in the minute and more that this takes a server.
            now = now.plus_millis(TICK_MS);
            engine.tick(now);
        }
    }
    engine.sync().expect("syncs");
    println!(
        "made: {:.1} MB of numbers accounted; resident {} now, {} at most",
        engine.stats().memory_bytes as f64 / 1e6,
        of_status("VmRSS"),
        of_status("VmHWM")
    );
}

fn remove_last_snapshot(dir: &Path) {
    let files = std::fs::read_dir(dir).expect("reads").flatten().map(|file| file.path());
    let mut snapshots: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|of| of == "snap")).collect();
    snapshots.sort();
    if snapshots.len() > 1 {
        std::fs::remove_file(&snapshots[snapshots.len() - 1]).expect("removes");
    }
}

/// A figure of this process, as the system tells it.
fn of_status(name: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn open_and_read(dir: &Path) {
    let begun = Instant::now();
    let (engine, report) = Engine::open(EngineConfig::new(dir), Timestamp::from_millis(NOW)).expect("opens");
    let opened = begun.elapsed();
    let begun = Instant::now();
    let any = Matcher::new("__name__", MatchOp::Regex, ".+").expect("valid");
    let range = TimeRange { start: Timestamp::from_millis(0), end: Timestamp::from_millis(i64::MAX / 2) };
    let views = engine.select(&[any], range).expect("selects");
    let observed: u64 = views.iter().filter_map(|view| view.histogram(range.start, range.end)).map(|w| w.count()).sum();
    println!(
        "opened in {:.0} ms ({} series, {} records, {} points); all series read first in {:.0} ms: {observed} observations",
        opened.as_secs_f64() * 1e3,
        report.series,
        report.records,
        report.points,
        begun.elapsed().as_secs_f64() * 1e3,
    );
}
