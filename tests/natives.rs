//! Native histograms on their way out: a real Prometheus reads ours by remote-read, and federates them as we do.

use watchfire_model::histogram::{CUSTOM_SCHEMA, HistogramParts};
use watchfire_model::{Histogram, ResetHint};
use watchfire_protobuf::{Message, Writer};
use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::{Written, write_to};
use watchfire_test_support::{Client, Program, Prometheus, Server, answers, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const STEP_MS: i64 = 15_000;
const STEPS: i64 = 400;
/// Steps until a mixed series changes.
const RUN: i64 = 25;
/// Series that are of one sort from beginning to end.
const PURE: [&str; 4] = ["native", "custom", "gauge", "plain"];
const PROTOBUF: &str =
    "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("milliseconds fit")
}

/// A histogram that has grown for some steps.
fn grown(steps: i64, schema: i8, hint: ResetHint) -> Histogram {
    let bounds = if schema == CUSTOM_SCHEMA { [0.5, 1.0, 2.5].into() } else { Default::default() };
    let positive: Vec<(i32, f64)> =
        (0..3 + (steps % 4) as i32 / 3).map(|place| (place, (steps * i64::from(place + 1)) as f64)).collect();
    let (negative, zero_count) = if schema < 2 { (vec![], 0.0) } else { (vec![(-7, 2.0), (4, steps as f64)], 3.0) };
    let zero_threshold = [0.0, 0.25, 0.001][(schema.unsigned_abs() % 3) as usize] * f64::from(u8::from(schema >= 0));
    let inside: f64 = positive.iter().chain(&negative).map(|(_, count)| count).sum();
    let parts = HistogramParts {
        schema: schema.into(),
        hint,
        zero_threshold,
        zero_count,
        count: inside + zero_count,
        sum: steps as f64 * 1.25,
        positive,
        negative,
        bounds,
        ..HistogramParts::default()
    };
    Histogram::new(parts).expect("a histogram")
}

/// Series of every temper that end now.
fn series(begin: i64) -> Vec<Written<'static>> {
    let times = || (0..STEPS).map(move |step| (step, begin + step * STEP_MS));
    let written = |name, job, samples, histograms| Written {
        labels: vec![("__name__", name), ("instance", "a"), ("job", job)],
        samples,
        histograms,
    };
    let counter = |schema: i8| {
        times().map(|(step, at)| (at, grown(4 + step % 150, schema, ResetHint::Unknown))).collect::<Vec<_>>()
    };
    let gauge = times().map(|(step, at)| (at, grown(3 + step % 3 * 4, 1, ResetHint::Gauge))).collect();
    // Now of floats, now of histograms, as a sender comes upon them.
    let mixed = (0..STEPS / RUN).map(|run| {
        let times = || times().filter(move |(step, _)| step / RUN == run);
        if run % 2 == 0 {
            written("mixed", "api", times().map(|(step, at)| (at, step as f64)).collect(), Vec::new())
        } else {
            let histograms = times().map(|(step, at)| (at, grown(step, 3, ResetHint::Unknown))).collect();
            written("mixed", "api", Vec::new(), histograms)
        }
    });
    let mut series = vec![
        written("native", "api", Vec::new(), counter(0)),
        written("native", "db", Vec::new(), counter(3)),
        written("custom", "api", Vec::new(), counter(CUSTOM_SCHEMA)),
        written("gauge", "api", Vec::new(), gauge),
        written("plain", "api", times().map(|(step, at)| (at, step as f64)).collect(), Vec::new()),
    ];
    series.extend(mixed);
    series
}

/// Both answer the same for these series.
fn compare(ours: &mut Client, theirs: &mut Client, begin: i64, names: &[&str]) {
    let end = format!("{:.3}", (begin + STEPS * STEP_MS) as f64 / 1000.0);
    for name in names {
        let whole = format!("{name}[{}s]", STEPS * STEP_MS / 1000 + 60);
        let points = answers::same(ours, theirs, "/api/v1/query", &[("query", &whole), ("time", &end)]);
        assert!(points >= STEPS as usize, "{name}: {points}");
    }
    let start = format!("{:.3}", begin as f64 / 1000.0);
    for query in ["histogram_quantile(0.9, rate(native[5m]))", "increase(custom[3m])", "avg_over_time(gauge[2m])"] {
        let parameters = [("query", query), ("start", &start), ("end", &end), ("step", "60")];
        let points = answers::same(ours, theirs, "/api/v1/query_range", &parameters);
        assert!(points > 90, "{query}: {points}");
    }
}

#[test]
fn a_real_prometheus_reads_ours_in_chunks() {
    let Some(program) = Program::of_prometheus("prometheus", "remote-read of native histograms") else { return };
    if !program.is_newest {
        return println!("SKIP: remote-read of native histograms: Prometheus is too old for all of them");
    }
    let server = Server::start(BINARY, "");
    let begin = now_ms() - STEPS * STEP_MS;
    write_to(&mut server.client(), &series(begin));
    let url = format!("http://{}/api/v1/read", server.address);
    let prometheus =
        Prometheus::start_with(&program, |_| format!("remote_read:\n  - url: {url}\n    read_recent: true\n"));
    compare(&mut server.client(), &mut prometheus.client(), begin, &[&PURE[..], &["mixed"]].concat());
}

#[test]
fn the_short_form_says_what_its_promql_says() {
    let server = Server::start(BINARY, "");
    write_to(&mut server.client(), &series(now_ms() - STEPS * STEP_MS));
    let ask = |query: &str| server.client().get(&format!("/api/v1/metrics/query?query={}", encode(query)));
    for (short, promql) in [
        ("count native", "count(native)"),
        ("sum native by job", "sum by (job) (native)"),
        ("avg native over 100m", "histogram_avg(sum(increase(native[1h40m])))"),
        ("p95 native over 100m by job", "histogram_quantile(0.95, sum by (job) (rate(native[1h40m])))"),
    ] {
        let (ours, theirs) = (ask(short), ask(promql));
        assert_eq!(ours["promql"], promql, "{short}");
        assert!(ours["result"].as_array().is_some_and(|rows| !rows.is_empty()), "{short}: {ours}");
        let labels = |answer: &serde_json::Value| {
            let rows = answer["result"].as_array().cloned().unwrap_or_default();
            rows.iter().map(|row| row["labels"].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(labels(&ours), labels(&theirs), "{short}");
    }
    assert_eq!(ask("count native")["value"], 2.0, "two series");
    let answer = server.client().try_get("/api/v1/metrics/query?query=max%20native");
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("which have no max"), "{}", answer.text());
}

#[test]
fn what_is_read_whole_can_be_written_again() {
    let (first, second) = (Server::start(BINARY, ""), Server::start(BINARY, ""));
    let begin = now_ms() - STEPS * STEP_MS;
    write_to(&mut first.client(), &series(begin));
    let mut request = Vec::new();
    Writer::new(&mut request).message(1, |query| {
        query.signed(2, now_ms());
        query.message(3, |matcher| {
            matcher.signed(1, 2);
            matcher.bytes(2, b"__name__");
            matcher.bytes(3, PURE.join("|").as_bytes());
        });
    });
    let packed = snap::raw::Encoder::new().compress_vec(&request).expect("short");
    let answer = first.client().call(&Client::request("POST", "/api/v1/read", &["Content-Encoding: snappy"], &packed));
    let body = snap::raw::Decoder::new().decompress_vec(&answer.body).expect("packed");
    // A result of series has the form of a request to write them.
    let (_, result) = Message::new(&body).next().expect("a message").expect("a result");
    let again = remote_write::http_request(result.bytes().expect("a message"));
    let answer = second.client().call(&again);
    assert_eq!(answer.status, 204, "{}", answer.text());
    compare(&mut first.client(), &mut second.client(), begin, &PURE);
}

#[test]
fn federation_gives_what_prometheus_gives() {
    let Some(program) = Program::of_prometheus("prometheus", "federation of native histograms") else { return };
    if !program.is_newest {
        return println!("SKIP: federation of native histograms: Prometheus is too old for all of them");
    }
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let series = series(now_ms() - STEPS * STEP_MS);
    write_to(&mut server.client(), &series);
    prometheus.write(&series);
    // Of several histograms Prometheus 3.15 tells the last one in the place of all.
    for (selector, in_text) in [
        ("native{job=\"api\"}", false),
        ("native{job=\"db\"}", false),
        ("gauge", false),
        ("mixed", false),
        ("custom", true),
        ("plain", true),
    ] {
        let path = format!("/federate?match[]={}", encode(selector));
        for (accept, has_some) in [(PROTOBUF, true), ("Accept: text/plain", in_text)] {
            let request = Client::request("GET", &path, &[accept], b"");
            let (ours, theirs) = (server.client().call(&request), prometheus.client().call(&request));
            assert_eq!(ours.text(), theirs.text(), "{selector}, {accept}");
            assert!(ours.status == 200 && ours.body == theirs.body, "{selector}, {accept}: {:?}", ours.body);
            assert_eq!(ours.body.is_empty(), !has_some, "{selector}, {accept}");
        }
    }
    let path = "/federate?match[]=native";
    let head = server.client().call(&Client::request("GET", path, &[PROTOBUF], b"")).head;
    assert!(head.contains("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily"), "{head}");
}

#[test]
fn alerts_of_histograms_are_told_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "alerts of native histograms") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus tells otherwise of rules");
    }
    let rules = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - {alert: Native, expr: native_now}\n  \
        - {alert: Later, expr: native_now, for: 1h}\n  - {alert: Plain, expr: plain_now > 1}\n";
    let files = tempfile::tempdir().expect("a folder");
    let file = files.path().join("rules.yml");
    std::fs::write(&file, rules).expect("it can be written");
    let config = format!("rule_files: [{}]\n", file.display());
    let (ours, theirs) = (Server::start(BINARY, &config), Prometheus::start_with(&program, |_| config.clone()));
    let at = now_ms();
    let written = |name, samples, histograms| Written { labels: vec![("__name__", name)], samples, histograms };
    let series = [
        written("native_now", vec![], vec![(at, grown(4, 1, ResetHint::Unknown))]),
        written("plain_now", vec![(at, 2.5)], vec![]),
    ];
    theirs.write(&series);
    write_to(&mut ours.client(), &series);
    let told = |mut client: Client| {
        let begun = std::time::Instant::now();
        loop {
            let values = |alerts: &serde_json::Value| -> std::collections::BTreeMap<String, String> {
                let alerts = alerts.as_array().expect("a list").iter();
                alerts.map(|alert| (alert["labels"]["alertname"].to_string(), alert["value"].to_string())).collect()
            };
            let alerts = values(&client.get("/api/v1/alerts")["data"]["alerts"]);
            if alerts.len() == 3 {
                let rules = client.get("/api/v1/rules")["data"]["groups"][0]["rules"].clone();
                let rules = rules.as_array().expect("a list").iter();
                return (alerts, rules.map(|rule| values(&rule["alerts"])).collect::<Vec<_>>());
            }
            assert!(begun.elapsed().as_secs() < 60, "{alerts:?}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    assert_eq!(told(ours.client()), told(theirs.client()));
}
