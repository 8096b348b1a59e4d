//! What bounds the engine: series, memory, ages; and what comes free when series go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use watchfire_engine::{
    Derived, Engine, EngineConfig, EngineStats, Increment, MetricType, Observation, Rejection, SampleBatch, SeriesKind,
    SourcePosition, TimeRange,
};
use watchfire_model::histogram::HistogramParts;
use watchfire_model::{Histogram, LabelSet, MatchOp, Matcher, Timestamp};

const NOW: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;
const GAUGE: SeriesKind = SeriesKind::Samples(MetricType::Gauge);

fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + offset_ms)
}

fn labels(metric: &str, number: u64) -> LabelSet {
    LabelSet::from_pairs([("__name__", metric), ("pod", &*format!("checkout-{number:08x}")), ("job", "api")])
        .expect("valid")
}

fn open(change: impl FnOnce(&mut EngineConfig)) -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = EngineConfig::new(dir.path());
    change(&mut config);
    let engine = Engine::open(config, at(0)).expect("opens").0;
    (dir, engine)
}

fn fill(engine: &Engine, metric: &str, numbers: std::ops::Range<u64>, times: &[i64]) -> Vec<(u32, Rejection)> {
    let mut batch = SampleBatch::new(at(times.iter().copied().max().unwrap_or(0)));
    for number in numbers {
        let series = batch.series(GAUGE, &labels(metric, number));
        times.iter().for_each(|offset| batch.push(series, at(*offset), number as f64));
    }
    engine.append_samples(&batch).expect("appends").rejected
}

fn derived(offset: u64, metric: &str, number: u64, offset_ms: i64) -> Derived {
    let source =
        SourcePosition { queue: "logs".into(), epoch: 1, partition: 0, first_offset: offset, next_offset: offset + 1 };
    let mut derived = Derived::new(source);
    derived.increments.push(Increment { labels: labels(metric, number), at: at(offset_ms), count: 1.0, late: false });
    derived
}

fn rejected(stats: &EngineStats, reason: Rejection) -> u64 {
    stats.rejected_total.iter().find(|(have, _)| *have == reason).map_or(0, |(_, count)| *count)
}

#[test]
fn no_more_series_than_allowed() {
    let (_dir, engine) = open(|config| config.max_series = 10);
    let refused = fill(&engine, "m", 0..15, &[0]);
    assert_eq!(refused.len(), 5);
    assert!(refused.iter().all(|(_, reason)| *reason == Rejection::SeriesLimit));
    assert_eq!(fill(&engine, "m", 0..10, &[1000]), [], "known series go on");
    let stats = engine.stats();
    assert_eq!((stats.series, rejected(&stats, Rejection::SeriesLimit)), (10, 5));
}

#[test]
fn what_watches_the_server_is_made_beyond_the_limits() {
    for (tight, reason) in [
        ((|config| config.max_series = 10) as fn(&mut EngineConfig), Rejection::SeriesLimit),
        (|config| config.memory_limit_bytes = 1, Rejection::MemoryLimit),
    ] {
        let (_dir, engine) = open(tight);
        fill(&engine, "m", 0..10, &[0]);
        let mut batch = SampleBatch::new(at(1000));
        for number in 10..20 {
            let series = batch.series(GAUGE, &labels("m", number));
            batch.push(series, at(1000), 1.0);
        }
        let up = batch.series(GAUGE, &labels("up", 0));
        batch.beyond_limits(up);
        batch.push(up, at(1000), 1.0);
        let report = engine.append_samples(&batch).expect("appends");
        assert_eq!(report.rejected, (0..10).map(|point| (point, reason)).collect::<Vec<_>>());
        assert_eq!(report.accepted, 1);
        let is_limit = reason == Rejection::SeriesLimit;
        assert_eq!(engine.stats().series_refused_at, is_limit.then(|| at(1000)));
        assert_eq!(fill(&engine, "more", 0..1, &[2000]), [(0, reason)], "there is no more room by it");
    }
}

#[test]
fn what_logs_are_counted_in_folds_when_there_is_no_room_at_all() {
    for tight in [(|config: &mut EngineConfig| config.max_series = 10) as fn(&mut EngineConfig), |config| {
        config.memory_limit_bytes = 1
    }] {
        let (_dir, engine) = open(tight);
        fill(&engine, "m", 0..10, &[0]);
        // Not even the first series of this metric fits under its own labels.
        for number in 0..20 {
            let mut one = derived(number, "errors_total", number, 1000);
            one.max_series = Arc::new([("errors_total".to_owned(), 1000)].into());
            let report = engine.apply(&one).expect("applied");
            assert_eq!((report.accepted, report.overflowed, report.rejected), (1, 1, Vec::new()));
        }
        let all = TimeRange { start: at(-DAY_MS), end: at(DAY_MS) };
        let views = engine.select(&[Matcher::equal("__name__", "errors_total")], all).expect("asked well");
        let [view] = views.as_slice() else { panic!("{} series instead of one", views.len()) };
        assert_eq!(view.labels().get("pod"), Some("__overflow__"));
        assert_eq!(view.increase(at(0), at(2000)), Some(20.0));
    }
}

#[test]
fn large_label_sets_are_refused() {
    let (_dir, engine) = open(|config| (config.labels_per_series, config.label_bytes) = (3, 100));
    let mut batch = SampleBatch::new(at(0));
    let many = LabelSet::from_pairs([("__name__", "m"), ("a", "1"), ("b", "2"), ("c", "3")]).expect("valid");
    let of = |bytes: usize| {
        LabelSet::from_pairs([("__name__", "m"), ("a", "x".repeat(bytes - 10).as_str())]).expect("valid")
    };
    // One text may take what all may have together.
    for set in [&many, &of(301), &of(300)] {
        let series = batch.series(GAUGE, set);
        batch.push(series, at(0), 1.0);
    }
    let report = engine.append_samples(&batch).expect("appends");
    assert_eq!(report.accepted, 1);
    assert_eq!(report.rejected, [(0, Rejection::LabelsTooLarge), (1, Rejection::LabelsTooLarge)]);
}

#[test]
fn series_that_age_out_free_everything() {
    let (_dir, engine) = open(|config| (config.shards, config.retention_ms) = (4, DAY_MS));
    fill(&engine, "stays", 0..500, &[0]);
    engine.sweep_all(at(0));
    let before = engine.stats();
    for round in 0..5u64 {
        for start in (0..20_000).step_by(5000) {
            fill(&engine, "goes", round * 20_000 + start..round * 20_000 + start + 5000, &[0]);
        }
    }
    engine.sweep_all(at(0));
    let full = engine.stats();
    assert_eq!((full.series, full.samples), (100_500, 100_500));
    assert!(full.memory_bytes > 50 * before.memory_bytes, "{full:?}");
    let later = 2 * DAY_MS;
    fill(&engine, "stays", 0..500, &[later]);
    engine.sweep_all(at(later));
    engine.sweep_all(at(later));
    let after = engine.stats();
    // What is old goes chunk by chunk: the few raw samples of a living series stay together.
    assert_eq!((after.series, after.samples, after.label_pairs), (500, 1000, before.label_pairs));
    assert_eq!((after.series_removed_total, after.pruned_total), (100_000, 100_000));
    assert!(after.memory_bytes * 10 <= before.memory_bytes * 13, "{} of {}", after.memory_bytes, before.memory_bytes);
    assert!(
        engine
            .select(&[Matcher::equal("__name__", "goes")], TimeRange { start: at(-DAY_MS), end: at(3 * DAY_MS) })
            .expect("selects")
            .is_empty()
    );
    assert_eq!(engine.metrics("").len(), 1);
    assert_eq!(engine.label_values("pod", &[], TimeRange::ALWAYS).len(), 500);
}

#[test]
fn series_looked_at_one_by_one_are_those_that_are_still_there() {
    let (_dir, engine) = open(|config| (config.shards, config.retention_ms) = (1, DAY_MS));
    let (ever, matcher) = (TimeRange { start: at(-DAY_MS), end: at(3 * DAY_MS) }, [Matcher::equal("__name__", "goes")]);
    fill(&engine, "goes", 0..100, &[0]);
    let mut selected: Vec<LabelSet> =
        engine.select(&matcher, ever).expect("selects").iter().map(|view| view.labels().clone()).collect();
    let mut views = engine.select_one_by_one(&matcher, ever).expect("selects");
    let mut seen: Vec<LabelSet> =
        std::iter::from_fn(|| views.next(&engine)).map(|view| view.labels().clone()).collect();
    selected.sort();
    seen.sort();
    assert_eq!((seen.len(), &seen), (100, &selected));

    let mut views = engine.select_one_by_one(&matcher, ever).expect("selects");
    assert!(views.next(&engine).is_some());
    engine.sweep_all(at(2 * DAY_MS));
    engine.sweep_all(at(2 * DAY_MS));
    // These get the places of the others.
    fill(&engine, "stays", 0..100, &[2 * DAY_MS]);
    assert!(views.next(&engine).is_none());
}

#[test]
fn a_counter_outlives_its_detail_but_not_the_retention() {
    let (dir, engine) = open(|config| config.retention_ms = 2 * DAY_MS);
    engine.apply(&derived(0, "events_total", 1, 0)).expect("applies");
    engine.apply(&derived(1, "events_total", 1, DAY_MS * 3 / 2)).expect("applies");
    let end = at(5 * DAY_MS / 2);
    engine.sweep_all(end);
    let select = |engine: &Engine, end: Timestamp| {
        engine
            .select(&[Matcher::equal("__name__", "events_total")], TimeRange { start: end.plus_millis(-1000), end })
            .expect("selects")
    };
    assert_eq!(select(&engine, end)[0].total_at(end), Some(2.0), "the running total survives pruning");
    engine.sweep_all(at(4 * DAY_MS));
    assert_eq!(engine.stats().series, 0);
    // It begins anew, also over a restart.
    engine.apply(&derived(2, "events_total", 1, 4 * DAY_MS)).expect("applies");
    assert_eq!(select(&engine, at(4 * DAY_MS))[0].total_at(at(4 * DAY_MS)), Some(1.0));
    engine.checkpoint().expect("checkpoints");
    drop(engine);
    let (engine, _) = Engine::open(EngineConfig::new(dir.path()), at(4 * DAY_MS)).expect("opens");
    assert_eq!(select(&engine, at(4 * DAY_MS))[0].total_at(at(4 * DAY_MS)), Some(1.0));
}

#[test]
fn past_the_memory_limit_the_oldest_go_to_disk_then_new_series_are_refused() {
    let (_dir, engine) = open(|config| (config.shards, config.memory_limit_bytes) = (2, 1 << 19));
    let mut value = 1u64;
    for hour in 0..48i64 {
        let mut batch = SampleBatch::new(at(hour * 3_600_000));
        for number in 0..50 {
            let series = batch.series(GAUGE, &labels("m", number));
            for i in 0..60 {
                value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                batch.push(series, at(hour * 3_600_000 + i * 60_000 - 3_600_000), (value >> 11) as f64 / 1e5);
            }
        }
        assert_eq!(engine.append_samples(&batch).expect("appends").rejected, []);
        engine.tick(at(hour * 3_600_000));
        engine.sweep_all(at(hour * 3_600_000));
        assert!(engine.stats().memory_bytes <= 1 << 19, "{:?}", engine.stats());
    }
    let stats = engine.stats();
    assert!(stats.spilled_total > 0 && stats.series == 50, "{stats:?}");
    assert_eq!((stats.pruned_early_total, stats.samples), (0, 48 * 60 * 50), "samples go to disk, and are not lost");
    let view = &engine
        .select(&[Matcher::equal("pod", "checkout-00000001")], TimeRange { start: at(0), end: at(3 * DAY_MS) })
        .expect("selects")[0];
    let mut samples = Vec::new();
    view.samples(at(-DAY_MS), at(3 * DAY_MS), &mut samples);
    assert_eq!(samples.len(), 48 * 60);
    assert_eq!(samples.last().map(|s| s.timestamp), Some(at(47 * 3_600_000 - 60_000)), "the newest stay");
    // Identities cannot be pruned: in the end new series are refused.
    let mut refused = 0;
    for start in (0..40_000).step_by(2000) {
        refused += fill(&engine, "more", start..start + 2000, &[47 * 3_600_000])
            .iter()
            .filter(|(_, reason)| *reason == Rejection::MemoryLimit)
            .count();
    }
    assert!(refused > 20_000);
    assert_eq!(fill(&engine, "m", 0..50, &[48 * 3_600_000]), [], "known series go on");
}

#[test]
fn quiet_series_make_room_for_new_ones() {
    const STEP_MS: i64 = 600_000;
    let (dir, engine) = open(|config| config.max_series = 1000);
    engine.apply(&derived(0, "events_total", 1, 0)).expect("applies");
    // Forty new series each ten minutes: in a day many more than there may be.
    for step in 0..144i64 {
        let first = step as u64 * 40;
        assert_eq!(fill(&engine, "churning", first..first + 40, &[step * STEP_MS]), [], "step {step}");
        assert_eq!(fill(&engine, "steady", 0..100, &[step * STEP_MS + 1]), []);
        engine.sweep_all(at(step * STEP_MS + 1));
    }
    let stats = engine.stats();
    assert!(stats.series <= 950 && stats.series_crowded_out_total >= 144 * 40 - 850, "{stats:?}");
    let all = TimeRange { start: at(-1), end: at(DAY_MS) };
    let count = |metric| engine.select(&[Matcher::equal("__name__", metric)], all).expect("selects").len();
    assert_eq!((count("steady"), count("events_total")), (100, 1), "who is not quiet stays");
    let newest = engine.select(&[Matcher::equal("pod", "checkout-0000167f")], all).expect("selects");
    assert_eq!(newest.len(), 1, "the newest stay");
    engine.checkpoint().expect("snapshot");
    drop(engine);
    let (engine, _) = Engine::open(EngineConfig::new(dir.path()), at(DAY_MS)).expect("opens");
    assert_eq!(engine.stats().series, stats.series);
}

/// Where series alone take the memory, dropping numbers wins nothing.
#[test]
fn samples_are_never_dropped_for_memory() {
    let (_dir, engine) = open(|config| (config.shards, config.memory_limit_bytes) = (2, 1 << 19));
    let start = -2 * 3_600_000;
    let mut batch = SampleBatch::new(at(0));
    let series = batch.series(GAUGE, &labels("watched", 0));
    // Values without a pattern, so that some chunks are sealed.
    let mut value = 1u64;
    for second in 0..7_200 {
        value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        batch.push(series, at(start + second * 1000), (value >> 11) as f64 / 1e5);
    }
    let series = batch.series(GAUGE, &labels("watched_histograms", 0));
    for second in (0..7_200).step_by(10) {
        let positive: Vec<(i32, f64)> =
            (0..20).map(|place| (place, ((second + 1) * i64::from(place + 1)) as f64)).collect();
        let count = positive.iter().map(|(_, count)| count).sum();
        let parts = HistogramParts { schema: 3, count, sum: count, positive, ..HistogramParts::default() };
        batch.push_native(series, at(start + second * 1000), Histogram::new(parts).expect("valid"));
    }
    assert_eq!(engine.append_samples(&batch).expect("appends").rejected, []);
    let refused: Vec<_> = (0..20_000)
        .step_by(2000)
        .flat_map(|first| fill(&engine, "many", first..first + 2000, &[0]))
        .map(|(_, reason)| reason)
        .collect();
    assert!(!refused.is_empty() && refused.iter().all(|reason| *reason == Rejection::MemoryLimit));
    // Series from before the limit still take numbers, however short memory is.
    for second in 0..60 {
        assert_eq!(fill(&engine, "many", 0..100, &[second * 1000 + 1]), []);
    }
    engine.sweep_all(at(60_000));
    engine.tick(at(60_600));
    let stats = engine.stats();
    assert!(stats.memory_short && stats.spilled_total > 0, "{stats:?}");
    let end = at(60_600);
    let view = |metric| {
        let found = engine.select(&[Matcher::equal("__name__", metric)], TimeRange { start: at(start), end });
        found.expect("selects")
    };
    let mut samples = Vec::new();
    view("watched")[0].samples(at(start - 1), end, &mut samples);
    assert_eq!(samples.len(), 7_200, "none is lost");
    let mut natives = Vec::new();
    view("watched_histograms")[0].samples_and_natives(at(start - 1), end, &mut Vec::new(), &mut natives);
    assert_eq!(natives.len(), 720, "none of them either");
    assert_eq!(view("many").len() as u64, stats.series - 2, "what was acknowledged is there");
}

#[test]
fn what_queries_left_in_memory_goes_before_numbers_and_new_series() {
    let (_dir, engine) = open(|config| (config.shards, config.memory_limit_bytes) = (2, 4 << 20));
    assert_eq!(fill(&engine, "many", 0..8000, &[0]), []);
    engine.sweep_all(at(0));
    let before = engine.stats().memory_bytes;
    let all = TimeRange { start: at(-1), end: at(1) };
    let found = engine.select(&[Matcher::equal("__name__", "many")], all).expect("selects");
    assert_eq!(found.iter().map(|view| view.labels()).filter(|labels| labels.get("pod").is_some()).count(), 8000);
    drop(found);
    engine.sweep_all(at(1));
    let stats = engine.stats();
    assert!(!stats.memory_short && stats.memory_bytes <= before + before / 10, "{before} before: {stats:?}");
    assert!(engine.take_freed_bytes() > before / 4, "there was something to forget");
    assert_eq!(fill(&engine, "more", 0..10, &[1]), []);
}

/// Appends, counts, queries, sweeps and snapshots at once; the sum is exact at the end and after a restart.
#[test]
fn many_threads_and_snapshots_lose_and_double_nothing() {
    let (dir, engine) = open(|config| (config.shards, config.segment_bytes) = (4, 20_000));
    let engine = Arc::new(engine);
    let done = AtomicBool::new(false);
    const ROUNDS: u64 = 400;
    std::thread::scope(|scope| {
        let applier = scope.spawn(|| {
            for offset in 0..ROUNDS {
                let mut one = derived(offset, "events_total", offset % 37, offset as i64 * 500);
                for n in 0..5 {
                    let more = Increment {
                        labels: labels("events_total", (offset + n) % 37),
                        at: at(offset as i64 * 500),
                        count: 2.0,
                        late: n == 4,
                    };
                    one.increments.push(more);
                    one.observations.push(Observation {
                        labels: labels("latency", n),
                        at: at(offset as i64 * 500),
                        value: 5.0,
                        late: false,
                    });
                }
                engine.apply(&one).expect("applies");
            }
        });
        let appenders: Vec<_> = (0..2u64)
            .map(|thread| {
                let engine = engine.clone();
                scope.spawn(move || {
                    for round in 0..ROUNDS / 4 {
                        let offset = round as i64 * 1000;
                        assert_eq!(fill(&engine, "m", thread * 20..thread * 20 + 30, &[offset]), []);
                        let mut pushed = SampleBatch::new(at(offset));
                        let series = pushed.series(SeriesKind::Increments, &labels("pushed_total", thread));
                        pushed.push(series, at(offset), 1.0);
                        engine.append_samples(&pushed).expect("appends");
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                engine.checkpoint().expect("checkpoints");
                engine.sweep_all(at(0));
                let any = Matcher::new("__name__", MatchOp::Regex, ".+").expect("valid");
                for view in engine.select(&[any], TimeRange { start: at(-1000), end: at(DAY_MS) }).expect("selects") {
                    let _ = view.increase(at(-1000), at(DAY_MS));
                }
            }
        });
        applier.join().expect("applies");
        appenders.into_iter().for_each(|thread| thread.join().expect("appends"));
        done.store(true, Ordering::Relaxed);
    });
    let check = |engine: &Engine| {
        let range = TimeRange { start: at(-1000), end: at(DAY_MS / 2) };
        let views = |metric: &str| engine.select(&[Matcher::equal("__name__", metric)], range).expect("selects");
        let events: f64 = views("events_total").iter().filter_map(|view| view.increase(range.start, range.end)).sum();
        let totals: f64 = views("events_total").iter().filter_map(|view| view.total_at(range.end)).sum();
        assert_eq!((events, totals), (11.0 * ROUNDS as f64, 9.0 * ROUNDS as f64));
        let pushed: Vec<Option<f64>> = views("pushed_total").iter().map(|view| view.total_at(range.end)).collect();
        assert_eq!(pushed, [Some(ROUNDS as f64 / 4.0); 2]);
        let observed: u64 = views("latency")
            .iter()
            .filter_map(|view| view.histogram(range.start, range.end))
            .map(|window| window.count())
            .sum();
        assert_eq!(observed, 5 * ROUNDS);
        let mut samples = Vec::new();
        views("m").iter().for_each(|view| view.samples(range.start, range.end, &mut samples));
        assert_eq!(samples.len() as u64, 50 * ROUNDS / 4);
        assert_eq!(engine.applied("logs", 1, 0), Some(ROUNDS));
    };
    check(&engine);
    drop(engine);
    let (engine, report) = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens");
    assert_eq!((report.damages, report.records_missing, report.orphans), (vec![], 0, 0));
    check(&engine);
}
