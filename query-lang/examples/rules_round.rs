//! Measures one round of 10,000 short rules over 10,000 series, as issue 3 asks for: at most 1 s of one core.
//!
//! `cargo run --release -p watchfire-query-lang --example rules_round`

use std::time::Instant;

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Limits, Query, RangeSteps, evaluate_instant, evaluate_range, parse};

const SERIES: usize = 10_000;
/// The end of the loaded hour, milliseconds.
const NOW_MS: i64 = 1_700_000_000_000;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let now = Timestamp::from_millis(NOW_MS);
    let (engine, _) = Engine::open(EngineConfig::new(dir.path()), now).expect("an empty engine opens");
    load(&engine, "requests_total", SeriesKind::Samples(MetricType::Counter), 15_000);
    load(&engine, "log_events_total", SeriesKind::Increments, 15_000);
    load(&engine, "request_duration_ms", SeriesKind::Distribution, 60_000);

    for pattern in [
        "rate requests_total service=s{}",
        "sum requests_total service=s{} over 5m",
        "p95 requests_total service=s{} over 5m",
        "max requests_total service=s{}",
        "rate log_events_total service=s{}",
        "sum log_events_total service=s{} over 5m by service",
        "sum log_events_total service=s{}",
        "max log_events_total service=s{} over 5m",
        "p95 request_duration_ms service=s{} over 5m",
        "sum by (service) (rate(requests_total{service=\"s{}\"}[5m])) > 100",
    ] {
        let queries: Vec<Query> =
            (0..SERIES).map(|at| parse(&pattern.replace("{}", &at.to_string())).expect("valid")).collect();
        round(&engine, &queries, now);
        let started = Instant::now();
        let values = round(&engine, &queries, now);
        println!("{:>7.1} ms  {values:>6} values  {pattern}", started.elapsed().as_secs_f64() * 1e3);
    }
    let started = Instant::now();
    for at in 0..SERIES {
        parse(&format!("rate error_count service=s{at}")).expect("valid");
    }
    println!("{:>7.2} µs  to read a short query", started.elapsed().as_secs_f64() * 1e6 / SERIES as f64);

    let steps = RangeSteps { start: now.plus_millis(-3_600_000), end: now, step_ms: 15_000 };
    for text in [
        "sum by (shard) (rate(requests_total[5m]))",
        "rate(requests_total[5m])",
        "sum(requests_total)",
        "avg by (shard) (requests_total)",
        "sum requests_total over 5m",
        "sum log_events_total over 5m by shard",
        "sum(rate(requests_total[5m]))",
        "max by (shard) (requests_total)",
    ] {
        let query = parse(text).expect("valid");
        let started = Instant::now();
        let rows = evaluate_range(&query, &engine, steps, &Limits::default()).expect("evaluates");
        println!(
            "{:>7.1} ms  {:>6} series  an hour of 241 steps over 10,000 series: {text}",
            started.elapsed().as_secs_f64() * 1e3,
            rows.len()
        );
    }
}

fn round(engine: &Engine, queries: &[Query], now: Timestamp) -> usize {
    let limits = Limits::default();
    queries.iter().map(|query| evaluate_instant(query, engine, now, &limits).expect("evaluates").len()).sum()
}

/// An hour of points in each of the series.
fn load(engine: &Engine, metric: &str, kind: SeriesKind, every_ms: i64) {
    for first in (0..SERIES).step_by(1000) {
        let mut batch = SampleBatch::new(Timestamp::from_millis(NOW_MS));
        for at in first..first + 1000 {
            let (service, shard) = (format!("s{at}"), (at % 10).to_string());
            let labels =
                [("__name__", metric), ("service", service.as_str()), ("shard", shard.as_str()), ("level", "error")];
            let series = batch.series(kind, &LabelSet::from_pairs(labels).expect("valid"));
            for step in 0..3_600_000 / every_ms {
                batch.push(
                    series,
                    Timestamp::from_millis(NOW_MS - 3_600_000 + (step + 1) * every_ms),
                    (step * 7 % 100) as f64 + step as f64,
                );
            }
        }
        engine.append_samples(&batch).expect("taken");
    }
}
