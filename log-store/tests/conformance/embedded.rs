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

#[tokio::test]
async fn open() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(StoreConfig::new(dir.path()), now()).expect("opens");
    append(&store, 0, &suite::records());
    suite::run(&store).await;
    suite::run_growing(&store, async |first, records: &[LogRecord]| append(&store, first, records)).await;
}
