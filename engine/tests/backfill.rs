//! Backfills: what they put into the past is seen, may be repeated, and survives; sums to verify by.

use watchfire_engine::{
    Backfill, BackfillError, CountedSeries, Derived, Engine, EngineConfig, Increment, OVERFLOW, Observation,
    SourcePosition, TimeRange,
};
use watchfire_model::{LabelSet, Matcher, Timestamp};

/// A whole hour.
const HOUR: i64 = 3_600_000;
const NOW: i64 = 472_222 * HOUR;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW + millis)
}

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange { start: at(start), end: at(end) }
}

fn hits(user: &str) -> LabelSet {
    LabelSet::from_pairs([("__name__", "hits_total"), ("user", user)]).expect("valid")
}

fn open(dir: &std::path::Path) -> Engine {
    let (engine, report) = Engine::open(EngineConfig::new(dir), at(0)).expect("opens");
    assert_eq!(report.damages, []);
    engine
}

/// Counts one live event and one late one of a user.
fn count(engine: &Engine, offset: u64, user: &str, millis: i64) {
    let source =
        SourcePosition { queue: "logs".into(), epoch: 1, partition: 0, first_offset: offset, next_offset: offset + 1 };
    let mut derived = Derived::new(source);
    for late in [false, true] {
        derived.increments.push(Increment { labels: hits(user), at: at(millis), count: 1.0, late });
    }
    assert_eq!(engine.apply(&derived).expect("applies").accepted, 2);
}

fn backfill_of(range: TimeRange, points: &[(&str, i64, f64)]) -> Backfill {
    let increment = |(user, millis, count): &(&str, i64, f64)| Increment {
        labels: hits(user),
        at: at(*millis),
        count: *count,
        late: true,
    };
    Backfill {
        metric: "hits_total".into(),
        range,
        increments: points.iter().map(increment).collect(),
        observations: Vec::new(),
        max_series: None,
    }
}

/// User, live, late, filled; sorted.
fn counted(engine: &Engine, range: TimeRange) -> Vec<(String, f64, f64, f64)> {
    let counted = engine.counted("hits_total", range).expect("there is a matcher");
    let row = |series: CountedSeries| {
        assert!(series.whole);
        (series.labels.get("user").unwrap_or_default().to_owned(), series.live, series.late, series.filled)
    };
    let mut rows: Vec<_> = counted.into_iter().map(row).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

#[test]
fn a_repeated_backfill_replaces_and_a_restart_keeps_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    count(&engine, 0, "ann", -HOUR / 2);
    let first = backfill_of(range(-2 * HOUR, -HOUR), &[("ann", -HOUR, 3.0), ("bob", -HOUR - 1, 2.0)]);
    let older = backfill_of(range(-3 * HOUR, -2 * HOUR), &[("ann", -2 * HOUR, 10.0)]);
    for _ in 0..3 {
        assert_eq!(engine.backfill(&first).expect("fills").accepted, 2);
        assert_eq!(engine.backfill(&older).expect("fills").accepted, 1);
    }
    let wanted = [("ann".to_owned(), 1.0, 1.0, 13.0), ("bob".to_owned(), 0.0, 0.0, 2.0)];
    let whole = range(-3 * HOUR, 0);
    assert_eq!(counted(&engine, whole), wanted);
    // Left-open, on whole seconds.
    assert_eq!(counted(&engine, range(-2 * HOUR, 0))[0], ("ann".to_owned(), 1.0, 1.0, 3.0));
    assert_eq!(counted(&engine, range(-2 * HOUR - 1000, 0))[0].3, 13.0);
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(counted(&engine, whole), wanted, "from the log");
    engine.checkpoint().expect("checkpoints");
    // Of this one only ann is left.
    engine.backfill(&backfill_of(range(-2 * HOUR, -HOUR), &[("ann", -HOUR, 4.0)])).expect("fills");
    drop(engine);
    let engine = open(dir.path());
    let wanted = [("ann".to_owned(), 1.0, 1.0, 14.0)];
    assert_eq!(counted(&engine, whole), wanted, "from snapshot and log; nothing of bob is left");
    engine.backfill(&backfill_of(range(-3 * HOUR, -HOUR), &[])).expect("fills");
    assert_eq!(counted(&engine, whole)[0], ("ann".to_owned(), 1.0, 1.0, 0.0), "nothing is an answer too");
}

#[test]
fn windows_see_it_and_rules_do_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    count(&engine, 0, "ann", -HOUR - 10_000);
    engine.backfill(&backfill_of(range(-2 * HOUR, -HOUR), &[("ann", -HOUR - 10_000, 5.0)])).expect("fills");
    let matchers = [Matcher::equal("__name__", "hits_total")];
    let window = range(-2 * HOUR, -HOUR);
    let all = engine.select(&matchers, window).expect("selects");
    assert_eq!(all[0].increase(window.start, window.end), Some(7.0));
    let mut buckets = Vec::new();
    all[0].buckets(window.start, window.end, &mut buckets);
    assert_eq!(buckets, [(at(-HOUR - 10_000), 7.0)], "one second, whatever it is made of");
    assert_eq!(all[0].total_at(at(0)), Some(1.0), "the running total is of what counted live");
    let live = engine.select_live(&matchers, window).expect("selects");
    assert_eq!(live[0].increase(window.start, window.end), Some(1.0));
}

#[test]
fn distributions_are_filled_alike() {
    let dir = tempfile::tempdir().expect("a folder");
    let labels = LabelSet::from_pairs([("__name__", "latency_ms")]).expect("valid");
    let fill = |values: &[f64]| Backfill {
        metric: "latency_ms".into(),
        range: range(-30 * HOUR, -29 * HOUR),
        increments: Vec::new(),
        observations: values
            .iter()
            .enumerate()
            .map(|(n, value)| Observation {
                labels: labels.clone(),
                at: at(-29 * HOUR - n as i64 * 1000),
                value: *value,
                late: true,
            })
            .collect(),
        max_series: None,
    };
    let read = |engine: &Engine| {
        let views = engine.select(&[Matcher::equal("__name__", "latency_ms")], range(-31 * HOUR, 0)).expect("selects");
        let window = views[0].histogram(at(-30 * HOUR), at(-29 * HOUR)).expect("there are observations");
        (window.count(), window.sum(), views[0].observed())
    };
    let engine = open(dir.path());
    let values: Vec<f64> = (1..=1000).map(f64::from).collect();
    engine.backfill(&fill(&values)).expect("fills");
    engine.sweep_all(at(0));
    assert_eq!(read(&engine), (1000, 500_500.0, Some((0, 0.0))));
    engine.backfill(&fill(&values[..10])).expect("fills");
    assert_eq!(read(&engine), (10, 55.0, Some((0, 0.0))));
    engine.checkpoint().expect("checkpoints");
    drop(engine);
    let engine = open(dir.path());
    engine.sweep_all(at(0));
    assert_eq!(read(&engine), (10, 55.0, Some((0, 0.0))));
    engine.backfill(&fill(&values)).expect("fills");
    assert_eq!(read(&engine).0, 1000);
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let odd = engine.backfill(&backfill_of(range(-HOUR - 1000, 0), &[]));
    assert!(matches!(odd, Err(BackfillError::NotWholeHours { .. })), "{odd:?}");
    let empty = engine.backfill(&backfill_of(range(-HOUR, -HOUR), &[]));
    assert!(matches!(empty, Err(BackfillError::NotWholeHours { .. })), "{empty:?}");
    for millis in [-2 * HOUR, -HOUR + 1] {
        let outside =
            engine.backfill(&backfill_of(range(-2 * HOUR, -HOUR), &[("ann", -HOUR, 1.0), ("ann", millis, 1.0)]));
        assert!(matches!(outside, Err(BackfillError::OutsideRange { .. })), "{outside:?}");
    }
    let mut other = backfill_of(range(-2 * HOUR, -HOUR), &[("ann", -HOUR, 1.0)]);
    other.metric = "other_total".into();
    assert!(matches!(engine.backfill(&other), Err(BackfillError::OtherMetric { .. })));
    assert_eq!(counted(&engine, range(-2 * HOUR, 0)), [], "nothing of it is there");
    // Single points that cannot be counted do not stop the others.
    let mixed = [("ann", -HOUR, f64::NAN), ("bob", -HOUR, 1.0)];
    let report = engine.backfill(&backfill_of(range(-2 * HOUR, -HOUR), &mixed)).expect("fills");
    assert_eq!((report.accepted, report.rejected.len()), (1, 1));
}

#[test]
fn a_cap_folds_the_same_way_each_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let users: Vec<String> = (0..50).map(|n| format!("u{n:02}")).collect();
    let points: Vec<(&str, i64, f64)> = users.iter().map(|user| (user.as_str(), -HOUR, 1.0)).collect();
    let mut backfill = backfill_of(range(-2 * HOUR, -HOUR), &points);
    backfill.max_series = Some(10);
    for _ in 0..2 {
        assert_eq!(engine.backfill(&backfill).expect("fills").overflowed, 40);
        let rows = counted(&engine, range(-2 * HOUR, 0));
        assert_eq!((rows.len(), &*rows[0].0, rows[0].3), (11, OVERFLOW, 40.0));
        assert_eq!(rows.iter().map(|row| row.3).sum::<f64>(), 50.0);
    }
}
