//! Measures the store: CPU of appending and sealing, bytes a line and where they lie, queries.
//!
//! `cargo run --release -p watchfire-log-store --example measure -- [LINES] [KIND…]`: 3 million lines by default, of the
//! kind `prototype`, `service`, `nginx`, `words`, `wide`, or lines of files and folders that are named. With `open DIR`:
//! where the bytes of a store lie that is there. The CPU clocks are those of Linux.

mod figures;
mod kinds;
mod prototype;
mod queries;
mod random;

use std::time::{Duration, Instant};

use kinds::Kind;
use random::Random;
use watchfire_log_store::{EmbeddedStore, StoreConfig};
use watchfire_model::Timestamp;

const START_MS: i64 = 1_704_110_400_000;
const BATCH: usize = 3500;
/// The records are of so many seconds.
const SECONDS: u64 = 1800;

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

/// Appends all lines; gives the CPU time of that alone, of making them, and their bytes.
fn fill(store: &EmbeddedStore, lines: u64, kind: &mut Kind) -> (Duration, Duration, usize) {
    let per_second = lines.div_ceil(SECONDS).max(1);
    let mut random = Random(1);
    let (mut appending, mut making, mut line_bytes) = (Duration::ZERO, Duration::ZERO, 0);
    let mut number = 0;
    while number < lines {
        let started = cpu().0;
        let (mut records, mut ends) = (Vec::new(), Vec::new());
        while ends.len() < BATCH && number < lines {
            line_bytes += kind.put(&mut records, number, per_second, &mut random);
            ends.push(records.len());
            number += 1;
        }
        let made = cpu().0;
        let mut rest = ends.len();
        // Taken again from where it stopped while sealing is behind.
        while rest > 0 {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let slices = starts.zip(&ends).map(|(start, end)| &records[start..*end]);
            rest = if store.append(number - ends.len() as u64, slices).is_ok() { 0 } else { rest };
        }
        appending += cpu().0 - made;
        making += made - started;
    }
    (appending, making, line_bytes)
}

/// The largest columns, in bytes a line.
fn show_sizes(store: &EmbeddedStore, lines: u64) {
    for column in store.column_sizes().into_iter().take(12) {
        println!(
            "  {:20} {:6.2} bytes/line, filter {:5.2}",
            column.name,
            column.bytes as f64 / lines as f64,
            column.filter_bytes as f64 / lines as f64
        );
    }
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.first().and_then(|lines| lines.parse::<u64>().ok());
    if count.is_some() {
        arguments.remove(0);
    }
    let now = Timestamp::from_millis(START_MS + 3_600_000);
    if let [verb, dir] = &arguments[..]
        && verb == "open"
    {
        let config = StoreConfig { retention_days: 36_500, ..StoreConfig::new(dir) };
        let store = EmbeddedStore::open(config, now).expect("opens");
        return show_sizes(&store, store.stats().sealed_records);
    }
    let mut kind = Kind::named(&arguments);
    let lines = kind.count().unwrap_or(u64::MAX).min(count.unwrap_or(3_000_000));
    let temporary = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { retention_days: 36_500, ..StoreConfig::new(temporary.path()) };
    let store = EmbeddedStore::open(config.clone(), now).expect("opens");
    let (begun, cpu_before) = (Instant::now(), cpu().1);
    let (appending, making, line_bytes) = fill(&store, lines, &mut kind);
    let wall = begun.elapsed();
    store.flush().expect("writes");
    let sealing = (cpu().1 - cpu_before).saturating_sub(appending + making);
    let stats = store.stats();
    let per_line = |time: Duration| time.as_secs_f64() * 1e6 / lines as f64;
    println!("{lines} lines of {} bytes", line_bytes as u64 / lines.max(1));
    println!("append {:.3} µs/line, seal {:.3} µs/line (CPU); wall {wall:.1?}", per_line(appending), per_line(sealing));
    println!("{:.1} bytes/line on disk in {} blocks", stats.disk_bytes as f64 / lines as f64, stats.sealed_blocks);
    println!("peak RSS {} MiB", rss_mib());
    show_sizes(&store, lines);
    let opening = Instant::now();
    drop(store);
    let store = EmbeddedStore::open(config, now).expect("opens");
    let total = queries::count(&store, now);
    println!("reopen and count {:.1?}: {total}", opening.elapsed());
    queries::run(&store, &kind, now);
}
