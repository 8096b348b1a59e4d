//! The evaluator against naive models: sorted lists and plain loops over everything that was loaded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{
    BRACKETS_MAX, DEPTH_MAX, EvalError, Limits, RangeSteps, evaluate_instant, evaluate_range, parse,
};

/// A point of one of a few series.
type Point = (u8, i64, f64);

fn labels(series: u8) -> LabelSet {
    let (s, g) = (series.to_string(), (series % 2).to_string());
    LabelSet::from_pairs([("__name__", "m"), ("s", s.as_str()), ("g", g.as_str())]).expect("valid")
}

/// An engine with these points; of samples, later ones at the same time are left out.
fn engine(kind: SeriesKind, points: &[Point]) -> (Arc<Engine>, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut config = EngineConfig::new(dir.path());
    (config.out_of_order_ms, config.future_ms) = (i64::MAX / 4, i64::MAX / 4);
    (config.retention_ms, config.memory_ms) = (i64::MAX / 4, i64::MAX / 4);
    config.shards = 2;
    let (engine, _) = Engine::open(config, Timestamp::from_millis(0)).expect("an empty engine opens");
    let mut batch = SampleBatch::new(Timestamp::from_millis(0));
    for (series, at, value) in points {
        let series = batch.series(kind, &labels(*series));
        batch.push(series, Timestamp::from_millis(*at), *value);
    }
    engine.append_samples(&batch).expect("taken");
    (Arc::new(engine), dir)
}

fn ask(engine: &Engine, text: &str, at: i64) -> BTreeMap<LabelSet, f64> {
    let query = parse(text).unwrap_or_else(|error| panic!("{}", error.render(text)));
    let rows = evaluate_instant(&query, engine, Timestamp::from_millis(at), &Limits::default());
    rows.unwrap_or_else(|error| panic!("{text}: {error}")).into_iter().collect()
}

fn only(rows: BTreeMap<LabelSet, f64>) -> Option<f64> {
    assert!(rows.len() <= 1, "{rows:?}");
    rows.into_values().next()
}

fn close(left: Option<f64>, right: Option<f64>, share: f64) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => (left - right).abs() <= share * left.abs().max(right.abs()) + 1e-12,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

const SPAN_MS: i64 = 120_000;

fn points(value: impl Strategy<Value = f64>) -> impl Strategy<Value = Vec<Point>> {
    prop::collection::vec((0u8..4, 0i64..SPAN_MS, value), 1..120)
}

/// Each series' points by time, one per time.
fn by_series(points: &[Point]) -> BTreeMap<u8, BTreeMap<i64, f64>> {
    let mut all: BTreeMap<u8, BTreeMap<i64, f64>> = BTreeMap::new();
    for (series, at, value) in points {
        all.entry(*series).or_default().entry(*at).or_insert(*value);
    }
    all
}

/// The samples of `(end - window, end]`.
fn inside(samples: &BTreeMap<i64, f64>, end: i64, window: i64) -> Vec<(i64, f64)> {
    samples.range(end - window + 1..=end).map(|(at, value)| (*at, *value)).collect()
}

/// `rate` as Prometheus describes it, written down without any shortcut.
fn naive_rate(samples: &[(i64, f64)], start: i64, end: i64) -> Option<f64> {
    if samples.len() < 2 {
        return None;
    }
    let seconds = |millis: i64| millis as f64 / 1000.0;
    let ((first_at, first), (last_at, last)) = (samples[0], samples[samples.len() - 1]);
    let mut increase = last - first;
    for pair in samples.windows(2) {
        if pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let sampled = seconds(last_at - first_at);
    let between = sampled / (samples.len() - 1) as f64;
    let (mut before, mut after) = (seconds(first_at - start), seconds(end - last_at));
    if before >= between * 1.1 {
        before = between / 2.0;
    }
    if increase > 0.0 && first >= 0.0 {
        before = before.min(sampled * first / increase);
    }
    if after >= between * 1.1 {
        after = between / 2.0;
    }
    Some(increase * (sampled + before + after) / sampled / seconds(end - start))
}

fn naive_quantile(q: f64, mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = q * values.len().checked_sub(1)? as f64;
    let (lower, upper) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
    Some(lower + (upper - lower) * rank.fract())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn samples(points in points((0u32..1000).prop_map(f64::from)), end in 0..SPAN_MS + 60_000, window in 1_000i64..90_000) {
        let (engine, _dir) = engine(SeriesKind::Samples(MetricType::Untyped), &points);
        let over = |head: &str| only(ask(&engine, &format!("{head} over {window}ms"), end));
        let all = by_series(&points);
        let rates = all.values().filter_map(|samples| naive_rate(&inside(samples, end, window), end - window, end));
        let sum = rates.fold(None, |sum: Option<f64>, rate| Some(sum.unwrap_or(0.0) + rate));
        let answer = over("rate m");
        prop_assert!(close(answer, sum, 1e-9), "rate: {answer:?} {sum:?}");
        let answer = only(ask(&engine, &format!("sum(rate(m[{window}ms]))"), end));
        prop_assert!(close(answer, sum, 1e-9), "sum(rate): {answer:?} {sum:?}");

        let values: Vec<f64> = all.values().flat_map(|samples| inside(samples, end, window)).map(|(_, v)| v).collect();
        let count = Some(values.len() as f64).filter(|count| *count > 0.0);
        prop_assert_eq!(over("count m"), count);
        prop_assert_eq!(over("max m"), values.iter().copied().reduce(f64::max));
        let answer = over("p90 m");
        prop_assert!(close(answer, naive_quantile(0.9, values.clone()), 1e-9));
        let average = count.map(|count| values.iter().sum::<f64>() / count);
        prop_assert!(close(over("avg m"), average, 1e-9));

        // The newest value within five minutes, by a label.
        for (group, total) in ask(&engine, "sum m by g", end) {
            let mine = all.iter().filter(|(series, _)| group.get("g") == Some((*series % 2).to_string().as_str()));
            let newest = mine.filter_map(|(_, samples)| samples.range(..=end).next_back()).map(|(_, value)| value);
            prop_assert!(close(Some(total), Some(newest.sum()), 1e-9));
        }
    }

    #[test]
    fn increments(points in points((1u32..20).prop_map(f64::from)), end in 0..SPAN_MS + 60_000, window in 1i64..90) {
        let (engine, _dir) = engine(SeriesKind::Increments, &points);
        let over = |head: &str| only(ask(&engine, &format!("{head} over {window}s"), end));
        // Seconds as the engine counts them: an event belongs to the second that ends at or after it.
        let second = |millis: i64| (millis + 999) / 1000;
        let last = second(end);
        let mut seconds: BTreeMap<(u8, i64), f64> = BTreeMap::new();
        for (series, at, count) in &points {
            *seconds.entry((*series, second(*at))).or_default() += count;
        }
        let seen: Vec<u8> = (0..4).filter(|series| points.iter().any(|(s, at, _)| s == series && second(*at) <= last)).collect();
        let events: Vec<f64> = seconds.iter().filter(|((_, at), _)| *at > last - window && *at <= last).map(|(_, n)| *n).collect();
        let any = |value: f64| (!seen.is_empty()).then_some(value);
        let sum: f64 = events.iter().sum();
        prop_assert_eq!(over("sum m"), any(sum));
        prop_assert!(close(over("rate m"), any(sum / window as f64), 1e-9));
        prop_assert_eq!(only(ask(&engine, &format!("sum(increase(m[{window}s]))"), end)), any(sum));
        let total: f64 = seconds.iter().filter(|((_, at), _)| *at <= last).map(|(_, n)| n).sum();
        prop_assert_eq!(only(ask(&engine, "sum m", end)), any(total));

        let mut every = events.clone();
        every.resize(seen.len() * window as usize, 0.0);
        prop_assert_eq!(over("max m"), every.iter().copied().reduce(f64::max));
        prop_assert_eq!(over("min m"), every.iter().copied().reduce(f64::min));
        prop_assert_eq!(over("count m"), any(every.len() as f64));
        prop_assert!(close(over("p75 m"), naive_quantile(0.75, every), 1e-9));
    }

    #[test]
    fn distributions(points in points(0.1f64..1e6), end in 0..SPAN_MS + 60_000, window in 1i64..90) {
        let (engine, _dir) = engine(SeriesKind::Distribution, &points);
        let over = |head: &str| only(ask(&engine, &format!("{head} over {window}s"), end));
        let second = |millis: i64| (millis + 999) / 1000;
        let last = second(end);
        let seen = points.iter().any(|(_, at, _)| second(*at) <= last);
        let mut values: Vec<f64> = points.iter()
            .filter(|(_, at, _)| second(*at) > last - window && second(*at) <= last)
            .map(|(_, _, value)| *value)
            .collect();
        values.sort_by(f64::total_cmp);
        prop_assert_eq!(over("count m"), seen.then_some(values.len() as f64));
        prop_assert!(close(over("sum m"), seen.then_some(values.iter().sum()), 1e-9));
        prop_assert!(close(over("max m"), values.last().copied(), 1e-9));
        for (percentile, q) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)] {
            // The smallest value with at least that share at or below it.
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len().max(1));
            let answer = over(&format!("{percentile} m"));
            prop_assert!(close(answer, values.get(rank - 1).copied(), 0.01), "{percentile}: {answer:?} of {values:?}");
        }
    }

    /// Every step of a range is what an instant evaluation gives at that time.
    #[test]
    fn ranges_are_instants(
        points in points((0u32..100).prop_map(f64::from)),
        kind in prop::sample::select(vec![SeriesKind::Samples(MetricType::Untyped), SeriesKind::Increments]),
        start in 0i64..60_000,
        step in 500i64..20_000,
        on_all_cores: bool,
        text in prop::sample::select(vec![
            "sum m", "rate m over 30s by g", "p90 m over 20s", "max m over 15s by s", "m", "rate(m[30s])", "sum by (g) (m)",
            "avg_over_time(m[20s] offset 5s)", "topk(2, m)", "m > 50", "m - on(s) m offset 10s", "sum_over_time(m[30s:7s])",
            "m or vector(1)", "absent(m > 90)", "max_over_time(sum(m)[1m:10s]) - m @ 60", "delta(m[1m])", "changes(m[40s])",
            "avg m over 20s by g", "quantile(0.4, m) / scalar(count(m))", "timestamp(m)", "last_over_time(m[25s]) unless m < 20", "deriv(m[50s])",
        ]),
    ) {
        let (engine, _dir) = engine(kind, &points);
        let query = parse(text).expect("valid");
        let steps = RangeSteps { start: Timestamp::from_millis(start), end: Timestamp::from_millis(start + step * 12), step_ms: step };
        let one_core_for = if on_all_cores { Duration::ZERO } else { Duration::MAX };
        let limits = Limits { one_core_for, ..Limits::default() };
        let rows = evaluate_range(&query, &engine, steps, &limits).expect("evaluates");
        for index in 0..=12 {
            let at = start + step * index;
            let column: BTreeMap<LabelSet, u64> = rows.iter()
                .filter_map(|(labels, values)| {
                    let (_, value) = values.iter().find(|(time, _)| time.millis() == at)?;
                    Some((labels.clone(), value.to_bits()))
                })
                .collect();
            let instant: BTreeMap<LabelSet, u64> = ask(&engine, text, at).into_iter().map(|(l, v)| (l, v.to_bits())).collect();
            prop_assert_eq!(column, instant, "{} at {}", text, at);
        }
    }
}

#[test]
fn limits_stop_an_evaluation() {
    let points: Vec<Point> = (0..2000).map(|at| (0, at * 10, 1.0)).collect();
    let (engine, _dir) = engine(SeriesKind::Samples(MetricType::Untyped), &points);
    let at = Timestamp::from_millis(20_000);
    let run = |text: &str, limits: &Limits| evaluate_instant(&parse(text).expect("valid"), &engine, at, limits);
    let few = Limits { samples_max: 1000, ..Limits::default() };
    assert_eq!(run("sum m over 1m", &few), Err(EvalError::Samples { limit: 1000 }));
    let small = Limits { memory_max_bytes: 100_000, ..Limits::default() };
    assert_eq!(
        run("p50 m over 1m", &Limits { memory_max_bytes: 10_000, ..small.clone() }),
        Err(EvalError::Memory { limit: 10_000 })
    );
    assert!(matches!(run("sum_over_time(vector(1)[1d:1ms])", &small), Err(EvalError::Memory { .. })));
    let cancelled = Limits::default();
    cancelled.cancel.cancel();
    assert_eq!(run("m", &cancelled), Err(EvalError::Cancelled));
    let timeout = Duration::ZERO;
    assert_eq!(run("m", &Limits { timeout, ..Limits::default() }), Err(EvalError::Timeout { timeout }));
    let range = |end: i64, step_ms: i64| {
        let steps = RangeSteps { start: Timestamp::from_millis(0), end: Timestamp::from_millis(end), step_ms };
        evaluate_range(&parse("m").expect("valid"), &engine, steps, &Limits::default())
    };
    assert!(matches!(range(11_000, 1), Err(EvalError::Steps { steps: 11_001, limit: 11_000 })));
    assert!(matches!(range(-1, 1), Err(EvalError::Range { .. })));
    assert!(matches!(range(1, 0), Err(EvalError::Range { .. })));
    assert!(range(i64::MAX, i64::MAX).is_ok());
}

/// The deepest queries that are read are evaluated on any thread, however small its stack is.
#[test]
fn deep_queries_are_evaluated() {
    let (engine, _dir) = engine(SeriesKind::Samples(MetricType::Untyped), &[(0, 60_000, 1.0)]);
    let chain = format!("{}m", "m + ".repeat(DEPTH_MAX - 1));
    assert_eq!(value_on_a_small_stack(&engine, &chain), Some(DEPTH_MAX as f64));
    for (open, close) in
        [("abs(", ")"), ("(", ")"), ("sum by (g) (", ")"), ("max_over_time(", "[2m:1m])"), ("m + (", ")")]
    {
        let levels = BRACKETS_MAX - 2;
        let text = format!("{}m{}", open.repeat(levels), close.repeat(levels));
        assert!(value_on_a_small_stack(&engine, &text).is_some(), "{open}");
    }
}

fn value_on_a_small_stack(engine: &Engine, text: &str) -> Option<f64> {
    let query = parse(text).expect("a query");
    let evaluate = || evaluate_instant(&query, engine, Timestamp::from_millis(60_000), &Limits::default());
    let values = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, evaluate);
        thread.expect("a thread").join().expect("it ends")
    });
    only(values.expect("a result").into_iter().collect())
}
