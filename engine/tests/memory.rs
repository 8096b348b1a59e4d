//! The memory limit against what is really allocated: whatever fills the engine, it takes about as much as it says.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

use watchfire_engine::{Engine, EngineConfig, MetricType, Rejection, SampleBatch, SeriesKind};
use watchfire_model::{LabelSet, Timestamp};

/// Bytes that are allocated now.
static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: everything is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const LIMIT: usize = 48 << 20;
/// What is allocated may differ from the limit by this share.
const TOLERANCE: f64 = 0.2;

/// A text of so many bytes that no other number has.
fn text(number: u64, bytes: usize) -> String {
    format!("t{number:07x}{}", "x".repeat(bytes.saturating_sub(8)))
}

type Labels = fn(u64) -> Vec<(String, String)>;

fn pair(name: &str, value: String) -> (String, String) {
    (name.to_owned(), value)
}

/// What grows without end, and how.
const CASES: [(&str, Labels); 7] = [
    ("short values", |n| vec![pair("__name__", "m".into()), pair("user", text(n, 8))]),
    ("values of 1 KB", |n| vec![pair("__name__", "m".into()), pair("user", text(n, 1000))]),
    ("many short values", |n| {
        let labels = (0..20).map(|at| pair(&format!("l{at:02}"), text(n * 20 + at, 12)));
        [pair("__name__", "m".into())].into_iter().chain(labels).collect()
    }),
    ("names", |n| vec![pair("__name__", "m".into()), (text(n, 30), "v".into())]),
    ("names of 1 KB", |n| vec![pair("__name__", "m".into()), (text(n, 1000), "v".into())]),
    ("metrics", |n| vec![pair("__name__", text(n, 30)), pair("job", "api".into()), pair("instance", "a:1".into())]),
    ("metrics of 1 KB", |n| vec![pair("__name__", text(n, 1000)), pair("job", "api".into())]),
];

/// Sends new series until one is refused, ticking now and then; gives how many were taken.
fn fill(engine: &Engine, labels: Labels) -> u64 {
    for first in (0u64..).step_by(200) {
        let mut batch = SampleBatch::new(NOW);
        for number in first..first + 200 {
            let set = LabelSet::from_pairs(labels(number)).expect("valid");
            let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &set);
            batch.push(series, NOW, number as f64);
        }
        let report = engine.append_samples(&batch).expect("appends");
        if let Some((_, reason)) = report.rejected.first() {
            assert_eq!(*reason, Rejection::MemoryLimit);
            return engine.stats().series;
        }
    }
    unreachable!("there is an end to memory")
}

#[test]
fn labels_of_every_kind_keep_to_the_limit() {
    let mut faults = Vec::new();
    for (what, labels) in CASES {
        let dir = tempfile::tempdir().expect("a folder");
        let config =
            EngineConfig { memory_limit_bytes: LIMIT, max_series: usize::MAX, ..EngineConfig::new(dir.path()) };
        let before = LIVE.load(Ordering::Relaxed);
        let share = || (LIVE.load(Ordering::Relaxed) - before) as f64 / LIMIT as f64;
        let engine = Engine::open(config.clone(), NOW).expect("opens").0;
        let series = fill(&engine, labels);
        let filled = share();
        engine.sweep_all(NOW);
        let (swept, told) = (share(), engine.stats().memory_bytes as f64 / LIMIT as f64);
        drop(engine);
        let engine = Engine::open(config, NOW).expect("opens").0;
        let (opened, told_again) = (share(), engine.stats().memory_bytes as f64 / LIMIT as f64);
        let line = format!(
            "{what}: {series} series; of the limit are allocated {filled:.2}, swept {swept:.2} (told {told:.2}), opened again {opened:.2} (told {told_again:.2})"
        );
        println!("{line}");
        let is_near = |share: f64| (share - 1.0).abs() <= TOLERANCE;
        if ![filled, swept, opened].into_iter().all(is_near) {
            faults.push(line);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
