//! Single records to `/data/`, answered only when a search finds them.

use std::time::Instant;

use super::single::requests;
use crate::Options;

/// One connection, one after another.
pub fn run(_: &Options) {
    let server = crate::start("");
    let mut client = server.client();
    let mut times: Vec<f64> = requests("/data/", 5000, 7)
        .iter()
        .map(|request| {
            let sent = Instant::now();
            let answer = client.call(request);
            assert_eq!(answer.status, 201, "{}", answer.text());
            sent.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    println!(
        "{} records: p50 {:.2} ms, p99 {:.2} ms",
        times.len(),
        crate::percentile(&mut times, 0.5),
        crate::percentile(&mut times, 0.99)
    );
}
