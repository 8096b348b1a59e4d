//! What many series with few samples cost: memory for each, and a start from the log alone.
//! `cargo run --release -p watchfire-engine --example fleet make FOLDER [SERIES [SAMPLES]]`, then `… fleet open FOLDER [TIMES]`.
//!
//! The series are those of `benches/peers`: a sample of each at a time, in requests of two thousand, found by what their sender
//! calls them. The folder is left as a kill leaves it; each start reads a copy. What is resident says something only with the
//! server's allocator: `_RJEM_MALLOC_CONF=narenas:4,background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,thp:never`.

mod counting;

use std::path::Path;
use std::time::{Duration, Instant};

use counting::live_bytes;
use watchfire_engine::{Engine, EngineConfig, MetricType, SampleBatch, SeriesKind, Spelling};
use watchfire_model::Timestamp;
use watchfire_test_support::fleet;
use watchfire_test_support::remote_write::labels;

const NOW: i64 = 1_700_000_000_000;
const PER_REQUEST: usize = 2000;
/// How long the sending would take a server, milliseconds: the sweeps of that time are done.
const SENDING_MS: i64 = 20_000;
const SETTLE_MS: i64 = 10_000;
const TICK_MS: i64 = 100;
/// The allocator gives memory back within this time, if it is set as the server's: see `src/allocator.rs`.
const GIVES_BACK: Duration = Duration::from_secs(3);
const UNTYPED: SeriesKind = SeriesKind::Samples(MetricType::Untyped);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(usual);
    match (arguments.first().map(String::as_str), arguments.get(1)) {
        (Some("make"), Some(folder)) => make(Path::new(folder), number(2, 100_000), number(3, 120)),
        (Some("open"), Some(folder)) => (0..number(2, 5)).for_each(|_| open(Path::new(folder))),
        _ => eprintln!("usage: fleet make FOLDER [SERIES [SAMPLES]] | fleet open FOLDER [TIMES]"),
    }
}

/// A series as its sender names it. Its labels are made where they are needed: they would be most of the memory here.
struct Sent {
    spelling: Spelling,
    grows: bool,
}

fn make(folder: &Path, series: usize, samples: usize) {
    let before = live_bytes();
    let config = EngineConfig { is_durable: false, ..EngineConfig::new(folder) };
    let (engine, _) = Engine::open(config, Timestamp::from_millis(NOW)).expect("opens");
    let sent: Vec<Sent> = (0..series).map(|number| sent(&engine, number)).collect();
    let mut now = NOW;
    let tick = |now: &mut i64, until: i64| {
        while *now < until {
            *now += TICK_MS;
            engine.tick(Timestamp::from_millis(*now));
        }
    };
    for step in 0..samples {
        for (number, part) in sent.chunks(PER_REQUEST).enumerate() {
            append(&engine, part, number * PER_REQUEST, step, samples, now);
        }
        tick(&mut now, NOW + SENDING_MS * (step as i64 + 1) / samples as i64);
    }
    drop(sent);
    tick(&mut now, NOW + SENDING_MS + SETTLE_MS);
    std::thread::sleep(GIVES_BACK);
    let each = |bytes: usize| bytes / series;
    println!(
        "{series} series of {samples} samples: {} B a series allocated, {} accounted; resident {}",
        each(live_bytes() - before),
        each(engine.stats().memory_bytes as usize),
        resident()
    );
}

fn sent(engine: &Engine, number: usize) -> Sent {
    let set = fleet::labels_of(number);
    Sent { spelling: engine.spellings().of(&labels(set.iter())), grows: fleet::grows(&set) }
}

fn append(engine: &Engine, part: &[Sent], first: usize, step: usize, samples: usize, now: i64) {
    let at = Timestamp::from_millis(NOW - (samples - 1 - step) as i64 * fleet::STEP_MS);
    let mut batch = SampleBatch::new(Timestamp::from_millis(now));
    {
        let spellings = engine.spellings();
        for (number, one) in part.iter().enumerate() {
            let series = match spellings.series(one.spelling) {
                Some(known) => batch.series_known(known),
                None => {
                    let series = batch.series(UNTYPED, &fleet::labels_of(first + number));
                    batch.spell(series, one.spelling);
                    series
                }
            };
            batch.push(series, at, fleet::value(first + number, step, one.grows));
        }
    }
    let report = engine.append_samples(&batch).expect("appends");
    assert_eq!(report.accepted, part.len() as u64);
}

fn open(folder: &Path) {
    let place = tempfile::tempdir().expect("a folder");
    for file in std::fs::read_dir(folder).expect("the folder can be read").flatten() {
        if file.path().is_file() {
            std::fs::copy(file.path(), place.path().join(file.file_name())).expect("copies");
        }
    }
    let before = live_bytes();
    let begun = Instant::now();
    let opened = Engine::open(EngineConfig::new(place.path()), Timestamp::from_millis(NOW + SENDING_MS + SETTLE_MS));
    let took = begun.elapsed();
    let (engine, report) = opened.expect("opens");
    engine.take_over(|| true);
    println!(
        "opened in {:.0} ms, all in place after {:.0} ms: {} series, {} records, {} points; {} B a series allocated, resident {}",
        took.as_secs_f64() * 1e3,
        begun.elapsed().as_secs_f64() * 1e3,
        report.series,
        report.records,
        report.points,
        (live_bytes() - before) / report.series.max(1) as usize,
        resident()
    );
    drop(engine);
}

/// Memory that the process has now, and had at most.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    format!("{}, at most {}", of("VmRSS:"), of("VmHWM:"))
}
