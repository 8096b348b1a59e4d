//! Queries as `format_query` and `parse_query` show them, beside a real Prometheus.

use watchfire_test_support::prometheus::call;
use watchfire_test_support::{Program, Prometheus, Server};

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
