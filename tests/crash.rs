//! What is left after kill -9: every acknowledged record once, unanswered ones once or not at all, and the
//! counters equal to what is stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use watchfire_test_support::client::encode;
use watchfire_test_support::lines::Random;
use watchfire_test_support::target::answer;
use watchfire_test_support::{Client, Server, TargetServer, remote_write};

/// Rounds of the random test; `WATCHFIRE_CRASH_ROUNDS` asks for more.
const ROUNDS: u64 = 50;
const WRITERS: u64 = 4;

/// How a load is shaped.
#[derive(Clone, Copy)]
struct Pace {
    /// Length of each message.
    message_bytes: usize,
    /// Between two batches of a writer.
    pause: Duration,
}

/// As fast as it goes.
const fn fast(message_bytes: usize) -> Pace {
    Pace { message_bytes, pause: Duration::ZERO }
}

/// What was sent, and whether it was answered as accepted.
#[derive(Default)]
struct Ledger {
    acknowledged: HashMap<String, bool>,
}

/// A writer posts batches of its own ids until the connection breaks or it is told to stop.
fn write(server: &Server, round: u64, writer: u64, stop: &AtomicBool, pace: Pace) -> Ledger {
    let mut ledger = Ledger::default();
    let Ok(mut client) = Client::connect(server.address) else { return ledger };
    let mut random = Random::new(round * 1000 + writer + 1);
    let padding = "x".repeat(pace.message_bytes);
    for batch in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut body = String::new();
        let ids: Vec<String> = (0..1 + random.below(40)).map(|n| format!("r{round}w{writer}b{batch}n{n}")).collect();
        for id in &ids {
            body.push_str(&format!(
                "{{\"id\":\"{id}\",\"service\":\"crash\",\"level\":\"error\",\"message\":\"{padding}\",\"duration_ms\":{}}}\n",
                random.below(500)
            ));
        }
        let request = Client::request("POST", "/ingest", &["Content-Type: application/x-ndjson"], body.as_bytes());
        let answer = client.send(&request).and_then(|()| client.receive());
        let accepted = answer.as_ref().is_ok_and(|answer| answer.status == 202);
        ledger.acknowledged.extend(ids.into_iter().map(|id| (id, accepted)));
        if answer.is_err() {
            break;
        }
        std::thread::sleep(pace.pause);
    }
    ledger
}

/// Loads the server until `end` says so (or it dies), and gathers what was sent.
fn load(server: &Server, round: u64, pace: Pace, end: impl FnOnce()) -> Ledger {
    let stop = AtomicBool::new(false);
    let mut all = Ledger::default();
    std::thread::scope(|scope| {
        let stop = &stop;
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(server, round, writer, stop, pace))).collect();
        end();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            all.acknowledged.extend(writer.join().expect("a writer ends").acknowledged);
        }
    });
    all
}

/// How often each id is stored: a walk over everything by cursor.
fn stored(server: &Server) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    let mut client = server.client();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!(
            "/api/v1/logs/search?service=crash&start=24h&limit=5000&buckets=0&cursor={}",
            encode(&cursor)
        ));
        for log in page["logs"].as_array().expect("a list of records") {
            *counts.entry(log["id"].as_str().expect("an id").to_owned()).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return counts,
        }
    }
}

/// Compares the ledger with what is stored and counted.
fn verify(server: &Server, ledger: &Ledger, context: &str) {
    server.wait_drained();
    let stored = stored(server);
    for (id, acknowledged) in &ledger.acknowledged {
        let count = stored.get(id).copied().unwrap_or(0);
        assert!(count <= 1, "{context}: {id} is stored {count} times");
        assert!(!acknowledged || count == 1, "{context}: {id} was acknowledged and is gone");
    }
    let unknown = stored.keys().find(|id| !ledger.acknowledged.contains_key(*id));
    assert_eq!(unknown, None, "{context}: nobody sent this");
    let mut client = server.client();
    let total = stored.len() as f64;
    let search = client.get("/api/v1/logs/search?service=crash&start=24h&limit=0&buckets=0");
    assert_eq!(search["total"].as_f64(), Some(total), "{context}: the total of a search");
    for query in ["sum log_events_total service=crash", "sum error_count service=crash"] {
        let answer = client.get(&format!("/api/v1/metrics/query?query={}", encode(query)));
        assert_eq!(answer["value"].as_f64(), Some(total), "{context}: {query}: {answer}");
    }
    let query = encode("count request_duration_ms service=crash over 1h");
    let answer = client.get(&format!("/api/v1/metrics/query?query={query}"));
    assert_eq!(answer["value"].as_f64(), Some(total), "{context}: observations: {answer}");
}

#[test]
fn kill_at_random_moments_loses_and_doubles_nothing() {
    let rounds = std::env::var("WATCHFIRE_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut server = Server::start(env!("CARGO_BIN_EXE_watchfire"), "");
    let mut ledger = Ledger::default();
    let mut random = Random::new(7);
    for round in 0..rounds {
        let pid = server.pid().to_string();
        let sent = load(&server, round, fast(100), || {
            // The moment of death; nothing is waited for.
            std::thread::sleep(Duration::from_millis(20 + random.below(200)));
            std::process::Command::new("kill").args(["-9", &pid]).status().expect("kill is there");
        });
        ledger.acknowledged.extend(sent.acknowledged);
        server.restart();
    }
    let acknowledged = ledger.acknowledged.values().filter(|acknowledged| **acknowledged).count();
    assert!(acknowledged > 100, "the load was too small to prove anything: {acknowledged}");
    verify(&server, &ledger, "after all rounds");
}

/// Types, helps and units of metrics that were pushed by remote-write and OTLP and scraped: those of a snapshot and what was said
/// since.
#[test]
fn what_is_known_of_metrics_outlives_a_kill() {
    let target = TargetServer::showing("# TYPE shown gauge\n# HELP shown What the target shows.\nshown 1\n");
    let job =
        format!("{{job_name: a, scrape_interval: 100ms, static_configs: [{{targets: [\"{}\"]}}]}}", target.address);
    let mut server = Server::start(env!("CARGO_BIN_EXE_watchfire"), &format!("scrape_configs: [{job}]\n"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let mut written = Vec::new();
    let labels = remote_write::labels([("__name__", "written_total"), ("job", "w")]);
    remote_write::put_series(&labels, &[(i64::try_from(now).expect("fits"), 1.0)], &mut written);
    remote_write::put_metadata("written_total", 1, "What was written.", &mut written);
    let otlp = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{
        "name": "told", "description": "What was told.", "unit": "By/s",
        "gauge": {"dataPoints": [{"timeUnixNano": format!("{now}000000"), "asDouble": 1}]},
    }]}]}]});
    let mut client = server.client();
    assert_eq!(client.call(&remote_write::http_request(&written)).status, 204);
    let answered = client.post("/api/v1/otlp/v1/metrics", "application/json", otlp.to_string());
    assert_eq!(answered.status, 200, "{}", answered.text());
    let wanted = [
        ("written_total", "counter", "What was written.", ""),
        ("told_bytes_per_second", "gauge", "What was told.", "bytes_per_second"),
        ("shown", "gauge", "What the target shows.", ""),
    ];
    let known = |server: &Server| -> Vec<Value> {
        let of = |(metric, ..): (&str, &str, &str, &str)| {
            server.client().get(&format!("/api/v1/metadata?metric={metric}"))["data"].take()
        };
        wanted.iter().copied().map(of).collect()
    };
    let all: Vec<Value> = wanted
        .iter()
        .map(|(metric, kind, help, unit)| json!({(*metric): [{"type": kind, "help": help, "unit": unit}]}))
        .collect();
    let begun = std::time::Instant::now();
    while known(&server) != all {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}: {}", known(&server), server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // Nobody says it again.
    target.answer(|_: &str, out: &mut dyn std::io::Write| out.write_all(&answer("503 Service Unavailable", &[], b"")));
    for _ in 0..2 {
        server.restart();
        assert_eq!(known(&server), all, "{}", server.log());
    }
}

/// Names of the places on the path of a record, and the load that reaches them soon.
#[cfg(feature = "failpoints")]
const FAILPOINTS: [(&str, Pace); 14] = [
    ("queue.before_write:20", fast(100)),
    ("queue.after_write:20", fast(100)),
    ("queue.after_sync:20", fast(100)),
    ("queue.segment_roll:2", fast(30_000)),
    ("queue.keys_sidecar", fast(30_000)),
    ("queue.segment_delete", fast(30_000)),
    ("log_store.seal_before_manifest", fast(200)),
    ("log_store.manifest", fast(200)),
    // Blocks are sealed by age, and so small enough to be merged, only while the writer is idle now and then.
    ("log_store.merge", Pace { message_bytes: 100, pause: Duration::from_millis(50) }),
    ("engine.wal_append:20", fast(100)),
    ("engine.wal_sync:6", fast(100)),
    ("engine.snapshot_write", fast(100)),
    ("engine.snapshot_rename", fast(100)),
    ("engine.wal_delete", fast(100)),
];

/// How long a load may take to reach a failpoint before the server is asked to stop (some lie on that path).
#[cfg(feature = "failpoints")]
const REACH_MAX: Duration = Duration::from_secs(60);

#[test]
#[cfg(feature = "failpoints")]
fn death_at_each_named_place_loses_and_doubles_nothing() {
    for (number, (name, pace)) in FAILPOINTS.iter().enumerate() {
        let environment = [("WATCHFIRE_FAILPOINT", *name)];
        // Small enough that a load of seconds leads to a snapshot and to merges.
        let config = "metrics: {port: 0, snapshot_log: 64KiB}\nlogs: {seal_after: 500ms}\n";
        let mut server = Server::start_with(env!("CARGO_BIN_EXE_watchfire"), config, &environment);
        let pid = server.pid();
        let sent = load(&server, number as u64, *pace, || {
            let begun = std::time::Instant::now();
            while alive(pid) && begun.elapsed() < REACH_MAX {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        if alive(pid) {
            server.signal("TERM");
        }
        let status = server.wait_end();
        assert!(!status.success(), "{name} was not reached under load or while stopping");
        server.restart_with(&[]);
        verify(&server, &sent, name);
    }
}

#[cfg(feature = "failpoints")]
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
