//! `query_log_file` and `scrape_failure_log_file`: what is written there, beside a real Prometheus and on reloads.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchfire_test_support::client::encode;
use watchfire_test_support::target::answer;
use watchfire_test_support::{Client, Program, Prometheus, Server, TargetServer};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Longest wait for a line.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lines of a file so far.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last one may be under way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The first line that is so, as soon as there is one.
fn wait(path: &Path, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        if let Some(line) = lines(path).into_iter().find(|line| is_it(line)) {
            return line;
        }
        assert!(begun.elapsed() < PATIENCE, "{}: no line of {what}: {:#?}", path.display(), lines(path));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_query(path: &Path, query: &str, from: &str) -> Value {
    wait(path, query, |line| line["params"]["query"] == query && line.get(from).is_some())
}

/// The same with every value replaced by its kind, and without members that stand in `without`.
fn shape(value: &Value, without: &[&str]) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| !without.contains(&name.as_str()));
            members.map(|(name, value)| (name.clone(), shape(value, without))).collect()
        }
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

/// What both are given, with files in this folder.
fn config(folder: &Path, jobs: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let rules = "groups: [{name: g, rules: [{record: a:b, expr: up + 1}, {alert: A, expr: up == 0}]}]\n";
    std::fs::write(path("r.yml"), rules).expect("the folder can be written");
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s, query_log_file: {}, scrape_failure_log_file: {}}}\n\
         rule_files: [{}]\nscrape_configs:\n{jobs}",
        path("q.log"),
        path("s.log"),
        path("r.yml")
    )
}

#[test]
fn queries_and_failed_scrapes_are_written_down_as_by_prometheus() {
    let Some(program) = Program::of_prometheus("prometheus", "logs of queries and failed scrapes") else { return };
    if !program.is_newest {
        return eprintln!("SKIP: the older Prometheus writes them otherwise");
    }
    let missing = TargetServer::start(|_, out| out.write_all(&answer("404 Not Found", &[], b"")));
    let garbage = TargetServer::showing("no {{{ metrics\n");
    let many = TargetServer::showing("a 1\nb 2\n");
    let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let jobs = |folder: &Path| {
        format!(
            "- {{job_name: refused, params: {{q: [a b]}}, static_configs: [{{targets: ['127.0.0.1:1']}}]}}\n\
             - {{job_name: missing, scrape_failure_log_file: {}, static_configs: [{{targets: ['{}']}}]}}\n\
             - {{job_name: garbage, static_configs: [{{targets: ['{}']}}]}}\n\
             - {{job_name: many, sample_limit: 1, static_configs: [{{targets: ['{}']}}]}}\n\
             - {{job_name: large, body_size_limit: 3B, static_configs: [{{targets: ['{}']}}]}}\n",
            folder.join("own.log").display(),
            missing.address,
            garbage.address,
            many.address,
            many.address,
        )
    };
    let server = Server::start(BINARY, &config(ours.path(), &jobs(ours.path())));
    let prometheus = Prometheus::start_with(&program, |_| config(theirs.path(), &jobs(theirs.path())));
    let folders = [ours.path(), theirs.path()];

    let scrapes = [("s.log", "refused"), ("own.log", "missing"), ("s.log", "large")];
    for (file, job) in scrapes {
        let [have, wanted] = folders.map(|folder| wait(&folder.join(file), job, |line| line["job_name"] == job));
        assert_eq!(shape(&have, &[]), shape(&wanted, &[]), "{job}");
        for key in ["level", "target"] {
            assert_eq!(have[key], wanted[key], "{job}: {key}");
        }
    }
    // All jobs are asked as often. What an answer says is no failure of this kind.
    for folder in folders {
        let other = |line: &Value| !["refused", "large"].iter().any(|job| line["job_name"] == *job);
        let others: Vec<Value> = lines(&folder.join("s.log")).into_iter().filter(other).collect();
        assert_eq!(others, [] as [Value; 0]);
    }

    let [mut our_client, mut their_client] = [server.client(), prometheus.client()];
    let ask = |client: &mut Client, path: &str| client.try_get(path).status;
    let paths = [
        ("2 * up".to_owned(), format!("query?query={}&time=100.5", encode("2 * up"))),
        ("rate(up[1m])".to_owned(), format!("query_range?query={}&start=1&end=61.25&step=2.5", encode("rate(up[1m])"))),
        ("1 + \n <".to_owned(), format!("query?query={}", encode("1 + \n <"))),
        ("up * on() {job=~\".+\"}".to_owned(), format!("query?query={}", encode("up * on() {job=~\".+\"}"))),
    ];
    for (text, path) in &paths {
        let path = format!("/api/v1/{path}");
        let statuses = [ask(&mut our_client, &path), ask(&mut their_client, &path)];
        assert_eq!(statuses[0], statuses[1], "{path}");
        if statuses[1] == 400 {
            continue;
        }
        let [have, wanted] = folders.map(|folder| wait_query(&folder.join("q.log"), text, "httpRequest"));
        assert_eq!(shape(&have, &[]), shape(&wanted, &[]), "{path}");
        // Of what failed, too, it is told how much was read.
        assert!(statuses[1] == 200 || have["stats"]["samples"]["samplesRead"] != 0, "{have}");
        for key in ["level", "msg", "httpRequest", "spanID", "traceID"] {
            assert_eq!(have[key], wanted[key], "{path}: {key}");
        }
        if path.contains("=1") {
            assert_eq!(have["params"], wanted["params"], "{path}");
        }
        assert_eq!(have.get("error").is_some(), statuses[1] != 200, "{have}");
    }
    let form = format!("query={}&time=7", encode("sum(up)"));
    for client in [&mut our_client, &mut their_client] {
        assert_eq!(client.post("/api/v1/query", "application/x-www-form-urlencoded", &form).status, 200);
    }
    let [have, wanted] = folders.map(|folder| wait_query(&folder.join("q.log"), "sum(up)", "httpRequest"));
    assert_eq!([&have["httpRequest"], &have["params"]], [&wanted["httpRequest"], &wanted["params"]]);
    // A query that cannot be read was never evaluated.
    for folder in folders {
        assert!(lines(&folder.join("q.log")).iter().all(|line| line["params"]["query"] != "1 + \n <"));
    }

    for text in ["up + 1", "up == 0"] {
        let [have, wanted] = folders.map(|folder| wait_query(&folder.join("q.log"), text, "ruleGroup"));
        assert_eq!(shape(&have, &[]), shape(&wanted, &[]), "{text}");
        assert_eq!((&have["ruleGroup"]["name"], &have["params"]["step"]), (&"g".into(), &0.into()));
        let files = [&have, &wanted].map(|line| PathBuf::from(line["ruleGroup"]["file"].as_str().expect("a path")));
        assert_eq!(files, folders.map(|folder| folder.join("r.yml")));
    }
}

/// Replaces what stands in a configuration, and reloads; the status of the answer.
fn reload(server: &Server, before: &str, after: &str) -> u16 {
    let file = server.folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&file).expect("the configuration is there");
    assert!(text.contains(before), "{text}");
    std::fs::write(&file, text.replace(before, after)).expect("the folder can be written");
    server.client().post("/-/reload", "text/plain", "").status
}

fn queries(path: &Path) -> Vec<String> {
    lines(path).iter().map(|line| line["params"]["query"].to_string()).collect()
}

#[test]
fn a_reload_opens_the_files_anew_and_one_that_cannot_be_opened_changes_nothing() {
    let text = "global: {scrape_interval: 100ms, query_log_file: q.log}\n\
        scrape_configs: [{job_name: down, static_configs: [{targets: ['127.0.0.1:1']}]}]\n";
    let mut server = Server::start(BINARY, text);
    let folder = server.folder.path().to_owned();
    let [log, renamed, other, failures] = ["q.log", "q.log.1", "other.log", "s.log"].map(|name| folder.join(name));
    let ask = |server: &Server, query: &str| server.client().get(&format!("/api/v1/query?query={query}"));
    ask(&server, "1");
    wait_query(&log, "1", "httpRequest");
    std::fs::rename(&log, &renamed).expect("it can be renamed");
    ask(&server, "2");
    assert_eq!(reload(&server, "q.log", "q.log"), 200);
    // What was on its way was written before.
    assert_eq!(queries(&renamed), ["\"1\"", "\"2\""]);
    ask(&server, "3");
    wait_query(&log, "3", "httpRequest");

    assert_eq!(reload(&server, "q.log", "none/q.log"), 500, "{}", server.log());
    assert!(server.log().contains("global.query_log_file: "), "{}", server.log());
    ask(&server, "4");
    wait_query(&log, "4", "httpRequest");

    assert_eq!(
        reload(&server, "query_log_file: none/q.log", "query_log_file: other.log, scrape_failure_log_file: s.log"),
        200
    );
    ask(&server, "5");
    server.client().get("/api/v1/metrics/query?query=6");
    server.client().get("/api/v1/metrics/range?query=7&start=100&end=200&step=10");
    assert_eq!(wait_query(&other, "7", "httpRequest")["params"]["step"], 10);
    assert_eq!(queries(&other), ["\"5\"", "\"6\"", "\"7\""]);
    let failed = wait(&failures, "a failed scrape", |_| true);
    assert_eq!((&failed["job_name"], &failed["target"]), (&"down".into(), &"http://127.0.0.1:1/metrics".into()));

    assert_eq!(reload(&server, "query_log_file: other.log, ", "query_log_file: '', "), 200);
    ask(&server, "8");
    assert_eq!([&log, &other].map(|log| queries(log).len()), [2, 3]);
    let metrics = server.client().try_get("/metrics").text();
    for reason in ["queue_full", "write"] {
        assert!(
            metrics.contains(&format!("watchfire_json_log_lost_lines_total{{reason=\"{reason}\"}} 0")),
            "{metrics}"
        );
    }
    // One whose file cannot be written any more goes on all the same.
    assert_eq!(reload(&server, "query_log_file: '', ", "query_log_file: /dev/full, "), 200);
    assert_eq!(ask(&server, "9")["status"], "success");
    let lost = "watchfire_json_log_lost_lines_total{reason=\"write\"} 1";
    let begun = Instant::now();
    while !server.client().try_get("/metrics").text().contains(lost) {
        assert!(begun.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    server.kill();
}
