use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::mpsc;

use prometheus::Registry;
use serde_json::Value;
use watchfire_model::Timestamp;

use super::JsonLogs;
use crate::query::{LoggedQuery, Origin, QueryStats};
use crate::scrape::FailedScrape;

fn logs() -> JsonLogs {
    JsonLogs::new(&Registry::new()).expect("a new registry")
}

fn query(text: &str) -> LoggedQuery<'_> {
    LoggedQuery {
        query: text,
        start: Timestamp::from_millis(1000),
        end: Timestamp::from_millis(100_500),
        step_ms: 1500,
        error: Some("too \"much\"".to_owned()),
        stats: QueryStats { samples_read: Some(7), ..QueryStats::default() },
        origin: Origin::Request { client: IpAddr::V4(Ipv4Addr::LOCALHOST), method: "GET", path: "/api/v1/query_range" },
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the file is there");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn lines_are_appended_and_a_renamed_file_is_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let [log, renamed] = ["q.log", "q.log.1"].map(|name| folder.path().join(name));
    std::fs::write(&log, "{\"before\":1}\n").expect("the folder can be written");
    let logs = logs();
    // Nobody wants to know yet.
    logs.query(&query("0"));
    let open = || logs.open(Some(&log), std::iter::empty()).expect("it can be opened");
    logs.put_in_force(open());
    logs.query(&query("1"));
    std::fs::rename(&log, &renamed).expect("it can be renamed");
    logs.query(&query("2"));
    logs.put_in_force(open());
    logs.query(&query("a{b=\"<ü>\u{1}\"}\n"));
    logs.put_in_force(Default::default());
    logs.query(&query("4"));
    let texts = |path: &Path| lines(path).iter().map(|line| line["params"]["query"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(&renamed), [Value::Null, "1".into(), "2".into()]);
    assert_eq!(texts(&log), ["a{b=\"<ü>\u{1}\"}\n"]);
    let line = &lines(&log)[0];
    assert_eq!(line["params"]["start"], "1970-01-01T00:00:01.000Z");
    assert_eq!(line["params"]["end"], "1970-01-01T00:01:40.500Z");
    assert_eq!((&line["params"]["step"], &line["error"]), (&1.into(), &"too \"much\"".into()));
    assert_eq!((&line["httpRequest"]["clientIP"], line.get("ruleGroup")), (&"127.0.0.1".into(), None));
}

#[test]
fn a_file_that_cannot_be_opened_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let [good, bad] = ["q.log", "none/s.log"].map(|name| folder.path().join(name));
    let logs = logs();
    logs.put_in_force(logs.open(Some(&good), std::iter::empty()).expect("it can be opened"));
    let error = logs.open(None, [bad.as_path()].into_iter()).err().expect("its folder is not there").to_string();
    assert!(error.starts_with("scrape_failure_log_file: ") && error.contains("none/s.log"), "{error}");
    logs.query(&query("1"));
    logs.put_in_force(Default::default());
    assert_eq!(lines(&good).len(), 1);
}

#[test]
fn what_the_disk_does_not_take_is_counted() {
    let logs = logs();
    let full = Path::new("/dev/full");
    logs.put_in_force(logs.open(None, [full].into_iter()).expect("it can be opened"));
    for _ in 0..5 {
        logs.failed_scrape(full, &FailedScrape { error: "e", job_name: "j", target: "t" });
    }
    logs.put_in_force(Default::default());
    assert_eq!((logs.lost.unwritten.get(), logs.lost.waiting.get()), (5, 0));
}

#[test]
fn a_disk_that_stands_still_holds_nobody_up() {
    const LINES: u64 = 20_000;
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let (go_on, may_read) = mpsc::channel::<()>();
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || {
            let file = std::fs::File::open(pipe).expect("it can be read");
            may_read.recv().expect("the test goes on");
            BufReader::new(file).lines().map_while(Result::ok).count() as u64
        })
    };
    let logs = logs();
    logs.put_in_force(logs.open(Some(&pipe), std::iter::empty()).expect("it can be opened"));
    let text = "x".repeat(1000);
    for _ in 0..LINES {
        logs.query(&query(&text));
    }
    let lost = logs.lost.waiting.get();
    assert!(lost > LINES / 2, "{lost} lines lost");
    go_on.send(()).expect("the reader waits");
    logs.put_in_force(Default::default());
    assert_eq!(reader.join().expect("the reader ends") + lost, LINES);
    assert_eq!(logs.lost.unwritten.get(), 0);
}
