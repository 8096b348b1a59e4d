//! An engine whose samples leave memory after hours, and what is asked of it.

use std::path::{Path, PathBuf};

use watchfire_engine::{Engine, EngineConfig, MetricType, RecoveryReport, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::histogram::HistogramParts;
use watchfire_model::{Histogram, LabelSet, Matcher, ResetHint, Sample, Timestamp};

pub const START: i64 = 1_700_000_000_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;
pub const RETENTION_MS: i64 = 6 * DAY_MS;
/// Series of floats.
pub const SERIES: u64 = 5;
/// A series of native histograms.
pub const NATIVE: u64 = SERIES;
/// One that has floats in one hour, and histograms in the next.
pub const MIXED: u64 = SERIES + 1;
/// How many series there are in all.
pub const ALL: u64 = SERIES + 2;
/// So far a sample may be behind the newest one of its series.
pub const LATE_MS: i64 = 2 * DAY_MS;

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
        out_of_order_ms: LATE_MS,
        ..EngineConfig::new(dir)
    }
}

pub fn open(dir: &Path, now: i64) -> (Engine, RecoveryReport) {
    Engine::open(config(dir), at(now)).expect("opens")
}

/// Each series has a sample a minute in `from..to`.
pub fn append(engine: &Engine, from: i64, to: i64) {
    let mut batch = SampleBatch::new(at(to));
    for number in 0..ALL {
        let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels(number));
        for time in (from..to).step_by(60_000) {
            if is_native(number, time) {
                batch.push_native(series, at(time), histogram(value(number, time)));
            } else {
                batch.push(series, at(time), value(number, time));
            }
        }
    }
    assert_eq!(engine.append_samples(&batch).expect("appends").rejected, []);
}

/// Whether a series has a histogram at this time, and no float.
pub fn is_native(number: u64, time: i64) -> bool {
    number == NATIVE || number == MIXED && time.div_euclid(HOUR_MS) % 2 == 0
}

/// A float, or how many observations a histogram has; those begin anew every 100 minutes.
pub fn value(number: u64, time: i64) -> f64 {
    if is_native(number, time) {
        (time.rem_euclid(6_000_000) / 1000) as f64
    } else {
        (time / 1000) as f64 + number as f64 / 8.0
    }
}

/// A histogram of so many observations, and more buckets the more there are.
pub fn histogram(count: f64) -> Histogram {
    let buckets = (count / 1000.0) as i32 + 1;
    let positive = (0..buckets).map(|place| (place * 2, if place == 0 { count } else { 0.5 })).collect();
    let count = count + f64::from(buckets - 1) * 0.5;
    let parts = HistogramParts { schema: 3, count, sum: 3.0 * count, positive, ..HistogramParts::default() };
    Histogram::new(parts).expect("valid")
}

/// What a histogram holds, as one number.
pub fn told(histogram: &Histogram) -> u64 {
    histogram.positive().first().map_or(0.0, |(_, count)| *count).to_bits()
}

fn read_both(engine: &Engine, number: u64, from: i64, to: i64) -> (Vec<Sample>, Vec<(Timestamp, Histogram)>) {
    let range = TimeRange { start: at(from), end: at(to) };
    let found = engine.select(&[Matcher::equal("n", number.to_string())], range).expect("selects");
    let (mut samples, mut natives) = (Vec::new(), Vec::new());
    if let Some(view) = found.first() {
        view.samples_and_natives(range.start, range.end, &mut samples, &mut natives);
        let mut alone = Vec::new();
        view.samples(range.start, range.end, &mut alone);
        assert_eq!(alone, samples);
        assert_eq!(view.has_natives(range.start, range.end), !natives.is_empty());
    }
    (samples, natives)
}

/// The floats of a series: times and bits.
pub fn read(engine: &Engine, number: u64, from: i64, to: i64) -> Vec<(i64, u64)> {
    let (samples, _) = read_both(engine, number, from, to);
    samples.iter().map(|sample| (sample.timestamp.millis() - START, sample.value.to_bits())).collect()
}

/// Its histograms: times, and what [`told`] says. Where one is said to continue the one before, it does.
pub fn read_natives(engine: &Engine, number: u64, from: i64, to: i64) -> Vec<(i64, u64)> {
    let (_, natives) = read_both(engine, number, from, to);
    for pair in natives.windows(2) {
        let [(_, before), (time, next)] = pair else { continue };
        let mut said = next.clone();
        said.set_hint(ResetHint::Unknown);
        assert!(
            next.hint() != ResetHint::NotReset || !said.is_reset_after(before),
            "{time:?}: {before:?} then {next:?}"
        );
    }
    natives.iter().map(|(time, histogram)| (time.millis() - START, told(histogram))).collect()
}

/// What a series has by [`append`] in `from..to`: floats, and histograms.
pub fn appended(number: u64, from: i64, to: i64) -> [Vec<(i64, u64)>; 2] {
    let (natives, floats): (Vec<i64>, Vec<i64>) = (from..to).step_by(60_000).partition(|time| is_native(number, *time));
    [floats, natives].map(|times| times.iter().map(|time| (*time, value(number, *time).to_bits())).collect())
}

/// What a series has: floats, and histograms.
pub fn held(engine: &Engine, number: u64, from: i64, to: i64) -> [Vec<(i64, u64)>; 2] {
    [read(engine, number, from, to), read_natives(engine, number, from, to)]
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
