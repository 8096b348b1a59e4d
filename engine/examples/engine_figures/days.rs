//! What lies in memory and in blocks after days.

use watchfire_engine::{Derived, Increment, Observation, SampleBatch, SourcePosition};
use watchfire_model::histogram::HistogramParts;
use watchfire_model::{Histogram, LabelSet, Timestamp};

use crate::kit::{GAUGE, NOW, Random, label_set, latency_values, live_bytes, open};

const DAYS: i64 = 15;

/// What native histograms take, which go to blocks after a day.
fn natives_figures() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let mut random = Random(5);
    let mut counts = vec![[0u64; 24]; 20];
    let before = live_bytes();
    for hour in 0..DAYS * 24 {
        let mut batch = SampleBatch::new(Timestamp::from_millis(NOW + (hour + 1) * 3_600_000));
        for (number, counts) in (0..).zip(&mut counts) {
            let series = batch.series(GAUGE, &label_set(0, number));
            for second in (hour * 3600..(hour + 1) * 3600).step_by(15) {
                (0..60).for_each(|_| counts[(12.0 + 3.0 * random.normal()).clamp(0.0, 23.0) as usize] += 1);
                let positive: Vec<(i32, f64)> = (0..).zip(counts.iter().map(|count| *count as f64)).collect();
                let count = positive.iter().map(|(_, count)| count).sum();
                let positive = positive.into_iter().filter(|(_, count)| *count > 0.0).collect();
                let parts =
                    HistogramParts { schema: 3, count, sum: count * 1.5, positive, ..HistogramParts::default() };
                let at = Timestamp::from_millis(NOW + second * 1000);
                batch.push_native(series, at, Histogram::new(parts).expect("valid"));
            }
        }
        engine.append_samples(&batch).expect("appends");
        drop(batch);
        engine.tick(Timestamp::from_millis(NOW + (hour + 1) * 3_600_000));
        if matches!(hour + 1, 24 | 48) || hour + 1 == DAYS * 24 {
            let (days, bytes, stats) = ((hour + 1) / 24, live_bytes() - before, engine.stats());
            println!(
                "20 series of native histograms, one of 20 buckets each 15 s, {days} days: {:.2} MB in memory, {:.2} MB in \
                 blocks for {} histograms",
                bytes as f64 / 1e6,
                stats.block_bytes as f64 / 1e6,
                stats.spilled_total
            );
        }
    }
}

/// What observations take, whose minutes go to blocks after a day.
fn observed_figures() {
    let mut random = Random(5);
    let values = latency_values(100_000, &mut random);
    let mut next = values.iter().cycle();
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let labels = LabelSet::from_pairs([("__name__", "latency_ms")]).expect("valid");
    let before = live_bytes();
    for hour in 0..DAYS * 24 {
        let (first_offset, next_offset) = (hour.unsigned_abs(), hour.unsigned_abs() + 1);
        let source = SourcePosition { queue: "q".to_owned(), epoch: 1, partition: 0, first_offset, next_offset };
        let mut derived = Derived::new(source);
        for second in hour * 3600..(hour + 1) * 3600 {
            let at = Timestamp::from_millis(NOW + second * 1000);
            let values = next.by_ref().take(10);
            let observed = values.map(|value| Observation { labels: labels.clone(), at, value: *value, late: false });
            derived.observations.extend(observed);
        }
        engine.apply(&derived).expect("applies");
        drop(derived);
        let now = Timestamp::from_millis(NOW + (hour + 1) * 3_600_000);
        engine.tick(now);
        engine.sweep_all(now);
        if matches!(hour + 1, 24 | 48) || hour + 1 == DAYS * 24 {
            let (days, bytes, stats) = ((hour + 1) / 24, live_bytes() - before, engine.stats());
            println!(
                "a distribution of 10/s, {days} days: {:.3} MB in memory ({:.3} MB as told), {:.3} MB in blocks, a snapshot of {} bytes",
                bytes as f64 / 1e6,
                stats.memory_bytes as f64 / 1e6,
                stats.block_bytes as f64 / 1e6,
                stats.snapshot_bytes
            );
        }
    }
}

/// What numbers take that are days old.
pub fn ages_figures() {
    println!("## days in memory");
    natives_figures();
    observed_figures();
    let mut random = Random(5);
    for (name, per_mille) in [("each second", 1000u64), ("a second of ten", 100), ("a second of a hundred", 10)] {
        let dir = tempfile::tempdir().expect("a folder");
        let engine = open(dir.path());
        let labels = LabelSet::from_pairs([("__name__", "events_total")]).expect("valid");
        let before = live_bytes();
        for hour in 0..DAYS * 24 {
            let queue = "q".to_owned();
            let offsets = hour.unsigned_abs();
            let (first_offset, next_offset) = (offsets, offsets + 1);
            let source = SourcePosition { queue, epoch: 1, partition: 0, first_offset, next_offset };
            let mut derived = Derived::new(source);
            for second in hour * 3600..(hour + 1) * 3600 {
                if random.next() % 1000 < per_mille {
                    let (at, count) = (Timestamp::from_millis(NOW + second * 1000), (1 + random.next() % 20) as f64);
                    derived.increments.push(Increment { labels: labels.clone(), at, count, late: false });
                }
            }
            engine.apply(&derived).expect("applies");
            drop(derived);
            engine.tick(Timestamp::from_millis(NOW + (hour + 1) * 3_600_000));
            if matches!(hour + 1, 24 | 48) || hour + 1 == DAYS * 24 {
                let (days, bytes, stats) = ((hour + 1) / 24, live_bytes() - before, engine.stats());
                println!(
                    "a counter with events in {name}, {days} days: {:.3} MB in memory, {:.3} MB in blocks, a snapshot of {} bytes",
                    bytes as f64 / 1e6,
                    stats.block_bytes as f64 / 1e6,
                    stats.snapshot_bytes
                );
            }
        }
    }
}
