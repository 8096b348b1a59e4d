//! Scraping, against servers that show what the test says: from `scrape_configs` to the answers of queries.

mod basics;
mod custom_buckets;
mod discovery;
mod dns;
mod faults;
mod oauth2;
mod protobuf;
mod real;

use std::time::{Duration, Instant};

use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Server, TargetServer};

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
    wait_told(server, job, "down", expected);
}

/// Waits until a target of a job is in this state with such an error, which is given back.
fn wait_told(server: &Server, job: &str, health: &str, expected: &str) -> String {
    let (mut client, begun) = (server.client(), Instant::now());
    loop {
        let answer = client.get(&format!("/api/v1/targets?scrapePool={job}"));
        let target = &answer["data"]["activeTargets"][0];
        let error = target["lastError"].as_str().unwrap_or_default();
        if error.contains(expected) {
            assert_eq!(target["health"], health, "{target}");
            return error.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{job}: {expected}: {answer}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn header<'h>(head: &'h str, wanted: &str) -> &'h str {
    let named = head.lines().filter_map(|line| line.split_once(": "));
    named.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value).next().unwrap_or_default()
}

/// Puts another list of jobs into the configuration and reloads.
fn reload(server: &Server, jobs: &[String]) {
    let file = server.folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&file).expect("the configuration is there");
    let before = text.split_once("scrape_configs").expect("it is there").0;
    std::fs::write(&file, format!("{before}scrape_configs:\n{}", jobs.concat())).expect("it can be written");
    let answer = server.client().post("/-/reload", "text/plain", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("restart"), "{}", answer.text());
}
