//! NDJSON bodies of 1 MB over four connections, as fast as durable answers come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Options;
use watchfire_test_support::Server;
use watchfire_test_support::lines::{self, Body, Random};
use watchfire_test_support::server::disk_bytes;

const CONNECTIONS: u64 = 4;
const BODY_BYTES: usize = 1_000_000;

/// What a load of bodies came to.
pub struct Load {
    /// Lines answered as accepted.
    pub lines: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// From the first send to the last answer.
    pub wall: Duration,
}

/// Sends bodies for a time, at most `rate` lines a second (0 = as fast as it goes).
pub fn send_bodies(server: &Server, duration: Duration, rate: u64) -> Load {
    let (sent_lines, sent_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (sent_lines, sent_bytes) = (&sent_lines, &sent_bytes);
            scope.spawn(move || {
                let mut random = Random::new(connection + 1);
                // Enough different lines that no block of the store meets one twice.
                let mut bodies: Vec<Body> = (0..16).map(|_| Body::new(&mut random, BODY_BYTES)).collect();
                let mut client = server.client();
                let mut next = 0;
                while begun.elapsed() < duration {
                    if rate > 0 {
                        let due = sent_lines.load(Ordering::Relaxed) as f64 / rate as f64;
                        let ahead = due - begun.elapsed().as_secs_f64();
                        if ahead > 0.0 {
                            std::thread::sleep(Duration::from_secs_f64(ahead));
                        }
                    }
                    let body = &mut bodies[next];
                    next = (next + 1) % 16;
                    body.stamp(&lines::now());
                    let head = format!(
                        "POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n\
                         Content-Length: {}\r\n\r\n",
                        body.bytes.len()
                    );
                    let sent = client.send(head.as_bytes()).and_then(|()| client.send(&body.bytes));
                    let answer = sent.and_then(|()| client.receive()).expect("the server answers");
                    assert_eq!(answer.status, 202, "{}", answer.text());
                    sent_lines.fetch_add(body.times.len() as u64, Ordering::Relaxed);
                    sent_bytes.fetch_add(body.bytes.len() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    let (lines, bytes) = (sent_lines.into_inner(), sent_bytes.into_inner());
    Load { lines, bytes, wall: begun.elapsed() }
}

/// Prints what a load cost, until everything is searchable, counted, sealed and merged.
pub fn report(server: Server, load: &Load) {
    let at_answer = server.cpu();
    let drained = Instant::now();
    server.wait_drained();
    let (lag, peak) = (drained.elapsed(), server.memory_mib("VmHWM"));
    let mut client = server.client();
    let found = client.get("/api/v1/logs/search?start=6h&limit=1&buckets=0&q=-service:watchfire");
    assert_eq!(found["total"], load.lines, "every acknowledged line is found, once");
    let counted = client.get("/api/v1/metrics/query?query=sum%20log_events_total%20service!%3Dwatchfire");
    assert_eq!(counted["value"], load.lines as f64, "every acknowledged line is counted, once");
    let (folder, cpu) = server.stop();
    let million = load.lines as f64 / 1e6;
    let data = folder.path().join("data");
    println!(
        "{:.0} lines/s ({:.0} B each) for {:.1} s; server CPU {:.2} s per million until answered, {:.2} s all told; \
         consumers behind by {:.1} s at the end; {:.1} B/line in the log store, {:.1} in the engine; peak RSS {peak:.0} MiB",
        load.lines as f64 / load.wall.as_secs_f64(),
        load.bytes as f64 / load.lines as f64,
        load.wall.as_secs_f64(),
        at_answer.as_secs_f64() / million,
        cpu.as_secs_f64() / million,
        lag.as_secs_f64(),
        disk_bytes(&data.join("logs")) as f64 / load.lines as f64,
        disk_bytes(&data.join("engine")) as f64 / load.lines as f64,
    );
}

/// As fast as it goes.
pub fn run(options: &Options) {
    let server = crate::start("");
    let load = send_bodies(&server, options.duration, 0);
    report(server, &load);
}
