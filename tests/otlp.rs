//! OTLP metrics: the same requests to us and to a real Prometheus give the same series and values; and what Prometheus
//! refuses, changes, is counted.

use std::io::Write;

use serde_json::{Value, json};
use watchfire_protobuf::Writer;
use watchfire_test_support::client::encode;
use watchfire_test_support::{Answer, Client, Program, Prometheus, Server, answers};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const PATH: &str = "/api/v1/otlp/v1/metrics";

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("milliseconds fit")
}

/// Attributes as OTLP's JSON has them.
fn attributes(pairs: &[(&str, Value)]) -> Value {
    let list = pairs.iter().map(|(key, value)| {
        let value = match value {
            Value::String(text) => json!({"stringValue": text}),
            Value::Bool(bool) => json!({"boolValue": bool}),
            Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
            Value::Number(number) => json!({"intValue": number.to_string()}),
            other => other.clone(),
        };
        json!({"key": key, "value": value})
    });
    list.collect()
}

fn request(resource: &[(&str, Value)], metrics: Value) -> Value {
    json!({"resourceMetrics": [{
        "resource": {"attributes": attributes(resource)},
        "scopeMetrics": [{"scope": {"name": "a.scope", "version": "1.2"}, "metrics": metrics}],
    }]})
}

fn ns(at_ms: u64) -> String {
    format!("{at_ms}000000")
}

/// Metrics of every kind at a time, with what Prometheus translates on the way.
fn metrics(at: u64, round: u64) -> Value {
    let time = ns(at);
    let point = |attributes_of: &[(&str, Value)], value: Value| {
        json!({"timeUnixNano": time, "startTimeUnixNano": ns(at - 1000), "asDouble": value,
            "attributes": attributes(attributes_of)})
    };
    let exemplar = |value: f64, id: char, after: u64, attributes_of: &[(&str, Value)]| {
        json!({"timeUnixNano": ns(at + after), "asDouble": value, "spanId": id.to_string().repeat(16),
            "traceId": id.to_string().repeat(32), "filteredAttributes": attributes(attributes_of)})
    };
    let long = "x".repeat(60);
    let some = json!([exemplar(0.5, 'a', 1, &[("user", json!("u1")), ("n", json!(5))])]);
    let several = json!([
        exemplar(0.001, 'b', 1, &[]),
        exemplar(0.5, 'c', 2, &[("too", json!(long))]),
        {"timeUnixNano": ns(at + 3), "asInt": "7", "traceId": "", "spanId": "0000000000000000"},
    ]);
    json!([
        {"name": "cpu.utilization", "unit": "1", "description": "How busy.", "gauge": {"dataPoints": [
            point(&[("cpu", json!("0")), ("host.name", json!("a\"b\\c\n"))], json!(0.25)),
            point(&[("cpu", json!("1")), ("2nd", json!(true)), ("_under", json!(1.5)), ("a..b", json!(-3))], json!("NaN")),
        ]}},
        {"name": "queue.size", "unit": "{item}", "gauge": {"dataPoints": [
            {"timeUnixNano": time, "asInt": "-12", "attributes": attributes(&[("x.y", json!("1")), ("x_y", json!("2"))])},
            {"timeUnixNano": time, "asInt": "7", "flags": 1, "attributes": attributes(&[("__name__", json!("z"))])},
        ]}},
        {"name": "http.server.requests", "unit": "{request}", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
            "dataPoints": [{"timeUnixNano": time, "asInt": (100 + round).to_string(), "exemplars": some, "attributes": attributes(&[("code", json!(200))])}, point(&[("code", json!(500))], json!(1.5e22))]}},
        {"name": "open.connections", "sum": {"aggregationTemporality": 2, "dataPoints": [point(&[], json!(4))]}},
        {"name": "network.io", "unit": "By/s", "gauge": {"dataPoints": [point(&[("le", json!("own"))], json!(9))]}},
        {"name": "2.start total", "unit": "ms", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
            "dataPoints": [point(&[("list", json!({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "<a&b>"}]}})),
                ("map", json!({"kvlistValue": {"values": [{"key": "z", "value": {"doubleValue": 1e21}},
                    {"key": "a", "value": {"boolValue": false}}]}}))], json!(3))]}},
        {"name": "request.duration", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [
            {"timeUnixNano": time, "count": "10", "sum": 12.5, "bucketCounts": ["1", "2", "3", "4"],
                "explicitBounds": [0.005, 1, 1e21], "exemplars": several, "attributes": attributes(&[("route", json!("/")), ("le", json!("x"))])},
            {"timeUnixNano": time, "count": "3", "bucketCounts": ["3"], "explicitBounds": [],
                "attributes": attributes(&[("route", json!("/none"))])},
            {"timeUnixNano": time, "count": "3", "sum": 1, "flags": 1, "bucketCounts": ["1", "2"], "explicitBounds": [2.5],
                "attributes": attributes(&[("route", json!("/gone"))])},
        ]}},
        {"name": "reply.size", "unit": "By", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
            {"timeUnixNano": time, "count": (20 + 2 * round).to_string(), "sum": 77.5, "scale": 3, "zeroCount": "3", "exemplars": some,
                "positive": {"offset": -2, "bucketCounts": ["1", "0", "0", "0", "0", "4", (2 * round).to_string(), "0"]},
                "negative": {"offset": 7, "bucketCounts": ["12"]}, "attributes": attributes(&[("route", json!("/"))])},
            // Narrower than what Prometheus keeps.
            {"timeUnixNano": time, "count": "10", "scale": 11, "attributes": attributes(&[("route", json!("/narrow"))]),
                "positive": {"offset": -13, "bucketCounts": ["1", "2", "1", "0", "0", "0", "0", "0", "0", "0", "0", "1", "2", "1", "1", "1"]}},
            {"timeUnixNano": time, "count": "2", "scale": -4, "sum": 1, "attributes": attributes(&[("route", json!("/wide"))]),
                "positive": {"offset": -1, "bucketCounts": ["2"]}},
            {"timeUnixNano": time, "count": "2", "sum": 1, "flags": 1, "attributes": attributes(&[("route", json!("/gone"))])},
        ]}},
        {"name": "gc.pause", "unit": "us", "summary": {"dataPoints": [
            {"timeUnixNano": time, "count": "5", "sum": 55.5, "attributes": attributes(&[("gen", json!("old"))]),
                "quantileValues": [{"quantile": 0.5, "value": 1}, {"quantile": 0.99, "value": "Infinity"}, {"quantile": 1, "value": 8}]},
        ]}},
        {"name": "empty", "gauge": {"dataPoints": []}},
    ])
}

fn send(client: &mut Client, path: &str, body: &Value) -> Answer {
    client.post(path, "application/json", body.to_string())
}

fn same_everything(ours: &mut Client, theirs: &mut Client, least: usize) {
    let end = format!("{}.999", now_ms() / 1000);
    // Our own state is none of it.
    let query = "{__name__=~\".+\",__name__!~\"watchfire_.*|process_.*|log_.*|error_count|request_duration_ms|up|scrape_.*\"}[2h]";
    let points = answers::same(ours, theirs, "/api/v1/query", &[("query", query), ("time", &end)]);
    assert!(points >= least, "{points} points");
}

#[test]
fn a_real_prometheus_makes_the_same_of_it() {
    let Some(program) = Program::of_prometheus("prometheus", "OTLP metrics") else { return };
    if !program.is_newest {
        return;
    }
    let prometheus = Prometheus::start(&program);
    let server = Server::start(BINARY, "");
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let begin = now_ms() - 400_000;
    let whole: &[(&str, Value)] = &[
        ("service.name", json!("shop")),
        ("service.namespace", json!("sales")),
        ("service.instance.id", json!("host-1:80")),
        ("k8s.pod.name", json!("shop-0")),
        ("os.type", json!("linux")),
    ];
    let bare: &[(&str, Value)] = &[("service.name", json!("bare"))];
    let nameless: &[(&str, Value)] = &[("os.type", json!("linux"))];
    for (round, resource) in [whole, bare, nameless, whole].iter().enumerate() {
        let at = begin + round as u64 * 20_000;
        let body = request(resource, metrics(at, round as u64));
        for client in [&mut ours, &mut theirs] {
            let answer = send(client, PATH, &body);
            assert_eq!((answer.status, answer.text().contains("partial")), (200, false), "{}", answer.text());
        }
    }
    // One request over a long time: what is known of the source is told all along.
    let long = request(
        &[("service.name", json!("long")), ("zone", json!("b"))],
        json!([{"name": "steady", "gauge": {"dataPoints": [
            {"timeUnixNano": ns(begin - 3_000_000), "asInt": "1"}, {"timeUnixNano": ns(begin + 60_000), "asInt": "2"},
        ]}}]),
    );
    for client in [&mut ours, &mut theirs] {
        assert_eq!(send(client, PATH, &long).status, 200);
    }
    same_everything(&mut ours, &mut theirs, 100);
    let times = [begin / 1000 - 10, now_ms() / 1000 + 10].map(|seconds| seconds.to_string());
    let asked = [("query", "{__name__=~\".+\"}"), ("start", times[0].as_str()), ("end", times[1].as_str())];
    let exemplars = |client: &mut Client| {
        let (_, answer) = watchfire_test_support::prometheus::call(client, "/api/v1/query_exemplars", &asked);
        let mut rows = answer["data"].as_array().cloned().unwrap_or_default();
        rows.sort_by_key(|row| row["seriesLabels"].to_string());
        rows
    };
    let (have, want) = (exemplars(&mut ours), exemplars(&mut theirs));
    assert!(want.len() > 5 && have == want, "{have:#?}\nand not\n{want:#?}");
    let metric = ours.get("/api/metrics?prefix=cpu_utilization_ratio");
    assert_eq!((&metric[0]["type"], &metric[0]["help"]), (&json!("gauge"), &json!("How busy.")));
}

/// A sum of one point in protobuf.
fn sum(name: &str, temporality: i64, at_ms: u64, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).message(1, |source| {
        source.message(2, |scope| {
            scope.message(2, |metric| {
                metric.bytes(1, name.as_bytes());
                metric.message(7, |data| {
                    data.message(1, |point| {
                        point.fixed64(3, at_ms * 1_000_000);
                        point.fixed64(4, value.to_bits());
                        point.message(7, |attribute| {
                            attribute.bytes(1, b"route");
                            attribute.message(2, |value| value.bytes(1, b"/"));
                        });
                    });
                    data.signed(2, temporality);
                    data.signed(3, 1);
                });
            });
        });
    });
    out
}

fn value(client: &mut Client, query: &str) -> Value {
    client.get(&format!("/api/v1/query?query={}", encode(query)))["data"]["result"][0]["value"][1].clone()
}

#[test]
fn changes_are_counted_to_the_letter_and_survive_a_kill() {
    let mut server = Server::start(BINARY, "");
    let mut client = server.client();
    for (value, at) in [(3.0, now_ms()), (4.5, now_ms()), (100.0, now_ms() - 3_600_000)] {
        let answer = client.post("/v1/metrics", "application/x-protobuf", sum("orders", 1, at, value));
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
    }
    let histogram = json!([{"name": "wait", "unit": "s", "histogram": {"aggregationTemporality": 1, "dataPoints": [
        {"timeUnixNano": ns(now_ms()), "count": "4", "sum": 6.5, "bucketCounts": ["0", "3", "1"], "explicitBounds": [1, 2]},
    ]}}]);
    for _ in 0..2 {
        assert_eq!(send(&mut client, "/v1/metrics", &request(&[], histogram.clone())).status, 200);
    }
    server.restart();
    let mut client = server.client();
    for (query, wanted) in [
        // What came late is in the past, not in the running total.
        ("orders_total", "7.5"),
        ("increase(orders_total{route=\"/\"}[10m])", "7.5"),
        ("increase(orders_total[2h])", "107.5"),
        ("wait_seconds_count", "8"),
        ("increase(wait_seconds_sum[10m])", "13"),
        ("increase(wait_seconds_bucket{le=\"2\"}[10m])", "6"),
        ("increase(wait_seconds_bucket{le=\"1\"}[10m])", "0"),
    ] {
        assert_eq!(value(&mut client, query), wanted, "{query}");
    }
}

#[test]
fn what_cannot_be_kept_is_told_with_its_number_and_the_rest_is_stored() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let at = ns(now_ms());
    let metrics = json!([
        {"name": "good", "gauge": {"dataPoints": [{"timeUnixNano": at, "asInt": "1"}]}},
        {"name": "native", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
            {"timeUnixNano": at, "count": "1", "scale": 3}]}},
        {"name": "changes", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [
            {"timeUnixNano": at, "count": "1", "scale": 3, "zeroCount": "1"}]}},
        {"name": "falling", "sum": {"aggregationTemporality": 1, "dataPoints": [{"timeUnixNano": at, "asInt": "1"}]}},
        {"name": "unsaid", "sum": {"isMonotonic": true, "dataPoints": [{"timeUnixNano": at, "asInt": "1"}]}},
        {"name": "é", "gauge": {"dataPoints": [{"timeUnixNano": at, "asInt": "1"}]}},
        {"name": "labels", "gauge": {"dataPoints": [
            {"timeUnixNano": at, "asInt": "1", "attributes": attributes(&[("é.é", json!("x"))])},
            {"timeUnixNano": at, "asInt": "1", "attributes": attributes(&[("ok", json!("x"))])}]}},
        {"name": "old", "gauge": {"dataPoints": [{"timeUnixNano": "1000000000", "asInt": "1"}]}},
        {"name": "good", "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [
            {"timeUnixNano": at, "asDouble": -1}]}},
    ]);
    let answer = send(&mut client, "/v1/metrics", &request(&[], metrics));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let partial = answer.json()["partialSuccess"].clone();
    assert_eq!(partial["rejectedDataPoints"], "8", "{partial}");
    let why = partial["errorMessage"].as_str().unwrap_or_default();
    for part in [
        "metric `native`: 0 observations found in buckets, but the count is 1",
        "metric `changes`: changes of an exponential histogram",
        "metric `falling`: a delta sum that may fall",
        "metric `unsaid`: its temporality is not said",
        "metric `é`: nothing is left of its name",
        "the attribute `é.é` gives no label name",
        "too old",
        "no number that can be counted",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!((value(&mut client, "good"), value(&mut client, "labels{ok=\"x\"}")), ("1".into(), "1".into()));
    // The same in protobuf, packed.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let packed = gzip.write_all(&sum("good", 1, now_ms(), 1.0)).and_then(|()| gzip.finish()).expect("memory takes it");
    let ask = |packed: &[u8]| {
        Client::request("POST", PATH, &["Content-Type: application/x-protobuf", "Content-Encoding: gzip"], packed)
    };
    let answer = client.call(&ask(&packed));
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty(), "`good_total` is a name of its own: {}", answer.text());
    let answer = client.post(PATH, "application/x-protobuf", sum("good", 7, now_ms(), 1.0));
    assert!(answer.status == 200 && answer.text().contains("its temporality is not said"), "{}", answer.text());
    for (content_type, body, status) in [
        ("application/x-protobuf", &b"\x0a\x05x"[..], 400),
        ("application/json", b"{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[", 400),
        ("text/plain", b"x", 415),
    ] {
        let answer = client.post(PATH, content_type, body);
        assert_eq!(answer.status, status, "{content_type}: {}", answer.text());
    }
    // Small bytes that stand for much: no more than half a KiB for each point, which is three bytes long.
    let points = 400_000;
    let many = format!(
        "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"m\",\"gauge\":{{\"dataPoints\":[{}{{}}]}}}}]}}]}}]}}",
        "{},".repeat(points)
    );
    let before_mib = server.memory_mib("VmHWM");
    let answer = client.post(PATH, "application/json", many);
    assert!([200, 413, 503].contains(&answer.status), "{}", answer.text());
    assert_eq!(client.try_get("/-/ready").status, 200);
    let grown_mib = server.memory_mib("VmHWM") - before_mib;
    assert!(grown_mib < points as f64 * 512.0 / 1_048_576.0, "{grown_mib} MiB more than {before_mib}");
}

#[test]
fn data_points_are_counted_as_their_sender_counts_them() {
    let server = Server::start(BINARY, "");
    let mut client = server.client();
    let shop = [("service.name", json!("shop")), ("service.instance.id", json!("1"))];
    let mut rejected = |metrics: Value| {
        let answer = send(&mut client, "/v1/metrics", &request(&shop, metrics));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let partial = answer.json()["partialSuccess"].clone();
        let why = partial["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert!(!why.contains("target_info"), "{why}");
        partial["rejectedDataPoints"].as_str().map(|count| (count.to_owned(), why))
    };
    let now = now_ms();
    let histogram = |time: String| json!({"timeUnixNano": time, "count": "3", "sum": 4.5, "bucketCounts": ["1", "2", "0"], "explicitBounds": [1, 2]});
    let histograms =
        |points: Value| json!([{"name": "wait", "histogram": {"aggregationTemporality": 2, "dataPoints": points}}]);
    let gauge = |name: &str, point: Value| json!([{"name": name, "gauge": {"dataPoints": [point]}}]);
    let (count, why) =
        rejected(histograms(json!([histogram("1000000000".into()), histogram(ns(now))]))).expect("one is");
    assert!(count == "1" && why.matches("too old").count() == 1, "{count}: {why}");
    assert_eq!(rejected(gauge("timeless", json!({"asDouble": 1}))).map(|(count, _)| count).as_deref(), Some("1"));
    // What is known of the source has a newer sample already; the gauge has not.
    let past = json!({"timeUnixNano": ns(now - 1_200_000), "asDouble": 1});
    assert_eq!(rejected(gauge("late", past)), None);
    assert_eq!(value(&mut client, "count_over_time(late[1h]) + scalar(wait_count)"), "4");
}
