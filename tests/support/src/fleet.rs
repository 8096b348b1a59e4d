//! The series of a fleet of instances, each with ten metrics of eleven to thirteen labels: what benches measure with.

use watchfire_model::LabelSet;

/// Distance of a series' samples, milliseconds.
pub const STEP_MS: i64 = 15_000;

/// Metrics of an instance; those that end on `_total` only grow.
pub const METRICS: [&str; 10] = [
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

/// The label set of a series, by its number.
pub fn labels_of(number: usize) -> LabelSet {
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

/// Whether a series only grows.
pub fn grows(labels: &LabelSet) -> bool {
    labels.metric_name().ends_with("_total")
}

/// The value of a series at a step: the same for every program.
pub fn value(number: usize, step: usize, grows: bool) -> f64 {
    let mut state = (number as u64) << 20 | step as u64;
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let noise = (state >> 40) as f64 / (1u64 << 24) as f64;
    if grows {
        // Grows by a rate of its own, with jitter, in whole numbers.
        ((number % 97 + 1) as f64 * (step as f64 + noise)).floor()
    } else {
        let wave = (step as f64 / 20.0 + number as f64).sin();
        ((50.0 + 20.0 * wave + 5.0 * noise) * 100.0).round() / 100.0
    }
}
