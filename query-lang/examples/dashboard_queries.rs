//! CPU time of the queries of `benches/peers/queries.txt` over series like those of its load, without a server around them.
//!
//! `cargo run --release -p watchfire-query-lang --example dashboard_queries [PART OF A QUERY] [TIMES]`

use std::hint::black_box;
use std::time::Instant;

use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};
use watchfire_query_lang::{Asked, Limits, RangeSteps, answer, parse};

const QUERIES: &str = include_str!("../../benches/peers/queries.txt");
const SERIES: usize = 10_000;
const SAMPLES: usize = 360;
const STEP_MS: i64 = 15_000;
const RANGE_MS: i64 = 3_600_000;
/// The time of the last sample.
const NOW_MS: i64 = 1_700_000_000_123;

const METRICS: [&str; 10] = [
    "http_requests_total",
    "http_request_errors_total",
    "node_cpu_seconds_total",
    "node_network_receive_bytes_total",
    "go_gc_cycles_total",
    "process_resident_memory_bytes",
    "node_load1",
    "queue_length",
    "request_latency_seconds",
    "temperature_celsius",
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next().unwrap_or_default();
    let times: i64 = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(40);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (engine, _) = Engine::open(EngineConfig::new(dir.path()), Timestamp::from_millis(NOW_MS)).expect("it opens");
    load(&engine);
    let limits = Limits::default();
    let (mut logs, mut many) = (0.0, 0.0);
    for (form, text) in QUERIES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')) {
        if !text.contains(&part) {
            continue;
        }
        let mut best = f64::INFINITY;
        let mut total = 0.0;
        for shift in 0..times {
            let end = Timestamp::from_millis(NOW_MS - shift);
            let asked = match form {
                "range" => Asked::Range(RangeSteps { start: end.plus_millis(-RANGE_MS), end, step_ms: STEP_MS }),
                _ => Asked::Instant(end),
            };
            let begun = Instant::now();
            let query = parse(text).expect("a query");
            black_box(answer(&query, &engine, asked, &limits).expect("an answer"));
            let took = begun.elapsed().as_secs_f64() * 1e3;
            if shift > 0 {
                best = took.min(best);
                total += took;
            }
        }
        println!("{best:>9.3} {:>9.3} ms  {form} {text}", total / (times - 1) as f64);
        logs += f64::ln(best);
        many += 1.0;
    }
    println!("{:>9.3} ms in the geometric mean", f64::exp(logs / many));
}

fn load(engine: &Engine) {
    let labels: Vec<LabelSet> = (0..SERIES).map(labels_of).collect();
    for step in 0..SAMPLES {
        let at = Timestamp::from_millis(NOW_MS - (SAMPLES - 1 - step) as i64 * STEP_MS);
        for (part, labels) in labels.chunks(2000).enumerate() {
            let mut batch = SampleBatch::new(at);
            for (place, labels) in labels.iter().enumerate() {
                let number = part * 2000 + place;
                let series = batch.series(SeriesKind::Samples(MetricType::Gauge), labels);
                batch.push(series, at, value(number, step, labels.metric_name().ends_with("_total")));
            }
            engine.append_samples(&batch).expect("taken");
        }
    }
}

fn labels_of(number: usize) -> LabelSet {
    let metric = METRICS[number % METRICS.len()];
    let instance = number / METRICS.len();
    let text = |name: &str, value: usize| format!("{name}-{value}");
    let mut pairs = vec![
        ("__name__", metric.to_owned()),
        ("cluster", text("cluster", instance % 3)),
        ("container", "main".to_owned()),
        ("env", "production".to_owned()),
        ("instance", format!("10.0.{}.{}:9100", instance / 250 % 250, instance % 250)),
        ("job", "bench".to_owned()),
        ("namespace", text("team", instance % 12)),
        ("node", text("node", instance % 200)),
        ("pod", text("pod", instance)),
        ("service", text("service", instance % 40)),
        ("zone", text("zone", instance % 5)),
    ];
    if metric.starts_with("http") {
        pairs.push(("code", ["200", "404", "500"][instance % 3].to_owned()));
        pairs.push(("route", format!("/api/v1/items/{}", instance % 20)));
    } else if number.is_multiple_of(2) {
        pairs.push(("version", format!("v1.{}.0", instance % 7)));
    }
    LabelSet::from_pairs(pairs).expect("valid")
}

/// As the load of the benches has it.
fn value(number: usize, step: usize, grows: bool) -> f64 {
    let mut state = (number as u64) << 20 | step as u64;
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let noise = (state >> 40) as f64 / (1u64 << 24) as f64;
    if grows {
        ((number % 97 + 1) as f64 * (step as f64 + noise)).floor()
    } else {
        let wave = (step as f64 / 20.0 + number as f64).sin();
        ((50.0 + 20.0 * wave + 5.0 * noise) * 100.0).round() / 100.0
    }
}
