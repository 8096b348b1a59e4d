//! The rules that watch the server itself (`rules/examples/own_health.json`), fired by what they are for. A full disk
//! fires the others, in `full_disk.rs`; retention has a timeline in `rules`, and a test in `log-store`.

use std::time::Duration;

use serde_json::json;
use watchfire_model::Timestamp;
use watchfire_test_support::rules::own_health;
use watchfire_test_support::{Server, WebhookReceiver};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// Beside what else stands there, the rules without their patience, and a receiver.
fn config(hook: &WebhookReceiver, rules: &std::path::Path, more: &str) -> String {
    std::fs::write(rules, own_health(&[]).to_string()).expect("the file can be written");
    hook.alerting(rules) + more
}

#[test]
fn storage_that_fails_is_told_and_its_end_too() {
    let (hook, rules) = (WebhookReceiver::start(), tempfile::NamedTempFile::new().expect("a file"));
    let server = Server::start(BINARY, &config(&hook, rules.path(), "logs: {seal_after: 1s}\n"));
    // Where the folder of the day should be is a file. (Of three days, should midnight be near.)
    let days = [-1, 0, 1].map(|day| Timestamp::now().plus_millis(day * 86_400_000).to_rfc3339());
    let in_the_way = days.map(|day| server.data().join("logs").join(day.get(..10).expect("a date")));
    in_the_way.iter().filter(|path| !path.exists()).for_each(|path| std::fs::write(path, b"").expect("writable"));
    assert_eq!(server.client().post("/ingest", "application/json", r#"{"message":"x"}"#).status, 202);
    let firing = hook.wait_for("failing storage", |delivery| {
        delivery.body["commonLabels"]["alertname"] == "WatchfireStorageFailing"
    });
    assert_eq!(firing.body["commonLabels"]["part"], "log_store", "{}", firing.body);
    assert_eq!(server.client().get("/api/v1/health")["components"]["log_store"]["status"], "degraded");
    in_the_way.iter().filter(|path| path.is_file()).for_each(|path| std::fs::remove_file(path).expect("removed"));
    hook.wait_for("its end", |delivery| {
        delivery.body["commonLabels"]["alertname"] == "WatchfireStorageFailing" && delivery.body["status"] == "resolved"
    });
}

#[test]
fn memory_near_its_limit_is_told() {
    let (hook, rules) = (WebhookReceiver::start(), tempfile::NamedTempFile::new().expect("a file"));
    let server = Server::start(BINARY, &config(&hook, rules.path(), "metrics: {port: 0, memory_limit: 4MiB}\n"));
    let mut client = server.client();
    for part in 0..20 {
        let series: Vec<_> = (0..1000)
            .map(|at| json!({"name": "many", "value": at, "type": "gauge", "labels": {"at": format!("{part}-{at}")}}))
            .collect();
        // Past the limit further series are refused.
        client.post("/api/v1/metrics", "application/json", serde_json::Value::Array(series).to_string());
    }
    let told = hook.wait_for("memory", |delivery| delivery.body["commonLabels"]["alertname"] == "WatchfireMemory");
    assert_eq!(told.body["status"], "firing");
    assert_eq!(hook.next(Duration::ZERO).map(|more| more.body["commonLabels"]["alertname"].clone()), None);
}
