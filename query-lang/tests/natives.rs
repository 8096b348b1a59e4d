//! The short form over native histograms that are ordinary samples: what it gives is what the PromQL that is shown gives.

#[path = "differential/chance.rs"]
mod chance;
#[path = "differential/data.rs"]
mod data;

use std::sync::Arc;
use std::time::Duration;

use data::{START_MS, STEP_MS, STEPS};
use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Answer, Asked, EvalError, Limits, LocalMetrics, MetricsRead, Outcome, RangeSteps, parse};

/// An engine that holds the generated series.
fn engine(dir: &std::path::Path) -> Engine {
    let end = Timestamp::from_millis(START_MS + STEPS * STEP_MS);
    let (engine, _) = Engine::open(EngineConfig::new(dir), end).expect("opens");
    for data::Series { labels, samples, histograms } in data::series() {
        let labels = LabelSet::from_pairs(labels).expect("valid");
        let mut batch = SampleBatch::new(end);
        let series = batch.series(SeriesKind::Samples(MetricType::Untyped), &labels);
        // One after the other, as a sender comes upon them.
        let mut all: Vec<_> = samples.into_iter().map(|(at, value)| (at, Ok(value))).collect();
        all.extend(histograms.into_iter().map(|(at, histogram)| (at, Err(histogram))));
        all.sort_by_key(|(at, _)| *at);
        for (at, value) in all {
            match value {
                Ok(value) => batch.push(series, Timestamp::from_millis(at), value),
                Err(histogram) => batch.push_native(series, Timestamp::from_millis(at), histogram),
            }
        }
        engine.append_samples(&batch).expect("taken");
    }
    engine
}

fn at(step: i64) -> Timestamp {
    Timestamp::from_millis(START_MS + step * STEP_MS)
}

/// Times at which the mixed series holds numbers, histograms or both, and one at which all are gone.
fn times() -> Vec<Asked> {
    let mut times: Vec<Asked> =
        [5, 30, 42, 61, 75, 119, 245, 260, 333, 470, 700].map(|step| Asked::Instant(at(step))).into();
    for (start, end, step_ms) in [(0, 480, 61_001), (22, 38, 15_000), (40, 200, 150_000), (300, 520, 30_000)] {
        times.push(Asked::Range(RangeSteps { start: at(start), end: at(end), step_ms }));
    }
    times
}

fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for metric in ["native", "native_gauge", "native_custom", "native_mixed", "native_mixed job=api"] {
        for by in ["", " by job"] {
            for op in ["count", "sum", "avg", "min", "max", "rate", "p0", "p50", "p99.9"] {
                for over in ["", " over 10m"] {
                    queries.push(format!("{op} {metric}{over}{by}"));
                }
            }
        }
    }
    queries
}

/// An answer without the places of its notes, which are those of another text.
fn placed_nowhere(answer: Result<Answer, EvalError>, text: &str) -> Answer {
    let mut answer = answer.unwrap_or_else(|error| panic!("{text}: {error}"));
    for note in answer.notes.warnings.iter_mut().chain(&mut answer.notes.infos) {
        note.truncate(note.rfind(" (").unwrap_or(note.len()));
    }
    answer
}

fn is_empty(answer: &Answer) -> bool {
    match &answer.outcome {
        Outcome::Vector(rows) => rows.is_empty(),
        Outcome::Matrix(rows) => rows.is_empty(),
        Outcome::Scalar(_) | Outcome::Text(_) => false,
    }
}

#[test]
fn the_short_form_gives_what_its_promql_gives() {
    let dir = tempfile::tempdir().expect("a folder");
    let metrics = LocalMetrics::new(Arc::new(engine(dir.path())));
    let (mut same, mut refused, mut floats) = (0, 0, 0);
    for text in queries() {
        let query = parse(&text).expect("valid");
        for asked in times() {
            let Some(promql) = metrics.promql(&query, asked) else {
                match metrics.answer(&query, asked, &Limits::default()) {
                    Err(error) => {
                        assert!(error.to_string().contains("holds native histograms"), "{text}: {error}");
                        refused += 1;
                    }
                    // Quantiles of numbers have no equivalent, and nothing that is not there.
                    Ok(answer) => {
                        let is_quantile = text.starts_with('p') && text.contains("mixed");
                        assert!(is_quantile || is_empty(&answer), "{text}, {asked:?}");
                        floats += 1;
                    }
                }
                continue;
            };
            for one_core_for in [Duration::MAX, Duration::ZERO] {
                let limits = Limits { one_core_for, ..Limits::default() };
                let ours = placed_nowhere(metrics.answer(&query, asked, &limits), &text);
                let theirs = placed_nowhere(metrics.answer(&parse(&promql).expect("valid"), asked, &limits), &promql);
                // As text, in which NaN is NaN. Of numbers alone the short form has nothing to note.
                let [ours, theirs] = [ours, theirs].map(|answer| match text.contains("mixed") {
                    true => format!("{:?}", answer.outcome),
                    false => format!("{:?} {:?}", answer.outcome, answer.notes),
                });
                assert!(ours == theirs, "{text}, {asked:?}:\n{ours}\n{promql}:\n{theirs}");
            }
            same += 1;
        }
    }
    assert!(same > 500 && refused > 100 && floats > 10, "{same} are the same, {refused} refused, {floats} of numbers");
}

#[test]
fn what_it_means_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let metrics = LocalMetrics::new(Arc::new(engine(dir.path())));
    let now = at(300);
    let ask = |text: &str| metrics.instant(&parse(text).expect("valid"), now, &Limits::default());
    for (text, promql) in [
        ("count native", "count(native)"),
        ("sum native by job", "sum by (job) (native)"),
        ("rate native over 5m", "histogram_count(sum(rate(native[5m])))"),
        ("count native over 5m", "histogram_count(sum(increase(native[5m])))"),
        ("avg native over 5m by job", "histogram_avg(sum by (job) (increase(native[5m])))"),
        ("p95 native over 5m", "histogram_quantile(0.95, sum(rate(native[5m])))"),
        ("count native_mixed", "count(native_mixed)"),
    ] {
        let shown = metrics.promql(&parse(text).expect("valid"), Asked::Instant(now));
        assert_eq!(shown.as_deref(), Some(promql), "{text}");
        let rows = ask(text).expect("evaluates");
        assert!(!rows.is_empty(), "{text} has values");
        assert_eq!(rows, ask(promql).expect("evaluates"), "{text}");
    }
    for (text, told) in [
        ("max native", "`native` holds native histograms, which have no max; ask for a quantile: `p99 native`"),
        ("min native over 5m", "`native` holds native histograms, which have no min; ask for a quantile: `p99 native`"),
        (
            "p95 native_mixed over 10m",
            "`native_mixed` holds native histograms and numbers, which have no quantile together; narrow the selection",
        ),
    ] {
        assert_eq!(ask(text).expect_err(text).to_string(), told, "{text}");
    }
}

#[test]
fn counted_series_beside_them_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = engine(dir.path());
    let now = at(300);
    let mut batch = SampleBatch::new(now);
    let labels = LabelSet::from_pairs([("__name__", "native"), ("job", "counted")]).expect("valid");
    let series = batch.series(SeriesKind::Increments, &labels);
    batch.push(series, now, 5.0);
    engine.append_samples(&batch).expect("taken");
    let metrics = LocalMetrics::new(Arc::new(engine));
    for text in ["count native", "rate native", "p95 native", "sum native over 5m"] {
        let answer = metrics.instant(&parse(text).expect("valid"), now, &Limits::default());
        let error = answer.expect_err(text).to_string();
        assert_eq!(error, "`native` holds native histograms and counted series; narrow the selection", "{text}");
    }
}
