//! Walks through many records: page by page and as a stream, while others are stored, in bounded memory, and not
//! longer than somebody listens.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// The records' times are fixed ones.
const KEPT: &str = "logs: {retention_days: 36500}\n";
/// Records before a walk begins.
const BEFORE: u64 = 6_000;
const LINES: &str = "Accept: application/x-ndjson";

fn body(ids: std::ops::Range<u64>) -> String {
    // Times lie in and beside one another, as those of several hosts do.
    let second = |id: u64| id * 7919 % 3000;
    let line = |id: u64| {
        let time = format!("2026-03-01T10:{:02}:{:02}Z", second(id) / 60, second(id) % 60);
        format!("{{\"id\":\"w{id}\",\"message\":\"step {id}\",\"service\":\"walk\",\"timestamp\":\"{time}\"}}\n")
    };
    ids.map(line).collect()
}

fn store(client: &mut Client, ids: std::ops::Range<u64>) {
    let answer = client.post("/ingest", "application/x-ndjson", body(ids));
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn count_ids<'a>(records: impl IntoIterator<Item = &'a Value>, counts: &mut HashMap<String, u64>) {
    for record in records {
        *counts.entry(record["id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
}

/// Every record from before is there once, and nothing twice.
fn check_counts(counts: &HashMap<String, u64>, what: &str) {
    for id in 0..BEFORE {
        assert_eq!(counts.get(&format!("w{id}")), Some(&1), "w{id} in {what}");
    }
    assert!(counts.values().all(|count| *count == 1), "a record twice in {what}");
}

/// Stores records for as long as `work` takes.
fn under_load(server: &Server, next: &AtomicU64, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = server.client();
            while !done.load(Ordering::Acquire) {
                let first = next.fetch_add(20, Ordering::Relaxed);
                store(&mut client, first..first + 20);
            }
        });
        // Set also when a check fails, or the load would go on for ever.
        struct Done<'d>(&'d AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let _done = Done(&done);
        work();
    });
}

#[test]
fn each_record_once_while_others_arrive() {
    let server = Server::start(BINARY, KEPT);
    let mut client = server.client();
    for first in (0..BEFORE).step_by(2000) {
        store(&mut client, first..first + 2000);
    }
    server.wait_drained();
    let next = AtomicU64::new(BEFORE);
    let search = "/api/v1/logs/search?service=walk&start=2026-01-01";
    for order in ["desc", "asc"] {
        under_load(&server, &next, || {
            let mut counts = HashMap::new();
            let mut cursor = String::new();
            loop {
                let path = format!("{search}&order={order}&limit=777&buckets=0&cursor={}", encode(&cursor));
                let page = client.get(&path);
                count_ids(page["logs"].as_array().expect("a list"), &mut counts);
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
            }
            check_counts(&counts, "pages");
        });
        under_load(&server, &next, || {
            let path = format!("{search}&order={order}");
            let answer = client.call(&Client::request("GET", &path, &[LINES], b""));
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
            let text = answer.text();
            let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
            let mut counts = HashMap::new();
            count_ids(&records, &mut counts);
            check_counts(&counts, "a stream");
            let times: Vec<&str> = records.iter().map(|record| record["timestamp"].as_str().expect("a time")).collect();
            let ordered = if order == "asc" { times.is_sorted() } else { times.iter().rev().is_sorted() };
            assert!(ordered, "a stream in order {order}");
        });
    }
    // So many as are asked for, over more pages than one.
    let path = format!("{search}&limit=4500");
    assert_eq!(client.call(&Client::request("GET", &path, &[LINES], b"")).text().lines().count(), 4500);
    let sorted = format!("{search}&sort=-seq&limit=3");
    assert_eq!(client.call(&Client::request("GET", &sorted, &[LINES], b"")).text().lines().count(), 3);
    let wrong = client.call(&Client::request("GET", &format!("{search}&q=%28"), &[LINES], b""));
    assert_eq!((wrong.status, &wrong.json()["error"]), (400, &Value::from("query_parse")));
}

#[test]
fn a_cursor_is_refused_in_another_search() {
    let server = Server::start(BINARY, KEPT);
    let mut client = server.client();
    store(&mut client, 0..50);
    server.wait_drained();
    let same = "q=step+timestamp:%3E2000d&service=walk&start=2026-01-01&limit=5";
    let first = client.get(&format!("/api/v1/logs/search?{same}"));
    let cursor = first["next_cursor"].as_str().expect("more than one page").to_owned();
    let next = client.get(&format!("/api/v1/logs/search?{same}&cursor={cursor}"));
    assert_eq!((next["logs"].as_array().map(Vec::len), &next["total"]), (Some(5), &Value::from(50)));
    for other in [
        "q=step+timestamp:%3E2000d&service=walk&start=2026-01-02&limit=5",
        "q=step+timestamp:%3E2000d&service=walk&start=2026-01-01&end=now&limit=5",
        "q=step+timestamp:%3E2000d&service=walk&limit=5",
        "q=step+timestamp:%3E1999d&service=walk&start=2026-01-01&limit=5",
        "q=step+timestamp:%3E2000d&start=2026-01-01&limit=5",
        "q=step+timestamp:%3E2000d&service=walk&start=2026-01-01&limit=5&order=asc",
    ] {
        let refused = client.try_get(&format!("/api/v1/logs/search?{other}&cursor={cursor}"));
        assert_eq!((refused.status, &refused.json()["error"]), (400, &Value::from("bad_parameter")), "{other}");
        assert!(refused.text().contains("another search"), "{other}: {}", refused.text());
    }
}

#[test]
fn a_stream_holds_little_and_ends_with_its_reader() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    // 60 records of nearly 1 MB: more than a page may hold.
    let large = "large ".repeat(160_000);
    for id in 0..60 {
        let record = format!("{{\"id\":\"l{id}\",\"message\":\"{large}\",\"service\":\"large\"}}");
        assert_eq!(client.post("/ingest", "application/json", record).status, 202);
    }
    server.wait_drained();
    let request = Client::request("GET", "/api/v1/logs/search?service=large", &[LINES], b"");
    let all = client.call(&request);
    assert_eq!(all.text().lines().count(), 60);
    let before = server.memory_mib("VmRSS");
    // Readers that take a little and then nothing: each holds a page or two, not the answer.
    let mut stuck: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for reader in &mut stuck {
        reader.send(&request).expect("it reads");
        let mut some = [0; 4096];
        let count = reader.stream().read(&mut some).expect("it answers");
        assert!(some[..count].starts_with(b"HTTP/1.1 200"));
    }
    let held = server.memory_mib("VmRSS") - before;
    assert!(held < 480.0, "eight readers hold {held} MiB");
    drop(stuck);
    assert_eq!(client.call(&request).text().lines().count(), 60, "those that have left keep nothing from others");
}
