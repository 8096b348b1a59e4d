//! Measures the store on generated lines: CPU of appending and sealing, bytes a line, queries.
//!
//! `cargo run --release -p watchfire-log-store --example measure -- [LINES] [DIR]` (3 million lines by default, of
//! about 297 bytes as JSON: 200 templates, a random trace id each). The CPU clocks are those of Linux.

use std::time::{Duration, Instant};

use watchfire_log_store::facets::FacetsRequest;
use watchfire_log_store::query::{Field, Path, parse};
use watchfire_log_store::stats::{Measure, StatsRequest};
use watchfire_log_store::{EmbeddedStore, Order, SearchRequest, StoreConfig, TimeRange};
use watchfire_model::record::{Core, Root, ValueRef};
use watchfire_model::{Level, RecordWriter, Timestamp};

const START_MS: i64 = 1_704_110_400_000;
const BATCH: usize = 3500;
const WORDS: [&str; 40] = [
    "request",
    "connection",
    "user",
    "cache",
    "order",
    "payment",
    "session",
    "token",
    "queue",
    "worker",
    "job",
    "handler",
    "timeout",
    "retry",
    "upstream",
    "database",
    "query",
    "row",
    "index",
    "shard",
    "replica",
    "leader",
    "follower",
    "commit",
    "snapshot",
    "segment",
    "flush",
    "merge",
    "block",
    "page",
    "buffer",
    "stream",
    "socket",
    "client",
    "server",
    "config",
    "reload",
    "metric",
    "alert",
    "probe",
];

/// A small generator of random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The words of a template; `{}` are variables.
fn template(number: u64) -> Vec<&'static str> {
    let mut random = Random(number * 77);
    let length = 5 + random.below(5);
    let mut words: Vec<&str> = (0..length).map(|_| WORDS[random.below(WORDS.len() as u64) as usize]).collect();
    let at = random.below(length) as usize;
    words.insert(at, "{}");
    if random.below(2) == 0 {
        words.push("{}");
    }
    words
}

fn put_record(out: &mut Vec<u8>, number: u64, per_second: u64, random: &mut Random, templates: &[Vec<&str>]) {
    use std::fmt::Write;
    let at = START_MS + (number * 1000 / per_second) as i64;
    let skewed = random.below(200).min(random.below(200));
    let template = &templates[skewed as usize];
    let level = match random.below(100) {
        0..=1 => Level::Error,
        2..=6 => Level::Warn,
        7..=20 => Level::Debug,
        _ => Level::Info,
    };
    let batch_at = START_MS + (number / BATCH as u64 * BATCH as u64 * 1000 / per_second) as i64 + 20;
    let mut writer = RecordWriter::new(
        out,
        Timestamp::from_millis(at - random.below(5) as i64),
        Timestamp::from_millis(batch_at),
        level,
        297,
    );
    let mut message = String::new();
    for (index, word) in template.iter().enumerate() {
        if index > 0 {
            message.push(' ');
        }
        match *word {
            "{}" => {
                let _ = write!(message, "{}", random.below(1_000_000));
            }
            word => message.push_str(word),
        }
    }
    if number == 1_234_567 {
        message.push_str(" xylophone");
    }
    let mut text = String::new();
    writer.core(Core::Message, &message);
    let _ = write!(text, "service-{}", random.below(12).min(random.below(12)));
    writer.core(Core::Service, &text);
    text.clear();
    let id =
        0x018c_0000_0000_0000_0000_0000_0000_0000_u128 | u128::from(at as u64) << 64 | u128::from(number) << 42 | 77;
    let hex = format!("{id:032x}");
    let _ = write!(text, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    writer.core(Core::Id, &text);
    text.clear();
    let _ = write!(text, "host-{:02}", random.below(30));
    writer.core(Core::Host, &text);
    text.clear();
    let trace = u128::from(random.next()) << 64 | u128::from(random.next());
    let _ = write!(text, "{trace:032x}");
    writer.leaf(Root::Fields, "trace_id", ValueRef::Text(&text));
    text.clear();
    let _ = write!(text, "u{}", random.below(10_000));
    writer.core(Core::UserId, &text);
    let base = random.below(1000) * random.below(1000) / 100;
    writer.leaf(Root::Fields, "duration_ms", ValueRef::Float((base * 10 + random.below(10)) as f64 / 10.0));
    writer.leaf(Root::Fields, "status", ValueRef::Int([200, 200, 200, 200, 201, 404, 500][random.below(7) as usize]));
    writer.leaf(Root::Fields, "bytes", ValueRef::Int(random.below(100_000) as i64));
}

/// CPU time of this thread, and of the whole process.
fn cpu() -> (Duration, Duration) {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    let mut all = 0;
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        all += text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    }
    (Duration::from_nanos(nanos), Duration::from_nanos(all))
}

fn rss_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let lines: u64 = arguments.next().and_then(|lines| lines.parse().ok()).unwrap_or(3_000_000);
    let kept = arguments.next().map(std::path::PathBuf::from);
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = kept.unwrap_or_else(|| temporary.path().to_owned());
    let config = StoreConfig { retention_days: 36_500, ..StoreConfig::new(dir) };
    let now = Timestamp::from_millis(START_MS + 3_600_000);
    let store = EmbeddedStore::open(config.clone(), now).expect("opens");
    let templates: Vec<Vec<&str>> = (0..200).map(template).collect();
    let per_second = lines.div_ceil(1800).max(1);
    let mut random = Random(1);
    let (mut appending, mut generating, mut record_bytes) = (Duration::ZERO, Duration::ZERO, 0usize);
    let begun = Instant::now();
    let mut number = 0;
    while number < lines {
        let started = cpu().0;
        let mut records = Vec::new();
        let mut ends = Vec::new();
        while ends.len() < BATCH && number < lines {
            put_record(&mut records, number, per_second, &mut random, &templates);
            ends.push(records.len());
            number += 1;
        }
        record_bytes += records.len();
        let generated = cpu().0;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let slices = starts.zip(&ends).map(|(start, end)| &records[start..*end]);
        store.append(number - ends.len() as u64, slices).expect("takes");
        appending += cpu().0 - generated;
        generating += generated - started;
    }
    let wall = begun.elapsed();
    store.flush().expect("writes");
    let sealing = cpu().1.saturating_sub(appending + generating);
    let stats = store.stats();
    let per_line = |time: Duration| time.as_secs_f64() * 1e6 / lines as f64;
    println!("{lines} lines, {} bytes each in record form", record_bytes as u64 / lines);
    println!("append {:.3} µs/line, seal {:.3} µs/line (CPU); wall {wall:.1?}", per_line(appending), per_line(sealing));
    println!("{:.1} bytes/line on disk in {} blocks", stats.disk_bytes as f64 / lines as f64, stats.sealed_blocks);
    println!("peak RSS {} MiB", rss_mib());
    let opening = Instant::now();
    drop(store);
    let store = EmbeddedStore::open(config, now).expect("opens");
    let range =
        TimeRange { start: Timestamp::from_millis(START_MS - 1000), end: Timestamp::from_millis(START_MS + 3_600_000) };
    let count =
        store.search_blocking(&SearchRequest { limit: 0, ..SearchRequest::new(parse("", now).expect("all"), range) });
    println!("reopen and count {:.1?}: {}", opening.elapsed(), count.expect("answers").total);
    let phrase = templates[5].iter().filter(|word| **word != "{}").take(2).copied().collect::<Vec<_>>();
    let phrase = format!("\"{}\"", phrase.join(" "));
    let needle = {
        let request = SearchRequest { limit: 1, ..SearchRequest::new(parse("", now).expect("all"), range) };
        let hit = store.search_blocking(&request).expect("answers").hits.remove(0);
        let trace = hit.record.fields.iter().find(|(name, _)| name == "trace_id").map(|(_, value)| value.clone());
        match trace {
            Some(watchfire_model::Value::Text(text)) => text,
            _ => String::new(),
        }
    };
    let by_duration = Order::ByField { field: Field::Leaf(Root::Fields, Path::new("duration_ms")), descending: true };
    let queries: [(&str, String, usize, usize, Order); 16] = [
        ("count all", String::new(), 0, 0, Order::NewestFirst),
        ("newest 100", String::new(), 100, 0, Order::NewestFirst),
        ("newest 100 of a service", "service:service-3".into(), 100, 0, Order::NewestFirst),
        ("newest 100 errors", "level:error".into(), 100, 0, Order::NewestFirst),
        ("service + level", "service:service-3 level:error".into(), 0, 0, Order::NewestFirst),
        ("error histogram", "level:error".into(), 0, 60, Order::NewestFirst),
        ("histogram of all", String::new(), 0, 60, Order::NewestFirst),
        ("needle (trace id)", format!("trace_id:{needle}"), 10, 0, Order::NewestFirst),
        ("needle (any field)", needle.clone(), 10, 0, Order::NewestFirst),
        ("rare word", "xylophone".into(), 10, 0, Order::NewestFirst),
        ("phrase", phrase, 10, 0, Order::NewestFirst),
        ("prefix", "payme*".into(), 10, 0, Order::NewestFirst),
        ("regex", "message:/payment [0-9]+/".into(), 10, 0, Order::NewestFirst),
        ("numeric range", "duration_ms:>9000".into(), 10, 0, Order::NewestFirst),
        ("negation", "-payment".into(), 10, 0, Order::NewestFirst),
        ("slowest 10", String::new(), 10, 0, by_duration),
    ];
    for (name, text, limit, buckets, order) in queries {
        let request =
            SearchRequest { limit, buckets, order, ..SearchRequest::new(parse(&text, now).expect("a query"), range) };
        report(name, || store.search_blocking(&request).expect("answers").total);
    }
    figures(&store, now, range);
}

/// Measures facets and figures.
fn figures(store: &EmbeddedStore, now: Timestamp, range: TimeRange) {
    let fields = |names: &str| -> Vec<Field> { names.split(' ').filter_map(Field::parse).collect() };
    let all = parse("", now).expect("all");
    let facets: [(&str, &str, Option<Vec<Field>>); 4] = [
        ("facets, four fields", "", Some(fields("level service host status"))),
        ("facets of errors, four", "level:error", Some(fields("level service host status"))),
        ("facets, all fields", "", None),
        ("facets of a unique field", "", Some(fields("trace_id"))),
    ];
    for (name, text, fields) in facets {
        let request = FacetsRequest { fields, ..FacetsRequest::new(parse(text, now).expect("a query"), range) };
        report(name, || store.facets_blocking(&request).expect("answers").total);
    }
    let questions: [(&str, &str, &str, &str, Option<i64>); 8] = [
        ("count by service, 30 s", "", "service", "count", Some(30_000)),
        ("count by service, level", "", "service level", "count", None),
        ("count by user (10,000)", "", "user_id", "count", None),
        ("errors by host, 1 min", "level:error", "host", "count", Some(60_000)),
        ("distinct users", "", "", "distinct(user_id)", None),
        ("distinct trace ids", "", "", "distinct(fields.trace_id)", None),
        ("p95 of duration by service", "", "service", "p95(duration_ms)", None),
        ("avg, max by service, 1 min", "", "service", "avg(duration_ms) max(duration_ms)", Some(60_000)),
    ];
    for (name, text, by, measures, step_ms) in questions {
        let measures = measures.split(' ').map(|measure| Measure::parse(measure).expect("a measure")).collect();
        let query = if text.is_empty() { all.clone() } else { parse(text, now).expect("a query") };
        let request =
            StatsRequest { by: fields(by), measures, step_ms, limit: 10_000, ..StatsRequest::new(query, range) };
        report(name, || store.stats_blocking(&request).expect("answers").rows.len() as u64);
    }
}

/// The best of three runs.
fn report(name: &str, run: impl Fn() -> u64) {
    let mut best = (Duration::MAX, Duration::MAX, 0);
    for _ in 0..3 {
        let (before, started) = (cpu().1, Instant::now());
        let count = run();
        best = best.min((cpu().1.saturating_sub(before), started.elapsed(), count));
    }
    let (cpu_ms, wall_ms) = (best.0.as_secs_f64() * 1e3, best.1.as_secs_f64() * 1e3);
    println!("{name:26} {cpu_ms:8.2} ms CPU {wall_ms:8.2} ms wall  {:9}", best.2);
}
