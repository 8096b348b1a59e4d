//! Lines that belong together are one record: stack traces, and lines of containers that were written in parts.

use std::fs;
use std::path::Path;

use watchfire_test_support::logs::{total, wait_total};
use watchfire_test_support::{Logs, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");

#[test]
fn stack_traces_are_one_record_and_flushed_by_quiet() {
    let logs = Logs::new();
    let config = format!("logs: {{retention_days: 36500}}\n{}", logs.config("*.log", ""));
    let server = Server::start(BINARY, &config);
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("ingest/tests/multiline");
    for language in ["java", "python", "go", "rust", "dotnet"] {
        let text = fs::read_to_string(traces.join(format!("{language}.log"))).expect("each language has a file");
        // As on Windows, where it is from.
        let text = if language == "dotnet" { text.replace('\n', "\r\n") } else { text };
        let golden = fs::read_to_string(traces.join(format!("{language}.golden"))).expect("each has a golden");
        let before = total(&server);
        fs::write(logs.path(&format!("{language}.log")), text).expect("the folder can be written");
        let records = golden.lines().filter(|line| matches!(*line, "= line" | "= trace")).count();
        wait_total(&server, before + records as u64);
    }
    let found = server
        .client()
        .get("/api/v1/logs/search?service=app&start=2024-01-01T00:00:00Z&q=%22connection%20reset%20by%20peer%22%20IllegalStateException");
    let message = found["logs"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("\n\tat Shop.charge(Shop.java:2)\n"), "{found}");
    assert_eq!(found["logs"][0]["level"], "error", "{found}");
    let found = server.client().get("/api/v1/logs/search?service=app&start=2024-01-01T00:00:00Z&limit=1000");
    let messages: Vec<&str> =
        found["logs"].as_array().into_iter().flatten().filter_map(|log| log["message"].as_str()).collect();
    assert!(messages.iter().any(|message| message.contains("\n   at ")), "{messages:?}");
    assert!(!messages.iter().any(|message| message.contains('\r')), "{messages:?}");
}

#[test]
fn a_line_of_a_container_that_is_written_in_parts_is_one_record_also_over_a_kill() {
    let logs = Logs::new();
    let time = watchfire_model::Timestamp::now().to_rfc3339();
    logs.append("web.log", &format!("{time} stdout F first\n{time} stdout P level=warn msg=\"begins, \n"));
    let mut server = Server::start(BINARY, &logs.config("*.log", ""));
    wait_total(&server, 1);
    server.kill();
    logs.append("web.log", &format!("{time} stderr F of the other stream\n"));
    server.restart();
    logs.append("late.log", &format!("{time} stdout F another file\n"));
    wait_total(&server, 2);
    logs.append("web.log", &format!("{time} stdout F ends\"\n"));
    wait_total(&server, 4);
    let found = server.client().get("/api/v1/logs/search?q=level:warn");
    let record = &found["logs"][0];
    assert_eq!(
        (&record["message"], &record["fields"]["stream"]),
        (&"begins, ends".into(), &"stdout".into()),
        "{found}"
    );
    assert_eq!(record["timestamp"], time.as_str());
}

#[test]
fn a_line_in_parts_over_the_limit_is_cut_once_also_over_a_kill() {
    let logs = Logs::new();
    let time = watchfire_model::Timestamp::now().to_rfc3339();
    let parts: String = (0..20).map(|n| format!("{time} stdout P part {n} {}\n", "x".repeat(100))).collect();
    logs.append("web.log", &parts);
    let config = format!("limits: {{line: 1KiB}}\n{}", logs.config("*.log", ""));
    let mut server = Server::start(BINARY, &config);
    wait_total(&server, 1);
    server.kill();
    logs.append("web.log", &format!("{parts}{time} stderr F of the other stream\n{parts}"));
    server.restart();
    wait_total(&server, 2);
    server.kill();
    logs.append("web.log", &format!("{time} stdout F ends\n{time} stdout F behind\n"));
    server.restart();
    wait_total(&server, 3);
    let found = server.client().get("/api/v1/logs/search?q=fields.truncated:true");
    assert_eq!(found["total"], 1, "{found}");
    let message = found["logs"][0]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("part 0 ") && message.contains("part 6 ") && !message.contains("part 9 "), "{found}");
}
