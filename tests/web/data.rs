//! Records and rules that give every view something to show.

use serde_json::{Value, json};
use tempfile::TempDir;
use watchfire_test_support::Server;
use watchfire_test_support::lines::Random;

use crate::BINARY;

const SERVICES: [&str; 6] = ["api", "web", "auth", "db", "worker", "billing"];
const MESSAGES: [&str; 5] =
    ["request finished", "page rendered", "token issued", "job retried after timeout", "invoice sent"];
/// Records that are sent.
pub const RECORDS: usize = 1500;
/// Every how many of them one is an error.
const ERROR_EACH: usize = 10;
/// Milliseconds between two records.
const APART_MS: i64 = 2000;

/// A server with fifty minutes of records of six services, and rules of which one fires; with the folder of its rules.
pub fn server() -> (Server, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.json");
    let rules = json!([
        {"name": "ErrorsToday", "query": "sum log_events_total by service level=error", "threshold": 5, "operator": ">", "duration": "0s",
         "labels": {"severity": "critical"}, "annotations": {"summary": "{{ $labels.service }} had {{ $value }} errors"}},
        {"name": "SlowForLong", "query": "p95 request_duration_ms over 1h", "threshold": 1, "operator": ">", "duration": "2h", "labels": {"severity": "warning"}},
        {"name": "DiskFull", "query": "max watchfire_disk_used_ratio", "threshold": 2, "operator": ">", "duration": "1m"},
    ]);
    std::fs::write(&file, rules.to_string()).expect("the folder can be written");
    let recording = folder.path().join("recording.yml");
    let text = "groups:\n- {name: totals, rules: [{record: \"service:errors:rate5m\", expr: \"sum by (service) (rate(error_count[5m]))\"}]}\n";
    std::fs::write(&recording, text).expect("the folder can be written");
    let server = Server::start(
        BINARY,
        &format!("alerting:\n  rules_path: [{}, {}]\n  check_interval: 200ms\n", file.display(), recording.display()),
    );
    fill(&server);
    (server, folder)
}

/// Sends the records and waits until all of them are counted.
fn fill(server: &Server) {
    let now = now_ms();
    let mut random = Random::new(7);
    let records: Vec<Value> = (0..RECORDS)
        .map(|at| {
            let service = SERVICES[at % SERVICES.len()];
            let (level, message) = match at {
                _ if at % ERROR_EACH == 0 => ("error", "connection refused to db-1:5432".to_owned()),
                _ if at % 7 == 0 => ("warn", "slow query on table orders".to_owned()),
                _ => ("info", format!("{} {}", MESSAGES[at % MESSAGES.len()], random.below(9000))),
            };
            json!({
                "timestamp": now - APART_MS * (RECORDS - at) as i64, "level": level, "service": service, "message": message,
                "host": format!("node-{}", random.below(3)), "duration_ms": 5 + random.below(300), "route": "/v1/orders",
                "correlation_id": format!("c{at}"), "user_id": format!("u{}", random.below(50)), "region": "eu-1",
            })
        })
        .collect();
    let answer = server.client().post("/ingest", "application/json", Value::Array(records).to_string());
    assert_eq!(answer.status, 202, "{}", answer.text());
    server.wait_drained();
}

/// Now, in milliseconds since the epoch.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the year 292,000,000")
}
