//! The suite on the embedded store, in each state that its records can be in.

use watchfire_log_store::{EmbeddedStore, StoreConfig};
use watchfire_model::{LogRecord, Timestamp};

use crate::naive::encoded;
use crate::suite;

fn now() -> Timestamp {
    Timestamp::parse_date_time(suite::NOW).expect("a time")
}

/// Puts records into a store, under numbers from `first` on.
pub fn append(store: &EmbeddedStore, first: u64, records: &[LogRecord]) {
    let encoded: Vec<Vec<u8>> = records.iter().map(encoded).collect();
    let report = store.append(first, encoded.iter().map(Vec::as_slice)).expect("the store takes records");
    assert_eq!((report.damaged, report.visible_offset), (0, first + records.len() as u64));
}

fn opened(dir: &std::path::Path, block_rows: usize) -> EmbeddedStore {
    let config = StoreConfig { block_rows, pending_blocks_max: 1_000, ..StoreConfig::new(dir) };
    EmbeddedStore::open(config, now()).expect("opens")
}

async fn run(store: &EmbeddedStore) {
    suite::run(store).await;
    suite::run_growing(store, async |first, records: &[LogRecord]| append(store, first, records)).await;
}

#[tokio::test]
async fn open() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = opened(dir.path(), 65_536);
    append(&store, 0, &suite::records());
    assert_eq!(store.stats().sealed_records, 0);
    run(&store).await;
}

#[tokio::test]
async fn sealed_in_one_block_a_day() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = opened(dir.path(), 65_536);
    let records = suite::records();
    append(&store, 0, &records);
    store.flush().expect("sealed");
    assert_eq!(store.stats().sealed_records, records.len() as u64);
    run(&store).await;
}

#[tokio::test]
async fn sealed_in_small_blocks_and_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = opened(dir.path(), 5);
    let records = suite::records();
    append(&store, 0, &records[..23]);
    store.flush().expect("sealed");
    append(&store, 23, &records[23..]);
    run(&store).await;
}

#[tokio::test]
async fn merged_and_read_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let records = suite::records();
    {
        let store = opened(dir.path(), 1_000);
        for (first, record) in records.iter().enumerate() {
            append(&store, first as u64, std::slice::from_ref(record));
            store.flush().expect("sealed");
        }
        // Days that are over are merged whole.
        store.tick(now().plus_millis(3 * 86_400_000));
        store.flush().expect("merged");
        let stats = store.stats();
        assert!(stats.merges_total > 0 && stats.sealed_blocks < 10, "{stats:?}");
        suite::run(&store).await;
        store.close();
    }
    let store = opened(dir.path(), 1_000);
    assert_eq!(store.sealed_offset(), records.len() as u64);
    run(&store).await;
}

#[tokio::test]
async fn replayed_from_the_queue() {
    let dir = tempfile::tempdir().expect("a folder");
    let records = suite::records();
    {
        let store = opened(dir.path(), 65_536);
        append(&store, 0, &records[..17]);
        store.flush().expect("sealed");
        append(&store, 17, &records[17..]);
    }
    let store = opened(dir.path(), 65_536);
    assert_eq!((store.sealed_offset(), store.visible_offset()), (17, 17));
    append(&store, 17, &records[17..]);
    run(&store).await;
}
