//! An engine whose samples leave memory after hours, and what is asked of it.

use std::path::{Path, PathBuf};

use watchfire_engine::{Engine, EngineConfig, MetricType, RecoveryReport, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::{LabelSet, Matcher, Timestamp};

pub const START: i64 = 1_700_000_000_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;
pub const RETENTION_MS: i64 = 6 * DAY_MS;
pub const SERIES: u64 = 5;

pub fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(START + offset_ms)
}

pub fn labels(number: u64) -> LabelSet {
    LabelSet::from_pairs([("__name__", "m"), ("n", &*number.to_string())]).expect("valid")
}

pub fn config(dir: &Path) -> EngineConfig {
    EngineConfig {
        shards: 2,
        memory_ms: 8 * HOUR_MS,
        retention_ms: RETENTION_MS,
        segment_bytes: 100_000,
        ..EngineConfig::new(dir)
    }
}

pub fn open(dir: &Path, now: i64) -> (Engine, RecoveryReport) {
    Engine::open(config(dir), at(now)).expect("opens")
}

/// Each series has a sample a minute in `from..to`.
pub fn append(engine: &Engine, from: i64, to: i64) {
    let mut batch = SampleBatch::new(at(to));
    for number in 0..SERIES {
        let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels(number));
        (from..to).step_by(60_000).for_each(|time| batch.push(series, at(time), value(number, time)));
    }
    assert_eq!(engine.append_samples(&batch).expect("appends").rejected, []);
}

pub fn value(number: u64, time: i64) -> f64 {
    (time / 1000) as f64 + number as f64 / 8.0
}

pub fn read(engine: &Engine, number: u64, from: i64, to: i64) -> Vec<(i64, u64)> {
    let range = TimeRange { start: at(from), end: at(to) };
    let found = engine.select(&[Matcher::equal("n", number.to_string())], range).expect("selects");
    let mut samples = Vec::new();
    if let Some(view) = found.first() {
        view.samples(range.start, range.end, &mut samples);
    }
    samples.iter().map(|sample| (sample.timestamp.millis() - START, sample.value.to_bits())).collect()
}

pub fn block_files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).expect("the folder").map(|file| file.expect("readable").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "blk")).collect();
    files.sort();
    files
}

/// Lets the hours go by with samples in them.
pub fn live(engine: &Engine, hours: std::ops::Range<i64>) {
    for hour in hours {
        append(engine, hour * HOUR_MS, (hour + 1) * HOUR_MS);
        engine.tick(at((hour + 1) * HOUR_MS));
    }
}
