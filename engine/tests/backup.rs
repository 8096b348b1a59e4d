//! A backup is one consistent cut: what it holds is exactly what its offsets say, whatever goes on meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use watchfire_engine::{
    Derived, Engine, EngineConfig, Increment, MetricType, SampleBatch, SeriesKind, SourcePosition, TimeRange,
};
use watchfire_model::{LabelSet, Matcher, Timestamp};

const NOW: i64 = 1_700_000_000_000;
const SERIES: u64 = 3000;

fn config(dir: &std::path::Path) -> EngineConfig {
    // Small files, so that the log of a backup has several.
    EngineConfig { segment_bytes: 64 << 10, ..EngineConfig::new(dir) }
}

fn open(dir: &std::path::Path) -> Engine {
    let (engine, report) = Engine::open(config(dir), Timestamp::from_millis(NOW)).expect("opens");
    assert_eq!((report.damages.len(), report.records_missing, report.orphans), (0, 0, 0), "{report:?}");
    engine
}

fn labels(name: &str, number: u64) -> LabelSet {
    LabelSet::from_pairs([("__name__", name), ("number", &*number.to_string())]).expect("valid")
}

/// One event of the series that an offset stands for.
fn count(engine: &Engine, offset: u64) {
    let source =
        SourcePosition { queue: "logs".into(), epoch: 1, partition: 0, first_offset: offset, next_offset: offset + 1 };
    let mut derived = Derived::new(source);
    let labels = labels("hits_total", offset % SERIES);
    derived.increments.push(Increment { labels, at: Timestamp::from_millis(NOW), count: 1.0, late: false });
    engine.apply(&derived).expect("applies");
}

fn sum(engine: &Engine) -> f64 {
    let range = TimeRange { start: Timestamp::from_millis(NOW - 60_000), end: Timestamp::from_millis(NOW + 60_000) };
    engine.counted("hits_total", range).expect("counts").iter().map(|series| series.live).sum()
}

#[test]
fn counts_and_offsets_of_a_backup_agree_while_appends_go_on() {
    let (dir, backups) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let engine = open(dir.path());
    (0..SERIES).for_each(|offset| count(&engine, offset));
    let mut pushed = SampleBatch::new(Timestamp::from_millis(NOW));
    let series = pushed.series(SeriesKind::Samples(MetricType::Gauge), &labels("pushed", 1));
    pushed.push(series, Timestamp::from_millis(NOW), 7.5);
    engine.append_samples(&pushed).expect("appends");
    let stop = AtomicBool::new(false);
    let applied = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut offset = SERIES;
            while !stop.load(Ordering::Relaxed) {
                count(&engine, offset);
                offset += 1;
            }
            offset
        });
        for number in 0..5 {
            let folder = backups.path().join(number.to_string());
            let report = engine.backup_to(&folder).expect("backs up");
            // Our own snapshots and the deletion of the log go on in between.
            engine.checkpoint().expect("checkpoints");
            let restored = open(&folder);
            let next = report.sources[0].next_offset;
            assert_eq!(restored.applied("logs", 1, 0), Some(next));
            assert_eq!(sum(&restored), next as f64, "exactly the records below the offset are counted");
            let pushed = restored.select(
                &[Matcher::equal("__name__", "pushed")],
                TimeRange { start: Timestamp::from_millis(NOW - 1), end: Timestamp::from_millis(NOW) },
            );
            assert_eq!(pushed.expect("selects").len(), 1);
            // A restored engine goes on as any other.
            count(&restored, next);
            assert_eq!(sum(&restored), next as f64 + 1.0);
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("it ends")
    });
    assert_eq!(sum(&engine), applied as f64, "the engine itself is as it was");
    drop(engine);
    assert_eq!(sum(&open(dir.path())), applied as f64);
}

#[test]
fn a_folder_with_something_in_it_is_refused() {
    let (dir, target) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let engine = open(dir.path());
    std::fs::write(target.path().join("mine"), "text").expect("the folder can be written");
    let refused = engine.backup_to(target.path()).expect_err("it is not empty");
    assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_dir(target.path()).expect("it is there").count(), 1, "nothing was added");
    let fresh = target.path().join("deep/er");
    engine.backup_to(&fresh).expect("an empty engine has a backup too");
    assert_eq!(open(&fresh).stats().series, 0);
}
