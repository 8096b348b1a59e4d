//! The two that are asked: our engine in this process, and a Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{Histogram, LabelSet, Timestamp};
use watchfire_query_lang::{Answer, Asked, EvalError, Limits, Outcome, PointValue, Query, RangeSteps, answer};
use watchfire_test_support::prometheus::{Prometheus, Written, call};
use watchfire_test_support::{Client, Program};

use crate::data::{START_MS, STEP_MS, STEPS, Series};

/// When a query is asked for, in milliseconds from the first sample.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// At one time.
    Instant(i64),
    /// Start, end and step.
    Range(i64, i64, i64),
}

impl When {
    /// The times of the query of this number.
    pub fn of(index: usize) -> [When; 2] {
        let index = i64::try_from(index).expect("few queries");
        let span = STEPS * STEP_MS;
        // Between samples mostly, on them every fourth time, and past the end at times.
        let at = (index * 7_919_113) % (span + 600_000);
        let at = if index % 4 == 0 { at / STEP_MS * STEP_MS } else { at };
        let start = (index * 1_299_709) % (span / 2);
        let start = if index % 3 == 0 { start / 60_000 * 60_000 } else { start };
        let step = [15_000, 30_000, 60_000, 61_001, 300_000][(index % 5) as usize];
        [When::Instant(at), When::Range(start, start + 11 * step + 500, step)]
    }
}

/// Series by their labels: times and values.
pub type Rows = Vec<(BTreeMap<String, String>, Vec<(i64, Point)>)>;

/// What a series has at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    Float(f64),
    /// Count, sum, and of each bucket which bounds belong to it, its bounds and its count.
    Histogram(f64, f64, Vec<(u8, [f64; 3])>),
}

impl Point {
    fn of(histogram: &Histogram) -> Point {
        let buckets = histogram.buckets().filter(|bucket| bucket.count != 0.0).map(|bucket| {
            let which = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            (which, [bucket.lower, bucket.upper, bucket.count])
        });
        Point::Histogram(histogram.count(), histogram.sum(), buckets.collect())
    }

    /// The number; NaN of a histogram.
    pub fn number(&self) -> f64 {
        if let Point::Float(value) = self { *value } else { f64::NAN }
    }
}

/// An answer of either.
pub enum Got {
    /// Type, series in the order given, warnings and infos, and samples looked at and read at each step.
    Value(String, Rows, Vec<String>, Vec<[u64; 2]>),
    /// A text.
    Text(String),
    /// The query cannot be read.
    BadQuery(String),
    /// It cannot be evaluated.
    Failed(String),
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Got::Value(_, rows, notes, _) => write!(f, "{}: {rows:?} {notes:?}", self.kind()),
            Got::Text(text) | Got::BadQuery(text) | Got::Failed(text) => {
                write!(f, "{}: {text:?}", self.kind())
            }
        }
    }
}

impl Got {
    /// For counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Got::Value(kind, rows, ..) if rows.is_empty() && kind != "scalar" => "empty",
            Got::Value(kind, ..) if kind == "matrix" => "matrix",
            Got::Value(kind, ..) if kind == "vector" => "vector",
            Got::Value(..) => "scalar",
            Got::Text(_) => "text",
            Got::BadQuery(_) => "bad query",
            Got::Failed(_) => "failed",
        }
    }
}

/// Our engine.
pub struct Ours {
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Ours {
    /// An engine with these series.
    pub fn new(all: &[Series]) -> Ours {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = EngineConfig::new(folder.path());
        (config.out_of_order_ms, config.retention_ms, config.memory_ms) = (i64::MAX / 4, i64::MAX / 4, i64::MAX / 4);
        let end = Timestamp::from_millis(START_MS + STEPS * STEP_MS);
        let (engine, _) = Engine::open(config, end).expect("an empty engine opens");
        let mut batch = SampleBatch::new(end);
        let mut count = 0;
        for Series { labels, samples, histograms } in all {
            let labels = LabelSet::from_pairs(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let series = batch.series(SeriesKind::Samples(MetricType::Untyped), &labels.expect("valid"));
            for (at, value) in samples {
                batch.push(series, Timestamp::from_millis(*at), *value);
                count += 1;
            }
            for (at, histogram) in histograms {
                batch.push_native(series, Timestamp::from_millis(*at), histogram.clone());
                count += 1;
            }
        }
        let report = engine.append_samples(&batch).expect("the samples are taken");
        assert_eq!(report.accepted, count, "{report:?}");
        Ours { engine, _folder: folder }
    }

    /// Evaluated in parts, as where there are many series, it is the same.
    fn check_parts(&self, query: &Query, asked: Asked, whole: &Result<Answer, EvalError>) {
        for part_bytes in [0, 3000] {
            let parts = answer(query, &self.engine, asked, &Limits { part_bytes, ..Limits::default() });
            // Long grids are not cut down to single steps.
            if part_bytes == 0 && matches!(parts, Err(EvalError::Memory { .. })) {
                continue;
            }
            let shown = |answer: &Result<Answer, EvalError>| match answer {
                Ok(answer) => {
                    let mut notes = answer.notes.clone();
                    // The largest and the smallest of a parameter are those of each part.
                    notes.warnings.retain(|note| !note.contains("value should be between"));
                    format!("{:?} {notes:?}", answer.outcome)
                }
                // Of several series that cannot be told apart the one is named that is met first, which depends on the parts.
                Err(EvalError::Labels { .. }) => "labels that are there twice".to_owned(),
                Err(error) => error.to_string(),
            };
            let (parts, whole) = (shown(&parts), shown(whole));
            assert!(parts == whole, "{} in parts of {part_bytes} bytes:\n{parts}\ninstead of\n{whole}", query.text());
        }
    }

    /// Evaluated on all cores, however little there is to do, it is the same: values, notes, failures and what was read.
    fn check_cores(&self, query: &Query, asked: Asked, whole: &Result<Answer, EvalError>) {
        let limits = Limits { one_core_for: Duration::ZERO, by_step: true, ..Limits::default() };
        let on_all = answer(query, &self.engine, asked, &limits);
        let (on_all, whole) = (format!("{on_all:?}"), format!("{whole:?}"));
        assert!(on_all == whole, "{} on all cores:\n{on_all}\ninstead of\n{whole}", query.text());
    }

    /// Evaluates a query.
    pub fn ask(&self, text: &str, when: When) -> Got {
        let query = match Query::parse(text) {
            Ok(query) => query,
            Err(error) => return Got::BadQuery(error.to_string()),
        };
        let at = |millis: i64| Timestamp::from_millis(START_MS + millis);
        let (asked, end) = match when {
            When::Instant(millis) => (Asked::Instant(at(millis)), at(millis)),
            When::Range(start, end, step_ms) => {
                (Asked::Range(RangeSteps { start: at(start), end: at(end), step_ms }), at(end))
            }
        };
        let whole = answer(&query, &self.engine, asked, &Limits { by_step: true, ..Limits::default() });
        self.check_parts(&query, asked, &whole);
        self.check_cores(&query, asked, &whole);
        let answer = match whole {
            Ok(answer) => answer,
            // Prometheus looks at the type of a range query before it evaluates it.
            Err(error @ (EvalError::Type { .. } | EvalError::Query(_))) => return Got::BadQuery(error.to_string()),
            Err(error) => return Got::Failed(error.to_string()),
        };
        let pairs =
            |labels: &LabelSet| labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut notes = answer.notes.warnings;
        notes.extend(answer.notes.infos);
        let counts = answer.by_step.map_or_else(Vec::new, |by_step| {
            by_step.queryable.into_iter().zip(by_step.read).map(|(queryable, read)| [queryable, read]).collect()
        });
        match answer.outcome {
            Outcome::Text(text) => Got::Text(text),
            Outcome::Scalar(value) => {
                let points = vec![(end.millis(), Point::Float(value))];
                Got::Value("scalar".to_owned(), vec![(BTreeMap::new(), points)], notes, counts)
            }
            Outcome::Vector(rows) => {
                let point = |value: &PointValue| match value {
                    PointValue::Float(value) => Point::Float(*value),
                    PointValue::Histogram(histogram) => Point::of(histogram),
                };
                let rows = rows.iter().map(|(labels, value)| (pairs(labels), vec![(end.millis(), point(value))]));
                Got::Value("vector".to_owned(), rows.collect(), notes, counts)
            }
            Outcome::Matrix(rows) => {
                let rows = rows.into_iter().map(|series| {
                    let floats = series.values.into_iter().map(|(at, value)| (at.millis(), Point::Float(value)));
                    let histograms = series.histograms.iter().map(|(at, shown)| (at.millis(), Point::of(shown)));
                    (pairs(&series.labels), floats.chain(histograms).collect())
                });
                Got::Value("matrix".to_owned(), rows.collect(), notes, counts)
            }
        }
    }
}

/// A Prometheus.
pub struct Theirs {
    client: Client,
    _prometheus: Prometheus,
}

impl Theirs {
    /// One with these series, written in the order of time.
    pub fn new(program: &Program, all: &[Series]) -> Theirs {
        let prometheus = Prometheus::start(program);
        // Of a piece it takes the floats of a series first: none has floats between histograms.
        let piece_ms = 5 * 60_000;
        for piece in 0..=(STEPS * STEP_MS / piece_ms) {
            let inside = |at: &i64| (at - START_MS) / piece_ms == piece;
            let part = |series: &Series| {
                let samples: Vec<(i64, f64)> = series.samples.iter().filter(|(at, _)| inside(at)).copied().collect();
                samples
            };
            let written: Vec<Written> = all
                .iter()
                .map(|series| Written {
                    labels: series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
                    samples: part(series),
                    histograms: series.histograms.iter().filter(|(at, _)| inside(at)).cloned().collect(),
                })
                .filter(|series| !series.samples.is_empty() || !series.histograms.is_empty())
                .collect();
            if !written.is_empty() {
                prometheus.write(&written);
            }
        }
        Theirs { client: prometheus.client(), _prometheus: prometheus }
    }

    /// Asks it over HTTP.
    pub fn ask(&mut self, query: &str, when: When) -> Got {
        let seconds = |millis: i64| format!("{}.{:03}", (START_MS + millis) / 1000, (START_MS + millis) % 1000);
        let (answer, json) = match when {
            When::Instant(at) => {
                call(&mut self.client, "/api/v1/query", &[("query", query), ("time", &seconds(at)), ("stats", "all")])
            }
            When::Range(start, end, step) => call(
                &mut self.client,
                "/api/v1/query_range",
                &[
                    ("query", query),
                    ("start", &seconds(start)),
                    ("end", &seconds(end)),
                    ("step", &format!("{}.{:03}", step / 1000, step % 1000)),
                    ("stats", "all"),
                ],
            ),
        };
        let error = || json["error"].as_str().unwrap_or_default().to_owned();
        match json["errorType"].as_str() {
            None if answer.status == 200 => {}
            Some("bad_data") => return Got::BadQuery(error()),
            Some("execution") => return Got::Failed(error()),
            other => panic!("{query}: {other:?} {}", answer.text()),
        }
        let texts = |name: &str| -> Vec<String> {
            json[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut notes = texts("warnings");
        notes.extend(texts("infos"));
        let samples = &json["data"]["stats"]["samples"];
        let [queryable, read] = ["totalQueryableSamplesPerStep", "samplesReadPerStep"].map(|name| {
            let steps = samples[name].as_array().into_iter().flatten();
            steps.map(|step| step[1].as_u64().expect("a number")).collect::<Vec<_>>()
        });
        let counts: Vec<[u64; 2]> =
            queryable.into_iter().zip(read).map(|(queryable, read)| [queryable, read]).collect();
        let kind = json["data"]["resultType"].as_str().unwrap_or_default().to_owned();
        let result = &json["data"]["result"];
        if kind == "string" {
            return Got::Text(result[1].as_str().unwrap_or_default().to_owned());
        }
        if kind == "scalar" {
            return Got::Value(kind, vec![(BTreeMap::new(), vec![point(result)])], notes, counts);
        }
        let rows = result.as_array().into_iter().flatten().map(|row| {
            let labels = row["metric"].as_object().into_iter().flatten();
            let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
            let list = |name: &str| row[name].as_array().into_iter().flatten();
            let mut points: Vec<(i64, Point)> = list("values").chain(list("histograms")).map(point).collect();
            let single = [&row["value"], &row["histogram"]].into_iter().filter(|point| !point.is_null());
            if kind == "vector" {
                points = single.map(point).collect();
            }
            (labels.collect(), points)
        });
        let rows = rows.collect();
        Got::Value(kind, rows, notes, counts)
    }
}

fn point(point: &Value) -> (i64, Point) {
    let at = (point[0].as_f64().expect("a time") * 1000.0).round() as i64;
    let number = |value: &Value| value.as_str().expect("a value").parse::<f64>().expect("a number");
    if !point[1].is_object() {
        return (at, Point::Float(number(&point[1])));
    }
    let histogram = &point[1];
    let buckets = histogram["buckets"].as_array().into_iter().flatten().map(|bucket| {
        let which = bucket[0].as_u64().and_then(|which| u8::try_from(which).ok()).expect("a kind of bounds");
        (which, [number(&bucket[1]), number(&bucket[2]), number(&bucket[3])])
    });
    (at, Point::Histogram(number(&histogram["count"]), number(&histogram["sum"]), buckets.collect()))
}
