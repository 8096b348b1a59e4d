//! Many series: making them, appending to them, selecting them, a snapshot and back, and what is left when they go.

use std::time::Instant;

use watchfire_engine::{Engine, SampleBatch, SeriesHandle, TimeRange};
use watchfire_model::{LabelSet, MatchOp, Matcher, Timestamp};

use crate::kit::{GAUGE, NOW, label_set, live_bytes, open, rss_bytes, timed};

const RANGE: TimeRange =
    TimeRange { start: Timestamp::from_millis(NOW), end: Timestamp::from_millis(NOW + 100_000_000) };

pub fn append_figures(series: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = open(dir.path());
    println!("## {series} series with ten labels");
    let sets: Vec<LabelSet> = (0..series).map(|n| label_set(n % 5, n)).collect();
    let before = live_bytes();
    create(&engine, &sets);
    let many = 60;
    append(&engine, &sets, many);
    engine.sweep_all(Timestamp::from_millis(NOW));
    println!("then {} B/series allocated, {} samples/series", (live_bytes() - before) / series as usize, 11 + many);
    select(&engine, series);
    read(&engine);
    let samples = snapshot(&engine);
    drop(engine);
    let mut engine = None;
    let seconds = timed(1, || engine = Some(open(dir.path())));
    println!("recovery from the snapshot: {seconds:.2} s, {:.1} M samples/s", samples as f64 / seconds / 1e6);
}

/// A sample of each of the label sets.
fn batch_of(sets: &[LabelSet], at: i64) -> SampleBatch {
    let mut batch = SampleBatch::new(Timestamp::from_millis(at));
    for (n, set) in sets.iter().enumerate() {
        let series = batch.series(GAUGE, set);
        batch.push(series, Timestamp::from_millis(at), (n % 1000) as f64);
    }
    batch
}

/// The first sample of each series.
fn create(engine: &Engine, sets: &[LabelSet]) {
    let series = sets.len() as u64;
    let texts: std::collections::HashSet<String> =
        sets.iter().flat_map(|set| set.iter().flat_map(|(a, b)| [a.to_owned(), b.to_owned()])).collect();
    let text_bytes: usize = texts.iter().map(String::len).sum();
    drop(texts);
    let first: Vec<SampleBatch> = sets.chunks(2000).map(|sets| batch_of(sets, NOW)).collect();
    let before = live_bytes();
    let create = timed(1, || first.iter().for_each(|batch| drop(engine.append_samples(batch).expect("appends"))));
    let used = live_bytes() - before;
    engine.sweep_all(Timestamp::from_millis(NOW));
    println!(
        "create: {:.2} M series/s; {} B/series allocated, of it {} B text (distinct) and 64 B first samples: {} B; accounted {} B",
        series as f64 / create / 1e6,
        used / series as usize,
        text_bytes / series as usize,
        (used - text_bytes) / series as usize - 64,
        engine.stats().memory_bytes / series
    );
}

/// A sample of each series by label set and by handle, then so many of each.
fn append(engine: &Engine, sets: &[LabelSet], many: i64) {
    let series = sets.len();
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
    println!("append by handle, {many} samples each: {:.2} M samples/s", (series as i64 * many) as f64 / seconds / 1e6);
}

/// By matchers of each kind, the first time and again.
fn select(engine: &Engine, series: u64) {
    let kept = live_bytes();
    let select = |name: &str, matchers: &[Matcher]| {
        let mut found = 0;
        let cold = timed(1, || found = engine.select(matchers, RANGE).expect("selects").len());
        let warm = timed(5, || found = engine.select(matchers, RANGE).expect("selects").len());
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
        (live_bytes() - kept) / series as usize
    );
}

fn read(engine: &Engine) {
    let views = engine.select(&[Matcher::equal("__name__", "http_requests_total_2")], RANGE).expect("selects");
    let mut out = Vec::new();
    let read = timed(3, || {
        for view in &views {
            out.clear();
            view.samples(Timestamp::from_millis(NOW + 380_000), Timestamp::from_millis(NOW + 680_000), &mut out);
            std::hint::black_box(&out);
        }
    });
    println!("read 30 samples of each of {} series: {:.0} ns a series", views.len(), read * 1e9 / views.len() as f64);
}

/// Writes one; gives how many samples are in it.
fn snapshot(engine: &Engine) -> u64 {
    let wall = Instant::now();
    let seconds = timed(1, || engine.checkpoint().expect("checkpoints"));
    let stats = engine.stats();
    println!(
        "snapshot: {:.1} MB in {:.2} s wall, {seconds:.2} s CPU; {} samples",
        stats.snapshot_bytes as f64 / 1e6,
        wall.elapsed().as_secs_f64(),
        stats.samples
    );
    stats.samples
}

pub fn recovery_figures() {
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

pub fn churn_figures() {
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
    let (rss, live) = (rss_bytes(), live_bytes());
    fill(100_000, 1_100_000, NOW);
    engine.sweep_all(Timestamp::from_millis(NOW));
    let (peak_rss, peak_live) = (rss_bytes(), live_bytes());
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
        live_bytes() >> 20,
        rss >> 20,
        peak_rss >> 20,
        rss_bytes() >> 20,
        engine.stats().series
    );
}
