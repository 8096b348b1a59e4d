//! The series that are sent: those of a fleet of instances, each with eleven to thirteen labels.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use watchfire_test_support::remote_write::{http_request, labels, put_series};

use crate::peer::Peer;

/// Distance of a series' samples.
pub const STEP_MS: i64 = 15_000;
/// Series of a request, each with one sample, as scrapes give them.
const SERIES_PER_REQUEST: usize = 2_000;
/// Connections that send beside each other, each with series of its own.
const SENDERS: usize = 2;

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

/// All series, and when their first sample is.
pub struct Load {
    series: Vec<Series>,
    pub first_ms: i64,
    pub samples: usize,
}

struct Series {
    labels: Vec<u8>,
    grows: bool,
}

impl Load {
    /// So many series with so many samples each, the last one now.
    pub fn new(series: usize, samples: usize) -> Load {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
        let first_ms = now - (samples as i64 - 1) * STEP_MS;
        Load { series: (0..series).map(series_of).collect(), first_ms, samples }
    }

    /// How many samples there are.
    pub fn total(&self) -> usize {
        self.series.len() * self.samples
    }

    /// When the last sample is.
    pub fn last_ms(&self) -> i64 {
        self.first_ms + (self.samples as i64 - 1) * STEP_MS
    }

    /// Sends all of it in the order of time, over two connections.
    pub fn send(self: &Arc<Self>, peer: &Peer) {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (load, mut client) = (Arc::clone(self), peer.client());
                std::thread::spawn(move || {
                    for step in 0..load.samples {
                        for (number, part) in load.series.chunks(SERIES_PER_REQUEST).enumerate() {
                            if number % SENDERS == sender {
                                let first = number * SERIES_PER_REQUEST;
                                let answer = client.call(&load.request(part, first, step));
                                assert!(matches!(answer.status, 200 | 204), "{}: {}", answer.status, answer.text());
                            }
                        }
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("every request is taken");
        }
    }

    fn request(&self, part: &[Series], first: usize, step: usize) -> Vec<u8> {
        let at = self.first_ms + step as i64 * STEP_MS;
        let mut request = Vec::with_capacity(part.len() * 420);
        for (number, series) in part.iter().enumerate() {
            put_series(&series.labels, &[(at, value(first + number, step, series.grows))], &mut request);
        }
        http_request(&request)
    }
}

fn series_of(number: usize) -> Series {
    let metric = METRICS[number % METRICS.len()];
    let instance = number / METRICS.len();
    let text = |name: &str, value: usize| format!("{name}-{value}");
    let (host, pod) = (format!("10.0.{}.{}:9100", instance / 250 % 250, instance % 250), text("pod", instance));
    let (cluster, zone) = (text("cluster", instance % 3), text("zone", instance % 5));
    let (team, service) = (text("team", instance % 12), text("service", instance % 40));
    let (node, version) = (text("node", instance % 200), format!("v1.{}.0", instance % 7));
    let (route, code) = (format!("/api/v1/items/{}", instance % 20), ["200", "404", "500"][instance % 3]);
    let mut pairs = vec![
        ("__name__", metric),
        ("cluster", &cluster),
        ("container", "main"),
        ("env", "production"),
        ("instance", &host),
        ("job", "bench"),
        ("namespace", &team),
        ("node", &node),
        ("pod", &pod),
        ("service", &service),
        ("zone", &zone),
    ];
    if metric.starts_with("http") {
        pairs.extend([("code", code), ("route", route.as_str())]);
    } else if number.is_multiple_of(2) {
        pairs.push(("version", &version));
    }
    pairs.sort_unstable();
    Series { labels: labels(pairs), grows: metric.ends_with("_total") }
}

/// The value of a series at a step: the same for every program.
fn value(number: usize, step: usize, grows: bool) -> f64 {
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
