//! `/federate` as its reader asks for it in `Accept`: byte by byte what a real Prometheus answers.

use watchfire_model::Histogram;
use watchfire_model::histogram::{CUSTOM_SCHEMA, HistogramParts};
use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::{Written, write_to};
use watchfire_test_support::{Answer, Client, Program, Prometheus, Server};

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

/// Values of all sizes.
const VALUES: [(&str, f64); 18] = [
    ("fed_value_nan", f64::NAN),
    ("fed_value_inf", f64::INFINITY),
    ("fed_value_minus_inf", f64::NEG_INFINITY),
    ("fed_value_minus_0", -0.0),
    ("fed_value_one", 1.0),
    ("fed_value_smallest", 5e-324),
    ("fed_value_10_micro", 0.000_01),
    ("fed_value_100_micro", 0.000_1),
    ("fed_value_123_micro", 0.000_123),
    ("fed_value_6_digits", 123_456.0),
    ("fed_value_7_digits", 1_234_567.0),
    ("fed_value_minus_7_digits", -1_234_567.0),
    ("fed_value_million", 1e6),
    ("fed_value_now", 1_764_489_600.5),
    ("fed_value_1e20", 1e20),
    ("fed_value_1e21", 1e21),
    ("fed_value_even", -8_946_775_649_473_141.0 / 4.0),
    ("fed_value_largest", f64::MAX),
];

/// Names and values of all sorts, and a histogram that is told in lines.
fn written(at: i64) -> Vec<Written<'static>> {
    let bounds: std::sync::Arc<[f64]> = [1e-9, 0.000_05, 0.5, 250_000.0, 5_000_000.0, 1e22].into();
    let parts = HistogramParts {
        schema: CUSTOM_SCHEMA.into(),
        count: 3_000_001.0,
        sum: 4.5e7,
        positive: vec![(0, 1.0), (1, 3_000_000.0)],
        bounds,
        ..HistogramParts::default()
    };
    let histogram = Histogram::new(parts).expect("a histogram");
    let plain = |labels| Written { labels, samples: vec![(at, 1.5)], histograms: vec![] };
    let values = VALUES.map(|(name, value)| Written {
        labels: vec![("__name__", name)],
        samples: vec![(at, value)],
        histograms: vec![],
    });
    let named = [
        plain(vec![("__name__", "fed.utf"), ("l.x", "a\"b\\c"), ("plain_label", "é")]),
        plain(vec![("9", "x"), ("__name__", "fed_plain"), ("l_x", "y")]),
        plain(vec![("__name__", "fed_é \"quoted\""), ("instance", "i")]),
        Written { labels: vec![("__name__", "fed.took")], samples: vec![], histograms: vec![(at, histogram)] },
    ];
    named.into_iter().chain(values).collect()
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
    write_to(&mut ours.client(), &series);
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
    assert!(text.contains("# TYPE fed_value_nan untyped\n"), "{text}");
    // And has numbers of the same form.
    let lines = |text: &str| -> std::collections::BTreeSet<String> {
        let lines = text.lines().filter(|line| line.starts_with("fed_value_"));
        lines.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ").replace("{instance=\"\"}", "")).collect()
    };
    let federated = theirs.client().try_get(&path).text();
    assert_eq!((lines(&text), lines(&text).len()), (lines(&federated), VALUES.len()));
    assert!(text.contains("# TYPE fed_utf untyped\nfed_utf{l_x=\"a\\\"b\\\\c\",plain_label=\"é\"} 1.5\n"), "{text}");
}

#[test]
fn what_is_wrong_is_told_as_text() {
    let Some(program) = Program::of_prometheus("prometheus", "errors of federation") else { return };
    let (ours, theirs) = (Server::start(BINARY, ""), Prometheus::start(&program));
    for parameters in
        ["match[]=%zz", "match[]=m;a", "match[]=m%7B", "match[]=", "match[]=m&match[]=1", "a=%zz", "", "match[]=%7B%7D"]
    {
        let path = format!("/federate?{parameters}");
        let [have, wanted] = [ours.client(), theirs.client()].map(|mut client| client.try_get(&path));
        assert_eq!((have.status, content_type(&have)), (wanted.status, content_type(&wanted)), "{path}");
        // Each says in its own words what is wrong with a selector.
        let is_of_selector = wanted.text().contains("parse error");
        assert!(if is_of_selector { have.text().contains("parse error") } else { have.body == wanted.body }, "{path}");
        assert_eq!(have.text().ends_with('\n'), wanted.text().ends_with('\n'), "{path}");
    }
}

#[test]
fn external_labels_leave_with_what_has_none_of_their_names() {
    let Some(program) = Program::of_prometheus("prometheus", "external labels in federation") else { return };
    let config = "global: {external_labels: {region: eu, job: other, zone: \"1\"}}\n";
    let (ours, theirs) = (Server::start(BINARY, config), Prometheus::start_with(&program, |_| config.to_owned()));
    let at = now_ms();
    let plain = |labels| Written { labels, samples: vec![(at, 1.5)], histograms: vec![] };
    let series = [
        plain(vec![("__name__", "m"), ("instance", "i"), ("job", "a"), ("region", "us")]),
        plain(vec![("__name__", "m"), ("job", "a")]),
        plain(vec![("__name__", "n")]),
    ];
    theirs.write(&series);
    write_to(&mut ours.client(), &series);
    for accept in ["text/plain", PROTOBUF] {
        let path = "/federate?match[]=m&match[]=n&match[]=%7Bregion=%22eu%22%7D";
        let request = Client::request("GET", path, &[&format!("Accept: {accept}")], b"");
        let [have, wanted] = [ours.client(), theirs.client()].map(|mut client| client.call(&request));
        assert_eq!(have.text(), wanted.text(), "{accept}");
        assert!(have.body == wanted.body && have.body.len() > 100, "{accept}");
    }
}
