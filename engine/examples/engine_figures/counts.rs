//! Counts and distributions: taking them in, asking for windows, what a day of one takes.

use watchfire_engine::{Derived, Distribution, DistributionWindow, Increment, Observation, SourcePosition, TimeRange};
use watchfire_model::{LabelSet, Matcher, Timestamp};

use crate::kit::{NOW, Random, cpu_seconds, latency_values, live_bytes, open, timed};

pub fn derived_figures() {
    println!("## derived numbers");
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let sets: Vec<LabelSet> = (0..200)
        .map(|n| {
            LabelSet::from_pairs([
                ("__name__", "log_events_total"),
                ("service", &*format!("s{}", n / 4)),
                ("level", ["info", "warn", "error", "debug"][n % 4]),
            ])
            .expect("valid")
        })
        .collect();
    let mut offset = 0;
    let source = |first: u64, next: u64| SourcePosition {
        queue: "logs".into(),
        epoch: 1,
        partition: 0,
        first_offset: first,
        next_offset: next,
    };
    let batches: Vec<Derived> = (0..500)
        .map(|round| {
            let mut derived = Derived::new(source(offset, offset + 2000));
            offset += 2000;
            for n in 0..2000usize {
                derived.increments.push(Increment {
                    labels: sets[n * 7 % 200].clone(),
                    at: Timestamp::from_millis(NOW + round * 100),
                    count: 1.0,
                    late: false,
                });
            }
            derived
        })
        .collect();
    let seconds = timed(1, || batches.iter().for_each(|derived| drop(engine.apply(derived).expect("applies"))));
    println!("apply: {:.2} M increments/s", 1.0 / seconds);
    let views = engine
        .select(
            &[Matcher::equal("__name__", "log_events_total")],
            TimeRange { start: Timestamp::from_millis(0), end: Timestamp::from_millis(2 * NOW) },
        )
        .expect("selects");
    let seconds = timed(3, || {
        for _ in 0..500 {
            for view in &views {
                std::hint::black_box(
                    view.increase(Timestamp::from_millis(NOW - 260_000), Timestamp::from_millis(NOW + 40_000)),
                );
            }
        }
    });
    println!("increase over 5 min: {:.0} ns", seconds * 1e9 / 500.0 / views.len() as f64);
    let mut random = Random(3);
    let latency = LabelSet::from_pairs([("__name__", "request_duration_ms"), ("service", "api")]).expect("valid");
    let batches: Vec<Derived> = (0..500)
        .map(|round| {
            let mut derived = Derived::new(source(offset, offset + 2000));
            offset += 2000;
            for _ in 0..2000usize {
                let value = ((3.0 + random.normal()).exp() * 1000.0).round() / 1000.0;
                derived.observations.push(Observation {
                    labels: latency.clone(),
                    at: Timestamp::from_millis(NOW + round * 100),
                    value,
                    late: false,
                });
            }
            derived
        })
        .collect();
    let seconds = timed(1, || batches.iter().for_each(|derived| drop(engine.apply(derived).expect("applies"))));
    println!("apply: {:.2} M observations/s of one series", 1.0 / seconds);
    drop(batches);

    for per_second in [10usize, 100, 1000] {
        let dir = tempfile::tempdir().expect("a folder");
        let engine = open(dir.path());
        let before = live_bytes();
        let mut observed = 0.0;
        for second in 0..86_400i64 {
            let at = Timestamp::from_millis(NOW + second * 1000);
            let mut derived = Derived::new(source(second as u64, second as u64 + 1));
            for _ in 0..per_second {
                let value = ((3.0 + random.normal()).exp() * 1000.0).round() / 1000.0;
                derived.observations.push(Observation { labels: latency.clone(), at, value, late: false });
            }
            let start = cpu_seconds();
            engine.apply(&derived).expect("applies");
            observed += cpu_seconds() - start;
            if second % 60 == 0 {
                engine.sweep_all(at);
            }
        }
        let bytes = live_bytes() - before;
        println!(
            "a day of one distribution, {per_second}/s: {:.2} MB allocated, {:.2} MB accounted, {:.0} ns an observation with log and merging",
            bytes as f64 / 1e6,
            engine.stats().memory_bytes as f64 / 1e6,
            observed * 1e9 / 86_400.0 / per_second as f64
        );
        let views = engine
            .select(
                &[Matcher::equal("service", "api")],
                TimeRange { start: Timestamp::from_millis(0), end: Timestamp::from_millis(2 * NOW) },
            )
            .expect("selects");
        for (name, window) in [("5 min", 300_000i64), ("1 h", 3_600_000), ("24 h", 86_400_000)] {
            let mut n = 0;
            let seconds = timed(3, || {
                for i in 0..100 {
                    let end = NOW + 86_390_000 - i * 1000;
                    let window = views[0].histogram(Timestamp::from_millis(end - window), Timestamp::from_millis(end));
                    std::hint::black_box(window.and_then(|window| window.quantile(0.99)));
                    n += 1;
                }
            });
            println!("  p99 over {name}: {:.1} µs", seconds * 1e6 / 100.0);
        }
    }
}

/// Recording alone, without label sets and log: closing of seconds, merging and ageing included.
pub fn record_figures() {
    println!("## distributions");
    let mut random = Random(5);
    for per_second in [10usize, 100, 1000, 10_000] {
        let values = latency_values(100_000, &mut random);
        let seconds = values.len() / per_second;
        let cost = timed(5, || {
            let mut distribution = Distribution::default();
            for (second, values) in values.chunks(per_second).enumerate() {
                let at = Timestamp::from_millis(NOW + second as i64 * 1000);
                values.iter().for_each(|value| {
                    distribution.record(at, *value);
                });
                if second % 10 == 0 {
                    distribution.settle(at);
                }
            }
            std::hint::black_box(&distribution);
        });
        println!("record, {per_second}/s for {seconds} s: {:.1} ns an observation", cost * 1e9 / values.len() as f64);
    }
    let values = latency_values(100_000, &mut random);
    for per_second in [10usize, 100, 1000, 10_000] {
        let before = live_bytes();
        let mut distribution = Distribution::default();
        let mut next = values.iter().cycle();
        for second in 0..86_400 {
            let at = Timestamp::from_millis(NOW + second * 1000);
            next.by_ref().take(per_second).for_each(|value| {
                distribution.record(at, *value);
            });
            if second % 10 == 0 {
                distribution.settle(at);
            }
        }
        println!("a day of {per_second}/s: {:.2} MB", (live_bytes() - before) as f64 / 1e6);
        drop(distribution);
    }
    for per_second in [10usize, 100, 1000] {
        let series: Vec<Distribution> = (0..100)
            .map(|_| {
                let mut distribution = Distribution::default();
                for second in 0..400 {
                    let at = Timestamp::from_millis(NOW + second * 1000);
                    latency_values(per_second, &mut random).iter().for_each(|value| {
                        distribution.record(at, *value);
                    });
                    if second % 10 == 0 {
                        distribution.settle(at);
                    }
                }
                distribution
            })
            .collect();
        let window = |distribution: &Distribution, end: i64| {
            let end = NOW + 390_000 - end * 1000;
            distribution.histogram(Timestamp::from_millis(end - 300_000), Timestamp::from_millis(end))
        };
        let each = timed(10, || {
            for end in 0..20 {
                for distribution in &series {
                    std::hint::black_box(window(distribution, end).and_then(|window| window.quantile(0.99)));
                }
            }
        });
        let together = timed(3, || {
            for end in 0..20 {
                let mut all = DistributionWindow::empty();
                for distribution in &series {
                    all.merge(&window(distribution, end).expect("there are observations"));
                }
                std::hint::black_box(all.quantile(0.99));
            }
        });
        println!(
            "p99 over 5 min of 100 series of {per_second}/s: of each {:.2} ms, of all together {:.2} ms",
            each * 1e3 / 20.0,
            together * 1e3 / 20.0
        );
    }
}
