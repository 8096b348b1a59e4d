//! `watchfire backtest rules` against a running server: what rules would have done, in each format, and its exit codes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use watchfire_model::Timestamp;
use watchfire_test_support::Server;

const RULES: &str = r#"[
  {"name": "Warm", "query": "max room_temperature by room", "threshold": 25, "operator": ">", "duration": "10m", "labels": {"severity": "critical"}},
  {"name": "Cold", "query": "min room_temperature", "threshold": 0, "operator": "<", "duration": "0s"}
]"#;

/// Runs the verb in a folder; exit code, stdout, stderr.
fn backtest(server: &Server, folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(["backtest", "rules", "--tz", "UTC", "--interval", "1m"])
        .args(arguments)
        .env("WATCHFIRE_URL", format!("http://{}", server.address))
        .current_dir(folder)
        .output()
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A room that is warm from 90 to 60 minutes ago.
fn warm_room(server: &Server) {
    let now = Timestamp::now().millis();
    let samples: Vec<Value> = (0..180)
        .rev()
        .map(|minutes| {
            let value = if (60..=90).contains(&minutes) { 30 } else { 20 };
            let at = now - minutes * 60_000;
            json!({"name": "room_temperature", "value": value, "timestamp": at, "labels": {"room": "=kitchen"}, "type": "gauge"})
        })
        .collect();
    let answer = server.client().post("/api/v1/metrics", "application/json", json!(samples).to_string());
    assert_eq!(answer.json()["accepted"], 180, "{}", answer.text());
}

#[test]
fn rules_are_run_over_what_was_kept() {
    let server = Server::start(env!("CARGO_BIN_EXE_watchfire"), "");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("it can be written");
    write("rules.json", RULES);
    write("broken.json", r#"{"name": "X", "query": "rat x", "threshold": 1, "operator": ">", "duration": "0s"}"#);
    write("recorded.yml", "groups: [{name: g, rules: [{record: a:b, expr: up}, {alert: A, expr: 'a:b > 0'}]}]");
    warm_room(&server);

    let (code, table, told) = backtest(&server, folder.path(), &["rules.json", "--since", "3h"]);
    assert_eq!((code, told.as_str()), (Some(0), ""), "{table}");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ALERT  LABELS"), "{table}");
    assert!(lines[1].starts_with("Warm   room==kitchen severity=critical"), "{table}");
    assert_eq!(lines[2], "", "{table}");
    assert!(
        lines[3].starts_with("Warm would have fired once, for ") && lines[4] == "Cold would not have fired",
        "{table}"
    );

    let (code, text, _) = backtest(&server, folder.path(), &["rules.json", "--since", "3h", "-o", "json"]);
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, answer["alerts"].as_array().map(Vec::len)), (Some(0), Some(1)), "{answer}");
    let alert = &answer["alerts"][0];
    let time = |name: &str| Timestamp::parse_date_time(alert[name].as_str().expect("a time")).expect("a time");
    assert_eq!(time("firing_at").since(time("pending_at")), 600_000, "it waits as long as the rule says");
    // Lookback keeps the last warm sample for five minutes at most.
    assert!((29..=37).contains(&(time("resolved_at").since(time("pending_at")) / 60_000)), "{alert}");
    assert_eq!((&alert["peak"], &alert["labels"]["alertname"]), (&json!(30), &json!("Warm")));
    assert_eq!(answer["rules"][0]["fired"], 1, "{answer}");

    let (code, csv, _) = backtest(&server, folder.path(), &["rules.json", "--since", "3h", "-o", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 2), "{csv}");
    assert_eq!(lines[0], "alert,labels,pending_at,firing_at,resolved_at,peak,count");
    assert!(lines[1].starts_with("Warm,\"room==kitchen severity=critical\",20"), "{csv}");

    // Nothing was told, and nothing is in force.
    assert_eq!(server.client().get("/api/v1/alerting/alerts")["alerts"], json!([]));
    assert!(!server.log().contains("rule=Warm"), "{}", server.log());

    let (code, _, told) = backtest(&server, folder.path(), &["recorded.yml"]);
    assert_eq!(code, Some(5), "{told}");
    assert!(told.contains("a:b is recorded by rules, and the server has none of it"), "{told}");
    let (code, _, told) = backtest(&server, folder.path(), &["broken.json"]);
    assert!(code == Some(1) && told.starts_with("broken.json:1:"), "{code:?} {told}");
    assert_eq!(backtest(&server, folder.path(), &["rules.json", "--since", "5m", "--until", "1h"]).0, Some(2));
    assert_eq!(backtest(&server, folder.path(), &["rules.json", "--url", "http://127.0.0.1:1"]).0, Some(4));

    let post = |body: Value| server.client().post("/api/v1/backtest", "application/json", body.to_string());
    let refused = post(json!({"files": [{"name": "x.json", "text": "{"}]}));
    assert!(refused.status == 400 && refused.json()["error"] == "rules", "{}", refused.text());
    assert_eq!(post(json!({"files": [], "since": "soon"})).status, 400);
    let much = post(json!({"files": [{"name": "x.json", "text": RULES}], "since": "365d", "interval": "100ms"}));
    assert!(much.status == 422 && much.json()["error"] == "limit", "{}", much.text());
}
