//! What is said about metric families: a real Prometheus and we, scraping the same target, tell the same of it; and so do
//! those of ours to whom it is sent on, also after a kill.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use watchfire_protobuf::{Writer, put_varint};
use watchfire_test_support::target::answer;
use watchfire_test_support::{Program, Prometheus, Server, TargetServer};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(90);
/// A family of each type.
const PAGE: &str = "\
# TYPE hits counter\n# HELP hits How often.\nhits_total 1\n\
# TYPE warm_celsius gauge\n# UNIT warm_celsius celsius\n# HELP warm_celsius How \\\"warm\\\".\nwarm_celsius 1\n\
# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n# HELP took_seconds How long.\n\
took_seconds_bucket{le=\"1.0\"} 1\ntook_seconds_bucket{le=\"+Inf\"} 2\ntook_seconds_count 2\ntook_seconds_sum 3\n\
# TYPE queue gaugehistogram\nqueue_bucket{le=\"+Inf\"} 2\nqueue_gcount 2\nqueue_gsum 3\n\
# TYPE pause summary\n# HELP pause How long not.\npause{quantile=\"0.5\"} 1\npause_count 1\npause_sum 1\n\
# TYPE build info\n# HELP build Which.\nbuild_info{version=\"1\"} 1\n\
# TYPE state stateset\nstate{state=\"a\"} 1\nstate{state=\"b\"} 0\n\
# TYPE what unknown\n# HELP what Who knows.\nwhat 1\n\
# EOF\n";
const OPENMETRICS: &str = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str =
    "Content-Type: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
const TEXT: &str = "Content-Type: text/plain; version=0.0.4";

fn start(address: impl std::fmt::Display) -> String {
    format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs: [{{job_name: a, \
         scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0, PrometheusText0.0.4], \
         static_configs: [{{targets: [\"{address}\"]}}]}}]\n"
    )
}

/// What is told of families, without what a server says of itself.
fn told(path: &str, client: &mut watchfire_test_support::Client) -> Value {
    let mut told = client.get(path)["data"].take();
    if let Some(told) = told.as_object_mut() {
        let is_own = |name: &str| {
            ["watchfire_", "process_", "scrape_", "log_", "error_"].iter().any(|begin| name.starts_with(begin))
        };
        told.retain(|name, _| !is_own(name) && name != "up");
    }
    told
}

fn wait(mut ask: impl FnMut() -> Value, wanted: &Value) {
    let (begun, mut got) = (Instant::now(), ask());
    while got != *wanted {
        assert!(begun.elapsed() < PATIENCE, "{got:#}\n{wanted:#}");
        std::thread::sleep(Duration::from_millis(50));
        got = ask();
    }
}

/// A counter with a unit that is not the end of its name, and a native histogram.
fn messages() -> Vec<u8> {
    let family = |name: &str, kind: i64, unit: &str, field: u32, value: &dyn Fn(&mut Writer<'_>)| {
        let mut out = Vec::new();
        let mut family = Writer::new(&mut out);
        family.bytes(1, name.as_bytes());
        family.bytes(2, b"What it is.");
        family.signed(3, kind);
        family.message(4, |metric| metric.message(field, value));
        family.bytes(5, unit.as_bytes());
        out
    };
    let counter = family("spent_seconds_total", 0, "seconds", 3, &|counter| counter.double(1, 2.0));
    let native = family("latency", 4, "s", 7, &|histogram| {
        histogram.varint(1, 1);
        histogram.double(2, 1.0);
        histogram.zigzag(5, 0);
        histogram.varint(7, 1);
        histogram.double(6, 0.5);
        histogram.message(12, |span| span.varint(2, 0));
    });
    let mut body = Vec::new();
    for message in [counter, native] {
        put_varint(&mut body, message.len() as u64);
        body.extend_from_slice(&message);
    }
    body
}

#[test]
fn what_a_target_says_is_told_as_prometheus_tells_it() {
    let Some(program) = Program::of_prometheus("prometheus", "what a target says of its metrics") else { return };
    let target = TargetServer::showing("");
    let theirs = Prometheus::start_with(&program, |_| start(target.address));
    let ours = Server::start(BINARY, &start(target.address));
    let text = PAGE.replace("# UNIT", "# no").replace("# EOF\n", "");
    let text: String =
        text.split_inclusive('\n').filter(|line| !line.contains("queue") && !line.contains("build")).collect();
    let text = text.replace("TYPE state stateset", "TYPE state gauge").replace("what unknown", "what untyped");
    for (content_type, body, families) in
        [(OPENMETRICS, PAGE.as_bytes().to_vec(), 8), (PROTOBUF, messages(), 2), (TEXT, text.into_bytes(), 6)]
    {
        target.answer(move |_, out| out.write_all(&answer("200 OK", &[content_type], &body)));
        let (mut ours, mut theirs) = (ours.client(), theirs.client());
        let begun = Instant::now();
        let mut wanted = Value::Null;
        while wanted.as_object().map_or(0, serde_json::Map::len) != families {
            assert!(begun.elapsed() < PATIENCE, "{content_type}: {wanted:#}");
            std::thread::sleep(Duration::from_millis(50));
            wanted = told("/api/v1/metadata", &mut theirs);
        }
        // What targets said before is still known here.
        let ask = || {
            let mut told = told("/api/v1/metadata", &mut ours);
            told.as_object_mut().expect("by name").retain(|name, _| wanted.get(name).is_some());
            told
        };
        wait(ask, &wanted);
        let rows = |client: &mut watchfire_test_support::Client| -> Value {
            let mut rows = client.get("/api/v1/targets/metadata")["data"].as_array().expect("rows").clone();
            rows.sort_by_key(|row| row["metric"].to_string());
            rows.into()
        };
        wait(|| rows(&mut ours), &rows(&mut theirs));
        for path in ["/api/v1/metadata?metric=took_seconds", "/api/v1/metadata?metric=took_seconds_bucket&limit=1"] {
            if content_type != PROTOBUF {
                assert_eq!(told(path, &mut ours), told(path, &mut theirs), "{path}");
            }
        }
    }
}

#[test]
fn what_a_target_says_is_sent_on_and_outlives_a_kill() {
    let target = TargetServer::start(|_, out| out.write_all(&answer("200 OK", &[OPENMETRICS], PAGE.as_bytes())));
    let mut receivers = [Server::start(BINARY, ""), Server::start(BINARY, "")];
    let [first, second] = [&receivers[0], &receivers[1]].map(|receiver| receiver.address);
    let sender = format!(
        "{}remote_write:\n  - {{url: \"http://{first}/api/v1/write\", metadata_config: {{send_interval: 200ms}}}}\n  \
         - {{url: \"http://{second}/api/v1/write\", protobuf_message: io.prometheus.write.v2.Request}}\n",
        start(target.address)
    );
    let mut sender = Server::start(BINARY, &sender);
    let about = |kind: &str, help: &str, unit: &str| json!([{"type": kind, "help": help, "unit": unit}]);
    let families = json!({
        "hits": about("counter", "How often.", ""),
        "warm_celsius": about("gauge", "How \"warm\".", "celsius"),
        "took_seconds": about("histogram", "How long.", "seconds"),
        "queue": about("gaugehistogram", "", ""),
        "pause": about("summary", "How long not.", ""),
        "build": about("info", "Which.", ""),
        "state": about("stateset", "", ""),
        "what": about("unknown", "Who knows.", ""),
    });
    // The second version tells of series, which say of their family only what it is.
    let mut series = families.clone();
    for (family, metric) in [("hits", "hits_total"), ("build", "build_info")] {
        series[metric] = series[family].take();
        series.as_object_mut().expect("by name").remove(family);
    }
    let ask = |server: &Server| told("/api/v1/metadata", &mut server.client());
    wait(|| ask(&sender), &families);
    wait(|| ask(&receivers[0]), &families);
    wait(|| ask(&receivers[1]), &series);
    // Nobody says it again.
    target.answer(|_, out| out.write_all(&answer("503 Service Unavailable", &[], b"")));
    sender.restart();
    assert_eq!(ask(&sender), families);
    drop(sender);
    for (receiver, known) in receivers.iter_mut().zip([&families, &series]) {
        receiver.restart();
        assert_eq!(ask(receiver), *known);
    }
}
