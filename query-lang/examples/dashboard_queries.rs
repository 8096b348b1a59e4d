//! Time of the queries of `benches/peers/queries.txt` over series like those of its load, without a server around them: the
//! best and the mean of some rounds, and what all cores together took of CPU time in the mean.
//!
//! `cargo run --release -p watchfire-query-lang --example dashboard_queries [PART OF A QUERY] [TIMES] [MS ON ONE CORE]`
//!
//! A query that is none of those is asked over the range. `inf` as the last keeps it on one core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Asked, Limits, RangeSteps, answer, parse};
use watchfire_test_support::fleet::{self, STEP_MS};
use watchfire_test_support::process;

const QUERIES: &str = include_str!("../../benches/peers/queries.txt");
const SERIES: usize = 10_000;
const SAMPLES: usize = 360;
const RANGE_MS: i64 = 3_600_000;
/// The time of the last sample.
const NOW_MS: i64 = 1_700_000_000_123;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next().unwrap_or_default();
    let times: i64 = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(40);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (engine, _) = Engine::open(EngineConfig::new(dir.path()), Timestamp::from_millis(NOW_MS)).expect("it opens");
    load(&engine);
    let mut limits = Limits::default();
    if let Some(alone) = arguments.next().and_then(|alone| alone.parse::<f64>().ok()) {
        limits.one_core_for = Duration::try_from_secs_f64(alone / 1e3).unwrap_or(Duration::MAX);
    }
    let (mut logs, mut many) = (0.0, 0.0);
    let all = QUERIES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    let mut queries: Vec<_> = all.filter(|(_, text)| text.contains(&part)).collect();
    if queries.is_empty() {
        queries.push(("range", &part));
    }
    for (form, text) in queries {
        let mut best = f64::INFINITY;
        let mut total = 0.0;
        let mut cpu = 0.0;
        for shift in 0..times {
            let end = Timestamp::from_millis(NOW_MS - shift);
            let asked = match form {
                "range" => Asked::Range(RangeSteps { start: end.plus_millis(-RANGE_MS), end, step_ms: STEP_MS }),
                _ => Asked::Instant(end),
            };
            let (begun, cpu_begun) = (Instant::now(), process::cpu(std::process::id()));
            let query = parse(text).expect("a query");
            black_box(answer(&query, &engine, asked, &limits).expect("an answer"));
            let took = begun.elapsed().as_secs_f64() * 1e3;
            if shift > 0 {
                best = took.min(best);
                total += took;
                cpu += (process::cpu(std::process::id()) - cpu_begun).as_secs_f64() * 1e3;
            }
        }
        let rounds = (times - 1) as f64;
        println!("{best:>9.3} {:>9.3} {:>9.3} ms  {form} {text}", total / rounds, cpu / rounds);
        logs += f64::ln(best);
        many += 1.0;
    }
    println!("{:>9.3} ms in the geometric mean", f64::exp(logs / many));
}

fn load(engine: &Engine) {
    let labels: Vec<LabelSet> = (0..SERIES).map(fleet::labels_of).collect();
    for step in 0..SAMPLES {
        let at = Timestamp::from_millis(NOW_MS - (SAMPLES - 1 - step) as i64 * STEP_MS);
        for (part, labels) in labels.chunks(2000).enumerate() {
            let mut batch = SampleBatch::new(at);
            for (place, labels) in labels.iter().enumerate() {
                let number = part * 2000 + place;
                let series = batch.series(SeriesKind::Samples(MetricType::Gauge), labels);
                batch.push(series, at, fleet::value(number, step, fleet::grows(labels)));
            }
            engine.append_samples(&batch).expect("taken");
        }
    }
}
