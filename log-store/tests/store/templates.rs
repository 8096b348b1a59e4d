//! The templates of messages, counted; columns that are the same, written once.

use crate::common::*;
use watchfire_log_store::TimeRange;
use watchfire_model::{LogRecord, Timestamp};

#[tokio::test]
async fn templates_are_counted_over_any_range() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&watchfire_log_store::StoreConfig { block_rows: 500, ..config(dir.path()) });
    let of = |number: u64| LogRecord {
        message: match number % 4 {
            0 => format!("user u{number} logged in"),
            _ => format!("GET /items/{number} took {} ms", number * 7 % 90),
        },
        ..simple(number)
    };
    let records: Vec<LogRecord> = (0..2000).map(of).collect();
    append(&store, 0, &records);
    let open_yet = store.templates(TimeRange::ALL, 10).await.expect("answers");
    assert_eq!(open_yet.templates.iter().map(|t| t.count).sum::<u64>() + open_yet.rest, 2000);
    store.flush().expect("writes");
    let all = store.templates(TimeRange::ALL, 10).await.expect("answers");
    let seen: Vec<(&str, u64)> = all.templates.iter().map(|t| (t.text.as_str(), t.count)).collect();
    assert_eq!(seen, [("GET /items/<*> took <*> ms", 1500), ("user <*> logged in", 500)]);
    assert_eq!(all.rest, 0);
    // From the middle of one block to the middle of another.
    let at = |number: i64| Timestamp::from_millis(NOON_MS + number * 10);
    let some = store.templates(TimeRange { start: at(301), end: at(1702) }, 1).await.expect("answers");
    let expected = (301..1702).filter(|number| number % 4 != 0).count() as u64;
    assert_eq!((some.templates[0].count, some.templates[0].id), (expected, all.templates[0].id));
    assert_eq!(some.templates.len(), 1);
}

#[test]
fn columns_of_the_same_values_are_written_once() {
    let stored = |twins: bool| {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(&watchfire_log_store::StoreConfig { block_rows: 1000, ..config(dir.path()) });
        let of = |number: u64| {
            let mut record = simple(number);
            let trace = record.id.chars().rev().collect::<String>();
            record.fields.push(("trace_id".to_owned(), watchfire_model::Value::Text(trace.clone())));
            record.correlation_id = twins.then_some(trace);
            record
        };
        let records: Vec<LogRecord> = (0..2000).map(of).collect();
        append(&store, 0, &records);
        store.flush().expect("writes");
        assert_eq!(all(&store).into_iter().map(|hit| hit.record).collect::<Vec<_>>(), records);
        if twins {
            let wanted = records[1234].correlation_id.clone().unwrap_or_default();
            for name in ["correlation_id", "trace_id"] {
                let found = search(&store, &format!("{name}:{wanted}"));
                assert_eq!(found.hits.iter().map(|hit| hit.seq).collect::<Vec<_>>(), [1234], "{name}");
            }
        }
        store.stats().disk_bytes
    };
    let (one, both) = (stored(false), stored(true));
    assert!(both < one + 1000, "{one} and {both}");
}
