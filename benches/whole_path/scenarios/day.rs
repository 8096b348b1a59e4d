//! A day of 10 million records: how long a restart takes, then searches over all of it while 20,000 lines a second
//! stream in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use watchfire_model::Timestamp;
use watchfire_test_support::client::encode;
use watchfire_test_support::lines::{self, Random};
use watchfire_test_support::{Client, Server};

use crate::{Options, percentile};

const RECORDS: u64 = 10_000_000;
const LINES_PER_BODY: u64 = 3000;
const CONNECTIONS: u64 = 4;
const DAY_MS: i64 = 86_400_000;
/// Lines of the stream, in posts of this many.
const LINES_PER_SECOND: u64 = 20_000;
const LINES_PER_POST: u64 = 100;
/// A word that one line in a million has.
const RARE: &str = "xylophone";
/// All that was sent, without the server's own lines.
const ALL: &str = "-service:watchfire";

/// Fills the day, restarts twice, and searches it under load.
pub fn run(options: &Options) {
    let mut server = crate::start("");
    let begun = Instant::now();
    let trace = fill(&server);
    println!(
        "{RECORDS} lines of the last 24 h in {:.1} s, server CPU {:.2} s per million, peak RSS {:.0} MiB",
        begun.elapsed().as_secs_f64(),
        server.cpu().as_secs_f64() / (RECORDS as f64 / 1e6),
        server.memory_mib("VmHWM")
    );
    server.kill();
    restart(&mut server, "kill -9");
    server.signal("TERM");
    server.wait_end();
    restart(&mut server, "SIGTERM");
    under_load(&server, options, &trace);
}

/// Until all is found again.
fn restart(server: &mut Server, after: &str) {
    let begun = Instant::now();
    server.restart();
    let (ready, mut client) = (begun.elapsed(), server.client());
    let all = format!("/api/v1/logs/search?start=25h&limit=10&buckets=0&q={}", encode(ALL));
    while client.get(&all)["total"] != RECORDS {}
    println!("start after {after}: ready in {:.0} ms, full answer in {:.0} ms", millis(ready), millis(begun.elapsed()));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Sends the day; answers a trace id of it.
fn fill(server: &Server) -> String {
    let start = Timestamp::now().plus_millis(-DAY_MS);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let next = &next;
            scope.spawn(move || {
                let (mut random, mut client) = (Random::new(connection + 1), server.client());
                loop {
                    let from = next.fetch_add(LINES_PER_BODY, Ordering::Relaxed);
                    if from >= RECORDS {
                        return;
                    }
                    let time = |number: u64| start.plus_millis((number * DAY_MS as u64 / RECORDS) as i64);
                    let body = body(&mut random, from..RECORDS.min(from + LINES_PER_BODY), time);
                    let answer = client.post("/ingest", "application/x-ndjson", body);
                    assert_eq!(answer.status, 202, "{}", answer.text());
                }
            });
        }
    });
    drain(server);
    let found = server.client().get("/api/v1/logs/search?start=12h&end=11h&limit=1&buckets=0&q=service:api");
    found["logs"][0]["fields"]["trace_id"]
        .as_str()
        .or(found["logs"][0]["correlation_id"].as_str())
        .expect("an id")
        .to_owned()
}

/// Waits until all is searchable and counted, as long as that takes.
fn drain(server: &Server) {
    let mut client = server.client();
    while client.get("/api/v1/health")["components"]["queue"]["lag_records"] != 0 {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn body(random: &mut Random, numbers: std::ops::Range<u64>, time: impl Fn(u64) -> Timestamp) -> String {
    let mut text = String::with_capacity(numbers.clone().count() * 310);
    for number in numbers {
        let at = lines::push_line(random, &mut text);
        text.replace_range(at..at + lines::TIME_WIDTH, &time(number).to_rfc3339());
        if number % 1_000_000 == 500_000 {
            text.truncate(text.len() - 1);
            text.push_str(&format!(",\"note\":\"{RARE}\"}}"));
        }
        text.push('\n');
    }
    text
}

/// The questions of the log store's own bench, over HTTP: name and path.
fn questions(trace: &str) -> Vec<(&'static str, String)> {
    let search = |q: &str, more: &str| format!("/api/v1/logs/search?start=25h&q={}&{more}", encode(q));
    vec![
        ("count all", search("", "limit=0&buckets=0")),
        ("service and level", search("service:auth level:error", "limit=0&buckets=0")),
        ("trace id", search(&format!("trace_id:{trace}"), "limit=10&buckets=0")),
        ("rare word", search(RARE, "limit=10&buckets=0")),
        ("newest 100 of a service", search("service:auth", "limit=100&buckets=0")),
        ("numeric range", search("duration_ms:>900", "limit=10&buckets=0")),
        ("newest 100 errors", search("level:error", "limit=100&buckets=0")),
        ("error histogram", search("level:error", "limit=0&buckets=60")),
        ("distinct users", "/api/v1/logs/stats?start=25h&values=distinct(user_id)".to_owned()),
        ("negation", search("-payment", "limit=10&buckets=0")),
        ("substring", search("message:/aymen/", "limit=10&buckets=0")),
        ("prefix", search("payme*", "limit=10&buckets=0")),
        ("regex", search("message:/payment [0-9]+/", "limit=10&buckets=0")),
        ("phrase", search("\"closed for user\"", "limit=10&buckets=0")),
        ("slowest 10", search("", "limit=10&buckets=0&sort=-duration_ms")),
    ]
}

fn under_load(server: &Server, options: &Options, trace: &str) {
    let done = AtomicBool::new(false);
    let questions = questions(trace);
    let (cpu, begun) = (server.cpu(), Instant::now());
    let (mut times, mut posts) = std::thread::scope(|scope| {
        let stream = scope.spawn(|| stream(server, &done));
        let mut times: Vec<Vec<f64>> = questions.iter().map(|_| Vec::new()).collect();
        let mut client = server.client();
        while begun.elapsed() < options.duration {
            for ((_, path), times) in questions.iter().zip(&mut times) {
                let asked = Instant::now();
                client.get(path);
                times.push(millis(asked.elapsed()));
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        done.store(true, Ordering::Relaxed);
        (times, stream.join().expect("the stream ends"))
    });
    println!("{LINES_PER_SECOND} lines/s beside these, {} times each, ms at p50 and p95:", times[0].len());
    for ((name, _), times) in questions.iter().zip(&mut times) {
        println!("  {name:24} {:7.1} {:7.1}", percentile(times, 0.5), percentile(times, 0.95));
    }
    println!(
        "posts of {LINES_PER_POST} lines: p50 {:.1} ms, p99 {:.1} ms; {:.0} % of one core; peak RSS {:.0} MiB",
        percentile(&mut posts, 0.5),
        percentile(&mut posts, 0.99),
        (server.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0,
        server.memory_mib("VmHWM")
    );
}

/// Posts at the rate until it is told to end; gives the times of the answers, from when each was due.
fn stream(server: &Server, done: &AtomicBool) -> Vec<f64> {
    let mut random = Random::new(77);
    let mut client: Client = server.client();
    let (mut times, begun) = (Vec::new(), Instant::now());
    for post in 0u64.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let due = Duration::from_secs_f64((post * LINES_PER_POST) as f64 / LINES_PER_SECOND as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let now = Timestamp::now();
        let body = body(&mut random, 1..LINES_PER_POST + 1, |_| now);
        let answer = client.post("/ingest", "application/x-ndjson", body);
        assert_eq!(answer.status, 202, "{}", answer.text());
        times.push(millis(begun.elapsed().saturating_sub(due)));
    }
    times
}
