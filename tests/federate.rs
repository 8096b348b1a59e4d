//! `/federate` as its reader asks for it in `Accept`: byte by byte what a real Prometheus answers.

use watchfire_model::Histogram;
use watchfire_model::histogram::{CUSTOM_SCHEMA, HistogramParts};
use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::Written;
use watchfire_test_support::{Answer, Client, Program, Prometheus, Server, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("milliseconds fit")
}

fn content_type(answer: &Answer) -> &str {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map_or("", |(_, value)| value)
}

/// Names of all sorts, and a histogram that is told in lines.
fn written(at: i64) -> [Written<'static>; 4] {
    let parts = HistogramParts {
        schema: CUSTOM_SCHEMA.into(),
        count: 3.0,
        sum: 4.5,
        positive: vec![(0, 1.0), (1, 2.0)],
        bounds: [0.5].into(),
        ..HistogramParts::default()
    };
    let histogram = Histogram::new(parts).expect("a histogram");
    let plain = |labels| Written { labels, samples: vec![(at, 1.5)], histograms: vec![] };
    [
        plain(vec![("__name__", "fed.utf"), ("l.x", "a\"b\\c"), ("plain_label", "é")]),
        plain(vec![("9", "x"), ("__name__", "fed_plain"), ("l_x", "y")]),
        plain(vec![("__name__", "fed_é \"quoted\""), ("instance", "i")]),
        Written { labels: vec![("__name__", "fed.took")], samples: vec![], histograms: vec![(at, histogram)] },
    ]
}

#[test]
fn names_are_escaped_as_the_reader_asks() {
    let Some(program) = Program::of_prometheus("prometheus", "names in federation") else { return };
    if !program.is_newest {
        // Older ones know no such names.
        return;
    }
    let (ours, theirs) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let series = written(now_ms());
    theirs.write(&series);
    let mut request = Vec::new();
    for Written { labels, samples, histograms } in &series {
        let labels = remote_write::labels(labels.iter().copied());
        remote_write::put_mixed_series(&labels, samples, histograms, &mut request);
    }
    assert_eq!(ours.client().call(&remote_write::http_request(&request)).status, 204);
    let path = format!("/federate?match[]={}", encode("{__name__=~\"fed.*\"}"));
    let mut answers = std::collections::BTreeSet::new();
    for accept in [
        String::new(),
        "*/*".to_owned(),
        "text/plain".to_owned(),
        "text/plain;version=1.0.0;escaping=allow-utf-8".to_owned(),
        "text/plain;version=0.0.4;escaping=values".to_owned(),
        "text/plain; escaping=dots".to_owned(),
        "text/plain; escaping=underscores".to_owned(),
        "text/plain; escaping=unheard-of".to_owned(),
        "application/openmetrics-text;version=1.0.0;escaping=values".to_owned(),
        // As Prometheus 3 asks for what it scrapes.
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;\
         version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
            .to_owned(),
        PROTOBUF.to_owned(),
        format!("{PROTOBUF};escaping=allow-utf-8"),
        format!("{PROTOBUF};escaping=dots"),
        format!("text/plain;version=0.0.4;q=0.2,{PROTOBUF};escaping=values;q=0.4"),
        format!("text/plain;version=1.0.0;escaping=dots;q=0.9,{PROTOBUF};q=0.4"),
    ] {
        let header = format!("Accept: {accept}");
        let headers: &[&str] = if accept.is_empty() { &[] } else { &[&header] };
        let call = |mut client: Client| client.call(&Client::request("GET", &path, headers, b""));
        let (ours, theirs) = (call(ours.client()), call(theirs.client()));
        assert_eq!(ours.text(), theirs.text(), "{accept}");
        assert!(ours.status == 200 && ours.body == theirs.body && !ours.body.is_empty(), "{accept}");
        assert_eq!(content_type(&ours), content_type(&theirs), "{accept}");
        answers.insert(ours.body);
    }
    assert_eq!(answers.len(), 8, "four schemes in two forms");
    // What we show of ourselves is escaped alike.
    let metrics =
        |accept: &str| ours.client().call(&Client::request("GET", "/metrics", &[accept], b"")).text().to_string();
    let text = metrics("Accept: text/plain;version=1.0.0;escaping=allow-utf-8");
    assert!(
        text.contains("# TYPE \"fed.utf\" untyped\n{\"fed.utf\",\"l.x\"=\"a\\\"b\\\\c\",plain_label=\"é\"} 1.5\n"),
        "{text}"
    );
    let text = metrics("Accept: text/plain");
    assert!(text.contains("# TYPE fed_utf untyped\nfed_utf{l_x=\"a\\\"b\\\\c\",plain_label=\"é\"} 1.5\n"), "{text}");
}
