//! Days are in the archive before they are gone: each record once, whatever happens on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::common::*;
use watchfire_log_store::{EmbeddedStore, StoreConfig};
use watchfire_model::{LogRecord, Timestamp};
use watchfire_test_support::crash::dies_at;

const RECORDS: u64 = 600;
/// Where the child does its work.
const DIR: &str = "ARCHIVE_CRASH_DIR";
const LATER: Timestamp = Timestamp::from_millis(NOON_MS + 2 * DAY_MS);
/// Longest wait for the archive.
const PATIENCE: Duration = Duration::from_secs(120);

fn with_archive(dir: &Path) -> StoreConfig {
    StoreConfig {
        block_rows: 40,
        retention_days: 2,
        archive_dir: Some(dir.join("archive")),
        ..config(&dir.join("logs"))
    }
}

/// Every fourth record is of the day before, every eighth of the day before that.
fn record(number: u64) -> LogRecord {
    let mut record = simple(number);
    let days = u64::from(number.is_multiple_of(4)) + u64::from(number.is_multiple_of(8));
    record.timestamp = record.timestamp.plus_millis(-(days as i64) * DAY_MS);
    record
}

/// Ticks until so much is true.
fn tick_until(store: &EmbeddedStore, now: Timestamp, is_done: impl Fn() -> bool) {
    let begun = Instant::now();
    loop {
        store.tick(now);
        store.flush().expect("works");
        if is_done() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", store.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Appends what is not there, and lets time pass until all but the newest day is gone.
fn live(dir: &Path) {
    live_with(&with_archive(dir));
}

fn live_with(config: &StoreConfig) {
    let store = open(config);
    let from = store.sealed_offset();
    let records: Vec<LogRecord> = (from..RECORDS).map(record).collect();
    for (batch, records) in records.chunks(60).enumerate() {
        append(&store, from + 60 * batch as u64, records);
        store.tick(NOON);
        store.flush().expect("writes");
    }
    tick_until(&store, LATER, || store.stats().records == RECORDS - RECORDS.div_ceil(4));
}

/// Runs in a process of its own, started by a test below.
#[test]
fn child() {
    if let Some(dir) = std::env::var_os(DIR) {
        live(Path::new(&dir));
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join("archive")).expect("the archive");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("readable").path()).collect();
    files.sort();
    files
}

/// How often each id is in the archive, by day.
fn archived(dir: &Path) -> BTreeMap<(String, String), u32> {
    let mut ids = BTreeMap::new();
    for path in files(dir) {
        let day = path.file_name().and_then(|name| name.to_str()).expect("a name")[5..15].to_owned();
        let bytes = zstd::decode_all(std::fs::File::open(&path).expect("readable")).expect("whole");
        for line in String::from_utf8(bytes).expect("text").lines() {
            let document: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(document["timestamp"].as_str().expect("a time").starts_with(&day), "{line}");
            *ids.entry((day.clone(), document["id"].as_str().expect("an id").to_owned())).or_default() += 1;
        }
    }
    ids
}

fn expected(numbers: impl Iterator<Item = u64>) -> BTreeMap<(String, String), u32> {
    numbers.map(record).map(|record| ((record.timestamp.to_rfc3339()[..10].to_owned(), record.id), 1)).collect()
}

#[test]
fn a_day_is_in_the_archive_once_wherever_the_process_dies() {
    // Both days may go in one drop.
    for what in [
        "log_store.archive:1",
        "log_store.archive:2",
        "log_store.retention:1",
        "log_store.merge:1",
        "log_store.merge:2",
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(dies_at("archive::child", DIR, dir.path(), what), "{what}");
        live(dir.path());
        assert_eq!(archived(dir.path()), expected((0..RECORDS).step_by(4)), "{what}");
    }
}

#[test]
fn what_comes_late_gets_a_file_of_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    live(dir.path());
    let first = files(dir.path());
    assert_eq!(first.len(), 2, "{first:?}");
    let store = open(&with_archive(dir.path()));
    append(&store, RECORDS, &[record(RECORDS)]);
    store.flush().expect("writes");
    tick_until(&store, LATER, || store.stats().expired_records_total == 1);
    assert_eq!(store.stats().archived_records_total, 1);
    assert_eq!(archived(dir.path()), expected((0..=RECORDS).step_by(4)));
    let files = files(dir.path());
    assert!(files.len() == 3 && first.iter().all(|file| files.contains(file)), "{files:?} of {first:?}");
}

#[test]
fn stores_that_share_a_folder_keep_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    live(dir.path());
    live_with(&StoreConfig { dir: dir.path().join("other"), ..with_archive(dir.path()) });
    let mut twice = expected((0..RECORDS).step_by(4));
    twice.values_mut().for_each(|times| *times = 2);
    assert_eq!(archived(dir.path()), twice);
}

#[test]
fn a_block_that_cannot_be_read_is_told_and_tried_again_and_costs_the_others_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = with_archive(dir.path());
    let store = open(&config);
    let records: Vec<LogRecord> = (0..RECORDS).map(record).collect();
    append(&store, 0, &records);
    store.tick(NOON);
    store.flush().expect("writes");
    drop(store);
    let day = std::fs::read_dir(config.dir.join("2023-12-30")).expect("the oldest day");
    let block = day.map(|file| file.expect("readable").path()).min().expect("a block");
    let mut bytes = std::fs::read(&block).expect("readable");
    let half = bytes.len() / 2;
    bytes[16..half].fill(0xff);
    std::fs::write(&block, bytes).expect("writable");
    let store = open(&config);
    tick_until(&store, LATER, || store.stats().last_write_error.is_some());
    assert!(store.stats().damaged_blocks.is_empty(), "that may pass");
    tick_until(&store, LATER, || store.stats().expired_records_total == RECORDS.div_ceil(4));
    assert_eq!((store.stats().last_write_error, store.stats().archived_records_total > 0), (None, true));
    let (found, all) = (archived(dir.path()), expected((0..RECORDS).step_by(4)));
    assert!(found.len() < all.len() && found.iter().all(|(id, times)| all.get(id) == Some(times)), "{}", found.len());
}

#[test]
fn nothing_is_dropped_while_the_archive_cannot_be_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&with_archive(dir.path()));
    let records: Vec<LogRecord> = (0..RECORDS).map(record).collect();
    append(&store, 0, &records);
    store.flush().expect("writes");
    // A file where the folder was.
    std::fs::remove_dir(dir.path().join("archive")).expect("empty");
    std::fs::write(dir.path().join("archive"), "").expect("writable");
    tick_until(&store, LATER, || store.stats().last_write_error.is_some());
    let stats = store.stats();
    assert_eq!((stats.records, stats.expired_records_total), (RECORDS, 0));
    assert!(
        stats.last_write_error.as_ref().is_some_and(|error| error.contains("the archive of 2023-12-3")),
        "{stats:?}"
    );
    // What is too old is still there, so retention has not been done.
    let later = LATER.plus_millis(1);
    store.tick(later);
    store.flush().expect("writes");
    assert!(store.stats().last_upkeep < Some(later), "{:?}", store.stats().last_upkeep);
    std::fs::remove_file(dir.path().join("archive")).expect("removable");
    std::fs::create_dir(dir.path().join("archive")).expect("makable");
    tick_until(&store, LATER, || store.stats().expired_records_total == RECORDS.div_ceil(4));
    assert_eq!(archived(dir.path()), expected((0..RECORDS).step_by(4)));
    assert_eq!(store.stats().last_write_error, None);
    store.tick(later);
    store.flush().expect("writes");
    assert_eq!(store.stats().last_upkeep, Some(later));
}

#[test]
fn the_disk_limit_waits_for_the_archive() {
    let dir = tempfile::tempdir().expect("a folder");
    let unlimited = with_archive(dir.path());
    let store = open(&unlimited);
    let records: Vec<LogRecord> = (0..RECORDS).map(record).collect();
    append(&store, 0, &records);
    store.flush().expect("writes");
    // Merges are done with then.
    store.tick(NOON);
    store.flush().expect("writes");
    let bytes = store.stats().disk_bytes;
    drop(store);
    let store = open(&StoreConfig { disk_limit_bytes: bytes - 1, ..unlimited });
    tick_until(&store, NOON, || store.stats().dropped_records_total > 0);
    let dropped = RECORDS - store.stats().records;
    assert_eq!(dropped, RECORDS.div_ceil(8), "the oldest day went");
    assert_eq!(archived(dir.path()), expected((0..RECORDS).step_by(8)));
}
