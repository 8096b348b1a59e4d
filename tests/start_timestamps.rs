//! Start timestamps of remote-write 2.0: taken, and read over, as by a real Prometheus without its feature flags. (What texts
//! show as `_created` is compared in `scrape/real.rs`.)

use watchfire_model::Histogram;
use watchfire_model::histogram::HistogramParts;
use watchfire_protobuf::Writer;
use watchfire_test_support::prometheus::call;
use watchfire_test_support::{Program, Prometheus, Server, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const SYMBOLS: [&str; 6] = ["", "__name__", "hits_total", "job", "a", "latency"];

/// A request with a sample, and one with a histogram, each with a start timestamp (0: none) before it.
fn request(at_ms: i64, start_ms: i64, value: f64) -> Vec<u8> {
    let mut message = Vec::new();
    let mut request = Writer::new(&mut message);
    SYMBOLS.iter().for_each(|symbol| request.message(4, |text| text.raw(symbol.as_bytes())));
    request.message(5, |series| {
        series.bytes(1, &[1, 2, 3, 4]);
        series.message(2, |sample| {
            sample.double(1, value);
            sample.signed(2, at_ms);
            sample.signed(3, start_ms);
        });
        series.message(5, |metadata| metadata.varint(1, 1));
    });
    let parts = HistogramParts { count: value, sum: value, positive: vec![(1, value)], ..HistogramParts::default() };
    let histogram = remote_write::histogram_message(at_ms, &Histogram::new(parts).expect("valid"));
    request.message(5, |series| {
        series.bytes(1, &[1, 5, 3, 4]);
        series.message(3, |message| {
            message.raw(&histogram);
            message.signed(17, start_ms);
        });
        series.message(5, |metadata| metadata.varint(1, 3));
    });
    remote_write::second_http_request(&message)
}

#[test]
fn start_timestamps_are_read_over_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "start timestamps").filter(|program| program.is_newest)
    else {
        return;
    };
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = i64::try_from(since.as_millis()).expect("milliseconds fit") - 120_000;
    // Of a series that begins, goes on, begins anew, and of starts that make no sense.
    for (offset, start, value) in [
        (0, now - 5000, 5.0),
        (15_000, now - 5000, 9.0),
        (30_000, now + 20_000, 2.0),
        (45_000, now + 90_000, 3.0),
        (60_000, 0, 4.0),
        (75_000, -7, 6.0),
        (90_000, now + 90_000, 8.0),
    ] {
        let request = request(now + offset, start, value);
        let (ours, theirs) = (ours.call(&request), theirs.call(&request));
        assert_eq!((ours.status, theirs.status), (204, 204), "{} {}", ours.text(), theirs.text());
        for what in ["Samples", "Histograms"] {
            let name = format!("X-Prometheus-Remote-Write-{what}-Written");
            assert_eq!(ours.header(&name), theirs.header(&name), "{}\n{}", ours.head, theirs.head);
        }
    }
    let (start, end) = ((now - 60_000).to_string(), (now + 110_000).to_string());
    let seconds = |millis: &str| format!("{}.{}", &millis[..10], &millis[10..]);
    let (start, end) = (seconds(&start), seconds(&end));
    for query in [
        "hits_total",
        "increase(hits_total[1m])",
        "count_over_time(hits_total[5m])",
        "resets(hits_total[5m])",
        "histogram_count(increase(latency[1m]))",
        "count_over_time(latency[5m])",
        "start_timestamp(hits_total)",
        "start_timestamp(latency)",
    ] {
        let parameters = [("query", query), ("start", start.as_str()), ("end", end.as_str()), ("step", "5")];
        let [ours, theirs] =
            [&mut ours, &mut theirs].map(|client| call(client, "/api/v1/query_range", &parameters).1["data"].clone());
        assert_eq!(ours, theirs, "{query}");
        assert!(query.starts_with("start") || ours["result"].as_array().is_some_and(|all| !all.is_empty()), "{query}");
    }
}
