//! Remote-write: a real Prometheus sends what it scrapes, by both versions, also while we are killed; native histograms;
//! and what is refused.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_model::Histogram;
use watchfire_model::histogram::HistogramParts;
use watchfire_protobuf::Writer;
use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::Prometheus;
use watchfire_test_support::{Answer, Client, Program, Server, TargetServer, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(90);
/// Scrapes that have to be there before we are killed, and after.
const SCRAPES: f64 = 4.0;

/// The first value of a query at a time, unix seconds; 0 if there is none.
fn value(client: &mut Client, query: &str, time: f64) -> f64 {
    let answer = client.get(&format!("/api/v1/query?query={}&time={time:.3}", encode(query)));
    answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A request of the second version: a series with a sample and an exemplar whose labels are these references.
fn with_exemplar(references: &[u8], at: i64) -> Vec<u8> {
    let field = |number: u8, value: &[u8]| -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        remote_write::put_varint(value.len() as u64, &mut out);
        out.extend_from_slice(value);
        out
    };
    let mut time = Vec::new();
    remote_write::put_varint(at.cast_unsigned(), &mut time);
    let sample = [&[0x09][..], &1.0f64.to_le_bytes(), &[0x10], &time].concat();
    let exemplar = [&field(1, references)[..], &[0x11], &1.0f64.to_le_bytes(), &[0x18], &time].concat();
    let series = [field(1, &[1, 2]), field(2, &sample), field(4, &exemplar)].concat();
    let symbols = ["", "__name__", "m", "trace", "t"].map(|symbol| field(4, symbol.as_bytes()));
    [symbols.concat(), field(5, &series)].concat()
}

#[test]
fn exemplars_that_are_none_are_refused_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "remote-write of exemplars") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus takes no exemplars by it");
    }
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let at = (now() * 1000.0) as i64;
    for (number, references) in [&[3, 4][..], &[3, 9], &[9, 4], &[3], &[]].into_iter().enumerate() {
        let request = remote_write::second_http_request(&with_exemplar(references, at + number as i64));
        let [have, wanted] = [server.client(), prometheus.client()].map(|mut client| {
            let answer = client.call(&request);
            let written = answer.head.lines().filter(|line| line.to_ascii_lowercase().contains("-written"));
            let mut written: Vec<String> = written.map(str::to_ascii_lowercase).collect();
            written.sort();
            (answer.status, written)
        });
        assert_eq!(have, wanted, "{references:?}");
    }
}

/// Some seconds and their numbers or histograms of one series, as they follow each other in a request.
type Parts<'p> = &'p [(&'p [(i64, f64)], &'p [(i64, f64)])];

/// The same in both versions. Histograms are told apart by their counts.
fn request_of(name: &str, base: i64, parts: Parts<'_>, version: u8) -> Vec<u8> {
    let histogram = |count: f64| {
        let parts = HistogramParts { count, sum: count, positive: vec![(1, count)], ..HistogramParts::default() };
        Histogram::new(parts).expect("a histogram")
    };
    let mut request = Vec::new();
    if version == 1 {
        for (samples, histograms) in parts {
            let samples: Vec<_> = samples.iter().map(|(at, value)| (base + at * 1000, *value)).collect();
            let histograms: Vec<_> =
                histograms.iter().map(|(at, count)| (base + at * 1000, histogram(*count))).collect();
            let labels = remote_write::labels([("__name__", name)]);
            remote_write::put_mixed_series(&labels, &samples, &histograms, &mut request);
        }
        return remote_write::http_request(&request);
    }
    let mut writer = Writer::new(&mut request);
    ["", "__name__", name].iter().for_each(|symbol| writer.message(4, |text| text.raw(symbol.as_bytes())));
    for (samples, histograms) in parts {
        writer.message(5, |series| {
            series.bytes(1, &[1, 2]);
            for (at, value) in *samples {
                series.message(2, |sample| {
                    sample.double(1, *value);
                    sample.signed(2, base + at * 1000);
                });
            }
            for (at, count) in *histograms {
                let message = remote_write::histogram_message(base + at * 1000, &histogram(*count));
                series.message(3, |histogram| histogram.raw(&message));
            }
        });
    }
    remote_write::second_http_request(&request)
}

#[test]
fn numbers_and_histograms_at_one_time_are_taken_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "numbers beside histograms") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus knows one version only");
    }
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let base = (now() * 1000.0) as i64 - 60_000;
    // Each list is a request; all are of one series.
    let cases: &[&[Parts<'_>]] = &[
        &[&[(&[(0, 1.0)], &[(0, 2.0)])]],
        &[&[(&[], &[(0, 2.0)]), (&[(0, 1.0)], &[])]],
        &[&[(&[(0, 1.0)], &[]), (&[], &[(0, 2.0)])]],
        &[&[(&[(0, 1.0), (1, 3.0)], &[(1, 2.0), (2, 4.0)])]],
        &[&[(&[(0, 1.0), (1, 3.0), (2, 5.0)], &[(0, 2.0), (1, 4.0)])]],
        &[&[(&[(1, 3.0), (2, 5.0)], &[(0, 2.0)])]],
        &[&[(&[(2, 5.0)], &[(0, 2.0), (1, 4.0), (3, 6.0)])]],
        &[&[(&[(0, 1.0)], &[])], &[(&[], &[(0, 2.0)])]],
        &[&[(&[], &[(0, 2.0)])], &[(&[(0, 1.0)], &[])]],
        &[&[(&[(0, 1.0)], &[])], &[(&[(1, 3.0)], &[(0, 2.0), (1, 4.0), (2, 6.0)])]],
        &[&[(&[], &[(0, 2.0)])], &[(&[(0, 1.0), (1, 3.0)], &[(1, 4.0)])]],
        &[&[(&[(0, 1.0), (0, 1.0)], &[])]],
        &[&[(&[(0, 1.0), (0, 2.0)], &[])]],
        &[&[(&[], &[(0, 2.0), (0, 2.0)])]],
        &[&[(&[], &[(0, 2.0), (0, 4.0)])]],
    ];
    let end = format!("{:.3}", base as f64 / 1000.0 + 10.0);
    for (case, requests) in cases.iter().enumerate() {
        for version in [1, 2] {
            let name = format!("mixed_{case}_{version}");
            let query = format!("/api/v1/query?query={}&time={end}", encode(&format!("{name}[20s]")));
            let [(have, kept), (wanted, kept_there)] = [&mut ours, &mut theirs].map(|client| {
                let requests = requests.iter().map(|parts| request_of(&name, base, parts, version));
                let told = |answer: Answer| {
                    let written = ["Samples", "Histograms", "Exemplars"];
                    let written = written.map(|of| format!("X-Prometheus-Remote-Write-{of}-Written"));
                    (answer.status, written.map(|header| answer.header(&header).map(str::to_owned)))
                };
                let answers: Vec<_> = requests.map(|request| told(client.call(&request))).collect();
                let row = client.get(&query)["data"]["result"][0].clone();
                let points = |list: &str| row[list].as_array().cloned().into_iter().flatten();
                let numbers = points("values").map(|point| (point[0].to_string(), point[1].to_string()));
                let histograms =
                    points("histograms").map(|point| (point[0].to_string(), point[1]["count"].to_string()));
                (answers, numbers.chain(histograms).collect::<BTreeSet<_>>())
            });
            let about = format!("{case} by version {version}: {have:?} {kept:?}, there {wanted:?} {kept_there:?}");
            // The same of two is kept; what is only late, or beside something bad, is not lost here.
            let times: BTreeSet<&String> = kept.iter().map(|(at, _)| at).collect();
            assert!(kept.is_superset(&kept_there) && times.len() == kept.len(), "{about}");
            // Of what collides with something of the same request nothing is told.
            assert_eq!(have, wanted, "{about}");
        }
    }
}

#[test]
fn what_prometheus_sends_is_whole_over_a_kill() {
    let Some(program) = Program::of_prometheus("prometheus", "remote-write from a real sender") else { return };
    let mut servers = vec![(Server::start(BINARY, "metrics: {port: 0}\n"), "")];
    if program.is_newest {
        let second = "\n    protobuf_message: io.prometheus.write.v2.Request";
        servers.push((Server::start(BINARY, "metrics: {port: 0}\n"), second));
    }
    let to: String = servers
        .iter()
        .map(|(server, more)| format!("  - url: http://{}/api/v1/write{more}\n", server.address))
        .collect();
    let prometheus = Prometheus::start_with(&program, |own| {
        format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}\nscrape_configs:\n  - job_name: self\n    \
             static_configs: [{{targets: ['{own}']}}]\nremote_write:\n{to}"
        )
    });
    let scrapes = "count_over_time(up{job=\"self\"}[1h])";
    for (server, version) in &mut servers {
        wait(&format!("no scrapes arrive{version}: {}", server.log()), || {
            value(&mut server.client(), scrapes, now()) >= SCRAPES
        });
        // What was answered is on disk; what was not is sent again.
        server.restart();
        let until = now();
        wait("prometheus scrapes on", || value(&mut prometheus.client(), scrapes, now()) >= 2.0 * SCRAPES);
        let sum = "sum(sum_over_time(prometheus_tsdb_head_samples_appended_total{job=\"self\"}[1h]))";
        for query in [scrapes, sum, "count({job=\"self\"})"] {
            let wanted = value(&mut prometheus.client(), query, until);
            assert!(wanted > 0.0, "{query}");
            wait(&format!("{query} does not become {wanted}{version}: {}", server.log()), || {
                value(&mut server.client(), query, until) == wanted
            });
        }
        let federated = |client: &mut Client| {
            let path = format!("/federate?match[]={}", encode("prometheus_build_info{job=\"self\"}"));
            let text = client.try_get(&path).text();
            // All but the time, which is that of the newest scrape.
            text.rsplit_once(' ').map(|(line, _)| line.to_owned())
        };
        let ours = federated(&mut server.client());
        assert!(ours.as_ref().is_some_and(|text| text.contains("version=")), "{ours:?}");
        assert_eq!(ours, federated(&mut prometheus.client()));
    }
}

/// A request of one sample of a series, now.
fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Vec<u8> {
    let mut request = Vec::new();
    let labels = remote_write::labels([("__name__", name)].into_iter().chain(labels.iter().copied()));
    remote_write::put_series(&labels, &[((now() * 1000.0) as i64, value)], &mut request);
    remote_write::http_request(&request)
}

#[test]
fn what_was_counted_elsewhere_stands_beside_what_is_counted_here() {
    let page = TargetServer::showing("error_count 7\nbeside 1\n");
    let config = format!(
        "metrics: {{port: 0}}\nextract: [{{metric: payments_total, type: counter, where: 'service:pay'}}]\nscrape_configs:\n  - {{job_name: page, scrape_interval: 100ms, static_configs: [{{targets: [\"{}\"]}}]}}\n",
        page.address
    );
    let server = Server::start(BINARY, &config);
    let mut client = server.client();
    // Before anything is counted it is the only series of these labels.
    assert_eq!(client.call(&sample("payments_total", &[], 50.0)).status, 204);
    let line = r#"{"message": "paid twice", "service": "pay", "level": "error"}"#;
    assert_eq!(client.post("/ingest", "application/json", line).status, 202);
    let ask = |client: &mut Client, query: &str| client.get(&format!("/api/v1/query?query={}", encode(query)));
    let value = |answer: &Value| answer["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned();
    let begun = Instant::now();
    while value(&ask(&mut client, "error_count{service=\"pay\"}")) != "1" || value(&ask(&mut client, "beside")) != "1" {
        assert!(begun.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.call(&sample("error_count", &[("service", "pay"), ("site", "b")], 5.0)).status, 204);
    let refused = client.call(&sample("error_count", &[("service", "pay")], 5.0));
    assert!(refused.status == 400 && refused.text().contains("derived from logs"), "{}", refused.text());
    // What a page shows may be our own: it would be counted twice.
    assert_eq!(value(&ask(&mut client, "sum(error_count)")), "6");
    assert_eq!(value(&ask(&mut client, "count(error_count)")), "2");
    let short = client.get(&format!("/api/v1/metrics/query?query={}", encode("sum error_count service=pay")));
    assert_eq!(short["value"], 6.0, "{short}");
    let both = ask(&mut client, "payments_total");
    assert_eq!((value(&both).as_str(), both["data"]["result"].as_array().map(Vec::len)), ("1", Some(1)), "{both}");
    assert!(both["warnings"][0].as_str().is_some_and(|told| told.contains("are not shown")), "{both}");
}

#[test]
fn a_rule_does_not_begin_to_count_under_the_name_of_samples() {
    let config = "metrics: {port: 0}\nextract: [{metric: payments_total, type: counter, where: 'service:pay'}]\n";
    let server = Server::start(BINARY, config);
    let mut client = server.client();
    assert_eq!(client.call(&sample("refunds_total", &[], 1.0)).status, 204);
    // A rule that would count under the name of samples is refused as a whole.
    let file = server.folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, text.replace("payments_total", "refunds_total")).expect("it can be written");
    let answer = client.post("/-/reload", "text/plain", "");
    assert!(answer.status >= 400 && answer.text().contains("`refunds_total` has samples"), "{}", answer.text());
    std::fs::write(&file, text.replace("payments_total", "fees_total")).expect("it can be written");
    assert_eq!(client.post("/-/reload", "text/plain", "").status, 200);
}

#[test]
fn a_help_that_is_a_book_is_cut_and_a_body_that_never_fits_is_no_matter_of_waiting() {
    let server = Server::start(BINARY, "metrics: {port: 0}\n");
    let mut client = server.client();
    assert_eq!(client.call(&sample("up", &[], 1.0)).status, 204);
    let (book, mut metadata) = ("x".repeat(1 << 20), Vec::new());
    remote_write::put_metadata("up", 2, &book, &mut metadata);
    assert_eq!(client.call(&remote_write::http_request(&metadata)).status, 204);
    let metrics = client.get("/api/metrics?prefix=up");
    assert_eq!(metrics[0]["help"].as_str().map(str::len), Some(4096), "{}", metrics[0]["type"]);
    // Twenty million series of nothing.
    let answer = client.call(&remote_write::http_request(&[0x0a, 0].repeat(20_000_000)));
    assert_eq!(answer.status, 413, "{}", answer.text());
}

#[test]
fn native_histograms_are_kept_over_a_kill_and_answered() {
    let mut server = Server::start(BINARY, "metrics: {port: 0}\n");
    let second = now().floor();
    let histogram = |counts: [f64; 3]| {
        let positive: Vec<(i32, f64)> = (1..).zip(counts).collect();
        let (count, sum) = (counts.iter().sum(), 2.0 * counts.iter().sum::<f64>());
        let parts = HistogramParts { schema: 0, count, sum, positive, ..HistogramParts::default() };
        Histogram::new(parts).expect("valid")
    };
    let at = |before: f64| ((second - before) * 1000.0) as i64;
    let sent = [(at(60.0), histogram([10.0, 10.0, 0.0])), (at(0.0), histogram([10.0, 40.0, 30.0]))];
    let mut request = Vec::new();
    let labels = remote_write::labels([("__name__", "latency_seconds"), ("job", "api")]);
    remote_write::put_mixed_series(&labels, &[], &sent, &mut request);
    // One that is none beside it: it is told, and the others are stored.
    let mut odd = histogram([1.0, 1.0, 1.0]);
    odd.multiply(-1.0);
    remote_write::put_mixed_series(&remote_write::labels([("__name__", "odd")]), &[], &[(at(0.0), odd)], &mut request);
    let answer = server.client().call(&remote_write::http_request(&request));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("odd{}: a histogram is none: positive side: bucket number 1"), "{}", answer.text());
    server.restart();
    let mut client = server.client();
    for (query, wanted) in [
        ("histogram_count(latency_seconds)", 80.0),
        ("histogram_sum(latency_seconds)", 160.0),
        ("histogram_count(increase(latency_seconds[1m1s])) > bool 59", 1.0),
        ("histogram_quantile(1, latency_seconds)", 8.0),
        ("histogram_fraction(0, 4, latency_seconds)", 0.625),
        ("count_over_time(latency_seconds[5m])", 2.0),
    ] {
        assert_eq!(value(&mut client, query, second), wanted, "{query}");
    }
    let path = format!("/api/v1/query?query=latency_seconds&time={second:.3}");
    let shown = &client.get(&path)["data"]["result"][0]["histogram"][1];
    let buckets = serde_json::json!([[0, "1", "2", "10"], [0, "2", "4", "40"], [0, "4", "8", "30"]]);
    assert_eq!((&shown["count"], &shown["buckets"]), (&serde_json::json!("80"), &buckets));
}
