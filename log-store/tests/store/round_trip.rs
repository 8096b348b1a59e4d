//! Whatever is put in comes out, from open chunks, sealed blocks, merged blocks and after a restart.

use crate::common::*;
use proptest::prelude::*;
use watchfire_log_store::{Hit, StoreConfig};
use watchfire_model::LogRecord;

fn check(found: Vec<Hit>, records: &[LogRecord], when: &str) {
    assert_eq!(found.len(), records.len(), "{when}");
    for (number, (hit, record)) in found.iter().zip(records).enumerate() {
        assert_eq!(hit.seq, number as u64, "{when}");
        assert_eq!(hit.record, as_read(record), "record {number} {when}");
    }
}

fn put_in_and_out(records: &[LogRecord], block_rows: usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { block_rows, ..config(dir.path()) };
    let store = open(&config);
    let mut offset = 0;
    for batch in records.chunks(7) {
        append(&store, offset, batch);
        offset += batch.len() as u64;
        // Once more: nothing happens.
        append(&store, offset - batch.len() as u64, batch);
    }
    check(all(&store), records, "open");
    store.flush().expect("writes");
    check(all(&store), records, "sealed");
    assert_eq!(store.sealed_offset(), offset);
    // Far in the future all days are over, and everything small is merged.
    store.tick(watchfire_model::Timestamp::from_millis(NOON_MS + 10_000 * DAY_MS));
    store.flush().expect("writes");
    check(all(&store), records, "merged");
    assert_eq!(store.stats().write_errors_total, 0);
    drop(store);
    let store = open(&config);
    assert_eq!(store.visible_offset(), offset);
    check(all(&store), records, "opened again");
    assert!(store.stats().damaged_blocks.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn records_of_every_shape_come_out_as_they_went_in(
        records in prop::collection::vec(record(), 1..120),
        block_rows in prop::sample::select(vec![5usize, 16, 1000]),
    ) {
        put_in_and_out(&records, block_rows);
    }
}

#[test]
fn many_ordinary_records() {
    let records: Vec<LogRecord> = (0..9000).map(simple).collect();
    put_in_and_out(&records, 4000);
}

#[test]
fn hundreds_of_keys_in_each_record() {
    let records: Vec<LogRecord> = (0..300u64)
        .map(|number| {
            let mut record = simple(number);
            for key in 0..200 {
                // Some are in every record, most in a few.
                let name = if key < 50 { format!("key{key}") } else { format!("key{}", key * 40 + number % 40) };
                record.fields.push((name, watchfire_model::Value::Int((number * key) as i64)));
            }
            record
        })
        .collect();
    put_in_and_out(&records, 10_000);
    put_in_and_out(&records, 100);
}
