//! Recorded series over a restart and a reload, and a file that cannot be read.

use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::Server;
use watchfire_test_support::client::encode;

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

fn rules(expr: &str) -> String {
    format!(
        "groups: [{{name: a, interval: 100ms, rules: [{{record: r, expr: '{expr}'}}, {{alert: A, expr: r > 0, for: 1h}}]}}]"
    )
}

fn result(server: &Server, query: &str) -> Vec<Value> {
    let answer = server.client().get(&format!("/api/v1/query?query={}", encode(query)));
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// Waits until a query has so many results.
fn wait(server: &Server, query: &str, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let found = result(server, query);
        if found.len() == count {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{query}: {found:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many samples there are of what is recorded.
fn count(server: &Server) -> u64 {
    let found = wait(server, "count_over_time(r[1h])", 1);
    found[0]["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn what_was_recorded_outlives_the_process_and_its_rule_does_not_outlive_a_reload() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("groups.yml");
    let put = |text: &str| std::fs::write(&file, text).expect("the folder can be written");
    put(&rules("vector(7)"));
    let config = format!("alerting: {{rules_path: \"{}/*.yml\"}}\n", folder.path().display());
    let mut server = Server::start(BINARY, &config);
    wait(&server, "r", 1);
    let pending = |server: &Server| server.client().get("/api/v1/alerts")["data"]["alerts"][0]["activeAt"].clone();
    wait(&server, "ALERTS{alertstate=\"pending\"}", 1);
    let since = pending(&server);
    let before = count(&server);
    server.kill();
    server.restart();
    let kept = count(&server);
    assert!(kept >= before, "{kept} of {before} samples are left");
    // What comes now is of the new process: only who wrote a series ends it.
    wait(&server, &format!("count_over_time(r[1h]) > {kept}"), 1);
    assert_eq!(pending(&server), since, "what is pending goes on");

    // A file that cannot be read leaves the rules in force.
    put("groups: [{name: a, rules: [{record: r}]}]");
    let refused = server.client().post("/-/reload", "text/plain", "");
    assert!(refused.status >= 400, "{}", refused.text());
    assert!(refused.text().contains("groups.yml:1:28: group `a`: rule 1 `r`: `expr` is missing"), "{}", refused.text());
    wait(&server, "r", 1);
    put(&rules("vector(8) > 9"));
    assert_eq!(server.client().post("/-/reload", "text/plain", "").status, 200);
    wait(&server, "r", 0);
    wait(&server, "ALERTS", 0);
}
