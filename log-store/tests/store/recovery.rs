//! Crashes and damage: what was sealed is there, the queue brings the rest, nothing is there twice, and what cannot
//! be read is reported.

use std::path::{Path, PathBuf};

use crate::common::*;
use watchfire_log_store::embedded::{AppendError, OpenError};
use watchfire_log_store::facets::FacetsRequest;
use watchfire_log_store::query::Field;
use watchfire_log_store::stats::StatsRequest;
use watchfire_log_store::{EmbeddedStore, LogStore, Order, SearchRequest, StoreConfig, TimeRange};
use watchfire_model::{LogRecord, Timestamp};

const RECORDS: u64 = 400;

/// Every third record is of the day before.
fn records() -> Vec<LogRecord> {
    let of = |number| {
        let mut record = simple(number);
        if number.is_multiple_of(3) {
            record.timestamp = record.timestamp.plus_millis(-DAY_MS);
        }
        record
    };
    (0..RECORDS).map(of).collect()
}

fn small(dir: &Path) -> StoreConfig {
    StoreConfig { block_rows: 50, ..config(dir) }
}

/// A store with everything sealed, some of it merged; gives the offset that the queue was told to forget.
fn filled(dir: &Path) -> u64 {
    let store = open(&small(dir));
    let records = records();
    append(&store, 0, &records[..320]);
    store.flush().expect("writes");
    store.tick(Timestamp::from_millis(NOON_MS + 10 * DAY_MS));
    append(&store, 320, &records[320..]);
    store.flush().expect("writes");
    assert!(store.stats().merges_total > 0);
    store.sealed_offset()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Opens, replays what the queue still has, and wants every record once.
fn replay_and_check(dir: &Path, released: u64, what: &str) {
    replay_and_check_damages(dir, released, None, what);
}

/// The same, with so many manifests that are told to be damaged.
fn replay_and_check_damages(dir: &Path, released: u64, damaged_manifests: Option<u64>, what: &str) {
    let store = open(&small(dir));
    if let Some(wanted) = damaged_manifests {
        assert_eq!(store.stats().damaged_manifests, wanted, "{what}");
    }
    let from = store.sealed_offset().max(released);
    append(&store, from, &records()[from as usize..]);
    let found = all(&store);
    let expected = records();
    assert_eq!(found.iter().map(|hit| hit.seq).collect::<Vec<_>>(), (0..RECORDS).collect::<Vec<_>>(), "{what}");
    assert!(found.iter().zip(&expected).all(|(hit, record)| hit.record == *record), "{what}");
    // And the files are in order: once more.
    store.flush().expect("writes");
    drop(store);
    let store = open(&small(dir));
    assert_eq!((all(&store).len() as u64, store.sealed_offset()), (RECORDS, RECORDS), "{what}, again");
}

#[test]
fn what_is_not_sealed_is_replayed() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&small(dir.path()));
    append(&store, 0, &records()[..175]);
    // Some blocks are sealed in the background, the rest is gone with the store.
    drop(store);
    replay_and_check(dir.path(), 0, "after a crash");
}

#[test]
fn a_manifest_cut_anywhere_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let released = filled(dir.path());
    let whole = std::fs::read(dir.path().join("MANIFEST")).expect("readable");
    // Between two edits, too, where the rest looks sound.
    let edits: Vec<usize> = (0..whole.len() - 4).filter(|at| whole[*at..].starts_with(b"WFME")).collect();
    assert!(edits.len() > 3, "{edits:?}");
    for length in (0..whole.len()).step_by(23).chain(edits).chain([whole.len() - 1, whole.len()]) {
        let other = tempfile::tempdir().expect("a folder");
        copy(dir.path(), other.path());
        std::fs::write(other.path().join("MANIFEST"), &whole[..length]).expect("writable");
        replay_and_check(other.path(), released, &format!("manifest cut to {length} of {}", whole.len()));
    }
}

#[test]
fn a_manifest_with_a_flipped_byte_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let released = filled(dir.path());
    let whole = std::fs::read(dir.path().join("MANIFEST")).expect("readable");
    for at in (0..16).chain((16..whole.len()).step_by(29)) {
        let other = tempfile::tempdir().expect("a folder");
        copy(dir.path(), other.path());
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(other.path().join("MANIFEST"), &bytes).expect("writable");
        replay_and_check_damages(other.path(), released, Some(1), &format!("byte {at} of the manifest"));
    }
}

#[test]
fn without_a_manifest_the_blocks_tell() {
    let dir = tempfile::tempdir().expect("a folder");
    let released = filled(dir.path());
    std::fs::remove_file(dir.path().join("MANIFEST")).expect("removed");
    replay_and_check(dir.path(), released, "no manifest");
}

#[test]
fn files_that_nobody_names_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let released = filled(dir.path());
    let block = files(dir.path()).into_iter().find(|path| path.extension().is_some()).expect("a block");
    let half = std::fs::read(&block).expect("readable");
    let stray = block.with_file_name("00000000000fffff.wfb");
    std::fs::write(&stray, &half[..half.len() / 2]).expect("writable");
    std::fs::create_dir(dir.path().join("2020-01-01")).expect("a folder");
    replay_and_check(dir.path(), released, "with a stray file");
    assert!(!stray.exists() && !dir.path().join("2020-01-01").exists());
}

/// What searches, facets and figures of a query answer, and whether they say that it is all.
fn answers(store: &EmbeddedStore, text: &str) -> Vec<(String, bool)> {
    let mut answers = Vec::new();
    for (limit, order) in
        [(10_000, Order::NewestFirst), (5, Order::NewestFirst), (5, Order::OldestFirst), (0, Order::NewestFirst)]
    {
        let request = SearchRequest { limit, order, buckets: 7, ..SearchRequest::new(query(text), TimeRange::ALL) };
        let found = store.search_blocking(&request).expect("answers");
        let all = (found.total, &found.hits, &found.histogram, found.levels);
        answers.push((format!("{all:?}"), found.total_exact));
    }
    let facets = store.facets_blocking(&FacetsRequest::new(query(text), TimeRange::ALL)).expect("answers");
    answers.push((format!("{:?}", (facets.total, &facets.facets)), facets.total_exact));
    let by = vec![Field::parse("service").expect("a field")];
    let stats = StatsRequest { by, ..StatsRequest::new(query(text), TimeRange::ALL) };
    let stats = store.stats_blocking(&stats).expect("answers");
    answers.push((format!("{:?}", stats.rows), stats.is_exact));
    answers
}

#[test]
fn a_flipped_byte_of_a_block_is_reported_and_the_rest_served() {
    let dir = tempfile::tempdir().expect("a folder");
    filled(dir.path());
    let blocks: Vec<PathBuf> = files(dir.path()).into_iter().filter(|path| path.extension().is_some()).collect();
    assert!(blocks.len() > 2);
    let block = &blocks[1];
    let whole = std::fs::read(block).expect("readable");
    let expected = records();
    let rows_of_block = {
        let store = open(&small(dir.path()));
        let all_rows = all(&store).len() as u64;
        drop(store);
        std::fs::write(block, []).expect("writable");
        let store = open(&small(dir.path()));
        assert_eq!(store.stats().damaged_blocks, [block.as_path()]);
        let rows = all_rows - all(&store).len() as u64;
        std::fs::write(block, &whole).expect("writable");
        rows
    };
    let store = open(&small(dir.path()));
    let of_others = ["", "request 17", "service:web level:error", "duration_ms:>500", "request", "-service:api"]
        .map(|text| (text, answers(&store, text)));
    let mut reported = 0;
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x21;
        std::fs::write(block, &bytes).expect("writable");
        let response = search(&store, "");
        for hit in &response.hits {
            assert_eq!(hit.record, expected[hit.seq as usize], "byte {at}");
        }
        assert!(response.hits.len() as u64 + rows_of_block >= RECORDS, "byte {at}");
        if (response.hits.len() as u64) < RECORDS {
            assert!(!response.total_exact && response.cost.damaged_blocks > 0, "byte {at}");
            reported += 1;
        }
        // Queries of other columns, words and counts do not fail either, and say so when something is left out.
        let store = open(&small(dir.path()));
        for (text, wanted) in &of_others {
            let found = answers(&store, text);
            for (number, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                assert!(found.0 == wanted.0 || !found.1, "byte {at}, {text}, {number}: {found:?} for {wanted:?}");
            }
        }
    }
    assert!(reported > 20, "{reported}");
    assert_eq!(store.stats().damaged_blocks, [block.as_path()], "what a search found shows in the store's health");
}

/// The bytes of a block that no checksum covers: magic and version at its start and at its end.
#[tokio::test]
async fn damaged_ends_of_a_block_are_reported_and_nothing_is_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let released = filled(dir.path());
    // Of the last day: those of the day before are merged when the store opens, and are whole again then.
    let block = files(dir.path()).into_iter().rfind(|path| path.extension().is_some()).expect("a block");
    let whole = std::fs::read(&block).expect("readable");
    let version_at_end = whole.len() - 12;
    for at in (0..12).chain(version_at_end..version_at_end + 4) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&block, &bytes).expect("writable");
        let store = open(&small(dir.path()));
        let found = search(&store, "request");
        assert_eq!((found.total, found.total_exact), (RECORDS, true), "byte {at}");
        assert_eq!(store.stats().damaged_blocks, [block.as_path()], "byte {at}");
        assert!(!store.health().await.ok, "byte {at}");
        drop(store);
        // Nobody names it: a version that nobody wrote does not keep the store from opening.
        let other = tempfile::tempdir().expect("a folder");
        copy(dir.path(), other.path());
        std::fs::remove_file(other.path().join("MANIFEST")).expect("removed");
        replay_and_check(other.path(), released, &format!("byte {at} of {}", whole.len()));
    }
}

#[tokio::test]
async fn a_missing_block_is_reported() {
    let dir = tempfile::tempdir().expect("a folder");
    filled(dir.path());
    let blocks: Vec<PathBuf> = files(dir.path()).into_iter().filter(|path| path.extension().is_some()).collect();
    std::fs::remove_file(&blocks[0]).expect("removed");
    let store = open(&small(dir.path()));
    assert_eq!(store.stats().damaged_blocks, blocks[..1]);
    // Also where only the counts of the blocks are asked, which the manifest has.
    for (limit, order) in [(0, Order::NewestFirst), (1, Order::NewestFirst), (10_000, Order::OldestFirst)] {
        let request = SearchRequest { limit, order, ..SearchRequest::new(query(""), TimeRange::ALL) };
        let found = store.search_blocking(&request).expect("answers");
        assert_eq!((found.total_exact, found.cost.damaged_blocks), (false, 1), "limit {limit}");
    }
    let health = store.health().await;
    assert!(!health.ok && health.problems.iter().any(|problem| problem.contains("damaged")), "{health:?}");
}

#[test]
fn a_folder_of_a_later_version_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    filled(dir.path());
    let path = dir.path().join("MANIFEST");
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[8] = 200;
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, &bytes).expect("writable");
    match EmbeddedStore::open(small(dir.path()), NOON) {
        Err(OpenError::Newer { version: 200, what }) => assert!(what.ends_with("MANIFEST")),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn days_beyond_the_retention_go_and_others_stay() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { retention_days: 2, ..small(dir.path()) };
    let store = open(&config);
    append(&store, 0, &records());
    store.flush().expect("writes");
    store.tick(Timestamp::from_millis(NOON_MS + DAY_MS));
    store.flush().expect("done");
    assert_eq!(all(&store).len() as u64, RECORDS);
    // The day before ends two days earlier.
    store.tick(Timestamp::from_millis(NOON_MS + 2 * DAY_MS));
    store.flush().expect("done");
    let left = all(&store);
    assert!(left.iter().all(|hit| !hit.seq.is_multiple_of(3)) && left.len() as u64 == RECORDS - RECORDS.div_ceil(3));
    assert_eq!(store.stats().expired_records_total, RECORDS.div_ceil(3));
    assert!(!dir.path().join("2023-12-31").exists() && dir.path().join("2024-01-01").exists());
    drop(store);
    let store = open(&config);
    assert_eq!(all(&store), left);
    assert_eq!(store.sealed_offset(), RECORDS);
}

#[test]
fn the_disk_limit_drops_the_oldest_and_counts_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&small(dir.path()));
    append(&store, 0, &records());
    store.flush().expect("writes");
    let bytes = store.stats().disk_bytes;
    drop(store);
    let limited = StoreConfig { disk_limit_bytes: bytes - 1, ..small(dir.path()) };
    let store = open(&limited);
    store.tick(NOON);
    store.flush().expect("done");
    let stats = store.stats();
    assert!(stats.disk_bytes < bytes);
    assert_eq!(stats.dropped_records_total, RECORDS.div_ceil(3), "the day before went");
    assert!(all(&store).iter().all(|hit| !hit.seq.is_multiple_of(3)));
    drop(store);
    // A single day loses its oldest blocks only.
    let limited = StoreConfig { disk_limit_bytes: stats.disk_bytes - 1, ..small(dir.path()) };
    let store = open(&limited);
    store.tick(NOON);
    store.flush().expect("done");
    let left = all(&store);
    assert!(!left.is_empty() && (left.len() as u64) < RECORDS - RECORDS.div_ceil(3));
    assert_eq!(left.last().map(|hit| hit.seq), Some(RECORDS - 2));
}

#[test]
fn a_folder_that_cannot_be_written_holds_appending_up_and_nothing_is_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { pending_blocks_max: 2, ..small(dir.path()) };
    let store = open(&config);
    // Where the folder of the day should be is a file.
    let in_the_way = [dir.path().join("2024-01-01"), dir.path().join("2023-12-31")];
    in_the_way.iter().for_each(|path| std::fs::write(path, b"").expect("writable"));
    let bytes: Vec<Vec<u8>> = records().iter().map(encode).collect();
    let error = store.append(0, bytes.iter().map(Vec::as_slice)).expect_err("is behind");
    assert!(matches!(&error, AppendError::Behind { pending: 2, reason: Some(_) }), "{error}");
    // What was taken is found all the same.
    assert_eq!(all(&store).len() as u64, store.visible_offset());
    assert!(store.stats().last_write_error.is_some() && store.stats().write_errors_total > 0);
    // Upkeep that has nothing to do does not make a store good that cannot write.
    store.tick(NOON);
    while store.stats().last_upkeep != Some(NOON) {
        std::thread::yield_now();
    }
    assert!(store.stats().last_write_error.is_some());
    in_the_way.iter().for_each(|path| std::fs::remove_file(path).expect("removed"));
    while let Err(error) = store.append(0, bytes.iter().map(Vec::as_slice)) {
        assert!(matches!(error, AppendError::Behind { .. }), "{error}");
    }
    while store.flush().is_err() {}
    assert_eq!(all(&store).len() as u64, RECORDS);
    assert_eq!((store.sealed_offset(), store.stats().last_write_error), (RECORDS, None));
}

#[test]
fn upkeep_that_fails_is_known_by_its_last_success() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&small(dir.path()));
    append(&store, 0, &records());
    store.flush().expect("done");
    store.tick(NOON);
    store.flush().expect("done");
    assert_eq!(store.stats().last_upkeep, Some(NOON));
    // Two small blocks, which are merged when the day is over; where the merged block should be is a folder.
    for first in [RECORDS, RECORDS + 5] {
        append(&store, first, &(first..first + 5).map(simple).collect::<Vec<_>>());
        store.flush().expect("done");
    }
    let id = |path: &PathBuf| u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok();
    let newest = files(dir.path()).iter().filter_map(id).max().expect("a block");
    let in_the_way = dir.path().join(format!("2024-01-01/{:016x}.wfb", newest + 1));
    std::fs::create_dir(&in_the_way).expect("made");
    let later = Timestamp::from_millis(NOON_MS + DAY_MS);
    store.tick(later);
    // It fails, whatever it says of what was to be sealed.
    let _ = store.flush();
    let stats = store.stats();
    assert_eq!(stats.last_upkeep, Some(NOON), "{:?}", stats.last_write_error);
    assert!(stats.last_write_error.is_some());
    std::fs::remove_dir(&in_the_way).expect("removed");
    store.tick(later.plus_millis(1));
    store.flush().expect("done");
    let stats = store.stats();
    assert_eq!((stats.last_upkeep, stats.last_write_error), (Some(later.plus_millis(1)), None));
}

#[test]
fn damaged_records_are_counted_and_left_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&small(dir.path()));
    let good = encode(&simple(1));
    let report = store.append(5, [&good[..], b"\x07nonsense", &good[..10], &good[..]]).expect("takes");
    assert_eq!((report.appended, report.damaged, report.visible_offset), (2, 2, 9));
    assert_eq!(all(&store).iter().map(|hit| hit.seq).collect::<Vec<_>>(), [5, 8]);
    store.flush().expect("writes");
    assert_eq!((all(&store).len(), store.sealed_offset(), store.stats().damaged_records_total), (2, 9, 2));
}

/// Whether a search, facets and figures over a range say that they are exact; they must agree.
fn is_exact(store: &EmbeddedStore, start_ms: i64, end_ms: i64) -> bool {
    let range = TimeRange { start: Timestamp::from_millis(start_ms), end: Timestamp::from_millis(end_ms) };
    let found = store.search_blocking(&SearchRequest::new(query(""), range)).expect("answers").total_exact;
    let facets = store.facets_blocking(&FacetsRequest::new(query(""), range)).expect("answers").total_exact;
    let figures = store.stats_blocking(&StatsRequest::new(query(""), range)).expect("answers").is_exact;
    assert_eq!((facets, figures), (found, found));
    found
}

#[test]
fn totals_are_not_exact_until_what_is_expected_is_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&config(dir.path()));
    store.expect_until(20);
    assert!(!is_exact(&store, i64::MIN, i64::MAX));
    append(&store, 0, &(0..19).map(simple).collect::<Vec<_>>());
    assert!(!is_exact(&store, i64::MIN, i64::MAX));
    append(&store, 19, &[simple(19)]);
    assert!(is_exact(&store, i64::MIN, i64::MAX));
}

#[test]
fn totals_are_not_exact_where_the_queue_has_lost_records() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { retention_days: 5, ..config(dir.path()) };
    let (first, last) = (NOON_MS, NOON_MS + 10 * 100);
    let check = |store: &EmbeddedStore, what: &str| {
        assert_eq!(store.stats().lost_records, 9, "{what}");
        assert!(!is_exact(store, i64::MIN, i64::MAX), "{what}");
        assert!(!is_exact(store, first, last), "{what}");
        assert!(is_exact(store, last + 2 * DAY_MS, last + 3 * DAY_MS), "{what}");
        assert!(is_exact(store, first - 3 * DAY_MS, first - 2 * DAY_MS), "{what}");
    };
    let store = open(&config);
    append(&store, 0, &(0..50).map(simple).collect::<Vec<_>>());
    assert!(is_exact(&store, i64::MIN, i64::MAX));
    store.flush().expect("writes");
    drop(store);
    // Eight are gone from the queue, and one cannot be read, the last before the block is sealed.
    let store = open(&config);
    append(&store, 58, &(58..100).map(simple).collect::<Vec<_>>());
    store.append(100, [&b"nonsense"[..]]).expect("takes");
    assert_eq!(store.stats().lost_records, 8);
    store.flush().expect("writes");
    check(&store, "sealed");
    drop(store);
    check(&open(&config), "opened again");
    // As after a crash before the manifest named the last block.
    let manifest = dir.path().join("MANIFEST");
    let bytes = std::fs::read(&manifest).expect("readable");
    let last_edit = bytes.windows(4).rposition(|window| window == b"WFME").expect("an edit");
    std::fs::write(&manifest, &bytes[..last_edit]).expect("writable");
    let store = open(&config);
    assert_eq!((store.sealed_offset(), store.stats().damaged_manifests), (101, 0));
    check(&store, "named anew");
    // When they would be gone by now, nothing is missing any more.
    store.tick(Timestamp::from_millis(last + 7 * DAY_MS));
    store.flush().expect("done");
    assert_eq!(store.stats().lost_records, 0);
    assert!(is_exact(&store, i64::MIN, i64::MAX));
}

#[tokio::test]
async fn records_are_got_by_number_and_by_id() {
    let dir = tempfile::tempdir().expect("a folder");
    filled(dir.path());
    let store = open(&small(dir.path()));
    append(&store, RECORDS, &[simple(RECORDS)]);
    for number in [0, 57, 399, RECORDS] {
        let wanted = if number == RECORDS { simple(number) } else { records()[number as usize].clone() };
        let hit = store.get(number).await.expect("answers").expect("is there");
        assert_eq!((hit.seq, &hit.record), (number, &wanted));
        let by_id = store.get_by_id(wanted.id.clone()).await.expect("answers").expect("is there");
        assert_eq!(by_id, hit);
        assert_eq!(store.get_by_id(wanted.id.to_uppercase() + "x").await, Ok(None));
    }
    assert_eq!(store.get(RECORDS + 1).await, Ok(None));
    store.wait_visible(RECORDS).await;
}

#[tokio::test]
async fn limits_are_kept() {
    use watchfire_log_store::SearchError;
    let dir = tempfile::tempdir().expect("a folder");
    filled(dir.path());
    let store = open(&small(dir.path()));
    let request = SearchRequest { limit: 400, ..SearchRequest::new(query(""), TimeRange::ALL) };
    let none = SearchRequest { time_limit: std::time::Duration::ZERO, ..request.clone() };
    assert!(matches!(store.search(none).await, Err(SearchError::TimedOut { .. })));
    let little = SearchRequest { memory_limit_bytes: 10_000, ..request.clone() };
    assert_eq!(store.search(little).await, Err(SearchError::Memory { limit: 10_000 }));
    store.close();
    assert_eq!(store.search(request).await.expect("answers").total, RECORDS);
    assert_eq!(store.append(RECORDS, [encode(&simple(1)).as_slice()]).map(|report| report.appended), Ok(1));
    assert!(store.flush().is_err());
}
