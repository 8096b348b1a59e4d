//! What an operator asks of the whole server: a backup while it runs, counting again, filling a new metric's past.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_model::Timestamp;
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Server, WebhookReceiver};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_secs(90);

/// Asks again and again until the answer is as wanted.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) => assert!(begun.elapsed() < PATIENCE, "{what}: {last}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs one of our verbs against the server; it must succeed.
fn watchfire(server: &Server, arguments: &[&str]) -> String {
    let output = Command::new(BINARY)
        .args(arguments)
        .env("WATCHFIRE_URL", format!("http://{}", server.address))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn query(client: &mut Client, text: &str) -> Value {
    client.get(&format!("/api/v1/metrics/query?query={}", encode(text)))
}

fn post(client: &mut Client, path: &str) -> Value {
    let answer = client.post(path, "application/json", "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// All numbers of the records with `service:load`, each of which must be there once.
fn stored_numbers(client: &mut Client) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("/api/v1/logs/search?q=service:load&start=1d&limit=5000&buckets=0{cursor}"));
        for log in page["logs"].as_array().into_iter().flatten() {
            let number = log["fields"]["number"].as_u64().expect("a number");
            assert!(numbers.insert(number), "{number} is there twice");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encode(next)),
            None => return numbers,
        }
    }
}

#[test]
fn a_backup_under_load_is_one_consistent_cut() {
    let receiver = WebhookReceiver::start();
    let rules = tempfile::tempdir().expect("a folder");
    let rule = r#"{"name": "Load", "query": "sum log_events_total service=load", "threshold": 0, "operator": ">", "duration": "0s"}"#;
    std::fs::write(rules.path().join("rules.json"), rule).expect("written");
    let config = format!(
        "logs: {{seal_after: 1s}}\nalerting:\n  rules_path: {}\n  check_interval: 100ms\n  receivers: [{{name: hook, webhook: {{url: \"http://{}/\"}}}}]\n",
        rules.path().join("rules.json").display(),
        receiver.address
    );
    let mut server = Server::start(BINARY, &config);
    let mut client = server.client();
    assert_eq!(
        client
            .call(&Client::request(
                "PUT",
                "/api/v1/saved/mine",
                &["Content-Type: application/json"],
                br#"{"q": "level:error"}"#
            ))
            .status
            / 100,
        2
    );
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let dir = tempfile::tempdir().expect("a folder");
    let mut told_before = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = server.client();
            let mut next = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let body: String = (next..next + 50)
                    .map(|number| format!("{{\"service\":\"load\",\"message\":\"line {number}\",\"number\":{number},\"duration_ms\":5}}\n"))
                    .collect();
                assert_eq!(client.post("/ingest", "application/x-ndjson", body).status, 202);
                next += 50;
                acknowledged.store(next, Ordering::Release);
            }
        });
        receiver.wait_for("the rule fires before the backup", |delivery| delivery.body["status"] == "firing");
        for round in 0..3 {
            wait_for("some load", || {
                let more = acknowledged.load(Ordering::Acquire);
                if more > told_before + 2000 { Ok(()) } else { Err(more.to_string()) }
            });
            told_before = acknowledged.load(Ordering::Acquire);
            watchfire(&server, &["backup", &dir.path().join(round.to_string()).display().to_string()]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(!server.data().join("backup.staging").exists(), "nothing stays beside the data");

    server.kill();
    let data = server.data();
    std::fs::remove_dir_all(&data).expect("the disk is lost");
    let backup = dir.path().join("2");
    watchfire(&server, &["restore", &backup.display().to_string(), "--data-dir", &data.display().to_string()]);
    server.restart();
    server.wait_drained();
    let mut client = server.client();
    let numbers = stored_numbers(&mut client);
    let until = numbers.len() as u64;
    assert!(until >= told_before, "all that was acknowledged before the backup began: {until} of {told_before}");
    assert_eq!(numbers.last(), Some(&(until - 1)), "and nothing with a gap");
    assert_eq!(query(&mut client, "sum log_events_total service=load")["value"], until);
    assert_eq!(query(&mut client, "count request_duration_ms service=load over 1h")["value"], until);
    assert_eq!(client.get("/api/v1/saved/mine")["q"], "level:error");
    let alerts = client.get("/api/v1/alerting/alerts");
    assert_eq!(alerts["alerts"][0]["status"], "firing", "{alerts}");
    while let Some(delivery) = receiver.next(Duration::ZERO) {
        assert_eq!(delivery.body["status"], "firing", "nothing was told anew or taken back: {}", delivery.body);
    }
}

/// Records of the last hours: so many a minute, by event time.
fn history(minutes: i64, per_minute: i64) -> String {
    let now = Timestamp::now().millis();
    let times = (30..30 + minutes).flat_map(|minute| (0..per_minute).map(move |n| (minute, n)));
    times
        .map(|(minute, n)| {
            let at = Timestamp::from_millis(now - minute * 60_000 - n * 7).to_rfc3339();
            let shop = if n % 3 == 0 { "north" } else { "south" };
            format!("{{\"timestamp\":\"{at}\",\"service\":\"shop\",\"message\":\"sold\",\"shop\":\"{shop}\",\"price\":{}}}\n", 10 + n)
        })
        .collect()
}

fn set_config(folder: &Path, replace: impl Fn(&str) -> String) {
    let path = folder.join("config.yaml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    std::fs::write(path, replace(&text)).expect("written");
}

#[test]
fn a_new_metric_gets_its_past_once() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let (minutes, per_minute) = (240, 9);
    assert_eq!(client.post("/ingest", "application/x-ndjson", history(minutes, per_minute)).status, 202);
    let sold = "{\"service\":\"shop\",\"message\":\"sold\",\"shop\":\"north\",\"price\":1}\n";
    assert_eq!(client.post("/ingest", "application/x-ndjson", sold.repeat(5)).status, 202);
    server.wait_drained();

    let extract = "extract:\n  - {metric: sold_total, type: counter, where: 'service:shop sold', labels: {shop: fields.shop}}\n  - {metric: price, type: distribution, where: 'service:shop', value: fields.price}\n  - {metric: last_price, type: gauge, where: 'service:shop', value: fields.price}\n";
    set_config(server.folder.path(), |text| format!("{text}{extract}"));
    post(&mut client, "/-/reload");
    // These are counted as they come, the late ones too.
    assert_eq!(client.post("/ingest", "application/x-ndjson", sold.repeat(3)).status, 202);
    assert_eq!(client.post("/ingest", "application/x-ndjson", history(10, 2)).status, 202);
    server.wait_drained();
    let whole = (minutes * per_minute + 5 + 3 + 10 * 2) as u64;
    assert_eq!(query(&mut client, "sum sold_total over 6h")["value"], 3 + 10 * 2);

    for _ in 0..2 {
        let filled = post(&mut client, "/api/v1/backfill?metric=sold_total&since=6h");
        assert_eq!(filled["refused"], 0, "{filled}");
        assert!(filled["counted_before"].as_u64() >= Some(23), "{filled}");
        assert_eq!(query(&mut client, "sum sold_total over 6h")["value"], whole, "once, however often it is filled");
        let north = query(&mut client, "sum sold_total shop=north over 6h")["value"].as_u64();
        assert_eq!(north, Some((minutes * per_minute / 3 + 5 + 3 + 10) as u64));
        watchfire(&server, &["backfill", "extract", "price", "--since", "6h"]);
        assert_eq!(query(&mut client, "count price over 6h")["value"], whole);
    }
    assert!(server.log().contains("backfill: sold_total, 20"), "the audit knows: {}", server.log());
    // The running total and the rules know nothing of it.
    assert_eq!(query(&mut client, "sum sold_total")["value"], 3);
    // Nor is it missed that the rule was not there when the first ones came.
    let found = wait_for("the last ones are old enough to be counted again", || {
        let answer = client.post("/api/v1/verify?since=10m", "application/json", "");
        let of_rule = |metric: &&Value| metric["metric"] == "sold_total";
        let found = answer.json()["metrics"].as_array().and_then(|all| all.iter().find(of_rule)).cloned();
        found.filter(|found| found["counted"] == 3.0).ok_or_else(|| answer.text())
    });
    assert_eq!(found["stored"], found["counted"], "{found}");

    for (metric, status, words) in
        [("nothing_total", 422, "extracts no metric"), ("last_price", 422, "is a gauge"), ("", 400, "say which metric")]
    {
        let answer = client.post(&format!("/api/v1/backfill?metric={metric}"), "application/json", "");
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[test]
fn what_was_counted_is_what_is_stored_after_crashes_too() {
    let extract = "extract:\n  - {metric: slow_total, type: counter, where: 'duration_ms:>100', labels: {host: host}, max_series: 2}\n  - {metric: bytes_sent_total, type: counter, where: 'service:web', value: fields.bytes}\n  - {metric: never_total, type: counter, where: 'service:nobody'}\n";
    let mut server = Server::start(BINARY, extract);
    for round in 0..3 {
        let mut client = server.client();
        let body: String = (0..500)
            .map(|n| {
                format!(
                    "{{\"service\":\"{}\",\"host\":\"h{}\",\"message\":\"m\",\"duration_ms\":{},\"bytes\":{}.25,\"level\":\"{}\"}}\n",
                    ["web", "api"][n % 2], n % 5, n, n * 3, ["info", "error"][n / 3 % 2]
                )
            })
            .collect();
        assert_eq!(client.post("/ingest", "application/x-ndjson", body).status, 202);
        assert_eq!(client.post("/ingest", "application/x-ndjson", history(20, 5)).status, 202);
        // Imports are not counted at their arrival, also those of lines that have no time.
        let piece =
            format!("/api/v1/import/logs?file={round:032x}&position=0&head_bytes=1&head_hash={:032x}&end=true", 7);
        let text = "{\"service\":\"web\",\"message\":\"m\",\"duration_ms\":500,\"bytes\":1}\n".repeat(100);
        assert_eq!(client.post(&piece, "text/plain", text).status, 202);
        if round < 2 {
            server.restart();
        }
    }
    let mut client = server.client();
    let found = wait_for("all is old enough to be counted again", || {
        let answer = client.post("/api/v1/verify?since=10m", "application/json", "");
        let found = answer.json();
        // The answer says 422 while nothing is settled.
        if found["records"].as_u64() >= Some(3 * 700) { Ok(found) } else { Err(answer.text()) }
    });
    assert_eq!(found["agrees"], true, "{found}");
    assert!(!found.to_string().contains("-0.0"), "{found}");
    let left_out = &found["left_out"];
    assert_eq!(left_out["from"], found["end"], "{found}");
    assert!(left_out["why"].as_str().is_some_and(|why| why.contains("in the last 5 s")), "{found}");
    let shown = watchfire(&server, &["verify", "--since", "10m"]);
    assert!(shown.contains("records accepted from") && shown.contains("\nnot compared, from "), "{shown}");
    // Asked for up to where it was compared, nothing is left out.
    let end = found["end"].as_str().expect("a time");
    let again = client.post(&format!("/api/v1/verify?since=10m&until={end}"), "application/json", "").json();
    assert_eq!((&again["left_out"], &again["end"]), (&serde_json::Value::Null, &found["end"]), "{again}");
    let shown = watchfire(&server, &["verify", "--since", "10m", "--until", end]);
    assert!(!shown.contains("not compared"), "{shown}");
    let metrics = found["metrics"].as_array().expect("a list");
    let stored = |name: &str| {
        let metric =
            metrics.iter().find(|metric| metric["metric"] == name).unwrap_or_else(|| panic!("{name}: {found}"));
        assert_eq!(metric["stored"], metric["counted"], "{metric}");
        metric["stored"].as_f64()
    };
    assert_eq!(stored("slow_total"), Some(3.0 * 399.0), "folded series are compared as a whole");
    assert_eq!(stored("bytes_sent_total"), Some(3.0 * (0..500).step_by(2).map(|n| n as f64 * 3.0 + 0.25).sum::<f64>()));
    assert!(stored("error_count") >= Some(3.0 * 249.0));
}

#[test]
fn values_for_a_metric_whose_type_was_changed_are_counted_as_unusable() {
    let server = Server::start(
        BINARY,
        "extract:\n  - {metric: turned, type: counter, value: fields.v, where: 'service:turning'}\n",
    );
    let mut client = server.client();
    for (kind, unusable) in [("counter", 0), ("gauge", 1)] {
        set_config(server.folder.path(), |text| text.replace("type: counter", &format!("type: {kind}")));
        assert_eq!(client.post("/-/reload", "text/plain", "").status, 200);
        let record = r#"{"service":"turning","message":"m","v":7}"#;
        assert_eq!(client.post("/ingest", "application/json", record).status, 202);
        server.wait_drained();
        let metrics = client.try_get("/metrics").text();
        assert!(metrics.contains(&format!("\nwatchfire_extract_errors_total {unusable}\n")), "{kind}: {metrics}");
    }
}
