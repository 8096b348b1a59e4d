//! Searches while records come in and blocks are sealed and merged: each record is found exactly once, at any moment.

use std::sync::atomic::{AtomicBool, Ordering};

use watchfire_log_store::query::parse;
use watchfire_log_store::{EmbeddedStore, Order, SearchRequest, StoreConfig, TimeRange};
use watchfire_model::{Level, LogRecord};

use crate::embedded::append;
use crate::generate::NOW;

const RECORDS: u64 = 6_000;
const BATCH: u64 = 23;

fn record(seq: u64) -> LogRecord {
    LogRecord {
        // Neither ascending nor all different.
        timestamp: NOW.plus_millis((seq * 7919 % 1000) as i64),
        accepted_at: NOW.plus_millis(seq as i64),
        level: Level::from_u8((seq % 8) as u8).unwrap_or_default(),
        message: format!("record {seq} of many{}", if seq.is_multiple_of(5) { " rare" } else { "" }),
        service: "moving".to_owned(),
        id: format!("m{seq}"),
        ..LogRecord::default()
    }
}

#[test]
fn each_record_is_found_once_while_the_store_moves() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { block_rows: 256, pending_blocks_max: 1_000, ..StoreConfig::new(dir.path()) };
    let store = EmbeddedStore::open(config, NOW).expect("opens");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let searchers: Vec<_> =
            ["", "rare", "-rare"].map(|text| scope.spawn(|| search_until(&store, text, &done))).into_iter().collect();
        scope.spawn(|| {
            let mut now = NOW;
            while !done.load(Ordering::Acquire) {
                now = now.plus_millis(1_000);
                store.tick(now);
                std::thread::yield_now();
            }
        });
        for first in (0..RECORDS).step_by(BATCH as usize) {
            let batch: Vec<LogRecord> = (first..RECORDS.min(first + BATCH)).map(record).collect();
            append(&store, first, &batch);
        }
        done.store(true, Ordering::Release);
        let searches: usize = searchers.into_iter().map(|searcher| searcher.join().expect("no check failed")).sum();
        assert!(searches > 0);
    });
    store.close();
}

/// Searches until the writer is done and once more; the number of searches.
fn search_until(store: &EmbeddedStore, text: &str, done: &AtomicBool) -> usize {
    let query = parse(text, NOW).expect("a query");
    let wanted = |seq: &u64| match text {
        "rare" => seq.is_multiple_of(5),
        "-rare" => !seq.is_multiple_of(5),
        _ => true,
    };
    let mut searches = 0;
    loop {
        let last = done.load(Ordering::Acquire);
        let request = SearchRequest {
            limit: RECORDS as usize,
            order: Order::OldestFirst,
            buckets: 10,
            ..SearchRequest::new(query.clone(), TimeRange::ALL)
        };
        let before = store.visible_offset();
        let response = store.search_blocking(&request).expect("an answer");
        let after = store.visible_offset();
        let places: Vec<_> = response.hits.iter().map(|hit| (hit.record.timestamp, hit.seq)).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "oldest first, none twice");
        let mut found: Vec<u64> = response.hits.iter().map(|hit| hit.seq).collect();
        found.sort_unstable();
        let newest = (0..after).filter(wanted).take(found.len()).last().map_or(0, |seq| seq + 1);
        let expected: Vec<u64> = (0..newest).filter(wanted).collect();
        assert_eq!(found, expected, "no record is missing, and none too many");
        assert!(found.len() >= (0..before).filter(wanted).count(), "what was visible before is found");
        assert_eq!(response.total, found.len() as u64);
        assert_eq!(response.levels.iter().sum::<u64>(), response.total);
        let bars = response.histogram.expect("asked for").buckets;
        assert_eq!(bars.iter().map(|bucket| bucket.total).sum::<u64>(), response.total);
        searches += 1;
        if last {
            assert_eq!(response.total, (0..RECORDS).filter(wanted).count() as u64);
            return searches;
        }
    }
}
