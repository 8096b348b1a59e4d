//! Counts of days in an engine, and everything that can be asked of them.

#[path = "../days/mod.rs"]
mod days;

use watchfire_engine::{Backfill, Engine, Increment, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::{LabelSet, Matcher};

pub use days::*;

/// Series of the metric; the last one only ever counts live.
pub const SERIES: u64 = 4;
/// Seconds are the same whether they were replayed or not.
pub const SWEEPS: bool = false;

pub fn labels(number: u64) -> LabelSet {
    LabelSet::from_pairs([("__name__", "events_total"), ("n", &*number.to_string())]).expect("valid")
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

pub fn increments(number: u64, times: impl Iterator<Item = i64>, late: bool) -> Vec<Increment> {
    times.map(|time| Increment { labels: labels(number), at: at(time), count: count(number, time), late }).collect()
}

/// Lets the hours go by with counts in them.
pub fn live(engine: &Engine, hours: std::ops::Range<i64>) {
    for hour in hours {
        let (from, to) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
        apply(engine, |derived| {
            let all = (0..SERIES).flat_map(|number| increments(number, times(number, from, to), false));
            derived.increments = all.collect();
        });
        engine.tick(at(to));
        engine.sweep_all(at(to));
    }
}

/// Counts that came late.
pub fn late(engine: &Engine, number: u64, times: impl Iterator<Item = i64>) {
    apply(engine, |derived| derived.increments = increments(number, times, true));
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
