//! Single records to `/data/`, answered only when a search finds them.

use std::time::Instant;

use super::single::requests;
use crate::Options;
use crate::client::Client;
use crate::server::Server;

/// One connection, one after another.
pub fn run(_: &Options) {
    let server = Server::start("");
    let mut client = Client::new(server.address);
    let mut times: Vec<f64> = requests("/data/", 5000, 7)
        .iter()
        .map(|request| {
            let sent = Instant::now();
            let (status, body) = client.call(request);
            assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
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
