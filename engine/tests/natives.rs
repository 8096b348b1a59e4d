//! Native histograms in the engine: they outlive a restart by the log and by a snapshot, beside the floats of their series.

use std::path::Path;

use watchfire_engine::{AppendReport, Engine, EngineConfig, MetricType, Rejection, SampleBatch, SeriesKind, TimeRange};
use watchfire_model::histogram::HistogramParts;
use watchfire_model::{Histogram, LabelSet, MatchOp, Matcher, ResetHint, Timestamp};

const NOW: i64 = 1_700_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW + millis)
}

fn histogram(counts: &[f64]) -> Histogram {
    let positive: Vec<(i32, f64)> = (0..).zip(counts.iter().copied()).filter(|(_, count)| *count > 0.0).collect();
    let (count, sum) = (counts.iter().sum(), counts.iter().sum::<f64>() * 1.5);
    Histogram::new(HistogramParts { schema: 3, count, sum, positive, ..HistogramParts::default() }).expect("valid")
}

fn open(dir: &Path) -> Engine {
    Engine::open(EngineConfig::new(dir), at(0)).expect("opens").0
}

fn labels() -> LabelSet {
    LabelSet::from_pairs([("__name__", "latency")]).expect("valid")
}

/// Takes histograms, and floats beside them.
fn append(engine: &Engine, histograms: &[(i64, &[f64])], floats: &[i64]) -> AppendReport {
    let mut batch = SampleBatch::new(at(0));
    let series = batch.series(SeriesKind::Samples(MetricType::Untyped), &labels());
    for (millis, counts) in histograms {
        batch.push_native(series, at(*millis), histogram(counts));
    }
    for millis in floats {
        batch.push(series, at(*millis), 7.0);
    }
    engine.append_samples(&batch).expect("the log can be written")
}

/// Times of floats; times, counts and hints of histograms.
type Held = (Vec<i64>, Vec<(i64, f64, ResetHint)>);

fn held(engine: &Engine) -> Held {
    let (start, end) = (at(-10_000_000), at(10_000_000));
    let matcher = Matcher::new("__name__", MatchOp::Equal, "latency").expect("valid");
    let (mut floats, mut natives) = (Vec::new(), Vec::new());
    for view in engine.select(&[matcher], TimeRange { start, end }).expect("selects") {
        view.samples_and_natives(start, end, &mut floats, &mut natives);
    }
    let natives = natives.iter().map(|(at, h)| (at.millis() - NOW, h.count(), h.hint()));
    (floats.iter().map(|sample| sample.timestamp.millis() - NOW).collect(), natives.collect())
}

#[test]
fn what_collides_within_a_batch_is_told_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let report = append(&engine, &[(-2000, &[1.0]), (-2000, &[2.0])], &[-2000, -1000]);
    assert_eq!((report.accepted, report.rejected.len(), report.repeated), (2, 2, vec![1, 2]));
    // What was there before is another matter.
    let report = append(&engine, &[(-1000, &[1.0]), (-1000, &[2.0])], &[]);
    assert_eq!((report.accepted, report.rejected.len(), report.repeated), (0, 2, vec![]));
}

#[test]
fn they_outlive_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let report = append(&engine, &[(-3000, &[1.0, 2.0]), (-2000, &[1.0, 3.0]), (-1000, &[0.5])], &[-500]);
    assert_eq!((report.accepted, report.natives), (4, 3));
    let wanted: Held = (
        vec![-500],
        vec![(-3000, 3.0, ResetHint::Unknown), (-2000, 4.0, ResetHint::NotReset), (-1000, 0.5, ResetHint::Unknown)],
    );
    assert_eq!(held(&engine), wanted);
    // The same again changes nothing; another value at the same time is refused.
    let report = append(&engine, &[(-2000, &[1.0, 3.0]), (-2000, &[1.0]), (-500, &[1.0])], &[-500, -1000]);
    assert_eq!((report.accepted, report.duplicates, report.natives), (0, 2, 1));
    let refused: Vec<_> = report.rejected.iter().collect();
    let twice = Rejection::DuplicateTimestamp;
    assert_eq!(refused, [&(1, twice), &(2, twice), &(4, twice)]);
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(held(&engine), wanted, "by the log");
    engine.checkpoint().expect("a snapshot can be written");
    append(&engine, &[(-100, &[2.0])], &[]);
    drop(engine);
    let engine = open(dir.path());
    let (floats, natives) = held(&engine);
    assert_eq!((floats, natives.len(), natives[3].1), (vec![-500], 4, 2.0), "by a snapshot and the log");
}

/// Histograms with buckets that hold nothing; a further one comes half-way.
fn with_empty_buckets() -> Vec<(i64, Histogram)> {
    let of = |step: i64| {
        let count = 1.0 + step as f64;
        let further = (step >= 60).then_some((9, 0.0));
        let positive: Vec<(i32, f64)> =
            [(0, count), (2, 0.0), (3, 0.0), (6, count)].into_iter().chain(further).collect();
        let parts = HistogramParts { schema: 3, count: 2.0 * count, sum: count, positive, ..HistogramParts::default() };
        (step * 60_000, Histogram::new(parts).expect("valid"))
    };
    (0..120).map(of).collect()
}

#[test]
fn empty_buckets_are_there_as_they_came_wherever_they_lie() {
    const DAY_MS: i64 = 86_400_000;
    let dir = tempfile::tempdir().expect("a folder");
    let open = |now: i64| Engine::open(EngineConfig::new(dir.path()), at(now)).expect("opens").0;
    let sent = with_empty_buckets();
    let end = sent.last().expect("some").0;
    let read = |engine: &Engine| {
        let matcher = Matcher::new("__name__", MatchOp::Equal, "latency").expect("valid");
        let (mut floats, mut natives) = (Vec::new(), Vec::new());
        for view in engine.select(&[matcher], TimeRange::ALWAYS).expect("selects") {
            view.samples_and_natives(at(-1), at(end), &mut floats, &mut natives);
        }
        assert_eq!(floats, []);
        natives
    };
    let engine = open(end);
    let mut batch = SampleBatch::new(at(end));
    let series = batch.series(SeriesKind::Samples(MetricType::Untyped), &labels());
    sent.iter().for_each(|(millis, histogram)| batch.push_native(series, at(*millis), histogram.clone()));
    assert_eq!(engine.append_samples(&batch).expect("the log can be written").rejected, []);
    let wanted = read(&engine);
    let places = |histogram: &Histogram| histogram.positive().iter().map(|(place, _)| *place).collect::<Vec<_>>();
    let all = places(&sent.last().expect("some").1);
    // As in a chunk of Prometheus, a further bucket is one of those before it, too.
    assert!(wanted.iter().all(|(_, histogram)| places(histogram) == all));
    let check = |engine: &Engine, place: &str| {
        let found = read(engine);
        assert_eq!(found.len(), sent.len(), "{place}");
        for ((found_at, found), (wanted_at, wanted)) in found.iter().zip(&wanted) {
            assert!(found_at == wanted_at && found.equals(wanted), "{place}: {found:?} for {wanted:?}");
        }
    };
    drop(engine);
    let engine = open(end);
    check(&engine, "from the log");
    engine.checkpoint().expect("a snapshot can be written");
    drop(engine);
    let engine = open(end);
    check(&engine, "from a snapshot");
    engine.tick(at(end + 2 * DAY_MS));
    assert_eq!(engine.stats().spilled_total, sent.len() as u64);
    check(&engine, "from a block");
    drop(engine);
    check(&open(end + 2 * DAY_MS), "from a block after a restart");
}

#[test]
fn counts_and_distributions_take_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let mut batch = SampleBatch::new(at(0));
    for kind in [SeriesKind::Increments, SeriesKind::Distribution] {
        let series = batch.series(kind, &LabelSet::from_pairs([("__name__", kind.as_str())]).expect("valid"));
        batch.push_native(series, at(0), histogram(&[1.0]));
    }
    let report = engine.append_samples(&batch).expect("the log can be written");
    assert_eq!((report.accepted, report.natives), (0, 0));
    assert_eq!(report.rejected, [(0, Rejection::NotCountable), (1, Rejection::NotCountable)]);
}
