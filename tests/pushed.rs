//! Pushed series with long labels: memory keeps to its limit, and showing them takes none.

use std::fmt::Write;
use std::time::{Duration, Instant};

use watchfire_test_support::{Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const LIMIT_MIB: f64 = 64.0;
/// What caches and the allocator take beside the series.
const BESIDE_MIB: f64 = 20.0;
/// What may be taken at most beside them: bodies on their way, and values that move to where there is more room for them, which the
/// allocator gives back a second later.
const MOVING_MIB: f64 = 56.0;
/// What showing all of them may take, never the text of all.
const SHOWING_MIB: f64 = 16.0;
const PER_BODY: usize = 500;
/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body of series, each of a label that no other has: of a long value or of a long name.
fn body(first: usize, is_name: bool) -> String {
    let mut body = String::new();
    for number in first..first + PER_BODY {
        let text = format!("t{number:08}{}", "x".repeat(991));
        let (name, value) = if is_name { (text.as_str(), "v") } else { ("user", text.as_str()) };
        // Writing to a string cannot fail.
        let _ = writeln!(body, "{{\"name\":\"pushed\",\"value\":1,\"labels\":{{\"{name}\":\"{value}\"}}}}");
    }
    body
}

/// Pushes until a body is refused as a whole; gives how many series were taken.
fn fill(client: &mut Client, is_name: bool) -> u64 {
    let mut taken = 0;
    for first in (0..).step_by(PER_BODY) {
        let answer = client.post("/api/v1/metrics", "application/x-ndjson", body(first, is_name));
        match answer.status {
            202 => taken += answer.json()["accepted"].as_u64().expect("a number"),
            status => {
                assert_eq!(status, 400, "{}", answer.text());
                assert!(answer.text().contains("metrics.memory_limit"), "{}", answer.text());
                break;
            }
        }
    }
    taken
}

/// Waits until no more than so much is resident.
fn wait_for_less(server: &Server, most: f64) {
    let begun = Instant::now();
    while server.memory_mib("VmRSS") > most {
        assert!(begun.elapsed() < PATIENCE, "{:.0} MiB instead of {most:.0}", server.memory_mib("VmRSS"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn long_labels_keep_to_the_memory_limit_and_are_shown_in_pieces() {
    for is_name in [false, true] {
        let server = Server::start(BINARY, &format!("metrics: {{port: 0, memory_limit: {LIMIT_MIB:.0}MiB}}\n"));
        let mut client = server.client();
        let before = server.memory_mib("VmRSS");
        let taken = fill(&mut client, is_name);
        let filled = server.memory_mib("VmHWM");
        println!("{taken} series, {before:.0} MiB before, {filled:.0} at most (names: {is_name})");
        assert!(taken > 10_000, "{taken}");
        assert!(filled - before < LIMIT_MIB * 1.2 + MOVING_MIB, "{before:.0} MiB before, {filled:.0} at most");
        wait_for_less(&server, before + LIMIT_MIB * 1.2 + BESIDE_MIB);
        let shown = client.try_get("/metrics").text();
        assert_eq!(shown.lines().filter(|line| line.starts_with("pushed{")).count() as u64, taken);
        let after = server.memory_mib("VmHWM");
        println!("{after:.0} MiB at most after {} MiB were shown", shown.len() >> 20);
        assert!(after - filled < SHOWING_MIB, "{filled:.0} MiB, {after:.0} after {} MiB were shown", shown.len() >> 20);
    }
}
