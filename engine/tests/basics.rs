//! Samples and increments through the public door, and what a restart leaves of them.

use std::sync::Arc;

use watchfire_engine::{
    Derived, Engine, EngineConfig, Exemplar, Increment, MetricType, OVERFLOW, Rejection, SampleBatch, SeriesKind,
    SourcePosition, TimeRange,
};
use watchfire_model::{LabelSet, MatchOp, Matcher, Sample, Timestamp};

const NOW: i64 = 1_700_000_000_000;

fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + offset_ms)
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::from_pairs(pairs.iter().copied()).expect("valid")
}

fn open(dir: &std::path::Path) -> Engine {
    let (engine, report) = Engine::open(EngineConfig::new(dir), at(0)).expect("opens");
    assert_eq!(report.damages, []);
    engine
}

fn all() -> TimeRange {
    TimeRange { start: at(-3_600_000), end: at(3_600_000) }
}

fn source(first_offset: u64, next_offset: u64) -> SourcePosition {
    SourcePosition { queue: "logs".into(), epoch: 7, partition: 0, first_offset, next_offset }
}

fn derived(first: u64, next: u64, service: &str, millis: i64, count: f64) -> Derived {
    let mut derived = Derived::new(source(first, next));
    derived.increments.push(Increment {
        labels: labels(&[("__name__", "log_events_total"), ("service", service)]),
        at: at(millis),
        count,
        late: false,
    });
    derived
}

#[test]
fn samples_follow_the_rules_and_survive() {
    let dir = tempfile::tempdir().expect("a folder");
    let kind = SeriesKind::Samples(MetricType::Gauge);
    let up = labels(&[("__name__", "up"), ("job", "api"), ("instance", "a:1")]);
    {
        let engine = open(dir.path());
        let mut batch = SampleBatch::new(at(0));
        let series = batch.series(kind, &up);
        batch.push(series, at(0), 1.0);
        batch.push(series, at(1000), 2.0);
        batch.push(series, at(1000), 2.0);
        batch.push(series, at(1000), 3.0);
        batch.push(series, at(-500), 4.0);
        batch.push(series, at(3_600_000), 4.0);
        batch.push(series, at(-20 * 86_400_000), 4.0);
        let other = batch.series_of(kind, &mut [("job", "web"), ("__name__", "up"), ("empty", "")]).expect("valid");
        batch.push(other, at(5), f64::NAN);
        let report = engine.append_samples(&batch).expect("appends");
        assert_eq!((report.accepted, report.duplicates), (4, 1));
        assert_eq!(
            report.rejected,
            [(3, Rejection::DuplicateTimestamp), (5, Rejection::TooFarInFuture), (6, Rejection::TooOld)]
        );
        // No close: the process is gone.
    }
    let engine = open(dir.path());
    let views =
        engine.select(&[Matcher::equal("__name__", "up"), Matcher::equal("job", "api")], all()).expect("selects");
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].labels(), &up);
    let mut samples = Vec::new();
    views[0].samples(at(-1000), at(1000), &mut samples);
    let wanted = [(-500, 4.0), (0, 1.0), (1000, 2.0)].map(|(ms, value)| Sample { timestamp: at(ms), value });
    assert_eq!(samples, wanted);
    samples.clear();
    views[0].samples(at(-500), at(999), &mut samples);
    assert_eq!(samples.len(), 1, "left-open, right-closed");
    assert_eq!(engine.label_values("job", &[], TimeRange::ALWAYS), ["api", "web"]);
    assert_eq!(engine.label_names(&[], TimeRange::ALWAYS), ["__name__", "instance", "job"]);
}

#[test]
fn names_and_values_are_those_of_series_with_something_in_the_range() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let engine = open(dir.path());
    let mut batch = SampleBatch::new(at(10_000));
    for (job, label, first, last) in [("early", "a", 0, 1000), ("long", "b", 500, 9000), ("late", "c", 8000, 9000)] {
        let labels = &mut [("__name__", "m"), ("job", job), (label, "x")];
        let series = batch.series_of(SeriesKind::Samples(MetricType::Untyped), labels).expect("valid");
        batch.push(series, at(first), 1.0);
        batch.push(series, at(last), 1.0);
    }
    engine.append_samples(&batch).expect("appends");
    let all = Matcher::equal("__name__", "m");
    let not_late = Matcher::new("job", MatchOp::NotEqual, "late").expect("a matcher");
    for (start, end, jobs, names) in [
        (-1, 10_000, &["early", "late", "long"][..], &["a", "b", "c"][..]),
        (-1, 0, &["early"], &["a"]),
        (1000, 7999, &["long"], &["b"]),
        (999, 8000, &["early", "late", "long"], &["a", "b", "c"]),
        (9000, 10_000, &[], &[]),
        (-10, -1, &[], &[]),
    ] {
        let range = TimeRange { start: at(start), end: at(end) };
        let told = |texts: Vec<String>| texts.into_iter().filter(|text| text.len() == 1).collect::<Vec<_>>();
        for matchers in [&[][..], std::slice::from_ref(&all)] {
            assert_eq!(engine.label_values("job", matchers, range), jobs, "{start}..{end}");
            assert_eq!(told(engine.label_names(matchers, range)), names, "{start}..{end}");
        }
        let jobs: Vec<&str> = jobs.iter().copied().filter(|job| *job != "late").collect();
        assert_eq!(engine.label_values("job", std::slice::from_ref(&not_late), range), jobs, "{start}..{end}");
    }
}

#[test]
fn exemplars_of_a_batch_come_in_any_order() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let engine = open(dir.path());
    let mut batch = SampleBatch::new(at(0));
    let series = batch.series(SeriesKind::Samples(MetricType::Counter), &labels(&[("__name__", "hits")]));
    batch.push(series, at(0), 1.0);
    let exemplar =
        |offset_ms: i64, value: f64| Exemplar { labels: LabelSet::empty(), value, at: at(offset_ms), is_dated: true };
    for (offset_ms, value) in [(3, 1.0), (1, 2.0), (2, f64::NAN), (2, 3.0)] {
        batch.push_exemplar(series, exemplar(offset_ms, value));
    }
    assert_eq!(engine.append_samples(&batch).expect("taken").exemplars, 4);
    let matcher = Matcher::new("__name__", MatchOp::Equal, "hits").expect("a matcher");
    let kept = engine.exemplars(&[vec![matcher]], at(0), at(9));
    let offsets = kept[0].1.iter().map(|exemplar| exemplar.at.millis() - at(0).millis());
    assert_eq!(offsets.collect::<Vec<_>>(), [1, 2, 2, 3]);
}

#[test]
fn derived_numbers_are_applied_once() {
    let dir = tempfile::tempdir().expect("a folder");
    {
        let engine = open(dir.path());
        assert_eq!(engine.applied("logs", 7, 0), None);
        assert!(!engine.apply(&derived(0, 10, "api", 0, 10.0)).expect("applies").known);
        assert!(engine.apply(&derived(0, 10, "api", 0, 10.0)).expect("applies").known);
        assert!(!engine.apply(&derived(10, 15, "api", 2500, 5.0)).expect("applies").known);
        assert!(engine.apply(&derived(12, 18, "api", 2500, 5.0)).is_err());
        engine.sync().expect("syncs");
        assert_eq!(engine.durable_offset("logs", 7, 0), Some(15));
    }
    let engine = open(dir.path());
    assert_eq!(engine.applied("logs", 7, 0), Some(15));
    assert_eq!(engine.durable_offset("logs", 7, 0), Some(15));
    assert!(engine.apply(&derived(10, 15, "api", 2500, 5.0)).expect("applies").known);
    let views = engine.select(&[Matcher::equal("__name__", "log_events_total")], all()).expect("selects");
    let [view] = &views[..] else { panic!("one series") };
    assert_eq!(view.kind(), SeriesKind::Increments);
    assert_eq!(view.total_at(at(2500)), Some(15.0));
    assert_eq!(view.total_at(at(2000)), Some(10.0));
    assert_eq!(view.total_at(at(-1)), Some(10.0), "rounds up to the bucket of the first events");
    assert_eq!(view.total_at(at(-1000)), None);
    assert_eq!(view.increase(at(-60_000), at(0)), Some(10.0));
    assert_eq!(view.increase(at(0), at(60_000)), Some(5.0));
    assert_eq!(view.increase(at(3000), at(63_000)), Some(0.0));
    let mut buckets = Vec::new();
    view.buckets(at(-60_000), at(60_000), &mut buckets);
    assert_eq!(buckets, [(at(0), 10.0), (at(3000), 5.0)]);
    let mut totals = Vec::new();
    view.samples(at(-60_000), at(60_000), &mut totals);
    assert_eq!(totals.iter().map(|s| s.value).collect::<Vec<_>>(), [10.0, 15.0]);
}

#[test]
fn further_label_sets_fold_into_the_overflow_series() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let caps = Arc::new([("log_events_total".to_owned(), 3u32)].into());
    for i in 0..10u64 {
        let mut derived = derived(i, i + 1, &format!("s{i}"), 0, 1.0);
        derived.max_series = Arc::clone(&caps);
        let report = engine.apply(&derived).expect("applies");
        assert_eq!(report.overflowed, u64::from(i >= 3));
    }
    let views = engine.select(&[Matcher::equal("service", OVERFLOW)], all()).expect("selects");
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].total_at(at(0)), Some(7.0));
    let [metric] = &engine.metrics("log_")[..] else { panic!("one metric") };
    assert_eq!((metric.series, metric.overflowed, metric.kind), (4, 7, SeriesKind::Increments));
    assert_eq!(metric.labels, [Arc::from("service")]);
}

#[test]
fn a_metric_from_logs_takes_no_pushed_samples() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    engine.apply(&derived(0, 1, "api", 0, 1.0)).expect("applies");
    let push = |mut batch: SampleBatch, service: &str| {
        let labels = labels(&[("__name__", "log_events_total"), ("service", service)]);
        let series = batch.series(SeriesKind::Samples(MetricType::Counter), &labels);
        batch.push(series, at(0), 99.0);
        engine.append_samples(&batch).expect("appends").rejected
    };
    let refused = [(0, Rejection::KindMismatch)];
    for service in ["api", "of another"] {
        assert_eq!(push(SampleBatch::new(at(0)), service), refused, "{service}");
    }
    // What was counted elsewhere has other labels.
    assert_eq!(push(SampleBatch::new(at(0)).counted_elsewhere(), "api"), refused);
    assert_eq!(push(SampleBatch::new(at(0)).counted_elsewhere(), "of another"), []);
}

#[test]
fn matchers_agree_with_the_label_sets() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let mut batch = SampleBatch::new(at(0));
    let mut sets = Vec::new();
    for i in 0..200 {
        let mut pairs = vec![("__name__".to_owned(), format!("m{}", i % 3)), ("id".to_owned(), i.to_string())];
        if i % 2 == 0 {
            pairs.push(("job".to_owned(), ["api", "web", "db-1", "db-2"][i / 2 % 4].to_owned()));
        }
        let set = LabelSet::from_pairs(pairs).expect("valid");
        let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &set);
        batch.push(series, at(0), i as f64);
        sets.push(set);
    }
    engine.append_samples(&batch).expect("appends");
    let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    let texts = [
        "", "m1", "api", "web|api", "db-.*", ".*", ".+", "1.*", "|api", "[0-9]{2}", "(?i)API", "d.b|db-1", "^api$",
        "a.i",
    ];
    let mut matchers = Vec::new();
    for name in ["__name__", "id", "job", "none"] {
        for op in ops {
            matchers.extend(texts.iter().map(|text| Matcher::new(name, op, *text).expect("valid")));
        }
    }
    let check = |chosen: &[Matcher]| {
        let views = engine.select(chosen, all()).expect("selects");
        let mut got: Vec<LabelSet> = views.iter().map(|view| view.labels().clone()).collect();
        got.sort();
        let mut wanted: Vec<LabelSet> =
            sets.iter().filter(|set| chosen.iter().all(|matcher| matcher.matches_labels(set))).cloned().collect();
        wanted.sort();
        assert_eq!(got, wanted, "{chosen:?}");
    };
    for matcher in &matchers {
        check(std::slice::from_ref(matcher));
    }
    for (i, matcher) in matchers.iter().enumerate() {
        check(&[matcher.clone(), matchers[(i * 31 + 17) % matchers.len()].clone()]);
        check(&[matchers[(i * 7 + 3) % matchers.len()].clone(), matcher.clone(), Matcher::equal("__name__", "m1")]);
    }
}

#[test]
fn observations_are_merged_over_windows_and_survive() {
    let dir = tempfile::tempdir().expect("a folder");
    let latency = labels(&[("__name__", "request_duration_ms"), ("service", "api")]);
    {
        let engine = open(dir.path());
        let mut derived = Derived::new(source(0, 1000));
        for i in 0..1000i64 {
            derived.observations.push(watchfire_engine::Observation {
                labels: latency.clone(),
                at: at(i * 50),
                value: (i + 1) as f64,
                late: false,
            });
        }
        assert_eq!(engine.apply(&derived).expect("applies").accepted, 1000);
        let mut pushed = SampleBatch::new(at(60_000));
        let series = pushed.series(SeriesKind::Distribution, &latency);
        pushed.push(series, at(60_000), 5000.0);
        pushed.push(series, at(60_000), f64::NAN);
        let report = engine.append_samples(&pushed).expect("appends");
        assert_eq!((report.accepted, report.rejected), (1, vec![(1, Rejection::NotCountable)]));
    }
    let engine = open(dir.path());
    let views = engine.select(&[Matcher::equal("__name__", "request_duration_ms")], all()).expect("selects");
    let [view] = &views[..] else { panic!("one series") };
    let window = view.histogram(at(-1000), at(50_000)).expect("has observations");
    assert_eq!((window.count(), window.min(), window.max()), (1000, Some(1.0), Some(1000.0)));
    let p95 = window.quantile(0.95).expect("has observations");
    assert!((p95 - 950.0).abs() <= 9.5, "{p95}");
    assert_eq!(view.observed(), Some((1001, 505_500.0)));
    assert_eq!(view.histogram(at(100_000), at(200_000)).map(|window| window.count()), Some(0));
    assert!(view.histogram(at(200_000_000), at(200_100_000)).is_none());
}
