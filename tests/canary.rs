//! The canary and the dead man's switch, through the running binary and a real HTTP server.

use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Server, WebhookReceiver};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(120);

fn wait_for<T>(what: &str, server: &Server, mut happened: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = happened() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A figure at `/metrics`.
fn figure(client: &mut Client, name: &str) -> Option<f64> {
    figure_in(&client.try_get("/metrics").text(), name)
}

fn figure_in(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Each line sent was paged or lost (a machine may be too slow for a page in time), but for the one under way.
fn all_but_one_are_accounted_for(client: &mut Client) {
    let metrics = client.try_get("/metrics").text();
    let [sent, paged, lost] = ["sent_total", "seconds_count", "lost_total"]
        .map(|name| figure_in(&metrics, &format!("watchfire_canary_{name}")).expect(name));
    assert!(paged <= sent && paged + lost >= sent - 1.0, "{sent} sent, {paged} paged, {lost} lost");
}

fn value(client: &mut Client, query: &str) -> Value {
    client.get(&format!("/api/v1/metrics/query?query={}", encode(query)))["value"].clone()
}

/// A configuration with a receiver for all alerts, and a rule that sees the lines of service `users`.
fn config(hook: &WebhookReceiver, rules: &std::path::Path, more: &str) -> String {
    let rule =
        r#"{"name": "Users", "query": "sum log_events_total over 1h service=users", "threshold": 0, "operator": ">"}"#;
    std::fs::write(rules, rule).expect("the file can be written");
    hook.alerting(rules) + more
}

#[test]
fn a_canary_line_becomes_a_page_and_the_time_is_told() {
    let (hook, rules) = (WebhookReceiver::start(), tempfile::NamedTempFile::new().expect("a file"));
    let mut server = Server::start(BINARY, &config(&hook, rules.path(), "canary: {every: 5s}\n"));
    let mut client = server.client();
    wait_for("the second page", &server, || {
        figure(&mut client, "watchfire_canary_seconds_count").filter(|pages| *pages >= 2.0)
    });
    all_but_one_are_accounted_for(&mut client);
    let p99 =
        wait_for("the distribution", &server, || value(&mut client, "p99 watchfire_canary_seconds over 1h").as_f64());
    let sum = figure(&mut client, "watchfire_canary_seconds_sum").expect("a sum");
    assert!(p99 > 0.0 && p99 <= sum * 1.01, "p99 is {p99}, the sum {sum}");
    // Its lines are there to be found, under a name of their own; neither the rule nor its alert is shown.
    let lines = client.get("/api/v1/logs/search?q=service:watchfire-canary&limit=1");
    assert_eq!(lines["logs"][0]["level"], "debug", "{lines}");
    assert_eq!(client.get("/api/v1/alerting/alerts")["alerts"], Value::Array(Vec::new()));
    let groups = client.get("/api/v1/rules")["data"]["groups"].clone();
    assert_eq!(groups.as_array().map(Vec::len), Some(1), "{groups}");
    assert_eq!(value(&mut client, "count ALERTS").as_f64(), None, "no series of its alert");
    // The user's receiver hears of the user's alerts only.
    client.post("/ingest", "application/json", r#"{"message":"x","service":"users"}"#);
    let first = hook.next(PATIENCE).expect("a webhook");
    assert_eq!(first.body["commonLabels"]["alertname"], "Users", "{}", first.body);
    wait_for("a good state", &server, || {
        (client.get("/api/v1/health")["components"]["canary"]["status"] == "ok").then_some(())
    });
    // It goes on over a restart, while what it measured is still there.
    server.restart();
    let mut client = server.client();
    wait_for("a page after the restart", &server, || {
        figure(&mut client, "watchfire_canary_seconds_count").filter(|pages| *pages >= 1.0)
    });
    all_but_one_are_accounted_for(&mut client);
    let kept = value(&mut client, "count watchfire_canary_seconds over 1h").as_f64();
    assert!(kept.is_some_and(|kept| kept >= 3.0), "{kept:?} times are kept");
}

#[test]
fn a_canary_keeps_its_own_pace_beside_slow_rules() {
    let (hook, rules) = (WebhookReceiver::start(), tempfile::NamedTempFile::new().expect("a file"));
    let config =
        config(&hook, rules.path(), "canary: {every: 5s}\n").replace("check_interval: 100ms", "check_interval: 1h");
    let server = Server::start(BINARY, &config);
    let mut client = server.client();
    wait_for("a page", &server, || figure(&mut client, "watchfire_canary_seconds_count").filter(|pages| *pages >= 1.0));
}

#[test]
fn the_switch_is_pinged_while_all_is_well_and_the_canary_lives() {
    let (hook, rules) = (WebhookReceiver::start(), tempfile::NamedTempFile::new().expect("a file"));
    let outside = WebhookReceiver::start();
    let more = format!(
        "canary: {{every: 5s}}\ndead_mans_switch: {{url: \"http://{}/ping/s3cret\", every: 1s}}\n",
        outside.address
    );
    let server = Server::start(BINARY, &config(&hook, rules.path(), &more));
    let mut client = server.client();
    let pings = |count: usize| (0..count).all(|_| outside.next(PATIENCE).is_some());
    let first = outside.next(PATIENCE).expect("a ping");
    assert!(first.head.starts_with("GET /ping/s3cret HTTP/1.1"), "{}", first.head);
    assert!(figure(&mut client, "watchfire_canary_seconds_count") >= Some(1.0), "not before the canary lives");
    assert!(pings(2));
    // A ping is counted when its answer has come.
    wait_for("three pings are counted", &server, || {
        figure(&mut client, "watchfire_dead_mans_switch_pings_total").filter(|pings| *pings >= 3.0)
    });
    // A rule that fails makes the state a bad one (its alerts cannot be told apart): no ping any more.
    let good = std::fs::read_to_string(rules.path()).expect("it is there");
    let failing = r#"{"name": "Twins", "query": "sum log_events_total over 1h by service", "threshold": 0, "operator": ">", "labels": {"service": "one"}}"#;
    let reload = |client: &mut Client, rule: &str| {
        std::fs::write(rules.path(), rule).expect("the file can be written");
        assert_eq!(client.post("/-/reload", "text/plain", "").status, 200);
    };
    reload(&mut client, failing);
    wait_for("a bad state", &server, || (client.get("/api/v1/health")["status"] == "degraded").then_some(()));
    let withheld = |client: &mut Client| figure(client, "watchfire_dead_mans_switch_withheld_total").unwrap_or(0.0);
    // One ping may have been under way.
    let before = withheld(&mut client);
    wait_for("silence", &server, || (withheld(&mut client) > before).then_some(()));
    while outside.next(Duration::ZERO).is_some() {}
    let before = withheld(&mut client);
    wait_for("further silence", &server, || (withheld(&mut client) > before + 1.0).then_some(()));
    assert!(outside.next(Duration::ZERO).is_none(), "a ping in a bad state");
    reload(&mut client, &good);
    assert!(pings(2), "all is well again");
    assert!(!server.log().contains("s3cret"), "the address is a secret");
}
