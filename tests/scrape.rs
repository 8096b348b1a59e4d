//! Scraping, against servers that show what the test says: from `scrape_configs` to the answers of queries.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::target::{TargetServer, answer};
use watchfire_test_support::{Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// A job that asks each target ten times a second; `more` are further keys of it, in braces.
fn job(name: &str, targets: &[&TargetServer], more: &str) -> String {
    let targets: Vec<String> = targets.iter().map(|target| format!("\"{}\"", target.address)).collect();
    let separator = if more.is_empty() { "" } else { ", " };
    format!(
        "  - {{job_name: {name}, scrape_interval: 100ms, static_configs: [{{targets: [{}]}}]{separator}{more}}}\n",
        targets.join(", ")
    )
}

fn start(jobs: &[String]) -> Server {
    Server::start(BINARY, &format!("scrape_configs:\n{}", jobs.concat()))
}

/// What a query answers now: each series as `{labels} value`, sorted.
fn query(client: &mut Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("/api/v1/query?query={}", encode(query)));
    let rows = answer["data"]["result"].as_array().expect("rows").iter().map(|row| {
        let labels = row["metric"].as_object().expect("labels");
        let labels: Vec<String> = labels
            .iter()
            .filter(|(name, _)| *name != "instance")
            .map(|(name, value)| format!("{name}={}", value.as_str().expect("text")))
            .collect();
        format!("{} {}", labels.join(" "), row["value"][1].as_str().expect("a value"))
    });
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows
}

/// Asks until the answer is the expected one, for a minute.
fn wait(server: &Server, text: &str, expected: &[&str]) {
    let (mut client, begun) = (server.client(), Instant::now());
    loop {
        let rows = query(&mut client, text);
        if rows == expected {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{text}: {rows:#?} and not {expected:#?}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a target of a job fails with such an error.
fn wait_error(server: &Server, job: &str, expected: &str) {
    let (mut client, begun) = (server.client(), Instant::now());
    loop {
        let answer = client.get(&format!("/api/v1/targets?scrapePool={job}"));
        let target = &answer["data"]["activeTargets"][0];
        let error = target["lastError"].as_str().unwrap_or_default();
        if error.contains(expected) {
            assert_eq!(target["health"], "down", "{target}");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{job}: {expected}: {answer}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn header<'h>(head: &'h str, wanted: &str) -> &'h str {
    let named = head.lines().filter_map(|line| line.split_once(": "));
    named.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value).next().unwrap_or_default()
}

#[test]
fn what_a_target_shows_can_be_queried_until_it_vanishes() {
    let target =
        TargetServer::showing("# TYPE a counter\n# HELP a All of it.\na{x=\"1\"} 1\na{x=\"2\",job=\"own\"} 2\nb 3\n");
    let server = start(&[job("shop", &[&target], "")]);
    wait(&server, "a", &["__name__=a exported_job=own job=shop x=2 2", "__name__=a job=shop x=1 1"]);
    wait(&server, "up", &["__name__=up job=shop 1"]);
    wait(&server, "scrape_samples_scraped", &["__name__=scrape_samples_scraped job=shop 3"]);
    wait(&server, "scrape_series_added", &["__name__=scrape_series_added job=shop 0"]);
    let targets = server.client().get("/api/v1/targets");
    let shown = &targets["data"]["activeTargets"][0];
    assert_eq!(shown["scrapeUrl"], format!("http://{}/metrics", target.address));
    assert_eq!((&shown["health"], &shown["scrapeInterval"]), (&Value::from("up"), &Value::from("100ms")));
    let metadata = server.client().get("/api/v1/targets/metadata?metric=a");
    assert_eq!((&metadata["data"][0]["type"], &metadata["data"][0]["help"]), (&"counter".into(), &"All of it.".into()));
    // One series goes, then the target fails, then it comes back.
    target.show("a{x=\"1\"} 7\n");
    wait(&server, "{__name__=~\"a|b\"}", &["__name__=a job=shop x=1 7"]);
    target.answer(|_, out| out.write_all(&answer("503 Service Unavailable", &[], b"")));
    wait(&server, "{__name__=~\"a|up\"}", &["__name__=up job=shop 0"]);
    wait_error(&server, "shop", "server returned HTTP status 503 Service Unavailable");
    target.show("a{x=\"1\"} 8\n");
    wait(&server, "a", &["__name__=a job=shop x=1 8"]);
    // A text that cannot be read counts as a whole or not at all.
    target.show("a{x=\"1\"} 9\nb{\n");
    wait(&server, "{__name__=~\"a|b|up\"}", &["__name__=up job=shop 0"]);
    wait_error(&server, "shop", "line 2: expected");
}

#[test]
fn a_reload_brings_and_takes_targets_and_leaves_the_others_alone() {
    let (first, second) = (TargetServer::showing("a 1\n"), TargetServer::showing("b 1\n"));
    let server = start(&[job("one", &[&first], ""), job("two", &[&second], "")]);
    wait(&server, "up", &["__name__=up job=one 1", "__name__=up job=two 1"]);
    let file = server.folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&file).expect("the configuration is there");
    let before = text.split_once("scrape_configs").expect("it is there").0;
    let reload = |jobs: &[String]| {
        std::fs::write(&file, format!("{before}scrape_configs:\n{}", jobs.concat())).expect("it can be written");
        let answer = server.client().post("/-/reload", "text/plain", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains("restart"), "{}", answer.text());
    };
    let rename = "metric_relabel_configs: [{source_labels: [__name__], regex: (a), target_label: __name__, replacement: \"${1}_new\"}]";
    reload(&[job("one", &[&first], rename)]);
    wait(&server, "{__name__=~\"a|a_new|b|up\"}", &["__name__=a_new job=one 1", "__name__=up job=one 1"]);
    // The target that stayed was never without a scrape, and none of its series began twice.
    let count = query(&mut server.client(), "count_over_time(up{job=\"one\"}[1m]) > bool 1");
    assert_eq!(count, ["job=one 1"]);
    reload(&[]);
    wait(&server, "{__name__=~\"a_new|up\"}", &[]);
    assert_eq!(server.client().get("/api/v1/targets")["data"]["activeTargets"], serde_json::json!([]));
}

#[test]
fn limits_make_a_scrape_fail_as_a_whole() {
    let text = "a{x=\"long\"} 1\nb 2\nc 3\n";
    let large = format!("# HELP a {}\n{text}", "x".repeat(5000));
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b'\n'; 50 << 20]).expect("memory");
        encoder.finish().expect("memory")
    };
    let bomb = TargetServer::start(move |_, out| {
        out.write_all(&answer("200 OK", &["Content-Type: text/plain", "Content-Encoding: gzip"], &packed))
    });
    let (target, huge) = (TargetServer::showing(text), TargetServer::showing(&large));
    let jobs = [
        ("samples", &target, "sample_limit: 2", "there are 3 samples, more than `sample_limit` 2"),
        ("labels", &target, "label_limit: 3", "has 4 labels, more than `label_limit` 3"),
        ("names", &target, "label_name_length_limit: 7", "longer than `label_name_length_limit` 7"),
        ("values", &target, "label_value_length_limit: 3", "longer than `label_value_length_limit` 3"),
        ("bytes", &huge, "body_size_limit: 4KB", "the body is larger than 4096 bytes"),
        ("bomb", &bomb, "body_size_limit: 1MB", "the body is larger than 1048576 bytes"),
    ];
    let configured: Vec<String> = jobs.iter().map(|(name, target, limit, _)| job(name, &[target], limit)).collect();
    let many = job("many", &[&target, &huge], "target_limit: 1");
    let server = start(&[configured, vec![many]].concat());
    for (name, _, _, expected) in &jobs {
        wait_error(&server, name, expected);
    }
    wait_error(&server, "many", "the job has 2 targets, more than `target_limit` 1");
    wait(&server, "{__name__=~\"a|b|c\"}", &[]);
    // All are counted, though none is stored.
    let counted = "scrape_samples_post_metric_relabeling{job=\"samples\"}";
    wait(&server, counted, &["__name__=scrape_samples_post_metric_relabeling job=samples 3"]);
}

#[test]
fn a_target_hears_who_asks_and_how_long_it_may_take() {
    let target = TargetServer::showing("a 1\n");
    let server = start(&[
        job("plain", &[&target], "scrape_timeout: 40ms, metrics_path: /p, params: {q: [a b, c], e: []}"),
        job("basic", &[&target], "basic_auth: {username: me, password_file: secret}, metrics_path: /basic"),
        job(
            "bearer",
            &[&target],
            "authorization: {credentials: t0ken}, metrics_path: /bearer, scrape_protocols: [PrometheusText0.0.4]",
        ),
    ]);
    std::fs::write(server.folder.path().join("secret"), "pass\n").expect("the folder can be written");
    wait(&server, "sum(up)", &[" 3"]);
    let heads = target.heads();
    let of = |path: &str| {
        let line = format!("GET {path} ");
        heads.iter().rev().find(|head| head.starts_with(&line)).unwrap_or_else(|| panic!("{path}: {heads:#?}"))
    };
    let plain = of("/p?q=a+b&q=c");
    assert_eq!(header(plain, "x-prometheus-scrape-timeout-seconds"), "0.04");
    assert_eq!(header(plain, "accept-encoding"), "gzip");
    assert!(header(plain, "accept").starts_with("application/openmetrics-text;version=1.0.0;"), "{plain}");
    assert!(header(plain, "user-agent").starts_with("Watchfire/"), "{plain}");
    assert_eq!(header(of("/basic"), "authorization"), "Basic bWU6cGFzcw==");
    assert_eq!(header(of("/bearer"), "authorization"), "Bearer t0ken");
    assert_eq!(header(of("/bearer"), "accept"), "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
}
