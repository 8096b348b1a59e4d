//! The engine's figures on this machine: `cargo run --release -p watchfire-engine --example engine_figures [SERIES [PART]]`.
//!
//! Codec, append by label set and by handle, memory per series, select, regular expressions, apply, distributions,
//! snapshot, recovery, churn. Times are CPU time of the whole process, so the work of helpers counts.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use watchfire_engine::{
    Codec, Derived, Distribution, Engine, EngineConfig, Increment, MetricType, Observation, SampleBatch, SeriesHandle,
    SeriesKind, SourcePosition, TimeRange,
};
use watchfire_model::histogram::HistogramParts;
use watchfire_model::{Histogram, LabelSet, MatchOp, Matcher, Sample, Timestamp};

struct Counting;
static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the allocator of the binary unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { tikv_jemallocator::Jemalloc.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { tikv_jemallocator::Jemalloc.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: i64 = 1_700_000_000_000;
const GAUGE: SeriesKind = SeriesKind::Samples(MetricType::Gauge);

/// CPU seconds of this process so far.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn rss_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Runs the work and gives CPU seconds, smallest of some runs.
fn timed(runs: usize, mut work: impl FnMut()) -> f64 {
    (0..runs)
        .map(|_| {
            let start = cpu_seconds();
            work();
            cpu_seconds() - start
        })
        .fold(f64::MAX, f64::min)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

fn series_values(kind: &str, count: usize, random: &mut Random) -> Vec<f64> {
    let (mut level, mut total) = (40.0, 1_000_000.0);
    (0..count)
        .map(|_| match kind {
            "cpu, 2 decimals" => {
                level = (level + random.normal() * 1.5).clamp(0.0, 100.0);
                (level * 100.0f64).round() / 100.0
            }
            "integer counter" => {
                total += (100.0 + random.normal() * 30.0).max(0.0).round();
                total
            }
            "constant" => 42.0,
            "lognormal, 3 decimals" => ((3.0 + random.normal()).exp() * 1000.0).round() / 1000.0,
            _ => (3.0 + random.normal()).exp(),
        })
        .collect()
}

fn codec_figures() {
    println!("## codec (bytes/sample, M samples/s encode, decode)");
    let mut random = Random(7);
    let mut codec = Codec::default();
    let kinds = [
        ("cpu, 2 decimals", 0.4),
        ("integer counter", 0.4),
        ("constant", 0.1),
        ("lognormal, 3 decimals", 0.05),
        ("lognormal, full mantissa", 0.05),
    ];
    for length in [32usize, 120, 240, 480, 960] {
        let (mut mix, mut parts) = (0.0, Vec::new());
        for (kind, share) in kinds {
            let values = series_values(kind, 96_000, &mut random);
            let samples: Vec<Sample> = values
                .iter()
                .enumerate()
                .map(|(i, v)| Sample { timestamp: Timestamp::from_millis(NOW + 10_000 * i as i64), value: *v })
                .collect();
            let chunks: Vec<Vec<u8>> = samples.chunks(length).map(|run| codec.encode(run).to_vec()).collect();
            let bytes = chunks.iter().map(Vec::len).sum::<usize>() as f64 / samples.len() as f64;
            let encode = timed(5, || {
                for _ in 0..10 {
                    samples.chunks(length).for_each(|run| {
                        std::hint::black_box(codec.encode(run));
                    });
                }
            });
            let decode = timed(5, || {
                for _ in 0..10 {
                    chunks.iter().for_each(|bytes| {
                        std::hint::black_box(codec.decode(bytes).is_ok());
                    });
                }
            });
            mix += bytes * share;
            let rate = |seconds: f64| samples.len() as f64 * 10.0 / seconds / 1e6;
            parts.push(format!("{kind}: {bytes:.2} B {:.0}/{:.0}", rate(encode), rate(decode)));
        }
        println!("chunks of {length}: mix {mix:.2} B; {}", parts.join("; "));
    }
}

fn label_set(metric: u64, number: u64) -> LabelSet {
    LabelSet::from_pairs([
        ("__name__".to_owned(), format!("http_requests_total_{metric}")),
        ("instance".to_owned(), format!("10.0.{}.{}:9100", number / 250 % 250, number % 250)),
        ("job".to_owned(), format!("job-{}", number % 20)),
        ("pod".to_owned(), format!("checkout-7c9f8b6d5-{number:08x}")),
        ("namespace".to_owned(), format!("team-{}", number % 40)),
        ("cluster".to_owned(), "eu-west-1".to_owned()),
        ("method".to_owned(), ["GET", "POST", "PUT"][(number % 3) as usize].to_owned()),
        ("status".to_owned(), ["200", "404", "500", "503"][(number % 4) as usize].to_owned()),
        ("zone".to_owned(), format!("zone-{}", number % 3)),
        ("version".to_owned(), format!("1.{}.0", number % 10)),
    ])
    .expect("valid labels")
}

fn open(dir: &std::path::Path) -> Engine {
    let config = EngineConfig { max_series: 4_000_000, memory_limit_bytes: 8 << 30, ..EngineConfig::new(dir) };
    Engine::open(config, Timestamp::from_millis(NOW)).expect("opens").0
}

fn append_figures(series: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    println!("## {series} series with ten labels");
    let texts: std::collections::HashSet<String> = (0..series)
        .flat_map(|n| label_set(n % 5, n).iter().flat_map(|(a, b)| [a.to_owned(), b.to_owned()]).collect::<Vec<_>>())
        .collect();
    let text_bytes: usize = texts.iter().map(String::len).sum();
    drop(texts);
    let sets: Vec<LabelSet> = (0..series).map(|n| label_set(n % 5, n)).collect();
    let batch_of = |sets: &[LabelSet], at: i64| {
        let mut batch = SampleBatch::new(Timestamp::from_millis(at));
        for (n, set) in sets.iter().enumerate() {
            let series = batch.series(GAUGE, set);
            batch.push(series, Timestamp::from_millis(at), (n % 1000) as f64);
        }
        batch
    };
    let first: Vec<SampleBatch> = sets.chunks(2000).map(|sets| batch_of(sets, NOW)).collect();
    let before = LIVE.load(Ordering::Relaxed);
    let create = timed(1, || first.iter().for_each(|batch| drop(engine.append_samples(batch).expect("appends"))));
    let used = LIVE.load(Ordering::Relaxed) - before;
    engine.sweep_all(Timestamp::from_millis(NOW));
    println!(
        "create: {:.2} M series/s; {} B/series allocated, of it {} B text (distinct) and 64 B first samples: {} B; accounted {} B",
        series as f64 / create / 1e6,
        used / series as usize,
        text_bytes / series as usize,
        (used - text_bytes) / series as usize - 64,
        engine.stats().memory_bytes / series
    );
    drop(first);
    let mut at = NOW;
    let mut run = |name: &str, handles: Option<&[SeriesHandle]>| {
        let mut best = f64::MAX;
        for _ in 0..5 {
            at += 10_000;
            let batches: Vec<SampleBatch> = match handles {
                None => sets.chunks(2000).map(|sets| batch_of(sets, at)).collect(),
                Some(handles) => handles
                    .chunks(2000)
                    .map(|handles| {
                        let mut batch = SampleBatch::new(Timestamp::from_millis(at));
                        for (n, handle) in handles.iter().enumerate() {
                            let series = batch.series_again(handle);
                            batch.push(series, Timestamp::from_millis(at), (n % 1000) as f64);
                        }
                        batch
                    })
                    .collect(),
            };
            let seconds =
                timed(1, || batches.iter().for_each(|batch| drop(engine.append_samples(batch).expect("appends"))));
            best = best.min(seconds);
        }
        println!(
            "append {name}, one sample each, batches of 2000, durable: {:.2} M samples/s (CPU)",
            series as f64 / best / 1e6
        );
    };
    run("by label set", None);
    let handles: Vec<SeriesHandle> = sets.iter().map(|set| engine.handle(GAUGE, set).expect("known")).collect();
    run("by handle", Some(&handles));
    let many = 60;
    let batches: Vec<SampleBatch> = handles
        .chunks(200)
        .map(|handles| {
            let mut batch = SampleBatch::new(Timestamp::from_millis(NOW + 1_000_000));
            for handle in handles {
                let series = batch.series_again(handle);
                for i in 0..many {
                    batch.push(series, Timestamp::from_millis(NOW + 100_000 + i * 10_000), (i % 100) as f64);
                }
            }
            batch
        })
        .collect();
    let seconds = timed(1, || batches.iter().for_each(|batch| drop(engine.append_samples(batch).expect("appends"))));
    println!("append by handle, {many} samples each: {:.2} M samples/s", (series * many as u64) as f64 / seconds / 1e6);
    drop(batches);
    drop(handles);
    engine.sweep_all(Timestamp::from_millis(NOW));
    println!(
        "then {} B/series allocated, {} samples/series",
        (LIVE.load(Ordering::Relaxed) - before) / series as usize,
        11 + many
    );

    let range = TimeRange { start: Timestamp::from_millis(NOW), end: Timestamp::from_millis(NOW + 100_000_000) };
    let kept = LIVE.load(Ordering::Relaxed);
    let select = |name: &str, matchers: &[Matcher]| {
        let mut found = 0;
        let cold = timed(1, || found = engine.select(matchers, range).expect("selects").len());
        let warm = timed(5, || found = engine.select(matchers, range).expect("selects").len());
        println!("select {name}: {found} series, {:.2} ms first, {:.2} ms again", cold * 1e3, warm * 1e3);
    };
    let regex = |name: &str, op: MatchOp, text: &str| Matcher::new(name, op, text).expect("valid");
    select("one series", &[Matcher::equal("pod", "checkout-7c9f8b6d5-00000a00")]);
    select("ten of a pod prefix", &[regex("pod", MatchOp::Regex, "checkout-7c9f8b6d5-0000a00.")]);
    select("regex without literal", &[regex("pod", MatchOp::Regex, ".*-0000a00[0-9]")]);
    select("regex, all have its beginning", &[regex("pod", MatchOp::Regex, "checkout-.*-00000a.[0-9a-f]")]);
    select("regex without any literal", &[regex("pod", MatchOp::Regex, "[a-z]+-[0-9a-f]{9}-0{5}a0[0-9]")]);
    select(
        "negative, nearly all go",
        &[regex("pod", MatchOp::NotRegex, "checkout-.*-(0000[1-9a-f]|000[1-9a-f]|0000000).*")],
    );
    select("negative, few left", &[regex("instance", MatchOp::NotRegex, "10.0.*"), Matcher::equal("job", "job-1")]);
    select("nothing, or a beginning that none has", &[regex("pod", MatchOp::Regex, "|x.*")]);
    select(
        "three on one label",
        &[
            regex("pod", MatchOp::Regex, "checkout-.*"),
            regex("pod", MatchOp::NotRegex, ".*-000[0-9a-e].*"),
            regex("pod", MatchOp::NotRegex, ".*[1-9a-f]"),
        ],
    );
    select(
        "set and !=",
        &[
            Matcher::equal("__name__", "http_requests_total_1"),
            regex("status", MatchOp::Regex, "5.."),
            regex("namespace", MatchOp::NotRegex, "team-[0-9]"),
            regex("method", MatchOp::NotEqual, "GET"),
        ],
    );
    select("metric", &[Matcher::equal("__name__", "http_requests_total_2")]);
    println!(
        "what queries keep (label sets, values that they share): {} B/series",
        (LIVE.load(Ordering::Relaxed) - kept) / series as usize
    );
    let views = engine.select(&[Matcher::equal("__name__", "http_requests_total_2")], range).expect("selects");
    let mut out = Vec::new();
    let read = timed(3, || {
        for view in &views {
            out.clear();
            view.samples(Timestamp::from_millis(NOW + 380_000), Timestamp::from_millis(NOW + 680_000), &mut out);
            std::hint::black_box(&out);
        }
    });
    println!("read 30 samples of each of {} series: {:.0} ns a series", views.len(), read * 1e9 / views.len() as f64);

    let wall = Instant::now();
    let seconds = timed(1, || engine.checkpoint().expect("checkpoints"));
    let stats = engine.stats();
    println!(
        "snapshot: {:.1} MB in {:.2} s wall, {seconds:.2} s CPU; {} samples",
        stats.snapshot_bytes as f64 / 1e6,
        wall.elapsed().as_secs_f64(),
        stats.samples
    );
    drop(views);
    drop(engine);
    let samples = stats.samples as f64;
    let mut engine = None;
    let seconds = timed(1, || engine = Some(open(dir.path())));
    println!("recovery from the snapshot: {seconds:.2} s, {:.1} M samples/s", samples / seconds / 1e6);
    drop(engine);
}

fn recovery_figures() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let handles: Vec<SeriesHandle> =
        (0..10_000).map(|n| engine.handle(GAUGE, &label_set(0, n)).expect("new")).collect();
    let rounds = 360;
    for round in 0..rounds {
        let at = Timestamp::from_millis(NOW + round * 10_000);
        let mut batch = SampleBatch::new(at);
        for (n, handle) in handles.iter().enumerate() {
            let series = batch.series_again(handle);
            batch.push(series, at, (n as i64 * 3 + round) as f64);
        }
        engine.append_samples(&batch).expect("appends");
    }
    let log = engine.stats().log_bytes;
    drop(handles);
    drop(engine);
    let mut engine = None;
    let seconds = timed(1, || engine = Some(open(dir.path())));
    let samples = 10_000.0 * rounds as f64;
    println!(
        "## recovery from the log: {:.1} M samples/s, log {:.1} B/sample",
        samples / seconds / 1e6,
        log as f64 / samples
    );
}

fn derived_figures() {
    println!("## derived numbers");
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let sets: Vec<LabelSet> = (0..200)
        .map(|n| {
            LabelSet::from_pairs([
                ("__name__", "log_events_total"),
                ("service", &*format!("s{}", n / 4)),
                ("level", ["info", "warn", "error", "debug"][n % 4]),
            ])
            .expect("valid")
        })
        .collect();
    let mut offset = 0;
    let source = |first: u64, next: u64| SourcePosition {
        queue: "logs".into(),
        epoch: 1,
        partition: 0,
        first_offset: first,
        next_offset: next,
    };
    let batches: Vec<Derived> = (0..500)
        .map(|round| {
            let mut derived = Derived::new(source(offset, offset + 2000));
            offset += 2000;
            for n in 0..2000usize {
                derived.increments.push(Increment {
                    labels: sets[n * 7 % 200].clone(),
                    at: Timestamp::from_millis(NOW + round * 100),
                    count: 1.0,
                    late: false,
                });
            }
            derived
        })
        .collect();
    let seconds = timed(1, || batches.iter().for_each(|derived| drop(engine.apply(derived).expect("applies"))));
    println!("apply: {:.2} M increments/s", 1.0 / seconds);
    let views = engine
        .select(
            &[Matcher::equal("__name__", "log_events_total")],
            TimeRange { start: Timestamp::from_millis(0), end: Timestamp::from_millis(2 * NOW) },
        )
        .expect("selects");
    let seconds = timed(3, || {
        for _ in 0..500 {
            for view in &views {
                std::hint::black_box(
                    view.increase(Timestamp::from_millis(NOW - 260_000), Timestamp::from_millis(NOW + 40_000)),
                );
            }
        }
    });
    println!("increase over 5 min: {:.0} ns", seconds * 1e9 / 500.0 / views.len() as f64);
    let mut random = Random(3);
    let latency = LabelSet::from_pairs([("__name__", "request_duration_ms"), ("service", "api")]).expect("valid");
    let batches: Vec<Derived> = (0..500)
        .map(|round| {
            let mut derived = Derived::new(source(offset, offset + 2000));
            offset += 2000;
            for _ in 0..2000usize {
                let value = ((3.0 + random.normal()).exp() * 1000.0).round() / 1000.0;
                derived.observations.push(Observation {
                    labels: latency.clone(),
                    at: Timestamp::from_millis(NOW + round * 100),
                    value,
                    late: false,
                });
            }
            derived
        })
        .collect();
    let seconds = timed(1, || batches.iter().for_each(|derived| drop(engine.apply(derived).expect("applies"))));
    println!("apply: {:.2} M observations/s of one series", 1.0 / seconds);
    drop(batches);

    for per_second in [10usize, 100, 1000] {
        let dir = tempfile::tempdir().expect("a folder");
        let engine = open(dir.path());
        let before = LIVE.load(Ordering::Relaxed);
        let mut observed = 0.0;
        for second in 0..86_400i64 {
            let at = Timestamp::from_millis(NOW + second * 1000);
            let mut derived = Derived::new(source(second as u64, second as u64 + 1));
            for _ in 0..per_second {
                let value = ((3.0 + random.normal()).exp() * 1000.0).round() / 1000.0;
                derived.observations.push(Observation { labels: latency.clone(), at, value, late: false });
            }
            let start = cpu_seconds();
            engine.apply(&derived).expect("applies");
            observed += cpu_seconds() - start;
            if second % 60 == 0 {
                engine.sweep_all(at);
            }
        }
        let bytes = LIVE.load(Ordering::Relaxed) - before;
        println!(
            "a day of one distribution, {per_second}/s: {:.2} MB allocated, {:.2} MB accounted, {:.0} ns an observation with log and merging",
            bytes as f64 / 1e6,
            engine.stats().memory_bytes as f64 / 1e6,
            observed * 1e9 / 86_400.0 / per_second as f64
        );
        let views = engine
            .select(
                &[Matcher::equal("service", "api")],
                TimeRange { start: Timestamp::from_millis(0), end: Timestamp::from_millis(2 * NOW) },
            )
            .expect("selects");
        for (name, window) in [("5 min", 300_000i64), ("1 h", 3_600_000), ("24 h", 86_400_000)] {
            let mut n = 0;
            let seconds = timed(3, || {
                for i in 0..100 {
                    let end = NOW + 86_390_000 - i * 1000;
                    let window = views[0].histogram(Timestamp::from_millis(end - window), Timestamp::from_millis(end));
                    std::hint::black_box(window.and_then(|window| window.quantile(0.99)));
                    n += 1;
                }
            });
            println!("  p99 over {name}: {:.1} µs", seconds * 1e6 / 100.0);
        }
    }
}

fn latency_values(count: usize, random: &mut Random) -> Vec<f64> {
    (0..count).map(|_| ((3.0 + random.normal()).exp() * 1000.0).round() / 1000.0).collect()
}

/// Recording alone, without label sets and log: closing of seconds, merging and ageing included.
fn record_figures() {
    println!("## distributions");
    let mut random = Random(5);
    for per_second in [10usize, 100, 1000, 10_000] {
        let values = latency_values(100_000, &mut random);
        let seconds = values.len() / per_second;
        let cost = timed(5, || {
            let mut distribution = Distribution::default();
            for (second, values) in values.chunks(per_second).enumerate() {
                let at = Timestamp::from_millis(NOW + second as i64 * 1000);
                values.iter().for_each(|value| {
                    distribution.record(at, *value);
                });
                if second % 10 == 0 {
                    distribution.settle(at);
                }
            }
            std::hint::black_box(&distribution);
        });
        println!("record, {per_second}/s for {seconds} s: {:.1} ns an observation", cost * 1e9 / values.len() as f64);
    }
    let values = latency_values(100_000, &mut random);
    for per_second in [10usize, 100, 1000, 10_000] {
        let before = LIVE.load(Ordering::Relaxed);
        let mut distribution = Distribution::default();
        let mut next = values.iter().cycle();
        for second in 0..86_400 {
            let at = Timestamp::from_millis(NOW + second * 1000);
            next.by_ref().take(per_second).for_each(|value| {
                distribution.record(at, *value);
            });
            if second % 10 == 0 {
                distribution.settle(at);
            }
        }
        println!("a day of {per_second}/s: {:.2} MB", (LIVE.load(Ordering::Relaxed) - before) as f64 / 1e6);
        drop(distribution);
    }
    for per_second in [10usize, 100, 1000] {
        let series: Vec<Distribution> = (0..100)
            .map(|_| {
                let mut distribution = Distribution::default();
                for second in 0..400 {
                    let at = Timestamp::from_millis(NOW + second * 1000);
                    latency_values(per_second, &mut random).iter().for_each(|value| {
                        distribution.record(at, *value);
                    });
                    if second % 10 == 0 {
                        distribution.settle(at);
                    }
                }
                distribution
            })
            .collect();
        let window = |distribution: &Distribution, end: i64| {
            let end = NOW + 390_000 - end * 1000;
            distribution.histogram(Timestamp::from_millis(end - 300_000), Timestamp::from_millis(end))
        };
        let each = timed(10, || {
            for end in 0..20 {
                for distribution in &series {
                    std::hint::black_box(window(distribution, end).and_then(|window| window.quantile(0.99)));
                }
            }
        });
        let together = timed(3, || {
            for end in 0..20 {
                let mut all = watchfire_engine::DistributionWindow::empty();
                for distribution in &series {
                    all.merge(&window(distribution, end).expect("there are observations"));
                }
                std::hint::black_box(all.quantile(0.99));
            }
        });
        println!(
            "p99 over 5 min of 100 series of {per_second}/s: of each {:.2} ms, of all together {:.2} ms",
            each * 1e3 / 20.0,
            together * 1e3 / 20.0
        );
    }
}

fn churn_figures() {
    println!("## churn");
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let fill = |from: u64, to: u64, at: i64| {
        for start in (from..to).step_by(2000) {
            let mut batch = SampleBatch::new(Timestamp::from_millis(at));
            for n in start..(start + 2000).min(to) {
                let series = batch.series(GAUGE, &label_set(n % 5, n));
                batch.push(series, Timestamp::from_millis(at), n as f64);
            }
            engine.append_samples(&batch).expect("appends");
        }
    };
    fill(0, 100_000, NOW);
    engine.sweep_all(Timestamp::from_millis(NOW));
    let (rss, live) = (rss_bytes(), LIVE.load(Ordering::Relaxed));
    fill(100_000, 1_100_000, NOW);
    engine.sweep_all(Timestamp::from_millis(NOW));
    let (peak_rss, peak_live) = (rss_bytes(), LIVE.load(Ordering::Relaxed));
    let later = NOW + 16 * 86_400_000;
    fill(0, 100_000, later);
    engine.checkpoint().expect("checkpoints");
    engine.sweep_all(Timestamp::from_millis(later));
    for round in 1..4 {
        // Life goes on: the allocator gives memory back in passing.
        fill(0, 100_000, later + round * 10_000);
        engine.sweep_all(Timestamp::from_millis(later + round * 10_000));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    println!(
        "100 k series, then 1 M more, then those aged out: allocated {} → {} → {} MB, RSS {} → {} → {} MB; {} series left",
        live >> 20,
        peak_live >> 20,
        LIVE.load(Ordering::Relaxed) >> 20,
        rss >> 20,
        peak_rss >> 20,
        rss_bytes() >> 20,
        engine.stats().series
    );
}

/// What native histograms take, which go to blocks after a day.
fn natives_figures() {
    const DAYS: i64 = 15;
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    let mut random = Random(5);
    let mut counts = vec![[0u64; 24]; 20];
    let before = LIVE.load(Ordering::Relaxed);
    for hour in 0..DAYS * 24 {
        let mut batch = SampleBatch::new(Timestamp::from_millis(NOW + (hour + 1) * 3_600_000));
        for (number, counts) in (0..).zip(&mut counts) {
            let series = batch.series(GAUGE, &label_set(0, number));
            for second in (hour * 3600..(hour + 1) * 3600).step_by(15) {
                (0..60).for_each(|_| counts[(12.0 + 3.0 * random.normal()).clamp(0.0, 23.0) as usize] += 1);
                let positive: Vec<(i32, f64)> = (0..).zip(counts.iter().map(|count| *count as f64)).collect();
                let count = positive.iter().map(|(_, count)| count).sum();
                let positive = positive.into_iter().filter(|(_, count)| *count > 0.0).collect();
                let parts =
                    HistogramParts { schema: 3, count, sum: count * 1.5, positive, ..HistogramParts::default() };
                let at = Timestamp::from_millis(NOW + second * 1000);
                batch.push_native(series, at, Histogram::new(parts).expect("valid"));
            }
        }
        engine.append_samples(&batch).expect("appends");
        drop(batch);
        engine.tick(Timestamp::from_millis(NOW + (hour + 1) * 3_600_000));
        if matches!(hour + 1, 24 | 48) || hour + 1 == DAYS * 24 {
            let (days, bytes, stats) = ((hour + 1) / 24, LIVE.load(Ordering::Relaxed) - before, engine.stats());
            println!(
                "20 series of native histograms, one of 20 buckets each 15 s, {days} days: {:.2} MB in memory, {:.2} MB in \
                 blocks for {} histograms",
                bytes as f64 / 1e6,
                stats.block_bytes as f64 / 1e6,
                stats.spilled_total
            );
        }
    }
}

/// What counts and observations take that stay in memory for days.
fn ages_figures() {
    println!("## days in memory");
    natives_figures();
    const DAYS: i64 = 15;
    let mut random = Random(5);
    let values = latency_values(100_000, &mut random);
    let mut next = values.iter().cycle();
    let before = LIVE.load(Ordering::Relaxed);
    let mut distribution = Distribution::default();
    for second in 0..DAYS * 86_400 {
        let at = Timestamp::from_millis(NOW + second * 1000);
        next.by_ref().take(10).for_each(|value| {
            distribution.record(at, *value);
        });
        if second % 10 == 0 {
            distribution.settle(at);
        }
        if (second + 1) % 86_400 == 0 && matches!((second + 1) / 86_400, 1 | 2 | DAYS) {
            let (day, bytes) = ((second + 1) / 86_400, LIVE.load(Ordering::Relaxed) - before);
            println!("a distribution of 10/s, {day} days: {:.2} MB", bytes as f64 / 1e6);
        }
    }
    drop(distribution);
    for (name, per_mille) in [("each second", 1000u64), ("a second of ten", 100), ("a second of a hundred", 10)] {
        let dir = tempfile::tempdir().expect("a folder");
        let engine = open(dir.path());
        let labels = LabelSet::from_pairs([("__name__", "events_total")]).expect("valid");
        let before = LIVE.load(Ordering::Relaxed);
        for hour in 0..DAYS * 24 {
            let queue = "q".to_owned();
            let offsets = hour.unsigned_abs();
            let (first_offset, next_offset) = (offsets, offsets + 1);
            let source = SourcePosition { queue, epoch: 1, partition: 0, first_offset, next_offset };
            let mut derived = Derived::new(source);
            for second in hour * 3600..(hour + 1) * 3600 {
                if random.next() % 1000 < per_mille {
                    let (at, count) = (Timestamp::from_millis(NOW + second * 1000), (1 + random.next() % 20) as f64);
                    derived.increments.push(Increment { labels: labels.clone(), at, count, late: false });
                }
            }
            engine.apply(&derived).expect("applies");
            if matches!((hour + 1) * 3600, 86_400 | 172_800) || hour + 1 == DAYS * 24 {
                let (days, bytes) = ((hour + 1) / 24, LIVE.load(Ordering::Relaxed) - before);
                println!("a counter with events in {name}, {days} days: {:.3} MB", bytes as f64 / 1e6);
            }
        }
    }
}

fn main() {
    let series = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let only = std::env::args().nth(2).unwrap_or_default();
    let parts: [(&str, &dyn Fn()); 7] = [
        ("churn", &churn_figures),
        ("codec", &codec_figures),
        ("append", &|| append_figures(series)),
        ("recovery", &recovery_figures),
        ("record", &record_figures),
        ("derived", &derived_figures),
        ("ages", &ages_figures),
    ];
    parts.iter().filter(|(name, _)| name.contains(&*only)).for_each(|(_, part)| part());
}
