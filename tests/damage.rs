//! Every file of a data folder, cut short or with a flipped byte in its header: the server starts, tells it and has lost
//! no more than that file's, or it refuses and says what to do.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};
use watchfire_test_support::client::encode;
use watchfire_test_support::{Client, Server, WebhookReceiver};

const BINARY: &str = env!("CARGO_BIN_EXE_watchfire");
/// Records in sealed blocks, and records that only the queue has.
const SEALED: u64 = 100;
const OPEN: u64 = 20;

/// What damage to a file may cost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cost {
    Nothing,
    /// The records in it, and their counts if it is the queue's.
    Records(u64),
    /// Numbers of series.
    Series,
    /// What was remembered of alerts, searches, messages.
    Memory,
}

/// A kind of file: how it is known, the length of its header, what damage may cost.
type Kind = (&'static str, usize, Cost);

const FILES: [Kind; 11] = [
    ("queue/queue.state", 64, Cost::Nothing),
    ("queue/*.seg", 64, Cost::Records(OPEN)),
    ("logs/MANIFEST", 16, Cost::Nothing),
    ("logs/*.wfb", 12, Cost::Records(SEALED)),
    ("engine/wal-*.log", 20, Cost::Series),
    ("engine/snapshot-*.snap", 20, Cost::Series),
    ("rules/rules.journal", 16, Cost::Memory),
    ("alerting/notifications.log", 16, Cost::Memory),
    ("alerting/silences.log", 16, Cost::Memory),
    ("extraction/spans.json", 48, Cost::Memory),
    // Text of people's, without a checksum: only cut.
    ("saved.json", 0, Cost::Memory),
];

/// Where damage is counted.
const COUNTERS: [&str; 3] =
    ["watchfire_damaged_files_total", "watchfire_log_store_damaged_blocks", "watchfire_queue_lost_records_total"];

/// All files below a folder, by their path from there.
fn files(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            files(root, &entry.path(), found);
        } else {
            found.push(entry.path().strip_prefix(root).expect("below it").to_owned());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let mut all = Vec::new();
    files(from, from, &mut all);
    for file in all {
        std::fs::create_dir_all(to.join(&file).parent().expect("a folder")).expect("made");
        std::fs::copy(from.join(&file), to.join(&file)).expect("copied");
    }
}

/// What is being written, and takes another name when it is whole.
const UNFINISHED: [&str; 8] = [
    "queue/queue.tmp",
    "logs/MANIFEST.new",
    "engine/snapshot.tmp",
    "engine/lost.tmp",
    "rules/rules.journal.new",
    "alerting/notifications.new",
    "extraction/spans.tmp",
    "saved.json.new",
];

/// The kind of a file; `None` if it has no header.
fn kind(file: &Path) -> Option<&'static Kind> {
    let text = file.to_str().expect("ASCII");
    FILES.iter().find(|(pattern, ..)| match pattern.split_once('*') {
        Some((start, end)) => text.starts_with(start) && text.ends_with(end),
        None => text == *pattern,
    })
}

/// Files of the engine that the newest snapshot replaces: they are read only if it cannot be.
fn superseded(all: &[PathBuf]) -> Vec<PathBuf> {
    let number = |file: &&PathBuf| -> u64 {
        let digits = file.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>();
        digits.parse().unwrap_or(0)
    };
    let of_engine = || all.iter().filter(|file| file.starts_with("engine"));
    let snapshots = of_engine().filter(|file| file.extension().is_some_and(|extension| extension == "snap"));
    let newest = snapshots.map(|file| number(&file)).max().unwrap_or(0);
    of_engine().filter(|file| number(file) < newest).cloned().collect()
}

fn post(server: &Server, count: u64, service: &str) {
    let record = json!({"message": "kept", "level": "error", "service": service});
    let body = serde_json::Value::Array(vec![record; count as usize]);
    assert_eq!(server.client().post("/ingest", "application/json", body.to_string()).status, 202);
    server.wait_drained();
}

/// Records that lie in a block then, on a server that seals each second.
fn post_and_seal(server: &Server) {
    let blocks = || own(&server.client().try_get("/metrics").text(), "watchfire_log_store_blocks");
    let before = blocks();
    post(server, SEALED, "kept");
    // The first block that comes may hold what was there before.
    while blocks() < before + 2.0 {
        post(server, 1, "other");
    }
}

/// A data folder in which every part has something, as a kill leaves it.
fn filled(config: &str, hook: &WebhookReceiver, data: &Path) {
    let server = Server::start_on(BINARY, &format!("{config}logs: {{seal_after: 1s}}\n"), data);
    post_and_seal(&server);
    for round in 0.. {
        if !snapshots(data).is_empty() {
            break;
        }
        let pushed = |at: u64| json!({"name": "pushed", "value": at, "labels": {"number": format!("{round}-{at}")}});
        let body = serde_json::Value::Array((0..500).map(pushed).collect());
        assert_eq!(server.client().post("/api/v1/metrics", "application/json", body.to_string()).status, 202);
    }
    hook.wait_for("the alert", |delivery| delivery.body["status"] == "firing");
    let put = Client::request("PUT", "/api/v1/saved/mine", &["Content-Type: application/json"], br#"{"q": "kept"}"#);
    assert_eq!(server.client().call(&put).status / 100, 2);
    drop(server.stop());
    let mut server = Server::start_on(BINARY, config, data);
    post(&server, OPEN, "kept");
    server.kill();
}

/// The sum of a metric of our own.
fn own(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Starts on a damaged folder; what is wrong with what happens then.
fn fault(config: &str, data: &Path, file: &Path, cost: Cost, is_cut: bool) -> Result<(), String> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let server = match Server::try_start_on(BINARY, config, data) {
        Ok(server) => server,
        Err(log) => return Err(format!("it does not start: {log}")),
    };
    // It goes on, also where counts and records are numbered on.
    post(&server, 1, "kept");
    let whole = SEALED + OPEN + 1;
    let mut client = server.client();
    let found = client.get("/api/v1/logs/search?q=service:kept&start=48h&limit=1000");
    let metrics = client.try_get("/metrics").text();
    let damages: f64 = COUNTERS.iter().map(|name| own(&metrics, name)).sum();
    let log = server.log();
    let is_named = log.lines().any(|line| line.contains(name) && (line.contains("WARN") || line.contains("ERROR")));
    // A log without records is what a crash leaves when it begins: what it was to hold comes from the queue.
    let is_unborn = is_cut && name.starts_with("wal-");
    if !is_named || damages == 0.0 && !is_unborn {
        return Err(format!("counted {damages}, named in the log: {is_named}"));
    }
    let may_lack = if let Cost::Records(count) = cost { count } else { 0 };
    let records = found["total"].as_u64().unwrap_or(0);
    if records + may_lack < whole || records > whole {
        return Err(format!("{records} records are left"));
    }
    if records < whole && found["total_exact"] == true {
        return Err(format!("{records} records are left, and the total says it is exact"));
    }
    let counted = client.get(&format!("/api/v1/metrics/query?query={}", encode("sum log_events_total service=kept")));
    let counted = counted["value"].as_f64().unwrap_or(0.0);
    let is_counted = matches!(cost, Cost::Series | Cost::Records(OPEN)) || counted == whole as f64;
    if !is_counted || counted > whole as f64 || counted < 1.0 {
        return Err(format!("{counted} records are counted"));
    }
    if cost != Cost::Memory && !client.get("/api/v1/saved").to_string().contains("mine") {
        return Err("the saved searches are gone".to_owned());
    }
    Ok(())
}

#[test]
fn every_file_may_be_cut_or_flipped_in_its_header() {
    let hook = WebhookReceiver::start();
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("alert_rules.json");
    let rule = json!({"name": "Kept", "query": "sum log_events_total service=kept", "threshold": 0, "operator": ">", "duration": "0s"});
    std::fs::write(&rules, rule.to_string()).expect("written");
    let extract = "extract:\n  - {metric: kept_total, type: counter, where: 'service:kept'}\n";
    let config = format!("{}{extract}metrics: {{port: 0, snapshot_log: 64KiB}}\n", hook.alerting(&rules));
    let whole = folder.path().join("whole");
    filled(&config, &hook, &whole);
    let mut all = Vec::new();
    files(&whole, &whole, &mut all);
    all.sort();
    let superseded = superseded(&all);
    let mut cases = Vec::new();
    for file in &all {
        let Some((_, header, cost)) = kind(file) else {
            let is_known = ["queue/lock", "engine/LOCK"].iter().chain(&UNFINISHED).any(|known| file.ends_with(known));
            assert!(is_known, "{} is a file of what kind?", file.display());
            continue;
        };
        let length = std::fs::metadata(whole.join(file)).expect("there").len() as usize;
        if superseded.contains(file) {
            continue;
        }
        for cut in [0, 1, (header / 2).max(2), (*header).max(4) - 1] {
            cases.push((file, *cost, format!("cut to {cut}"), cut, None));
        }
        for at in 0..*header {
            cases.push((file, *cost, format!("byte {at}"), length, Some(at)));
        }
    }
    for (pattern, ..) in &FILES {
        assert!(all.iter().any(|file| kind(file).is_some_and(|kind| kind.0 == *pattern)), "no {pattern} was made");
    }
    println!("{} cases", cases.len());
    let (waiting, faults) = (Mutex::new(cases), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some((file, cost, what, length, flip)) = waiting.lock().expect("no panic").pop() else { break };
            let data = tempfile::tempdir().expect("a folder");
            copy(&whole, data.path());
            let mut bytes = std::fs::read(data.path().join(file)).expect("readable");
            bytes.truncate(length);
            if let Some(byte) = flip.and_then(|at| bytes.get_mut(at)) {
                *byte ^= 0x10;
            }
            std::fs::write(data.path().join(file), bytes).expect("writable");
            if let Err(fault) = fault(&config, data.path(), file, cost, flip.is_none()) {
                faults.lock().expect("no panic").push(format!("{}, {what}: {fault}", file.display()));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let mut faults = faults.into_inner().expect("no panic");
    faults.sort();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_a_crash_left_unfinished_goes_with_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    Server::start_on(BINARY, "", &data).kill();
    for name in UNFINISHED {
        std::fs::write(data.join(name), b"half of it").expect("its folder is there");
    }
    // A block that no manifest names, in a day without others.
    let day = data.join("logs/2020-02-02");
    std::fs::create_dir(&day).expect("made");
    std::fs::write(day.join("00000000000fffff.wfb"), b"WFLOGBLK").expect("written");
    let server = Server::start_on(BINARY, "", &data);
    // A snapshot or a state that is written at this moment is of the process that runs.
    server.stop();
    let left: Vec<&str> = UNFINISHED.into_iter().filter(|name| data.join(name).exists()).collect();
    assert_eq!((left, day.exists()), (Vec::new(), false));
}

/// The only file of a kind that a data folder has.
fn only(data: &Path, start: &str, end: &str) -> PathBuf {
    let mut all = Vec::new();
    files(data, data, &mut all);
    all.retain(|file| file.to_str().is_some_and(|text| text.starts_with(start) && text.ends_with(end)));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The engine's snapshots, the newest last.
fn snapshots(data: &Path) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(data.join("engine")).expect("a folder").flatten();
    let mut all: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    all.retain(|file| file.extension().is_some_and(|extension| extension == "snap"));
    all.sort();
    all
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("readable");
    bytes[at] ^= 0x10;
    std::fs::write(file, bytes).expect("writable");
}

/// What is wrong with a part, as its health says it; empty if all is well.
fn problem(client: &mut Client, part: &str) -> String {
    let health = client.get("/api/v1/health");
    let of_part = &health["components"][part];
    let problem = of_part["problem"].as_str().unwrap_or_default().to_owned();
    let status = if problem.is_empty() { "ok" } else { "degraded" };
    assert_eq!(of_part["status"], status, "{health}");
    assert!(problem.is_empty() || health["status"] == "degraded", "{health}");
    problem
}

#[test]
fn a_damaged_block_of_series_is_counted_once_and_told_as_long_as_it_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let config = "metrics: {port: 0, memory_hours: 1}\n";
    let mut server = Server::start_on(BINARY, config, &data);
    let now = watchfire_model::Timestamp::now().millis();
    let old = |at: i64| json!({"name": "old", "value": at % 977, "timestamp": now - 3 * 3_600_000 + at * 1000});
    for from in (0..3600).step_by(600) {
        let body = serde_json::Value::Array((from..from + 600).map(old).collect());
        assert_eq!(server.client().post("/api/v1/metrics", "application/json", body.to_string()).status, 202);
    }
    server.kill();
    // What a start finds is moved by its first round, and a snapshot says so.
    let mut server = Server::start_on(BINARY, config, &data);
    while snapshots(&data).is_empty() {
        std::thread::yield_now();
    }
    server.kill();
    let block = only(&data, "engine/block-", ".blk");
    let length = std::fs::metadata(data.join(&block)).expect("there").len() as usize;
    flip(&data.join(&block), length / 2);
    let server = Server::start_on(BINARY, config, &data);
    let mut client = server.client();
    assert_eq!(problem(&mut client, "engine"), "", "nobody has read it yet");
    let mut counted = Vec::new();
    for _ in 0..3 {
        let query = encode("count_over_time(old[4h])");
        let answer = client.get(&format!("/api/v1/metrics/query?query={query}"));
        assert!(answer["value"].as_f64().is_none_or(|left| left < 3600.0), "{answer}");
        counted.push(own(&client.try_get("/metrics").text(), "watchfire_engine_block_damaged_samples_total"));
    }
    assert!(counted[0] > 0.0 && counted.iter().all(|count| *count == counted[0]), "{counted:?}");
    for (query, is_told) in [("sum(count_over_time(old[4h]))", true), ("vector(1)", false)] {
        let answer = client.get(&format!("/api/v1/query?query={}", encode(query)));
        let warnings = answer["warnings"].to_string();
        assert_eq!(warnings.contains("samples in a damaged block are missing"), is_told, "{query}: {answer}");
    }
    let told = problem(&mut client, "engine");
    let named = block.to_str().expect("ASCII");
    assert!(told.contains(named) && told.contains("backup") && told.contains("retention_days"), "{told}");
}

/// Pushes samples of so many series of their own.
fn push_series(server: &Server, numbers: std::ops::Range<u64>) {
    let pushed = |at: u64| json!({"name": "pushed", "value": at, "labels": {"number": at.to_string()}});
    let body = serde_json::Value::Array(numbers.map(pushed).collect());
    assert_eq!(server.client().post("/api/v1/metrics", "application/json", body.to_string()).status, 202);
}

/// How many of these series there are.
fn pushed_series(client: &mut Client) -> f64 {
    let answer = client.get(&format!("/api/v1/metrics/query?query={}", encode("count(last_over_time(pushed[1h]))")));
    answer["value"].as_f64().unwrap_or(0.0)
}

/// The lines of a server's log that are of this level and have this text.
fn lines(server: &Server, level: &str, text: &str) -> Vec<String> {
    let log = server.log();
    log.lines().filter(|line| line.contains(level) && line.contains(text)).map(str::to_owned).collect()
}

#[test]
fn numbers_lost_from_the_log_are_told_by_each_start_until_somebody_takes_note() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "metrics: {port: 0}\n";
    for place in ["middle", "end"] {
        let data = folder.path().join(place);
        let mut server = Server::start_on(BINARY, config, &data);
        (0..40).for_each(|round| push_series(&server, round * 50..(round + 1) * 50));
        server.kill();
        let log = only(&data, "engine/wal-", ".log");
        let mut bytes = std::fs::read(data.join(&log)).expect("readable");
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("records");
        match place {
            "middle" => bytes[end / 2] ^= 0x10,
            _ => bytes[end - 100..=end].fill(0xa5),
        }
        std::fs::write(data.join(&log), bytes).expect("writable");
        let note = data.join("engine/lost.damaged");
        let mut left = None;
        for start in 0..3 {
            let what = format!("{place}, start {start}");
            let mut server = Server::start_on(BINARY, config, &data);
            let mut client = server.client();
            let told = problem(&mut client, "engine");
            assert!(told.contains("engine/lost.damaged") && told.contains("backup"), "{what}: {told}");
            assert!(!told.contains(data.to_str().expect("ASCII")), "{told}");
            assert!(!lines(&server, "ERROR", "lost").is_empty(), "{what}: {}", server.log());
            let metrics = client.try_get("/metrics").text();
            assert_eq!(own(&metrics, "watchfire_engine_damages_total"), 1.0, "{what}");
            let series = pushed_series(&mut client);
            let lacks = place == "end" || series < 2000.0;
            assert!(lacks && left.is_none_or(|left| left == series), "{what}: {series}, {left:?}");
            left = Some(series);
            let name = log.file_name().and_then(|name| name.to_str()).expect("ASCII");
            assert!(std::fs::read_to_string(&note).expect("it is there").contains(name));
            if start == 2 {
                std::fs::remove_file(&note).expect("removable");
                assert_eq!(problem(&mut client, "engine"), "");
            }
            server.kill();
        }
        let server = Server::start_on(BINARY, config, &data);
        assert_eq!(problem(&mut server.client(), "engine"), "");
        assert_eq!(lines(&server, "ERROR", "lost"), Vec::<String>::new());
    }
}

#[test]
fn a_snapshot_that_the_one_before_replaces_is_no_loss() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let config = "metrics: {port: 0, snapshot_log: 64KiB}\n";
    let mut server = Server::start_on(BINARY, config, &data);
    let mut series = 0;
    while snapshots(&data).len() < 2 {
        push_series(&server, series..series + 500);
        series += 500;
    }
    push_series(&server, series..series + 1);
    server.kill();
    let newest = snapshots(&data).pop().expect("two");
    let bytes = std::fs::read(&newest).expect("readable");
    std::fs::write(&newest, &bytes[..bytes.len() / 2]).expect("writable");
    let server = Server::start_on(BINARY, config, &data);
    let mut client = server.client();
    assert_eq!(pushed_series(&mut client), (series + 1) as f64);
    assert_eq!(problem(&mut client, "engine"), "");
    let name = newest.file_name().and_then(|name| name.to_str()).expect("ASCII");
    let told = lines(&server, "WARN", name);
    assert!(told.len() == 1 && told[0].contains("nothing is lost"), "{told:?}");
    assert_eq!(lines(&server, "ERROR", ""), Vec::<String>::new());
    assert_eq!(own(&client.try_get("/metrics").text(), "watchfire_damaged_files_total"), 1.0);
    assert!(!data.join("engine/lost.damaged").exists());
}

#[test]
fn records_of_the_queue_that_are_stored_and_counted_are_not_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let config = "metrics: {port: 0}\nlogs: {seal_after: 1s}\n";
    let mut server = Server::start_on(BINARY, config, &data);
    post_and_seal(&server);
    server.kill();
    let segment = only(&data, "queue/", ".seg");
    let bytes = std::fs::read(data.join(&segment)).expect("readable");
    let at = bytes.windows(4).position(|some| some == b"kept").expect("a record");
    flip(&data.join(&segment), at);
    for _ in 0..2 {
        let mut server = Server::start_on(BINARY, config, &data);
        server.wait_drained();
        let mut client = server.client();
        assert_eq!(problem(&mut client, "queue"), "");
        assert_eq!(own(&client.try_get("/metrics").text(), "watchfire_queue_lost_records_total"), 0.0);
        let found = client.get("/api/v1/logs/search?q=service:kept&start=48h&limit=1000");
        assert_eq!((&found["total"], &found["total_exact"]), (&json!(SEALED), &json!(true)));
        assert!(!lines(&server, "WARN", "nothing is lost").is_empty(), "{}", server.log());
        assert_eq!(lines(&server, "ERROR", ""), Vec::<String>::new());
        server.kill();
    }
}

#[test]
fn a_damaged_block_of_records_makes_no_total_exact_and_health_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut server = Server::start_on(BINARY, "metrics: {port: 0}\nlogs: {seal_after: 1s}\n", &data);
    post_and_seal(&server);
    server.kill();
    let mut blocks = Vec::new();
    files(&data, &data.join("logs"), &mut blocks);
    blocks.retain(|file| file.extension().is_some_and(|extension| extension == "wfb"));
    let whole = |block: &PathBuf| std::fs::read(data.join(block)).expect("readable");
    // The one with many records.
    let block = blocks.into_iter().max_by_key(|block| whole(block).len()).expect("blocks");
    let bytes = whole(&block);
    let (quarter, name) = (bytes.len() / 4, block.to_str().expect("ASCII"));
    let mut spoilt = bytes.clone();
    spoilt[quarter..quarter * 3].fill(0x55);
    for (damaged, is_known) in [(&bytes[..quarter], true), (&spoilt, false)] {
        std::fs::write(data.join(&block), damaged).expect("writable");
        let mut server = Server::start_on(BINARY, "metrics: {port: 0}\n", &data);
        server.wait_drained();
        let mut client = server.client();
        // How many records are shown, and whether the total is exact; one page shows only the newest.
        let mut search = |q: &str, limit: u64| {
            let found = client.get(&format!("/api/v1/logs/search?q={q}&start=48h&limit={limit}&buckets=0"));
            assert_eq!(found["total_exact"] == true, found["damaged_blocks"].is_null(), "{found}");
            (found["logs"].as_array().map_or(0, Vec::len) as u64, found["total_exact"] == true)
        };
        if !is_known {
            assert!(search("", 0).1, "nobody has met it");
        }
        for (q, limit) in [("service:kept", 1000), ("", 1), ("", 0)] {
            let (shown, is_exact) = search(q, limit);
            assert!(!is_exact && shown < SEALED, "{q} {limit}: {shown} are shown");
        }
        // A stream says so in its last line, whether it ends by itself or by its limit.
        let mut stream = |more: &str| -> Vec<Value> {
            let path = format!("/api/v1/logs/search?start=48h{more}");
            let answer = client.call(&Client::request("GET", &path, &["Accept: application/x-ndjson"], b""));
            answer.text().lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
        };
        for more in ["", "&q=service:kept", "&limit=100000", "&limit=10000&sort=number"] {
            let lines = stream(more);
            let (last, records) = lines.split_last().expect("a line");
            assert_eq!(last, &json!({"total_exact": false, "damaged_blocks": 1}), "{more}");
            assert!(records.iter().all(|record| record["message"].is_string()), "{more}: {records:?}");
        }
        let told = problem(&mut client, "log_store");
        assert!(told.contains(name) && told.contains("backup") && told.contains("retention_days"), "{told}");
        assert_eq!(own(&client.try_get("/metrics").text(), "watchfire_log_store_damaged_blocks"), 1.0);
        server.kill();
    }
}
