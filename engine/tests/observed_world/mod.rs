//! Observations of days in an engine, and everything that can be asked of them.

#[path = "../days/mod.rs"]
mod days;

use watchfire_engine::{Backfill, DistributionWindow, Engine, Observation, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::{LabelSet, Matcher, Timestamp};

pub use days::*;

/// Series of the metric; the last one only ever observes live.
pub const SERIES: u64 = 4;
/// Which seconds are open, and how long they and tens are still there after a start, depends on what was replayed.
pub const SWEEPS: bool = true;

pub fn labels(number: u64) -> LabelSet {
    LabelSet::from_pairs([("__name__", "latency_ms"), ("n", &*number.to_string())]).expect("valid")
}

/// What a series observes at a time: eighths, whose sums are exact in whatever order, and tenths, of which no binary number is
/// one.
pub fn value(number: u64, time: i64) -> f64 {
    let mixed = (time as u64 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let some = 1 + mixed % [9000, 700, 100, 3000][number as usize % 4];
    some as f64 / if number == SERIES - 1 { 10.0 } else { 8.0 }
}

/// Times at which a series observes in `from..to`: often, each minute, seldom.
pub fn times(number: u64, from: i64, to: i64) -> impl Iterator<Item = i64> {
    let step = [7_000, MINUTE_MS, 41 * MINUTE_MS, 11_000][number as usize % 4];
    (from.div_euclid(step)..to.div_euclid(step)).map(move |at| (at + 1) * step)
}

pub fn observations(number: u64, times: impl Iterator<Item = i64>, late: bool) -> Vec<Observation> {
    times.map(|time| Observation { labels: labels(number), at: at(time), value: value(number, time), late }).collect()
}

/// Lets the hours go by with observations in them.
pub fn live(engine: &Engine, hours: std::ops::Range<i64>) {
    for hour in hours {
        let (from, to) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
        apply(engine, |derived| {
            let all = (0..SERIES).flat_map(|number| observations(number, times(number, from, to), false));
            derived.observations = all.collect();
        });
        engine.tick(at(to));
        engine.sweep_all(at(to));
    }
}

/// Observations that came late.
pub fn late(engine: &Engine, number: u64, times: impl Iterator<Item = i64>) {
    apply(engine, |derived| derived.observations = observations(number, times, true));
}

/// Observations that are pushed with times of their own, into the past of the live ones.
pub fn push(engine: &Engine, now: i64, number: u64, times: impl Iterator<Item = i64>) {
    let mut batch = SampleBatch::new(at(now));
    let series = batch.series(SeriesKind::Distribution, &labels(number));
    times.for_each(|time| batch.push(series, at(time), value(number, time)));
    assert_eq!(engine.append_samples(&batch).expect("appends").rejected, []);
}

/// Fills whole hours of the metric.
pub fn fill(engine: &Engine, number: u64, hours: std::ops::Range<i64>, times: impl Iterator<Item = i64>) {
    let backfill = Backfill {
        metric: "latency_ms".into(),
        range: TimeRange { start: at(hours.start * HOUR_MS), end: at(hours.end * HOUR_MS) },
        increments: Vec::new(),
        observations: observations(number, times, true),
        max_series: None,
    };
    assert_eq!(engine.backfill(&backfill).expect("fills").rejected, []);
}

/// All of a window. Of sums of eighths and tenths, that many fortieths.
fn shown(window: Option<DistributionWindow>) -> String {
    let Some(window) = window else { return "nothing".to_owned() };
    let buckets: Vec<(u64, u64)> = window.buckets().map(|(end, count)| (end.to_bits(), count)).collect();
    let (count, sum) = (window.count(), (window.sum() * 40.0).round());
    let (min, max) = (window.min().map(f64::to_bits), window.max().map(f64::to_bits));
    format!("{count} of {sum}, {min:?} to {max:?}, {buckets:?}")
}

/// Everything that an engine says about one window.
pub fn told(engine: &Engine, start: i64, end: i64) -> Vec<String> {
    let range = TimeRange { start: at(start), end: at(end) };
    let mut all = Vec::new();
    let name = [Matcher::equal("__name__", "latency_ms")];
    for (layers, views) in [("all", engine.select(&name, range)), ("live", engine.select_live(&name, range))] {
        for view in views.expect("selects") {
            let mut times = Vec::new();
            view.observed_times(range.start, range.end, &mut times);
            let times: Vec<i64> = times.into_iter().map(Timestamp::millis).collect();
            let (window, running) = (view.histogram(range.start, range.end), view.running(range.end));
            let (observed, labels) = (view.observed(), view.labels());
            all.push(format!(
                "{layers} {labels:?}: window {} running {} observed {observed:?} at {times:?}",
                shown(window),
                shown(running)
            ));
        }
    }
    all.sort();
    all
}
