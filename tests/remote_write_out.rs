//! `remote_write` outward: a real Prometheus and a real VictoriaMetrics get all that we take in, by both versions, over their
//! absence and over our death; and what they refuse blocks nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_model::Histogram;
use watchfire_model::histogram::{CUSTOM_SCHEMA, HistogramParts};
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Program, Prometheus, Server, VictoriaMetrics, WriteReceiver, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(90);
const SERIES: usize = 30;
/// Samples of a request; at most so many may come twice after a kill.
const BATCH: usize = 100;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("not that late")
}

/// The first value of a query; 0 if there is none.
fn value(client: &mut Client, query: &str) -> f64 {
    let answer = client.get(&format!("/api/v1/query?query={}", encode(query)));
    answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn wait(what: impl Fn() -> String, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{}", what());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A destination with small batches.
fn destination(name: &str, url: &str, more: &str) -> String {
    format!(
        "  - {{name: {name}, url: \"{url}\", totals_interval: 1s, queue_config: {{max_samples_per_send: {BATCH}, \
         batch_send_deadline: 200ms, max_backoff: 500ms}}, write_relabel_configs: [{{source_labels: [__name__], \
         regex: \"m|log_events_total\", action: keep}}]{more}}}\n"
    )
}

/// Who sends samples to us, in ever later rounds.
struct Pusher {
    next_ms: i64,
    rounds: usize,
}

impl Pusher {
    fn new() -> Pusher {
        Pusher { next_ms: now_ms() - 600_000, rounds: 0 }
    }

    fn push(&mut self, server: &Server, rounds: usize) {
        let mut client = server.client();
        for _ in 0..rounds {
            let mut request = Vec::new();
            for series in 0..SERIES {
                let labels = remote_write::labels([("__name__", "m"), ("series", &series.to_string())]);
                remote_write::put_series(
                    &labels,
                    &[(self.next_ms, (self.rounds * SERIES + series) as f64)],
                    &mut request,
                );
            }
            let answer = client.call(&remote_write::http_request(&request));
            assert_eq!(answer.status, 204, "{}", answer.text());
            self.next_ms += 100;
            self.rounds += 1;
        }
    }

    fn samples(&self) -> f64 {
        (self.rounds * SERIES) as f64
    }

    /// The sum of all values.
    fn sum(&self) -> f64 {
        let samples = self.samples();
        samples * (samples - 1.0) / 2.0
    }
}

const COUNT: &str = "sum(count_over_time(m[1h]))";
const SUM: &str = "sum(sum_over_time(m[1h]))";

/// A figure of ours about a destination.
fn figure(server: &Server, name: &str, of: &str) -> f64 {
    let text = server.client().try_get("/metrics").text();
    let is_wanted =
        |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(&format!("remote_name=\"{of}\""));
    let lines = text.lines().filter(is_wanted);
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn all_arrives_in_prometheus_over_its_absence_and_our_death() {
    let Some(program) = Program::of_prometheus("prometheus", "remote_write to a real receiver") else { return };
    let versions: &[(&str, &str)] = match program.is_newest {
        true => &[("first", ""), ("second", ", protobuf_message: io.prometheus.write.v2.Request")],
        false => &[("first", "")],
    };
    let mut receivers: Vec<Prometheus> = versions.iter().map(|_| Prometheus::start(&program)).collect();
    let to: String = versions
        .iter()
        .zip(&receivers)
        .map(|((name, more), receiver)| destination(name, &format!("http://{}/api/v1/write", receiver.address), more))
        .collect();
    let external = "global: {external_labels: {region: eu}}\n";
    let mut server = Server::start(BINARY, &format!("metrics: {{port: 0}}\n{external}remote_write:\n{to}"));
    let mut pusher = Pusher::new();
    pusher.push(&server, 50);
    for _ in 0..3 {
        let line = r#"{"message": "it failed", "level": "error", "service": "shop"}"#;
        assert_eq!(server.client().post("/ingest", "application/json", line).status, 202);
    }
    let sent = |server: &Server| {
        versions.iter().all(|(name, _)| figure(server, "watchfire_remote_write_samples_sent_total", name) > 0.0)
    };
    wait(|| format!("nothing is sent: {}", server.log()), || sent(&server));
    for receiver in &mut receivers {
        receiver.kill();
    }
    pusher.push(&server, 50);
    // Killed with all of that unsent, and once more right in the middle of it.
    server.restart();
    pusher.push(&server, 50);
    for receiver in &mut receivers {
        receiver.restart(&program);
    }
    wait(|| format!("nothing is sent: {}", server.log()), || sent(&server));
    server.restart();
    pusher.push(&server, 50);
    for ((name, _), receiver) in versions.iter().zip(&receivers) {
        let mut client = receiver.client();
        wait(
            || format!("{name}: {} of {}: {}", value(&mut receiver.client(), COUNT), pusher.samples(), server.log()),
            || value(&mut client, COUNT) == pusher.samples(),
        );
        // It keeps a sample once, and would have refused one that is out of its order.
        assert_eq!(value(&mut client, SUM), pusher.sum(), "{name}");
        assert_eq!(
            value(&mut client, "count(m{region=\"eu\"}) + count(m offset 5m)"),
            0.0,
            "all is older than the lookback"
        );
        assert_eq!(value(&mut client, "count(count_over_time(m{region=\"eu\"}[1h]))"), SERIES as f64, "{name}");
        let logs = "sum(log_events_total{service=\"shop\",region=\"eu\"})";
        wait(|| format!("{name}: no totals: {}", server.log()), || value(&mut client, logs) == 3.0);
        let least = "min(min_over_time(log_events_total{service=\"shop\"}[1h]))";
        let all = client.get(&format!("/api/v1/query?query={}", encode("log_events_total{service=\"shop\"}[1h]")));
        assert_eq!(
            (value(&mut client, least), all["data"]["result"][0]["values"][0][1].as_str()),
            (0.0, Some("0")),
            "{name}: {all}"
        );
        // What it had taken before we were killed and could not answer any more, it refuses as out of order.
        let failed = figure(&server, "watchfire_remote_write_samples_failed_total", name);
        assert!(failed <= BATCH as f64, "{failed}: {}", server.log());
    }
}

#[test]
fn all_arrives_in_victoria_metrics_and_at_most_a_request_twice() {
    let Some(mut receiver) = VictoriaMetrics::start("remote_write to VictoriaMetrics") else { return };
    let to = destination("vm", &format!("http://{}/api/v1/write", receiver.address), "");
    let mut server = Server::start(BINARY, &format!("metrics: {{port: 0}}\nremote_write:\n{to}"));
    let mut pusher = Pusher::new();
    pusher.push(&server, 100);
    let mut client = receiver.client();
    wait(|| format!("nothing arrives: {}", server.log()), || value(&mut client, COUNT) > 0.0);
    let mut kills = 1;
    server.restart();
    pusher.push(&server, 100);
    receiver.restart(|| {
        pusher.push(&server, 100);
        server.restart();
        kills += 1;
        pusher.push(&server, 100);
    });
    let mut client = receiver.client();
    wait(
        || format!("{} of {}: {}", value(&mut receiver.client(), COUNT), pusher.samples(), server.log()),
        || value(&mut client, COUNT) >= pusher.samples(),
    );
    // It keeps what comes twice.
    let twice = value(&mut client, COUNT) - pusher.samples();
    assert!(twice <= (kills * BATCH) as f64, "{twice} samples came twice after {kills} kills");
    let last = (pusher.rounds * SERIES - 1) as f64;
    assert_eq!(value(&mut client, "max(max_over_time(m[1h]))"), last);
    let distinct = "sum(count_values_over_time(\"v\", m[1h]) > bool 0)";
    assert_eq!(value(&mut client, distinct), pusher.samples(), "every value is there");
}

#[test]
fn samples_that_are_refused_block_nothing_and_a_reload_adds_a_destination() {
    let Some(program) = Program::of_prometheus("prometheus", "refusals of a real receiver") else { return };
    let receiver = Prometheus::start(&program);
    let to = destination("strict", &format!("http://{}/api/v1/write", receiver.address), "");
    let server = Server::start(BINARY, &format!("metrics: {{port: 0}}\nremote_write:\n{to}"));
    let mut pusher = Pusher::new();
    pusher.push(&server, 20);
    let mut client = receiver.client();
    wait(|| format!("nothing arrives: {}", server.log()), || value(&mut client, COUNT) == pusher.samples());
    // The past of yesterday, which its head does not take any more.
    let yesterday = now_ms() / 1000 - 86_400;
    let text = format!("# TYPE m gauge\nm{{series=\"old\"}} 1 {yesterday}\n# EOF\n");
    let answer = server.client().post("/api/v1/import", "application/openmetrics-text", text);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let failed = || figure(&server, "watchfire_remote_write_samples_failed_total", "strict");
    wait(|| format!("nothing is refused: {}", server.log()), || failed() > 0.0);
    assert!(server.log().contains("the receiver refuses them: 400"), "{}", server.log());
    pusher.push(&server, 20);
    wait(
        || format!("what follows does not arrive: {}", server.log()),
        || value(&mut client, COUNT) == pusher.samples(),
    );
    // Another destination joins; it gets what is taken in from then on.
    let other = WriteReceiver::start();
    let file = server.folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&file).expect("it is there") + &destination("other", &other.url(), "");
    std::fs::write(&file, text).expect("it can be written");
    let answer = server.client().post("/-/reload", "text/plain", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    pusher.push(&server, 10);
    let taken = other.wait_for(10 * SERIES);
    assert!(taken.iter().all(|(labels, ..)| labels.starts_with("__name__=m,")), "{taken:?}");
    wait(|| format!("the first one stays: {}", server.log()), || value(&mut client, COUNT) == pusher.samples());
    let health = server.client().get("/api/v1/health");
    assert_eq!(health["components"]["remote_write"]["destinations"], 2, "{health}");
}

#[test]
fn a_sample_that_is_refused_takes_no_others_with_it() {
    let Some(program) = Program::of_prometheus("prometheus", "late samples to a real receiver") else { return };
    let receiver = Prometheus::start(&program);
    let to = destination("strict", &format!("http://{}/api/v1/write", receiver.address), "");
    let server = Server::start(BINARY, &format!("metrics: {{port: 0}}\nremote_write:\n{to}"));
    let mut pusher = Pusher::new();
    let (mut ours, mut theirs) = (server.client(), receiver.client());
    // We take what is two minutes late, and imports of yesterday; Prometheus does not, nor anything that comes with them.
    let (late, old) = (6, 150);
    pusher.push(&server, 5);
    for number in 0..late {
        pusher.push(&server, 3);
        let (labels, mut request) = (remote_write::labels([("__name__", "m"), ("series", "7")]), Vec::new());
        remote_write::put_series(&labels, &[(pusher.next_ms - 120_000 - number, 0.5)], &mut request);
        assert_eq!(ours.call(&remote_write::http_request(&request)).status, 204);
    }
    let yesterday = now_ms() / 1000 - 86_400;
    let lines = (0..old).map(|number| format!("m{{series=\"old\"}} 1 {}\n", yesterday + number));
    let text = format!("# TYPE m gauge\n{}# EOF\n", lines.collect::<String>());
    let answer = ours.post("/api/v1/import", "application/openmetrics-text", text);
    assert_eq!(answer.status, 202, "{}", answer.text());
    pusher.push(&server, 5);
    let failed = || figure(&server, "watchfire_remote_write_samples_failed_total", "strict");
    let of_all = || failed() + figure(&server, "watchfire_remote_write_samples_sent_total", "strict");
    let wanted = pusher.samples() + f64::from(old as u32) + late as f64;
    wait(|| format!("{} of {wanted} are settled: {}", of_all(), server.log()), || of_all() >= wanted);
    assert_eq!(value(&mut theirs, COUNT), pusher.samples(), "{}", server.log());
    assert_eq!(value(&mut theirs, SUM), pusher.sum());
    assert_eq!(failed(), wanted - pusher.samples());
}

#[test]
fn a_receiver_that_refuses_everything_is_told_by_health() {
    let refusing = WriteReceiver::start();
    let taking = WriteReceiver::start();
    refusing.away(Some("404 Not Found"));
    let to = destination("lost", &refusing.url(), "") + &destination("kept", &taking.url(), "");
    let server = Server::start(BINARY, &format!("metrics: {{port: 0}}\nremote_write:\n{to}"));
    let health = || server.client().get("/api/v1/health")["components"]["remote_write"].clone();
    assert_eq!(health()["status"], "ok", "nothing was sent yet: {}", health());
    let mut pusher = Pusher::new();
    pusher.push(&server, 1);
    taking.wait_for(SERIES);
    wait(|| format!("{}: {}", health(), server.log()), || health()["status"] == "degraded");
    let problem = health().to_string();
    let told = format!("lost refuses samples, which are given up ({SERIES} samples so far): 404 Not Found");
    assert!(problem.contains(&told) && !problem.contains("kept"), "{problem}");
}

/// A histogram of so many rounds of observations; with custom bounds if the schema is that of them.
fn native(rounds: i64, schema: i32) -> Histogram {
    let rounds = rounds as f64;
    let (positive, negative) = (vec![(0, rounds), (1, 2.0 * rounds), (4, rounds)], vec![(2, rounds)]);
    let is_custom = schema == i32::from(CUSTOM_SCHEMA);
    let parts = HistogramParts {
        schema,
        count: rounds * if is_custom { 4.0 } else { 6.0 },
        sum: rounds * 3.25,
        zero_threshold: if is_custom { 0.0 } else { 0.001 },
        zero_count: if is_custom { 0.0 } else { rounds },
        positive,
        negative: if is_custom { Vec::new() } else { negative },
        bounds: if is_custom { vec![0.5, 1.0, 2.5, 10.0].into() } else { Vec::new().into() },
        is_integer: true,
        ..HistogramParts::default()
    };
    Histogram::new(parts).expect("a histogram")
}

/// The series of a query by their labels, with all that they have.
fn matrix(client: &mut Client, query: &str) -> BTreeMap<String, Value> {
    let answer = client.get(&format!("/api/v1/query?query={}", encode(query)));
    let rows = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    rows.into_iter().map(|row| (row["metric"].to_string(), row)).collect()
}

#[test]
fn native_histograms_arrive_as_they_are() {
    let Some(program) = Program::of_prometheus("prometheus", "native histograms to a real receiver") else { return };
    if !program.is_newest {
        println!("SKIP: native histograms to a real receiver: an older Prometheus takes none of them");
        return;
    }
    let versions = [("first", ""), ("second", ", protobuf_message: io.prometheus.write.v2.Request"), ("without", "")];
    let receivers: Vec<Prometheus> = versions.iter().map(|_| Prometheus::start(&program)).collect();
    let to = versions.iter().zip(&receivers).map(|((name, more), receiver)| {
        let natives = format!("{more}, send_native_histograms: {}", *name != "without");
        destination(name, &format!("http://{}/api/v1/write", receiver.address), &natives)
    });
    let to: String = to.collect();
    let server = Server::start(BINARY, &format!("metrics: {{port: 0}}\nremote_write:\n{to}"));
    let begin = now_ms() - 60_000;
    let at = |round: i64| begin + round * 1000;
    let mut request = Vec::new();
    for (kind, schema) in [("wide", -1), ("fine", 3), ("custom", CUSTOM_SCHEMA.into())] {
        let histograms: Vec<(i64, Histogram)> = (1..40).map(|round| (at(round), native(round, schema))).collect();
        remote_write::put_mixed_series(
            &remote_write::labels([("__name__", "m"), ("kind", kind)]),
            &[],
            &histograms,
            &mut request,
        );
    }
    // Numbers first, then histograms, of which each piece may meet the other in one request.
    let labels = remote_write::labels([("__name__", "m"), ("kind", "mixed")]);
    let numbers: Vec<(i64, f64)> = (1..20).map(|round| (at(round), round as f64)).collect();
    let histograms: Vec<(i64, Histogram)> = (20..40).map(|round| (at(round), native(round, 0))).collect();
    remote_write::put_mixed_series(&labels, &numbers, &histograms, &mut request);
    assert_eq!(server.client().call(&remote_write::http_request(&request)).status, 204);
    let ours = matrix(&mut server.client(), "m[5m]");
    assert!(ours.len() == 4 && ours.values().all(|row| row["histograms"].is_array()), "{ours:?}");
    for ((name, _), receiver) in versions.iter().zip(&receivers).take(2) {
        let mut client = receiver.client();
        wait(
            || format!("{name}: {:?} and not {ours:?}: {}", matrix(&mut receiver.client(), "m[5m]"), server.log()),
            || matrix(&mut client, "m[5m]") == ours,
        );
    }
    let mut client = receivers[2].client();
    wait(|| server.log(), || value(&mut client, "count_over_time(m{kind=\"mixed\"}[5m])") == 19.0);
    assert_eq!(matrix(&mut client, "m[5m]").len(), 1);
    assert_eq!(figure(&server, "watchfire_remote_write_samples_failed_total", "second"), 0.0);
}
