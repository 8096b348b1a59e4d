//! Folders of earlier versions open, are searched and go on; blocks of now are guarded byte by byte.

use std::path::Path;

use crate::common::*;
use watchfire_log_store::{LogStore, StoreConfig};
use watchfire_model::LogRecord;

/// Records in the kept folder: those of [`simple`], sealed as blocks of 600 rows.
const KEPT: u64 = 1500;

/// `tests/data/v1` was written by the last program before templates.
#[test]
fn a_folder_of_version_1_is_searched_appended_to_and_merged() {
    let dir = tempfile::tempdir().expect("a folder");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1"), dir.path());
    let config = StoreConfig { block_rows: 5000, ..config(dir.path()) };
    let store = open(&config);
    assert_eq!((store.sealed_offset(), store.stats().damaged_blocks.len()), (KEPT, 0));
    let check = |wanted: u64, store: &watchfire_log_store::EmbeddedStore| {
        let found = all(store);
        assert_eq!(found.len() as u64, wanted);
        for (number, hit) in found.iter().enumerate() {
            assert_eq!((hit.seq, &hit.record), (number as u64, &simple(number as u64)));
        }
        let both = search(store, "\"request 777 took\" OR message:/request 12[0-9]{2} took 99 ms/");
        let expected = (0..wanted).filter(|number| {
            let message = simple(*number).message;
            message.starts_with("request 777 ")
                || message.starts_with("request 12") && message.ends_with(" took 99 ms") && message.len() == 25
        });
        assert_eq!(both.total, expected.count() as u64);
    };
    check(KEPT, &store);
    let more: Vec<LogRecord> = (KEPT..KEPT + 700).map(simple).collect();
    append(&store, KEPT, &more);
    store.flush().expect("writes");
    check(KEPT + 700, &store);
    store.tick(watchfire_model::Timestamp::from_millis(NOON_MS + 10 * DAY_MS));
    store.flush().expect("merges");
    assert!(store.stats().merges_total > 0);
    check(KEPT + 700, &store);
    drop(store);
    check(KEPT + 700, &open(&config));
}

/// A flipped byte anywhere, in templates and values too, costs its block and nothing else, and is told.
#[tokio::test]
async fn a_flipped_byte_of_templates_is_an_error_of_its_block() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { block_rows: 300, ..config(dir.path()) };
    let store = open(&config);
    let records: Vec<LogRecord> = (0..600).map(simple).collect();
    append(&store, 0, &records);
    store.flush().expect("writes");
    let day = std::fs::read_dir(dir.path()).expect("a folder").flatten().find(|entry| entry.path().is_dir());
    let mut blocks: Vec<_> =
        std::fs::read_dir(day.expect("a day").path()).expect("a folder").flatten().map(|entry| entry.path()).collect();
    blocks.sort();
    let whole = std::fs::read(&blocks[0]).expect("readable");
    drop(store);
    let mut told = 0;
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&blocks[0], &bytes).expect("writable");
        // Nothing of the templates may be known from before.
        let store = open(&config);
        for text in ["", "took", "\"request 17 took\"", "message:/request [0-9]+7 took/", "-took"] {
            let (found, good) = (search(&store, text), search(&store, text).hits);
            assert!(good.iter().all(|hit| hit.record == records[hit.seq as usize]), "byte {at}");
            if text == "took" && found.total < 600 {
                assert_eq!((found.total, found.total_exact), (300, false), "byte {at}");
                assert!(!store.health().await.ok, "byte {at}");
                told += 1;
            }
        }
    }
    assert!(told > 3, "{told}");
}
