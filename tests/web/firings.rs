//! Charts shade all times in which alerts fired, also those that the list of alerts has forgotten.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watchfire_test_support::{Browser, Server};

use crate::BINARY;

/// Between two firings, so that a chart can show them apart.
const APART: Duration = Duration::from_secs(3);

fn measure(server: &Server, degrees: u32) {
    let sample = json!({"name": "degrees", "value": degrees, "type": "gauge"});
    assert_eq!(server.client().post("/api/v1/metrics", "application/json", sample.to_string()).status, 202);
}

/// Waits until the alert has a state, and answers it.
fn wait_for(server: &Server, status: &str) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = server.client().get("/api/v1/alerting/alerts");
        let alert =
            answer["alerts"].as_array().and_then(|alerts| alerts.iter().find(|alert| alert["status"] == status));
        if let Some(alert) = alert {
            return alert.clone();
        }
        assert!(Instant::now() < end, "not {status}: {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_chart_shows_every_firing_of_its_range() {
    let Some(mut browser) = Browser::start("firings in charts") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.json");
    let rules = json!([{"name": "Hot", "query": "max degrees", "threshold": 5, "operator": ">", "duration": "0s", "labels": {"severity": "warning"}}]);
    std::fs::write(&file, rules.to_string()).expect("the folder can be written");
    let config = format!("alerting:\n  rules_path: [{}]\n  check_interval: 200ms\n", file.display());
    let mut server = Server::start(BINARY, &config);
    measure(&server, 9);
    wait_for(&server, "firing");
    measure(&server, 1);
    wait_for(&server, "resolved");
    let cold = Instant::now();
    // What was before is known only from what is stored then.
    server.restart();
    std::thread::sleep(APART.saturating_sub(cold.elapsed()));
    measure(&server, 9);
    wait_for(&server, "firing");
    let mut page = browser.page(1440, 900, false);
    let fired = "(label) => /alerts fired 2 times: Hot [\\d:]+ – [\\d:]+, Hot [\\d:]+ – [\\d:]+$/.test(label)";
    for (path, chart) in [
        ("/explore?q=max+degrees&from=now-5m", ".graph .chart"),
        ("/?from=now-5m", ".grid .chart"),
        ("/alerts?from=now-5m", ".detail .chart"),
        ("/alerts?from=now-5m&tab=rules", ".detail .chart"),
    ] {
        page.go(&format!("http://{}{path}", server.address));
        if path.starts_with("/alerts") {
            page.wait("a row", "document.querySelector('main [data-row]')");
            page.eval("document.querySelector('main [data-row]').click()");
        }
        page.wait(path, &format!("({fired})(document.querySelector('{chart}').ariaLabel)"));
    }
    let problems = page.problems();
    assert!(problems.is_empty(), "{problems:#?}");
}
