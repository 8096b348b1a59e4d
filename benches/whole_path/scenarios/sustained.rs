//! 100,000 lines a second while searches and queries run: do they keep up?

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::burst::{report, send_bodies};
use crate::Options;

const LINES_PER_SECOND: u64 = 100_000;

/// A search and a query each 200 ms beside the load.
pub fn run(options: &Options) {
    let server = crate::start("");
    let done = AtomicBool::new(false);
    let (load, mut searches, mut worst_lag) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut client = server.client();
            let (mut times, mut worst_lag) = (Vec::new(), 0f64);
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                client.get("/api/v1/logs/search?q=level:error%20service:api&start=5m&limit=100");
                client.get("/api/v1/metrics/query?query=rate%20log_events_total%20by%20service");
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                let health = client.get("/api/v1/health");
                worst_lag = worst_lag.max(health["components"]["queue"]["lag_s"].as_f64().unwrap_or(0.0));
                std::thread::sleep(Duration::from_millis(200));
            }
            (times, worst_lag)
        });
        let load = send_bodies(&server, options.duration, LINES_PER_SECOND);
        done.store(true, Ordering::Relaxed);
        let (times, worst_lag) = reader.join().expect("the reader ends");
        (load, times, worst_lag)
    });
    worst_lag = worst_lag.max(0.0);
    println!(
        "search and query together: median {:.1} ms, p95 {:.1} ms; worst lag {worst_lag:.2} s",
        crate::percentile(&mut searches, 0.5),
        crate::percentile(&mut searches, 0.95)
    );
    report(server, &load);
}
