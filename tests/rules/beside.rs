//! The same rule file over the same samples in Watchfire and in a real Prometheus: rules, alerts and recorded series.
//!
//! The samples do not change for minutes, so that it does not matter at which moment who evaluates.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use watchfire_model::Histogram;
use watchfire_model::histogram::HistogramParts;
use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::{Prometheus, Written, write_to};
use watchfire_test_support::{Client, Program, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(120);
/// How far samples reach into the past and the future, and their distance, milliseconds.
const SPAN_MS: i64 = 300_000;
const STEP_MS: i64 = 5000;
/// The value that says that a series has ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    i64::try_from(since).expect("far from the end of time")
}

/// Both, over one rule file.
struct Both {
    ours: Server,
    theirs: Prometheus,
    began_ms: i64,
    _folder: tempfile::TempDir,
}

impl Both {
    fn start(program: &Program) -> Both {
        Both::start_with(program, include_str!("groups.yml"))
    }

    fn start_with(program: &Program, rules: &str) -> Both {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("groups.yml");
        std::fs::write(&file, rules).expect("the folder can be written");
        let config = format!("global: {{evaluation_interval: 1s}}\nrule_files: [\"{}\"]\n", file.display());
        let theirs = Prometheus::start_with(program, |_| config.clone());
        let ours = Server::start(BINARY, &config);
        Both { ours, theirs, began_ms: now_ms(), _folder: folder }
    }

    fn write(&self, series: &[Written<'_>]) {
        self.theirs.write(series);
        write_to(&mut self.ours.client(), series);
    }

    /// Waits until both say the same, and what they say is what is wanted.
    fn agree(&self, what: &str, ask: impl Fn(&mut Client) -> Value, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let (ours, theirs) = (ask(&mut self.ours.client()), ask(&mut self.theirs.client()));
            if ours == theirs && wanted(&ours) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}:\nours   {ours:#}\ntheirs {theirs:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Values at regular times around now.
fn around(now: i64, value: impl Fn(i64) -> f64) -> Vec<(i64, f64)> {
    (-SPAN_MS / STEP_MS..SPAN_MS / STEP_MS).map(|step| (now + step * STEP_MS, value(step))).collect()
}

fn queue<'s>(host: &'s str, queue: &'s str, samples: Vec<(i64, f64)>) -> Written<'s> {
    let labels = vec![("__name__", "queue_length"), ("host", host), ("queue", queue)];
    Written { labels, samples, histograms: Vec::new() }
}

/// Rules as they stand, without what differs from one moment and one program to another.
fn rules(client: &mut Client) -> Value {
    let mut answer = client.get("/api/v1/rules");
    for group in answer["data"]["groups"].as_array_mut().expect("groups") {
        let group = group.as_object_mut().expect("an object");
        group.remove("evaluationTime");
        group.remove("lastEvaluation");
        for rule in group["rules"].as_array_mut().expect("rules") {
            let rule = rule.as_object_mut().expect("an object");
            rule.remove("evaluationTime");
            rule.remove("lastEvaluation");
            // Ours alone.
            rule.remove("newestValue");
            // Words are ours; that there are some is compared.
            let error = rule.remove("lastError").map(|error| error != "");
            rule.insert("failed".into(), json!(error));
            let Some(alerts) = rule.get_mut("alerts") else { continue };
            *alerts = without_times(alerts);
        }
    }
    answer
}

fn alerts(client: &mut Client) -> Value {
    without_times(&client.get("/api/v1/alerts")["data"]["alerts"])
}

/// Alerts without when they began, in the order of their labels.
fn without_times(alerts: &Value) -> Value {
    let mut alerts = alerts.as_array().cloned().unwrap_or_default();
    for alert in &mut alerts {
        let alert = alert.as_object_mut().expect("an object");
        alert.remove("activeAt");
        let is_kept = alert.remove("keepFiringSince").is_some();
        alert.insert("kept".into(), json!(is_kept));
    }
    alerts.sort_by_key(|alert| alert["labels"].to_string());
    Value::Array(alerts)
}

/// Series and values of a query, without their time; of `ALERTS_FOR_STATE` without values, which are times.
fn values(query: &str) -> impl Fn(&mut Client) -> Value {
    let path = format!("/api/v1/query?query={}", encode(query));
    move |client| {
        let answer = client.get(&path);
        let mut found: Vec<Value> = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        for one in &mut found {
            let value = one["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
            // Rates over a window that moves differ in the last digits.
            one["value"] = json!(value.map(|value| (value * 1e9).round() / 1e9));
        }
        found.sort_by_key(|one| one["metric"].to_string());
        Value::Array(found)
    }
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

const RECORDED: &str = r#"{__name__=~".+:.+|twins|many"}"#;

/// The newest Prometheus, if it is here: an older one has other fields.
fn newest() -> Option<Program> {
    let program = Program::of_prometheus("prometheus", "rules beside Prometheus")?;
    program.is_newest.then_some(program)
}

/// Whether a rule of that name fires.
fn fires(rules: &Value, name: &str) -> bool {
    let groups = rules["data"]["groups"].as_array().into_iter().flatten();
    let mut all = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    all.any(|rule| rule["name"] == name && rule["state"] == "firing")
}

#[test]
fn the_same_file_gives_the_same() {
    let Some(program) = newest() else { return };
    let both = Both::start(&program);
    let now = both.began_ms;
    let rate = |job: &'static str, per_second: i64| Written {
        labels: vec![("__name__", "requests_total"), ("job", job)],
        samples: around(now, |step| ((step + SPAN_MS / STEP_MS) * per_second * STEP_MS / 1000) as f64),
        histograms: Vec::new(),
    };
    both.write(&[
        rate("api", 4),
        rate("web", 12),
        queue("a", "mail", around(now, |_| 5.0)),
        queue("b", "jobs", around(now, |_| 50.0)),
        queue("c", "jobs", around(now, |_| 1500.0)),
    ]);
    both.agree("rules", rules, |rules| fires(rules, "QueueLongSoon"));
    both.agree("alerts", alerts, |alerts| count(alerts) > 7);
    both.agree("recorded", values(RECORDED), |found| count(found) > 9);
    both.agree("ALERTS", values("ALERTS"), |found| count(found) > 7);
    both.agree("ALERTS_FOR_STATE", values("count by (alertname) (ALERTS_FOR_STATE)"), |found| count(found) > 5);
    let without_alerts = |client: &mut Client| {
        let answer = client.get("/api/v1/rules?exclude_alerts=true&type=alert");
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        rules.map(|rule| rule["alerts"].clone()).collect()
    };
    both.agree("rules without alerts", without_alerts, |alerts| count(alerts) > 1);
}

#[test]
fn an_alert_of_a_native_histogram_shows_it() {
    let Some(program) = newest() else { return };
    let rules = "groups:\n- name: h\n  interval: 500ms\n  rules:\n  - {alert: Sizes, expr: sizes, labels: {all: 'is {{ $value }}'}, \
        annotations: {text: '{{ $labels.job }}: {{ $value }}'}}\n  - {alert: Sum, expr: histogram_sum(sizes), \
        annotations: {text: '{{ $value }}'}}\n";
    let both = Both::start_with(&program, rules);
    let parts = HistogramParts {
        schema: 1,
        count: 12.5,
        sum: 1_234_567.75,
        zero_threshold: 0.001,
        zero_count: 2.0,
        positive: vec![(-1, 1.5), (0, 3.0), (40, 5.0)],
        negative: vec![(2, 1.0)],
        ..HistogramParts::default()
    };
    let histogram = Histogram::new(parts).expect("a histogram");
    let times = around(both.began_ms, |_| 0.0).into_iter().map(|(at, _)| (at, histogram.clone()));
    let labels = vec![("__name__", "sizes"), ("job", "a")];
    both.write(&[Written { labels, samples: Vec::new(), histograms: times.collect() }]);
    let shown = |client: &mut Client| {
        let mut all = alerts(client);
        // Of a histogram it tells 0, and we the number of its observations.
        all.as_array_mut().expect("a list").iter_mut().for_each(|alert| alert["value"] = Value::Null);
        all
    };
    both.agree("alerts", shown, |alerts| count(alerts) == 2 && alerts.to_string().contains("{count:12.5, sum:"));
}

#[test]
fn what_ends_ends_the_same() {
    let Some(program) = newest() else { return };
    let both = Both::start(&program);
    let now = both.began_ms;
    let until_now = |value: f64| {
        let mut samples = around(now, |_| value);
        samples.retain(|(at, _)| *at < now);
        samples
    };
    both.write(&[
        queue("b", "jobs", until_now(50.0)),
        queue("c", "jobs", until_now(1500.0)),
        queue("a", "mail", until_now(5.0)),
    ]);
    both.agree("before the end", rules, |rules| fires(rules, "QueueLongSoon"));
    let moment = now_ms();
    both.write(&[
        queue("b", "jobs", vec![(moment, f64::from_bits(STALE))]),
        queue("c", "jobs", vec![(moment, 2.0)]),
        queue("a", "mail", vec![(moment, 5.0)]),
    ]);
    let is_kept = |alerts: &Value| alerts.as_array().into_iter().flatten().any(|alert| alert["kept"] == true);
    both.agree("alerts after the end", alerts, is_kept);
    both.agree("rules after the end", rules, |_| true);
    both.agree("recorded after the end", values(RECORDED), |found| count(found) > 4);
    both.agree("ALERTS after the end", values("ALERTS"), |found| count(found) > 3);
}
