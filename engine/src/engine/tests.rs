//! A log that cannot be written: nothing acknowledged is lost, nothing is counted twice, and it mends itself.

use std::sync::Arc;

use watchfire_model::{LabelSet, Matcher};

use super::*;
use crate::batch::{Derived, Increment, SampleBatch, SourcePosition};
use crate::kind::{MetricType, SeriesKind};
use crate::series::TimeRange;

fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + offset_ms)
}

fn labels(metric: &str) -> LabelSet {
    LabelSet::from_pairs([("__name__", metric)]).expect("valid")
}

fn samples(offset_ms: i64) -> SampleBatch {
    let mut batch = SampleBatch::new(at(offset_ms));
    let series = batch.series(SeriesKind::Samples(MetricType::Gauge), &labels("up"));
    batch.push(series, at(offset_ms), 1.0);
    batch
}

fn derived(offset: u64) -> Derived {
    let source =
        SourcePosition { queue: "logs".into(), epoch: 1, partition: 0, first_offset: offset, next_offset: offset + 1 };
    let mut derived = Derived::new(source);
    derived.increments.push(Increment { labels: labels("events_total"), at: at(0), count: 1.0, late: false });
    derived
}

fn read(engine: &Engine) -> (Option<f64>, usize) {
    let range = TimeRange { start: at(-1000), end: at(100_000) };
    let events = engine.select(&[Matcher::equal("__name__", "events_total")], range).expect("selects");
    let up = engine.select(&[Matcher::equal("__name__", "up")], range).expect("selects");
    let mut samples = Vec::new();
    up.iter().for_each(|view| view.samples(range.start, range.end, &mut samples));
    (events.first().and_then(|view| view.total_at(range.end)), samples.len())
}

#[test]
fn a_full_disk_is_an_error_and_mends_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    engine.apply(&derived(0)).expect("applies");
    engine.append_samples(&samples(0)).expect("appends");
    engine.wal.break_for_test();
    assert!(engine.append_samples(&samples(1000)).is_err());
    assert!(engine.apply(&derived(1)).is_err());
    assert_eq!(engine.applied("logs", 1, 0), Some(1));
    assert!(engine.stats().log_broken);
    engine.tick(at(2000));
    assert!(!engine.stats().log_broken, "a snapshot holds what the log could not");
    // The sender tries again: what memory had kept is known, and durable now.
    assert_eq!(engine.append_samples(&samples(1000)).expect("appends").duplicates, 1);
    assert!(!engine.apply(&derived(1)).expect("applies").known);
    assert_eq!(read(&engine), (Some(2.0), 2));
    drop(engine);
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    assert_eq!(read(&engine), (Some(2.0), 2));
    assert_eq!(engine.applied("logs", 1, 0), Some(2));
}

#[test]
fn own_samples_are_seen_while_the_log_is_broken_and_outlive_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    engine.wal.mark_broken();
    assert!(engine.append_samples(&samples(0)).is_err());
    assert_eq!(engine.append_own_samples(&samples(1000)).accepted, 1);
    assert_eq!(read(&engine), (None, 1));
    engine.tick(at(2000));
    assert!(!engine.stats().log_broken);
    drop(engine);
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    assert_eq!(read(&engine), (None, 1), "the snapshot that mended the log has it");
}

#[test]
fn a_series_that_went_is_made_again_by_its_handle() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = Arc::new(Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0);
    let handle = engine.handle(SeriesKind::Samples(MetricType::Gauge), &labels("up")).expect("new");
    engine.sweep_all(at(0));
    assert_eq!(engine.stats().series, 0, "a series without samples does not stay");
    let mut batch = SampleBatch::new(at(0));
    let series = batch.series_again(&handle);
    batch.push(series, at(0), 1.0);
    assert_eq!(engine.append_samples(&batch).expect("appends").accepted, 1);
    assert_eq!(read(&engine), (None, 1));
    drop(engine);
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    assert_eq!(read(&engine), (None, 1), "its definition is in the log");
}

/// A disk that is full from the start on.
fn full(_: &std::path::Path, _: u64) -> io::Result<File> {
    let mut file = File::options().write(true).open("/dev/full")?;
    io::Write::write_all(&mut file, b"head")?;
    Ok(file)
}

#[test]
fn a_full_disk_does_not_keep_it_from_opening() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    engine.apply(&derived(0)).expect("applies");
    engine.append_samples(&samples(0)).expect("appends");
    drop(engine);
    let (engine, report) = Engine::open_with(EngineConfig::new(dir.path()), at(0), full).expect("opens");
    assert_eq!((report.records, report.damages), (2, vec![]));
    assert!(engine.stats().log_broken);
    assert_eq!(read(&engine), (Some(1.0), 1), "what was there can be read");
    assert!(matches!(engine.append_samples(&samples(1000)), Err(crate::AppendError::Log(_))));
    assert!(matches!(engine.apply(&derived(1)), Err(crate::ApplyError::Log(_))));
    assert_eq!((engine.applied("logs", 1, 0), engine.durable_offset("logs", 1, 0)), (Some(1), Some(1)));
    engine.sync().expect("there is nothing to sync");
    engine.tick(at(2000));
    assert!(!engine.stats().log_broken, "there is room again");
    engine.append_samples(&samples(1000)).expect("appends");
    engine.apply(&derived(1)).expect("applies");
    drop(engine);
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    assert_eq!(read(&engine), (Some(2.0), 2));
}

#[test]
fn a_closed_engine_leaves_a_log_that_ends_where_its_records_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    engine.apply(&derived(0)).expect("applies");
    let log = crate::wal::segment::list(dir.path()).expect("lists").pop().expect("a log").1;
    let length = || log.metadata().expect("is there").len();
    let with_room = length();
    engine.close().expect("closes");
    let found = crate::wal::segment::read(&log, true, |_| Ok(())).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(length() == found.good_end && length() < with_room, "{} of {with_room}", length());
    // Who goes on all the same is heard.
    engine.apply(&derived(1)).expect("applies");
    assert_eq!(read(&engine).0, Some(2.0));
}

#[test]
fn damage_on_a_full_disk_is_settled_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
    for offset in 0..4 {
        engine.apply(&derived(offset)).expect("applies");
        engine.sync().expect("syncs");
    }
    drop(engine);
    let log = crate::wal::segment::list(dir.path()).expect("lists").pop().expect("a log").1;
    let mut bytes = std::fs::read(&log).expect("reads");
    let inside_the_third = bytes.len() - bytes.len() / 3;
    bytes[inside_the_third] ^= 1;
    std::fs::write(&log, bytes).expect("writes");
    let (engine, report) = Engine::open_with(EngineConfig::new(dir.path()), at(0), full).expect("opens");
    assert_eq!((report.damages.len(), report.records_missing, report.records_lost), (1, 1, 1));
    let told = |engine: &Engine| {
        let stats = engine.stats();
        (stats.recovered_damages, stats.lost_records_total, stats.losses.map(|losses| (losses.since, losses.places)))
    };
    assert_eq!(told(&engine), (1, 1, Some((at(0), 1))));
    let file = engine.losses.path().to_owned();
    assert!(!file.exists(), "there is no room");
    assert!(engine.stats().log_broken);
    engine.tick(at(2000));
    assert!(!engine.stats().log_broken);
    engine.apply(&derived(4)).expect("applies");
    drop(engine);
    let (engine, report) = Engine::open(EngineConfig::new(dir.path()), at(5000)).expect("opens");
    assert_eq!((report.damages.len(), report.records_missing), (0, 0), "settled");
    assert_eq!(told(&engine), (1, 1, Some((at(0), 1))), "and told again");
    assert_eq!(read(&engine).0, Some(4.0));
    std::fs::remove_file(&file).expect("is there");
    assert_eq!(told(&engine), (1, 1, None), "somebody has taken note");
    drop(engine);
    let (engine, _) = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens");
    assert_eq!(told(&engine), (0, 0, None));
}

/// The record that defines a series is damaged: another one defines it too, and so does one of each later stretch of
/// the log, so that nothing but the points of these records goes; with all of them damaged, all points go.
#[test]
fn a_damaged_definition_costs_its_record_alone() {
    // A long name makes the log grow fast, 5 MB in all; of digits by chance, as all that is the same is packed.
    let digit = |at: u64| char::from(b'0' + ((at * at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8 % 10);
    let queue: String = (0..100_000).map(digit).collect();
    let batch = |offset: u64| {
        let mut batch = derived(offset);
        batch.source.queue = queue.clone();
        batch
    };
    // Numbers of the records that are damaged. Number 3 holds the definition of number 1 and nothing else.
    let cases = [
        (&[1][..], 1, 0, Some(50.0)),
        (&[3], 1, 0, Some(51.0)),
        (&[1, 3], 2, 0, Some(50.0)),
        (&[1, 44], 2, 0, Some(49.0)),
        (&[1, 3, 44], 3, 49, None),
    ];
    for (flipped, records_lost, orphans, counted) in cases {
        let dir = tempfile::tempdir().expect("a folder");
        let engine = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens").0;
        for offset in 0..50 {
            engine.apply(&batch(offset)).expect("applies");
        }
        engine.sync().expect("syncs");
        engine.apply(&batch(50)).expect("applies");
        drop(engine);
        let log = crate::wal::segment::list(dir.path()).expect("lists").pop().expect("a log").1;
        let mut bytes = std::fs::read(&log).expect("reads");
        let found = crate::wal::segment::read(&log, true, |record| {
            if flipped.contains(&record.lsn) {
                bytes[(record.offset + record.bytes / 2) as usize] ^= 1;
            }
            Ok(())
        });
        assert!(found.is_ok_and(|found| found.damages.is_empty()));
        std::fs::write(&log, &bytes).expect("writes");
        let (engine, report) = Engine::open(EngineConfig::new(dir.path()), at(0)).expect("opens");
        assert_eq!((report.records_lost, report.orphans), (records_lost, orphans));
        assert_eq!(read(&engine).0, counted);
        assert_eq!(engine.applied(&queue, 1, 0), Some(51));
    }
}
