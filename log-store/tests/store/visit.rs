//! Visits see every record of a range once, wherever it lies: merged, sealed, or still open.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::common::*;
use watchfire_log_store::embedded::VisitRange;
use watchfire_log_store::{EmbeddedStore, StoreConfig, TimeRange};
use watchfire_model::{LogRecord, Timestamp};

const RECORDS: u64 = 420;

/// Each happened up to ten seconds, every third a day, before it was accepted.
fn records() -> Vec<LogRecord> {
    let of = |number: u64| {
        let mut record = simple(number);
        record.accepted_at = Timestamp::from_millis(NOON_MS + number as i64 * 1000);
        let before = if number.is_multiple_of(3) { DAY_MS } else { (number % 10) as i64 * 1000 };
        record.timestamp = record.accepted_at.plus_millis(-before);
        record
    };
    (0..RECORDS).map(of).collect()
}

fn seen(store: &EmbeddedStore, range: VisitRange) -> BTreeMap<u64, LogRecord> {
    let mut seen = BTreeMap::new();
    let report = store.visit(range, &mut |seq, record| {
        assert!(seen.insert(seq, record.clone()).is_none(), "{seq} is shown twice");
        ControlFlow::Continue(())
    });
    assert_eq!((report.records, report.damaged_blocks), (seen.len() as u64, 0));
    seen
}

#[test]
fn each_record_of_a_range_is_shown_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&StoreConfig { block_rows: 50, ..config(dir.path()) });
    let records = records();
    append(&store, 0, &records[..320]);
    store.flush().expect("writes");
    store.tick(Timestamp::from_millis(NOON_MS + 2 * DAY_MS));
    append(&store, 320, &records[320..380]);
    store.flush().expect("writes");
    append(&store, 380, &records[380..]);
    assert!(store.stats().merges_total > 0);

    let between = |from: i64, to: i64| TimeRange {
        start: Timestamp::from_millis(NOON_MS + from * 1000),
        end: Timestamp::from_millis(NOON_MS + to * 1000),
    };
    for (event, accepted) in [
        (TimeRange::ALL, TimeRange::ALL),
        (TimeRange::ALL, between(100, 200)),
        (TimeRange::ALL, between(350, 400)),
        (between(100, 200), TimeRange::ALL),
        (between(50, 390), between(60, 385)),
        (between(-86_400, 0), TimeRange::ALL),
        (between(0, 0), TimeRange::ALL),
    ] {
        let wanted: BTreeMap<u64, LogRecord> = (0..)
            .zip(&records)
            .filter(|(_, record)| event.contains(record.timestamp) && accepted.contains(record.accepted_at))
            .map(|(seq, record)| (seq, record.clone()))
            .collect();
        assert_eq!(seen(&store, VisitRange { event, accepted }), wanted, "{event:?} {accepted:?}");
    }

    let mut first = 0;
    let all = VisitRange { event: TimeRange::ALL, accepted: TimeRange::ALL };
    let report = store.visit(all, &mut |_, _| {
        first += 1;
        if first == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(report.records, 7);
}
