//! Processes that run only some parts of the server, one after the other on one folder.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watchfire_test_support::Server;

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let answer = server.client().post(path, "application/json", body.to_string());
    (answer.status, answer.json())
}

/// The role that an answer says is missing.
fn absent(server: &Server, path: &str) -> String {
    let answer = server.client().try_get(path);
    let body = answer.json();
    assert!(answer.status == 404 && body["error"] == "role_absent", "{path}: {} {body}", answer.status);
    body["message"].as_str().and_then(|text| text.split('`').nth(1)).unwrap_or_default().to_owned()
}

/// Asks until the answer is as wanted.
fn until(server: &Server, path: &str, wanted: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    loop {
        let answer = server.client().get(path);
        if wanted(&answer) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {answer}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_one_takes_in_another_keeps_and_counts() {
    let config = "alerting: {rules_path: rules.json, check_interval: 100ms}\n";
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.json");
    let rule =
        json!({"name": "Errors", "query": "count error_count", "threshold": 0, "operator": ">", "duration": "0s"});
    std::fs::write(&rules, rule.to_string()).expect("the folder can be written");
    let config = config.replace("rules.json", &rules.display().to_string());
    let mut server = Server::start_with(BINARY, &config, &[("WATCHFIRE_ROLES", "ingestion")]);
    for number in 0..50 {
        let record = json!({"level": "error", "service": "api", "message": format!("it burns {number}")});
        assert_eq!(post(&server, "/ingest", &record).0, 202);
    }
    // Nobody keeps records to be searched here, so nobody waits for it.
    let (status, kept) =
        post(&server, "/data/", &json!({"level": "error", "service": "api", "message": "it burns too"}));
    assert!(status == 202 && kept["id"].is_number(), "{status} {kept}");
    let health = server.client().get("/api/v1/health");
    assert_eq!((&health["roles"], &health["status"]), (&json!(["ingestion"]), &json!("ok")));
    assert_eq!(health["components"].get("alerting"), None, "nobody is told anything by it");
    assert_eq!(server.client().get("/health")["roles"], json!(["ingestion"]));
    for (path, role) in [
        ("/api/v1/logs/search", "dashboard"),
        ("/", "dashboard"),
        ("/api/v1/query?query=up", "metrics"),
        ("/api/v1/rules", "alerting"),
        ("/api/v1/alerting/alerts", "alerting"),
    ] {
        assert_eq!(absent(&server, path), role, "{path}");
    }

    server.kill();
    server.restart_with(&[("WATCHFIRE_ROLES", "metrics,dashboard")]);
    until(&server, "/api/v1/logs/search?q=burns&start=1h", |answer| answer["total"] == 51);
    until(&server, "/api/v1/metrics/query?query=sum+error_count+over+1h", |answer| answer["value"] == 51.0);
    assert_eq!(post(&server, "/ingest", &json!({"message": "x"})).1["error"], "role_absent");
    assert_eq!(post(&server, "/api/v1/metrics", &json!({"name": "pushed", "value": 1})).0, 202);
    assert_eq!(absent(&server, "/api/v1/alerts"), "alerting");

    // Both kept and counted once, also by who does everything.
    server.kill();
    server.restart_with(&[]);
    until(&server, "/api/v1/alerting/alerts", |answer| answer["alerts"][0]["status"] == "firing");
    until(&server, "/api/v1/logs/search?q=burns&start=1h", |answer| answer["total"] == 51);
    until(&server, "/api/v1/metrics/query?query=sum+error_count+over+1h", |answer| answer["value"] == 51.0);
    assert_eq!(server.client().get("/health")["roles"], json!(["ingestion", "metrics", "alerting", "dashboard"]));
}

#[test]
fn rules_wait_until_what_was_accepted_before_the_start_is_counted() {
    const RECORDS: u64 = 40_000;
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.yaml");
    let text = "groups:\n- name: flood\n  interval: 100ms\n  rules:\n  - {record: seen, expr: sum error_count over 1h}\n\
                \x20 - {alert: Low, expr: seen < 40000}\n";
    std::fs::write(&rules, text).expect("the folder can be written");
    let config = format!("alerting: {{rules_path: {}}}\n", rules.display());
    let mut server = Server::start_with(BINARY, &config, &[("WATCHFIRE_ROLES", "ingestion")]);
    let line = json!({"level": "error", "service": "flood", "message": "it burns"}).to_string() + "\n";
    let body = line.repeat(10_000);
    for _ in 0..RECORDS / 10_000 {
        assert_eq!(server.client().post("/ingest", "application/x-ndjson", &body).status, 202);
    }

    server.kill();
    server.restart_with(&[]);
    let newest = |answer: &Value| answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned);
    until(&server, "/api/v1/query?query=seen", |answer| newest(answer) == Some(RECORDS.to_string()));
    let least = server.client().get("/api/v1/query?query=min_over_time(seen%5B1h%5D)");
    assert_eq!(newest(&least), Some(RECORDS.to_string()), "{}", server.log());
    let told = server.client().get("/api/v1/query?query=max_over_time(ALERTS%5B1h%5D)");
    assert_eq!(newest(&told), None, "{told}");
}

#[test]
fn what_cannot_work_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.yaml"), "canary: {every: 30s}\n").expect("the folder can be written");
    let start = |arguments: &[&str]| {
        let done = Command::new(BINARY).arg("serve").args(arguments).current_dir(folder.path()).output();
        let done = done.expect("it runs");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    for (arguments, code, reason) in [
        (&["--roles", "alerting,ingestion"][..], 1, "add the role metrics, or name a cluster in `metrics.backend`"),
        (&["--roles", "metrics", "--stdin"], 1, "--stdin takes logs in, and that is the role ingestion"),
        (&["--roles", "metrics,alerting", "--config", "config.yaml"], 1, "`canary` goes the whole way"),
        (&["--roles", "everything"], 2, "write all, or some of ingestion,metrics,alerting,dashboard"),
    ] {
        let (found, told) = start(arguments);
        assert!(found == Some(code) && told.contains(reason), "{arguments:?}: {found:?} {told}");
    }
    assert!(!folder.path().join("watchfire-data").exists(), "who does not start makes nothing");
}
