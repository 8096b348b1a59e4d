//! Prometheus' own client against our API: every kind of `promtool query`, and its error text.

use std::time::{SystemTime, UNIX_EPOCH};

use watchfire_test_support::Program;
use watchfire_test_support::Server;

/// What promtool wrote to stdout and stderr, and whether it was content.
fn promtool(program: &Program, server: &Server, arguments: &[&str]) -> (bool, String) {
    let url = format!("http://{}", server.address);
    let arguments = arguments.iter().map(|argument| if *argument == "URL" { url.as_str() } else { argument });
    let done = program.command().args(arguments).output().expect("promtool runs");
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn queries_of_every_kind() {
    let Some(program) = Program::of_prometheus("promtool", "promtool query") else { return };
    let server = Server::start(env!("CARGO_BIN_EXE_watchfire"), "");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let at = |ago: u64| (now - ago).to_string();
    let mut samples = Vec::new();
    for ago in [60u64, 30, 0] {
        for (code, value) in [("200", 100 - ago), ("500", 5)] {
            samples.push(serde_json::json!({
                "name": "http_requests_total", "type": "counter", "timestamp": now - ago, "value": value,
                "labels": {"job": "api", "code": code},
            }));
        }
    }
    let pushed = server.client().post("/api/v1/metrics", "application/json", serde_json::json!(samples).to_string());
    assert_eq!(pushed.status, 202, "{}", pushed.text());

    let (time, start) = (at(0), at(60));
    let time = format!("--time={time}");
    let (from, to) = (format!("--start={start}"), format!("--end={}", at(0)));
    for (arguments, wanted) in [
        (vec!["query", "instant", &time, "URL", "1 + 1"], vec!["scalar: 2"]),
        (
            vec!["query", "instant", &time, "URL", "sum by (code) (http_requests_total)"],
            vec!["{code=\"200\"} => 100", "{code=\"500\"} => 5"],
        ),
        (
            vec!["query", "instant", &time, "URL", "http_requests_total{code=\"200\"}[90s]"],
            vec!["http_requests_total{code=\"200\", job=\"api\"} =>\n40 @[", "\n70 @[", "\n100 @["],
        ),
        (
            vec!["query", "range", &from, &to, "--step=30s", "URL", "http_requests_total{code=\"200\"}"],
            vec!["http_requests_total{code=\"200\", job=\"api\"} =>\n40 @[", "\n70 @[", "\n100 @["],
        ),
        (
            vec!["query", "series", "--match=http_requests_total{code!=\"500\"}", "--match={job=\"api\"}", "URL"],
            vec![
                "{__name__=\"http_requests_total\", code=\"200\", job=\"api\"}\n\
                 {__name__=\"http_requests_total\", code=\"500\", job=\"api\"}",
            ],
        ),
        (vec!["query", "labels", "URL", "code"], vec!["200\n500"]),
        (vec!["query", "labels", &from, &to, "--match=http_requests_total", "URL", "job"], vec!["api"]),
    ] {
        let (succeeded, text) = promtool(&program, &server, &arguments);
        assert!(succeeded, "{arguments:?}: {text}");
        for wanted in wanted {
            assert!(text.contains(wanted), "{arguments:?}: {text}");
        }
    }

    for (query, wanted) in [
        ("sum(http_requests_total", "bad_data: invalid parameter \"query\": 1:24: parse error: expected "),
        ("http_requests_total + on (job) http_requests_total", "execution: "),
    ] {
        let (succeeded, text) = promtool(&program, &server, &["query", "instant", &time, "URL", query]);
        assert!(!succeeded && text.contains(wanted), "{query}: {text}");
    }
}

/// What both say of each text of `tests/check/metrics`: the exit code, and metric and problem of each finding.
#[test]
fn metrics_are_linted_as_promtool_does() {
    let Some(program) = Program::of_prometheus("promtool", "promtool check metrics") else { return };
    if !program.is_newest {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/metrics");
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        let file = entry.path();
        if file.extension().is_none_or(|ending| ending != "prom") {
            continue;
        }
        let text = std::fs::File::open(&file).expect("it is there");
        let theirs = program.command().args(["check", "metrics"]).stdin(text).output().expect("promtool runs");
        let ours = std::process::Command::new(env!("CARGO_BIN_EXE_watchfire"))
            .args(["check", "metrics"])
            .arg(&file)
            .output()
            .expect("it runs");
        let name = file.display().to_string();
        let (told, theirs_told) = (String::from_utf8_lossy(&ours.stderr), String::from_utf8_lossy(&theirs.stderr));
        assert_eq!(ours.status.code(), theirs.status.code(), "{name}: {told}\n{theirs_told}");
        if ours.status.code() == Some(1) {
            continue;
        }
        // FILE:LINE:1: METRIC: PROBLEM, and METRIC PROBLEM.
        let ours = told.lines().map(|line| {
            let finding = line.strip_prefix(&name).and_then(|rest| rest.splitn(4, ':').nth(3)).expect("a finding");
            let (metric, problem) = finding.trim_start().rsplit_once(": ").expect("a metric and a problem");
            format!("{metric} {problem}")
        });
        let ours: std::collections::BTreeSet<String> = ours.collect();
        // What holds for several series they tell several times.
        let theirs: std::collections::BTreeSet<String> = theirs_told.lines().map(str::to_owned).collect();
        assert_eq!(ours, theirs, "{name}");
        compared += ours.len();
    }
    assert!(compared > 15, "{compared} findings");
}
