//! Protobuf answers: what a real Prometheus makes of them, and what it shows of itself.

use std::time::{Duration, Instant};

use watchfire_protobuf::{Writer, put_varint};
use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::call;
use watchfire_test_support::target::answer;
use watchfire_test_support::{Client, Program, Prometheus, Server, TargetServer, answers};

use crate::BINARY;

const CONTENT_TYPE: &str = "Content-Type: application/vnd.google.protobuf; \
                            proto=io.prometheus.client.MetricFamily; encoding=delimited";
/// Longest wait for a scrape.
const PATIENCE: Duration = Duration::from_secs(90);

fn put_label(name: &str, value: &str, to: &mut Writer<'_>) {
    to.message(1, |label| {
        label.bytes(1, name.as_bytes());
        label.bytes(2, value.as_bytes());
    });
}

fn put_exemplar(number: u32, id: &str, value: f64, seconds: i64, to: &mut Writer<'_>) {
    to.message(number, |exemplar| {
        put_label("trace_id", id, exemplar);
        exemplar.double(2, value);
        exemplar.message(3, |time| time.signed(1, seconds));
    });
}

fn put_family(name: &str, kind: i64, body: &mut Vec<u8>, metrics: &[&dyn Fn(&mut Writer<'_>)]) {
    let mut message = Vec::new();
    let mut family = Writer::new(&mut message);
    family.bytes(1, name.as_bytes());
    family.bytes(2, b"A \"help\"\nof two lines.");
    family.signed(3, kind);
    metrics.iter().for_each(|metric| family.message(4, metric));
    put_varint(body, message.len() as u64);
    body.extend_from_slice(&message);
}

/// Whole counts, with classic buckets beside the native ones.
fn put_whole(histogram: &mut Writer<'_>, seconds: i64) {
    histogram.signed(1, 12);
    histogram.double(2, 33.25);
    for (count, bound) in [(2, 0.5), (9, 2.0)] {
        histogram.message(3, |bucket| {
            bucket.signed(1, count);
            bucket.double(2, bound);
        });
    }
    histogram.zigzag(5, 3);
    histogram.double(6, 0.001);
    histogram.varint(7, 1);
    histogram.message(9, |span| {
        span.zigzag(1, 2);
        span.varint(2, 1);
    });
    histogram.zigzag(10, 3);
    for (offset, length) in [(-2, 2), (3, 1)] {
        histogram.message(12, |span| {
            span.zigzag(1, offset);
            span.varint(2, length);
        });
    }
    [4, -3, 2].iter().for_each(|delta| histogram.zigzag(13, *delta));
    put_exemplar(16, "a", 1.5, seconds, histogram);
    put_exemplar(16, "b", 2.5, seconds, histogram);
}

fn put_floats(histogram: &mut Writer<'_>) {
    histogram.double(2, 1.25);
    histogram.double(4, 2.5);
    histogram.zigzag(5, -1);
    histogram.message(12, |span| {
        span.zigzag(1, 1);
        span.varint(2, 2);
    });
    [0.5f64, 2.0].iter().for_each(|count| histogram.fixed64(14, count.to_bits()));
}

/// A body with metrics of every kind.
pub(super) fn body(seconds: i64) -> Vec<u8> {
    let mut body = Vec::new();
    put_family(
        "hits_total",
        0,
        &mut body,
        &[
            &|metric| {
                put_label("path", "a\"b\\c\nd", metric);
                put_label("utf.8", "\u{e9}", metric);
                metric.message(3, |counter| {
                    counter.double(1, 1e22);
                    put_exemplar(2, "c", 0.5, seconds, counter);
                });
            },
            &|metric| metric.message(3, |counter| counter.double(1, 7.5)),
        ],
    );
    put_family("level", 1, &mut body, &[&|metric| metric.message(2, |gauge| gauge.double(1, f64::NEG_INFINITY))]);
    put_family("what.ever", 3, &mut body, &[&|metric| metric.message(5, |untyped| untyped.double(1, -0.25))]);
    put_family(
        "pause",
        2,
        &mut body,
        &[&|metric| {
            metric.message(4, |summary| {
                summary.signed(1, 3);
                summary.double(2, 4.5);
                for (quantile, value) in [(0.5, 1.0), (1.0, f64::NAN), (0.00001, 2.0)] {
                    summary.message(3, |inner| {
                        inner.double(1, quantile);
                        inner.double(2, value);
                    });
                }
            });
        }],
    );
    put_family(
        "latency",
        4,
        &mut body,
        &[
            &|metric| {
                put_label("of", "both", metric);
                metric.message(7, |histogram| put_whole(histogram, seconds));
            },
            &|metric| {
                put_label("of", "floats", metric);
                metric.message(7, put_floats);
            },
            &|metric| {
                put_label("of", "classic", metric);
                metric.message(7, |histogram| {
                    histogram.signed(1, 3);
                    histogram.double(2, 9.0);
                    histogram.message(3, |bucket| {
                        bucket.signed(1, 2);
                        bucket.double(2, 1e6);
                        put_exemplar(3, "d", 0.5, seconds, bucket);
                    });
                });
            },
        ],
    );
    put_family("waiting", 5, &mut body, &[&|metric| metric.message(7, put_floats)]);
    body
}

/// An answer with that body.
pub(super) fn protobuf_answer(body: &[u8]) -> Vec<u8> {
    answer("200 OK", &[CONTENT_TYPE], body)
}

fn config(jobs: &[(&str, &str)], target: std::net::SocketAddr) -> String {
    let jobs = jobs.iter().map(|(name, keys)| {
        format!(
            "  - {{job_name: {name}, scrape_interval: 500ms, scrape_timeout: 500ms, {keys}, \
             static_configs: [{{targets: ['{target}'], labels: {{instance: target}}}}]}}\n"
        )
    });
    format!("scrape_configs:\n{}", jobs.collect::<String>())
}

/// The value of a query now, as text.
fn value(client: &mut Client, query: &str) -> String {
    let answer = client.get(&format!("/api/v1/query?query={}", encode(query)));
    answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned()
}

pub(super) fn wait(client: &mut Client, query: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let have = value(client, query);
        if have == wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{query} is {have:?}, not {wanted:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// All that targets show is the same in both, of more points than these, and so are the exemplars of some series.
pub(super) fn assert_same(ours: &mut Client, theirs: &mut Client, points_min: usize, exemplars_of: &str) {
    let shown = "{instance=~\"target.*\",__name__!~\"scrape_duration_seconds|scrape_series_added\"}";
    let now = format!("{}", std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64());
    let points = answers::same(ours, theirs, "/api/v1/query", &[("query", shown), ("time", &now)]);
    assert!(points > points_min, "{points} points");
    let asked = [("query", exemplars_of)];
    let exemplars = |client: &mut Client| call(client, "/api/v1/query_exemplars", &asked).1["data"].clone();
    let (have, wanted) = (exemplars(ours), exemplars(theirs));
    assert!(have.as_array().is_some_and(|series| series.len() > 3), "{have}");
    assert_eq!(have, wanted);
}

#[test]
fn a_protobuf_answer_is_what_prometheus_makes_of_it() {
    let Some(program) = Program::of_prometheus("prometheus", "protobuf answers of targets") else { return };
    if !program.is_newest {
        return println!("SKIP: protobuf answers of targets: Prometheus is too old for their native histograms");
    }
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let shown = protobuf_answer(&body(seconds.cast_signed() - 5));
    let target = TargetServer::start(move |_, out| out.write_all(&shown));
    let jobs = [
        ("natives", "scrape_native_histograms: true"),
        ("both", "scrape_native_histograms: true, always_scrape_classic_histograms: true"),
        ("classic", "scrape_protocols: [PrometheusProto]"),
        ("few", "scrape_native_histograms: true, native_histogram_bucket_limit: 3"),
        ("wide", "scrape_native_histograms: true, native_histogram_min_bucket_factor: 1.5"),
    ];
    let config = config(&jobs, target.address);
    let server = Server::start(BINARY, &config);
    let prometheus = Prometheus::start_with(&program, |_| config.clone());
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    for client in [&mut ours, &mut theirs] {
        wait(client, "count(up{instance=\"target\"} == 1)", "5");
    }
    assert_same(&mut ours, &mut theirs, 80, "{instance=\"target\"}");
}

#[test]
fn what_prometheus_shows_of_itself_is_read_as_protobuf() {
    let Some(program) = Program::of_prometheus("prometheus", "protobuf of a real target") else { return };
    if !program.is_newest {
        return println!("SKIP: protobuf of a real target: Prometheus is too old to show native histograms");
    }
    let prometheus = Prometheus::start(&program);
    let server = Server::start(BINARY, &config(&[("real", "scrape_native_histograms: true")], prometheus.address));
    let mut client = server.client();
    wait(&mut client, "count(up{instance=\"target\"} == 1)", "1");
    wait(&mut client, "histogram_count(prometheus_http_request_duration_seconds{handler=\"/metrics\"}) > bool 1", "1");
    let quantile = "histogram_quantile(0.9, prometheus_http_request_duration_seconds{handler=\"/metrics\"}) > bool 0";
    assert_eq!(value(&mut client, quantile), "1");
}
