//! How queries are spelt beside a real Prometheus: as `format_query` and `parse_query` show them, and what regular
//! expressions mean.

use std::time::{SystemTime, UNIX_EPOCH};

use watchfire_test_support::prometheus::call;
use watchfire_test_support::{Program, Prometheus, Server, answers, remote_write};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

/// Queries whose spelling and tree are to be the same.
const QUERIES: [&str; 57] = [
    r#"up{job="b",instance="a"}"#,
    r#"up{job!="b", instance="a", job=~"a|b", a="", job="b"}[5m]"#,
    r#"up{"x.y"="1",b=~`\d+`,_a='q"'}"#,
    r#"{"http.requests"}"#,
    r#"{"up", job="api"} offset 5m"#,
    r#"{z="1", "http.requests", "k8s.pod"!~"a.*"}"#,
    r#"{__name__="up", a="b"}"#,
    r#"{__name__=~"up|down", a="b"}"#,
    r#"{job="\u00e9\n\x07\"\x01\x7f\v\u00a0\u0085\u2028"}"#,
    r#"sum by ("k8s.pod", job) (rate(up{job="b",instance="a"}[5m]))"#,
    "up{}",
    "x[5m*2]",
    "x[-5m+10m*step()]",
    "x offset (1m+30s)",
    "x offset -(1m)",
    "x offset +(5m)",
    "x offset +step()",
    "x offset -min_of(1m,2m)",
    "x[(5m)]",
    "x[((5m+1))]",
    "x[300]",
    "x[(300)*2]",
    "x[--5m]",
    "x[--(5m)]",
    "x[--step()]",
    "x[-(-step())]",
    "(x)[5m*2:step()]",
    "(x)[5m*2:1m*2] offset (3)",
    "(x)[1s*range():]",
    "x[max_of(5m, step()*2)] @ end() offset (2m)",
    "x[2^3^2]",
    "x[2^-3]",
    "x[2^-3*4]",
    "x[-2^2+8]",
    "x[2*3^2%7/0.5]",
    "x[5m%3m]",
    "x[1m+ 2m - 3]",
    "x[1m-(2m-3m)]",
    "x[1.5*2]",
    "x[1e3*2]",
    "x smoothed offset (1m*2)",
    "rate(x[5m*2] anchored)",
    "Inf",
    "-Inf",
    "-NaN",
    "1e30",
    "1e-9",
    "5m",
    "- 5m",
    "-(5m)",
    "-5m^2",
    "vector(1ms) + 7d + 365d + 8d",
    "x[7d] offset 2w",
    "x[1y2w]",
    "x + fill(1e25) y + fill_left(1e-7) z + fill(5m) u",
    "x + fill(-Inf) y",
    "x offset 0s",
];

#[test]
fn queries_are_spelt_and_taken_apart_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "how queries are spelt") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus does not work durations out");
    }
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    for query in QUERIES {
        // Infinite numbers make Prometheus' tree no JSON; others are written as 5 there and as 5.0 here. Its tree has a `+`
        // before a function behind `offset`, and nowhere else.
        let paths = ["/api/v1/format_query", "/api/v1/parse_query"];
        for path in paths.into_iter().take(if query.contains("fill") || query.contains("+step") { 1 } else { 2 }) {
            let [(_, have), (answer, wanted)] =
                [&mut ours, &mut theirs].map(|client| call(client, path, &[("query", query)]));
            assert_eq!(answer.status, 200, "{query}: {wanted}");
            assert_eq!(have, wanted, "{path} {query}");
        }
    }
}

/// Values of a label.
const VALUES: [&str; 36] = [
    "api", "café", "٥", "5", "a b", "a\u{a0}b", "a.b", "aXb", "[", "]", "a&b", "&&", "-", "+", ",", "~", "<a>", "a{2}",
    "a{,2}", "{", "aa", "A", "K", "\u{212a}", "_", "\\", "a\nb", "\t", "e\u{301}", "ä-ö", "^", "$", "|", "(", "",
    "a-b",
];

/// Expressions that RE2 reads in its own way, and some that it does not read.
const EXPRESSIONS: [&str; 80] = [
    r"\w+",
    r"\W+",
    r"\d+",
    r"\D+",
    r"a\sb",
    r"a\Sb",
    r".\s.",
    r"\S+",
    r"\bcaf\b.*",
    r".*\b",
    r"\B.*",
    r"caf\Bé",
    r"a\b.b",
    r"\Qa.b\E",
    r"\Qa.b",
    r"\Q(\E|\Q[\E",
    r"\Q\E",
    r"(\Qa\E)+",
    r"a\Qa\E+",
    r"\E",
    "a{2}",
    "a{2,}",
    "a{,2}",
    "a{x}|a{2}",
    "{",
    r"a\{2\}",
    "a{1001}",
    "a{1000}",
    "a**",
    "a*+",
    "a+?",
    "a{2}{3}",
    "a??",
    "a???",
    "[[]",
    "[]]",
    "[^]]",
    "[[-]",
    "[a&&b]+",
    "[&&]+",
    "[a--]",
    "[+--]",
    "[a-c-]+",
    "[a~~b]",
    r"[\d-z]",
    r"[\w.]+",
    r"[^\w]",
    r"[\W]",
    r"[\S\s]+",
    "[[:alpha:]]+",
    "[[:^alpha:]]+",
    "[[:word:]]+",
    "[[:nothing:]]",
    "[[:alpha:]",
    r"[\b]",
    r"\<a\>",
    r"\_",
    r"\-",
    r"\ä",
    r"\x41",
    r"\x{e9}",
    r"caf\x{e9}",
    r"\101",
    r"\1",
    r"(a)\1",
    r"\pL+",
    r"\p{Lu}",
    r"\p{^Lu}",
    r"\P{^Lu}",
    r"\PL",
    r"\p{Nothing}",
    r"[\p{Greek}a]",
    "(?i)k",
    "(?i:a)",
    "(?x)a b",
    "(?=a)a",
    "(?P<n>a)a",
    "(?s-i:a.b)",
    r"\y",
    r"\u0041",
];

#[test]
fn expressions_fit_what_they_fit_in_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "what expressions mean") else { return };
    let (server, prometheus) = (Server::start(BINARY, ""), Prometheus::start(&program));
    let (mut ours, mut theirs) = (server.client(), prometheus.client());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let mut request = Vec::new();
    for value in VALUES {
        let labels = [("__name__", "texts"), ("v", value)].into_iter().filter(|(_, value)| !value.is_empty());
        remote_write::put_series(&remote_write::labels(labels), &[(now, 1.0)], &mut request);
    }
    for client in [&mut ours, &mut theirs] {
        let answer = client.call(&remote_write::http_request(&request));
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    }
    let time = format!("{}.{:03}", now / 1000, now % 1000);
    for expression in EXPRESSIONS {
        for query in [
            format!("sort_by_label(texts{{v=~{expression:?}}}, \"v\")"),
            format!("sort_by_label(texts{{v!~{expression:?},v=~\".*\"}}, \"v\")"),
            format!(
                "sort_by_label(label_replace(texts, \"w\", \"<$1>\", \"v\", {:?}), \"v\")",
                format!("({expression}).*")
            ),
        ] {
            let parameters = [("query", query.as_str()), ("time", time.as_str())];
            let [(have, _), (wanted, why)] =
                [&mut ours, &mut theirs].map(|client| call(client, "/api/v1/query", &parameters));
            assert_eq!(have.status, wanted.status, "{query}: {} {why}", have.text());
            if wanted.status == 200 {
                answers::same(&mut ours, &mut theirs, "/api/v1/query", &parameters);
            }
        }
    }
}
