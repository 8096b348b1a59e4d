//! What lies in memory and in blocks after days.

use std::ops::Range;

use watchfire_engine::{Derived, Engine, Increment, Observation, SampleBatch, SourcePosition};
use watchfire_model::histogram::HistogramParts;
use watchfire_model::{Histogram, LabelSet, Timestamp};

use crate::kit::{GAUGE, NOW, Random, label_set, latency_values, live_bytes, open};

const DAYS: i64 = 15;

/// What numbers take that are days old.
pub fn ages_figures() {
    println!("## days in memory");
    natives_figures();
    observed_figures();
    counted_figures();
}

fn at_second(second: i64) -> Timestamp {
    Timestamp::from_millis(NOW + second * 1000)
}

/// Gives an engine all hours, by the seconds of each, and tells what they take after one, two and all days.
fn live(what: &str, mut an_hour: impl FnMut(&Engine, Range<i64>)) {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let before = live_bytes();
    for hour in 0..DAYS * 24 {
        let seconds = hour * 3600..(hour + 1) * 3600;
        let now = at_second(seconds.end);
        an_hour(&engine, seconds);
        engine.tick(now);
        engine.sweep_all(now);
        if matches!(hour + 1, 24 | 48) || hour + 1 == DAYS * 24 {
            let (days, bytes, stats) = ((hour + 1) / 24, live_bytes() - before, engine.stats());
            println!(
                "{what}, {days} days: {:.3} MB in memory ({:.3} MB as told), {:.3} MB in blocks, of {} that went there, a snapshot \
                 of {} bytes",
                bytes as f64 / 1e6,
                stats.memory_bytes as f64 / 1e6,
                stats.block_bytes as f64 / 1e6,
                stats.spilled_total,
                stats.snapshot_bytes
            );
        }
    }
}

/// The same of what comes from logs.
fn live_derived(what: &str, mut fill: impl FnMut(Range<i64>, &mut Derived)) {
    let mut offset = 0;
    live(what, |engine, seconds| {
        let (queue, first_offset) = ("q".to_owned(), offset);
        offset += 1;
        let source = SourcePosition { queue, epoch: 1, partition: 0, first_offset, next_offset: offset };
        let mut derived = Derived::new(source);
        fill(seconds, &mut derived);
        engine.apply(&derived).expect("applies");
    });
}

/// What native histograms take.
fn natives_figures() {
    let mut random = Random(5);
    let mut counts = vec![[0u64; 24]; 20];
    live("20 series of native histograms, one of 20 buckets each 15 s", |engine, seconds| {
        let mut batch = SampleBatch::new(at_second(seconds.end));
        for (number, counts) in (0..).zip(&mut counts) {
            let series = batch.series(GAUGE, &label_set(0, number));
            for second in seconds.clone().step_by(15) {
                (0..60).for_each(|_| counts[(12.0 + 3.0 * random.normal()).clamp(0.0, 23.0) as usize] += 1);
                let positive: Vec<(i32, f64)> = (0..).zip(counts.iter().map(|count| *count as f64)).collect();
                let count = positive.iter().map(|(_, count)| count).sum();
                let positive = positive.into_iter().filter(|(_, count)| *count > 0.0).collect();
                let parts =
                    HistogramParts { schema: 3, count, sum: count * 1.5, positive, ..HistogramParts::default() };
                batch.push_native(series, at_second(second), Histogram::new(parts).expect("valid"));
            }
        }
        engine.append_samples(&batch).expect("appends");
    });
}

/// What observations take.
fn observed_figures() {
    let values = latency_values(100_000, &mut Random(5));
    let mut next = values.iter().cycle();
    let labels = LabelSet::from_pairs([("__name__", "latency_ms")]).expect("valid");
    live_derived("a distribution of 10/s", |seconds, derived| {
        for at in seconds.map(at_second) {
            let values = next.by_ref().take(10);
            let observed = values.map(|value| Observation { labels: labels.clone(), at, value: *value, late: false });
            derived.observations.extend(observed);
        }
    });
}

/// What counts take.
fn counted_figures() {
    let mut random = Random(5);
    let labels = LabelSet::from_pairs([("__name__", "events_total")]).expect("valid");
    for (name, per_mille) in [("each second", 1000u64), ("a second of ten", 100), ("a second of a hundred", 10)] {
        live_derived(&format!("a counter with events in {name}"), |seconds, derived| {
            for at in seconds.map(at_second) {
                if random.next() % 1000 < per_mille {
                    let count = (1 + random.next() % 20) as f64;
                    derived.increments.push(Increment { labels: labels.clone(), at, count, late: false });
                }
            }
        });
    }
}
