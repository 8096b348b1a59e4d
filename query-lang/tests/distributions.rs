//! Distributions in PromQL: native histograms whose quantiles lie within 3 % of the exact ones.

use std::time::Duration;

use watchfire_engine::{Engine, EngineConfig, MetricType, Observation, SampleBatch, SeriesKind, SourcePosition};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Asked, Limits, Outcome, PointValue, RangeSteps, answer, evaluate_instant, parse};

/// The time of the newest observation, on a whole second.
const NOW: i64 = 1_700_000_000_000;
/// Observations of each service; no share of them that is asked for is a whole number.
const MANY: usize = 20_011;

/// Numbers by chance in (0, 1), always the same.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

/// A value of a service: milliseconds with a long tail, microseconds evenly, or two humps far apart.
fn value(service: &str, chance: &mut Chance) -> f64 {
    let (first, second) = (chance.next(), chance.next());
    match service {
        "api" => 20.0 * (-first.ln()).powf(2.0),
        "db" => 0.001 + first * 0.05,
        _ if second < 0.97 => 100.0 + 10.0 * first,
        _ => 30_000.0 + 5000.0 * first,
    }
}

const SERVICES: [&str; 3] = ["api", "db", "web"];

/// An engine with five minutes of observations, and the values of each service, ascending.
fn engine(dir: &std::path::Path) -> (Engine, Vec<Vec<f64>>) {
    let (engine, _) = Engine::open(EngineConfig::new(dir), Timestamp::from_millis(NOW)).expect("opens");
    let mut chance = Chance(7);
    let mut all = Vec::new();
    let source = SourcePosition { queue: "logs".into(), epoch: 1, partition: 0, first_offset: 0, next_offset: 1 };
    let mut derived = watchfire_engine::Derived::new(source);
    for service in SERVICES {
        let mut values = Vec::with_capacity(MANY);
        for number in 0..MANY {
            let route = if number % 3 == 0 { "/a" } else { "/b" };
            let labels = [("__name__", "request_duration_ms"), ("service", service), ("route", route)];
            let labels = LabelSet::from_pairs(labels).expect("valid");
            let at = Timestamp::from_millis(NOW - (number as i64 * 299_000 / MANY as i64));
            let value = value(service, &mut chance);
            values.push(value);
            derived.observations.push(Observation { labels, at, value, late: false });
        }
        values.sort_by(f64::total_cmp);
        all.push(values);
    }
    engine.apply(&derived).expect("applies");
    (engine, all)
}

fn ask(engine: &Engine, text: &str, at: i64) -> Vec<(LabelSet, f64)> {
    let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let rows = evaluate_instant(&query, engine, Timestamp::from_millis(at), &Limits::default());
    rows.unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn exact(sorted: &[f64], q: f64) -> f64 {
    // 0.999 of 20,000 is 19,980, whatever the product is rounded to.
    sorted[((q * sorted.len() as f64 - 1e-6).ceil() as usize).clamp(1, sorted.len()) - 1]
}

#[test]
fn both_languages_are_within_three_percent_of_the_exact_quantile() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, all) = engine(dir.path());
    let mut worst: f64 = 0.0;
    for percent in ["1", "25", "50", "75", "90", "95", "99", "99.9"] {
        let q: f64 = percent.parse::<f64>().expect("a number") / 100.0;
        let promql = format!("histogram_quantile({q}, sum by (service) (rate(request_duration_ms[5m])))");
        let short = format!("p{percent} request_duration_ms over 5m by service");
        let at = "histogram_quantile(".len() + q.to_string().len();
        assert_eq!(promql.as_bytes()[at], b',');
        for text in [&promql, &short] {
            let rows = ask(&engine, text, NOW);
            assert_eq!(rows.len(), SERVICES.len(), "{text}");
            for ((service, sorted), (labels, value)) in SERVICES.iter().zip(&all).zip(rows) {
                assert_eq!(labels.get("service"), Some(*service));
                let wanted = exact(sorted, q);
                let error = (value / wanted - 1.0).abs();
                assert!(error <= 0.03, "{text} of {service}: {value}, exact is {wanted}");
                worst = worst.max(error);
            }
        }
    }
    println!("the worst is {:.2} % away", worst * 100.0);
    // All services together.
    let mut together: Vec<f64> = all.concat();
    together.sort_by(f64::total_cmp);
    for text in ["p99 request_duration_ms over 5m", "histogram_quantile(0.99, sum(rate(request_duration_ms[5m])))"] {
        let rows = ask(&engine, text, NOW);
        let wanted = exact(&together, 0.99);
        assert!((rows[0].1 / wanted - 1.0).abs() <= 0.03, "{text}: {rows:?}, exact is {wanted}");
    }
}

#[test]
fn windows_are_exact_and_all_else_is_a_running_total() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, all) = engine(dir.path());
    let one = |text: &str, at: i64| {
        let rows = ask(&engine, text, at);
        assert_eq!(rows.len(), 1, "{text} has {} rows", rows.len());
        rows[0].1
    };
    let many = (MANY * SERVICES.len()) as f64;
    let day = 86_400_000;
    for (text, at, wanted) in [
        ("histogram_count(sum(increase(request_duration_ms[5m])))", NOW, many),
        ("histogram_count(sum(rate(request_duration_ms[5m])))", NOW, many / 300.0),
        ("histogram_count(sum(request_duration_ms))", NOW, many),
        ("sum(histogram_count(request_duration_ms))", NOW, many),
        // Quiet, not gone.
        ("histogram_count(sum(increase(request_duration_ms[5m])))", NOW + 600_000, 0.0),
        ("histogram_count(sum(request_duration_ms))", NOW + 600_000, many),
        ("histogram_count(sum(request_duration_ms offset 10m))", NOW + 600_000, many),
        ("count(request_duration_ms)", NOW, 6.0),
        ("count(rate(request_duration_ms[5m]))", NOW + day / 2, 6.0),
        ("max(resets(request_duration_ms[5m]))", NOW, 0.0),
        ("histogram_count(sum(request_duration_ms) - sum(request_duration_ms offset 1h))", NOW + 3_600_000, 0.0),
        ("histogram_count(2 * sum(request_duration_ms))", NOW, 2.0 * many),
        ("histogram_count(sum(last_over_time(request_duration_ms[5m])))", NOW, many),
        ("histogram_count(sum(request_duration_ms @ 1699999000)) or vector(-1)", NOW, -1.0),
        ("histogram_count(sum(max_over_time(histogram_count(request_duration_ms)[5m:1m]))) or vector(-1)", NOW, -1.0),
        ("sum(max_over_time(histogram_count(request_duration_ms)[5m:1m]))", NOW + 60_000, many),
    ] {
        let value = one(text, at);
        assert!((value - wanted).abs() <= 1e-9 * wanted.abs(), "{text}: {value}, not {wanted}");
    }
    // Absent before the first observation, and a window after a day without any.
    assert!(ask(&engine, "request_duration_ms", NOW - 400_000).is_empty());
    assert!(ask(&engine, "rate(request_duration_ms[5m])", NOW + day + 600_000).is_empty());
    let sum: f64 = all.concat().iter().sum();
    let close = |text: &str, wanted: f64| {
        let value = one(text, NOW);
        assert!((value / wanted - 1.0).abs() < 0.02, "{text}: {value}, not {wanted}");
    };
    close("histogram_sum(sum(increase(request_duration_ms[5m])))", sum);
    close("histogram_avg(sum(rate(request_duration_ms[5m])))", sum / many);
    close("histogram_fraction(-Inf, 100, sum(rate(request_duration_ms{service=\"api\"}[5m])))", {
        all[0].iter().filter(|value| **value <= 100.0).count() as f64 / MANY as f64
    });
    let mean = all[0].iter().sum::<f64>() / MANY as f64;
    let variance = all[0].iter().map(|value| (value - mean).powi(2)).sum::<f64>() / MANY as f64;
    close("histogram_stddev(sum(rate(request_duration_ms{service=\"api\"}[5m])))", variance.sqrt());
    // What has no use for histograms leaves them out.
    assert!(ask(&engine, "abs(request_duration_ms)", NOW).is_empty());
    assert!(ask(&engine, "request_duration_ms > 1", NOW).is_empty());
}

#[test]
fn answers_hold_histograms() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = engine(dir.path());
    let query = parse("sum by (service) (rate(request_duration_ms[5m]))").expect("valid");
    let limits = Limits::default();
    let at = Timestamp::from_millis(NOW);
    let got = answer(&query, &engine, Asked::Instant(at), &limits).expect("evaluates");
    let Outcome::Vector(rows) = got.outcome else { panic!("not a vector") };
    assert!(rows.iter().all(|(_, value)| matches!(value, PointValue::Histogram(_))));
    let steps = RangeSteps { start: at.plus_millis(-60_000), end: at, step_ms: 15_000 };
    let got = answer(&query, &engine, Asked::Range(steps), &limits).expect("evaluates");
    let Outcome::Matrix(rows) = got.outcome else { panic!("not a matrix") };
    assert!(rows.iter().all(|series| series.values.is_empty() && series.histograms.len() == 5));
    // The samples of a range are running totals.
    let query = parse("request_duration_ms{service=\"db\",route=\"/a\"}[10s]").expect("valid");
    let got = answer(&query, &engine, Asked::Instant(at), &limits).expect("evaluates");
    let Outcome::Matrix(rows) = got.outcome else { panic!("not a matrix") };
    let counts: Vec<f64> = rows[0].histograms.iter().map(|(_, histogram)| histogram.count()).collect();
    assert!(counts.len() == 10 && counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
}

#[test]
fn floats_beside_histograms_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = engine(dir.path());
    let at = Timestamp::from_millis(NOW);
    let mut batch = SampleBatch::new(at);
    let labels = LabelSet::from_pairs([("__name__", "depth"), ("service", "api")]).expect("valid");
    let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels);
    batch.push(series, at, 5.0);
    engine.append_samples(&batch).expect("taken");
    for (text, note) in [
        ("sum({service=\"api\"})", "encountered a mix of histograms and floats for aggregation (1:5)"),
        ("max({service=\"api\"})", "ignored histogram in max aggregation (1:5)"),
        ("topk(1, {service=\"api\"})", "ignored histogram in topk aggregation (1:1)"),
        (
            "request_duration_ms + 1",
            "incompatible sample types encountered for binary operator \"+\": histogram + float (1:1)",
        ),
        ("irate(request_duration_ms[5m]) < bool 1", "\"<\": histogram < float"),
        (
            "idelta(request_duration_ms[5m])",
            "this native histogram metric is not a gauge: \"request_duration_ms\" (1:8)",
        ),
    ] {
        let query = parse(text).expect("valid");
        let notes = answer(&query, &engine, Asked::Instant(at), &Limits::default()).expect("evaluates").notes;
        let all = [notes.warnings, notes.infos].concat();
        assert!(all.iter().any(|have| have.contains(note)), "{text}: {all:?}");
    }
}

#[test]
fn on_all_cores_answers_are_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let (engine, _) = engine(dir.path());
    let end = Timestamp::from_millis(NOW);
    let steps = Asked::Range(RangeSteps { start: end.plus_millis(-300_000), end, step_ms: 7_000 });
    for text in [
        "p99 request_duration_ms over 1m by service",
        "rate request_duration_ms over 30s",
        "avg request_duration_ms over 1m by route",
        "max request_duration_ms over 20s",
        "rate(request_duration_ms[1m])",
        "histogram_quantile(0.9, sum by (service) (rate(request_duration_ms[1m])))",
        "histogram_fraction(0, 100, sum by (route) (increase(request_duration_ms[1m])))",
        "avg(request_duration_ms)",
        "max_over_time(histogram_count(request_duration_ms)[1m:10s])",
        "sum_over_time(rate(request_duration_ms[1m])[1m:20s])",
    ] {
        let query = parse(text).expect("valid");
        let [alone, on_all] = [Duration::MAX, Duration::ZERO].map(|one_core_for| {
            let limits = Limits { one_core_for, ..Limits::default() };
            answer(&query, &engine, steps, &limits).expect("evaluates")
        });
        assert!(alone == on_all, "{text}");
        assert!(matches!(&alone.outcome, Outcome::Matrix(rows) if !rows.is_empty()), "{text} has values");
    }
}
