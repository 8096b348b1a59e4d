//! Facets of records that each have keys of their own, far more than a block has columns.

use watchfire_log_store::facets::FacetsRequest;
use watchfire_log_store::query::{Field, Query, parse};
use watchfire_log_store::{EmbeddedStore, StoreConfig, TimeRange};
use watchfire_model::record::Value;
use watchfire_model::{LogRecord, Timestamp};

use crate::embedded::append;
use crate::figures::check_facets;
use crate::generate::NOW;
use crate::naive::Naive;

const RECORDS: u64 = 6_500;
/// As many that the keys of a block's last records have no column.
const BLOCK_ROWS: usize = 3_000;

fn object(name: &str, value: Value) -> Value {
    Value::Object(vec![(name.to_owned(), value)])
}

/// What `late` is: it is rare at first, so that the open block's rest has it, then frequent.
fn late(number: u64) -> Option<Value> {
    let int = Value::Int(number as i64 % 5);
    match number {
        2_500..2_520 => Some(Value::Array(vec![object("x", int), Value::Text("in a list".to_owned())])),
        2_520..2_540 => Some(int),
        2_540..2_545 => Some(Value::Null),
        2_545..2_560 => Some(object("x", int)),
        3_000.. if number.is_multiple_of(3) => Some(object("x", int)),
        3_000.. => Some(Value::Text(format!("late {}", number % 7))),
        _ => None,
    }
}

fn record(number: u64) -> LogRecord {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut fields = vec![
        (format!("key_{mixed:016x}"), Value::Float(0.3)),
        ("obj".to_owned(), object(&format!("id_{mixed:012x}"), object("v", Value::Int(1)))),
        ("parity".to_owned(), Value::Int(number as i64 % 2)),
        ("id".to_owned(), Value::Text(format!("{mixed:x}"))),
    ];
    fields.extend(late(number).map(|value| ("late".to_owned(), value)));
    if number == 2_800 || number > 6_000 {
        fields.push(("once.in".to_owned(), object("rest", Value::Text(format!("{}", number % 3)))));
    }
    let timestamp = NOW.plus_millis(number as i64);
    let accepted_at = timestamp;
    LogRecord { timestamp, accepted_at, message: "unique".into(), service: "uk".into(), fields, ..LogRecord::default() }
}

fn check(store: &EmbeddedStore, naive: &Naive, when: &str) {
    let middle = TimeRange { start: NOW.plus_millis(2_400), end: NOW.plus_millis(4_000) };
    for (q, range) in [("parity:1", TimeRange::ALL), ("late:*", middle)] {
        let query = parse(q, NOW).expect("a query");
        let request = FacetsRequest::new(query, range);
        let response = store.facets_blocking(&request).expect("answers");
        check_facets(naive, &request, &response, &format!("`{q}` {when}"));
        let shown = |name: &str| {
            let field = Field::parse(name).expect("a field");
            response.facets.iter().find(|facet| facet.field == field).is_some_and(|facet| facet.values.is_some())
        };
        assert!(["parity", "late", "late.x"].into_iter().all(shown), "`{q}` {when}");
        assert!(!shown("id"), "`{q}` {when}: it has thousands of values");
    }
    let all = store.facets_blocking(&FacetsRequest::new(Query::all(), TimeRange::ALL)).expect("answers");
    assert_eq!(all.facets.len(), 4 + 200, "as many as there may be, {when}");
}

#[test]
fn facets_of_thousands_of_unique_keys() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { block_rows: BLOCK_ROWS, retention_days: 36_500, ..StoreConfig::new(dir.path()) };
    let store = EmbeddedStore::open(config, Timestamp::from_millis(NOW.millis())).expect("opens");
    let records: Vec<LogRecord> = (0..RECORDS).map(record).collect();
    let mut naive = Naive::default();
    records.iter().enumerate().for_each(|(seq, record)| naive.push(seq as u64, record));
    append(&store, 0, &records);
    check(&store, &naive, "open and sealed");
    store.flush().expect("sealed");
    check(&store, &naive, "sealed");
}
