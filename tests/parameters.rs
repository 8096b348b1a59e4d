//! What the parameters of Prometheus' API may be, beside a real one: odd values of each, one by one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::prometheus::Written;
use watchfire_test_support::{Answer, Client, Program, Prometheus, Server, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// Numbers, what looks like numbers, and what does not. Words for times and durations that only we know are not here.
const VALUES: [&str; 58] = [
    "",
    "NaN",
    "nan",
    "Inf",
    "+Inf",
    "-Inf",
    "inf",
    "infinity",
    "0",
    "-0",
    "-1",
    "-0.5",
    "1e3",
    "1e9",
    "9.3e18",
    "1e30",
    "1e308",
    "1e400",
    "-1e400",
    "0.001",
    "0.0001",
    "0.0005",
    "1e-10",
    "1e-320",
    "abc",
    "true",
    "1;",
    "1,5",
    "٥",
    "--1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "9223372037",
    "-9223372037",
    "1_0",
    "1__0",
    "_1",
    "1_",
    "1_0.5",
    "0x1p4",
    "0X_1.8p+1",
    "-0x1p4",
    "0x10",
    "0x1p",
    "0x1p9999",
    "1e1_0",
    ".5",
    "5.",
    ".",
    "+1",
    "+nan",
    "-nan",
    "in_f",
    " 1",
    "1 ",
    "1\t",
    "\u{a0}1",
];

/// What is a duration, or looks like one.
const DURATIONS: [&str; 19] = [
    "1h",
    "1d1h",
    "1h1d",
    "1h1h",
    "1h30m15s5ms",
    "1ms1s",
    "1.5h",
    "1h 1m",
    " 1h",
    "1h ",
    "-1h",
    "+1h",
    "1H",
    "0h",
    "0ms",
    "1us",
    "292y",
    "293y",
    "18446744073709551616ms",
];

/// What is a time, or looks like one.
const TIMES: [&str; 44] = [
    "1e10",
    "-1e10",
    "9.2e15",
    "1e18",
    "-1e18",
    "1700000000000",
    "1700000000123456789",
    "2300-01-01T00:00:00.5Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999999Z",
    "10000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0000-02-29T12:00:00.0019Z",
    "-0001-01-01T00:00:00Z",
    "2015-07-01T20:10:51Z",
    "2015-07-01T20:10:51.781Z",
    "2015-07-01T20:10:51.7815999+02:00",
    "2015-07-01T20:10:51.78159999999999999Z",
    "2015-07-01T20:10:51,5Z",
    "2015-07-01T20:10:51.Z",
    "2015-07-01T20:10:51",
    "2015-07-01T20:10:51.5",
    "2015-07-01 20:10:51Z",
    "2015-07-01T20:10Z",
    "2015-07-01",
    "2015-07",
    "2015-07-01t20:10:51z",
    "2015-07-01T2:10:51Z",
    "2015-7-01T20:10:51Z",
    "2015-07-01T20:1:51Z",
    " 2015-07-01T20:10:51Z",
    "2015-07-01T20:10:51Z ",
    "2015-07-01T20:10:51Z\n",
    "2015-07-01T24:10:51Z",
    "2015-07-01T20:10:60Z",
    "2015-02-29T20:10:51Z",
    "2015-07-01T20:10:51+1",
    "2015-07-01T20:10:51+0200",
    "2015-07-01T20:10:51+24:60",
    "2015-07-01T20:10:51-25:00",
    "2015-07-01T20:10:51-00:00",
    "15-07-01T20:10:51Z",
    "2015-07-01T",
];

/// Whether the parameter is a duration, a time, or neither.
fn of_its_kind(name: &str) -> &'static [&'static str] {
    match name {
        "step" | "lookback_delta" | "timeout" => &DURATIONS,
        "start" | "end" | "time" => &TIMES,
        _ => &[],
    }
}

/// Paths, what else is asked, and the parameter whose values are tried.
const PARAMETERS: [(&str, &str, &[&str]); 9] = [
    ("/api/v1/query", "query=time()&time=NOW", &["time"]),
    ("/api/v1/query_range", "query=time()&start=BEFORE&end=NOW&step=1e6", &["start", "end"]),
    ("/api/v1/query_range", "query=m&start=BEFORE&end=NOW&step=1e9", &["start", "end"]),
    ("/api/v1/query", "query=m&time=NOW", &["lookback_delta", "limit", "timeout", "time"]),
    (
        "/api/v1/query_range",
        "query=m&start=BEFORE&end=NOW&step=15",
        &["start", "end", "step", "lookback_delta", "limit", "timeout"],
    ),
    ("/api/v1/series", "match[]=m&start=BEFORE&end=NOW", &["start", "end", "limit"]),
    ("/api/v1/labels", "match[]=m&start=BEFORE&end=NOW", &["start", "end", "limit"]),
    ("/api/v1/label/job/values", "match[]=m&start=BEFORE&end=NOW", &["start", "end", "limit"]),
    ("/api/v1/query_exemplars", "query=m&start=BEFORE&end=NOW", &["start", "end"]),
];

/// The status, the type of the error, and the series that are told.
fn ask(client: &mut Client, path: &str, parameters: &str) -> (u16, Value, Value) {
    let answer = client.try_get(&format!("{path}?{parameters}"));
    let json = answer.json();
    let data = json["data"].get("result").unwrap_or(&json["data"]).clone();
    (answer.status, json["errorType"].clone(), data)
}

/// Both, with the same series in them: its newest sample is of the time that is given, seconds.
fn both(program: &Program) -> (Server, Prometheus, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let at = |before: u64| i64::try_from((now - before) * 1000).expect("milliseconds fit");
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(program));
    let series = ["a", "b"].map(|job| Written {
        labels: vec![("__name__", "m"), ("job", job)],
        samples: vec![(at(30), 1.0), (at(15), 2.0), (at(0), 3.0)],
        histograms: Vec::new(),
    });
    prometheus.write(&series);
    let mut request = Vec::new();
    for Written { labels, samples, .. } in &series {
        remote_write::put_mixed_series(&remote_write::labels(labels.iter().copied()), samples, &[], &mut request);
    }
    assert_eq!(server.client().call(&remote_write::http_request(&request)).status, 204);
    (server, prometheus, now)
}

#[test]
fn odd_values_are_taken_and_refused_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "odd values of parameters") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus takes other parameters");
    }
    let (server, prometheus, now) = both(&program);
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let mut differences = Vec::new();
    for (path, others, names) in PARAMETERS {
        let others = others.replace("NOW", &now.to_string()).replace("BEFORE", &(now - 30).to_string());
        let tried =
            names.iter().flat_map(|name| VALUES.iter().chain(of_its_kind(name)).map(move |value| (*name, *value)));
        for (name, value) in tried {
            let kept = others.split('&').filter(|pair| pair.split('=').next() != Some(name)).collect::<Vec<_>>();
            let asked = format!("{}&{name}={}", kept.join("&"), encode(value));
            let [have, wanted] = [&mut ours, &mut theirs].map(|client| ask(client, path, &asked));
            // A query that has no time left is refused in one of three ways there, by chance.
            let is_late = name == "timeout" && wanted.0 != 200;
            // Whether there is enough is a matter of chance.
            if name == "timeout" && (value.starts_with("0.000") || value.starts_with("1e-")) {
                continue;
            }
            let is_now = path == "/api/v1/query" && name == "time" && value.is_empty();
            // Over a range it finds a sample of the very time, but not at the first one, if it is to look back for less than a
            // millisecond.
            let is_short = path == "/api/v1/query_range" && name == "lookback_delta" && value.starts_with("0.000");
            let is_same = match (is_late, is_now || is_short) {
                (true, _) => have.0 >= 400,
                (_, true) => have.0 == wanted.0,
                _ => have == wanted,
            };
            if !is_same {
                differences.push(format!("{path}?{asked}: {have:?}, not {wanted:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn selectors_that_every_series_meets_are_for_federation_only() {
    let Some(program) = Program::of_prometheus("prometheus", "selectors of everything") else { return };
    let (server, prometheus, now) = both(&program);
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    for selectors in [
        &["{}"][..],
        &["{__name__=\"\"}"],
        &["{__name__=~\".*\"}"],
        &["{job!=\"x\"}"],
        &["{job=\"\"}"],
        &["{job!~\"a|\"}"],
        &["m", "{}"],
        &["{}", "m"],
        &[],
        &[""],
        &["m{"],
        &["m offset 5m"],
        &["m[5m]"],
        &["(m)"],
        &["rate m"],
    ] {
        let asked: Vec<String> = selectors.iter().map(|selector| format!("match[]={}", encode(selector))).collect();
        for path in ["/api/v1/series", "/api/v1/labels", "/api/v1/label/job/values", "/federate"] {
            let asked = format!("{}&start={}&end={now}", asked.join("&"), now - 30);
            let [have, wanted] = [&mut ours, &mut theirs].map(|client| {
                let answer = client.try_get(&format!("{path}?{asked}"));
                // Ours has series of its own.
                let text = if path == "/federate" && answer.status == 200 { answer.text() } else { String::new() };
                let lines: Vec<String> =
                    text.lines().filter(|line| line.starts_with("m{")).map(str::to_owned).collect();
                (answer.status, lines)
            });
            assert_eq!(have, wanted, "{path}?{asked}");
        }
    }
}

/// The status, the type of the error, if it is one of this API, and its text but for what is wrong with a query, which each says in its own words.
fn refusal(answer: &Answer) -> (u16, Value, String) {
    let json = answer.json();
    let text = json["error"].as_str().unwrap_or_default();
    let text = text.split_once("parse error: ").map_or(text, |(before, _)| before.trim_end_matches(|c: char| c != '"'));
    let text = if json["errorType"].is_null() { "" } else { text };
    (answer.status, json["errorType"].clone(), text.to_owned())
}

/// Calls and, of each, what stands in a form or behind the `?`.
const FORMS: [&str; 36] = [
    "query=%zz",
    "query=m;time=1",
    "query=%",
    "query=m&start=1&end=%3&step=1",
    "match[]=m&start=%zz&query=m&step=1&end=2",
    "match[]=m&%zz=1&query=m&time=1",
    "match[]=m&%4=1;query=m",
    "match[]=m&&=&a&query=m&time=1",
    "match[]=m&start=1;end=2",
    "limit=x&match[]=m&query=m",
    "limit=-1&match[]=m&query=m",
    "limit=99999999999999999999&match[]=m&query=m",
    "limit=+1.0&match[]=m&query=m",
    "start=x&end=x&match[]=m&query=m&step=1",
    "start=1&end=x&match[]=m&query=m&step=1",
    "start=2&end=1&match[]=m&query=m&step=1",
    "time=x&query=m",
    "start=1&end=2&step=x&query=m",
    "start=1&end=2&step=1e30&query=m",
    "start=1&end=2&step=-1&query=m",
    "start=1&end=2&step=1&query=m&timeout=x&time=1",
    "start=1&end=2&step=1&query=m&timeout=1e30&time=1",
    "start=1&end=2&step=1&query=m&lookback_delta=x&time=1",
    "start=1&end=2&step=1&query=m&lookback_delta=x&timeout=x&limit=x&time=x",
    "start=1&end=2&step=1&query=m[5m]&match[]={}&match[]=m",
    "match[]=m(&query=m(&start=1&end=2&step=1",
    "",
    "type=x&exclude_alerts=x&group_limit=x&query=m",
    "exclude_alerts=x&group_limit=x",
    "group_limit=99999999999",
    // What is no UTF-8 is refused where a string holds it.
    "query=%22%ff%22&match[]=%22%ff%22&time=1&start=1&end=2&step=1",
    "query=m{job=%22%e2%82%22}&match[]=m{job=%22%e2%82%22}&time=1&start=1&end=2&step=1",
    "query=m{job=~`%ed%a0%80`}&match[]=m{job=~`%ed%a0%80`}&time=1&start=1&end=2&step=1",
    "query=m{job='%ef%bf%bd'}&match[]=m{job='%ef%bf%bd'}&time=1&start=1&end=2&step=1",
    "query=m%20%23%ff&match[]=m%20%23%ff&time=1&start=1&end=2&step=1",
    "query=m%ff&match[]=m%ff&time=1&start=1&end=2&step=1",
];

#[test]
fn what_cannot_be_read_is_passed_over_or_refused_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "malformed forms") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus says it in other words");
    }
    let (server, prometheus, _) = both(&program);
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    for path in [
        "query",
        "query_range",
        "series",
        "labels",
        "label/job/values",
        "query_exemplars",
        "format_query",
        "parse_query",
        "rules",
        "metadata",
        "targets/metadata",
        "status/tsdb",
    ] {
        for form in FORMS {
            let get = |client: &mut Client| refusal(&client.try_get(&format!("/api/v1/{path}?{form}")));
            let [have, wanted] = [&mut ours, &mut theirs].map(get);
            assert_eq!(have, wanted, "{path}?{form}");
            // What is no form is passed over.
            for kind in
                ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8", "text/plain"]
            {
                let post = |client: &mut Client| refusal(&client.post(&format!("/api/v1/{path}"), kind, form));
                let [have, wanted] = [&mut ours, &mut theirs].map(post);
                assert_eq!(have, wanted, "POST {path} {form} as {kind}");
            }
        }
    }
}

#[test]
fn a_query_without_time_is_refused_in_a_way_of_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "queries without time") else { return };
    let (server, prometheus, _) = both(&program);
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let mut ways = std::collections::HashSet::new();
    for timeout in ["0", "-1", "NaN"].into_iter().cycle().take(60) {
        let ask = |client: &mut Client| refusal(&client.try_get(&format!("/api/v1/query?query=m&timeout={timeout}")));
        let [have, wanted] = [&mut ours, &mut theirs].map(ask);
        ways.insert(wanted);
        // The one that is met most often there.
        assert_eq!((have.0, &*have.2), (400, "invalid parameter \"query\": context deadline exceeded"));
        if ways.contains(&have) {
            return;
        }
    }
    panic!("{ways:?}");
}

#[test]
fn addresses_may_be_as_long_as_for_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "long addresses") else { return };
    let (server, prometheus, now) = both(&program);
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    for bytes in [60_000, 61_440, 65_500, 65_536, 66_000, 100_000, 500_000] {
        for (path, filler) in [
            (format!("/api/v1/query?time={now}&query=m%7Bjob!=%22FILL%22%7D"), "x"),
            (format!("/api/v1/series?match[]=m&match[]=m%7Bjob=%22FILL%22%7D&start={}&end={now}", now - 60), "%41"),
            (format!("/api/v1/query?time={now}&unheard-of=FILL&query=m"), "\""),
        ] {
            let path = path.replace("FILL", &filler.repeat(bytes / filler.len()));
            // On one connection, as what is taken out of one address must not come to another.
            let ask = |client: &mut Client| [client.get(&path), client.get("/api/v1/query?query=7&time=1")];
            let [have, wanted] = [&mut ours, &mut theirs].map(ask);
            assert_eq!(have, wanted, "{bytes} {filler}");
        }
    }
    // A form may be longer.
    for bytes in [600_000, 1_900_000, 2_200_000, 10_400_000] {
        let form = format!("time={now}&query=m%7Bjob!=%22{}%22%7D", "x".repeat(bytes));
        let ask = |client: &mut Client| {
            let answer = client.post("/api/v1/query", "application/x-www-form-urlencoded", &form);
            (answer.status, answer.json())
        };
        let [have, wanted] = [&mut ours, &mut theirs].map(ask);
        assert!(have == wanted && wanted.0 == 200, "{bytes}: {} {}", have.0, wanted.0);
    }
    // What Go would take for no form at all is refused.
    let form = format!("query=1&a={}", "x".repeat(10_500_000));
    assert_eq!(server.client().post("/api/v1/query", "application/x-www-form-urlencoded", &form).status, 413);
    // Beyond a mebibyte they are refused.
    for client in [server.client(), prometheus.client()] {
        let mut client = client;
        client
            .send(&Client::request("GET", &format!("/api/v1/query?query=1&a={}", "x".repeat(1_060_000)), &[], b""))
            .ok();
        assert_eq!(client.receive().map(|answer| answer.status).ok(), Some(431));
    }
}

#[test]
fn half_open_requests_with_long_parameters_keep_nobody_out() {
    let server = Server::start(BINARY, "");
    let long = format!("/api/v1/query?query=7&time=1&a={}", "x".repeat(100_000));
    let whole = Client::request("GET", &long, &[], b"");
    let mut half_open: Vec<Client> = (0..40).map(|_| server.client()).collect();
    for client in &mut half_open {
        client.send(&whole[..90_000]).expect("it is read");
    }
    // Its turn comes, at the latest when places are taken from those that stand still.
    let answers: Vec<u16> = (0..3).map(|_| server.client().try_get(&long).status).collect();
    assert_eq!(answers, [200; 3]);
    for mut client in half_open {
        client.send(&whole[90_000..]).expect("it is read");
        let answer = client.receive().expect("an answer");
        // The first lost theirs, the last did not find one before.
        if answer.status != 200 {
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
            assert!(answer.header("x-request-id").is_some(), "{}", answer.head);
        }
        assert_eq!(client.get("/api/v1/query?query=7&time=1")["data"]["result"][1], "7");
    }
}

#[test]
fn ways_in_do_not_take_long_parameters() {
    let server = Server::start(BINARY, "");
    for path in
        ["/ingest", "/ingest/raw", "/data", "/api/v1/write", "/api/v1/import", "/api/v1/import/logs", "/v1/metrics"]
    {
        let long = format!("{path}?service={}", "x".repeat(100_000));
        let answer = server.client().post(&long, "text/plain", "x");
        assert_eq!(answer.status, 431, "{path}: {}", answer.text());
        assert!(!answer.text().contains("long-query"), "{path}: {}", answer.text());
    }
}

#[test]
fn subqueries_without_a_step_take_the_interval_of_evaluations() {
    for (config, points) in [("", "5"), ("global: {evaluation_interval: 5s}\n", "60")] {
        let server = Server::start(BINARY, config);
        let query = encode("count_over_time(vector(1)[5m:])");
        let answer = server.client().get(&format!("/api/v1/query?query={query}&time=1700000003"));
        assert_eq!(answer["data"]["result"][0]["value"][1], points, "{config}: {answer}");
    }
}
