//! `query`, `alerts`, `push`: what they print, in every format, and how they end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::Server;

use crate::program::{BINARY, Run, run, server_with, watchfire};

const HOSTILE: &str = r#"{"message":"\u001b[2J\u009b31m=owned\u202e","level":"warn","service":"=cmd|'x'!A1","n":-5}"#;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn logs_in_every_format() {
    let server = server_with(&[
        r#"{"message":"one","service":"a"}"#,
        r#"{"message":"two","level":"error","service":"b"}"#,
        HOSTILE,
    ]);
    let all = ["query", "logs", "service:* -service:watchfire", "--order", "asc", "-o"];
    let show = |format: &str| {
        let run = run(&server, &[all.as_slice(), &[format]].concat());
        assert_eq!((run.code, run.told.as_str()), (0, ""), "{format}");
        assert!(!run.out.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{format}: {:?}", run.out);
        run.out
    };
    let lines = show("jsonl");
    let messages: Vec<String> =
        lines.lines().map(|line| json(line)["message"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(messages, ["one", "two", "\u{1b}[2J\u{9b}31m=owned\u{202e}"]);
    let whole = json(&show("json"));
    assert_eq!((whole["total"].as_u64(), whole["logs"].as_array().map(Vec::len)), (Some(3), Some(3)));
    assert_eq!(whole["logs"][0], json(lines.lines().next().expect("a line")));
    let table = show("table");
    assert!(
        table.starts_with("TIME ") && table.contains(" error  b ") && table.contains(r"\x1b[2J\x9b31m=owned\u{202e}"),
        "{table}"
    );
    let csv = show("csv");
    assert!(csv.starts_with("timestamp,level,service,") && csv.contains(r#","'=cmd|'x'!A1","#), "{csv}");
    let graph = show("graph");
    assert!(graph.contains("■ c error") && graph.contains("3 records"), "{graph}");
    // Programs get lines of JSON without asking.
    assert_eq!(run(&server, &all[..5]).out, lines);
}

#[test]
fn labels_and_series_in_every_format() {
    let server = server_with(&[
        r#"{"message":"one","service":"a"}"#,
        r#"{"message":"two","level":"error","service":"=cmd|'x'!A1"}"#,
    ]);
    let ask = |arguments: &[&str]| {
        let run = run(&server, &[&["query"], arguments].concat());
        assert_eq!((run.code, run.told.as_str()), (0, ""), "{arguments:?}");
        run.out
    };
    let selector = "log_events_total{service!=\"watchfire\"}";
    let series = ["series", selector, "-o"];
    let lines = ask(&[&series[..], &["jsonl"]].concat());
    let metric = |service: &str, level: &str| serde_json::json!({"__name__": "log_events_total", "level": level, "service": service});
    let mut shown: Vec<Value> = lines.lines().map(json).collect();
    shown.sort_by_key(ToString::to_string);
    assert_eq!(shown, [metric("=cmd|'x'!A1", "error"), metric("a", "info")]);
    assert_eq!(json(&ask(&[&series[..], &["json"]].concat()))["data"].as_array().map(Vec::len), Some(2));
    let table = ask(&[&series[..], &["table"]].concat());
    assert!(table.starts_with("METRIC            LEVEL  SERVICE\n"), "{table}");
    let csv = ask(&[&series[..], &["csv"]].concat());
    assert!(csv.starts_with("__name__,level,service\n") && csv.contains(",error,\"'=cmd|'x'!A1\"\n"), "{csv}");
    // Names, and values of those of a selector.
    let names = ask(&["labels", "--match", selector]);
    assert_eq!(names, "\"__name__\"\n\"level\"\n\"service\"\n");
    assert_eq!(ask(&["labels", "level", "--match", selector, "-o", "table"]), "VALUE\nerror\ninfo\n");
    assert_eq!(
        ask(&["labels", "service", "--match", "log_events_total{level=\"info\",service=\"a\"}", "-o", "csv"]),
        "value\na\n"
    );
    let told = |arguments: &[&str]| {
        let run = run(&server, &[&["query"], arguments].concat());
        (run.code, run.told)
    };
    assert_eq!(told(&["labels", "nothing", "--fail-empty"]), (1, "error: nothing was found\n".to_owned()));
    let (code, said) = told(&["series", "log_events_total", "-n", "1"]);
    assert!(code == 5 && said.starts_with("incomplete: results truncated due to limit"), "{said}");
    let (code, said) = told(&["series", "sum("]);
    assert!(code == 1 && said.starts_with("error: invalid parameter \"match[]\"") && !said.contains('{'), "{said}");
    assert_eq!(told(&["labels", "-o", "graph"]).0, 2);
}

#[test]
fn each_argument_of_a_search_is_a_term_of_its_own() {
    let server = server_with(&[
        r#"{"message":"good","level":"info","service":"web"}"#,
        r#"{"message":"bad","level":"error","service":"web"}"#,
        r#"{"message":"bad","level":"error","service":"db"}"#,
    ]);
    for verb in [&["query", "logs"][..], &["tail", "--since", "1h", "-n", "1", "-o", "json"]] {
        let run = run(&server, &[verb, &["level:error", "service:api OR service:web"]].concat());
        let found: Vec<Value> = run.out.lines().map(json).collect();
        assert_eq!((run.code, found.len(), &found[0]["message"]), (0, 1, &Value::from("bad")), "{}", run.out);
    }
}

#[test]
fn times_as_people_write_them_go_to_every_verb() {
    let server = server_with(&[r#"{"message":"one","service":"a"}"#]);
    for since in ["yesterday", "2 days ago", "1h"] {
        let run = run(&server, &["verify", "--since", since]);
        assert_eq!(run.code, 0, "{since}: {}", run.told);
    }
}

#[test]
fn pages_are_walked_to_the_limit() {
    let lines: Vec<String> = (0..2500).map(|n| format!(r#"{{"message":"m{n}","service":"many"}}"#)).collect();
    let server = server_with(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for (limit, count) in [("2200", 2200), ("5000", 2500), ("0", 0)] {
        let run = run(&server, &["query", "logs", "service:many", "--limit", limit, "-o", "jsonl"]);
        let mut seqs: Vec<u64> = run.out.lines().filter_map(|line| json(line)["seq"].as_u64()).collect();
        seqs.sort_unstable();
        seqs.dedup();
        assert_eq!((run.code, seqs.len()), (0, count), "{limit}");
    }
}

#[test]
fn numbers_in_every_format() {
    let server = server_with(&[r#"{"message":"one","service":"a"}"#, r#"{"message":"two","service":"b"}"#, HOSTILE]);
    let show = |arguments: &[&str]| {
        let run = run(&server, arguments);
        assert_eq!((run.code, run.told.as_str()), (0, ""), "{arguments:?}");
        assert!(!run.out.contains('\u{1b}'), "{:?}", run.out);
        run.out
    };
    let query = "sum log_events_total by service";
    let table = show(&["query", "instant", query, "-o", "table"]);
    assert!(table.contains("SERVICE") && table.contains("=cmd|'x'!A1      1\n"), "{table}");
    let csv = show(&["query", "instant", query, "-o", "csv"]);
    assert!(csv.starts_with("time,service,value\n") && csv.contains(r#"Z,"'=cmd|'x'!A1",1"#), "{csv}");
    assert_eq!(json(&show(&["query", "instant", "1/0", "-o", "json"]))["result"][0]["value"], "+Inf");
    let line = json(&show(&["query", "instant", "sum", "log_events_total", "service=a"]));
    assert_eq!((&line["labels"], &line["value"]), (&json("{}"), &json("1")));
    assert!(show(&["query", "instant", query, "-o", "graph"]).contains('█'));
    // The points of a range are the same in all formats.
    let range = ["query", "range", query, "--since", "10m", "--step", "1m", "-o"];
    let csv = show(&[range.as_slice(), &["csv"]].concat());
    let whole = json(&show(&[range.as_slice(), &["json"]].concat()));
    assert_eq!(whole["step"], 60_000);
    let series = whole["result"].as_array().expect("series");
    let points: usize = series.iter().filter_map(|series| series["values"].as_array()).map(Vec::len).sum();
    assert!(points > 0 && csv.lines().count() == points + 1, "{csv}");
    assert_eq!(show(&[range.as_slice(), &["jsonl"]].concat()).lines().count(), series.len());
    let table = show(&[range.as_slice(), &["table"]].concat());
    assert!(
        table.lines().next().is_some_and(|titles| titles.ends_with("TREND"))
            && table.lines().count() == series.len() + 1
    );
    let graph = show(&[range.as_slice(), &["graph"]].concat());
    assert!(graph.contains("■ a {service=") && graph.lines().all(|line| line.chars().count() <= 80), "{graph}");
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let server = server_with(&[r#"{"message":"one"}"#]);
    for (arguments, code, told) in [
        (
            vec!["query", "logs", "level:error (x"],
            1,
            "error: expected `)`\n  level:error (x\n                ^\nhint: ",
        ),
        (
            vec!["query", "logs", "a\nlevel:\u{1b}loud"],
            1,
            "error: `\\x1bloud` is no level\n  level:\\x1bloud\n        ^\n",
        ),
        (vec!["query", "instant", "sum(rate(x[5m)"], 1, "error: expected `]`\n  sum(rate(x[5m)\n               ^\n"),
        (vec!["query", "range", "rate(", "--since", "1h"], 1, "error: "),
        (vec!["tail", "level:loud"], 1, "error: `loud` is no level\n  level:loud\n        ^\n"),
        (vec!["push", "metric", "1bad=3"], 1, "error: `1bad` is no metric name"),
        (vec!["push", "log", "x", "--url", "http://127.0.0.1:1"], 4, "error: http://127.0.0.1:1 is not reached: "),
        (vec!["query", "logs", "--since", "whenever"], 2, "error: --since: `whenever` is no time; write 1h, "),
        (vec!["query", "logs", "--start", "now", "--end", "1h"], 2, "error: the range ends ("),
        (
            vec!["query", "logs", "--start", "2026-11-28T10:00:00+25:00"],
            2,
            "error: --start: `2026-11-28T10:00:00+25:00`",
        ),
        (vec!["verify", "--since", "whenever"], 2, "error: --since: `whenever` is no time; write 1h, "),
        (vec!["verify", "--since", "2 days ago", "--until", "whenever"], 2, "error: --until: `whenever` is no time"),
        (vec!["backfill", "extract", "m", "--since", "whenever"], 2, "error: --since: `whenever` is no time; "),
        (vec!["backfill", "extract", "m", "--since", "1h", "--until", "2 days ago"], 2, "error: the range ends ("),
        // The time is taken; what is refused is the metric.
        (vec!["backfill", "extract", "m", "--since", "2 days ago"], 1, "error: "),
        (
            vec!["push", "log", "x", "--level", "loud"],
            2,
            "error: invalid value 'loud' for '--level <LEVEL>': it is no level; write one of trace, ",
        ),
        (
            vec!["push", "log", "x", "--level", "errro"],
            2,
            "error: invalid value 'errro' for '--level <LEVEL>': it is no level; did you mean `error`?",
        ),
        (vec!["query", "range", "x", "--step", "soon"], 2, "error: invalid value 'soon' for '--step <STEP>'"),
        (vec!["alerts", "--url", "ftp://x"], 2, "error: --url: `ftp://x` is no address"),
        (vec!["query", "logs", "nothing_like_it", "--fail-empty"], 1, "error: nothing was found\n"),
        (vec!["query", "logs", "nothing_like_it"], 0, "nothing was found\n"),
        (vec!["push", "log", "x", "--time", "2 days ago"], 0, ""),
        (vec!["push", "log", "x", "--time", "31.12.2099"], 0, "warning: --time is more than 10 minutes ahead: "),
        (vec!["man", "nonsense"], 2, "error: there is no verb `nonsense`\n"),
        (vec!["backtest", "rules"], 2, "error: the following required arguments were not provided"),
    ] {
        let run = run(&server, &arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.told);
        assert!(run.told.starts_with(told), "{arguments:?}: {}", run.told);
        assert_eq!(run.out, "", "{arguments:?}");
    }
}

/// The sealed blocks of a server.
fn blocks(server: &Server) -> Vec<PathBuf> {
    let days = std::fs::read_dir(server.data().join("logs")).expect("the folder is there").flatten();
    let files = days.filter_map(|day| std::fs::read_dir(day.path()).ok()).flatten().flatten();
    files.map(|file| file.path()).filter(|file| file.extension().is_some_and(|ending| ending == "wfb")).collect()
}

/// Flips bytes in the middle of a block.
fn damage(block: &Path) {
    let mut bytes = std::fs::read(block).expect("the block can be read");
    for place in [3, 4, 5] {
        let at = bytes.len() * place / 8;
        bytes[at] ^= 0x55;
    }
    std::fs::write(block, bytes).expect("the block can be written");
}

#[test]
fn a_part_of_the_answer_ends_with_five() {
    let mut server = Server::start(BINARY, "logs: {seal_after: 1s}\n");
    let lines: Vec<String> =
        (0..3000).map(|n| format!(r#"{{"message":"number {n} of some","service":"s{}"}}"#, n % 7)).collect();
    assert_eq!(server.client().post("/ingest", "application/x-ndjson", lines.join("\n")).status, 202);
    let deadline = Instant::now() + Duration::from_secs(60);
    while blocks(&server).is_empty() {
        assert!(Instant::now() < deadline, "no block was sealed");
    }
    server.signal("TERM");
    server.wait_end();
    blocks(&server).iter().for_each(|block| damage(block));
    server.restart();
    let run = run(&server, &["query", "logs", "number", "-o", "jsonl"]);
    assert_eq!(run.code, 5, "{}", run.told);
    assert!(run.told.starts_with("incomplete: ") && run.told.contains("damaged block"), "{}", run.told);
}

#[test]
fn lines_of_stdin_are_sent_and_the_bad_ones_told() {
    let server = server_with(&[]);
    let push = |arguments: &[&str], lines: &str| -> Run {
        let mut child = watchfire(&server)
            .args(["push", "log"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("it reads");
        child.wait_with_output().expect("our child").into()
    };
    let count = |query: &str| {
        let run = run(&server, &["query", "logs", query, "-o", "jsonl", "--limit", "20000"]);
        assert_eq!(run.code, 0, "{}", run.told);
        run.out.lines().count()
    };
    let many: String = (0..12_000).map(|n| format!("level=warn msg=\"line {n}\"\n\n")).collect();
    let sent = push(&["--service", "web"], &many);
    assert_eq!((sent.code, sent.told.as_str()), (0, ""));
    let sent = push(&["--plain", "--level", "critical", "--tag", "env=prod"], "{\"a\": 1}\nlast without end");
    assert_eq!((sent.code, sent.told.as_str()), (0, ""));
    let sent = push(&["--format", "json"], "{\"message\":\"good\"}\nbad\n");
    assert_eq!(sent.code, 5, "{}", sent.told);
    assert!(sent.told.starts_with("line 2: "), "{}", sent.told);
    let sent = push(&["--format", "json"], "bad\n");
    assert_eq!(sent.code, 1, "{}", sent.told);
    assert_eq!(push(&["--format", "nonsense"], "bad\n").code, 1);
    assert_eq!(push(&["--level", "error"], "x\n").code, 2);
    // A trace is one record, wherever a batch ends; what is sent goes on with it until it is quiet.
    let trace =
        "java.lang.IllegalStateException: no\n\tat shop.Main.main(Main.java:3)\n\tat shop.Main.run(Main.java:9)\n";
    let traces = format!("INFO shop - before\nERROR shop - failed\n{trace}").repeat(4000) + "\n";
    let sent = push(&["--service", "traces"], &traces);
    assert_eq!((sent.code, sent.told.as_str()), (0, ""));
    let sent = push(&["--service", "apart", "--multiline", "off"], trace);
    assert_eq!((sent.code, sent.told.as_str()), (0, ""));
    assert_eq!(push(&["--multiline", "cobol"], trace).code, 1);
    assert_eq!(push(&["--plain", "--multiline", "java"], trace).code, 2);
    server.wait_drained();
    assert_eq!((count("service:traces failed"), count("service:traces")), (4000, 8000));
    assert_eq!(count("service:traces failed \"shop.Main.run\""), 4000);
    assert_eq!(count("service:apart"), 3);
    assert_eq!(count("service:web level:warn line"), 12_000);
    assert_eq!(count("level:critical tags.env:prod"), 2);
    assert_eq!(count("level:critical message:\"last without end\""), 1);
    assert_eq!(count("good"), 1);
}

#[test]
fn alerts_by_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = r#"[{"name":"Burns","query":"sum error_count over 10m by service","threshold":0,"operator":">","duration":"0s","labels":{"severity":"critical"},"annotations":{"summary":"\u001b[2Jit burns"}},
        {"name":"Waits","query":"sum error_count over 10m by service","threshold":0,"operator":">","duration":"1h"}]"#;
    let path = folder.path().join("rules.json");
    std::fs::write(&path, rules).expect("the folder can be written");
    let server =
        Server::start(BINARY, &format!("alerting: {{rules_path: [\"{}\"], check_interval: 100ms}}\n", path.display()));
    assert_eq!(run(&server, &["push", "log", "x", "--level", "error", "--service", "api"]).code, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    let table = loop {
        let run = run(&server, &["alerts", "-o", "table"]);
        assert_eq!(run.code, 0, "{}", run.told);
        if run.out.contains("firing") && run.out.contains("pending") {
            break run.out;
        }
        assert!(Instant::now() < deadline, "{}{}", run.out, run.told);
    };
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("STATE    ALERT  SEVERITY  LABELS       VALUE  SINCE"), "{table}");
    assert!(
        rows[1].starts_with("firing   Burns  critical  service=api      1  ") && rows[1].ends_with(r"\x1b[2Jit burns"),
        "{table}"
    );
    assert!(rows[2].starts_with("pending  Waits"), "{table}");
    let firing = run(&server, &["alerts", "--state", "firing", "-o", "json"]);
    let firing = json(&firing.out);
    assert_eq!(firing["alerts"].as_array().map(Vec::len), Some(1));
    assert_eq!(firing["alerts"][0]["rule"]["name"], "Burns");
    assert_eq!(run(&server, &["alerts", "--state", "all"]).out.lines().count(), 2);
    let csv = run(&server, &["alerts", "--state", "firing", "-o", "csv"]).out;
    assert!(csv.contains("firing,Burns,critical,service=api,1,"), "{csv}");
    let none = run(&server, &["alerts", "--state", "resolved", "-o", "table"]);
    assert_eq!((none.out.as_str(), none.told.as_str()), ("", "no alert is resolved\n"));
}
