//! Exemplars: written, scraped and imported, and asked for as of a real Prometheus.

use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_protobuf::Writer;
use watchfire_test_support::prometheus::call;
use watchfire_test_support::target::{TargetServer, answer};
use watchfire_test_support::{Client, Program, Prometheus, Server, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const PATH: &str = "/api/v1/query_exemplars";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";
/// Longest wait for a scrape.
const PATIENCE: Duration = Duration::from_secs(90);

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("milliseconds fit")
}

/// What a series tells at a time: a sample, and exemplars with an id each, their values and times.
struct Told<'t> {
    labels: &'t [(&'t str, &'t str)],
    sample: Option<i64>,
    exemplars: Vec<(&'t str, f64, i64)>,
}

/// A request of remote-write 1.0.
fn first_version(all: &[Told<'_>]) -> Vec<u8> {
    let mut request = Vec::new();
    for Told { labels, sample, exemplars } in all {
        Writer::new(&mut request).message(1, |series| {
            let put = |(name, value): &(&str, &str), out: &mut Writer<'_>| {
                out.message(1, |label| {
                    label.bytes(1, name.as_bytes());
                    label.bytes(2, value.as_bytes());
                });
            };
            labels.iter().for_each(|label| put(label, series));
            if let Some(at) = sample {
                series.message(2, |inner| {
                    inner.double(1, 1.0);
                    inner.signed(2, *at);
                });
            }
            for (id, value, at) in exemplars {
                series.message(3, |inner| {
                    put(&("trace_id", id), inner);
                    inner.double(2, *value);
                    inner.signed(3, *at);
                });
            }
        });
    }
    remote_write::http_request(&request)
}

/// The same as a request of remote-write 2.0.
fn second_version(all: &[Told<'_>]) -> Vec<u8> {
    let mut symbols = vec![""];
    let mut refer = |text| {
        symbols.push(text);
        symbols.len() as u8 - 1
    };
    let mut series_of_all = Vec::new();
    for Told { labels, sample, exemplars } in all {
        Writer::new(&mut series_of_all).message(5, |series| {
            let references: Vec<u8> = labels.iter().flat_map(|(name, value)| [refer(name), refer(value)]).collect();
            series.bytes(1, &references);
            if let Some(at) = sample {
                series.message(2, |inner| {
                    inner.double(1, 1.0);
                    inner.signed(2, *at);
                });
            }
            for (id, value, at) in exemplars {
                series.message(4, |inner| {
                    inner.bytes(1, &[refer("trace_id"), refer(id)]);
                    inner.double(2, *value);
                    inner.signed(3, *at);
                });
            }
        });
    }
    let mut request = Vec::new();
    let mut message = Writer::new(&mut request);
    symbols.iter().for_each(|symbol| message.message(4, |text| text.raw(symbol.as_bytes())));
    message.raw(&series_of_all);
    remote_write::second_http_request(&request)
}

/// Both answer the same; gives the answer.
fn same(ours: &mut Client, theirs: &mut Client, parameters: &[(&str, &str)]) -> Value {
    let ((ours, our_json), (theirs, their_json)) = (call(ours, PATH, parameters), call(theirs, PATH, parameters));
    assert_eq!((ours.status, &our_json["data"]), (theirs.status, &their_json["data"]), "{parameters:?}");
    assert_eq!(our_json["errorType"], their_json["errorType"], "{parameters:?}");
    our_json["data"].clone()
}

#[test]
fn written_exemplars_are_those_of_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "exemplars that are written") else { return };
    let (mut server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let now = now_ms();
    let [hits, misses] = [[("__name__", "hits"), ("job", "a")], [("__name__", "misses"), ("job", "b")]];
    let long = "x".repeat(150);
    let requests = [
        vec![
            Told {
                labels: &hits,
                sample: Some(now),
                exemplars: vec![("a", 1.5, now - 60_000), ("b", 2.0, now - 30_000)],
            },
            Told { labels: &misses, sample: Some(now), exemplars: vec![("c", f64::INFINITY, now)] },
        ],
        // As Prometheus sends them: apart from the samples. One comes again, one too late, one is too long.
        vec![
            Told { labels: &hits, sample: None, exemplars: vec![("b", 2.0, now - 30_000)] },
            Told { labels: &hits, sample: None, exemplars: vec![("d", 0.25, now - 10_001)] },
            Told { labels: &hits, sample: None, exemplars: vec![("e", 0.25, now - 40_000)] },
            Told { labels: &hits, sample: None, exemplars: vec![(&long, 0.25, now)] },
        ],
    ];
    let second = [Told {
        labels: &hits,
        sample: Some(now + 1),
        exemplars: vec![("d", 0.25, now - 10_001), ("f", 0.5, now - 10_001)],
    }];
    let first = requests.iter().map(|request| first_version(request));
    for request in first.chain(program.is_newest.then(|| second_version(&second))) {
        let (ours, theirs) = (server.client().call(&request), prometheus.client().call(&request));
        assert_eq!((ours.status, theirs.status), (204, 204), "{} {}", ours.text(), theirs.text());
        let name = "X-Prometheus-Remote-Write-Exemplars-Written";
        assert!(!program.is_newest || ours.header(name) == theirs.header(name), "{}\n{}", ours.head, theirs.head);
    }
    // The second version tells what is out of order; what stands beside it is taken.
    let late = [Told {
        labels: &hits,
        sample: Some(now + 2),
        exemplars: vec![("g", 0.5, now - 20_000), ("f", 0.5, now - 10_001)],
    }];
    if program.is_newest {
        let request = second_version(&late);
        let (ours, theirs) = (server.client().call(&request), prometheus.client().call(&request));
        assert_eq!((ours.status, theirs.status), (400, 400), "{} {}", ours.text(), theirs.text());
        for name in ["Samples", "Exemplars"].map(|what| format!("X-Prometheus-Remote-Write-{what}-Written")) {
            assert_eq!(ours.header(&name), theirs.header(&name), "{}\n{}", ours.head, theirs.head);
        }
        assert!(ours.text().contains("hits{job=\"a\"}: an exemplar is older"), "{}", ours.text());
    }
    // They are there after a crash, and after an end that takes a snapshot.
    server.restart();
    server.signal("TERM");
    assert!(server.wait_end().success(), "{}", server.log());
    server.restart();
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let seconds = |millis: i64| format!("{:.3}", millis as f64 / 1000.0);
    let (start, end) = (seconds(now - 30_000), seconds(now - 10_001));
    let all = same(&mut ours, &mut theirs, &[("query", "{__name__=~\"hits|misses\"}")]);
    let counts: Vec<usize> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|series| series["exemplars"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(counts, [if program.is_newest { 4 } else { 3 }, 1], "{all}");
    for query in
        ["rate(hits{job=\"a\"}[5m]) + misses", "hits", "histogram_quantile(0.9, misses)", "nothing", "1 + 1", "hits{"]
    {
        same(&mut ours, &mut theirs, &[("query", query), ("start", &start), ("end", &end)]);
        same(&mut ours, &mut theirs, &[("query", query)]);
        same(&mut ours, &mut theirs, &[("query", query), ("start", &end), ("end", &start)]);
    }
    // Of a label set that has no samples there is no series, and none is begun.
    let alone = [Told { labels: &[("__name__", "alone")], sample: None, exemplars: vec![("a", 1.0, now)] }];
    assert_eq!(ours.call(&first_version(&alone)).status, 204);
    assert_eq!(call(&mut ours, PATH, &[("query", "alone")]).1["data"], serde_json::json!([]));
    assert_eq!(call(&mut ours, "/api/v1/series", &[("match[]", "alone")]).1["data"], serde_json::json!([]));
}

#[test]
fn exemplars_are_sent_on_to_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "exemplars that are sent on") else { return };
    let versions: &[(&str, &str)] = match program.is_newest {
        true => &[("first", ""), ("second", ", protobuf_message: io.prometheus.write.v2.Request")],
        false => &[("first", "")],
    };
    let receivers: Vec<Prometheus> = versions.iter().map(|_| Prometheus::start(&program)).collect();
    // And one of ours, which tells what it was told of metrics.
    let ours = Server::start(BINARY, "");
    let addresses = receivers.iter().map(|receiver| receiver.address.to_string()).chain([ours.address.to_string()]);
    let to: String = versions
        .iter()
        .chain([&("ours", ", protobuf_message: io.prometheus.write.v2.Request")])
        .zip(addresses)
        .map(|((name, more), address)| {
            format!(
                "  - {{name: {name}, url: \"http://{address}/api/v1/write\", send_exemplars: true, queue_config: \
                 {{max_samples_per_send: 40, batch_send_deadline: 200ms}}, write_relabel_configs: [{{source_labels: \
                 [__name__], regex: \"hits_total\", action: keep}}]{more}}}\n"
            )
        })
        .collect();
    let mut server = Server::start(BINARY, &format!("remote_write:\n{to}"));
    let (now, numbers) = (now_ms(), (0..150).map(|number| number.to_string()).collect::<Vec<_>>());
    let labels: Vec<_> =
        numbers.iter().map(|number| [("__name__", "hits_total"), ("number", number.as_str())]).collect();
    let told = |at: i64, with_samples: bool| -> Vec<Told<'_>> {
        let exemplars = |number: &'_ String| vec![(if number.len() == 1 { "a" } else { "b" }, 1.5, at)];
        let told = labels.iter().zip(&numbers).map(|(labels, number)| Told {
            labels,
            sample: with_samples.then_some(at),
            exemplars: exemplars(number),
        });
        told.collect()
    };
    // Of more series than a request has room for, together with their samples and behind them, and over a death of ours.
    for (at, with_samples) in [(now - 3000, true), (now - 2500, false), (now - 2000, true)] {
        let answer = server.client().call(&first_version(&told(at, with_samples)));
        assert_eq!(answer.status, 204, "{}", answer.text());
        server.restart();
    }
    let all = |client: &mut Client| call(client, PATH, &[("query", "hits_total")]).1["data"].clone();
    let wanted = all(&mut server.client());
    assert_eq!(wanted.as_array().map(Vec::len), Some(150));
    for client in receivers.iter().map(Prometheus::client).chain([ours.client()]) {
        let (mut client, begun) = (client, Instant::now());
        while all(&mut client) != wanted {
            assert!(begun.elapsed() < PATIENCE, "{}\n{wanted}\n{}", all(&mut client), server.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    // What is said of a metric goes with the samples that are sent from then on; ours reads it with a series that is new to it.
    let begun = Instant::now();
    for offset in 0.. {
        let told = ours.client().get("/api/v1/metadata?metric=hits_total");
        if told["data"]["hits_total"][0]["help"] == "How often." {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{told}\n{}", server.log());
        let at = (now - 1000 + offset) as f64 / 1000.0;
        let text =
            format!("# TYPE hits counter\n# HELP hits How often.\nhits_total{{new=\"{offset}\"}} 9 {at:.3}\n# EOF\n");
        let answer = server.client().post("/api/v1/import", OPENMETRICS, &text);
        assert_eq!(answer.status, 202, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A page of OpenMetrics with exemplars, of which some have times.
fn page(at_ms: i64) -> String {
    let at = at_ms as f64 / 1000.0;
    format!(
        "# TYPE latency histogram\nlatency_bucket{{le=\"1.0\"}} 2 # {{trace_id=\"a\"}} 0.5 {at:.3}\n\
         latency_bucket{{le=\"+Inf\"}} 3 # {{trace_id=\"b\",span=\"x\"}} 7 {at:.3}\nlatency_count 3\nlatency_sum 8\n\
         # TYPE hits counter\nhits_total 9 # {{trace_id=\"c\"}} 1\n# EOF\n"
    )
}

/// Scrapes until the server has exemplars of three series.
fn scraped(client: &mut Client) -> Value {
    let begun = Instant::now();
    loop {
        let query = "{__name__=~\"latency_bucket|hits_total\",instance=\"target\"}";
        let data = call(client, PATH, &[("query", query)]).1["data"].clone();
        if data.as_array().is_some_and(|series| series.len() == 3) {
            return data;
        }
        assert!(begun.elapsed() < PATIENCE, "{data}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn scraped_exemplars_are_those_of_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "exemplars that are scraped") else { return };
    let text = page(now_ms() - 1000);
    let shown = answer("200 OK", &[&format!("Content-Type: {OPENMETRICS}")], text.as_bytes());
    let target = TargetServer::start(move |_, out| out.write_all(&shown));
    let config = format!(
        "scrape_configs:\n  - job_name: a\n    scrape_interval: 200ms\n    scrape_timeout: 200ms\n    static_configs:\n      \
         - targets: ['{}']\n        labels: {{instance: target}}\n",
        target.address
    );
    let server = Server::start(BINARY, &config);
    let prometheus = Prometheus::start_with(&program, |_| config.clone());
    let mut all = [scraped(&mut server.client()), scraped(&mut prometheus.client())];
    // Without a time of its own it has that of the scrape that saw it first, and comes once.
    for data in &mut all {
        let hits = &mut data[0]["exemplars"];
        assert_eq!(hits.as_array().map(Vec::len), Some(1), "{hits}");
        hits[0]["timestamp"] = Value::Null;
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn imported_exemplars_are_kept() {
    let server = Server::start(BINARY, "");
    let (mut client, at) = (server.client(), now_ms() / 1000 - 3600);
    let text = format!(
        "# TYPE old counter\nold_total 1 {at} # {{trace_id=\"a\"}} 1 {at}.5\nold_total 2 {} # {{trace_id=\"b\"}} 1\n# EOF\n",
        at + 60
    );
    let answer = client.post("/api/v1/import", OPENMETRICS, &text);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let data = call(&mut client, PATH, &[("query", "old_total")]).1["data"].clone();
    let times: Vec<f64> =
        data[0]["exemplars"].as_array().expect("a list").iter().filter_map(|one| one["timestamp"].as_f64()).collect();
    assert_eq!(times, [at as f64 + 0.5, at as f64 + 60.0], "{data}");
}
