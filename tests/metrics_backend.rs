//! `metrics.backend`: a real Prometheus and a real VictoriaMetrics answer the API, the short form, the pages' calls and rules; and
//! what is told when they are away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Program, Prometheus, Server, VictoriaMetrics, WebhookReceiver, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(90);

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("not that late")
}

fn wait(what: impl Fn() -> String, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{}", what());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn query(client: &mut Client, query: &str) -> Value {
    client.try_get(&format!("/api/v1/query?query={}", encode(query))).json()
}

/// The values of an instant query by the label `job`, as texts.
fn by_job(answer: &Value) -> Vec<(String, String)> {
    let row = |row: &Value| Some((row["metric"]["job"].as_str()?.to_owned(), row["value"][1].as_str()?.to_owned()));
    let mut rows: Vec<_> = answer["data"]["result"].as_array().into_iter().flatten().filter_map(row).collect();
    rows.sort();
    rows
}

/// Writes samples of the last minute straight into the cluster.
fn fill(cluster: SocketAddr) {
    let mut request = Vec::new();
    let now = now_ms();
    for (job, value) in [("a", 1.0), ("b", 2.0)] {
        let labels = remote_write::labels([("__name__", "only_there"), ("job", job)]);
        let samples: Vec<_> = (0..13).map(|step| (now - 60_000 + step * 5000, value * step as f64)).collect();
        remote_write::put_series(&labels, &samples, &mut request);
    }
    let answer = Client::new(cluster).call(&remote_write::http_request(&request));
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// A server of ours whose queries the cluster answers, and who is told of alerts.
fn start(cluster: SocketAddr) -> (Server, WebhookReceiver, tempfile::TempDir) {
    let (hook, folder) = (WebhookReceiver::start(), tempfile::tempdir().expect("a folder"));
    let rules = folder.path().join("rules.json");
    let rule =
        r#"[{"name": "There", "query": "sum only_there by job", "threshold": 20, "operator": ">", "duration": "0s"}]"#;
    std::fs::write(&rules, rule).expect("it can be written");
    let config = format!(
        "metrics: {{port: 0, backend: {{url: \"http://{cluster}\", timeout: 10s}}}}\n{}\
         remote_write: [{{url: \"http://{cluster}/api/v1/write\", totals_interval: 1s, queue_config: {{batch_send_deadline: 100ms}}}}]\n",
        hook.alerting(&rules)
    );
    (Server::start(BINARY, &config), hook, folder)
}

/// What the cluster knows is answered by us, in every way of asking.
fn check_answers(server: &Server, cluster: &mut Client) {
    let mut ours = server.client();
    wait(|| "the cluster shows its samples".to_owned(), || by_job(&query(cluster, "only_there")).len() == 2);
    for text in ["only_there", "sum by (job) (max_over_time(only_there[5m]))", "count(only_there) by (job)"] {
        assert_eq!(by_job(&query(&mut ours, text)), by_job(&query(cluster, text)), "{text}");
    }
    let scalar = query(&mut ours, "1 + 1");
    assert_eq!(
        (&scalar["data"]["resultType"], &scalar["data"]["result"][1]),
        (&"scalar".into(), &"2".into()),
        "{scalar}"
    );
    let end = now_ms() / 1000;
    let range = format!("/api/v1/query_range?query=only_there&start={}&end={end}&step=5", end - 30);
    let (mine, theirs) = (ours.get(&range), cluster.get(&range));
    let points = |answer: &Value| {
        let rows = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["values"].as_array().map_or(0, Vec::len)).collect::<Vec<_>>()
    };
    assert_eq!(points(&mine), points(&theirs), "{mine} {theirs}");
    assert_eq!(mine["data"]["result"].as_array().map(Vec::len), Some(2), "{mine}");
    let series = ours.get("/api/v1/series?match[]=only_there");
    assert_eq!(series["data"].as_array().map(Vec::len), Some(2), "{series}");
    assert_eq!(ours.get("/api/v1/label/job/values?match[]=only_there")["data"], serde_json::json!(["a", "b"]));
    let labels = ours.get("/api/v1/labels?match[]=only_there");
    assert_eq!(labels["data"], serde_json::json!(["__name__", "job"]));
    assert_eq!(ours.get("/api/metrics?prefix=only_")[0]["name"], "only_there");
    // The short form is asked as PromQL.
    let short = ours.get(&format!("/api/v1/metrics/query?query={}", encode("sum only_there over 5m by job")));
    assert_eq!(short["promql"], "sum by (job) (sum_over_time(only_there[5m]))", "{short}");
    assert_eq!(short["result"].as_array().map(Vec::len), Some(2), "{short}");
    let range = ours.get(&format!("/api/v1/metrics/range?query={}", encode("max only_there")));
    assert_eq!(range["result"].as_array().map(Vec::len), Some(1), "{range}");
    check_quantiles(&mut ours);
    let wrong = ours.try_get(&format!("/api/v1/query?query={}", encode("only_there + on (job) group_left only_there")));
    assert!(wrong.status < 500, "{}", wrong.text());
}

/// Quantiles over the samples of several series, of which the cluster has the samples and no word for it.
fn check_quantiles(client: &mut Client) {
    let of = |value: f64| (0..13).map(move |step| value * f64::from(step));
    let quantile = |mut values: Vec<f64>, q: f64| {
        values.sort_by(f64::total_cmp);
        let rank = q * (values.len() - 1) as f64;
        let (below, above) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
        below + (above - below) * rank.fract()
    };
    let both: Vec<f64> = of(1.0).chain(of(2.0)).collect();
    let end = now_ms();
    let mut ask = |call: &str, text: &str, times: &str| {
        let answer = client.get(&format!("/api/v1/metrics/{call}?query={}&{times}", encode(text)));
        assert!(answer["promql"].is_null(), "{answer}");
        answer["result"].as_array().cloned().unwrap_or_default()
    };
    let number = |value: &Value| value.as_f64().expect("a number");
    for (text, wanted) in [
        ("p95 only_there over 10m", vec![quantile(both.clone(), 0.95)]),
        ("p50 only_there over 10m job=~a|b", vec![quantile(both.clone(), 0.5)]),
        ("p95 only_there over 10m by job", vec![quantile(of(1.0).collect(), 0.95), quantile(of(2.0).collect(), 0.95)]),
        ("p95 only_there over 10m job=nobody", vec![]),
    ] {
        let at_once = ask("query", text, &format!("time={end}"));
        let at_once: Vec<f64> = at_once.iter().map(|row| number(&row["value"])).collect();
        assert!(at_once.len() == wanted.len(), "{text}: {at_once:?}, not {wanted:?}");
        let is_near = |(left, right): (&f64, &f64)| (left - right).abs() < 1e-9;
        assert!(at_once.iter().zip(&wanted).all(is_near), "{text}: {at_once:?}, not {wanted:?}");
        // Before the first sample there is no value, at the end the same.
        let steps = ask("range", text, &format!("start={}&end={end}&step=60s", end - 600_000));
        let steps: Vec<&Vec<Value>> = steps.iter().map(|row| row["values"].as_array().expect("values")).collect();
        assert!(steps.iter().all(|values| !values.is_empty() && values.len() < 11), "{text}: {steps:?}");
        let last: Vec<f64> = steps.iter().filter_map(|values| values.last()).map(|last| number(&last[1])).collect();
        assert!(last.len() == wanted.len() && last.iter().zip(&wanted).all(is_near), "{text}: {last:?}");
    }
}

/// What is made of logs is there, too; distributions are answered by ourselves.
fn check_logs(server: &Server) {
    let mut client = server.client();
    let line = r#"{"message": "slow", "level": "error", "service": "shop", "duration_ms": 250}"#;
    assert_eq!(client.post("/ingest", "application/json", line).status, 202);
    wait(
        || format!("the total comes back from the cluster: {}", server.log()),
        || query(&mut client, "sum(error_count{service=\"shop\"})")["data"]["result"][0]["value"][1] == "1",
    );
    let p95 = client.get(&format!("/api/v1/metrics/query?query={}", encode("p95 request_duration_ms over 1h")));
    assert!(p95["value"].as_f64().is_some_and(|value| (value - 250.0).abs() < 3.0), "{p95}");
}

/// While the cluster is away that is said, and nothing else breaks; afterwards all is as before.
fn check_absence(server: &Server, cluster: SocketAddr, away: impl FnOnce(&mut dyn FnMut())) {
    let mut client = server.client();
    let named = format!("`metrics.backend` ({cluster})");
    away(&mut || {
        let answer = client.try_get("/api/v1/query?query=only_there");
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.json()["errorType"], "unavailable", "{}", answer.text());
        assert!(answer.text().contains(&named), "{}", answer.text());
        let answer = client.try_get("/api/v1/metrics/query?query=only_there");
        assert_eq!(answer.status, 503, "{}", answer.text());
        let health = client.get("/api/v1/health");
        assert_eq!(health["components"]["metrics_backend"]["status"], "degraded", "{health}");
        let line = r#"{"message": "still taken", "service": "shop"}"#;
        assert_eq!(client.post("/ingest", "application/json", line).status, 202);
    });
    wait(
        || format!("it answers again: {}", server.client().get("/api/v1/health")),
        || {
            query(&mut client, "1")["status"] == "success"
                && client.get("/api/v1/health")["components"]["metrics_backend"]["status"] == "ok"
        },
    );
}

#[test]
fn a_real_prometheus_answers() {
    let Some(program) = Program::of_prometheus("prometheus", "queries asked of a cluster") else { return };
    let mut cluster = Prometheus::start(&program);
    fill(cluster.address);
    let (server, hook, _folder) = start(cluster.address);
    check_answers(&server, &mut cluster.client());
    let alert = hook.wait_for("a rule over the cluster fires", |delivery| delivery.body["status"] == "firing");
    assert_eq!(alert.body["alerts"][0]["labels"]["job"], "b", "{}", alert.body);
    check_logs(&server);
    check_absence(&server, cluster.address, |look| {
        cluster.kill();
        look();
        cluster.restart(&program);
    });
}

#[test]
fn a_real_victoria_metrics_answers() {
    let Some(mut cluster) = VictoriaMetrics::start("queries asked of VictoriaMetrics") else { return };
    fill(cluster.address);
    let (server, hook, _folder) = start(cluster.address);
    check_answers(&server, &mut cluster.client());
    let alert = hook.wait_for("a rule over the cluster fires", |delivery| delivery.body["status"] == "firing");
    assert_eq!(alert.body["alerts"][0]["labels"]["job"], "b", "{}", alert.body);
    check_logs(&server);
    check_absence(&server, cluster.address, |look| cluster.restart(look));
}
