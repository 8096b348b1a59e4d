//! From a posted log line to a webhook and a mail, through the running binary, and over its death.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watchfire_test_support::client::encode;
use watchfire_test_support::{Server, SmtpSink, WebhookReceiver};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// A configuration with a webhook, rules in a file beside it, evaluated ten times a second.
fn config(hook: &WebhookReceiver, rules: &Value, folder: &Path, more: &str) -> String {
    let file = folder.join("alert_rules.json");
    std::fs::write(&file, rules.to_string()).expect("the folder can be written");
    hook.alerting(&file) + more
}

fn post_errors(server: &Server, service: &str, count: usize) {
    let record = json!({"message": "connection refused", "level": "error", "service": service});
    let body = Value::Array(vec![record; count]);
    assert_eq!(server.client().post("/ingest", "application/json", body.to_string()).status, 202);
}

fn alerts(server: &Server) -> Vec<Value> {
    server.client().get("/api/v1/alerting/alerts")["alerts"].as_array().expect("a list").clone()
}

/// Waits until there is an alert that satisfies a condition.
fn wait_for_alert(server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let alerts = alerts(server);
        if let Some(alert) = alerts.iter().find(|alert| wanted(alert)) {
            return alert.clone();
        }
        assert!(Instant::now() < deadline, "{what}: {alerts:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_burst_of_errors_goes_pending_firing_resolved_and_word_is_sent() {
    let (hook, folder) = (WebhookReceiver::start(), tempfile::tempdir().expect("a folder"));
    let rules = json!({
        "name": "HighErrorRate", "query": "sum error_count over 2s service=api", "threshold": 10.0, "operator": ">",
        "duration": "500ms", "labels": {"severity": "critical"}, "annotations": {"summary": "{{ $value }} errors"},
    });
    let server = Server::start(BINARY, &config(&hook, &rules, folder.path(), ""));
    post_errors(&server, "api", 50);
    wait_for_alert(&server, "pending", |alert| alert["status"] == "pending");
    let firing = hook.wait_for("firing", |delivery| delivery.body["status"] == "firing");
    let body = &firing.body;
    assert_eq!(body["version"], "4");
    assert_eq!(body["groupLabels"], json!({"alertname": "HighErrorRate"}));
    assert_eq!(body["alerts"][0]["labels"], json!({"alertname": "HighErrorRate", "severity": "critical"}));
    assert_eq!(body["alerts"][0]["annotations"]["summary"], "50 errors");
    assert_eq!(body["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    assert!(firing.head.to_ascii_lowercase().contains("idempotency-key: "), "{}", firing.head);
    let resolved = hook.wait_for("resolved", |delivery| delivery.body["status"] == "resolved");
    assert_eq!(resolved.body["alerts"][0]["fingerprint"], body["alerts"][0]["fingerprint"]);
    assert_eq!(hook.next(Duration::from_millis(500)).map(|delivery| delivery.body), None, "nothing is told twice");
    let rules = server.client().get("/api/v1/rules");
    let rule = &rules["data"]["groups"][0]["rules"][0];
    assert_eq!(
        (&rule["name"], &rule["type"], &rule["health"]),
        (&json!("HighErrorRate"), &json!("alerting"), &json!("ok"))
    );
}

#[test]
fn mail_comes_in_both_parts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(sink) = SmtpSink::start(root, &[]) else { return };
    let (hook, folder) = (WebhookReceiver::start(), tempfile::tempdir().expect("a folder"));
    let rules = json!([{
        "name": "Injected", "query": "sum error_count over 1m by service", "threshold": 0, "operator": ">", "duration": "0s",
        "annotations": {"summary": "{{ $labels.service }} burns"},
    }]);
    let mail = format!(
        "    - {{name: mail, email: {{smtp: \"smtp://127.0.0.1:{}\", from: \"watchfire@example.org\", to: [\"ops@example.org\"]}}}}\n",
        sink.port
    );
    let server = Server::start(BINARY, &config(&hook, &rules, folder.path(), &mail));
    post_errors(&server, "<script>alert(1)</script>\r\nBcc: evil@example.org", 1);
    let mail = sink.wait_for("firing", |_| true);
    let subject = mail["headers"].as_array().into_iter().flatten().find(|header| header[0] == "Subject");
    let subject = subject.and_then(|header| header[1].as_str()).unwrap_or_default().to_owned();
    assert!(subject.starts_with("[FIRING:1]") && subject.contains("Injected"), "{subject}");
    let headers = mail["raw_headers"].as_str().unwrap_or_default().to_ascii_lowercase();
    assert!(!headers.lines().any(|line| line.starts_with("bcc:")), "{headers}");
    assert!(headers.contains("message-id: "), "{headers}");
    assert_eq!(mail["to"], json!(["ops@example.org"]));
    assert!(mail["text"].as_str().is_some_and(|text| text.contains("burns")), "{mail}");
    let html = mail["html"].as_str().unwrap_or_default();
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
}

#[test]
fn kill_9_forgets_neither_pending_nor_firing_nor_what_was_told() {
    let (hook, folder) = (WebhookReceiver::start(), tempfile::tempdir().expect("a folder"));
    let rule = |name: &str, duration: &str| json!({"name": name, "query": "sum error_count over 1h service=api", "threshold": 0, "operator": ">", "duration": duration});
    let rules = json!([rule("AtOnce", "0s"), rule("Later", "1h")]);
    let mut server = Server::start(BINARY, &config(&hook, &rules, folder.path(), ""));
    post_errors(&server, "api", 5);
    hook.wait_for("firing", |delivery| delivery.body["commonLabels"]["alertname"] == "AtOnce");
    let started = |server: &Server, name: &str| {
        let alert = wait_for_alert(server, name, |alert| alert["labels"]["alertname"] == name);
        (alert["status"].clone(), alert["active_at"].clone(), alert["starts_at"].clone())
    };
    let before = (started(&server, "AtOnce"), started(&server, "Later"));
    assert_eq!((&before.0.0, &before.1.0), (&json!("firing"), &json!("pending")));
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.client().get("/api/v1/rules")["data"]["groups"][0]["rules"][0]["newestValue"] != "5e+00" {
        assert!(Instant::now() < deadline, "the list of rules does not say where they stand");
    }
    // A delivery under way may be repeated; so nothing may be under way.
    let deadline = Instant::now() + Duration::from_secs(60);
    let under_way =
        |server: &Server| server.client().get("/api/v1/health")["components"]["alerting"]["undelivered"] != 0;
    while under_way(&server) {
        assert!(Instant::now() < deadline, "a message is under way for a minute");
    }
    for _ in 0..3 {
        server.restart();
        let deadline = Instant::now() + Duration::from_secs(60);
        // After the restart the rules must have run again before their state is looked at.
        while server.client().get("/api/v1/rules")["data"]["groups"][0]["rules"][0]["state"] != "firing" {
            assert!(Instant::now() < deadline, "the rules do not run after the restart");
        }
        let after = started(&server, "AtOnce");
        assert_eq!((after.0, after.2), (before.0.0.clone(), before.0.2.clone()), "firing since the same time");
        assert_eq!(started(&server, "Later").0, "pending");
    }
    assert_eq!(hook.next(Duration::from_millis(700)).map(|delivery| delivery.body), None, "told again after a restart");
}

#[test]
fn what_was_not_delivered_is_delivered_after_kill_9_with_the_same_id() {
    let (hook, folder) = (WebhookReceiver::start(), tempfile::tempdir().expect("a folder"));
    let rules = json!([{"name": "Undelivered", "query": "sum error_count over 1h", "threshold": 0, "operator": ">", "duration": "0s"}]);
    let config = config(&hook, &rules, folder.path(), "");
    if cfg!(feature = "failpoints") {
        for failpoint in ["alerting.before_send", "alerting.after_send", "alerting.journal", "rules.journal"] {
            let mut server = Server::start_with(BINARY, &config, &[("WATCHFIRE_FAILPOINT", failpoint)]);
            post_errors(&server, failpoint, 1);
            assert!(!server.wait_end().success(), "{failpoint} was not reached");
            server.restart_with(&[]);
            let first = hook.wait_for(failpoint, |delivery| delivery.body["status"] == "firing");
            let again = hook.next(Duration::from_millis(700));
            let id = |head: &str| {
                let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("idempotency-key:"));
                line.map(str::to_owned)
            };
            assert!(id(&first.head).is_some(), "{}", first.head);
            match (failpoint, again) {
                ("alerting.after_send", Some(again)) => assert_eq!(id(&first.head), id(&again.head)),
                (_, None) => {}
                (_, Some(again)) => panic!("{failpoint}: told twice: {}", again.body),
            }
        }
    }
}

#[test]
fn the_documents_rules_fire() {
    let (hook, folder) = (WebhookReceiver::start(), tempfile::tempdir().expect("a folder"));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/examples");
    for entry in std::fs::read_dir(&examples).expect("the examples are there").flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("the folder can be written");
    }
    let config = hook.alerting(&folder.path().join("*.json"));
    let server = Server::start(BINARY, &config);
    let path = format!("/api/v1/metrics/query?query={}", encode("max watchfire_disk_used_ratio"));
    let deadline = Instant::now() + Duration::from_secs(60);
    // The first look at ourselves comes a moment after the start.
    while server.client().get(&path)["value"].as_f64().is_none_or(|ratio| !(0.0..=1.0).contains(&ratio)) {
        assert!(Instant::now() < deadline, "no disk use is measured");
    }
    let slow: Vec<Value> = (0..20)
        .map(|_| json!({"message": "slow", "level": "error", "service": "api", "route": "/pay", "duration_ms": 4000}))
        .collect();
    assert_eq!(server.client().post("/ingest", "application/json", Value::Array(slow).to_string()).status, 202);
    let loaded = server.client().get("/api/v1/rules");
    let rules: Vec<&Value> = loaded["data"]["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        .collect();
    assert!(rules.len() >= 4 && rules.iter().all(|rule| rule["health"] != "err"), "{loaded}");
    // Ten errors a minute and a p95 above a second are there at once; the disk and the silence need conditions
    // that a test of the crate makes.
    wait_for_alert(&server, "errors", |alert| {
        alert["rule"]["query"].as_str().is_some_and(|query| query.contains("error_count over 1m"))
    });
    wait_for_alert(&server, "latency", |alert| {
        alert["rule"]["query"].as_str().is_some_and(|query| query.contains("p95"))
    });
}
