//! Counts of days in an engine, and everything that can be asked of them.

use std::path::{Path, PathBuf};

use watchfire_engine::{
    Backfill, Derived, Engine, EngineConfig, Increment, RecoveryReport, SampleBatch, SeriesKind, SourcePosition,
    TimeRange,
};
use watchfire_model::{LabelSet, Matcher, Timestamp};

/// A whole hour, and a whole day.
pub const START: i64 = 19_700 * DAY_MS;
pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;
pub const RETENTION_MS: i64 = 6 * DAY_MS;
/// Series of the metric; the last one only ever counts live.
pub const SERIES: u64 = 4;
/// How an engine keeps its counts.
pub const BLOCKS: i64 = 8 * HOUR_MS;
pub const MEMORY: i64 = 2 * RETENTION_MS;

pub fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(START + offset_ms)
}

pub fn labels(number: u64) -> LabelSet {
    LabelSet::from_pairs([("__name__", "events_total"), ("n", &*number.to_string())]).expect("valid")
}

pub fn config(dir: &Path, memory_ms: i64) -> EngineConfig {
    EngineConfig { shards: 2, memory_ms, retention_ms: RETENTION_MS, segment_bytes: 100_000, ..EngineConfig::new(dir) }
}

pub fn open(dir: &Path, memory_ms: i64, now: i64) -> (Engine, RecoveryReport) {
    Engine::open(config(dir, memory_ms), at(now)).expect("opens")
}

/// What a series counts live at a time: whole events, eighths, and what no binary number is exactly.
pub fn count(number: u64, time: i64) -> f64 {
    let some = (time / 1000).rem_euclid(17) as f64 + 1.0;
    match number {
        0 | 1 => some,
        2 => some / 8.0,
        _ => some / 10.0,
    }
}

/// Times at which a series counts in `from..to`: often, each minute, seldom.
pub fn times(number: u64, from: i64, to: i64) -> impl Iterator<Item = i64> {
    let step = [7_000, MINUTE_MS, 41 * MINUTE_MS, 11_000][number as usize % 4];
    (from.div_euclid(step)..to.div_euclid(step)).map(move |at| (at + 1) * step)
}

/// One record of the log, the next one of the queue.
pub fn apply(engine: &Engine, increments: Vec<Increment>) {
    let first_offset = engine.applied("logs", 1, 0).unwrap_or(0);
    let queue = "logs".to_owned();
    let source = SourcePosition { queue, epoch: 1, partition: 0, first_offset, next_offset: first_offset + 1 };
    let mut derived = Derived::new(source);
    derived.increments = increments;
    assert_eq!(engine.apply(&derived).expect("applies").rejected, []);
}

pub fn increments(number: u64, times: impl Iterator<Item = i64>, late: bool) -> Vec<Increment> {
    times.map(|time| Increment { labels: labels(number), at: at(time), count: count(number, time), late }).collect()
}

/// Lets the hours go by with counts in them.
pub fn live(engine: &Engine, hours: std::ops::Range<i64>) {
    for hour in hours {
        let (from, to) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
        apply(engine, (0..SERIES).flat_map(|number| increments(number, times(number, from, to), false)).collect());
        engine.tick(at(to));
        engine.sweep_all(at(to));
    }
}

/// Counts that came late.
pub fn late(engine: &Engine, number: u64, times: impl Iterator<Item = i64>) {
    apply(engine, increments(number, times, true));
}

/// Counts that are pushed with times of their own, into the past of what counts live.
pub fn push(engine: &Engine, now: i64, number: u64, times: impl Iterator<Item = i64>) {
    let mut batch = SampleBatch::new(at(now));
    let series = batch.series(SeriesKind::Increments, &labels(number));
    times.for_each(|time| batch.push(series, at(time), count(number, time)));
    assert_eq!(engine.append_samples(&batch).expect("appends").rejected, []);
}

/// Fills whole hours of the metric.
pub fn fill(engine: &Engine, number: u64, hours: std::ops::Range<i64>, times: impl Iterator<Item = i64>) {
    let backfill = Backfill {
        metric: "events_total".into(),
        range: TimeRange { start: at(hours.start * HOUR_MS), end: at(hours.end * HOUR_MS) },
        increments: increments(number, times, true),
        observations: Vec::new(),
        max_series: None,
    };
    assert_eq!(engine.backfill(&backfill).expect("fills").rejected, []);
}

/// A number without a pattern.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64).rem_euclid(end.max(1))
    }
}

/// Everything that an engine says about one window, bit by bit.
pub fn told(engine: &Engine, start: i64, end: i64) -> Vec<String> {
    let range = TimeRange { start: at(start), end: at(end) };
    let mut all = Vec::new();
    let name = [Matcher::equal("__name__", "events_total")];
    for (layers, views) in [("all", engine.select(&name, range)), ("live", engine.select_live(&name, range))] {
        for view in views.expect("selects") {
            let (mut buckets, mut totals) = (Vec::new(), Vec::new());
            view.buckets(range.start, range.end, &mut buckets);
            view.samples(range.start, range.end, &mut totals);
            let buckets: Vec<(i64, u64)> = buckets.iter().map(|(at, count)| (at.millis(), count.to_bits())).collect();
            let totals: Vec<(i64, u64)> =
                totals.iter().map(|sample| (sample.timestamp.millis(), sample.value.to_bits())).collect();
            let total = view.total_at(range.end).map(f64::to_bits);
            let increase = view.increase(range.start, range.end);
            let bits = increase.map(f64::to_bits);
            all.push(format!(
                "{layers} {:?}: increase {increase:?} {bits:?} total {total:?} buckets {buckets:?} totals {totals:?}",
                view.labels()
            ));
        }
    }
    for counted in engine.counted("events_total", range).expect("selects") {
        all.push(format!("{counted:?}"));
    }
    all.sort();
    all
}

/// Windows of the last days.
pub fn windows(now: i64, many: usize, random: &mut Random) -> Vec<(i64, i64)> {
    let kept = now - RETENTION_MS + DAY_MS;
    (0..many)
        .map(|_| {
            let length = [1000, 61_000, 5 * MINUTE_MS, 3 * HOUR_MS, DAY_MS, 3 * DAY_MS][random.below(6) as usize];
            let end = now - random.below(RETENTION_MS - DAY_MS);
            ((end - length + random.below(3)).max(kept), end.max(kept))
        })
        .chain([(kept, now), (now - HOUR_MS, now)])
        .collect()
}

pub fn block_files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).expect("the folder").map(|file| file.expect("readable").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "blk")).collect();
    files.sort();
    files
}
