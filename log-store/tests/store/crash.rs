//! The process dies at each place where the store's files change; what was appended is found once afterwards.

use std::path::Path;

use crate::common::*;
use watchfire_log_store::StoreConfig;
use watchfire_model::{LogRecord, Timestamp};
use watchfire_test_support::crash::dies_at;

const RECORDS: u64 = 600;
/// Where the child does its work.
const DIR: &str = "STORE_CRASH_DIR";
const LATER: Timestamp = Timestamp::from_millis(NOON_MS + 2 * DAY_MS);

fn small(dir: &Path) -> StoreConfig {
    StoreConfig { block_rows: 40, retention_days: 2, ..config(dir) }
}

/// Every fourth record is of the day before, which is beyond the retention in the end.
fn record(number: u64) -> LogRecord {
    let mut record = simple(number);
    if number.is_multiple_of(4) {
        record.timestamp = record.timestamp.plus_millis(-DAY_MS);
    }
    record
}

fn live(dir: &Path) {
    let store = open(&small(dir));
    let records: Vec<LogRecord> = (0..RECORDS).map(record).collect();
    let mut from = store.sealed_offset() as usize;
    for batch in records[from..].chunks(60) {
        append(&store, from as u64, batch);
        from += batch.len();
        store.tick(NOON);
        store.flush().expect("writes");
    }
    store.tick(LATER);
    store.flush().expect("writes");
}

/// Runs in a process of its own, started by the test below.
#[test]
fn child() {
    if let Some(dir) = std::env::var_os(DIR) {
        live(Path::new(&dir));
    }
}

/// Runs the child until it dies or ends; true if it died.
fn dies(dir: &Path, failpoint: &str) -> bool {
    dies_at("crash::child", DIR, dir, failpoint)
}

#[test]
fn nothing_is_lost_or_doubled_wherever_the_process_dies() {
    let places = ["log_store.seal_before_manifest", "log_store.manifest", "log_store.merge", "log_store.retention"];
    for place in places {
        let mut deaths = 0;
        for hit in [1, 2, 3, 7] {
            let dir = tempfile::tempdir().expect("a folder");
            let what = format!("{place}:{hit}");
            if !dies(dir.path(), &what) {
                continue;
            }
            deaths += 1;
            {
                // As it was left: everything below the sealed offset, each once. What has expired may be gone.
                let store = open(&small(dir.path()));
                let found: Vec<u64> = all(&store).iter().map(|hit| hit.seq).collect();
                let fresh: Vec<u64> = found.iter().copied().filter(|seq| !seq.is_multiple_of(4)).collect();
                assert_eq!(
                    fresh,
                    (0..store.sealed_offset()).filter(|seq| !seq.is_multiple_of(4)).collect::<Vec<_>>(),
                    "{what}"
                );
                assert!(found.is_sorted_by(|a, b| a < b), "{what}");
            }
            // And it goes on from there.
            live(dir.path());
            let found: Vec<_> = all(&open(&small(dir.path())));
            assert_eq!(found.len() as u64, RECORDS - RECORDS / 4, "{what}");
            assert!(found.iter().all(|hit| !hit.seq.is_multiple_of(4) && hit.record == record(hit.seq)), "{what}");
        }
        assert!(deaths > 0, "{place} was never reached");
    }
}
